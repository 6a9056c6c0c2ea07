#include "system/clock.h"

#include <time.h>

#include <map>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

namespace lambdad {

namespace {
Duration read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return std::chrono::seconds{now.tv_sec} + Duration{now.tv_nsec};
}

// Lets everything that is ready on the loop run, a few times over: a woken task posts, its successor posts again.
Async<void> let_ready_work_run(Loop& loop) {
  for (int round = 0; round < 16; ++round) co_await asio::post(loop.get_executor(), use_async);
}
}  // namespace

Async<void> Activity::wait_idle() {
  while (count_ > 0) co_await idle_.wait();
}

MonoTime RealClock::mono() const { return MonoTime{read_clock(CLOCK_MONOTONIC)}; }
WallTime host_wall_time() { return WallTime{read_clock(CLOCK_REALTIME)}; }
WallTime RealClock::wall() const { return host_wall_time(); }

Async<void> RealClock::sleep_until(MonoTime when) {
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      loop_.get_executor());
  timer.expires_at(std::chrono::steady_clock::time_point(when.time_since_epoch()));
  co_await timer.async_wait(use_async);
}

// --- AdjustableClock ------------------------------------------------------------------------------------------------

struct AdjustableClock::Impl {
  using Timer =
      asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

  Impl(Loop& l, Activity& a) : loop(l), activity(a), offloaded(l), real(l), turn_over(l) {}

  Loop& loop;
  Activity& activity;
  Offloaded offloaded;
  RealClock real;
  std::atomic<std::int64_t> offset_ns{0};
  std::multimap<MonoTime, Timer*> sleepers;
  bool advancing = false;
  Notifier turn_over;

  Duration offset() const { return Duration{offset_ns.load(std::memory_order_relaxed)}; }
  MonoTime now() const { return real.mono() + offset(); }

  // Sets the time to at least `when` and wakes whoever is due then.
  std::size_t move_to(MonoTime when) {
    const Duration gap = when - now();
    if (gap > Duration::zero()) offset_ns.fetch_add(gap.count(), std::memory_order_relaxed);
    // Everybody looks at the clock again: who is due goes on, the others set their timers by the new offset.
    std::size_t woken = 0;
    for (auto& [due, timer] : sleepers) {
      timer->cancel();
      if (due <= when) ++woken;
    }
    return woken;
  }

  // True when everything the woken timers began has ended.
  Async<bool> settle(MonoTime give_up) {
    for (;;) {
      co_await let_ready_work_run(loop);
      if (activity.count() == 0 && offloaded.count() == 0) co_return true;
      if (real.mono() >= give_up) co_return false;
      // Work goes on outside the loop (a function runs, a commit syncs): look again shortly, in real time.
      co_await real.sleep_for(500us);
    }
  }

  // Only its holder moves the time.
  class Turn {
   public:
    explicit Turn(Impl& impl) : impl_(&impl) { impl.advancing = true; }
    Turn(Turn&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (impl_ == nullptr) return;
      impl_->advancing = false;
      impl_->turn_over.notify_all();  // all: one that is cancelled meanwhile must not swallow the turn
    }

   private:
    Impl* impl_;
  };
  Async<Turn> take_turn() {
    while (advancing) co_await turn_over.wait();
    co_return Turn(*this);
  }

  // Steps from sleeper to sleeper; the caller holds the turn.
  Async<Advanced> advance_to(MonoTime target, MonoTime give_up) {
    const Duration before = offset();
    Advanced result;
    result.quiet = co_await settle(give_up);
    while (result.quiet && !sleepers.empty() && sleepers.begin()->first <= target) {
      result.timers += move_to(sleepers.begin()->first);
      result.quiet = co_await settle(give_up);
    }
    if (result.quiet && now() < target) {
      result.timers += move_to(target);
      result.quiet = co_await settle(give_up);
    }
    result.by = offset() - before;
    co_return result;
  }
};

AdjustableClock::AdjustableClock(Loop& loop, Activity& activity, Duration offset)
    : impl_(std::make_unique<Impl>(loop, activity)) {
  impl_->offset_ns = offset.count();
}
AdjustableClock::~AdjustableClock() = default;

MonoTime AdjustableClock::mono() const { return impl_->now(); }
WallTime AdjustableClock::wall() const { return impl_->real.wall() + impl_->offset(); }
Duration AdjustableClock::offset() const { return impl_->offset(); }

std::optional<MonoTime> AdjustableClock::next_timer() const {
  if (impl_->sleepers.empty()) return std::nullopt;
  return impl_->sleepers.begin()->first;
}

Async<void> AdjustableClock::sleep_until(MonoTime when) {
  // Even a moment that has passed yields once, so that a loop of short sleeps cannot starve the others.
  if (impl_->now() >= when) co_await asio::post(impl_->loop.get_executor(), use_async);
  // A sleeper is a real timer that a jump cancels early; the loop re-reads the clock after every wake.
  while (impl_->now() < when) {
    Impl::Timer timer(impl_->loop.get_executor());
    timer.expires_at(std::chrono::steady_clock::time_point((when - impl_->offset()).time_since_epoch()));
    auto place = impl_->sleepers.emplace(when, &timer);
    struct Leave {
      std::multimap<MonoTime, Impl::Timer*>& sleepers;
      std::multimap<MonoTime, Impl::Timer*>::iterator place;
      ~Leave() { sleepers.erase(place); }
    } leave{impl_->sleepers, place};
    boost::system::error_code code;
    co_await timer.async_wait(asio::redirect_error(use_async, code));
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none) throw_cancelled();
  }
}

Async<AdjustableClock::Advanced> AdjustableClock::advance(Duration by, Duration patience) {
  const auto turn = co_await impl_->take_turn();
  const MonoTime give_up = impl_->real.mono() + patience;
  // Counted from when what is going on has ended: a retry that an attempt now running will ask for in a minute comes
  // within "advance 1m".
  if (!co_await impl_->settle(give_up)) co_return Advanced{.by = {}, .timers = 0, .quiet = false};
  co_return co_await impl_->advance_to(impl_->now() + by, give_up);
}

Async<AdjustableClock::Advanced> AdjustableClock::advance_to_next_timer(Duration patience) {
  const auto turn = co_await impl_->take_turn();
  const MonoTime give_up = impl_->real.mono() + patience;
  // What is going on may set a timer that comes first.
  if (!co_await impl_->settle(give_up)) co_return Advanced{.by = {}, .timers = 0, .quiet = false};
  const auto next = next_timer();
  if (!next) co_return Advanced{};
  co_return co_await impl_->advance_to(*next, give_up);
}

}  // namespace lambdad
