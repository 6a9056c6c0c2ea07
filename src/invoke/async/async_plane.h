#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "invoke/async/commit_until_stored.h"
#include "invoke/async/deliveries.h"
#include "invoke/async/event_store.h"
#include "invoke/async/lanes.h"
#include "invoke/async/outbox.h"
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
///   accept ─commit─▶ queued ─▶ attempt ─▶ ended: processed, or given up
///                       ▲          │          │ one commit: the event's end and the deliveries that it causes
///                       └──retry───┘          ▼
///                   (AWS's clock)         outbox ─▶ destinations, dead-letter queue
///
/// An event is accepted when its row is committed, and it ends in one commit with what is delivered because of it; a
/// crash repeats the attempt or the delivery it interrupted (at least once, as AWS promises) and nothing else. Attempt
/// counts and due times survive. Functions take turns (Lanes). What a function is when the attempt begins counts: code,
/// alias, retry settings, destinations and dead-letter queue are looked up then.
///
/// Ownership: owns store and tasks; borrows the rest. Threading: the loop only.
/// End: stop() lets running attempts and deliveries finish; what is not finished stays in the store.
class AsyncPlane {
 public:
  struct Limits {
    Lanes::Limits lanes = {};
    Outbox::Limits outbox = {};
    std::size_t recent_max = 1000;  ///< processed events that are remembered, in memory only
  };
  AsyncPlane(System& system, Logger& log, Metrics& metrics, std::unique_ptr<EventStore> store,
             ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog, ports::Target& targets, Limits limits);
  ~AsyncPlane();

  /// Takes up what an earlier run left. Call once, before accept().
  Result<void> start();
  /// Commits the event and returns; kUnavailable when nothing was accepted.
  Async<Result<void>> accept(ports::InvocationRequest request);
  Async<void> stop();

  /// Events that are accepted and not ended.
  std::size_t size() const { return lanes_.queued(); }
  /// Those of them that are in memory, waiting or running.
  std::size_t in_memory() const { return lanes_.in_memory(); }
  bool healthy() const { return store_->healthy(); }

  // For people: see and mend.

  /// A processed event, remembered for a while.
  struct Processed {
    Event event;
    Attempt attempt;  ///< the successful one
  };
  const std::deque<Processed>& recent() const { return recent_; }
  Async<Result<EventStore::Page>> list(EventStore::Filter filter) { return store_->list(std::move(filter)); }
  Async<Result<EventStore::Details>> show(std::int64_t id) { return store_->show(id); }
  /// Gives a dead event back to its function, with the same request id and an age of zero. kNotFound.
  Async<Result<void>> replay(std::int64_t id);
  /// Removes a queued or dead event. kNotFound; kConflict while an attempt of it runs.
  Async<Result<void>> drop(std::int64_t id);

 private:
  struct FunctionMetrics;
  FunctionMetrics& metrics_of(const ports::FunctionRef& function);
  Async<void> run(EventPtr event);
  Async<void> attempt(EventPtr event);
  Async<void> retry(EventPtr event, RetryAt retry, Attempt attempt);
  Async<void> end(EventPtr event, EventEnd end, std::optional<Attempt> attempt);
  Async<Result<std::string>> payload_of(EventPtr event);
  void remember(const Event& event, Attempt attempt);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  std::unique_ptr<EventStore> store_;
  ports::FunctionInvoker& invoker_;
  ports::FunctionCatalog& catalog_;
  Limits limits_;
  Worker worker_;
  std::unordered_map<std::string, std::unique_ptr<FunctionMetrics>> function_metrics_;  ///< by name
  std::deque<Processed> recent_;
  std::size_t accepting_ = 0;  ///< commits of accept() under way
  Notifier accepted_all_;
  Lanes lanes_;
  Outbox outbox_;
  TaskGroup attempts_;
};

}  // namespace lambdad::invoke
