#include "invoke/async/async_plane.h"

#include <algorithm>

namespace lambdad::invoke {

namespace {

using Kind = ports::InvocationOutcome::Kind;

// Of what a function printed, with an attempt that failed.
constexpr std::size_t kLogExcerptBytesMax = 1024;
constexpr std::size_t kErrorBytesMax = 512;
constexpr Duration kPayloadAgainAfter = 60s;

std::string_view outcome_name(Kind kind) {
  switch (kind) {
    case Kind::kSuccess: return "success";
    case Kind::kFunctionError: return "function_error";
    case Kind::kThrottled: return "throttled";
    case Kind::kSystemError: return "system_error";
    case Kind::kNoSuchFunction: return "function_not_found";
    case Kind::kNotReady: return "function_not_ready";
    case Kind::kRecursiveLoop: return "recursive_loop";
  }
  return "unknown";
}

std::string end_of(const std::string& text, std::size_t bytes_max) {
  return text.size() <= bytes_max ? text : text.substr(text.size() - bytes_max);
}

std::string error_of(const ports::InvocationOutcome& outcome) {
  switch (outcome.kind) {
    case Kind::kFunctionError: return outcome.payload.substr(0, kErrorBytesMax);
    case Kind::kSystemError: return outcome.detail.substr(0, kErrorBytesMax);
    default: return "";
  }
}

// Every attempt belongs to one trace: an event whose sender began none begins one here.
std::string with_root(std::string header, System& system) {
  if (header.find("Root=") != std::string::npos) return header;
  std::string root = fmt::format("Root=1-{:08x}-{}", to_epoch_seconds(system.clock.wall()), system.random.hex(24));
  return header.empty() ? root : fmt::format("{};{}", root, header);
}

}  // namespace

struct AsyncPlane::FunctionMetrics {
  Counter& received;
  Counter& succeeded;
  Counter& retries;
  Histogram& age;
};

AsyncPlane::AsyncPlane(System& system, Logger& log, Metrics& metrics, std::unique_ptr<EventStore> store,
                       ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog, ports::Target& targets,
                       Limits limits)
    : system_(system),
      log_(log),
      metrics_(metrics),
      store_(std::move(store)),
      invoker_(invoker),
      catalog_(catalog),
      limits_(limits),
      worker_{system, log},
      accepted_all_(system.loop),
      lanes_(system, log, *store_, limits.lanes,
             [this](EventPtr event) { attempts_.spawn("async attempt", run(std::move(event))); }),
      outbox_(system, log, metrics, *store_, targets, limits.outbox),
      attempts_(system.loop) {
  metrics_.on_scrape([this] {
    metrics_.gauge("lambdad_async_events", "Asynchronous events that are accepted and not ended.")
        .set(static_cast<double>(lanes_.queued()));
    metrics_.gauge("lambdad_async_events_in_memory", "Those of them that are in memory; the others are on disk alone.")
        .set(static_cast<double>(lanes_.in_memory()));
    metrics_.gauge("lambdad_async_dead_events", "Events that were given up and are kept to be looked at.")
        .set(static_cast<double>(store_->dead()));
  });
}

AsyncPlane::~AsyncPlane() = default;

AsyncPlane::FunctionMetrics& AsyncPlane::metrics_of(const ports::FunctionRef& function) {
  auto& found = function_metrics_[function.name];
  if (!found) {
    const Labels labels{{"function", function.name}};
    found.reset(new FunctionMetrics{
        metrics_.counter("lambdad_async_events_received_total", "Events accepted for asynchronous invocation.", labels),
        metrics_.counter("lambdad_async_events_succeeded_total", "Asynchronous events that a function has processed.",
                         labels),
        metrics_.counter("lambdad_async_retries_total", "Further attempts that were scheduled.", labels),
        metrics_.histogram("lambdad_async_event_age_seconds",
                           "Time from an event's acceptance to the beginning of each of its attempts.", labels)});
  }
  return *found;
}

Result<void> AsyncPlane::start() {
  LD_TRY(auto loaded, store_->load());
  const auto first_delivery = loaded.first_delivery;
  lanes_.start(std::move(loaded));
  outbox_.start(first_delivery);
  if (lanes_.queued() > 0) log_.info("async_events_resumed", {{"events", lanes_.queued()}});
  return {};
}

Async<Result<void>> AsyncPlane::accept(ports::InvocationRequest request) {
  if (worker_.stopping) co_return fail(Errc::kUnavailable, "the daemon is stopping");
  auto token = system_.activity.begin();
  auto event = std::make_shared<Tracked>();
  const Lanes::Place place = lanes_.place_of(request.function);
  event->lane = place.lane;
  event->function = std::move(request.function);
  event->request_id = std::move(request.request_id);
  event->trace_header = with_root(std::move(request.trace_header), system_);
  event->progress.accepted = from_epoch_ms(to_epoch_ms(system_.clock.wall()));
  event->due = event->progress.accepted;
  event->payload_bytes = request.payload.size();
  event->payload = std::move(request.payload);
  ++accepting_;
  Promise<Result<void>> accepted(system_.loop);
  // No coroutine waits for the commit: what follows it must happen also when the caller is gone by then.
  store_->insert(event, place.is, [this, event, accepted, token = std::move(token)](Result<std::int64_t> row) {
    if (--accepting_ == 0 && worker_.stopping) accepted_all_.notify_all();
    if (!row) {
      accepted.set(std::unexpected(std::move(row).error()));
      return;
    }
    metrics_of(event->function).received.add();
    accepted.set({});
    event->id = *row;
    lanes_.accepted(event);
  });
  co_return co_await accepted.get();
}

// --- one attempt ----------------------------------------------------------------------------------------------------

Async<void> AsyncPlane::run(EventPtr event) {
  co_await attempt(event);
  event->busy.release();
  lanes_.attempt_ended(*event);
}

Async<void> AsyncPlane::attempt(EventPtr event) {
  const auto config = catalog_.event_invoke_config(event->function);
  auto zero_reserved = [&] { return catalog_.reserved_concurrency(event->function) == 0; };
  const WallTime began = system_.clock.wall();
  if (auto stop = before_attempt(event->progress, config, zero_reserved(), began)) {
    co_await end(event, {.given_up = stop->condition, .runs = stop->runs, .at = began}, std::nullopt);
    co_return;
  }
  auto payload = co_await payload_of(event);
  if (!payload) {
    log_.error("async_payload_unreadable", {{"request_id", event->request_id}, {"reason", payload.error().detail}});
    event->due = ceil_ms(system_.clock.wall() + kPayloadAgainAfter);
    lanes_.rescheduled(*event);
    co_return;
  }
  ports::InvocationRequest request;
  request.function = event->function;
  request.request_id = event->request_id;
  request.trace_header = event->trace_header;
  request.plane = ports::Plane::kAsync;
  request.payload = std::move(*payload);
  request.want_log_tail = true;
  FunctionMetrics& counted = metrics_of(event->function);
  counted.age.observe(to_seconds(std::max(Duration::zero(), began - event->progress.accepted)));
  event->busy.release();
  auto outcome = co_await invoker_.invoke(std::move(request));
  event->busy = system_.activity.begin();

  const WallTime now = system_.clock.wall();
  Attempt made{.number = ++event->attempts,
               .started = began,
               .ended = now,
               .outcome = std::string(outcome_name(outcome.kind)),
               .error = error_of(outcome),
               .log = end_of(outcome.log_tail, kLogExcerptBytesMax)};
  const Verdict verdict = after_attempt(event->progress, outcome.kind, config, zero_reserved(), now);
  if (const auto* again = std::get_if<RetryAt>(&verdict)) {
    counted.retries.add();
    co_await retry(event, *again, std::move(made));
    co_return;
  }
  EventEnd how{.at = now};
  if (outcome.has_answer()) {
    how.answer = {outcome.kind == Kind::kFunctionError, std::move(outcome.payload), outcome.executed_version};
  }
  if (const auto* reason = std::get_if<GiveUp>(&verdict)) {
    how.given_up = reason->condition;
    how.runs = reason->runs;
  } else {
    how.runs = event->progress.runs + 1;
    counted.succeeded.add();
  }
  co_await end(event, std::move(how), std::move(made));
}

Async<void> AsyncPlane::retry(EventPtr event, RetryAt retry, Attempt attempt) {
  event->progress.runs = retry.runs;
  event->progress.throttles = retry.throttles;
  event->due = ceil_ms(retry.when);
  auto stored = co_await commit_until_stored(&worker_, &event->busy, "retry",
                                             [this, event, &attempt] { return store_->reschedule(event, attempt); });
  if (stored) lanes_.rescheduled(*event);
}

Async<void> AsyncPlane::end(EventPtr event, EventEnd end, std::optional<Attempt> attempt) {
  const auto config = catalog_.event_invoke_config(event->function);
  EndTargets targets{.on_success = config.on_success, .on_failure = config.on_failure};
  if (auto function = catalog_.resolve(event->function)) {
    targets.dead_letter = (*function)->dead_letter_arn;
    targets.role = (*function)->role;
  }
  auto ending = std::make_shared<Ending>();
  ending->event = event->id;
  ending->attempts = event->attempts;
  ending->runs = end.runs;
  ending->given_up = end.given_up;
  ending->at = end.at;
  const bool delivers =
      end.given_up ? !targets.on_failure.empty() || !targets.dead_letter.empty() : !targets.on_success.empty();
  if (delivers) {
    for (;;) {
      auto payload = co_await payload_of(event);
      if (payload) {
        ending->deliveries = deliveries_of(*event, *payload, end, targets);
        break;
      }
      log_.error("async_payload_unreadable", {{"request_id", event->request_id}, {"reason", payload.error().detail}});
      if (worker_.stopping) co_return;  // the next start decides again
      event->busy.release();
      co_await system_.host_clock.sleep_for(1s);
      event->busy = system_.activity.begin();
    }
  }
  ending->attempt = std::move(attempt);
  auto stored =
      co_await commit_until_stored(&worker_, &event->busy, "end", [this, &ending] { return store_->end(ending); });
  if (!stored) co_return;
  if (end.given_up) {
    metrics_
        .counter("lambdad_async_events_dropped_total", "Asynchronous events given up, by condition.",
                 {{"function", event->function.name}, {"condition", std::string(to_string(*end.given_up))}})
        .add();
    log_.warn("async_event_dropped",
              {{"function", event->function.arn().str()},
               {"event", event->id},
               {"request_id", event->request_id},
               {"condition", to_string(*end.given_up)},
               {"attempts", end.runs},
               {"on_failure", targets.on_failure.empty() ? "none" : targets.on_failure},
               {"dead_letter_queue", targets.dead_letter.empty() ? "none" : targets.dead_letter}});
  } else if (ending->attempt) {
    remember(*event, *ending->attempt);
  }
  lanes_.ended(*event);
  auto deliveries = std::move(ending->deliveries);
  for (std::size_t i = 0; i < deliveries.size(); ++i) deliveries[i].id = (*stored)[i];
  if (!deliveries.empty()) outbox_.add(std::move(deliveries));
}

Async<Result<std::string>> AsyncPlane::payload_of(EventPtr event) {
  if (event->payload) co_return *event->payload;
  co_return co_await store_->payload(event->id);
}

void AsyncPlane::remember(const Event& event, Attempt attempt) {
  if (limits_.recent_max == 0) return;
  if (recent_.size() >= limits_.recent_max) recent_.pop_front();
  Processed& processed = recent_.emplace_back();
  processed.event.id = event.id;
  processed.event.lane = event.lane;
  processed.event.function = event.function;
  processed.event.request_id = event.request_id;
  processed.event.progress = event.progress;
  processed.event.attempts = event.attempts;
  processed.event.payload_bytes = event.payload_bytes;
  processed.attempt = std::move(attempt);
}

// --- for people -----------------------------------------------------------------------------------------------------

Async<Result<void>> AsyncPlane::replay(std::int64_t id) {
  if (worker_.stopping) co_return fail(Errc::kUnavailable, "the daemon is stopping");
  auto busy = system_.activity.begin();
  auto revived = co_await store_->revive(id, from_epoch_ms(to_epoch_ms(system_.clock.wall())));
  if (!revived) co_return std::unexpected(std::move(revived).error());
  log_.info("async_event_replayed", {{"event", id}, {"request_id", revived->request_id}});
  auto event = std::make_shared<Tracked>();
  static_cast<Event&>(*event) = std::move(*revived);
  lanes_.accepted(std::move(event));
  co_return Result<void>();
}

Async<Result<void>> AsyncPlane::drop(std::int64_t id) {
  if (worker_.stopping) co_return fail(Errc::kUnavailable, "the daemon is stopping");
  auto details = co_await store_->show(id);
  if (!details) co_return std::unexpected(std::move(details).error());
  const Event event = std::move(details->shown.event);
  const bool queued = !details->shown.ended;
  if (queued && lanes_.withdraw(event) == Lanes::Withdrawn::kRuns) {
    co_return fail(Errc::kConflict, "an attempt of event {} is running", id);
  }
  auto dropped = co_await store_->drop(id);
  if (queued) {
    if (dropped) {
      lanes_.removed(event);
    } else {
      lanes_.put_back(event);
    }
  }
  if (dropped) log_.info("async_event_removed", {{"event", id}, {"request_id", event.request_id}});
  co_return dropped;
}

Async<void> AsyncPlane::stop() {
  worker_.stopping = true;
  co_await lanes_.stop();
  co_await attempts_.drain();
  co_await outbox_.stop();
  while (accepting_ > 0) co_await accepted_all_.wait();
  store_->close();
}

}  // namespace lambdad::invoke
