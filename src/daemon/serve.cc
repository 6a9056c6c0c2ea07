#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include "access/root_key.h"
#include "base/json.h"
#include "daemon/options.h"
#include "daemon/wiring.h"
#include "execution/runtimes.h"
#include "system/clock.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/processes.h"

namespace lambdad::daemon {

namespace {

constexpr Duration kGrace = 10s;
// Functions may run for 15 minutes. What still runs this long after the grace is given up, as by a crash: nothing that
// was accepted is lost.
constexpr Duration kStopLimit = 30s;

int give_up(std::string_view what, int status = 1) {
  fmt::print(stderr, "lambdad: {}\n", what);
  return status;
}

bool is_loopback(const std::string& listen) { return listen.starts_with("127.") || listen.starts_with("[::1]:"); }

Async<void> end_hard(Daemon* daemon, Loop* loop) {
  RealClock clock(*loop);
  co_await clock.sleep_for(kStopLimit);
  daemon->log().warn("stop_given_up", {{"what", "functions still run; their events and messages run again"}});
  std::_Exit(0);  // the keeper ends every sandbox when this process is gone
}

// Runs until a signal asks it to end; the second signal ends it at once.
Async<int> run(Daemon* daemon, Loop* loop, std::string root_key) {
  if (auto started = co_await daemon->start(); !started) {
    fmt::print(stderr, "lambdad: {}\n", started.error().detail);
    co_await daemon->stop(Duration::zero());
    co_return 1;
  }
  if (!root_key.empty()) fmt::print("Root's access key: {} (or run `lambdad credentials`)\n", root_key);
  fmt::print("Listening on http://{}\nReady.\n", daemon->address());
  std::fflush(stdout);
  asio::signal_set signals(*loop, SIGINT, SIGTERM);
  const int signal = co_await signals.async_wait(use_async);
  daemon->log().info("stopping", {{"signal", signal}});
  signals.clear();
  std::signal(signal, SIG_DFL);
  TaskGroup limit(*loop);
  limit.spawn("stop limit", end_hard(daemon, loop));
  co_await daemon->stop(kGrace);
  co_await limit.stop();
  co_return 0;
}

}  // namespace

std::string default_data_directory() {
  if (is_superuser()) return "/var/lib/lambdad";
  if (auto state = environment_variable("XDG_STATE_HOME"); state && !state->empty()) return *state + "/lambdad";
  return home_directory() + "/.local/state/lambdad";
}

Result<std::string> find_runtimes_directory() {
  RealFiles files;
  const std::string beside = program_directory();
  for (const std::string& candidate : {beside + "/runtimes", beside + "/../share/lambdad/runtimes"}) {
    if (files.exists(candidate + "/python/bootstrap.py")) return candidate;
  }
  return fail(Errc::kNotFound, "no runtimes directory beside {}: name it with --runtimes-dir", beside);
}

std::string root_key_path(const std::string& data_directory) { return data_directory + "/credentials"; }

int credentials(const ServeOptions& options, bool as_json) {
  RealFiles files;
  const std::string path = root_key_path(options.data);
  auto key = access::read_root_key(files, path);
  if (!key) return give_up(key.error().detail);
  if (!*key) {
    return give_up(
        fmt::format("{} is not there: start `lambdad serve --auth verify` or enforce once, or name the "
                    "daemon's directory with --data",
                    path));
  }
  if (as_json) {
    fmt::print("{}\n", json::serialize_pretty(json::Object{{"Version", 1},
                                                           {"AccessKeyId", (*key)->access_key_id},
                                                           {"SecretAccessKey", (*key)->secret_access_key}}));
  } else {
    fmt::print("export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n", (*key)->access_key_id,
               (*key)->secret_access_key);
  }
  return 0;
}

int serve(const ServeOptions& asked) {
  ServeOptions options = asked;
  if (!is_loopback(options.listen) && !options.public_listen && options.auth == access::Mode::kOff) {
    return give_up(
        fmt::format("{} can be reached from other machines, and callers are not authenticated: every one of "
                    "them could run code here. Choose --auth verify or enforce, or add --public-listen if that is what "
                    "you want.",
                    options.listen));
  }
  if (options.runtimes_directory.empty()) {
    auto found = find_runtimes_directory();
    if (!found) return give_up(found.error().detail);
    options.runtimes_directory = *found;
  }
  // Sandboxes are made by another process and see these from their own root.
  options.runtimes_directory = absolute_path(options.runtimes_directory);
  options.data = absolute_path(options.data);
  for (auto& [runtime, interpreter] : options.runtimes) interpreter = absolute_path(interpreter);
  RealFiles files;
  if (options.ephemeral) {
    auto directory = make_temporary_directory("lambdad-");
    if (!directory) return give_up("cannot make a temporary directory");
    options.data = *directory;
  } else if (auto made = files.make_directories(options.data); !made) {
    return give_up(fmt::format("cannot use {}: {}. Choose another with --data.", options.data, made.error().detail));
  }
  // Before the keeper, which removes what an earlier daemon on this directory left behind.
  auto lock = files.lock(options.data + "/lock");
  if (!lock) {
    return give_up(fmt::format("another lambdad uses {}: {}", options.data, lock.error().detail),
                   lock.error().code == Errc::kConflict ? 3 : 1);
  }
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);

  // Before any thread exists: the keeper is a fork of this process.
  auto keeper = sandbox::SandboxFactory::start_keeper(
      {.isolation = options.isolation, .state_directory = options.data + "/sandboxes"});
  if (!keeper) return give_up(keeper.error().detail);

  Loop loop;
  int status = 1;
  {
    auto daemon = Daemon::make(loop, options, std::move(*keeper));
    if (!daemon) return give_up(daemon.error().detail);
    std::string root_key = options.auth == access::Mode::kOff ? std::string() : root_key_path(options.data);
    asio::co_spawn(loop, run(daemon->get(), &loop, std::move(root_key)), [&](std::exception_ptr error, int result) {
      if (error) std::rethrow_exception(error);
      status = result;
      loop.stop();
    });
    loop.run();
  }
  if (options.ephemeral) (void)files.remove_tree(options.data);
  return status;
}

int list_runtimes(const ServeOptions& asked, bool as_json) {
  RealFiles files;
  RealProcesses processes;
  auto directory = asked.runtimes_directory.empty() ? find_runtimes_directory() : asked.runtimes_directory;
  if (!directory) return give_up(directory.error().detail);
  execution::RuntimeCatalog catalog(files, processes,
                                    {.directory = *directory,
                                     .cache_file = asked.data + "/runtimes.json",
                                     .configured = asked.runtimes,
                                     .home = home_directory()});
  json::Array rows;
  for (const auto& listed : catalog.list()) {
    if (as_json) {
      json::Object row;
      row.append("runtime", json::Value(listed.runtime));
      row.append("available", json::Value(listed.interpreter.has_value()));
      if (listed.interpreter) {
        row.append("interpreter", json::Value(listed.interpreter->path));
        row.append("version", json::Value(listed.interpreter->version));
      }
      if (!listed.hint.empty()) row.append("hint", json::Value(listed.hint));
      rows.emplace_back(std::move(row));
      continue;
    }
    std::string text;
    if (!listed.interpreter) {
      text = listed.hint;
    } else if (listed.interpreter->path.empty()) {
      text = "runs the package's own bootstrap";
    } else {
      text = fmt::format("{} ({})", listed.interpreter->path, listed.interpreter->version);
      if (!listed.hint.empty()) text += ", " + listed.hint;
    }
    fmt::print("{:<16} {:<4} {}\n", listed.runtime, listed.interpreter ? "yes" : "-", text);
  }
  if (as_json) fmt::print("{}\n", json::serialize_pretty(json::Value(std::move(rows))));
  return 0;
}

}  // namespace lambdad::daemon
