#include "invoke/invoker.h"

#include "invoke/recursion.h"
#include "invoke/trace_header.h"
#include "ports/throttle.h"

namespace lambdad::invoke {

namespace {

using Kind = ports::InvocationOutcome::Kind;
constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::kRecursiveLoop) + 1;

std::string_view status_of(Kind kind) {
  switch (kind) {
    case Kind::kSuccess: return "success";
    case Kind::kFunctionError: return "function_error";
    case Kind::kThrottled: return "throttled";
    case Kind::kSystemError: return "system_error";
    case Kind::kNoSuchFunction: return "not_found";
    case Kind::kNotReady: return "not_ready";
    case Kind::kRecursiveLoop: return "recursive_loop";
  }
  return "unknown";
}

}  // namespace

Invoker::Invoker(System& system, Logger& log, Metrics& metrics, ports::FunctionCatalog& catalog,
                 scheduler::ConcurrencyLedger& ledger, scheduler::Scheduler& scheduler)
    : system_(system),
      log_(log),
      metrics_(metrics),
      catalog_(catalog),
      ledger_(ledger),
      scheduler_(scheduler),
      streamed_(system.loop) {}

Async<ports::InvocationOutcome> Invoker::invoke(ports::InvocationRequest request) {
  // A caller that goes away does not stop a function that runs.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  const ports::FunctionRef function = request.function;
  const MonoTime begin = system_.host_clock.mono();
  ports::InvocationOutcome outcome;
  auto resolved = catalog_.resolve(function);
  if (!resolved) {
    outcome.kind = resolved.error() == ports::ResolveFailure::kNoSuchFunction ? Kind::kNoSuchFunction : Kind::kNotReady;
    outcome.resolve_failure = resolved.error();
    record(function, outcome, Duration::zero());
    co_return outcome;
  }
  ChainLink link = follow_chain(request.trace_header, function.arn());
  if (link.invocations >= kLoopInvocationsMax && catalog_.stops_loops(function)) {
    outcome.kind = Kind::kRecursiveLoop;
    record(function, outcome, Duration::zero());
    co_return outcome;
  }
  const scheduler::Quota quota = quota_of(function, **resolved);
  auto permit = ledger_.acquire(function, (*resolved)->snapshot_id, quota, begin);
  if (!permit) {
    outcome.kind = Kind::kThrottled;
    outcome.throttle_reason = permit.error();
    record(function, outcome, Duration::zero());
    co_return outcome;
  }
  auto token = system_.activity.begin();
  request.accepted = begin;
  request.trace_header = trace_header(link.trace_header, (*resolved)->traces, system_);
  if (quota.provisioned_ready > 0) count_provisioned(function, permit->provisioned());
  const auto placement = permit->provisioned() ? scheduler::Placement::kProvisioned : scheduler::Placement::kOnDemand;
  outcome = co_await scheduler_.run(std::move(*resolved), std::move(request), placement);
  record(function, outcome, system_.host_clock.mono() - begin);
  co_return outcome;
}

scheduler::Quota Invoker::quota_of(const ports::FunctionRef& function, const ports::FunctionVersion& version) const {
  scheduler::Quota quota{.reserved = catalog_.reserved_concurrency(function),
                         .reserved_total = catalog_.reserved_concurrency_total(function.account, function.region)};
  if (const int total = catalog_.provisioned_concurrency(function); total > 0) {
    // What is not ready yet keeps nothing from running on demand meanwhile.
    const auto status = scheduler_.provisioned(version.snapshot_id);
    quota.provisioned_ready = status.available;
    quota.provisioned_held = total - status.requested + status.available;
  }
  return quota;
}

std::unique_ptr<ports::ResponseStream> Invoker::invoke_streaming(ports::InvocationRequest request) {
  auto pipe = std::make_shared<ResponsePipe>(system_.loop, system_.host_clock, stream_pace_);
  request.sink = pipe;
  streamed_.spawn("streamed invocation", run_streamed(std::move(request), pipe));
  return ResponsePipe::reader(pipe);
}

Async<void> Invoker::run_streamed(ports::InvocationRequest request, std::shared_ptr<ResponsePipe> pipe) {
  pipe->finish(co_await invoke(std::move(request)));
}

Async<Result<void>> Invoker::enqueue(ports::InvocationRequest request) {
  if (!enqueue_) co_return fail(Errc::kUnavailable, "the asynchronous plane is not running");
  co_return co_await enqueue_(std::move(request));
}

struct Invoker::FunctionMetrics {
  std::array<Counter*, kKinds> invocations{};
  Histogram* seconds = nullptr;
  Counter* provisioned = nullptr;
  Counter* spillover = nullptr;
};

Invoker::~Invoker() = default;

Invoker::FunctionMetrics& Invoker::metrics_of(const ports::FunctionRef& function) {
  auto& found = function_metrics_[function.name];
  if (!found) found = std::make_unique<FunctionMetrics>();
  return *found;
}

void Invoker::count_provisioned(const ports::FunctionRef& function, bool provisioned) {
  FunctionMetrics& of_function = metrics_of(function);
  Counter*& counter = provisioned ? of_function.provisioned : of_function.spillover;
  if (counter == nullptr) {
    counter = provisioned
                  ? &metrics_.counter("lambdad_provisioned_invocations_total",
                                      "Invocations in environments of provisioned concurrency.",
                                      {{"function", function.name}})
                  : &metrics_.counter("lambdad_provisioned_spillover_total",
                                      "Invocations on demand because the provisioned environments were all in use.",
                                      {{"function", function.name}});
  }
  counter->add();
}

void Invoker::record(const ports::FunctionRef& function, const ports::InvocationOutcome& outcome, Duration took) {
  FunctionMetrics& of_function = metrics_of(function);
  Counter*& invocations = of_function.invocations[static_cast<std::size_t>(outcome.kind)];
  if (invocations == nullptr) {
    invocations = &metrics_.counter("lambdad_invocations_total", "Attempts to run a function, by outcome.",
                                    {{"function", function.name}, {"status", std::string(status_of(outcome.kind))}});
  }
  invocations->add();
  if (outcome.kind == Kind::kSuccess || outcome.kind == Kind::kFunctionError) {
    if (of_function.seconds == nullptr) {
      of_function.seconds = &metrics_.histogram(
          "lambdad_invocation_seconds", "Time from admission to the function's answer.", {{"function", function.name}});
    }
    of_function.seconds->observe(to_seconds(took));
  }
  if (outcome.kind == Kind::kThrottled) {
    metrics_
        .counter("lambdad_throttles_total", "Attempts that were refused for a quota, by reason.",
                 {{"function", function.name}, {"reason", std::string(ports::to_string(outcome.throttle_reason))}})
        .add();
  }
  if (outcome.kind == Kind::kSystemError) {
    log_.error("invocation_failed", {{"function", function.name}, {"reason", outcome.detail}});
  }
}

}  // namespace lambdad::invoke
