#include "execution/runtimes.h"

#include <algorithm>

#include "base/json.h"
#include "execution/bytecode.h"

namespace lambdad::execution {

namespace {

constexpr Duration kCompilePatience = 60s;
constexpr std::string_view kJavaClient = "aws-lambda-java-runtime-interface-client-";

}  // namespace

std::string_view runtime_family(std::string_view runtime) {
  const KnownRuntime* known = known_runtime(runtime);
  return known == nullptr ? std::string_view{} : known->family;
}

RuntimeCatalog::RuntimeCatalog(Files& files, Processes& processes, Options options)
    : files_(files),
      processes_(processes),
      options_(std::move(options)),
      finder_(files, processes, {.configured = options_.configured, .home = options_.home}) {}

void RuntimeCatalog::load_cache() {
  if (std::exchange(cache_loaded_, true)) return;
  auto text = files_.read(options_.cache_file);
  if (!text) return;
  auto document = json::parse(*text);
  if (!document || document->if_object() == nullptr) return;  // a damaged cache is made anew
  InterpreterFinder::Versions versions;
  for (const auto& [key, value] : *document->if_object()) {
    if (const auto* version = value.if_string()) versions[key] = *version;
  }
  finder_.learn(versions);
}

Result<void> RuntimeCatalog::has_client(const KnownRuntime& runtime) const {
  if (runtime.family != "java") return {};
  const std::string directory = options_.directory + "/java";
  if (auto names = files_.list(directory + "/lib")) {
    if (std::ranges::any_of(*names, [](const std::string& name) { return name.starts_with(kJavaClient); })) return {};
  }
  return fail(Errc::kNotFound, "AWS's runtime client for Java is missing: run tools/install-runtime-sdks java {}",
              directory);
}

Result<Interpreter> RuntimeCatalog::find(std::string_view runtime) {
  const KnownRuntime* known = known_runtime(runtime);
  if (known == nullptr) return fail(Errc::kInvalid, "lambdad does not run {}", runtime);
  if (known->family == "provided") return Interpreter{};
  if (auto hit = found_.find(runtime); hit != found_.end() && processes_.stamp_executable(hit->second.path)) {
    return hit->second;
  }
  load_cache();
  auto found = finder_.find(*known);
  if (!found) return found;
  LD_TRY_VOID(has_client(*known));
  found_[std::string(runtime)] = *found;
  return found;
}

std::string RuntimeCatalog::remark(const KnownRuntime& runtime, const Interpreter& interpreter) const {
  if (interpreter.stands_in) {
    return fmt::format("stands in for {} {}, as --runtime asks", runtime.family, runtime.version);
  }
  if (runtime.family == "nodejs" && !files_.exists(options_.directory + "/nodejs/node_modules/.lambdad-sdk")) {
    return fmt::format("without the AWS SDK; to add it: tools/install-runtime-sdks {}/nodejs", options_.directory);
  }
  return "";
}

std::vector<RuntimeCatalog::Listed> RuntimeCatalog::list() {
  std::vector<Listed> all;
  for (const KnownRuntime& known : known_runtimes()) {
    Listed listed{.runtime = std::string(known.runtime), .interpreter = {}, .hint = {}};
    if (auto found = find(known.runtime)) {
      listed.hint = remark(known, *found);
      listed.interpreter = std::move(*found);
    } else {
      listed.hint = found.error().detail;
    }
    all.push_back(std::move(listed));
  }
  return all;
}

Async<void> RuntimeCatalog::prepare(WorkerPool& workers) {
  load_cache();
  auto learned =
      co_await workers.run([finder = finder_, &files = files_, &processes = processes_,
                            python = options_.directory + "/python", cache_file = options_.cache_file]() mutable {
        const std::size_t known_before = finder.versions().size();
        std::map<std::string, std::string> pythons;  // path -> version
        for (const KnownRuntime& known : known_runtimes()) {
          if (known.family == "provided") continue;
          auto found = finder.find(known);
          if (found && known.family == "python") pythons[found->path] = found->version;
        }
        for (const auto& [path, version] : pythons) {
          if (bytecode_is_current(files, python, version)) continue;
          (void)processes.capture({path, "-m", "compileall", "-q", python}, kCompilePatience);
        }
        if (finder.versions().size() != known_before) {
          json::Object object;
          for (const auto& [key, version] : finder.versions()) object.append(key, json::Value(version));
          // Only a cache: when it cannot be written, the next start asks again.
          (void)files.write_durably(cache_file, json::serialize_pretty(json::Value(std::move(object))));
        }
        return finder.versions();
      });
  finder_.learn(learned);
}

}  // namespace lambdad::execution
