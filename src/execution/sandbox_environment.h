#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "execution/environment.h"
#include "execution/extensions_api.h"
#include "execution/function_log.h"
#include "execution/otlp_exporter.h"
#include "execution/platform_log.h"
#include "execution/process_spec.h"
#include "execution/programs.h"
#include "execution/runtime_api.h"
#include "execution/runtimes.h"
#include "execution/spares.h"
#include "execution/telemetry.h"
#include "http/server.h"
#include "observe/log.h"
#include "ports/credentials.h"
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
  std::string path;                   ///< of an image: the whole root
  std::string opt_path;               ///< shown at /opt; empty: no layers
  std::optional<ImageProcess> image;  ///< for PackageType Image
  std::shared_ptr<const void> hold;
};

/// What environments are made with. Everything outlives every environment.
struct EnvironmentDeps {
  System& system;
  Logger& log;
  ports::FunctionLogSink& logs;
  std::function<Async<Result<std::unique_ptr<sandbox::Sandbox>>>(sandbox::SandboxSpec)> make_sandbox;
  RuntimeCatalog& runtimes;
  /// The unpacked package of a version; may unpack first.
  std::function<Async<Result<CodeDirectory>>(ports::FunctionVersionPtr)> code_directory;
  /// Serves what the function sends to AWS_ENDPOINT_URL.
  http::Server::Handler aws_endpoint;
  /// Credentials of the execution role for a new process. Unset: the account's number as access key, which stands for
  /// the account where signatures are not verified.
  std::function<ports::RoleCredentials(const ports::FunctionVersion&)> credentials;
  /// Takes sampled invocations; unset: nobody wants them.
  std::function<void(InvocationTrace)> traces;
  /// The port of AWS_ENDPOINT_URL inside: the daemon's own, so that URLs it gave out (a queue's) are good inside too.
  std::function<std::uint16_t()> endpoint_port;
  /// For functions that do not choose with LAMBDAD_NETWORK.
  sandbox::NetworkPolicy network = sandbox::NetworkPolicy::kEndpointOnly;
  /// Hold invocations to the CPU share of their memory size.
  bool limit_cpu = true;
  SparePool* spares = nullptr;  ///< none: every environment starts a process
};

/// The sandbox of a function of this runtime, as far as it does not depend on the function.
sandbox::SandboxSpec runtime_sandbox_spec(const EnvironmentDeps& deps, const std::string& runtime,
                                          const Interpreter& interpreter);

/// An environment in a sandbox, with a runtime that talks the Runtime API and extensions that talk theirs.
///
/// Init starts the external extensions, waits until each has registered, starts the runtime, and ends when runtime and
/// extensions have called next. The invoker gets its answer when the runtime has given it. The environment is available
/// again when the extensions that subscribed to INVOKE have called next too; they share the function's timeout, and END
/// and REPORT come after them. An invocation that wants the log's tail waits for its REPORT.
///
/// The credentials of the execution role are in the environment variables of a process, so that they are renewed by
/// starting it anew: before an invocation that they would not outlast.
///
/// A timeout, the end of a program and an init error reset the environment: all programs go through the Shutdown phase
/// (Programs::end), and the next invocation starts new ones in the same sandbox, so that /tmp stays.
/// Source: Lambda Developer Guide, "Lambda runtime environment lifecycle".
///
/// Ownership: owns sandbox, programs, log and the servers on the planted sockets. Threading: the loop only.
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

  /// Serves what programs inside send to AWS_LAMBDA_RUNTIME_API.
  Async<http::Response> serve(http::Request request);

 private:
  SandboxEnvironment(EnvironmentDeps deps, ports::FunctionVersionPtr function, std::string id);

  struct InitResult {
    RunStatus status = RunStatus::kSuccess;
    RuntimeApi::Answer failure;  ///< for the invoker, unless success or timeout
  };
  /// An invocation from its start to its REPORT.
  struct Running {
    std::string request_id;
    std::string trace_header;
    MonoTime accepted{};
    MonoTime begin{};
    WallTime begin_wall{};
    MonoTime answered{};
    MonoTime ended{};
    std::optional<Duration> init_duration;
    MonoTime init_begin{};
    RunStatus status = RunStatus::kSuccess;
    std::string error_type;
    std::size_t produced_bytes = 0;
    bool reset = false;            ///< the processes will not be used again
    bool platform_failed = false;  ///< not the handler
  };

  static Async<Result<std::unique_ptr<sandbox::Sandbox>>> make_or_take_sandbox(
      std::shared_ptr<SandboxEnvironment> environment, sandbox::SandboxSpec spec);
  void connect_parts();
  EnvironmentFacts facts() const;
  ports::RoleCredentials new_credentials() const;
  /// Whether the role's credentials last for an invocation of the greatest length.
  bool credentials_last() const;
  void follow_printed_lines();
  /// Starts the programs and waits until all are ready. What was started stays for Programs::end after a failure.
  Async<InitResult> run_init(InitPhase phase, MonoTime limit, std::string request_id);
  Async<void> start_programs(MonoTime limit);
  bool all_ready() const;
  RuntimeApi::Answer fault_answer(const Fault& fault, std::string_view request_id) const;

  /// Waits for the extensions' part of an invocation.
  Async<void> wait_for_extensions(Running& running);
  void report(const Running& running);
  std::uint64_t memory_peak(Duration took);
  void trace(const Running& running) const;
  Async<void> conclude(Running running);
  Async<void> reset(ShutdownReason reason);
  Async<void> end_programs(ShutdownReason reason);
  void program_died();
  Async<void> flush_and_freeze();

  Async<void> watch_deadline();
  Async<void> wake_at(MonoTime when);
  Async<http::Response> subscribe(http::Request request);
  void tell_if_available();
  Async<void> wait_for_exit(Duration patience);
  void set_deadline(MonoTime when);
  void clear_deadline();
  bool timed_out() const;

  EnvironmentDeps deps_;
  ports::FunctionVersionPtr function_;
  std::string id_;
  Interpreter interpreter_;
  CodeDirectory code_;
  std::vector<std::string> external_extensions_;
  ports::RoleCredentials credentials_;  ///< of the programs that run
  std::unique_ptr<sandbox::Sandbox> sandbox_;
  std::optional<SparePool::Assigned> spare_;  ///< its process becomes the first runtime; its sandbox is sandbox_
  bool endpoint_closed_ = false;              ///< NetworkPolicy::kNone
  std::string network_refusal_;  ///< the network asked for cannot be had, in words: nothing is started without it
  std::unique_ptr<FunctionLog> log_;
  RuntimeApi api_;
  ExtensionsApi extensions_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<PlatformLog> platform_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<http::Server> runtime_server_;
  std::unique_ptr<http::Server> endpoint_server_;
  std::function<void()> on_available_;
  TaskGroup tasks_;
  Notifier deadline_set_;
  std::optional<MonoTime> deadline_;  ///< host_clock
  bool initialised_ = false;          ///< the runtime and every extension have called next
  bool busy_ = false;                 ///< initialising, invoking, concluding or being reset
  bool concluding_ = false;           ///< the invoker has its answer, and busy_ is still true
  bool freezing_ = false;
  std::uint64_t memory_peak_bytes_ = 0;
  MonoTime memory_read_{};
  MonoTime init_begin_{};
  std::optional<Duration> init_duration_;  ///< of the last successful Init, until it was reported
};

}  // namespace lambdad::execution
