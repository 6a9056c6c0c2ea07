#include "event_sources/sqs/sqs_runtime.h"

#include <algorithm>
#include <set>

#include "event_sources/mappings/batch_response.h"
#include "system/either.h"

namespace lambdad::event_sources {

using Kind = ports::InvocationOutcome::Kind;

namespace {
// Source: SQS API reference, ReceiveMessage.
constexpr int kReceiveMax = 10;
constexpr Duration kWaitMax = 20s;
// Between attempts of a batch that was throttled, on AWS's clock. Source: reference B.0, observed 0.5 to 1 s, doubling.
constexpr Duration kRetryMin = 500ms;
constexpr Duration kRetryMax = 20s;
// A batch is not tried again within this time before its messages come back.
constexpr Duration kExpiryMargin = 1s;
// Between calls to a queue that cannot be reached or is gone; real time.
constexpr Duration kQueueErrorMin = 250ms;
constexpr Duration kQueueErrorMax = 10s;
// On top of window and function timeout, when the queue's visibility timeout is below their sum. Source: Lambda
// Developer Guide, "Using Lambda with Amazon SQS".
constexpr Duration kVisibilityReserve = 30s;
}  // namespace

SqsSettings SqsSettings::of(const Mapping& mapping) {
  const auto& c = mapping.configuration;
  SqsSettings settings;
  settings.mapping_uuid = mapping.uuid();
  settings.queue = mapping.source;
  settings.fifo = mapping.source.resource.ends_with(".fifo");
  settings.function = mapping.function;
  settings.batch_size = c.batch_size.value_or(10);
  settings.window = std::chrono::seconds(c.maximum_batching_window_in_seconds.value_or(0));
  settings.report_batch_item_failures =
      c.function_response_types &&
      std::ranges::find(*c.function_response_types, "ReportBatchItemFailures") != c.function_response_types->end();
  if (c.scaling_config) settings.maximum_concurrency = c.scaling_config->maximum_concurrency;
  if (const auto& provisioned = c.provisioned_poller_config) {
    settings.provisioned = {.minimum = provisioned->minimum_pollers.value_or(0),
                            .maximum = provisioned->maximum_pollers.value_or(0)};
  }
  if (c.filter_criteria) {
    auto filter = RecordFilter::compile(*c.filter_criteria, kSqsPayloadKey);
    LD_CHECK(filter.has_value(), "a filter that was accepted compiles: {}", mapping.uuid());
    settings.filter = std::move(*filter);
  }
  return settings;
}

class SqsRuntime::Counted {
 public:
  explicit Counted(SqsRuntime& runtime) : runtime_(runtime) {
    ++runtime_.pollers_;
    runtime_.pollers_gauge_.add(1);
  }
  ~Counted() {
    --runtime_.pollers_;
    runtime_.pollers_gauge_.add(-1);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  SqsRuntime& runtime_;
};

SqsRuntime::SqsRuntime(SourceContext context, SqsSettings settings, SqsPollerLimits limits,
                       std::shared_ptr<MappingCounts> counts)
    : context_(context),
      settings_(std::move(settings)),
      limits_(limits),
      queue_(context.api, context.system.clock, settings_.queue),
      style_(SqsRecordStyle::of(settings_.queue, settings_.window)),
      counts_(std::move(counts)),
      polled_{counter("polled", "PolledEventCount: records received from event sources."), counts_->polled},
      filtered_out_{counter("filtered_out", "FilteredOutEventCount: records that no filter wanted."),
                    counts_->filtered_out},
      invoked_{counter("invoked", "InvokedEventCount: records given to functions."), counts_->invoked},
      failed_{counter("failed_invoke", "FailedInvokeEventCount: records whose processing failed."),
              counts_->failed_invoke},
      deleted_{counter("deleted", "DeletedEventCount: records deleted from their source."), counts_->deleted},
      pollers_gauge_(context.metrics.gauge("lambdad_esm_pollers", "Pollers of event source mappings.",
                                           {{"mapping", settings_.mapping_uuid}})),
      allowed_(pollers_max()),
      stop_asked_(context.system.loop),
      polling_(context.system.loop),
      batches_(context.system.loop) {}

SqsRuntime::~SqsRuntime() = default;

Counter& SqsRuntime::counter(std::string_view name, std::string_view help) {
  return context_.metrics.counter(fmt::format("lambdad_esm_{}_events_total", name), help,
                                  {{"mapping", settings_.mapping_uuid}});
}

void SqsRuntime::start() {
  do {
    add_poller();
  } while (pollers_ < pollers_idle());
}

Async<void> SqsRuntime::stop_polling() {
  stopping_ = true;
  stop_asked_.notify_all();
  co_await polling_.stop();
  waiting_.clear();
}

Async<void> SqsRuntime::drain() { co_await batches_.drain(); }

// --- how many pollers -----------------------------------------------------------------------------------------------

int SqsRuntime::pollers_max() const {
  if (settings_.provisioned) return settings_.provisioned->maximum * limits_.provisioned_concurrency;
  return settings_.maximum_concurrency.value_or(limits_.pollers_max);
}

int SqsRuntime::pollers_idle() const {
  const int wanted = settings_.provisioned ? settings_.provisioned->minimum : limits_.pollers_idle;
  return std::max(1, std::min(wanted, allowed_));
}

void SqsRuntime::add_poller() {
  if (stopping_) return;
  polling_.spawn("sqs poller", run_poller(std::make_unique<Counted>(*this)));
}

void SqsRuntime::scale(bool backlog) {
  const int at_once = std::min(limits_.pollers_at_backlog, allowed_);
  if (backlog) {
    while (!stopping_ && pollers_ < at_once) add_poller();
  } else if (free_pollers() == 0 && pollers_ < at_once) {
    add_poller();
  }
  if (free_pollers() == 0 && pollers_ < allowed_ && !growing_ && !stopping_) {
    growing_ = true;
    polling_.spawn("sqs growth", grow());
  }
}

Async<void> SqsRuntime::grow() {
  struct Ended {
    bool& growing;
    ~Ended() { growing = false; }
  } ended{growing_};
  co_await context_.system.clock.sleep_for(settings_.provisioned ? limits_.provisioned_growth_interval
                                                                 : limits_.growth_interval);
  // Should this one find a batch too, that is reason for the next.
  if (free_pollers() == 0 && pollers_ < allowed_) add_poller();
}

void SqsRuntime::back_off() { allowed_ = std::max(1, std::min(allowed_, pollers_) / 2); }

// --- receiving ------------------------------------------------------------------------------------------------------

Async<void> SqsRuntime::run_poller(std::unique_ptr<Counted> counted) {
  std::optional<MonoTime> window_end;
  std::optional<Promise<bool>> settled;  // the batch before: its messages are deleted while the next ones are received
  for (;;) {
    BatchPtr batch = co_await collect(window_end);
    if (settled) co_await settled->get();
    if (!batch) break;
    ++busy_;
    const bool backlog = batch->full;
    const Promise<bool> answered = batch->answered;
    settled = batch->settled;
    batches_.spawn("sqs batch", process(std::move(batch), context_.system.activity.begin()));
    scale(backlog);
    co_await answered.get();
    if (pollers_ > allowed_) break;
    window_end = context_.system.clock.mono() + settings_.window;
  }
  counted.reset();  // now, not when the frame goes: the others look at the number
}

Async<SqsRuntime::BatchPtr> SqsRuntime::collect(std::optional<MonoTime> window_end) {
  Clock& clock = context_.system.clock;
  auto batch = std::make_shared<Batch>(context_.system.loop);
  take_waiting(*batch);
  bool open = false;  // the window's end is known
  bool last = false;
  Duration pause = kQueueErrorMin;
  while (!batch->full && !last) {
    Duration wait = kWaitMax;
    if (!batch->records.empty()) {
      if (settings_.window <= Duration::zero()) break;
      const MonoTime now = clock.mono();
      if (!open) {
        open = true;
        if (!window_end || *window_end <= now) window_end = now + settings_.window;
      }
      wait = std::min(kWaitMax, *window_end - now);
      if (wait <= Duration::zero()) break;
      if (wait < 1s) {
        // A long poll lasts whole seconds, and one that is cancelled may lose messages until they come back.
        co_await clock.sleep_until(*window_end);
        wait = Duration::zero();
        last = true;
      }
    }
    auto received = co_await receive(batch, std::chrono::floor<std::chrono::seconds>(wait));
    if (!received) {
      context_.log.warn("sqs_poll_failed", {{"mapping", settings_.mapping_uuid},
                                            {"queue", settings_.queue.str()},
                                            {"reason", received.error().message}});
      problem_ = fmt::format("the queue cannot be polled: {}", received.error().message);
      if (!batch->records.empty()) break;
      if (pollers_ > 1) co_return nullptr;
      co_await context_.system.host_clock.sleep_for(pause);
      pause = std::min(pause * 2, kQueueErrorMax);
      continue;
    }
    pause = kQueueErrorMin;
    problem_.clear();
    if (*received == 0 && batch->records.empty() && pollers_ > pollers_idle()) {
      co_return nullptr;
    }
  }
  co_return batch;
}

Async<aws::Outcome<std::size_t>> SqsRuntime::receive(BatchPtr batch, std::chrono::seconds wait) {
  if (auto known = co_await queue_.refresh(); !known) co_return std::unexpected(std::move(known).error());
  Duration visibility = queue_.visibility_timeout();
  std::optional<std::chrono::seconds> own_visibility;
  if (settings_.window > Duration::zero()) {
    const auto function = context_.catalog.resolve(settings_.function);
    const Duration needed = settings_.window + (function ? (*function)->timeout : Duration::zero());
    if (visibility < needed) {
      own_visibility = std::chrono::ceil<std::chrono::seconds>(needed + kVisibilityReserve);
      visibility = *own_visibility;
    }
  }
  const int room = settings_.batch_size - static_cast<int>(batch->records.size());
  auto received = co_await queue_.receive(std::min(kReceiveMax, room), wait, own_visibility);
  if (!received) co_return std::unexpected(std::move(received).error());
  const json::Array* messages = received->messages();
  if (messages == nullptr) co_return std::size_t{0};
  const MonoTime expires = context_.system.clock.mono() + visibility;
  polled_.add(messages->size());
  std::vector<std::string> unwanted;
  bool in_order = true;
  for (const json::Value& message : *messages) {
    auto record = make_record(message, style_);
    if (!record) {
      context_.log.error("sqs_message_unreadable", {{"mapping", settings_.mapping_uuid}});
      continue;
    }
    if (settings_.filter && !settings_.filter->wants(record->text)) {
      unwanted.push_back(std::move(record->receipt_handle));
      continue;
    }
    if (!in_order || (!batch->full && add(*batch, *record, expires))) continue;
    // Another poller would run the rest of a message group beside its beginning; so in a FIFO queue the rest comes back
    // with its visibility timeout, which keeps the group in order.
    in_order = !settings_.fifo;
    if (!in_order) continue;
    waiting_.push_back({std::move(*record), expires});
  }
  const std::size_t count = messages->size();
  if (!unwanted.empty()) {
    filtered_out_.add(unwanted.size());
    batches_.spawn("sqs unwanted", remove_unwanted(std::move(unwanted), context_.system.activity.begin()));
  }
  co_return count;
}

// Should it fail, they come back and are judged again.
Async<void> SqsRuntime::remove_unwanted(std::vector<std::string> receipt_handles, Activity::Token) {
  const auto result = co_await queue_.remove(std::move(receipt_handles));
  deleted_.add(result.deleted);
}

Async<RuntimeStatus> SqsRuntime::status() {
  RuntimeStatus status{.pollers = pollers_,
                       .busy = busy_,
                       .pollers_max = allowed_,
                       .last_result = last_result_,
                       .last_result_at = last_result_at_,
                       .problem = problem_,
                       .lag = {}};
  if (auto backlog = co_await queue_.backlog()) {
    status.lag.emplace();
    status.lag->append("messages", backlog->visible);
    status.lag->append("in_flight", backlog->in_flight);
    status.lag->append("delayed", backlog->delayed);
  }
  co_return status;
}

void SqsRuntime::note(std::string result) {
  last_result_ = std::move(result);
  last_result_at_ = context_.system.clock.wall();
}

// False when the event would become too large; a single record is taken however large it is.
bool SqsRuntime::add(Batch& batch, SqsRecord& record, MonoTime expires) {
  if (!batch.records.empty() &&
      event_bytes(batch.records.size() + 1, batch.text_bytes + record.text.size()) > kEventBytesMax) {
    batch.full = true;
    return false;
  }
  batch.text_bytes += record.text.size();
  batch.records.push_back(std::move(record));
  batch.expires = std::min(batch.expires.value_or(expires), expires);
  batch.full = batch.records.size() >= static_cast<std::size_t>(settings_.batch_size);
  return true;
}

void SqsRuntime::take_waiting(Batch& batch) {
  const MonoTime now = context_.system.clock.mono();
  while (!waiting_.empty() && !batch.full) {
    Waiting& next = waiting_.front();
    // One whose time has passed may be with somebody else already.
    if (next.expires > now + kExpiryMargin && !add(batch, next.record, next.expires)) break;
    waiting_.pop_front();
  }
}

// --- one batch ------------------------------------------------------------------------------------------------------

Async<void> SqsRuntime::process(BatchPtr batch, Activity::Token token) {
  System& system = context_.system;
  std::string payload = make_event(batch->records);
  const std::size_t count = batch->records.size();
  bool given = false;
  for (Duration pause = kRetryMin;; pause = std::min(pause * 2, kRetryMax)) {
    ports::InvocationRequest request;
    request.function = settings_.function;
    request.request_id = system.random.uuid_v4();
    request.payload = payload;
    request.plane = ports::Plane::kPoller;
    // The invoker holds an activity of its own while the function runs.
    token.release();
    auto outcome = co_await context_.invoker.invoke(std::move(request));
    token = system.activity.begin();
    if (outcome.kind == Kind::kSuccess || outcome.kind == Kind::kFunctionError) {
      if (!std::exchange(given, true)) invoked_.add(count);
    }
    if (outcome.kind == Kind::kSuccess) {
      --busy_;
      batch->answered.set(true);
      note("OK");
      co_await settle(batch, std::move(outcome.payload));
      allowed_ = std::min(allowed_ + 1, pollers_max());
      break;
    }
    if (outcome.kind == Kind::kFunctionError || outcome.kind == Kind::kNoSuchFunction) {
      failed_.add(count);
      note(outcome.kind == Kind::kFunctionError ? "PROBLEM: Function call failed" : "PROBLEM: Function does not exist");
      if (!settings_.report_batch_item_failures || outcome.kind == Kind::kNoSuchFunction) back_off();
      break;
    }
    note(outcome.kind == Kind::kThrottled ? "PROBLEM: Function call was throttled"
                                          : "PROBLEM: Function could not be run");
    // Throttled, or the function could not be run for the moment: the same batch again, as long as it is ours. The
    // jitter keeps the pollers of a throttled function from coming back together.
    back_off();
    const Duration jitter = Duration(static_cast<std::int64_t>(system.random.below(pause.count() / 4)));
    const MonoTime again = system.clock.mono() + pause + jitter;
    if (stopping_ || again + kExpiryMargin > *batch->expires) {
      failed_.add(count);
      context_.log.warn("sqs_batch_given_back",
                        {{"mapping", settings_.mapping_uuid},
                         {"function", settings_.function.arn().str()},
                         {"messages", count},
                         {"reason", outcome.kind == Kind::kThrottled ? "throttled" : outcome.detail}});
      break;
    }
    token.release();
    co_await wait_until(stop_asked_, system.clock, again);
    if (stopping_) break;
  }
  if (batch->answered.set(true)) --busy_;
  batch->settled.set(true);
}

Async<void> SqsRuntime::settle(BatchPtr batch, std::string response) {
  std::set<std::string, std::less<>> failed;
  if (settings_.report_batch_item_failures) {
    std::set<std::string_view, std::less<>> known;
    for (const SqsRecord& record : batch->records) known.insert(record.message_id);
    auto reported = reported_failures(response, known);
    if (!reported) {
      failed_.add(batch->records.size());
      note("PROBLEM: Function response is no list of batch item failures");
      context_.log.warn("batch_response_invalid",
                        {{"mapping", settings_.mapping_uuid}, {"function", settings_.function.arn().str()}});
      co_return;
    }
    failed = std::move(*reported);
  }
  std::vector<std::string> handles;
  for (SqsRecord& record : batch->records) {
    if (!failed.contains(record.message_id)) handles.push_back(std::move(record.receipt_handle));
  }
  failed_.add(batch->records.size() - handles.size());
  if (handles.empty()) co_return;
  const auto result = co_await queue_.remove(std::move(handles));
  deleted_.add(result.deleted);
  if (result.failed > 0) {
    // They will be delivered again; that is the function's to bear (at least once).
    context_.log.warn("sqs_delete_failed",
                      {{"mapping", settings_.mapping_uuid}, {"messages", result.failed}, {"reason", result.reason}});
  }
}

}  // namespace lambdad::event_sources
