#include "scheduler/scheduler.h"

#include <algorithm>

namespace lambdad::scheduler {

Scheduler::Scheduler(System& system, Logger& log, Metrics& metrics, execution::EnvironmentFactory factory,
                     PoolLimits limits)
    : system_(system),
      log_(log),
      metrics_(metrics),
      factory_(std::move(factory)),
      limits_(limits),
      idle_appeared_(system.loop),
      tasks_(system.loop) {
  tasks_.spawn("scheduler sweep", sweep());
  metrics_.on_scrape([this] {
    std::size_t idle = 0;
    for (const auto& [id, pool] : pools_) idle += pool->idle();
    for (const auto& [id, pool] : provisioned_) idle += pool->idle();
    metrics_.gauge("lambdad_environments", "Execution environments on this node.")
        .set(static_cast<double>(environments()));
    metrics_.gauge("lambdad_environments_idle", "Execution environments that wait for an invocation.")
        .set(static_cast<double>(idle));
  });
}

Scheduler::~Scheduler() {
  LD_CHECK(pools_.empty() && provisioned_.empty(), "scheduler destroyed with {} pools",
           pools_.size() + provisioned_.size());
}

std::shared_ptr<EnvironmentPool> Scheduler::make_pool(ports::FunctionVersionPtr function) {
  auto& budget = budgets_[fmt::format("{}:{}:{}", function->account, function->region, function->name)];
  if (budget == nullptr) budget = std::make_shared<ScalingBudget>();
  return std::make_shared<EnvironmentPool>(system_, log_, factory_, std::move(function), limits_, budget);
}

std::shared_ptr<EnvironmentPool> Scheduler::pool_for(const ports::FunctionVersionPtr& function, Placement placement) {
  if (placement == Placement::kProvisioned) {
    // Gone since the permit was given: the version's concurrency was taken back.
    if (auto place = provisioned_.find(function->snapshot_id); place != provisioned_.end()) return place->second;
  }
  auto& slot = pools_[function->snapshot_id];
  if (!slot) slot = make_pool(function);
  return slot;
}

Async<ports::InvocationOutcome> Scheduler::run(ports::FunctionVersionPtr function, ports::InvocationRequest request,
                                               Placement placement) {
  // A pool that is being let go refuses; then the function has changed under us and a new pool takes the invocation.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto pool = pool_for(function, placement);
    auto environment = co_await pool->acquire();
    if (!environment) {
      if (environment.error().code == Errc::kClosed) continue;
      ports::InvocationOutcome outcome;
      outcome.kind = environment.error().code == Errc::kThrottled ? ports::InvocationOutcome::Kind::kThrottled
                                                                  : ports::InvocationOutcome::Kind::kSystemError;
      outcome.throttle_reason = ports::ThrottleReason::kConcurrentInvocationLimit;
      outcome.detail = environment.error().detail;
      co_return outcome;
    }
    auto outcome = co_await (*environment)->invoke(std::move(request));
    pool->release(std::move(*environment));
    if (!sweeping_) idle_appeared_.notify_all();
    co_return outcome;
  }
  ports::InvocationOutcome outcome;
  outcome.kind = ports::InvocationOutcome::Kind::kSystemError;
  outcome.detail = "environments are going away";
  co_return outcome;
}

std::optional<MonoTime> Scheduler::sweep_pools(Pools& pools, MonoTime now) {
  std::optional<MonoTime> next;
  for (auto it = pools.begin(); it != pools.end();) {
    auto pool = it->second;
    if (auto when = pool->sweep(now)) next = next ? std::min(*next, *when) : *when;
    if (pool->empty()) {
      tasks_.spawn("scheduler drop pool", drop(std::move(pool)));
      it = pools.erase(it);
    } else {
      ++it;
    }
  }
  return next;
}

Async<void> Scheduler::sweep() {
  for (;;) {
    const MonoTime now = system_.host_clock.mono();
    std::optional<MonoTime> next = sweep_pools(pools_, now);
    if (auto when = sweep_pools(provisioned_, now)) next = next ? std::min(*next, *when) : *when;
    std::erase_if(budgets_, [&](const auto& each) { return each.second.use_count() == 1 && each.second->full(now); });
    if (next) {
      sweeping_ = true;
      // Not before freeze_after: what becomes idle meanwhile is seen in time then.
      co_await system_.host_clock.sleep_until(std::min(std::max(*next, now + 1ms), now + limits_.reap_after));
      sweeping_ = false;
    } else {
      co_await idle_appeared_.wait();
      co_await system_.host_clock.sleep_for(limits_.freeze_after);
    }
  }
}

void Scheduler::retire_from(Pools& pools, const ports::FunctionRef& function, const std::vector<std::string>& current) {
  for (auto it = pools.begin(); it != pools.end();) {
    const auto& version = *it->second->function();
    if (version.account == function.account && version.region == function.region && version.name == function.name &&
        std::ranges::find(current, version.snapshot_id) == current.end()) {
      tasks_.spawn("scheduler drop pool", drop(it->second));
      it = pools.erase(it);
    } else {
      ++it;
    }
  }
}

void Scheduler::retire_others(const ports::FunctionRef& function, const std::vector<std::string>& current) {
  retire_from(pools_, function, current);
  retire_from(provisioned_, function, current);
}

void Scheduler::provision(ports::FunctionVersionPtr function, int count) {
  auto place = provisioned_.find(function->snapshot_id);
  if (count <= 0) {
    if (place == provisioned_.end()) return;
    tasks_.spawn("scheduler drop pool", drop(std::move(place->second)));
    provisioned_.erase(place);
    return;
  }
  if (place == provisioned_.end()) {
    // The copy keeps `function` with it, and with that its code.
    struct Ahead final : ports::FunctionVersion {
      Ahead(ports::FunctionVersionPtr original) : FunctionVersion(*original), of(std::move(original)) {}
      ports::FunctionVersionPtr of;
    };
    auto ahead = std::make_shared<Ahead>(function);
    ahead->initialization_type = "provisioned-concurrency";
    place = provisioned_.emplace(function->snapshot_id, make_pool(std::move(ahead))).first;
  }
  place->second->keep(static_cast<std::size_t>(count));
  if (!sweeping_) idle_appeared_.notify_all();
}

ports::EnvironmentProvisioner::Status Scheduler::provisioned(const std::string& snapshot_id) const {
  auto place = provisioned_.find(snapshot_id);
  if (place == provisioned_.end()) return {};
  const EnvironmentPool& pool = *place->second;
  return {.requested = static_cast<int>(pool.kept()),
          .allocated = static_cast<int>(pool.size()),
          .available = static_cast<int>(std::min(pool.kept(), pool.kept_initialised())),
          .failure = pool.keep_failure()};
}

Async<void> Scheduler::drop(std::shared_ptr<EnvironmentPool> pool) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await pool->stop();
}

std::size_t Scheduler::environments() const {
  std::size_t count = 0;
  for (const auto& [id, pool] : pools_) count += pool->size();
  for (const auto& [id, pool] : provisioned_) count += pool->size();
  return count;
}

Async<void> Scheduler::stop() {
  for (auto pools : {std::exchange(pools_, {}), std::exchange(provisioned_, {})}) {
    for (auto& [id, pool] : pools) co_await pool->stop();
  }
  co_await tasks_.stop();
}

}  // namespace lambdad::scheduler
