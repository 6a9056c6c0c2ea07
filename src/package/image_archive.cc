#include "package/image_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/json.h"

namespace lambdad::package {
namespace {

constexpr std::size_t kPieceBytes = 128 * 1024;
constexpr std::size_t kEntriesMax = 10'000;  // an image has some hundred at most
constexpr int kLinksMax = 8;

struct ArchiveEnd {
  void operator()(::archive* reader) const { ::archive_read_free(reader); }
};

std::unexpected<Error> damaged(::archive* reader) {
  const char* why = ::archive_error_string(reader);
  return fail(Errc::kInvalid, "the archive is damaged: {}", escape_control(why != nullptr ? why : "no tar"));
}

/// "./a//b" and "a/b" are one name, and "x/../a" is "a": how a link inside the archive is written.
std::string clean(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  std::string out;
  for (const std::string_view part : parts) out.append(out.empty() ? "" : "/").append(part);
  return out;
}

/// The files of an archive, as blobs.
class Contents {
 public:
  Contents(ImageBlobs& blobs, const ImageLimits& limits) : blobs_(blobs), limits_(limits) {}

  Result<void> read(const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return system_error(errno, "opening the archive");
    const std::unique_ptr<::archive, ArchiveEnd> tar(::archive_read_new());
    if (tar == nullptr || ::archive_read_support_format_tar(tar.get()) != ARCHIVE_OK ||
        ::archive_read_support_filter_gzip(tar.get()) != ARCHIVE_OK ||
        ::archive_read_support_filter_zstd(tar.get()) != ARCHIVE_OK) {
      return fail(Errc::kInternal, "libarchive cannot read tar, gzip and zstd by itself");
    }
    if (::archive_read_open_fd(tar.get(), fd.get(), kPieceBytes) != ARCHIVE_OK) return damaged(tar.get());
    for (std::size_t count = 0;; ++count) {
      ::archive_entry* entry = nullptr;
      const int got = ::archive_read_next_header(tar.get(), &entry);
      if (got == ARCHIVE_EOF) return {};
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return damaged(tar.get());
      if (count >= kEntriesMax) return fail(Errc::kTooLarge, "the archive has more than {} entries", kEntriesMax);
      LD_TRY_VOID(take(tar.get(), entry));
    }
  }

  /// The file of this name, also through links.
  const ImageBlobs::Stored* find(std::string_view name) const {
    std::string at = clean(name);
    for (int i = 0; i < kLinksMax; ++i) {
      if (const auto file = files_.find(at); file != files_.end()) return &file->second;
      const auto link = links_.find(at);
      if (link == links_.end()) return nullptr;
      at = link->second;
    }
    return nullptr;
  }
  Result<std::string> text(std::string_view name) const {
    const ImageBlobs::Stored* file = find(name);
    if (file == nullptr) return fail(Errc::kInvalid, "the archive lacks {}", escape_control(name.substr(0, 200)));
    return blobs_.read(file->digest, kManifestBytesMax);
  }
  const ImageBlobs::Stored* blob(const std::string& digest) const { return find("blobs/sha256/" + digest_hex(digest)); }

 private:
  Result<void> take(::archive* tar, ::archive_entry* entry) {
    const char* text = ::archive_entry_pathname(entry);
    if (text == nullptr) return fail(Errc::kInvalid, "the archive has a name that cannot be read");
    const std::string name = clean(text);
    const mode_t type = ::archive_entry_filetype(entry);
    if (const char* target = ::archive_entry_hardlink(entry)) {
      links_.insert_or_assign(name, clean(target));
      return {};
    }
    if (type == S_IFLNK) {
      const char* target = ::archive_entry_symlink(entry);
      const std::size_t slash = name.rfind('/');
      const std::string directory = slash == std::string::npos ? "" : name.substr(0, slash + 1);
      if (target != nullptr) links_.insert_or_assign(name, clean(directory + target));
      return {};
    }
    if (type != S_IFREG) return {};
    LD_TRY(const auto writer, blobs_.begin());
    std::vector<char> piece(kPieceBytes);
    for (;;) {
      const la_ssize_t got = ::archive_read_data(tar, piece.data(), piece.size());
      if (got < 0) return damaged(tar);
      if (got == 0) break;
      bytes_ += static_cast<std::uint64_t>(got);
      if (bytes_ > limits_.unpacked_bytes_max) return fail(Errc::kTooLarge, "the archive is larger than its limit");
      LD_TRY_VOID(writer->append({piece.data(), static_cast<std::size_t>(got)}));
    }
    LD_TRY(auto stored, writer->finish());
    files_.insert_or_assign(name, std::move(stored));
    return {};
  }

  ImageBlobs& blobs_;
  const ImageLimits limits_;
  std::map<std::string, ImageBlobs::Stored> files_;
  std::map<std::string, std::string> links_;
  std::uint64_t bytes_ = 0;
};

void add_part(ImageBlobs& blobs, ArchivedImage& image, const ImageBlobs::Stored& part) {
  if (std::ranges::find(image.blobs, part.digest, &ImageBlobs::Stored::digest) != image.blobs.end()) return;
  image.blobs.push_back({.digest = part.digest, .size = part.size, .hold = blobs.hold(part.digest)});
}

Result<ArchivedImage> from_layout(ImageBlobs& blobs, const Contents& contents) {
  LD_TRY(std::string bytes, contents.text("index.json"));
  LD_TRY(Manifest manifest, parse_manifest(bytes, media_type::kOciIndex));
  for (int depth = 0; manifest.is_index(); ++depth) {
    if (depth == 4) return fail(Errc::kInvalid, "the archive's indexes lead to indexes");
    Descriptor chosen;
    if (manifest.manifests.size() == 1) {
      chosen = manifest.manifests.front();
    } else if (depth == 0) {
      // The outermost index names the archive's images, an inner one the builds of one image.
      return fail(Errc::kInvalid, "the archive has {} images; one is wanted", manifest.manifests.size());
    } else {
      LD_TRY(chosen, choose_platform(manifest));
    }
    const ImageBlobs::Stored* next = contents.blob(chosen.digest);
    if (next == nullptr || next->digest != chosen.digest) {
      return fail(Errc::kInvalid, "the archive lacks {}", chosen.digest);
    }
    LD_TRY(bytes, blobs.read(next->digest, kManifestBytesMax));
    LD_TRY(manifest, parse_manifest(bytes, chosen.media_type));
  }
  ArchivedImage image{.manifest = std::move(bytes)};
  for (const std::string& digest : manifest.references()) {
    const ImageBlobs::Stored* part = contents.blob(digest);
    if (part == nullptr || part->digest != digest) return fail(Errc::kInvalid, "the archive lacks {}", digest);
    add_part(blobs, image, *part);
  }
  return image;
}

Result<ArchivedImage> from_docker(ImageBlobs& blobs, const Contents& contents) {
  LD_TRY(const std::string text, contents.text("manifest.json"));
  LD_TRY(const json::Value list, json::parse(text));
  if (list.if_array() == nullptr || list.if_array()->empty()) return fail(Errc::kInvalid, "the archive has no image");
  if (list.if_array()->size() > 1) {
    return fail(Errc::kInvalid, "the archive has {} images; one is wanted", list.if_array()->size());
  }
  const json::Value& entry = list.if_array()->front();
  const json::Value* config = entry.find("Config");
  const json::Value* layers = entry.find("Layers");
  if (config == nullptr || config->if_string() == nullptr || layers == nullptr || layers->if_array() == nullptr ||
      layers->if_array()->size() > kImageLayersMax) {
    return fail(Errc::kInvalid, "the archive's manifest.json is not that of an image");
  }
  ArchivedImage image;
  auto describe = [&](const json::Value& name, std::string_view type) -> Result<json::Value> {
    const ImageBlobs::Stored* part = name.if_string() == nullptr ? nullptr : contents.find(*name.if_string());
    if (part == nullptr) return fail(Errc::kInvalid, "the archive lacks a part that its manifest.json names");
    add_part(blobs, image, *part);
    return json::Object{{"mediaType", type}, {"digest", part->digest}, {"size", part->size}};
  };
  LD_TRY(json::Value config_descriptor, describe(*config, media_type::kOciConfig));
  json::Array descriptors;
  for (const json::Value& layer : *layers->if_array()) {
    // However the layer is compressed: its bytes say it.
    LD_TRY(json::Value descriptor, describe(layer, media_type::kOciLayer));
    descriptors.push_back(std::move(descriptor));
  }
  image.manifest = json::serialize(json::Object{{"schemaVersion", 2},
                                                {"mediaType", media_type::kOciManifest},
                                                {"config", std::move(config_descriptor)},
                                                {"layers", std::move(descriptors)}});
  return image;
}

}  // namespace

Result<ArchivedImage> read_image_archive(ImageBlobs& blobs, const std::string& file, const ImageLimits& limits) {
  Contents contents(blobs, limits);
  LD_TRY_VOID(contents.read(file));
  if (contents.find("index.json") != nullptr) return from_layout(blobs, contents);
  if (contents.find("manifest.json") != nullptr) return from_docker(blobs, contents);
  return fail(Errc::kInvalid, "the archive has neither index.json (OCI layout) nor manifest.json (docker save)");
}

}  // namespace lambdad::package
