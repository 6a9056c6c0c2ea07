#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "execution/environment.h"
#include "observe/log.h"
#include "system/system.h"

namespace lambdad::scheduler {

struct PoolLimits {
  Duration freeze_after = 50ms;  ///< idle time until the processes are stopped; shorter would cost warm invocations
  Duration reap_after = 600s;    ///< idle time until an environment goes away
  /// How long an invocation waits for an environment that has just answered before another one is made.
  Duration settle_patience = 3ms;
};

/// The execution environments of one function snapshot on this node.
///
/// An environment is ready (idle, may be handed out), busy, settling (answered, not yet back in next) or being made.
/// acquire() hands out the one used last, so that caches are warm and spare ones grow old together; when there is none,
/// it makes one, and takes whichever becomes available first. Waiting invocations are served in order.
/// Ownership: owns its environments. Threading: the loop only.
/// Invariant: environments being made <= waiting invocations at the moment one is begun.
/// End: stop() shuts idle ones down, waits for busy ones, then for all; must be awaited before destruction.
class EnvironmentPool {
 public:
  using EnvironmentPtr = std::shared_ptr<execution::Environment>;

  EnvironmentPool(System& system, Logger& log, execution::EnvironmentFactory factory,
                  ports::FunctionVersionPtr function, PoolLimits limits);
  ~EnvironmentPool();

  /// An environment for one invocation; give it back with release(). The error of making one, or kClosed after stop().
  Async<Result<EnvironmentPtr>> acquire();
  void release(EnvironmentPtr environment);

  /// Freezes and reaps what has been idle long enough. Returns when to look again; nullopt: nothing is idle.
  std::optional<MonoTime> sweep(MonoTime now);
  Async<void> stop();

  const ports::FunctionVersionPtr& function() const { return function_; }
  std::size_t size() const { return environments_.size(); }
  std::size_t idle() const { return ready_.size(); }
  bool empty() const { return environments_.empty() && waiters_.empty() && making_ == 0; }

 private:
  struct Ready {
    EnvironmentPtr environment;
    MonoTime since;
    bool frozen = false;
  };
  using Waiter = Promise<Result<EnvironmentPtr>>;

  void make_enough(bool count_settling);
  Async<void> make_one();
  void settled(execution::Environment* environment);
  Async<void> lose_patience();
  void offer(EnvironmentPtr environment);
  void retire(EnvironmentPtr environment);
  Async<void> shut_down(EnvironmentPtr environment);

  System& system_;
  Logger& log_;
  execution::EnvironmentFactory factory_;
  ports::FunctionVersionPtr function_;
  PoolLimits limits_;
  std::unordered_map<const execution::Environment*, EnvironmentPtr> environments_;  ///< all that exist
  std::vector<Ready> ready_;                                                        ///< back: used last
  std::vector<EnvironmentPtr> settling_;
  std::deque<Waiter> waiters_;
  std::size_t making_ = 0;
  bool impatient_soon_ = false;
  bool stopping_ = false;
  Notifier emptied_;
  TaskGroup tasks_;
};

}  // namespace lambdad::scheduler
