#include "execution/sandbox_environment.h"

#include <cmath>
#include <limits>

#include "execution/api_error.h"
#include "execution/telemetry_transport.h"

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
// The greatest timeout of a function, and some time to start. Source: Lambda quotas.
constexpr Duration kLongestInvocation = 16min;
/// How long a freeze waits for telemetry on its way to extensions.
constexpr Duration kFlushBeforeFreeze = 100ms;

// Reading the peak is a system call that makes the kernel print a number: more than a short invocation costs otherwise.
// What can be touched within a millisecond does not change the megabytes that are shown, and is shown a little later.
constexpr Duration kLongForMemory = 1ms;
constexpr Duration kMemoryPeakAge = 100ms;

std::int64_t billed_ms(Duration d) { return static_cast<std::int64_t>(std::ceil(to_seconds(d) * 1000)); }

}  // namespace

SandboxEnvironment::SandboxEnvironment(EnvironmentDeps deps, ports::FunctionVersionPtr function, std::string id)
    : deps_(std::move(deps)),
      function_(std::move(function)),
      id_(std::move(id)),
      api_(deps_.system.loop),
      extensions_(deps_.system.loop, deps_.system.random,
                  {function_->name, function_->version, function_->handler, function_->account}, api_.changed()),
      tasks_(deps_.system.loop),
      deadline_set_(deps_.system.loop) {
  api_.on_ready([this] { tell_if_available(); });
}

SandboxEnvironment::~SandboxEnvironment() = default;

void SandboxEnvironment::tell_if_available() {
  if (on_available_ && available()) on_available_();
}

namespace {
// Without anything of a function or a runtime.
sandbox::SandboxSpec bare_sandbox_spec(const EnvironmentDeps& deps) {
  sandbox::SandboxSpec spec;
  spec.endpoint_port = deps.endpoint_port();
  if (spec.endpoint_port == spec.runtime_api_port) ++spec.runtime_api_port;
  spec.network = deps.network;
  return spec;
}
}  // namespace

sandbox::SandboxSpec runtime_sandbox_spec(const EnvironmentDeps& deps, const std::string& runtime,
                                          const Interpreter& interpreter) {
  sandbox::SandboxSpec spec = bare_sandbox_spec(deps);
  spec.mounts = make_runtime_mounts(runtime, interpreter, deps.runtimes.directory());
  spec.links = make_links(runtime);
  return spec;
}

// A spare's, with its process, where one fits.
Async<Result<std::unique_ptr<sandbox::Sandbox>>> SandboxEnvironment::make_or_take_sandbox(
    std::shared_ptr<SandboxEnvironment> environment, sandbox::SandboxSpec spec) {
  const EnvironmentDeps& deps = environment->deps_;
  if (deps.spares != nullptr && !environment->function_->image && spec.network == deps.network &&
      spec.network != sandbox::NetworkPolicy::kInternet) {
    // What only the environment knows, names and credentials, does not decide.
    auto program = make_process_spec(*environment->function_, environment->interpreter_, EnvironmentFacts{});
    if (program) {
      environment->spare_ = co_await deps.spares->assign(environment->function_->runtime, spec, std::move(*program));
    }
    if (environment->spare_) co_return std::move(environment->spare_->sandbox);
  }
  co_return co_await deps.make_sandbox(std::move(spec));
}

Async<Result<std::shared_ptr<SandboxEnvironment>>> SandboxEnvironment::create(EnvironmentDeps deps,
                                                                              ports::FunctionVersionPtr function) {
  Interpreter interpreter;
  if (!function->image) {
    LD_CO_TRY(interpreter, deps.runtimes.find(function->runtime));
  }
  auto code = co_await deps.code_directory(function);
  if (!code) co_return fail_with(code.error(), "unpacking the package");

  const std::string id = deps.system.random.hex(32);
  std::shared_ptr<SandboxEnvironment> environment(new SandboxEnvironment(deps, function, id));
  environment->interpreter_ = interpreter;
  environment->code_ = std::move(*code);

  sandbox::SandboxSpec spec =
      function->image ? bare_sandbox_spec(deps) : runtime_sandbox_spec(deps, function->runtime, interpreter);
  spec.name = "env-" + id;
  if (function->image) {
    spec.root = environment->code_.path;
    environment->external_extensions_ = environment->code_.image.value_or(ImageProcess{}).extensions;
  } else {
    spec.mounts.insert(spec.mounts.begin(), {environment->code_.path, "/var/task"});
    if (!environment->code_.opt_path.empty()) spec.mounts.push_back({environment->code_.opt_path, "/opt"});
    environment->external_extensions_ = find_external_extensions(spec.mounts);
  }
  spec.memory_bytes = static_cast<std::uint64_t>(function->memory_mb) * 1024 * 1024;
  spec.tmp_bytes = static_cast<std::uint64_t>(function->ephemeral_storage_mb) * 1024 * 1024;
  if (deps.limit_cpu) spec.cpu_millis = cpu_millis_of(function->memory_mb);
  auto policy = network_policy_of(*function, deps.network);
  spec.network = policy.value_or(sandbox::NetworkPolicy::kNone);
  auto sandbox = co_await make_or_take_sandbox(environment, spec);
  if (!policy || (!sandbox && spec.network == sandbox::NetworkPolicy::kInternet)) {
    // The function's author learns why from an invocation; the sandbox is only there to be an environment.
    environment->network_refusal_ = policy ? sandbox.error().detail : policy.error().detail;
    spec.network = sandbox::NetworkPolicy::kNone;
    if (!sandbox) sandbox = co_await deps.make_sandbox(spec);
  }
  if (!sandbox) co_return fail_with(sandbox.error(), "making a sandbox");
  environment->sandbox_ = std::move(*sandbox);
  environment->connect_parts();

  SandboxEnvironment* self = environment.get();
  environment->runtime_server_ =
      std::make_unique<http::Server>(deps.system.loop, deps.system.host_clock, runtime_api_limits(),
                                     [self](http::Request request) { return self->serve(std::move(request)); });
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

void SandboxEnvironment::connect_parts() {
  System& system = deps_.system;
  log_ = std::make_unique<FunctionLog>(
      system.loop, system.clock, deps_.logs, function_,
      fmt::format("{}/[{}]{}", format_date_slashes(system.clock.wall()), function_->version, id_));
  telemetry_ =
      std::make_unique<Telemetry>(system, make_telemetry_transport(system, [this] { return sandbox_->make_socket(); }));
  platform_ = std::make_unique<PlatformLog>(
      system.clock, *log_, *telemetry_, function_,
      PlatformLog::Facts{
          .runtime_version = interpreter_.version.empty()
                                 ? function_->runtime
                                 : fmt::format("{}:{}", runtime_family(function_->runtime), interpreter_.version),
          .runtime_version_arn =
              function_->image ? std::string() : fmt::format("arn:aws:lambda:{}::runtime:lambdad", function_->region),
          .initialization_type = function_->initialization_type,
          .instance_id = id_,
      });
  programs_ = std::make_unique<Programs>(Programs::Deps{
      .system = system,
      .log = deps_.log,
      .sandbox = *sandbox_,
      .extensions = extensions_,
      .function_log = *log_,
      .telemetry = *telemetry_,
      .changed = api_.changed(),
      .make_extension_log =
          [this] {
            auto made = std::make_unique<FunctionLog>(deps_.system.loop, deps_.system.clock, deps_.logs, function_,
                                                      log_->stream());
            made->on_printed = [this](std::string_view line) {
              telemetry_->publish({.stream = TelemetryStream::kExtension,
                                   .type = "extension",
                                   .time = deps_.system.clock.wall(),
                                   .record = {},
                                   .line = line});
              return true;
            };
            return made;
          },
  });
  programs_->on_death = [this] { program_died(); };
  telemetry_->on_subscribe = [this](const TelemetrySubscription& subscription) {
    platform_->subscription(subscription);
    follow_printed_lines();
  };
  follow_printed_lines();
}

// Asked for each printed line only when there is something to ask.
void SandboxEnvironment::follow_printed_lines() {
  const bool json = function_->log_settings.format == ports::LogFormat::kJson;
  if (!json && !telemetry_->wants(TelemetryStream::kFunction)) {
    log_->on_printed = nullptr;
    return;
  }
  log_->on_printed = [this, json](std::string_view line) {
    telemetry_->publish({.stream = TelemetryStream::kFunction,
                         .type = "function",
                         .time = deps_.system.clock.wall(),
                         .record = {},
                         .line = line,
                         .json_line = json});
    return keeps_line(function_->log_settings, line);
  };
}

bool SandboxEnvironment::available() const {
  return !busy_ && (!initialised_ || api_.state() == RuntimeApi::State::kReady) && sandbox_ != nullptr;
}

bool SandboxEnvironment::settling() const {
  return concluding_ || (!busy_ && initialised_ && api_.state() == RuntimeApi::State::kResponded);
}

Async<http::Response> SandboxEnvironment::serve(http::Request request) {
  const std::string_view path = request.path();
  if (ExtensionsApi::serves(path)) return extensions_.handle(std::move(request));
  if (Telemetry::serves(path)) return subscribe(std::move(request));
  return api_.handle(std::move(request));
}

Async<http::Response> SandboxEnvironment::subscribe(http::Request request) {
  const auto caller = extensions_.caller_of(request);
  if (!caller) co_return caller.error();
  co_return telemetry_->subscribe(request, **caller);
}

// --- deadlines ------------------------------------------------------------------------------------------------------

void SandboxEnvironment::set_deadline(MonoTime when) {
  deadline_ = when;
  deadline_set_.notify_all();
}

void SandboxEnvironment::clear_deadline() {
  deadline_.reset();
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
  while (!programs_->fault() && deps_.system.host_clock.mono() < limit) co_await api_.changed().wait();
}

Async<void> SandboxEnvironment::wake_at(MonoTime when) {
  co_await deps_.system.host_clock.sleep_until(when);
  api_.changed().notify_all();
}

// --- Init -----------------------------------------------------------------------------------------------------------

EnvironmentFacts SandboxEnvironment::facts() const {
  EnvironmentFacts facts;
  facts.log_stream = log_->stream();
  facts.runtime_api = sandbox_->runtime_api_address();
  if (!endpoint_closed_) facts.aws_endpoint = "http://" + sandbox_->endpoint_address();
  facts.access_key_id = credentials_.access_key_id;
  facts.secret_access_key = credentials_.secret_access_key;
  facts.session_token = credentials_.session_token;
  facts.initialization_type = function_->initialization_type;
  if (!code_.opt_path.empty() && !deps_.system.files.exists(code_.path + "/bootstrap") &&
      deps_.system.files.exists(code_.opt_path + "/bootstrap")) {
    facts.bootstrap = "/opt/bootstrap";
  }
  return facts;
}

ports::RoleCredentials SandboxEnvironment::new_credentials() const {
  if (deps_.credentials) return deps_.credentials(*function_);
  return {.access_key_id = function_->account,
          .secret_access_key = deps_.system.random.hex(40),
          .session_token = deps_.system.random.hex(64),
          .expiration = WallTime::max()};
}

bool SandboxEnvironment::credentials_last() const {
  return credentials_.expiration - kLongestInvocation > deps_.system.clock.wall();
}

RuntimeApi::Answer SandboxEnvironment::fault_answer(const Fault& fault, std::string_view request_id) const {
  RuntimeApi::Answer answer;
  answer.is_error = true;
  answer.error_type = fault.type;
  answer.payload = fault_document(fault, request_id);
  return answer;
}

bool SandboxEnvironment::all_ready() const {
  return api_.state() == RuntimeApi::State::kReady && extensions_.all_ready();
}

Async<void> SandboxEnvironment::start_programs(MonoTime limit) {
  programs_->begin();
  if (!network_refusal_.empty()) {
    programs_->set_fault({"Sandbox.NetworkUnavailable", network_refusal_});
    co_return;
  }
  credentials_ = new_credentials();
  const EnvironmentFacts given = facts();
  const ImageProcess* image = code_.image ? &*code_.image : nullptr;
  for (const std::string& name : external_extensions_) {
    if (!co_await programs_->start_extension(name, make_extension_spec(*function_, given, name, image))) co_return;
  }
  while (!extensions_.all_registered()) {
    if (programs_->fault() || deps_.system.host_clock.mono() >= limit) co_return;
    co_await api_.changed().wait();
  }
  auto spec = function_->image ? make_image_process_spec(*function_, image != nullptr ? *image : ImageProcess{}, given)
                               : make_process_spec(*function_, interpreter_, given);
  if (!spec) {
    programs_->set_fault(
        {function_->image ? "Runtime.InvalidEntrypoint" : "Runtime.InvalidRuntime", spec.error().detail});
    co_return;
  }
  if (spare_ && spare_->process->running()) {
    programs_->adopt_runtime(std::move(*std::exchange(spare_, std::nullopt)), *spec);
    co_return;
  }
  spare_.reset();
  co_await programs_->start_runtime(function_->image ? kImageFamily : runtime_family(function_->runtime),
                                    std::move(*spec));
}

Async<SandboxEnvironment::InitResult> SandboxEnvironment::run_init(InitPhase phase, MonoTime limit,
                                                                   std::string request_id) {
  const MonoTime begin = deps_.system.host_clock.mono();
  api_.reset();
  extensions_.reset();
  initialised_ = false;
  telemetry_->open_subscription();
  follow_printed_lines();
  platform_->init_start(phase);
  sandbox_->set_cpu_phase(sandbox::CpuPhase::kInit);
  co_await start_programs(limit);
  InitResult result;
  for (;;) {
    if (api_.init_error()) {
      result = {RunStatus::kError, *api_.init_error()};
      break;
    }
    if (programs_->fault()) {
      result = {RunStatus::kError, fault_answer(*programs_->fault(), request_id)};
      break;
    }
    if (const auto& failure = extensions_.failure()) {
      result = {RunStatus::kError, fault_answer({failure->type, failure->said}, request_id)};
      break;
    }
    if (all_ready()) break;
    if (deps_.system.host_clock.mono() >= limit) {
      result.status = RunStatus::kTimeout;
      break;
    }
    co_await api_.changed().wait();
  }
  const Duration took = deps_.system.host_clock.mono() - begin;
  extensions_.close_registration();
  programs_->drain();
  for (const ExtensionsApi::Extension& extension : extensions_.all()) {
    if (extension.state == ExtensionsApi::State::kReady) {
      platform_->extension(extension, "Ready", "");
    } else if (!extension.error_type.empty()) {
      platform_->extension(extension, "InitError", extension.error_type);
    } else {
      platform_->extension(extension, extension.id.empty() ? "Started" : "Registered", "");
    }
  }
  platform_->init_runtime_done(phase, result.status, result.failure.error_type);
  platform_->init_report(phase, result.status, result.failure.error_type, took);
  telemetry_->close_subscription();
  follow_printed_lines();
  if (result.status == RunStatus::kSuccess) {
    initialised_ = true;
    sandbox_->set_cpu_phase(sandbox::CpuPhase::kInvoke);
    if (phase == InitPhase::kInit) {
      init_begin_ = begin;
      init_duration_ = took;
    }
  }
  co_return result;
}

Async<void> SandboxEnvironment::initialise() {
  LD_CHECK(!busy_ && !programs_->running(), "initialise() of an environment that runs");
  busy_ = true;
  const bool ahead = function_->initialization_type != "on-demand";
  const MonoTime limit = deps_.system.host_clock.mono() +
                         (ahead ? std::max<Duration>(kProvisionedInitLimit, function_->timeout) : kInitLimit);
  tasks_.spawn("environment init limit", wake_at(limit));
  const InitResult result = co_await run_init(InitPhase::kInit, limit, "");
  if (result.status != RunStatus::kSuccess) {
    co_await end_programs(result.status == RunStatus::kTimeout ? ShutdownReason::kTimeout : ShutdownReason::kFailure);
  }
  busy_ = false;
  api_.changed().notify_all();
}

// --- Invoke ---------------------------------------------------------------------------------------------------------

Async<ports::InvocationOutcome> SandboxEnvironment::invoke(ports::InvocationRequest request) {
  LD_CHECK(available(), "invoke() of an environment that is not available");
  busy_ = true;
  if (initialised_ && !credentials_last()) co_await end_programs(ShutdownReason::kSpindown);
  Running running;
  running.request_id = request.request_id;
  running.trace_header = request.trace_header;
  running.begin = deps_.system.host_clock.mono();
  running.begin_wall = deps_.system.clock.wall();
  running.accepted = request.accepted == MonoTime{} ? running.begin : request.accepted;
  running.init_duration = std::exchange(init_duration_, std::nullopt);
  running.init_begin = init_begin_;
  set_deadline(running.begin + function_->timeout);
  if (request.want_log_tail) log_->begin_tail();
  platform_->start(request.request_id, request.trace_header);

  std::optional<RuntimeApi::Answer> answer;
  bool timeout = false;
  bool runtime_lives = false;
  if (!initialised_) {
    // Suppressed Init: under the function's timeout.
    InitResult init = co_await run_init(InitPhase::kInvoke, *deadline_, request.request_id);
    timeout = init.status == RunStatus::kTimeout;
    if (init.status == RunStatus::kError) answer = std::move(init.failure);
  } else {
    programs_->thaw();
  }
  if (!answer && !timeout) {
    NextInvocation next;
    next.request_id = request.request_id;
    next.payload = request.payload.empty() ? "{}" : std::move(request.payload);
    next.deadline_epoch_ms = to_epoch_ms(deps_.system.clock.wall() + function_->timeout);
    next.invoked_function_arn = request.function.arn().str();
    next.trace_id = request.trace_header;
    next.client_context = std::move(request.client_context);
    next.sink = std::move(request.sink);
    next.executed_version = function_->version;
    if (extensions_.any_on_invoke()) {
      extensions_.invoke({next.request_id, next.deadline_epoch_ms, next.invoked_function_arn, next.trace_id});
    }
    api_.offer(std::move(next));
    for (;;) {
      if (api_.state() != RuntimeApi::State::kStarted) sandbox_->set_cpu_phase(sandbox::CpuPhase::kInvoke);
      if ((answer = api_.take_answer())) {
        if (answer->cut_off) co_await wait_for_exit(kExitPatience);
        runtime_lives = !answer->cut_off || !programs_->fault();
        if (!runtime_lives) answer = fault_answer(*programs_->fault(), request.request_id);
        break;
      }
      if (programs_->fault()) {
        answer = fault_answer(*programs_->fault(), request.request_id);
        break;
      }
      if (api_.init_error()) {
        answer = api_.init_error();
        break;
      }
      if ((timeout = timed_out())) break;
      co_await api_.changed().wait();
    }
  }
  if (!runtime_lives) api_.abandon();  // the sink takes nothing after the outcome
  if (timeout) answer = fault_answer(timeout_fault(function_->timeout), request.request_id);
  running.answered = running.ended = deps_.system.host_clock.mono();
  running.error_type = answer->error_type;
  running.reset = !runtime_lives;
  running.platform_failed = !runtime_lives;
  if (timeout) {
    running.status = RunStatus::kTimeout;
  } else if (answer->is_error) {
    running.status = runtime_lives ? RunStatus::kError : RunStatus::kFailure;
    running.error_type = shown_error_type(answer->error_type, runtime_lives ? "Function.Unknown" : "Runtime.Unknown");
  } else {
    running.produced_bytes = answer->payload.size() + answer->streamed_bytes;
  }

  ports::InvocationOutcome outcome;
  outcome.kind =
      answer->is_error ? ports::InvocationOutcome::Kind::kFunctionError : ports::InvocationOutcome::Kind::kSuccess;
  outcome.payload = std::move(answer->payload);
  if (answer->is_error) outcome.error_type = shown_error_type(answer->error_type);
  outcome.content_type = std::move(answer->content_type);
  outcome.executed_version = function_->version;
  if (!extensions_.any()) {
    // Nobody else takes part: what is left costs no time.
    if (running.reset || programs_->runtime_exit()) co_await end_programs(ShutdownReason::kFailure);
    report(running);
    if (request.want_log_tail) outcome.log_tail = log_->take_tail();
    busy_ = false;
    co_return outcome;
  }
  concluding_ = true;
  if (!request.want_log_tail) {
    tasks_.spawn("environment conclude", conclude(std::move(running)));
    co_return outcome;
  }
  co_await wait_for_extensions(running);
  report(running);
  outcome.log_tail = log_->take_tail();
  if (running.reset) {
    tasks_.spawn("environment reset",
                 reset(running.status == RunStatus::kTimeout ? ShutdownReason::kTimeout : ShutdownReason::kFailure));
  } else {
    concluding_ = busy_ = false;
  }
  co_return outcome;
}

Async<void> SandboxEnvironment::wait_for_extensions(Running& running) {
  while (!running.reset && !extensions_.invocation_done()) {
    const auto& failure = extensions_.failure();
    if (programs_->fault() || failure) {
      running.error_type = programs_->fault() ? programs_->fault()->type : failure->type;
      running.status = RunStatus::kFailure;
      running.reset = running.platform_failed = true;
    } else if (timed_out()) {
      running.error_type = "Sandbox.Timedout";
      running.status = RunStatus::kTimeout;
      running.reset = running.platform_failed = true;
    } else {
      co_await api_.changed().wait();
    }
  }
  running.ended = deps_.system.host_clock.mono();
  // A program may have ended right after its answer.
  running.reset = running.reset || programs_->fault().has_value();
}

void SandboxEnvironment::report(const Running& running) {
  const Duration took = running.ended - running.begin;
  clear_deadline();
  programs_->drain();
  const Duration answered = running.answered - running.begin;
  PlatformLog::RuntimeDone done;
  done.request_id = running.request_id;
  done.status = running.status;
  done.error_type = running.error_type;
  done.trace_header = running.trace_header;
  done.duration = answered;
  done.produced_bytes = running.produced_bytes;
  PlatformLog::Report line;
  line.request_id = running.request_id;
  line.status = running.status;
  line.error_type = running.error_type;
  line.trace_header = running.trace_header;
  line.duration = took;
  line.billed_ms = billed_ms(took + running.init_duration.value_or(Duration::zero()));
  line.memory_peak_bytes = memory_peak(took);
  line.init_duration = running.init_duration;
  line.platform_failed = running.platform_failed;
  if (telemetry_->wants(TelemetryStream::kPlatform) || function_->log_settings.format == ports::LogFormat::kJson) {
    done.spans = {{"responseLatency", running.begin_wall, answered},
                  {"responseDuration", running.begin_wall + answered, Duration::zero()}};
    if (extensions_.any()) line.spans = {{"extensionOverhead", running.begin_wall + answered, took - answered}};
  }
  platform_->runtime_done(done);
  if (running.platform_failed) {
    platform_->fault(fmt::format("RequestId: {} Process exited before completing request", running.request_id));
  }
  platform_->report(line);
  if (deps_.traces && running.trace_header.find("Sampled=1") != std::string::npos) trace(running);
}

std::uint64_t SandboxEnvironment::memory_peak(Duration took) {
  const MonoTime now = deps_.system.host_clock.mono();
  if (took >= kLongForMemory || memory_peak_bytes_ == 0 || now - memory_read_ >= kMemoryPeakAge) {
    memory_peak_bytes_ = sandbox_->memory_peak_bytes();
    memory_read_ = now;
  }
  return memory_peak_bytes_;
}

void SandboxEnvironment::trace(const Running& running) const {
  Clock& host = deps_.system.host_clock;
  const auto wall = [now = host.mono(), at = host.wall()](MonoTime when) { return at - (now - when); };
  InvocationTrace made;
  made.function = function_;
  made.request_id = running.request_id;
  made.trace_header = running.trace_header;
  made.accepted = wall(running.accepted);
  made.begun = wall(running.begin);
  made.answered = wall(running.answered);
  made.ended = wall(running.ended);
  if (running.init_duration) made.init = std::pair(wall(running.init_begin), *running.init_duration);
  made.error_type = running.error_type;
  deps_.traces(std::move(made));
}

Async<void> SandboxEnvironment::conclude(Running running) {
  co_await wait_for_extensions(running);
  report(running);
  if (running.reset) {
    co_await reset(running.status == RunStatus::kTimeout ? ShutdownReason::kTimeout : ShutdownReason::kFailure);
    co_return;
  }
  concluding_ = busy_ = false;
  api_.changed().notify_all();
  tell_if_available();
}

// --- the end of programs --------------------------------------------------------------------------------------------

Async<void> SandboxEnvironment::end_programs(ShutdownReason reason) {
  initialised_ = false;
  api_.abandon();
  if (programs_->running()) co_await programs_->end(reason);
  follow_printed_lines();
  api_.reset();
  extensions_.reset();
}

Async<void> SandboxEnvironment::reset(ShutdownReason reason) {
  co_await end_programs(reason);
  concluding_ = busy_ = false;
  api_.changed().notify_all();
  tell_if_available();
}

// Ended between invocations: the next one starts new programs.
void SandboxEnvironment::program_died() {
  if (busy_) return;
  busy_ = concluding_ = true;
  tasks_.spawn("environment reset", reset(ShutdownReason::kFailure));
}

void SandboxEnvironment::freeze() {
  if (busy_ || freezing_ || programs_->frozen() || !programs_->running()) return;
  if (!extensions_.any()) {
    programs_->freeze();
    return;
  }
  freezing_ = true;
  tasks_.spawn("environment freeze", flush_and_freeze());
}

// What extensions are waiting for reaches them before they are stopped.
Async<void> SandboxEnvironment::flush_and_freeze() {
  co_await telemetry_->flushed(deps_.system.host_clock.mono() + kFlushBeforeFreeze);
  freezing_ = false;
  if (!busy_ && sandbox_) programs_->freeze();
}

Async<void> SandboxEnvironment::shutdown() {
  // An invocation whose answer is given may still be concluded, for no longer than the Shutdown phase lasts.
  const MonoTime patience = deps_.system.host_clock.mono() + kShutdownExternal;
  if (concluding_) tasks_.spawn("environment shutdown patience", wake_at(patience));
  while (concluding_ && deps_.system.host_clock.mono() < patience) co_await api_.changed().wait();
  busy_ = true;
  co_await tasks_.stop();
  concluding_ = false;
  if (programs_) {
    co_await end_programs(ShutdownReason::kSpindown);
    co_await programs_->stop();
    co_await telemetry_->stop();
  }
  if (runtime_server_) co_await runtime_server_->stop(Duration::zero());
  if (endpoint_server_) co_await endpoint_server_->stop(Duration::zero());
  if (sandbox_) co_await sandbox_->destroy();
  sandbox_.reset();
}

}  // namespace lambdad::execution
