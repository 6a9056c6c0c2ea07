#include "services/logs/live_tail.h"

#include <algorithm>
#include <utility>

namespace lambdad::logs {

bool LiveTail::Filter::takes(const GroupKey& group, const std::string& stream) const {
  if (std::ranges::find(groups, group) == groups.end()) return false;
  if (!streams.empty() && std::ranges::find(streams, stream) == streams.end()) return false;
  return stream_prefixes.empty() ||
         std::ranges::any_of(stream_prefixes, [&](const std::string& prefix) { return stream.starts_with(prefix); });
}

LiveTail::Session::Session(System& system, Filter filter)
    : system_(system), filter_(std::move(filter)), opened_(system.host_clock.mono()), changed_(system.loop) {}

void LiveTail::Session::offer(const GroupKey& group, const std::string& stream, const NewEvent& event,
                              std::int64_t now) {
  if (!filter_.pattern.matches(event.message)) return;
  ++matched_;
  const std::size_t size = event.message.size();
  auto& events = gathered_.events;
  if (events.size() == kTailEventsMax) {
    // Each of the events so far stays with the same probability.
    gathered_.sampled = true;
    const std::uint64_t place = system_.random.below(matched_);
    if (place >= kTailEventsMax) return;
    gathered_bytes_ -= events[place].message.size();
    events.erase(events.begin() + static_cast<std::ptrdiff_t>(place));
  }
  if (gathered_bytes_ + size > kTailBytesMax) {
    gathered_.sampled = true;
    return;
  }
  gathered_bytes_ += size;
  events.push_back({group, stream, event.message, event.timestamp, now});
}

void LiveTail::Session::end_of_second() {
  if (waiting_.size() == kTailUpdatesMax) waiting_.pop_front();
  waiting_.push_back(std::exchange(gathered_, {}));
  gathered_bytes_ = 0;
  matched_ = 0;
  changed_.notify_all();
}

Async<Result<LiveTail::Update>> LiveTail::Session::next() {
  for (;;) {
    if (!waiting_.empty()) {
      Update update = std::move(waiting_.front());
      waiting_.pop_front();
      co_return update;
    }
    if (closed_) co_return fail(Errc::kClosed, "the service ends");
    if (system_.host_clock.mono() - opened_ >= kTailSessionTime) {
      co_return fail(Errc::kTimedOut, "the session has been open for {}", format_duration(kTailSessionTime));
    }
    co_await changed_.wait();
  }
}

std::vector<std::shared_ptr<LiveTail::Session>> LiveTail::sessions() const {
  std::vector<std::shared_ptr<Session>> held;
  for (const auto& each : sessions_) {
    if (auto session = each.lock()) held.push_back(std::move(session));
  }
  return held;
}

Result<std::shared_ptr<LiveTail::Session>> LiveTail::open(Filter filter) {
  const GroupKey& mine = filter.groups.at(0);
  const auto held = sessions();
  const auto open_now = std::ranges::count_if(held, [&](const auto& session) {
    const GroupKey& theirs = session->filter_.groups.front();
    return theirs.account == mine.account && theirs.region == mine.region;
  });
  if (static_cast<std::size_t>(open_now) >= kTailSessionsMax) {
    return fail(Errc::kThrottled, "{} sessions are open", open_now);
  }
  auto session = std::make_shared<Session>(system_, std::move(filter));
  session->closed_ = closed_;
  sessions_.push_back(session);
  if (!closed_ && !std::exchange(runs_, true)) tasks_.spawn("live tail", run());
  return session;
}

bool LiveTail::watches(const GroupKey& group) const {
  return std::ranges::any_of(sessions_, [&](const auto& each) {
    const auto session = each.lock();
    return session != nullptr && std::ranges::find(session->filter_.groups, group) != session->filter_.groups.end();
  });
}

void LiveTail::ingested(const GroupKey& group, const std::string& stream, std::span<const NewEvent> events,
                        std::int64_t now) {
  for (const auto& session : sessions()) {
    if (!session->filter_.takes(group, stream)) continue;
    for (const NewEvent& event : events) session->offer(group, stream, event, now);
  }
}

Async<void> LiveTail::run() {
  MonoTime next = system_.host_clock.mono();
  for (;;) {
    next += 1s;
    co_await system_.host_clock.sleep_until(next);
    std::erase_if(sessions_, [](const auto& each) { return each.expired(); });
    if (sessions_.empty()) break;
    for (const auto& session : sessions()) session->end_of_second();
  }
  runs_ = false;
}

void LiveTail::close_sessions() {
  closed_ = true;
  for (const auto& session : sessions()) {
    session->closed_ = true;
    session->changed_.notify_all();
  }
}

Async<void> LiveTail::stop() {
  close_sessions();
  co_await tasks_.stop();
}

}  // namespace lambdad::logs
