#pragma once

#include <map>
#include <memory>
#include <string>

#include "execution/environment.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "scheduler/environment_pool.h"
#include "system/system.h"

namespace lambdad::scheduler {

/// The environment pools of all function snapshots on this node.
///
/// Ownership: owns the pools. Threading: the loop only. End: stop() must be awaited before destruction.
class Scheduler {
 public:
  Scheduler(System& system, Logger& log, Metrics& metrics, execution::EnvironmentFactory factory,
            PoolLimits limits = {});
  ~Scheduler();

  /// Runs one invocation in an environment of exactly this snapshot. Permission and quota are the caller's business.
  Async<ports::InvocationOutcome> run(ports::FunctionVersionPtr function, ports::InvocationRequest request);

  /// Lets go of the environments of every snapshot of the function but `current`; busy ones finish first. An empty
  /// `current` means the function is gone.
  void retire_others(const ports::FunctionRef& function, const std::string& current);
  std::size_t environments() const;
  Async<void> stop();

 private:
  Async<void> sweep();
  Async<void> drop(std::shared_ptr<EnvironmentPool> pool);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  execution::EnvironmentFactory factory_;
  PoolLimits limits_;
  std::map<std::string, std::shared_ptr<EnvironmentPool>> pools_;  ///< by snapshot id
  Notifier idle_appeared_;
  bool sweeping_ = false;  ///< the sweeper sleeps towards a known moment
  TaskGroup tasks_;
};

}  // namespace lambdad::scheduler
