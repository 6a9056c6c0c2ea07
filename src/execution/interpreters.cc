#include "execution/interpreters.h"

#include <algorithm>

namespace lambdad::execution {

namespace {

constexpr KnownRuntime kKnown[] = {
    {"python3.9", "python", "3.9"},   {"python3.10", "python", "3.10"}, {"python3.11", "python", "3.11"},
    {"python3.12", "python", "3.12"}, {"python3.13", "python", "3.13"}, {"python3.14", "python", "3.14"},
    {"nodejs18.x", "nodejs", "18"},   {"nodejs20.x", "nodejs", "20"},   {"nodejs22.x", "nodejs", "22"},
    {"nodejs24.x", "nodejs", "24"},   {"ruby3.2", "ruby", "3.2"},       {"ruby3.3", "ruby", "3.3"},
    {"ruby3.4", "ruby", "3.4"},       {"java11", "java", "11"},         {"java17", "java", "17"},
    {"java21", "java", "21"},         {"java25", "java", "25"},         {"provided.al2023", "provided", ""},
    {"provided.al2", "provided", ""},
};

// A program that hangs instead of telling its version is given up.
constexpr Duration kPatience = 10s;

bool is_of_version(std::string_view version, std::string_view wanted) {
  return version.starts_with(wanted) && (version.size() == wanted.size() || version[wanted.size()] == '.');
}

std::string_view major_of(std::string_view version) { return version.substr(0, version.find('.')); }

// Everything an interpreter at PREFIX/bin/NAME needs is below PREFIX; what is in /usr or /bin is there anyway.
std::string prefix_of(const std::string& resolved) {
  if (resolved.starts_with("/usr/") || resolved.starts_with("/bin/")) return "";
  const std::size_t bin = resolved.rfind("/bin/");
  if (bin != std::string::npos && bin > 0) return resolved.substr(0, bin);
  return resolved.substr(0, resolved.rfind('/'));
}

// "v20.20.2", "Python 3.11.2", "ruby 3.1.2p20 (2022-04-12)", "openjdk 17.0.15 2025-04-15", JAVA_VERSION="17.0.15".
std::string first_version_in(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const std::size_t begin = text.find_first_of(kDigits);
  if (begin == std::string_view::npos) return "";
  const std::size_t end = std::min(text.find_first_not_of("0123456789.", begin), text.size());
  return std::string(text.substr(begin, end - begin));
}

std::string hint_for(const KnownRuntime& runtime) {
  const std::string named = fmt::format("name it with --runtime {}=/path/to/", runtime.runtime);
  if (runtime.family == "python") {
    return fmt::format("install python{} (its package, pyenv, or a build of your own), or {}python{}", runtime.version,
                       named, runtime.version);
  }
  if (runtime.family == "nodejs") return fmt::format("install Node.js {}, or {}node", runtime.version, named);
  if (runtime.family == "ruby") {
    return fmt::format(
        "install Ruby {} (its package, rbenv, or a build of your own), or {}ruby, where another Ruby 3 may stand in",
        runtime.version, named);
  }
  return fmt::format("install a Java {0} runtime (Debian: openjdk-{0}-jre-headless, where it has it), or {1}java",
                     runtime.version, named);
}

}  // namespace

std::span<const KnownRuntime> known_runtimes() { return kKnown; }

const KnownRuntime* known_runtime(std::string_view runtime) {
  const auto* found = std::ranges::find(kKnown, runtime, &KnownRuntime::runtime);
  return found == std::end(kKnown) ? nullptr : found;
}

InterpreterFinder::InterpreterFinder(Files& files, Processes& processes, Options options)
    : files_(files), processes_(processes), options_(std::move(options)) {}

void InterpreterFinder::learn(const Versions& versions) { versions_.insert(versions.begin(), versions.end()); }

std::vector<std::string> InterpreterFinder::candidates(const KnownRuntime& runtime) const {
  std::vector<std::string> programs;
  if (runtime.family == "python") programs = {fmt::format("python{}", runtime.version)};
  if (runtime.family == "nodejs") programs = {"node"};
  if (runtime.family == "ruby") programs = {fmt::format("ruby{}", runtime.version), "ruby"};
  if (runtime.family == "java") programs = {"java"};
  std::vector<std::string> paths;
  auto add = [&](const std::string& directory) {
    for (const auto& program : programs) paths.push_back(fmt::format("{}/{}", directory, program));
  };
  auto add_below = [&](const std::string& directory, std::string_view name_prefix) {
    auto names = files_.list(directory);
    if (!names) return;
    for (const auto& name : *names) {
      if (name.starts_with(name_prefix)) add(fmt::format("{}/{}/bin", directory, name));
    }
  };
  add("/usr/bin");
  add("/usr/local/bin");
  if (runtime.family == "java") add_below("/usr/lib/jvm", "");
  add_below("/opt", "");
  if (!options_.home.empty()) {
    if (runtime.family == "python") add_below(options_.home + "/.pyenv/versions", runtime.version);
    if (runtime.family == "nodejs") add_below(options_.home + "/.nvm/versions/node", "v");
    if (runtime.family == "ruby") add_below(options_.home + "/.rbenv/versions", runtime.version);
    if (runtime.family == "java") add_below(options_.home + "/.sdkman/candidates/java", "");
  }
  return paths;
}

std::string InterpreterFinder::version_of(const std::string& path, std::string_view family) {
  const auto stamp = processes_.stamp_executable(path);
  if (!stamp) return "";
  const std::string key = fmt::format("{}|{}|{}", path, stamp->size, stamp->modified_ns);
  if (auto known = versions_.find(key); known != versions_.end()) return known->second;
  std::string version;
  if (family == "java") {
    // A Java home says it in a file, which is a hundred times faster than starting a virtual machine.
    const std::string home = path.substr(0, std::min(path.rfind("/bin/"), path.size()));
    auto release = files_.read(home + "/release");
    const std::size_t at = release ? release->find("\nJAVA_VERSION=") : std::string::npos;
    if (at != std::string::npos) version = first_version_in(std::string_view(*release).substr(at));
  }
  if (version.empty()) {
    if (auto output = processes_.capture({path, "--version"}, kPatience)) version = first_version_in(*output);
  }
  // Silence is remembered, too: the program will not get better until it changes.
  versions_[key] = version;
  return version;
}

Result<Interpreter> InterpreterFinder::find(const KnownRuntime& runtime) {
  const auto configured = options_.configured.find(std::string(runtime.runtime));
  const bool chosen = configured != options_.configured.end();
  const bool minor_matters = runtime.version.find('.') != std::string_view::npos;
  for (const auto& path : chosen ? std::vector{configured->second} : candidates(runtime)) {
    if (!processes_.stamp_executable(path)) continue;
    const auto resolved = processes_.resolve(path);
    if (!resolved) continue;
    std::string version = version_of(*resolved, runtime.family);
    const bool exact = is_of_version(version, runtime.version);
    if (!exact && !(chosen && minor_matters && major_of(version) == major_of(runtime.version))) continue;
    return Interpreter{
        .path = *resolved, .version = std::move(version), .prefix = prefix_of(*resolved), .stands_in = !exact};
  }
  if (chosen) {
    return fail(Errc::kNotFound, "{} is configured as {}, which is no executable of that version", runtime.runtime,
                configured->second);
  }
  return fail(Errc::kNotFound, "no interpreter for {} was found: {}", runtime.runtime, hint_for(runtime));
}

}  // namespace lambdad::execution
