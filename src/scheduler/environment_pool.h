#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "execution/environment.h"
#include "observe/log.h"
#include "scheduler/scaling_budget.h"
#include "system/system.h"

namespace lambdad::scheduler {

struct PoolLimits {
  Duration freeze_after = 50ms;  ///< idle time until the processes are stopped; shorter would cost warm invocations
  Duration reap_after = 600s;    ///< idle time until an environment goes away
  /// How long an invocation waits for an environment that has just answered before another one is made.
  Duration settle_patience = 3ms;
  /// Between tries to make an environment ahead of invocations; doubles up to the longer one.
  Duration keep_retry = 5s;
  Duration keep_retry_max = 300s;
};

/// The execution environments of one function snapshot on this node.
///
/// An environment is ready (idle, may be handed out), busy, settling (answered, not yet back in next) or being made.
/// acquire() hands out the one used last, so that caches are warm and spare ones grow old together; when there is none,
/// it makes one, and takes whichever becomes available first. Waiting invocations are served in order.
///
/// keep() makes it a pool of provisioned concurrency: so many environments are initialised ahead, are not reaped, and
/// are initialised again when their process has ended.
/// Ownership: owns its environments; shares the function's scaling budget. Threading: the loop only.
/// Invariant: environments being made <= waiting invocations, or what is missing of keep(), at the moment one is begun.
/// End: stop() shuts idle ones down, waits for busy ones, then for all; must be awaited before destruction.
class EnvironmentPool {
 public:
  using EnvironmentPtr = std::shared_ptr<execution::Environment>;

  EnvironmentPool(System& system, Logger& log, execution::EnvironmentFactory factory,
                  ports::FunctionVersionPtr function, PoolLimits limits, std::shared_ptr<ScalingBudget> budget);
  ~EnvironmentPool();

  /// An environment for one invocation; give it back with release(). The error of making one, kThrottled when one would
  /// have to be made and the function's budget is used up, or kClosed after stop().
  Async<Result<EnvironmentPtr>> acquire();
  void release(EnvironmentPtr environment);

  /// Freezes and reaps what has been idle long enough. Returns when to look again; nullopt: nothing is idle.
  std::optional<MonoTime> sweep(MonoTime now);
  Async<void> stop();

  /// Keeps `count` environments initialised from now on. Tries again when making one failed before.
  void keep(std::size_t count);
  /// Of kept environments: how many there shall be, those that are initialised (also while they run an invocation), and
  /// why the last try to make one failed.
  std::size_t kept() const { return kept_; }
  std::size_t kept_initialised() const { return initialised_.size(); }
  const std::string& keep_failure() const { return keep_failure_; }

  const ports::FunctionVersionPtr& function() const { return function_; }
  std::size_t size() const { return environments_.size() - leaving_.size(); }  ///< without those that are leaving
  std::size_t idle() const { return ready_.size(); }
  bool empty() const { return environments_.empty() && waiters_.empty() && making_ == 0 && kept_ == 0; }

 private:
  struct Ready {
    EnvironmentPtr environment;
    MonoTime since;
    bool frozen = false;
  };
  using Waiter = Promise<Result<EnvironmentPtr>>;

  /// Looks whether a kept environment is initialised now.
  void note(const EnvironmentPtr& environment);
  void make_enough(bool count_settling);
  void make_kept();
  void make_kept_soon();
  Async<void> make_kept_later();
  Async<void> initialise_again(EnvironmentPtr environment);
  bool has_surplus() const { return kept_ > 0 && size() > kept_; }
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
  std::unordered_set<const execution::Environment*> leaving_;                       ///< of all, being shut down
  std::unordered_set<const execution::Environment*> initialised_;                   ///< of kept ones, not leaving
  std::vector<Ready> ready_;                                                        ///< back: used last
  std::vector<EnvironmentPtr> settling_;
  std::deque<Waiter> waiters_;
  std::shared_ptr<ScalingBudget> budget_;
  std::size_t making_ = 0;  ///< begun and not yet handed over: no sandbox yet, or initialising
  std::size_t unborn_ = 0;  ///< of making_: not in environments_ yet
  std::size_t kept_ = 0;    ///< environments to have always; 0: a pool on demand
  std::string keep_failure_;
  Duration keep_pause_{};
  bool keep_soon_ = false;
  bool impatient_soon_ = false;
  bool stopping_ = false;
  Notifier emptied_;
  TaskGroup tasks_;
};

}  // namespace lambdad::scheduler
