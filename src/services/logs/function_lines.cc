#include "services/logs/function_lines.h"

#include <algorithm>
#include <utility>

namespace lambdad::logs {

namespace {
// A line's place in the batch beside its bytes, so that empty lines count too.
constexpr std::size_t kLineOverheadBytes = sizeof(NewEvent);
constexpr std::size_t kAllowancesMax = 1024;
}  // namespace

FunctionLines::FunctionLines(System& system, Logger& log, Metrics& metrics, Store& store, LiveTail& tail,
                             Options options)
    : system_(system),
      log_(log),
      store_(store),
      tail_(tail),
      options_(options),
      tried_changed_(system.loop),
      tasks_(system.loop),
      events_(metrics.counter("lambdad_function_log_events_total", "Log events of functions that were stored.")),
      dropped_(metrics.counter("lambdad_function_log_events_dropped_total",
                               "Log events of functions that were dropped because too many waited to be stored.")) {
  metrics.on_scrape([this, &gauge = metrics.gauge("lambdad_function_log_buffered_bytes",
                                                  "Log events of functions that wait to be stored.")] {
    gauge.set(static_cast<double>(buffered_bytes_));
  });
}

FunctionLines::~FunctionLines() = default;

void FunctionLines::append(const ports::FunctionVersion& function, const std::string& stream, WallTime time,
                           std::string message) {
  if (stopped_) {
    dropped_.add();
    return;
  }
  const std::size_t index = stream_of(function, stream);
  Batch::Stream& lines = batch_->streams[index];
  Allowance& allowance = *allowance_[index];
  const std::size_t size = message.size() + kLineOverheadBytes;
  const bool floods = allowance.bytes < static_cast<double>(size);
  if (!floods) allowance.bytes -= static_cast<double>(size);
  if (floods || buffered_bytes_ + size > options_.buffered_bytes_max) {
    ++lines.dropped_events;
    lines.dropped_bytes += message.size();
    dropped_.add();
  } else {
    lines.events.push_back({to_epoch_ms(time), std::move(message)});
    batch_bytes_ += size;
    buffered_bytes_ += size;
  }
  if (batch_bytes_ >= options_.batch_bytes) {
    write_now();
  } else {
    write_soon();
  }
}

FunctionLines::Allowance* FunctionLines::allowance_of(const GroupKey& group) {
  const MonoTime now = system_.host_clock.mono();
  const auto filled = [&](const Allowance& allowance) {
    return std::min(options_.group_burst_bytes,
                    allowance.bytes + to_seconds(now - allowance.at) * options_.group_bytes_per_second);
  };
  if (allowances_.size() >= kAllowancesMax && batch_->streams.empty()) {
    // Full ones are as good as new ones; no stream of a batch refers to them now.
    std::erase_if(allowances_, [&](const auto& entry) { return filled(entry.second) >= options_.group_burst_bytes; });
  }
  const auto [place, is_new] = allowances_.try_emplace(fmt::format("{}/{}/{}", group.account, group.region, group.name),
                                                       Allowance{options_.group_burst_bytes, now});
  if (!is_new) place->second = {filled(place->second), now};
  return &place->second;
}

std::size_t FunctionLines::stream_of(const ports::FunctionVersion& function, const std::string& stream) {
  if (!batch_) batch_ = std::make_shared<Batch>();
  const auto is_it = [&](const Batch::Stream& lines) {
    return lines.name == stream && lines.group.name == function.log_group && lines.group.account == function.account &&
           lines.group.region == function.region;
  };
  auto& streams = batch_->streams;
  // Lines come in runs of one stream.
  if (!streams.empty() && is_it(streams.back())) return streams.size() - 1;
  for (auto [place, end] = by_stream_.equal_range(stream); place != end; ++place) {
    if (is_it(streams[place->second])) return place->second;
  }
  const GroupKey group{function.account, function.region, function.log_group};
  allowance_.push_back(allowance_of(group));
  by_stream_.emplace(stream, streams.size());
  streams.emplace_back(Batch::Stream{.group = group, .name = stream, .events = {}});
  return streams.size() - 1;
}

void FunctionLines::write_soon() {
  // A write that runs looks for more when it is done; one that failed has its own timer.
  if (timer_runs_ || write_runs_) return;
  timer_runs_ = true;
  tasks_.spawn("function log timer", wait_and_write(options_.delay));
}

void FunctionLines::write_now() {
  // What failed is not tried again for every line that comes in.
  if (write_runs_ || (writing_ && timer_runs_)) return;
  if (!writing_ && !batch_) return;
  write_runs_ = true;
  tasks_.spawn("function log write", write());
}

Async<void> FunctionLines::wait_and_write(Duration delay) {
  co_await system_.host_clock.sleep_for(delay);
  timer_runs_ = false;
  write_now();
}

Async<void> FunctionLines::write() {
  if (!writing_) {
    writing_ = std::exchange(batch_, nullptr);
    by_stream_.clear();
    allowance_.clear();
    writing_number_ = batch_number_++;
    writing_bytes_ = std::exchange(batch_bytes_, 0);
  }
  Result<void> stored;
  const std::int64_t now = to_epoch_ms(system_.clock.wall());
  {
    auto token = system_.activity.begin();
    stored = co_await store_.append(writing_, now);
  }
  tried_ = writing_number_;
  write_runs_ = false;
  if (stored) {
    std::size_t count = 0;
    for (const Batch::Stream& stream : writing_->streams) count += stream.events.size();
    events_.add(count);
    show_live(*writing_, now);
    buffered_bytes_ -= writing_bytes_;
    writing_.reset();
    if (batch_) batch_bytes_ >= options_.batch_bytes ? write_now() : write_soon();
  } else {
    log_.error("function_log_not_stored", {{"error", stored.error().detail}, {"bytes", writing_bytes_}});
    if (!timer_runs_) {
      timer_runs_ = true;
      tasks_.spawn("function log retry", wait_and_write(options_.retry_delay));
    }
  }
  tried_changed_.notify_all();
}

void FunctionLines::show_live(const Batch& batch, std::int64_t now) {
  for (const Batch::Stream& stream : batch.streams) {
    if (!tail_.watches(stream.group)) continue;
    std::vector<NewEvent> events;
    events.reserve(stream.events.size());
    for (const NewEvent& event : stream.events) events.push_back({event.timestamp, stored_message(event.message)});
    tail_.ingested(stream.group, stream.name, events, now);
  }
}

Async<void> FunctionLines::flushed() {
  // After a failure the older batch has to go first, and its retry decides when.
  const std::uint64_t wanted = writing_ && !write_runs_ ? tried_ : batch_ ? batch_number_ : batch_number_ - 1;
  while (tried_ < wanted && !(writing_ && !write_runs_)) {
    write_now();
    co_await tried_changed_.wait();
  }
}

Async<void> FunctionLines::stop() {
  stopped_ = true;
  if (writing_ && !write_runs_) {
    // The last attempt does not wait for the retry.
    write_runs_ = true;
    tasks_.spawn("function log last write", write());
    while (write_runs_) co_await tried_changed_.wait();
  }
  co_await flushed();
  if (buffered_bytes_ > 0) log_.error("function_log_lost", {{"bytes", buffered_bytes_}});
  co_await tasks_.stop();
}

}  // namespace lambdad::logs
