#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "execution/environment.h"
#include "execution/function_log.h"
#include "execution/process_spec.h"
#include "execution/runtime_api.h"
#include "execution/runtimes.h"
#include "http/server.h"
#include "observe/log.h"
#include "ports/functions.h"
#include "ports/logs.h"
#include "sandbox/sandbox.h"
#include "system/system.h"

namespace lambdad::execution {

/// Longest Init of an on-demand environment. Source: Lambda Developer Guide, "Lambda runtime environment lifecycle".
inline constexpr Duration kInitLimit = 10s;

/// Longest Init of an environment made ahead of invocations; the function's timeout when that is longer. Source: the
/// same page, provisioned concurrency.
inline constexpr Duration kProvisionedInitLimit = 130s;

/// Directories with a function's code and layers, there for as long as `hold` is.
struct CodeDirectory {
  std::string path;
  std::string opt_path;  ///< shown at /opt; empty: no layers
  std::shared_ptr<const void> hold;
};

/// What environments are made with. Everything outlives every environment.
struct EnvironmentDeps {
  System& system;
  Logger& log;
  ports::FunctionLogSink& logs;
  sandbox::SandboxFactory& sandboxes;
  RuntimeCatalog& runtimes;
  /// The unpacked package of a version; may unpack first.
  std::function<Async<Result<CodeDirectory>>(ports::FunctionVersionPtr)> code_directory;
  /// Serves what the function sends to AWS_ENDPOINT_URL.
  http::Server::Handler aws_endpoint;
  /// The port of AWS_ENDPOINT_URL inside: the daemon's own, so that URLs it gave out (a queue's) are good inside too.
  std::function<std::uint16_t()> endpoint_port;
  /// For functions that do not choose with LAMBDAD_NETWORK.
  sandbox::NetworkPolicy network = sandbox::NetworkPolicy::kEndpointOnly;
  /// Hold invocations to the CPU share of their memory size.
  bool limit_cpu = true;
};

/// An environment in a sandbox, with a runtime that talks the Runtime API.
///
/// Ownership: owns sandbox, process, log and the servers on the planted sockets. Threading: the loop only.
class SandboxEnvironment final : public Environment {
 public:
  /// Makes the sandbox; no process yet. kNotFound: no interpreter; kUnavailable, kDenied: no sandbox can be made.
  static Async<Result<std::shared_ptr<SandboxEnvironment>>> create(EnvironmentDeps deps,
                                                                   ports::FunctionVersionPtr function);
  ~SandboxEnvironment() override;

  Async<void> initialise() override;
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override;
  bool available() const override;
  bool initialised() const override { return initialised_; }
  bool settling() const override;
  void on_available(std::function<void()> callback) override { on_available_ = std::move(callback); }
  void freeze() override;
  Async<void> shutdown() override;
  const ports::FunctionVersionPtr& function() const override { return function_; }

 private:
  SandboxEnvironment(EnvironmentDeps deps, ports::FunctionVersionPtr function, std::string id);
  struct InitResult {
    enum class Status { kSuccess, kError, kTimeout } status = Status::kSuccess;
    std::string error_type;
  };
  /// Starts the runtime process; nullopt: it runs. Otherwise the error document for the invoker.
  Async<std::optional<RuntimeApi::Answer>> start_process(std::string request_id);
  Async<void> kill_process();
  Async<void> watch_exit(std::shared_ptr<sandbox::Process> process);
  Async<void> watch_deadline();
  Async<void> wake_at(MonoTime when);
  Async<void> wait_for_exit(Duration patience);
  RuntimeApi::Answer exit_answer(std::string_view request_id) const;
  void tell_if_available();
  void set_deadline(MonoTime when);
  bool timed_out() const;

  EnvironmentDeps deps_;
  ports::FunctionVersionPtr function_;
  std::string id_;
  Interpreter interpreter_;
  CodeDirectory code_;
  std::unique_ptr<sandbox::Sandbox> sandbox_;
  bool endpoint_closed_ = false;  ///< NetworkPolicy::kNone
  std::string network_refusal_;   ///< the network asked for cannot be had, in words: nothing is started without it
  std::shared_ptr<sandbox::Process> process_;
  std::optional<sandbox::ProcessExit> exit_;  ///< of process_, when it has ended
  std::unique_ptr<FunctionLog> log_;
  RuntimeApi api_;
  std::unique_ptr<http::Server> runtime_server_;
  std::unique_ptr<http::Server> endpoint_server_;
  std::function<void()> on_available_;
  TaskGroup tasks_;
  Notifier deadline_set_;
  std::optional<MonoTime> deadline_;  ///< host_clock
  bool initialised_ = false;          ///< the process has called next
  bool busy_ = false;
  bool frozen_ = false;
  std::optional<Duration> init_duration_;  ///< of the last successful Init, until it was reported
};

}  // namespace lambdad::execution
