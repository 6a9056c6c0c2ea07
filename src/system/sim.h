/// Simulated time: hours of retries and timeouts in milliseconds, in the same order every time.
///
///   TEST(Retry, WaitsAMinute) {
///     SimSystem sim(test_seed());                     // system/test_seed.h
///     TaskGroup group(sim.loop());
///     group.spawn("retry", retry_later(sim.system()));
///     sim.run_for(59s);
///     EXPECT_EQ(attempts, 0);
///     sim.run_for(1s);
///     EXPECT_EQ(attempts, 1);
///     sim.run(group.stop());
///   }
///
/// Time stands still while anything can run. When nothing is ready on the loop, no other thread holds work of it
/// (Offloaded) and nothing is being done (Activity), the clock jumps to the earliest sleeper and wakes that one.
/// Sleepers of the same moment wake one after the other in the order they went to sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "system/system.h"

namespace lambdad {

/// A clock that moves only when it is told to. Sleeping coroutines park until then.
///
/// Threading: the loop only, but mono() and wall() from anywhere. It outlives its sleepers.
class SimClock final : public Clock {
 public:
  /// mono() begins at one hour, so that nothing can take zero for "never".
  SimClock(Loop& loop, WallTime start);
  ~SimClock() override;
  MonoTime mono() const override { return MonoTime{Duration{now_ns_.load(std::memory_order_relaxed)}}; }
  WallTime wall() const override { return wall_at_zero_ + mono().time_since_epoch(); }
  /// Returns on a later turn of the loop even when `when` has passed.
  Async<void> sleep_until(MonoTime when) override;

  std::optional<MonoTime> next_timer() const;
  std::size_t sleepers() const { return sleepers_.size(); }
  /// Moves to the earliest sleeper's moment and wakes that one; false when nobody sleeps.
  bool wake_next();
  /// Moves forward to `when`, which is not beyond the earliest sleeper; nothing happens when it has passed.
  void move_to(MonoTime when);

 private:
  struct Sleeper;
  using Key = std::pair<MonoTime, std::uint64_t>;  // moment, then order of going to sleep
  Loop& loop_;
  std::atomic<std::int64_t> now_ns_;
  WallTime wall_at_zero_;
  std::uint64_t next_number_ = 0;
  std::map<Key, Sleeper*> sleepers_;
};

struct SimOptions {
  WallTime start = WallTime{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
  /// 0 runs pool work on the loop itself: the order is the same every time.
  unsigned worker_threads = 0;
  /// Real time to wait for other threads, children and peers (Offloaded, Activity) before the run is taken for hung.
  Duration patience = 30s;
};

/// A System on virtual time with its loop. Both clocks are the same SimClock; randomness comes from the seed; files are
/// real, and directory() is a place for them that disappears at the end.
///
/// All run functions drive the loop on the calling thread. They abort, saying why, when the time cannot move on: work
/// counted by Activity or Offloaded that does not end within `patience` of real time (often a Token held across a sleep
/// on the virtual clock), or ten million turns of the loop at one moment.
///
/// What is not counted is not waited for: I/O on real sockets and children must happen under an Activity::Token.
/// Threading: one thread. End: every task must have ended (stop the groups with run()).
class SimSystem {
 public:
  explicit SimSystem(std::uint64_t seed, SimOptions options = {});
  ~SimSystem();
  SimSystem(const SimSystem&) = delete;
  SimSystem& operator=(const SimSystem&) = delete;

  System& system() { return system_; }
  Loop& loop() { return loop_; }
  SimClock& clock() { return clock_; }
  Activity& activity() { return activity_; }
  Random& random() { return random_; }
  Files& files() { return files_; }
  WorkerPool& workers() { return workers_; }
  MonoTime now() const { return clock_.mono(); }
  WallTime wall() const { return clock_.wall(); }
  /// Virtual time since the simulation began.
  Duration elapsed() const { return clock_.mono() - began_; }
  /// An empty directory of this simulation, made at the first call and removed with it.
  const std::string& directory();

  /// Runs all that can happen at this moment. The time stays.
  void settle();
  /// Lets `duration` pass, with everything that happens up to and at its end.
  void run_for(Duration duration);
  /// Moves on until `condition`, which is asked between moments, holds; false when it does not within `at_most` of
  /// virtual time or when nobody sleeps any more.
  bool run_until(const std::function<bool()>& condition, Duration at_most = 24h);
  /// Moves on until nobody sleeps; false when somebody still does after `at_most` of virtual time (a component with a
  /// periodic task never becomes idle; use run_for or run_until there).
  bool run_until_idle(Duration at_most = 24h * 30);
  /// Runs `task` to its end and returns its value or throws what it threw. Aborts when it cannot end: when nobody
  /// sleeps and nothing is being done, or after 400 days of virtual time.
  template <class T>
  T run(Async<T> task) {
    using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    struct Outcome {
      bool ended = false;
      std::exception_ptr error;
      std::optional<Stored> value;
    };
    // Shared: should the run be given up by an exception of some handler, the task may still end later.
    auto outcome = std::make_shared<Outcome>();
    if constexpr (std::is_void_v<T>) {
      asio::co_spawn(loop_, std::move(task), [outcome](std::exception_ptr error) {
        outcome->ended = true;
        outcome->error = error;
      });
    } else {
      asio::co_spawn(loop_, store_result(std::move(task), &outcome->value), [outcome](std::exception_ptr error) {
        outcome->ended = true;
        outcome->error = error;
      });
    }
    const bool ended = run_until([outcome] { return outcome->ended; }, 24h * 400);
    LD_CHECK(ended, "SimSystem::run: the task waits for something that never happens ({} sleepers)", clock_.sleepers());
    if (outcome->error) std::rethrow_exception(outcome->error);
    if constexpr (!std::is_void_v<T>) return std::move(*outcome->value);
  }

 private:
  template <class T>
  static Async<void> store_result(Async<T> task, std::optional<T>* to) {
    to->emplace(co_await std::move(task));
  }

  // Before the loop: what it still holds at the end is destroyed with it and may refer to these.
  SimClock clock_;
  Activity activity_;
  Loop loop_;
  Offloaded offloaded_;
  SeededRandom random_;
  RealFiles files_;
  WorkerPool workers_;
  System system_;
  Duration patience_;
  MonoTime began_;
  std::string directory_;
};

}  // namespace lambdad
