#include "scheduler/environment_pool.h"

#include <algorithm>

namespace lambdad::scheduler {

EnvironmentPool::EnvironmentPool(System& system, Logger& log, execution::EnvironmentFactory factory,
                                 ports::FunctionVersionPtr function, PoolLimits limits,
                                 std::shared_ptr<ScalingBudget> budget)
    : system_(system),
      log_(log),
      factory_(std::move(factory)),
      function_(std::move(function)),
      limits_(limits),
      budget_(std::move(budget)),
      keep_pause_(limits.keep_retry),
      emptied_(system.loop),
      tasks_(system.loop) {}

EnvironmentPool::~EnvironmentPool() {
  LD_CHECK(environments_.empty() && waiters_.empty() && making_ == 0, "pool of {} destroyed with {} environments",
           function_->name, environments_.size());
}

Async<Result<EnvironmentPool::EnvironmentPtr>> EnvironmentPool::acquire() {
  if (stopping_) co_return fail(Errc::kClosed, "environments of {} are going away", function_->name);
  while (!ready_.empty()) {
    EnvironmentPtr environment = std::move(ready_.back().environment);
    ready_.pop_back();
    if (environment->available()) co_return environment;
    retire(std::move(environment));
  }
  const bool must_make = waiters_.size() >= making_ + settling_.size();
  if (must_make && !budget_->take(system_.host_clock.mono())) {
    co_return fail(Errc::kThrottled, "{} gains environments too fast", function_->name);
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
  if (kept_ > 0) note(environment);
  if (stopping_) {
    retire(std::move(environment));
  } else if (has_surplus() && waiters_.empty()) {
    retire(std::move(environment));
  } else if (kept_ > 0 && environment->available() && !environment->initialised() && waiters_.empty()) {
    tasks_.spawn("pool initialise again", initialise_again(std::move(environment)));
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
    ++unborn_;
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
  --unborn_;
  if (!made) {
    --making_;
    log_.warn("environment_failed", {{"function", function_->name}, {"reason", made.error().detail}});
    if (kept_ > 0) {
      keep_failure_ = made.error().detail;
      make_kept_soon();
    }
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
  if (kept_ > 0 && waiters_.empty() && !stopping_ && !environment->initialised()) {
    keep_failure_ = "Init failed";
    make_kept_soon();
    retire(std::move(environment));
    co_return;
  }
  if (kept_ > 0) {
    keep_failure_.clear();
    keep_pause_ = limits_.keep_retry;
  }
  environment->on_available([this, settled_one = environment.get()] { settled(settled_one); });
  release(std::move(environment));
}

// --- kept environments ----------------------------------------------------------------------------------------------

void EnvironmentPool::keep(std::size_t count) {
  kept_ = count;
  keep_failure_.clear();
  keep_pause_ = limits_.keep_retry;
  while (has_surplus() && !ready_.empty()) {
    retire(std::move(ready_.front().environment));
    ready_.erase(ready_.begin());
  }
  make_kept();
}

void EnvironmentPool::note(const EnvironmentPtr& environment) {
  if (kept_ > 0 && environment->initialised() && !leaving_.contains(environment.get())) {
    initialised_.insert(environment.get());
  } else {
    initialised_.erase(environment.get());
  }
}

void EnvironmentPool::make_kept() {
  for (std::size_t have = size() + unborn_; have < kept_ && !stopping_; ++have) {
    ++making_;
    ++unborn_;
    tasks_.spawn("pool make environment ahead", make_one());
  }
}

void EnvironmentPool::make_kept_soon() {
  if (keep_soon_ || stopping_) return;
  keep_soon_ = true;
  tasks_.spawn("pool make environments again", make_kept_later());
}

Async<void> EnvironmentPool::make_kept_later() {
  co_await system_.host_clock.sleep_for(keep_pause_);
  keep_pause_ = std::min(keep_pause_ * 2, limits_.keep_retry_max);
  keep_soon_ = false;
  make_kept();
}

// Its process has ended; the next invocation shall find one that is initialised.
Async<void> EnvironmentPool::initialise_again(EnvironmentPtr environment) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  ++making_;
  co_await environment->initialise();
  --making_;
  note(environment);
  if (!stopping_ && environment->initialised()) {
    offer(std::move(environment));
    co_return;
  }
  keep_failure_ = "Init failed";
  make_kept_soon();
  retire(std::move(environment));
}

// Takes an environment that was settling back when its runtime asks for more; notices when an idle kept one has ended.
void EnvironmentPool::settled(execution::Environment* environment) {
  if (const auto place = std::ranges::find(settling_, environment, &EnvironmentPtr::get); place != settling_.end()) {
    EnvironmentPtr settled_one = std::move(*place);
    settling_.erase(place);
    release(std::move(settled_one));
    return;
  }
  if (!initialised_.contains(environment) || environment->initialised()) return;
  initialised_.erase(environment);
  const auto idle = std::ranges::find(ready_, environment, [](const Ready& each) { return each.environment.get(); });
  if (idle == ready_.end()) return;
  EnvironmentPtr ended = std::move(idle->environment);
  ready_.erase(idle);
  tasks_.spawn("pool initialise again", initialise_again(std::move(ended)));
}

std::optional<MonoTime> EnvironmentPool::sweep(MonoTime now) {
  // Oldest first: ready_ is in order of use.
  std::size_t gone = 0;
  while (kept_ == 0 && gone < ready_.size() && ready_[gone].since + limits_.reap_after <= now) {
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
    if (kept_ > 0 && ready.frozen) continue;
    look_again(ready.since + (ready.frozen ? limits_.reap_after : limits_.freeze_after));
  }
  return next;
}

void EnvironmentPool::retire(EnvironmentPtr environment) {
  leaving_.insert(environment.get());
  initialised_.erase(environment.get());
  tasks_.spawn("pool shut down environment", shut_down(std::move(environment)));
}

Async<void> EnvironmentPool::shut_down(EnvironmentPtr environment) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await environment->shutdown();
  environments_.erase(environment.get());
  leaving_.erase(environment.get());
  if (keep_failure_.empty()) make_kept();
  if (empty()) emptied_.notify_all();
}

Async<void> EnvironmentPool::stop() {
  stopping_ = true;
  kept_ = 0;
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
