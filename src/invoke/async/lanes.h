#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "invoke/async/event_store.h"
#include "invoke/async/window.h"
#include "observe/log.h"
#include "system/system.h"

namespace lambdad::invoke {

/// An event in memory.
struct Tracked : Event {
  /// Held from the dispatch to the end of the attempt, but not while somebody else (the invoker) works for the event
  /// or nothing but a pause goes on.
  Activity::Token busy;
};
using EventPtr = std::shared_ptr<Tracked>;

/// Which event runs next.
///
/// Every function has a lane. The head of a lane is in memory, the rest in the store alone, whatever its length; a lane
/// whose head runs low is read on. Lanes take turns, and one that runs nothing need not wait for those that run much,
/// so a function with a long backlog, or one that is slow, delays no other.
///
///   accepted ─▶ head in memory ─begin─▶ attempt ─▶ ended
///        └───▶ left in the store ─▶ head    └─▶ rescheduled: left in the store until its time (AWS's clock)
///
/// Ownership: owns its tasks; borrows the rest. Threading: the loop only. End: stop(), after which nothing begins.
class Lanes {
 public:
  struct Limits {
    std::size_t running_max = 256;        ///< attempts at a time; functions that run nothing may go beyond,
    std::size_t running_hard_max = 1024;  ///< up to this
    std::size_t running_per_function_max = 32;
    std::size_t head_max = 512;                  ///< events of a lane that wait in memory
    std::size_t events_in_memory_max = 65'536;   ///< over all lanes; each may have a few more
    std::size_t payload_memory_max = 256 << 20;  ///< bytes; other payloads are read when they are due
  };
  /// `begin` starts an attempt of the event; attempt_ended() says when it is over.
  Lanes(System& system, Logger& log, EventStore& store, Limits limits, std::function<void(EventPtr)> begin);
  ~Lanes();

  void start(EventStore::Loaded loaded);
  Async<void> stop();

  struct Place {
    std::int64_t lane;
    EventStore::LaneIs is;
  };
  /// Where an event of the function goes that is about to be stored.
  Place place_of(const ports::FunctionRef& function);
  /// The event is committed and due.
  void accepted(EventPtr event);

  // At the end of an attempt: what has become of the event, then attempt_ended(), whatever it was.
  void ended(const Tracked& event);        ///< it is not queued any more
  void rescheduled(const Tracked& event);  ///< it waits in the store until its due time
  void attempt_ended(const Tracked& event);

  enum class Withdrawn { kYes, kRuns };
  /// Takes an event out for somebody who is about to remove it from the store; then removed() or put_back().
  Withdrawn withdraw(const Event& event);
  void removed(const Event& event);
  void put_back(const Event& event);

  std::size_t queued() const { return queued_; }  ///< events that are accepted and not ended
  std::size_t in_memory() const { return in_memory_; }
  std::size_t running() const { return running_; }

 private:
  struct Lane;
  Lane& lane(std::int64_t id);
  void take_up(Lane& lane, EventPtr event);
  void let_go(Lane& lane, const Event& event);
  void take_turn(Lane& lane);
  bool may_run(const Lane& lane) const;
  void dispatch();
  void read_on_if_low(Lane& lane);
  void start_reads();
  Async<void> read_on(Lane* lane);
  void watch(Lane& lane);
  Async<void> watch_due();

  System& system_;
  Logger& log_;
  EventStore& store_;
  Limits limits_;
  std::function<void(EventPtr)> begin_;

  std::unordered_map<std::int64_t, std::unique_ptr<Lane>> lanes_;
  std::unordered_map<std::string, Lane*> by_function_;
  std::int64_t lane_last_ = 0;
  std::deque<Lane*> turn_;                               ///< lanes that have something ready and may run it
  std::deque<Lane*> turn_of_idle_;                       ///< those that ran nothing when they got in line
  bool idle_first_ = true;                               ///< whose turn it is
  std::set<std::pair<WallTime, std::int64_t>> waiting_;  ///< lanes by the due time of what they left behind
  std::deque<Lane*> to_read_;
  std::size_t reads_ = 0;
  std::size_t queued_ = 0;
  std::size_t in_memory_ = 0;
  std::size_t running_ = 0;
  std::size_t payload_memory_ = 0;
  bool stopping_ = false;
  Notifier due_changed_;
  TaskGroup tasks_;
};

}  // namespace lambdad::invoke
