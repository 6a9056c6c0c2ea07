/// The clocks of the system.
///
/// There are two on purpose. `System::clock` is AWS's time: retries, visibility timeouts, windows, ages and every
/// timestamp shown follow it, and a user may move it forward (POST /_lambdad/clock). `System::host_clock` is the
/// machine's own: network deadlines and the run time of functions follow it, because those happen for real.
#pragma once

#include "base/time.h"
#include "system/async.h"

namespace lambdad {

struct Clock {
  virtual ~Clock() = default;
  virtual MonoTime mono() const = 0;  ///< thread-safe
  virtual WallTime wall() const = 0;  ///< thread-safe
  /// Throws cancellation when the awaiting task is cancelled.
  virtual Async<void> sleep_until(MonoTime when) = 0;
  Async<void> sleep_for(Duration duration) { return sleep_until(mono() + duration); }
};

/// Counts what is being done right now on behalf of somebody: a running invocation, a commit on its way, a delivery.
/// Moving virtual time forward waits until nothing is, so that what a timer started has had its effect before the next
/// timer fires.
/// Threading: the loop only.
class Activity {
 public:
  explicit Activity(Loop& loop) : idle_(loop) {}
  class Token {
   public:
    Token() = default;
    explicit Token(Activity* owner) : owner_(owner) { ++owner_->count_; }
    Token(Token&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Token& operator=(Token&& other) noexcept {
      if (this != &other) {
        release();
        owner_ = std::exchange(other.owner_, nullptr);
      }
      return *this;
    }
    ~Token() { release(); }
    void release() {
      if (owner_ == nullptr) return;
      Activity* owner = std::exchange(owner_, nullptr);
      if (--owner->count_ == 0) owner->idle_.notify_all();
    }

   private:
    Activity* owner_ = nullptr;
  };
  [[nodiscard]] Token begin() { return Token(this); }
  std::size_t count() const { return count_; }
  /// Returns once nothing is being done; new work may begin right after.
  Async<void> wait_idle();

 private:
  std::size_t count_ = 0;
  Notifier idle_;
};

/// The machine's wall time for code that has no loop and no decision to take from it: log lines. Thread-safe.
WallTime host_wall_time();

/// CLOCK_MONOTONIC and CLOCK_REALTIME.
class RealClock final : public Clock {
 public:
  explicit RealClock(Loop& loop) : loop_(loop) {}
  MonoTime mono() const override;
  WallTime wall() const override;
  Async<void> sleep_until(MonoTime when) override;

 private:
  Loop& loop_;
};

/// Real time plus what the user has added. Sleepers wake when (real time + offset) reaches them.
///
/// advance() steps from one sleeper to the next up to its target: sets the time to exactly that moment, wakes the
/// sleeper, waits until `activity` is quiet, goes on. So "advance 3m1s" runs the retry at +1m, sees it fail, and runs
/// the one at +3m, as six minutes of waiting would have.
/// Threading: the loop only, but mono() and wall() from anywhere.
class AdjustableClock final : public Clock {
 public:
  /// `offset`: what an earlier run of the daemon had added.
  AdjustableClock(Loop& loop, Activity& activity, Duration offset = {});
  ~AdjustableClock() override;
  MonoTime mono() const override;
  WallTime wall() const override;
  Async<void> sleep_until(MonoTime when) override;

  struct Advanced {
    Duration by{};           ///< how far the clock was moved
    std::size_t timers = 0;  ///< sleepers woken on the way
    bool quiet = true;       ///< false when `patience` ran out with work still going on
  };
  /// Moves the clock forward by `by` (>= 0). Waits at most `patience` of real time for work that timers start.
  /// Calls are served one after the other.
  Async<Advanced> advance(Duration by, Duration patience);
  /// Moves to the earliest sleeper and wakes it; by = 0 and timers = 0 when nobody sleeps.
  Async<Advanced> advance_to_next_timer(Duration patience);
  /// Total that was added to real time.
  Duration offset() const;
  /// When the earliest sleeper wakes.
  std::optional<MonoTime> next_timer() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad
