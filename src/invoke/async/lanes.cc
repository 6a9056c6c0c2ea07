#include "invoke/async/lanes.h"

#include <algorithm>
#include <list>

#include "system/either.h"

namespace lambdad::invoke {

namespace {
constexpr std::size_t kReadsMax = 4;            // at a time: the store has one reader
constexpr std::size_t kReadLeast = 8;           // events that a lane may read although memory is full
constexpr std::size_t kReadBytesMax = 8 << 20;  // payloads that come along with one read
constexpr Duration kReadAgainAfter = 1s;        // real time, when a read failed

std::string key_of(const ports::FunctionRef& function) {
  return fmt::format("{}:{}:{}", function.account, function.region, function.name);
}
}  // namespace

struct Lanes::Lane {
  std::int64_t id = 0;
  ports::FunctionRef function;
  bool is_stored = false;     ///< its row is committed
  std::list<EventPtr> ready;  ///< a list: most lanes of most daemons are empty, and a deque never is
  std::size_t running = 0;
  bool in_turn = false;
  bool in_turn_of_idle = false;
  Window window;
  bool in_to_read = false;
  std::optional<WallTime> watched;  ///< its entry in waiting_
  Activity::Token reading;          ///< from the wish to read until what was read is taken up
};

Lanes::Lanes(System& system, Logger& log, EventStore& store, Limits limits, std::function<void(EventPtr)> begin)
    : system_(system),
      log_(log),
      store_(store),
      limits_(limits),
      begin_(std::move(begin)),
      due_changed_(system.loop),
      tasks_(system.loop) {}

Lanes::~Lanes() = default;

void Lanes::start(EventStore::Loaded loaded) {
  lane_last_ = loaded.lane_last;
  const WallTime now = system_.clock.wall();
  for (auto& row : loaded.lanes) {
    auto& kept = lanes_[row.id] = std::make_unique<Lane>();
    kept->id = row.id;
    kept->function = std::move(row.function);
    kept->is_stored = true;
    by_function_.emplace(key_of(kept->function), kept.get());
    queued_ += static_cast<std::size_t>(row.queued);
    if (!row.first_due) continue;
    // Of what is due later than the first nothing is known yet: the first read finds it.
    kept->window.leave_behind(*row.first_due, now);
    watch(*kept);
    read_on_if_low(*kept);
  }
  tasks_.spawn("async due times", watch_due());
}

Async<void> Lanes::stop() {
  stopping_ = true;
  co_await tasks_.stop();
}

Lanes::Lane& Lanes::lane(std::int64_t id) {
  const auto found = lanes_.find(id);
  LD_CHECK(found != lanes_.end(), "there is no lane {}", id);
  return *found->second;
}

Lanes::Place Lanes::place_of(const ports::FunctionRef& function) {
  Lane*& known = by_function_[key_of(function)];
  if (known == nullptr) {
    auto made = std::make_unique<Lane>();
    made->id = ++lane_last_;
    made->function = {function.account, function.region, function.name, ""};
    known = made.get();
    lanes_.emplace(made->id, std::move(made));
  }
  return {known->id, known->is_stored ? EventStore::LaneIs::kKnown : EventStore::LaneIs::kNew};
}

void Lanes::accepted(EventPtr event) {
  Lane& of = lane(event->lane);
  of.is_stored = true;
  ++queued_;
  if (stopping_ || of.window.holds(event->id)) return;  // a read has been quicker
  const bool has_room = of.ready.size() < limits_.head_max && in_memory_ < limits_.events_in_memory_max;
  if (!of.window.more() && has_room) {
    take_up(of, std::move(event));
    dispatch();
  } else {
    of.window.leave_behind(event->due, system_.clock.wall());
    watch(of);
    read_on_if_low(of);
  }
}

// --- what is in memory ----------------------------------------------------------------------------------------------

void Lanes::take_up(Lane& of, EventPtr event) {
  of.window.hold(event->id);
  ++in_memory_;
  if (event->payload && payload_memory_ + event->payload_bytes > limits_.payload_memory_max) event->payload.reset();
  if (event->payload) payload_memory_ += event->payload_bytes;
  of.ready.push_back(std::move(event));
  take_turn(of);
}

void Lanes::let_go(Lane& of, const Event& event) {
  of.window.let_go(event.id);
  --in_memory_;
  if (event.payload) payload_memory_ -= event.payload_bytes;
}

void Lanes::ended(const Tracked& event) {
  Lane& of = lane(event.lane);
  let_go(of, event);
  --queued_;
}

void Lanes::rescheduled(const Tracked& event) {
  Lane& of = lane(event.lane);
  let_go(of, event);
  of.window.leave_behind(event.due, system_.clock.wall());
  watch(of);
  read_on_if_low(of);
}

Lanes::Withdrawn Lanes::withdraw(const Event& event) {
  Lane& of = lane(event.lane);
  const auto waits = std::ranges::find(of.ready, event.id, [](const EventPtr& each) { return each->id; });
  if (waits != of.ready.end()) {
    const EventPtr taken = *waits;
    of.ready.erase(waits);
    let_go(of, *taken);
  } else if (of.window.holds(event.id)) {
    return Withdrawn::kRuns;
  }
  of.window.hold(event.id);  // no read takes it up meanwhile
  return Withdrawn::kYes;
}

void Lanes::removed(const Event& event) {
  lane(event.lane).window.let_go(event.id);
  --queued_;
}

void Lanes::put_back(const Event& event) {
  Lane& of = lane(event.lane);
  of.window.let_go(event.id);
  of.window.leave_behind(event.due, system_.clock.wall());
  watch(of);
  read_on_if_low(of);
}

// --- who runs when --------------------------------------------------------------------------------------------------

bool Lanes::may_run(const Lane& of) const { return !of.ready.empty() && of.running < limits_.running_per_function_max; }

void Lanes::take_turn(Lane& of) {
  if (!may_run(of)) return;
  if (of.running == 0 && !std::exchange(of.in_turn_of_idle, true)) turn_of_idle_.push_back(&of);
  if (of.running > 0 && !std::exchange(of.in_turn, true)) turn_.push_back(&of);
}

// Called whenever something becomes ready or an attempt ends: what is ready and not dispatched waits for attempts that
// run, and those count as activity.
void Lanes::dispatch() {
  while (!stopping_) {
    const bool any_idle = !turn_of_idle_.empty() && running_ < limits_.running_hard_max;
    const bool any_other = !turn_.empty() && running_ < limits_.running_max;
    if (!any_idle && !any_other) return;
    const bool idle = any_idle && (idle_first_ || !any_other);
    idle_first_ = !idle;
    auto& line = idle ? turn_of_idle_ : turn_;
    Lane& of = *line.front();
    line.pop_front();
    (idle ? of.in_turn_of_idle : of.in_turn) = false;
    if (!may_run(of)) continue;
    EventPtr event = std::move(of.ready.front());
    of.ready.pop_front();
    event->busy = system_.activity.begin();
    ++of.running;
    ++running_;
    take_turn(of);
    read_on_if_low(of);
    begin_(std::move(event));
  }
}

void Lanes::attempt_ended(const Tracked& event) {
  Lane& of = lane(event.lane);
  --running_;
  --of.running;
  take_turn(of);
  dispatch();
}

// --- what is in the store alone -------------------------------------------------------------------------------------

void Lanes::read_on_if_low(Lane& of) {
  if (!of.window.more() || of.window.reading() || of.in_to_read || stopping_) return;
  if (of.ready.size() > limits_.head_max / 4) return;
  of.in_to_read = true;
  of.reading = system_.activity.begin();
  to_read_.push_back(&of);
  start_reads();
}

void Lanes::start_reads() {
  while (!stopping_ && reads_ < kReadsMax && !to_read_.empty()) {
    Lane* of = to_read_.front();
    to_read_.pop_front();
    of->in_to_read = false;
    of->window.begin_read();
    ++reads_;
    tasks_.spawn("async read on", read_on(of));
  }
}

Async<void> Lanes::read_on(Lane* of) {
  const WallTime now = system_.clock.wall();
  const std::size_t room = limits_.events_in_memory_max - std::min(limits_.events_in_memory_max, in_memory_);
  const std::size_t head_room = limits_.head_max - std::min(limits_.head_max, of->ready.size());
  const std::size_t count = std::max(std::min(kReadLeast, limits_.head_max), std::min(head_room, room));
  const std::size_t payload_room = limits_.payload_memory_max - std::min(limits_.payload_memory_max, payload_memory_);
  auto due =
      co_await store_.due(of->id, of->function, now, of->window.held(), count, std::min(kReadBytesMax, payload_room));
  if (due) {
    for (Event& event : due->found) {
      if (!of->window.wants(event.id)) continue;
      auto kept = std::make_shared<Tracked>();
      static_cast<Event&>(*kept) = std::move(event);
      take_up(*of, std::move(kept));
    }
    of->window.end_read(due->all, due->next);
  } else {
    log_.error("async_read_failed", {{"function", of->function.arn().str()}, {"reason", due.error().detail}});
    of->reading.release();
    co_await system_.host_clock.sleep_for(kReadAgainAfter);
    of->window.end_read(false, std::nullopt);
  }
  --reads_;
  of->window.pass(system_.clock.wall());
  watch(*of);
  dispatch();
  of->reading.release();
  read_on_if_low(*of);
  start_reads();
}

// Keeps the lane's place among those that wait for a moment.
void Lanes::watch(Lane& of) {
  if (of.watched == of.window.next_due()) return;
  if (of.watched) waiting_.erase({*of.watched, of.id});
  of.watched = of.window.next_due();
  if (!of.watched) return;
  const auto [place, added] = waiting_.emplace(*of.watched, of.id);
  if (place == waiting_.begin()) due_changed_.notify_all();
}

Async<void> Lanes::watch_due() {
  for (;;) {
    const WallTime now = system_.clock.wall();
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      Lane& of = lane(waiting_.begin()->second);
      of.window.pass(now);
      watch(of);
      read_on_if_low(of);
    }
    if (waiting_.empty()) {
      co_await due_changed_.wait();
      continue;
    }
    co_await wait_until(due_changed_, system_.clock, system_.clock.mono() + (waiting_.begin()->first - now));
  }
}

}  // namespace lambdad::invoke
