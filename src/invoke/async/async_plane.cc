#include "invoke/async/async_plane.h"

#include <algorithm>

#include "invoke/async/dead_letter.h"
#include "system/either.h"

namespace lambdad::invoke {

namespace {
// Between tries of a commit or a delivery that failed for the moment. Real time: the disk does not follow AWS's clock.
constexpr Duration kTryAgainMin = 100ms;
constexpr Duration kTryAgainMax = 10s;
}  // namespace

struct AsyncPlane::Lane {
  std::deque<EventPtr> ready;
  std::size_t running = 0;
  bool in_turn = false;  ///< stands in turn_
};

AsyncPlane::AsyncPlane(System& system, Logger& log, Metrics& metrics, std::unique_ptr<EventStore> store,
                       ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog, ports::Target& dead_letters,
                       Limits limits)
    : system_(system),
      log_(log),
      metrics_(metrics),
      store_(std::move(store)),
      invoker_(invoker),
      catalog_(catalog),
      dead_letters_(dead_letters),
      limits_(limits),
      received_(metrics.counter("lambdad_async_events_received_total", "Events accepted for asynchronous invocation.")),
      succeeded_(metrics.counter("lambdad_async_events_succeeded_total",
                                 "Asynchronous events that a function has processed.")),
      retries_(metrics.counter("lambdad_async_retries_total", "Further attempts that were scheduled.")),
      dead_letter_errors_(
          metrics.counter("lambdad_async_dead_letter_errors_total", "Events that a dead-letter queue did not take.")),
      due_changed_(system.loop),
      accepted_all_(system.loop),
      attempts_(system.loop),
      upkeep_(system.loop) {
  metrics_.on_scrape([this] {
    metrics_.gauge("lambdad_async_events", "Asynchronous events that are accepted and not finished.")
        .set(static_cast<double>(events_.size()));
  });
}

AsyncPlane::~AsyncPlane() = default;

Result<void> AsyncPlane::start() {
  LD_TRY(auto events, store_->load());
  if (!events.empty()) log_.info("async_events_resumed", {{"events", events.size()}});
  for (auto& event : events) {
    auto kept = std::make_shared<Tracked>();
    static_cast<Event&>(*kept) = std::move(event);
    events_.emplace(kept->id, kept);
    if (kept->due <= system_.clock.wall()) {
      make_ready(std::move(kept));
    } else {
      wait_until_due(std::move(kept));
    }
  }
  upkeep_.spawn("async due times", watch_due());
  return {};
}

Async<Result<void>> AsyncPlane::accept(ports::InvocationRequest request) {
  if (stopping_) co_return fail(Errc::kUnavailable, "the daemon is stopping");
  auto token = system_.activity.begin();
  auto event = std::make_shared<Tracked>();
  event->function = std::move(request.function);
  event->request_id = std::move(request.request_id);
  event->trace_header = std::move(request.trace_header);
  event->progress.accepted = system_.clock.wall();
  event->due = event->progress.accepted;
  event->payload_bytes = request.payload.size();
  event->payload = std::move(request.payload);
  ++accepting_;
  Promise<Result<void>> accepted(system_.loop);
  // No coroutine waits for the commit: what follows it must happen also when the caller is gone by then.
  store_->insert(event, [this, event, accepted, token = std::move(token)](Result<std::int64_t> row) {
    if (--accepting_ == 0 && stopping_) accepted_all_.notify_all();
    if (!row) {
      accepted.set(std::unexpected(std::move(row).error()));
      return;
    }
    received_.add();
    accepted.set({});
    if (stopping_) return;  // the next start runs it
    event->id = *row;
    events_.emplace(event->id, event);
    if (payload_memory_ + event->payload_bytes <= limits_.payload_memory_max) {
      payload_memory_ += event->payload_bytes;
    } else {
      event->payload.reset();
    }
    make_ready(event);
  });
  co_return co_await accepted.get();
}

// --- who runs when --------------------------------------------------------------------------------------------------

AsyncPlane::Lane& AsyncPlane::lane_of(const ports::FunctionRef& function) {
  auto& lane = lanes_[fmt::format("{}:{}:{}", function.account, function.region, function.name)];
  if (!lane) lane = std::make_unique<Lane>();
  return *lane;
}

void AsyncPlane::make_ready(EventPtr event) {
  Lane& lane = lane_of(event->function);
  lane.ready.push_back(std::move(event));
  if (!lane.in_turn && lane.running < limits_.running_per_function_max) {
    lane.in_turn = true;
    turn_.push_back(&lane);
  }
  dispatch();
}

void AsyncPlane::wait_until_due(EventPtr event) {
  const bool earliest = waiting_.empty() || event->due < waiting_.begin()->first;
  const WallTime due = event->due;
  waiting_.emplace(due, std::move(event));
  if (earliest) due_changed_.notify_all();
}

// Called whenever something becomes ready or an attempt ends: what is ready and not dispatched waits for attempts that
// run, and those count as activity.
void AsyncPlane::dispatch() {
  while (!stopping_ && running_ < limits_.running_max && !turn_.empty()) {
    Lane& lane = *turn_.front();
    turn_.pop_front();
    EventPtr event = std::move(lane.ready.front());
    lane.ready.pop_front();
    event->busy = system_.activity.begin();
    ++lane.running;
    ++running_;
    lane.in_turn = !lane.ready.empty() && lane.running < limits_.running_per_function_max;
    if (lane.in_turn) turn_.push_back(&lane);
    attempts_.spawn("async attempt", run(std::move(event), &lane));
  }
}

Async<void> AsyncPlane::run(EventPtr event, Lane* lane) {
  co_await attempt(event);
  event->busy.release();
  --running_;
  --lane->running;
  if (!lane->in_turn && !lane->ready.empty()) {
    lane->in_turn = true;
    turn_.push_back(lane);
  }
  dispatch();
}

Async<void> AsyncPlane::watch_due() {
  for (;;) {
    const WallTime now = system_.clock.wall();
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      EventPtr event = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      make_ready(std::move(event));
    }
    if (waiting_.empty()) {
      co_await due_changed_.wait();
      continue;
    }
    co_await wait_until(due_changed_, system_.clock, system_.clock.mono() + (waiting_.begin()->first - now));
  }
}

// --- one attempt ----------------------------------------------------------------------------------------------------

Async<void> AsyncPlane::attempt(EventPtr event) {
  const auto config = catalog_.event_invoke_config(event->function);
  auto zero_reserved = [&] { return catalog_.reserved_concurrency(event->function) == 0; };
  if (auto stop = before_attempt(event->progress, config, zero_reserved(), system_.clock.wall())) {
    co_await give_up(std::move(event), *stop, "");
    co_return;
  }
  ports::InvocationRequest request;
  request.function = event->function;
  request.request_id = event->request_id;
  request.trace_header = event->trace_header;
  request.plane = ports::Plane::kAsync;
  if (event->payload) {
    request.payload = *event->payload;
  } else {
    auto payload = co_await store_->payload(event->id);
    if (!payload) {
      log_.error("async_payload_unreadable", {{"request_id", event->request_id}, {"reason", payload.error().detail}});
      event->due = system_.clock.wall() + 60s;
      wait_until_due(std::move(event));
      co_return;
    }
    request.payload = std::move(*payload);
  }
  event->busy.release();
  auto outcome = co_await invoker_.invoke(std::move(request));
  event->busy = system_.activity.begin();
  const Verdict verdict = after_attempt(event->progress, outcome.kind, config, zero_reserved(), system_.clock.wall());
  if (std::holds_alternative<Done>(verdict)) {
    succeeded_.add();
    co_await finish(std::move(event));
  } else if (const auto* retry = std::get_if<RetryAt>(&verdict)) {
    event->progress.runs = retry->runs;
    event->progress.throttles = retry->throttles;
    event->due = retry->when;
    retries_.add();
    co_await insist(event, "retry", [this, event] { return store_->update(event->id, event->progress, event->due); });
    if (event->due <= system_.clock.wall()) {
      make_ready(std::move(event));
    } else {
      wait_until_due(std::move(event));
    }
  } else {
    const auto reason = std::get<GiveUp>(verdict);
    event->progress.runs = reason.runs;
    co_await give_up(std::move(event), reason,
                     outcome.kind == ports::InvocationOutcome::Kind::kFunctionError ? outcome.payload : "");
  }
}

Async<void> AsyncPlane::give_up(EventPtr event, GiveUp reason, std::string error_payload) {
  metrics_
      .counter("lambdad_async_events_dropped_total", "Asynchronous events given up, by condition.",
               {{"condition", std::string(to_string(reason.condition))}})
      .add();
  const bool delivered = co_await dead_letter(event, reason, std::move(error_payload));
  log_.warn("async_event_dropped", {{"function", event->function.arn().str()},
                                    {"request_id", event->request_id},
                                    {"condition", to_string(reason.condition)},
                                    {"attempts", reason.runs},
                                    {"dead_letter_queue", delivered ? "delivered" : "none"}});
  if (stopping_ && !delivered) co_return;  // the row stays; the next start decides again
  co_await finish(std::move(event));
}

// True when a dead-letter queue has the event.
Async<bool> AsyncPlane::dead_letter(EventPtr event, GiveUp reason, std::string error_payload) {
  auto function = catalog_.resolve(event->function);
  if (!function || (*function)->dead_letter_arn.empty()) co_return false;
  const std::string target_text = (*function)->dead_letter_arn;
  std::string why = "not an ARN";
  if (const auto target = Arn::parse(target_text)) {
    Result<std::string> payload =
        event->payload ? Result<std::string>(*event->payload) : co_await store_->payload(event->id);
    for (Duration length = kTryAgainMin; payload; length = std::min(length * 2, kTryAgainMax)) {
      auto delivered =
          co_await dead_letters_.deliver(*target, dead_letter_message(*event, reason, *payload, error_payload));
      if (delivered) co_return true;
      why = delivered.error().detail;
      if (delivered.error().code != Errc::kUnavailable || stopping_) break;
      co_await pause(event, length);
    }
    if (!payload) why = payload.error().detail;
  }
  dead_letter_errors_.add();
  log_.error("dead_letter_failed",
             {{"function", event->function.arn().str()}, {"target", target_text}, {"reason", why}});
  co_return false;
}

Async<void> AsyncPlane::finish(EventPtr event) {
  co_await insist(event, "completion", [this, event] { return store_->remove(event->id); });
  if (event->payload) payload_memory_ -= std::min(payload_memory_, event->payload_bytes);
  events_.erase(event->id);
}

template <class Commit>
Async<void> AsyncPlane::insist(EventPtr event, const char* what, Commit commit) {
  for (Duration length = kTryAgainMin;; length = std::min(length * 2, kTryAgainMax)) {
    auto committed = co_await commit();
    if (committed) co_return;
    log_.error("async_commit_failed", {{"what", what}, {"reason", committed.error().detail}});
    if (stopping_) co_return;  // the row is as before: the attempt is repeated after the next start
    co_await pause(event, length);
  }
}

Async<void> AsyncPlane::pause(EventPtr event, Duration length) {
  event->busy.release();
  co_await system_.host_clock.sleep_for(length);
  event->busy = system_.activity.begin();
}

Async<void> AsyncPlane::stop() {
  stopping_ = true;
  co_await upkeep_.stop();
  co_await attempts_.drain();
  while (accepting_ > 0) co_await accepted_all_.wait();
  store_->close();
}

}  // namespace lambdad::invoke
