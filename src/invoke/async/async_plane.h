#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "invoke/async/event_store.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "ports/targets.h"
#include "system/system.h"

namespace lambdad::invoke {

/// Largest event. Source: Lambda quotas, asynchronous payload.
inline constexpr std::size_t kEventBytesMax = 1048576;

/// Event invocations: a durable queue, and the consumer that runs functions from it.
///
///   accept ─commit─▶ ready ─▶ attempt ─▶ success: row removed
///                      ▲         ├─ retry: row updated, waits for its due time (AWS's clock)
///                      └─ due ◀──┘
///                                └─ given up: dead-letter queue, then row removed
///
/// An event is accepted when its row is committed, and its row goes only after the commit of what became of it; a crash
/// in between repeats the last attempt (at least once, as AWS promises). Attempt counts and due times survive.
/// Functions take turns, so a function with a long backlog delays no other. What a function is when the attempt begins
/// counts: code, configuration, retry settings and dead-letter queue are looked up then.
///
/// A dead-letter queue that cannot be reached for the moment is tried again; one that is gone or refuses loses the
/// event, counted in lambdad_async_dead_letter_errors_total and logged, as AWS does (DeadLetterErrors).
///
/// Ownership: owns store and tasks; borrows the rest. Threading: the loop only.
/// End: stop() lets running attempts finish; what is not finished stays in the store.
class AsyncPlane {
 public:
  struct Limits {
    std::size_t running_max = 256;               ///< attempts at a time
    std::size_t running_per_function_max = 32;   ///< of one function
    std::size_t payload_memory_max = 256 << 20;  ///< bytes of payloads kept in memory; the others are read when due
  };
  AsyncPlane(System& system, Logger& log, Metrics& metrics, std::unique_ptr<EventStore> store,
             ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog, ports::Target& dead_letters,
             Limits limits);
  ~AsyncPlane();

  /// Takes up what an earlier run left. Call once, before accept().
  Result<void> start();
  /// Commits the event and returns; kUnavailable when nothing was accepted.
  Async<Result<void>> accept(ports::InvocationRequest request);
  Async<void> stop();

  /// Events that are accepted and not finished.
  std::size_t size() const { return events_.size(); }
  bool healthy() const { return store_->healthy(); }

 private:
  struct Lane;  // the events of one function that are due, in order of becoming so
  struct Tracked : Event {
    /// Held from the dispatch to the end of the attempt, but not while somebody else (the invoker) works for the event
    /// or nothing but a pause goes on.
    Activity::Token busy;
  };
  using EventPtr = std::shared_ptr<Tracked>;

  Lane& lane_of(const ports::FunctionRef& function);
  void make_ready(EventPtr event);
  void wait_until_due(EventPtr event);
  void dispatch();
  Async<void> run(EventPtr event, Lane* lane);
  Async<void> attempt(EventPtr event);
  Async<void> give_up(EventPtr event, GiveUp reason, std::string error_payload);
  Async<bool> dead_letter(EventPtr event, GiveUp reason, std::string error_payload);
  Async<void> pause(EventPtr event, Duration length);
  Async<void> finish(EventPtr event);
  Async<void> watch_due();
  /// Repeats a commit until it succeeds: an attempt that was made must not be forgotten because the disk was full.
  template <class Commit>
  Async<void> insist(EventPtr event, const char* what, Commit commit);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  std::unique_ptr<EventStore> store_;
  ports::FunctionInvoker& invoker_;
  ports::FunctionCatalog& catalog_;
  ports::Target& dead_letters_;
  Limits limits_;
  Counter& received_;
  Counter& succeeded_;
  Counter& retries_;
  Counter& dead_letter_errors_;

  std::unordered_map<std::int64_t, EventPtr> events_;
  std::multimap<WallTime, EventPtr> waiting_;  ///< by due time
  std::map<std::string, std::unique_ptr<Lane>> lanes_;
  std::deque<Lane*> turn_;  ///< lanes that have something ready and may run it
  std::size_t running_ = 0;
  std::size_t payload_memory_ = 0;
  std::size_t accepting_ = 0;  ///< commits of accept() under way
  bool stopping_ = false;
  Notifier due_changed_;
  Notifier accepted_all_;
  TaskGroup attempts_;
  TaskGroup upkeep_;
};

}  // namespace lambdad::invoke
