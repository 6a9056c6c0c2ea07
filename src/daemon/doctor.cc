#include <cstdio>

#include <fmt/format.h>

#include "base/json.h"
#include "daemon/options.h"
#include "observe/log.h"
#include "sandbox/sandbox.h"
#include "system/environment.h"
#include "system/files.h"

namespace lambdad::daemon {

namespace {

struct Fact {
  const char* name;
  bool holds;
  std::string otherwise;  // what to do when it does not and nothing is wrong with that
};

void print_json(const std::vector<Fact>& facts, const sandbox::Capabilities& found) {
  json::Object document;
  for (const Fact& fact : facts) document.append(fact.name, json::Value(fact.holds));
  document.append("internet_hint", json::Value(found.internet_hint));
  document.append("cgroups", json::Value(found.cgroup_mode));
  json::Array missing;
  for (const auto& text : found.missing) missing.emplace_back(text);
  document.append("missing", json::Value(std::move(missing)));
  fmt::print("{}\n", json::serialize_pretty(json::Value(std::move(document))));
}

void print_text(const std::vector<Fact>& facts, const sandbox::Capabilities& found) {
  for (const Fact& fact : facts) {
    fmt::print("{:<13} {}{}\n", fact.name, fact.holds ? "yes" : "no",
               fact.holds || fact.otherwise.empty() ? "" : ": " + fact.otherwise);
  }
  fmt::print("{:<13} {}\n", "cgroups", found.cgroup_mode);
  for (const auto& text : found.missing) fmt::print("missing: {}\n", text);
}

Async<int> look(sandbox::SandboxFactory* factory, bool as_json) {
  auto found = co_await factory->capabilities();
  co_await factory->stop();
  if (!found) {
    fmt::print(stderr, "lambdad: {}\n", found.error().detail);
    co_return 1;
  }
  const std::vector<Fact> facts{{"namespaces", found->namespaces, {}},
                                {"seccomp", found->seccomp, {}},
                                {"memory_limit", found->memory_limit, {}},
                                {"pids_limit", found->pids_limit, {}},
                                {"cpu_limit", found->cpu_limit, {}},
                                {"freezer", found->freezer, {}},
                                {"internet", found->internet, found->internet_hint}};
  as_json ? print_json(facts, *found) : print_text(facts, *found);
  co_return found->missing.empty() ? 0 : 1;
}

}  // namespace

int doctor(const ServeOptions& options, bool as_json) {
  auto give_up = [](std::string_view what) {
    fmt::print(stderr, "lambdad: {}\n", what);
    return 1;
  };
  auto directory = make_temporary_directory("lambdad-doctor-");
  if (!directory) return give_up("cannot make a temporary directory");
  const sandbox::SandboxFactory::Options asked{.isolation = options.isolation, .state_directory = *directory};
  auto keeper = sandbox::SandboxFactory::start_keeper(asked);
  if (!keeper) return give_up(keeper.error().detail);
  Loop loop;
  Logger log(2, LogFormat::kText, LogLevel::kWarn);
  sandbox::SandboxFactory sandboxes(loop, log, std::move(*keeper), asked);
  int status = 1;
  asio::co_spawn(loop, look(&sandboxes, as_json), [&](std::exception_ptr error, int result) {
    if (error) std::rethrow_exception(error);
    status = result;
    loop.stop();
  });
  loop.run();
  (void)RealFiles().remove_tree(*directory);
  return status;
}

}  // namespace lambdad::daemon
