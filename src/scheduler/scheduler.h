#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "execution/environment.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "scheduler/environment_pool.h"
#include "scheduler/scaling_budget.h"
#include "system/system.h"

namespace lambdad::scheduler {

/// Which of a version's environments an invocation may use; the ledger's permit says it.
enum class Placement { kOnDemand, kProvisioned };

/// The environment pools of all function snapshots on this node: those made on demand, and apart from them those of
/// provisioned concurrency.
///
/// Ownership: owns the pools. Threading: the loop only. End: stop() must be awaited before destruction.
class Scheduler final : public ports::EnvironmentProvisioner {
 public:
  Scheduler(System& system, Logger& log, Metrics& metrics, execution::EnvironmentFactory factory,
            PoolLimits limits = {});
  ~Scheduler() override;

  /// Runs one invocation in an environment of exactly this snapshot. Permission and quota are the caller's business,
  /// except how fast a function may gain environments: beyond that the outcome is kThrottled.
  Async<ports::InvocationOutcome> run(ports::FunctionVersionPtr function, ports::InvocationRequest request,
                                      Placement placement = Placement::kOnDemand);

  /// Lets go of the environments of every snapshot of the function but those in `current`; busy ones finish first. An
  /// empty `current` means the function is gone.
  void retire_others(const ports::FunctionRef& function, const std::vector<std::string>& current);

  // ports::EnvironmentProvisioner
  void provision(ports::FunctionVersionPtr function, int count) override;
  Status provisioned(const std::string& snapshot_id) const override;

  std::size_t environments() const;
  Async<void> stop();

 private:
  using Pools = std::map<std::string, std::shared_ptr<EnvironmentPool>>;  // by snapshot id

  std::shared_ptr<EnvironmentPool> make_pool(ports::FunctionVersionPtr function);
  std::shared_ptr<EnvironmentPool> pool_for(const ports::FunctionVersionPtr& function, Placement placement);
  void retire_from(Pools& pools, const ports::FunctionRef& function, const std::vector<std::string>& current);
  std::optional<MonoTime> sweep_pools(Pools& pools, MonoTime now);
  Async<void> sweep();
  Async<void> drop(std::shared_ptr<EnvironmentPool> pool);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  execution::EnvironmentFactory factory_;
  PoolLimits limits_;
  Pools pools_;
  Pools provisioned_;
  std::map<std::string, std::shared_ptr<ScalingBudget>> budgets_;  ///< by function; those that are not full
  Notifier idle_appeared_;
  bool sweeping_ = false;  ///< the sweeper sleeps towards a known moment
  TaskGroup tasks_;
};

}  // namespace lambdad::scheduler
