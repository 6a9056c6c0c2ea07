#include "execution/runtimes.h"

#include <charconv>

#include "base/json.h"

namespace lambdad::execution {

namespace {

struct Known {
  std::string_view runtime;
  std::string_view family;
  std::string_view program;  ///< file name of the interpreter
  std::string_view version;  ///< what the interpreter's version must begin with
};

// Source: Lambda Developer Guide, "Lambda runtimes"; the identifiers whose bootstraps lambdad has.
constexpr Known kKnown[] = {
    {"python3.9", "python", "python3.9", "3.9."},    {"python3.10", "python", "python3.10", "3.10."},
    {"python3.11", "python", "python3.11", "3.11."}, {"python3.12", "python", "python3.12", "3.12."},
    {"python3.13", "python", "python3.13", "3.13."}, {"python3.14", "python", "python3.14", "3.14."},
    {"nodejs18.x", "nodejs", "node", "18."},         {"nodejs20.x", "nodejs", "node", "20."},
    {"nodejs22.x", "nodejs", "node", "22."},         {"nodejs24.x", "nodejs", "node", "24."},
    {"provided.al2023", "provided", "", ""},         {"provided.al2", "provided", "", ""},
};

const Known* known(std::string_view runtime) {
  for (const Known& entry : kKnown) {
    if (entry.runtime == runtime) return &entry;
  }
  return nullptr;
}

// Everything an interpreter at PREFIX/bin/NAME needs is below PREFIX; what is in /usr or /bin is there anyway.
std::string prefix_of(const std::string& resolved) {
  if (resolved.starts_with("/usr/") || resolved.starts_with("/bin/")) return "";
  const std::size_t bin = resolved.rfind("/bin/");
  if (bin != std::string::npos && bin > 0) return resolved.substr(0, bin);
  return resolved.substr(0, resolved.rfind('/'));
}

std::string hint_for(const Known& entry) {
  if (entry.family == "python") {
    return fmt::format(
        "install {0} (its package, pyenv, or a build of your own), or name it with --runtime "
        "{1}=/path/to/{0}",
        entry.program, entry.runtime);
  }
  return fmt::format("install Node.js {}x, or name it with --runtime {}=/path/to/node", entry.version, entry.runtime);
}

}  // namespace

std::string_view runtime_family(std::string_view runtime) {
  const Known* entry = known(runtime);
  return entry == nullptr ? std::string_view{} : entry->family;
}

RuntimeCatalog::RuntimeCatalog(Files& files, Processes& processes, Options options)
    : files_(files), processes_(processes), options_(std::move(options)) {}

std::vector<std::string> RuntimeCatalog::candidates(std::string_view family, std::string_view program) const {
  std::vector<std::string> paths{fmt::format("/usr/bin/{}", program), fmt::format("/usr/local/bin/{}", program)};
  auto add_below = [&](const std::string& directory, std::string_view prefix) {
    auto names = files_.list(directory);
    if (!names) return;
    for (const auto& name : *names) {
      if (name.starts_with(prefix)) paths.push_back(fmt::format("{}/{}/bin/{}", directory, name, program));
    }
  };
  add_below("/opt", "");
  if (!options_.home.empty()) {
    if (family == "python") {
      add_below(options_.home + "/.pyenv/versions", program.substr(std::string_view("python").size()));
    } else {
      add_below(options_.home + "/.nvm/versions/node", "v");
    }
  }
  return paths;
}

std::optional<std::string> RuntimeCatalog::node_version(const std::string& path) {
  const auto stamp = processes_.stamp_executable(path);
  if (!stamp) return std::nullopt;
  load_cache();
  const std::string key = fmt::format("{}|{}|{}", path, stamp->size, stamp->modified_ns);
  if (auto known_version = node_versions_.find(key); known_version != node_versions_.end()) {
    return known_version->second;
  }
  auto output = processes_.capture({path, "--version"}, 10s);
  std::string version;
  if (output && output->starts_with("v")) version = output->substr(1, output->find('\n') - 1);
  node_versions_[key] = version;  // also a failure is remembered: the program will not get better until it changes
  save_cache();
  return version;
}

void RuntimeCatalog::load_cache() {
  if (std::exchange(cache_loaded_, true)) return;
  auto text = files_.read(options_.cache_file);
  if (!text) return;
  auto document = json::parse(*text);
  if (!document || document->if_object() == nullptr) return;  // a damaged cache is made anew
  for (const auto& [key, value] : *document->if_object()) {
    if (const auto* version = value.if_string()) node_versions_[key] = *version;
  }
}

void RuntimeCatalog::save_cache() {
  json::Object object;
  for (const auto& [key, version] : node_versions_) object.append(key, json::Value(version));
  // Only a cache: when it cannot be written, the next start asks again.
  (void)files_.write_durably(options_.cache_file, json::serialize_pretty(json::Value(std::move(object))));
}

Result<Interpreter> RuntimeCatalog::find(std::string_view runtime) {
  const Known* entry = known(runtime);
  if (entry == nullptr) return fail(Errc::kInvalid, "lambdad does not run {}", runtime);
  if (entry->family == "provided") return Interpreter{};
  if (auto hit = found_.find(runtime); hit != found_.end() && processes_.stamp_executable(hit->second.path)) {
    return hit->second;
  }
  std::vector<std::string> paths;
  const auto configured = options_.configured.find(std::string(runtime));
  if (configured != options_.configured.end()) {
    paths = {configured->second};
  } else {
    paths = candidates(entry->family, entry->program);
  }
  for (const auto& path : paths) {
    if (!processes_.stamp_executable(path)) continue;
    const auto resolved = processes_.resolve(path);
    if (!resolved) continue;
    std::string version;
    if (entry->family == "nodejs") {
      version = node_version(*resolved).value_or("");
      if (!version.starts_with(entry->version)) continue;
    } else {
      version = std::string(entry->version.substr(0, entry->version.size() - 1));
    }
    Interpreter found{.path = *resolved, .version = version, .prefix = prefix_of(*resolved)};
    found_[std::string(runtime)] = found;
    return found;
  }
  if (configured != options_.configured.end()) {
    return fail(Errc::kNotFound, "{} is configured as {}, which is no executable of that version", runtime,
                configured->second);
  }
  return fail(Errc::kNotFound, "no interpreter for {} was found on this machine: {}", runtime, hint_for(*entry));
}

std::vector<RuntimeCatalog::Listed> RuntimeCatalog::list() {
  std::vector<Listed> all;
  for (const Known& entry : kKnown) {
    Listed listed{.runtime = std::string(entry.runtime), .interpreter = {}, .hint = {}};
    if (auto found = find(entry.runtime)) {
      listed.interpreter = std::move(*found);
    } else {
      listed.hint = found.error().detail;
    }
    all.push_back(std::move(listed));
  }
  return all;
}

}  // namespace lambdad::execution
