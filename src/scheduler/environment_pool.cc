#include "scheduler/environment_pool.h"

#include <algorithm>

namespace lambdad::scheduler {

EnvironmentPool::EnvironmentPool(System& system, Logger& log, execution::EnvironmentFactory factory,
                                 ports::FunctionVersionPtr function, PoolLimits limits)
    : system_(system),
      log_(log),
      factory_(std::move(factory)),
      function_(std::move(function)),
      limits_(limits),
      emptied_(system.loop),
      tasks_(system.loop) {}

EnvironmentPool::~EnvironmentPool() {
  LD_CHECK(environments_.empty() && waiters_.empty(), "pool of {} destroyed with {} environments", function_->name,
           environments_.size());
}

Async<Result<EnvironmentPool::EnvironmentPtr>> EnvironmentPool::acquire() {
  if (stopping_) co_return fail(Errc::kClosed, "environments of {} are going away", function_->name);
  while (!ready_.empty()) {
    EnvironmentPtr environment = std::move(ready_.back().environment);
    ready_.pop_back();
    if (environment->available()) co_return environment;
    retire(std::move(environment));
  }
  Waiter waiter(system_.loop);
  waiters_.push_back(waiter);
  make_enough(true);
  if (!settling_.empty() && !impatient_soon_) {
    impatient_soon_ = true;
    tasks_.spawn("pool patience", lose_patience());
  }
  co_return co_await waiter.get();
}

void EnvironmentPool::release(EnvironmentPtr environment) {
  if (stopping_) {
    retire(std::move(environment));
  } else if (environment->available()) {
    offer(std::move(environment));
  } else {
    settling_.push_back(std::move(environment));
  }
}

void EnvironmentPool::offer(EnvironmentPtr environment) {
  if (!waiters_.empty()) {
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    waiter.set(std::move(environment));
    return;
  }
  ready_.push_back({std::move(environment), system_.host_clock.mono()});
}

void EnvironmentPool::make_enough(bool count_settling) {
  const std::size_t coming = making_ + (count_settling ? settling_.size() : 0);
  for (std::size_t missing = waiters_.size() > coming ? waiters_.size() - coming : 0; missing > 0; --missing) {
    ++making_;
    tasks_.spawn("pool make environment", make_one());
  }
}

Async<void> EnvironmentPool::lose_patience() {
  co_await system_.host_clock.sleep_for(limits_.settle_patience);
  impatient_soon_ = false;
  make_enough(false);
}

Async<void> EnvironmentPool::make_one() {
  // What is begun is brought to an end: a half-made sandbox must not be left to a cancellation.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  auto made = co_await factory_(function_);
  if (!made) {
    --making_;
    log_.warn("environment_failed", {{"function", function_->name}, {"reason", made.error().detail}});
    if (!waiters_.empty()) {
      Waiter waiter = std::move(waiters_.front());
      waiters_.pop_front();
      waiter.set(std::unexpected(made.error()));
    }
    if (empty()) emptied_.notify_all();
    co_return;
  }
  EnvironmentPtr environment = std::move(*made);
  environments_.emplace(environment.get(), environment);
  co_await environment->initialise();
  --making_;
  environment->on_available([this, settled_one = environment.get()] { settled(settled_one); });
  release(std::move(environment));
}

// Takes an environment that was settling back when its runtime asks for more.
void EnvironmentPool::settled(execution::Environment* environment) {
  const auto place = std::ranges::find(settling_, environment, &EnvironmentPtr::get);
  if (place == settling_.end()) return;
  EnvironmentPtr settled_one = std::move(*place);
  settling_.erase(place);
  offer(std::move(settled_one));
}

std::optional<MonoTime> EnvironmentPool::sweep(MonoTime now) {
  // Oldest first: ready_ is in order of use.
  std::size_t gone = 0;
  while (gone < ready_.size() && ready_[gone].since + limits_.reap_after <= now) {
    retire(std::move(ready_[gone].environment));
    ++gone;
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(gone));
  std::optional<MonoTime> next;
  auto look_again = [&next](MonoTime when) { next = next ? std::min(*next, when) : when; };
  for (Ready& ready : ready_) {
    if (!ready.frozen && ready.since + limits_.freeze_after <= now) {
      ready.environment->freeze();
      ready.frozen = true;
    }
    look_again(ready.since + (ready.frozen ? limits_.reap_after : limits_.freeze_after));
  }
  return next;
}

void EnvironmentPool::retire(EnvironmentPtr environment) {
  tasks_.spawn("pool shut down environment", shut_down(std::move(environment)));
}

Async<void> EnvironmentPool::shut_down(EnvironmentPtr environment) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await environment->shutdown();
  environments_.erase(environment.get());
  if (empty()) emptied_.notify_all();
}

Async<void> EnvironmentPool::stop() {
  stopping_ = true;
  for (Ready& ready : ready_) retire(std::move(ready.environment));
  ready_.clear();
  for (EnvironmentPtr& environment : settling_) retire(std::move(environment));
  settling_.clear();
  while (!waiters_.empty()) {
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    waiter.set(fail(Errc::kClosed, "environments of {} are going away", function_->name));
  }
  while (!empty()) co_await emptied_.wait();
  co_await tasks_.stop();
}

}  // namespace lambdad::scheduler
