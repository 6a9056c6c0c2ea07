#include "package/oci.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"

namespace lambdad::package {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kRepositoryNameMax = 255;
constexpr std::size_t kTagMax = 128;
constexpr std::size_t kListMax = 4096;  // entries of an index, of Env, of Cmd
constexpr json::ParseLimits kDepth{.depth_max = 32};

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) return false;
  for (std::size_t at = 0; at < text.size();) {
    if (is_lower_or_digit(text[at])) {
      ++at;
      continue;
    }
    const char separator = text[at];
    const std::size_t end = text.find_first_not_of(separator, at);
    const std::size_t count = end - at;
    if (separator == '.' ? count != 1 : separator == '_' ? count > 2 : separator != '-') return false;
    if (!is_lower_or_digit(text[end])) return false;
    at = end;
  }
  return true;
}

// A host name or address with an optional port.
bool is_registry(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  const std::size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
  }
  if (host.empty() || host.front() == '-' || host.front() == '.') return false;
  return std::ranges::all_of(host, [](char c) { return (is_word(c) && c != '_') || c == '-' || c == '.'; });
}

std::string text_of(const json::Value& value, std::string_view key) {
  const json::Value* found = value.find(key);
  return found != nullptr && found->if_string() != nullptr ? *found->if_string() : std::string();
}

Result<Descriptor> descriptor_from(const json::Value& value, std::string_view what) {
  if (!value.is_object()) return fail(Errc::kInvalid, "the manifest's {} is no descriptor", what);
  Descriptor out{.media_type = text_of(value, "mediaType"), .digest = text_of(value, "digest")};
  if (!is_image_digest(out.digest)) {
    return fail(Errc::kInvalid, "the manifest's {} has the digest '{}'; sha256 is served", what,
                escape_control(out.digest.substr(0, 100)));
  }
  const json::Value* size = value.find("size");
  const auto number = size != nullptr ? size->as_int64() : std::nullopt;
  if (!number || *number < 0) return fail(Errc::kInvalid, "the manifest's {} has no size", what);
  out.size = static_cast<std::uint64_t>(*number);
  if (const json::Value* platform = value.find("platform")) {
    out.os = text_of(*platform, "os");
    out.architecture = text_of(*platform, "architecture");
  }
  return out;
}

Result<std::vector<Descriptor>> descriptors_from(const json::Value* value, std::string_view what, std::size_t max) {
  std::vector<Descriptor> out;
  if (value == nullptr || value->if_array() == nullptr) return fail(Errc::kInvalid, "the manifest has no {}", what);
  if (value->if_array()->size() > max) return fail(Errc::kTooLarge, "the manifest has more than {} {}", max, what);
  for (const json::Value& entry : *value->if_array()) {
    LD_TRY(auto descriptor, descriptor_from(entry, what));
    out.push_back(std::move(descriptor));
  }
  return out;
}

/// Absent and null are an empty list, as Docker writes it.
Result<std::vector<std::string>> texts_from(const json::Value& object, std::string_view key) {
  std::vector<std::string> out;
  const json::Value* value = object.find(key);
  if (value == nullptr || value->is_null()) return out;
  const json::Array* array = value->if_array();
  if (array == nullptr || array->size() > kListMax) return fail(Errc::kInvalid, "the image's {} is no list", key);
  for (const json::Value& entry : *array) {
    const std::string* text = entry.if_string();
    // No program could be given it.
    if (text == nullptr || text->find('\0') != std::string::npos) {
      return fail(Errc::kInvalid, "the image's {} holds what is no text", key);
    }
    out.push_back(*text);
  }
  return out;
}

bool is_layer_type(std::string_view type) {
  for (std::string_view base :
       {media_type::kOciLayer, std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar")}) {
    if (type == base ||
        (type.starts_with(base) && (type.substr(base.size()) == "+gzip" || type.substr(base.size()) == "+zstd"))) {
      return true;
    }
  }
  for (std::string_view base :
       {media_type::kDockerLayer, std::string_view("application/vnd.docker.image.rootfs.foreign.diff.tar")}) {
    if (type == base ||
        (type.starts_with(base) && (type.substr(base.size()) == ".gzip" || type.substr(base.size()) == ".zstd"))) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool is_image_digest(std::string_view text) {
  return text.size() == kDigestPrefix.size() + 64 && text.starts_with(kDigestPrefix) &&
         text.find_first_not_of("0123456789abcdef", kDigestPrefix.size()) == std::string_view::npos;
}

std::string image_digest_of(std::string_view bytes) { return digest_from_hex(hex_encode(sha256(bytes))); }
std::string digest_hex(std::string_view digest) { return std::string(digest.substr(kDigestPrefix.size())); }
std::string digest_from_hex(std::string_view hex) { return fmt::format("{}{}", kDigestPrefix, hex); }

bool is_repository_name(std::string_view name) {
  if (name.empty() || name.size() > kRepositoryNameMax) return false;
  for (;;) {
    const std::size_t slash = name.find('/');
    if (!is_path_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

bool is_image_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kTagMax && is_word(tag.front()) &&
         std::ranges::all_of(tag, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<ImageReference> ImageReference::parse(std::string_view uri) {
  auto wrong = [&](std::string_view why) {
    return fail(Errc::kInvalid, "'{}' names no image: {}", escape_control(uri.substr(0, 300)), why);
  };
  ImageReference out;
  const std::size_t slash = uri.find('/');
  if (slash == std::string_view::npos) return wrong("the registry is missing");
  out.registry = uri.substr(0, slash);
  if (!is_registry(out.registry)) return wrong("the registry is no host name");
  std::string_view rest = uri.substr(slash + 1);
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    if (!is_image_digest(out.digest)) return wrong("the digest is not sha256:<64 hex digits>");
    rest = rest.substr(0, at);
  }
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    if (!is_image_tag(out.tag)) return wrong("the tag is not well-formed");
    rest = rest.substr(0, colon);
  }
  out.repository = rest;
  if (!is_repository_name(rest)) return wrong("the repository's name is not well-formed");
  if (out.tag.empty() && out.digest.empty()) return wrong("it needs a tag or a digest");
  return out;
}

std::string ImageReference::str() const {
  return fmt::format("{}/{}{}{}{}{}", registry, repository, tag.empty() ? "" : ":", tag, digest.empty() ? "" : "@",
                     digest);
}

std::string ImageReference::resolved(std::string_view to) const {
  return fmt::format("{}/{}@{}", registry, repository, to);
}

bool Manifest::is_index() const { return media_type == media_type::kOciIndex || media_type == media_type::kDockerList; }

std::vector<std::string> Manifest::references() const {
  std::vector<std::string> out;
  if (is_index()) {
    for (const Descriptor& entry : manifests) out.push_back(entry.digest);
    return out;
  }
  out.push_back(config.digest);
  for (const Descriptor& layer : layers) out.push_back(layer.digest);
  return out;
}

Result<Manifest> parse_manifest(std::string_view bytes, std::string_view declared) {
  if (bytes.size() > kManifestBytesMax)
    return fail(Errc::kTooLarge, "a manifest of more than {} bytes", kManifestBytesMax);
  LD_TRY(const json::Value document, json::parse(bytes, kDepth));
  if (!document.is_object()) return fail(Errc::kInvalid, "the manifest is no JSON object");
  const json::Value* version = document.find("schemaVersion");
  if (version == nullptr || version->as_int64() != 2) {
    return fail(Errc::kInvalid, "the manifest's schemaVersion is not 2; the older form is not served");
  }
  declared = declared.substr(0, declared.find(';'));
  Manifest out{.media_type = text_of(document, "mediaType")};
  if (out.media_type.empty()) {
    // An OCI document need not say what it is.
    out.media_type = !declared.empty()                       ? declared
                     : document.find("manifests") != nullptr ? media_type::kOciIndex
                                                             : media_type::kOciManifest;
  } else if (!declared.empty() && declared != out.media_type) {
    return fail(Errc::kInvalid, "the manifest says that it is {}, and it came as {}", escape_control(out.media_type),
                escape_control(declared));
  }
  if (out.is_index()) {
    // One document that is both could mean different images to two readers.
    if (document.find("layers") != nullptr || document.find("config") != nullptr) {
      return fail(Errc::kInvalid, "the manifest is an index and an image at once");
    }
    LD_TRY(out.manifests, descriptors_from(document.find("manifests"), "manifests", kListMax));
  } else if (out.media_type == media_type::kOciManifest || out.media_type == media_type::kDockerManifest) {
    if (document.find("manifests") != nullptr) {
      return fail(Errc::kInvalid, "the manifest is an index and an image at once");
    }
    const json::Value* config = document.find("config");
    if (config == nullptr) return fail(Errc::kInvalid, "the manifest has no config");
    LD_TRY(out.config, descriptor_from(*config, "config"));
    LD_TRY(out.layers, descriptors_from(document.find("layers"), "layers", kImageLayersMax));
  } else {
    return fail(Errc::kInvalid, "{} is no manifest that is served", escape_control(out.media_type.substr(0, 100)));
  }
  if (const json::Value* subject = document.find("subject"); subject != nullptr && !subject->is_null()) {
    LD_TRY(out.subject, descriptor_from(*subject, "subject"));
  }
  return out;
}

std::string_view host_image_architecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "amd64";
#endif
}

Result<Descriptor> choose_platform(const Manifest& index) {
  std::string seen;
  for (const Descriptor& entry : index.manifests) {
    if (entry.os == "linux" && entry.architecture == host_image_architecture()) return entry;
    if (entry.os == "unknown" || seen.size() > 200) continue;  // attestations lie beside the images
    seen += fmt::format("{}{}/{}", seen.empty() ? "" : ", ", entry.os, entry.architecture);
  }
  return fail(Errc::kInvalid, "the image is not there for linux/{}, only for: {}", host_image_architecture(),
              escape_control(seen));
}

Result<ImageConfig> parse_image_config(std::string_view bytes) {
  if (bytes.size() > kImageConfigBytesMax)
    return fail(Errc::kTooLarge, "an image configuration of {} bytes", bytes.size());
  LD_TRY(const json::Value document, json::parse(bytes, kDepth));
  if (!document.is_object()) return fail(Errc::kInvalid, "the image's configuration is no JSON object");
  ImageConfig out{.os = text_of(document, "os"), .architecture = text_of(document, "architecture")};
  if (const json::Value* config = document.find("config"); config != nullptr && !config->is_null()) {
    if (!config->is_object()) return fail(Errc::kInvalid, "the image's config is no object");
    LD_TRY(out.entrypoint, texts_from(*config, "Entrypoint"));
    LD_TRY(out.command, texts_from(*config, "Cmd"));
    LD_TRY(const auto variables, texts_from(*config, "Env"));
    for (const std::string& variable : variables) {
      const std::size_t equals = variable.find('=');
      if (equals == 0 || equals == std::string::npos) {
        return fail(Errc::kInvalid, "the image's Env holds what is no NAME=VALUE");
      }
      out.environment.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
    }
    out.working_directory = text_of(*config, "WorkingDir");
    out.user = text_of(*config, "User");
    if (out.working_directory.find('\0') != std::string::npos) {
      return fail(Errc::kInvalid, "the image's WorkingDir is no path");
    }
  }
  const json::Value* rootfs = document.find("rootfs");
  if (rootfs == nullptr || !rootfs->is_object()) return fail(Errc::kInvalid, "the image's configuration has no rootfs");
  LD_TRY(out.diff_ids, texts_from(*rootfs, "diff_ids"));
  for (const std::string& id : out.diff_ids) {
    if (!is_image_digest(id)) return fail(Errc::kInvalid, "a diff_id of the image is no sha256 digest");
  }
  return out;
}

Result<void> check_media_types(const Manifest& manifest) {
  if (manifest.config.media_type != media_type::kOciConfig && manifest.config.media_type != media_type::kDockerConfig) {
    return fail(Errc::kInvalid, "the config's media type {} is not that of a container image",
                escape_control(manifest.config.media_type.substr(0, 100)));
  }
  for (const Descriptor& layer : manifest.layers) {
    if (!is_layer_type(layer.media_type)) {
      return fail(Errc::kInvalid, "the layer's media type {} is not served",
                  escape_control(layer.media_type.substr(0, 100)));
    }
  }
  return {};
}

Result<void> check_runnable(const Manifest& manifest, const ImageConfig& config) {
  if (config.os != "linux" || config.architecture != host_image_architecture()) {
    return fail(Errc::kInvalid, "the image is for {}/{}, and functions run on linux/{}", escape_control(config.os),
                escape_control(config.architecture), host_image_architecture());
  }
  if (config.diff_ids.size() != manifest.layers.size()) {
    return fail(Errc::kInvalid, "the image has {} layers and its configuration names {}", manifest.layers.size(),
                config.diff_ids.size());
  }
  return {};
}

}  // namespace lambdad::package
