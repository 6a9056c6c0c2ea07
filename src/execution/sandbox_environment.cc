#include "execution/sandbox_environment.h"

#include <cctype>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>

#include "base/json.h"

namespace lambdad::execution {

namespace {

// The runtime's own limits; the function's timeout is watched by the environment, not by the connection.
http::ServerLimits runtime_api_limits() {
  http::ServerLimits limits;
  limits.header_bytes_max = 2 * 1024 * 1024;  // Lambda-Runtime-Function-XRay-Error-Cause may have 1 MiB
  // Larger responses are refused by the Runtime API itself, which reads them as they come.
  limits.body_bytes_max = 4 * kResponseBytesMax;
  limits.body_limit = [](const http::Request& head) {
    return RuntimeApi::wants_arriving_body(head) ? std::numeric_limits<std::size_t>::max() : 4 * kResponseBytesMax;
  };
  limits.stream_body = RuntimeApi::wants_arriving_body;
  limits.connections_max = 128;
  limits.idle_timeout = Duration::zero();
  limits.body_timeout = 900s;
  limits.write_timeout = 900s;
  return limits;
}

http::ServerLimits endpoint_limits() {
  http::ServerLimits limits;
  limits.body_bytes_max = 16 * 1024 * 1024;
  limits.connections_max = 1024;
  limits.idle_timeout = Duration::zero();  // a frozen function keeps its connections
  return limits;
}

// A process that dies closes its connections before its end is known: how long that end is waited for, because it is
// what the caller should hear.
constexpr Duration kExitPatience = 200ms;

std::string milliseconds(Duration d) { return fmt::format("{:.2f} ms", to_seconds(d) * 1000); }

std::int64_t billed_ms(Duration d) { return static_cast<std::int64_t>(std::ceil(to_seconds(d) * 1000)); }

std::string error_document(std::string_view type, std::string_view request_id, std::string_view what) {
  json::Object object;
  object.append("errorType", json::Value(type));
  object.append("errorMessage", json::Value(fmt::format("RequestId: {} Error: {}", request_id, what)));
  return json::serialize(json::Value(std::move(object)));
}

}  // namespace

SandboxEnvironment::SandboxEnvironment(EnvironmentDeps deps, ports::FunctionVersionPtr function, std::string id)
    : deps_(std::move(deps)),
      function_(std::move(function)),
      id_(std::move(id)),
      api_(deps_.system.loop),
      tasks_(deps_.system.loop),
      deadline_set_(deps_.system.loop) {
  api_.on_ready([this] { tell_if_available(); });
}

SandboxEnvironment::~SandboxEnvironment() = default;

void SandboxEnvironment::tell_if_available() {
  if (on_available_ && available()) on_available_();
}

Async<Result<std::shared_ptr<SandboxEnvironment>>> SandboxEnvironment::create(EnvironmentDeps deps,
                                                                              ports::FunctionVersionPtr function) {
  LD_CO_TRY(auto interpreter, deps.runtimes.find(function->runtime));
  auto code = co_await deps.code_directory(function);
  if (!code) co_return fail_with(code.error(), "unpacking the package");

  const std::string id = deps.system.random.hex(32);
  std::shared_ptr<SandboxEnvironment> environment(new SandboxEnvironment(deps, function, id));
  environment->interpreter_ = interpreter;
  environment->code_ = std::move(*code);

  sandbox::SandboxSpec spec;
  spec.name = "env-" + id;
  spec.mounts = make_mounts(*function, interpreter, environment->code_.path, deps.runtimes.directory());
  if (!environment->code_.opt_path.empty()) spec.mounts.push_back({environment->code_.opt_path, "/opt"});
  spec.links = make_links(*function);
  spec.memory_bytes = static_cast<std::uint64_t>(function->memory_mb) * 1024 * 1024;
  spec.tmp_bytes = static_cast<std::uint64_t>(function->ephemeral_storage_mb) * 1024 * 1024;
  spec.endpoint_port = deps.endpoint_port();
  if (spec.endpoint_port == spec.runtime_api_port) ++spec.runtime_api_port;
  if (deps.limit_cpu) spec.cpu_millis = cpu_millis_of(function->memory_mb);
  auto policy = network_policy_of(*function, deps.network);
  spec.network = policy.value_or(sandbox::NetworkPolicy::kNone);
  auto sandbox = co_await deps.sandboxes.create(spec);
  if (!policy || (!sandbox && spec.network == sandbox::NetworkPolicy::kInternet)) {
    // The function's author learns why from an invocation; the sandbox is only there to be an environment.
    environment->network_refusal_ = policy ? sandbox.error().detail : policy.error().detail;
    spec.network = sandbox::NetworkPolicy::kNone;
    if (!sandbox) sandbox = co_await deps.sandboxes.create(spec);
  }
  if (!sandbox) co_return fail_with(sandbox.error(), "making a sandbox");
  environment->sandbox_ = std::move(*sandbox);

  environment->log_ = std::make_unique<FunctionLog>(
      deps.system.loop, deps.system.clock, deps.logs, function,
      fmt::format("{}/[{}]{}", format_date_slashes(deps.system.clock.wall()), function->version, id));

  SandboxEnvironment* self = environment.get();
  environment->runtime_server_ =
      std::make_unique<http::Server>(deps.system.loop, deps.system.host_clock, runtime_api_limits(),
                                     [self](http::Request request) { return self->api_.handle(std::move(request)); });
  environment->endpoint_server_ =
      std::make_unique<http::Server>(deps.system.loop, deps.system.host_clock, endpoint_limits(), deps.aws_endpoint);
  auto runtime_listening = environment->runtime_server_->adopt(environment->sandbox_->take_runtime_api_listener());
  Result<void> endpoint_listening;
  if (auto listener = environment->sandbox_->take_endpoint_listener()) {
    endpoint_listening = environment->endpoint_server_->adopt(std::move(listener));
  } else {
    environment->endpoint_closed_ = true;
  }
  environment->tasks_.spawn("environment deadline", self->watch_deadline());
  if (!runtime_listening || !endpoint_listening) {
    co_await environment->shutdown();
    co_return fail(Errc::kUnavailable, "the sandbox's planted sockets cannot be served");
  }
  co_return environment;
}

bool SandboxEnvironment::available() const {
  return !busy_ && (!initialised_ || api_.state() == RuntimeApi::State::kReady) && sandbox_ != nullptr;
}

bool SandboxEnvironment::settling() const {
  return !busy_ && initialised_ && api_.state() == RuntimeApi::State::kResponded && !exit_;
}

// --- the process ----------------------------------------------------------------------------------------------------

Async<std::optional<RuntimeApi::Answer>> SandboxEnvironment::start_process(std::string request_id) {
  EnvironmentFacts facts;
  facts.log_stream = log_->stream();
  facts.runtime_api = sandbox_->runtime_api_address();
  if (!endpoint_closed_) facts.aws_endpoint = "http://" + sandbox_->endpoint_address();
  // With a 12-digit access key a request is served in that account.
  facts.access_key_id = function_->account;
  facts.secret_access_key = deps_.system.random.hex(40);
  facts.session_token = deps_.system.random.hex(64);
  facts.initialization_type = function_->initialization_type;
  if (!code_.opt_path.empty() && !deps_.system.files.exists(code_.path + "/bootstrap"))
    facts.bootstrap = "/opt/bootstrap";

  auto spec = make_process_spec(*function_, interpreter_, facts);
  RuntimeApi::Answer failure{.is_error = true};
  if (!spec) {
    failure.error_type = "Runtime.InvalidRuntime";
    failure.payload = error_document(failure.error_type, request_id, spec.error().detail);
    co_return failure;
  }
  if (!network_refusal_.empty()) {
    failure.error_type = "Sandbox.NetworkUnavailable";
    failure.payload = error_document(failure.error_type, request_id, network_refusal_);
    co_return failure;
  }
  api_.reset();
  exit_.reset();
  initialised_ = false;
  log_->platform(fmt::format("INIT_START Runtime Version: {}\tRuntime Version ARN: arn:aws:lambda:{}::runtime:lambdad",
                             interpreter_.version.empty()
                                 ? function_->runtime
                                 : fmt::format("{}:{}", runtime_family(function_->runtime), interpreter_.version),
                             function_->region));
  sandbox_->set_cpu_phase(sandbox::CpuPhase::kInit);
  auto started = co_await sandbox_->start(std::move(*spec));
  if (!started) {
    deps_.log.debug("runtime_start_failed", {{"function", function_->name}, {"reason", started.error().detail}});
    failure.error_type = "Runtime.InvalidEntrypoint";
    failure.payload = error_document(failure.error_type, request_id,
                                     runtime_family(function_->runtime) == "provided"
                                         ? "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
                                         : "Couldn't start the runtime");
    co_return failure;
  }
  process_ = std::move(*started);
  frozen_ = false;
  log_->attach(process_->take_output());
  tasks_.spawn("environment process", watch_exit(process_));
  co_return std::nullopt;
}

Async<void> SandboxEnvironment::watch_exit(std::shared_ptr<sandbox::Process> process) {
  const sandbox::ProcessExit exit = co_await process->wait_exit();
  if (process != process_) co_return;
  exit_ = exit;
  log_->detach();
  if (!busy_) {
    // Ended between invocations: the next one starts a new process.
    initialised_ = false;
    process_.reset();
    api_.reset();
    tell_if_available();
  }
  api_.changed().notify_all();
}

Async<void> SandboxEnvironment::kill_process() {
  initialised_ = false;
  api_.abandon();
  if (!process_) co_return;
  auto process = process_;
  if (frozen_) sandbox_->thaw();
  frozen_ = false;
  process->kill();
  co_await process->wait_exit();
  log_->detach();
  if (process == process_) process_.reset();
}

RuntimeApi::Answer SandboxEnvironment::exit_answer(std::string_view request_id) const {
  RuntimeApi::Answer answer{.is_error = true, .error_type = "Runtime.ExitError"};
  std::string what = "Runtime exited without providing a reason";
  if (exit_->out_of_memory) answer.error_type = "Runtime.OutOfMemory";
  if (exit_->signal != 0) {
    std::string name = ::strsignal(exit_->signal);
    if (!name.empty()) name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
    what = fmt::format("Runtime exited with error: signal: {}", name);
  } else if (exit_->exit_code != 0) {
    what = fmt::format("Runtime exited with error: exit status {}", exit_->exit_code);
  }
  answer.payload = error_document(answer.error_type, request_id, what);
  return answer;
}

// --- deadlines ------------------------------------------------------------------------------------------------------

void SandboxEnvironment::set_deadline(MonoTime when) {
  deadline_ = when;
  deadline_set_.notify_all();
}

bool SandboxEnvironment::timed_out() const { return deadline_ && deps_.system.host_clock.mono() >= *deadline_; }

// One sleeper per environment for the function's timeout. All such deadlines lie equally far ahead, so that a newer one
// never comes before the one being slept for, and a warm invocation costs no timer. Init's other limit: wake_at().
Async<void> SandboxEnvironment::watch_deadline() {
  for (;;) {
    if (!deadline_) {
      co_await deadline_set_.wait();
      continue;
    }
    co_await deps_.system.host_clock.sleep_until(*deadline_);
    if (timed_out()) {
      api_.changed().notify_all();
      // Whoever waits for the deadline clears it; do not spin until then.
      co_await deadline_set_.wait();
    }
  }
}

Async<void> SandboxEnvironment::wait_for_exit(Duration patience) {
  const MonoTime limit = deps_.system.host_clock.mono() + patience;
  tasks_.spawn("environment exit", wake_at(limit));
  while (!exit_ && deps_.system.host_clock.mono() < limit) co_await api_.changed().wait();
}

Async<void> SandboxEnvironment::wake_at(MonoTime when) {
  co_await deps_.system.host_clock.sleep_until(when);
  api_.changed().notify_all();
}

// --- Init and Invoke ------------------------------------------------------------------------------------------------

Async<void> SandboxEnvironment::initialise() {
  LD_CHECK(!busy_ && !process_, "initialise() of an environment that runs");
  busy_ = true;
  const MonoTime begin = deps_.system.host_clock.mono();
  const bool ahead = function_->initialization_type != "on-demand";
  const MonoTime limit = begin + (ahead ? std::max<Duration>(kProvisionedInitLimit, function_->timeout) : kInitLimit);
  tasks_.spawn("environment init limit", wake_at(limit));
  InitResult result;
  if (auto failure = co_await start_process("")) {
    result = {InitResult::Status::kError, failure->error_type};
  } else {
    while (api_.state() == RuntimeApi::State::kStarted && !exit_ && deps_.system.host_clock.mono() < limit) {
      co_await api_.changed().wait();
    }
    if (api_.state() == RuntimeApi::State::kReady) {
      sandbox_->set_cpu_phase(sandbox::CpuPhase::kInvoke);
      initialised_ = true;
      init_duration_ = deps_.system.host_clock.mono() - begin;
    } else if (api_.init_error()) {
      result = {InitResult::Status::kError, api_.init_error()->error_type};
    } else if (exit_) {
      result = {InitResult::Status::kError, exit_answer("").error_type};
    } else {
      result = {InitResult::Status::kTimeout, ""};
    }
  }
  const Duration took = deps_.system.host_clock.mono() - begin;
  if (result.status != InitResult::Status::kSuccess) {
    co_await kill_process();
    log_->platform(fmt::format("INIT_REPORT Init Duration: {}\tPhase: init\tStatus: {}", milliseconds(took),
                               result.status == InitResult::Status::kTimeout
                                   ? std::string("timeout")
                                   : fmt::format("error\tError Type: {}", result.error_type)));
  }
  busy_ = false;
  api_.changed().notify_all();
}

Async<ports::InvocationOutcome> SandboxEnvironment::invoke(ports::InvocationRequest request) {
  LD_CHECK(available(), "invoke() of an environment that is not available");
  busy_ = true;
  Clock& host = deps_.system.host_clock;
  const MonoTime begin = host.mono();
  set_deadline(begin + function_->timeout);
  log_->drain();  // what background threads printed since the last invocation belongs before START
  if (request.want_log_tail) log_->begin_tail();
  log_->platform(fmt::format("START RequestId: {} Version: {}", request.request_id, function_->version));

  std::optional<RuntimeApi::Answer> answer;
  const bool suppressed_init = !initialised_;
  if (suppressed_init) {
    answer = co_await start_process(request.request_id);
  } else if (frozen_) {
    sandbox_->thaw();
    frozen_ = false;
  }
  bool timeout = false;
  bool runtime_lives = false;
  if (!answer) {
    NextInvocation next;
    next.request_id = request.request_id;
    next.payload = request.payload.empty() ? "{}" : std::move(request.payload);
    next.deadline_epoch_ms = to_epoch_ms(deps_.system.clock.wall() + function_->timeout);
    next.invoked_function_arn = request.function.arn().str();
    next.trace_id = request.trace_header;
    next.client_context = std::move(request.client_context);
    next.sink = std::move(request.sink);
    next.executed_version = function_->version;
    api_.offer(std::move(next));
    for (;;) {
      if (api_.state() != RuntimeApi::State::kStarted) sandbox_->set_cpu_phase(sandbox::CpuPhase::kInvoke);
      if ((answer = api_.take_answer())) {
        if (answer->cut_off) co_await wait_for_exit(kExitPatience);
        runtime_lives = !answer->cut_off || !exit_;
        if (!runtime_lives) answer = exit_answer(request.request_id);
        break;
      }
      if (api_.init_error()) {
        answer = api_.init_error();
        break;
      }
      if (exit_) {
        answer = exit_answer(request.request_id);
        break;
      }
      if ((timeout = timed_out())) break;
      co_await api_.changed().wait();
    }
  }
  if (!runtime_lives) api_.abandon();  // the sink takes nothing after the outcome
  const Duration took = host.mono() - begin;
  deadline_.reset();
  deadline_set_.notify_all();

  if (runtime_lives) {
    initialised_ = true;
    log_->drain();
    if (exit_) co_await kill_process();  // it answered and ended
  } else {
    // Timeout, exit or init error: this process will not be used again.
    co_await kill_process();
  }
  if (timeout) {
    answer = RuntimeApi::Answer{.is_error = true, .error_type = "Sandbox.Timedout"};
    answer->payload =
        error_document(answer->error_type, request.request_id,
                       fmt::format("Task timed out after {:.2f} seconds", to_seconds(function_->timeout)));
  }

  // REPORT: a handler's own error is not a failure of the platform and leaves no Status.
  const Duration init = suppressed_init ? Duration::zero() : init_duration_.value_or(Duration::zero());
  std::string report = fmt::format(
      "REPORT RequestId: {}\tDuration: {}\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
      request.request_id, milliseconds(took), billed_ms(took + init), function_->memory_mb,
      (sandbox_->memory_peak_bytes() + 1024 * 1024 - 1) / (1024 * 1024));
  if (init_duration_ && !suppressed_init) report += fmt::format("Init Duration: {}\t", milliseconds(*init_duration_));
  if (timeout) {
    report += "Status: timeout";
  } else if (!runtime_lives) {
    report += fmt::format("Status: error\tError Type: {}", answer->error_type);
  }
  init_duration_.reset();
  log_->platform(fmt::format("END RequestId: {}", request.request_id));
  log_->platform(std::move(report));

  ports::InvocationOutcome outcome;
  outcome.kind =
      answer->is_error ? ports::InvocationOutcome::Kind::kFunctionError : ports::InvocationOutcome::Kind::kSuccess;
  outcome.payload = std::move(answer->payload);
  if (answer->is_error) outcome.error_type = shown_error_type(answer->error_type);
  outcome.content_type = std::move(answer->content_type);
  outcome.executed_version = function_->version;
  if (request.want_log_tail) outcome.log_tail = log_->take_tail();
  busy_ = false;
  co_return outcome;
}

void SandboxEnvironment::freeze() {
  if (frozen_ || busy_ || !process_ || exit_) return;
  sandbox_->freeze();
  frozen_ = true;
}

Async<void> SandboxEnvironment::shutdown() {
  busy_ = true;
  // Without extensions the budget of the Shutdown phase is 0 ms: SIGKILL at once.
  // Source: Lambda Developer Guide, "Lambda runtime environment lifecycle", Shutdown phase.
  co_await kill_process();
  api_.reset();
  co_await tasks_.stop();
  co_await runtime_server_->stop(Duration::zero());
  co_await endpoint_server_->stop(Duration::zero());
  if (sandbox_) co_await sandbox_->destroy();
  sandbox_.reset();
}

}  // namespace lambdad::execution
