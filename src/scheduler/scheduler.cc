#include "scheduler/scheduler.h"

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
    metrics_.gauge("lambdad_environments", "Execution environments on this node.")
        .set(static_cast<double>(environments()));
    metrics_.gauge("lambdad_environments_idle", "Execution environments that wait for an invocation.")
        .set(static_cast<double>(idle));
  });
}

Scheduler::~Scheduler() { LD_CHECK(pools_.empty(), "scheduler destroyed with {} pools", pools_.size()); }

Async<ports::InvocationOutcome> Scheduler::run(ports::FunctionVersionPtr function, ports::InvocationRequest request) {
  // A pool that is being let go refuses; then the function has changed under us and a new pool takes the invocation.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto& slot = pools_[function->snapshot_id];
    if (!slot) slot = std::make_shared<EnvironmentPool>(system_, log_, factory_, function, limits_);
    auto pool = slot;
    auto environment = co_await pool->acquire();
    if (!environment) {
      if (environment.error().code == Errc::kClosed) continue;
      ports::InvocationOutcome outcome;
      outcome.kind = ports::InvocationOutcome::Kind::kSystemError;
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

Async<void> Scheduler::sweep() {
  for (;;) {
    const MonoTime now = system_.host_clock.mono();
    std::optional<MonoTime> next;
    for (auto it = pools_.begin(); it != pools_.end();) {
      auto pool = it->second;
      if (auto when = pool->sweep(now)) next = next ? std::min(*next, *when) : *when;
      if (pool->empty()) {
        tasks_.spawn("scheduler drop pool", drop(std::move(pool)));
        it = pools_.erase(it);
      } else {
        ++it;
      }
    }
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

void Scheduler::retire_others(const ports::FunctionRef& function, const std::string& current) {
  for (auto it = pools_.begin(); it != pools_.end();) {
    const auto& version = *it->second->function();
    if (version.account == function.account && version.region == function.region && version.name == function.name &&
        version.snapshot_id != current) {
      tasks_.spawn("scheduler drop pool", drop(it->second));
      it = pools_.erase(it);
    } else {
      ++it;
    }
  }
}

Async<void> Scheduler::drop(std::shared_ptr<EnvironmentPool> pool) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await pool->stop();
}

std::size_t Scheduler::environments() const {
  std::size_t count = 0;
  for (const auto& [id, pool] : pools_) count += pool->size();
  return count;
}

Async<void> Scheduler::stop() {
  auto pools = std::exchange(pools_, {});
  for (auto& [id, pool] : pools) co_await pool->stop();
  co_await tasks_.stop();
}

}  // namespace lambdad::scheduler
