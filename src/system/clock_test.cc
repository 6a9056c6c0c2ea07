#include "system/clock.h"

#include <unistd.h>

#include <string>
#include <vector>

#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/sim.h"

namespace lambdad {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Real sleeping is at most a millisecond in these tests; virtual time is moved by whole hours, so that the real time
/// that passes meanwhile cannot be taken for it.
class AdjustableClockTest : public testing::Test {
 protected:
  template <class T>
  T run(Async<T> task) {
    std::optional<T> result;
    asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      result = std::move(value);
    });
    loop_.restart();
    while (!result && loop_.run_one() > 0) {
    }
    return std::move(*result);
  }
  void stop(TaskGroup& group) {
    asio::co_spawn(loop_, group.stop(), asio::detached);
    loop_.restart();
    loop_.run();
  }
  void turn() {
    loop_.restart();
    loop_.poll();
  }
  int hours() const { return static_cast<int>((clock_.mono() - began_) / 1h); }

  Loop loop_;
  Activity activity_{loop_};
  AdjustableClock clock_{loop_, activity_};
  const MonoTime began_ = clock_.mono();
  std::vector<std::string> log_;

  Async<void> sleep_and_note(MonoTime when, std::string name) {
    co_await clock_.sleep_until(when);
    log_.push_back(fmt::format("{} at {}h", name, hours()));
  }
  Async<void> every(Duration period, int times) {
    for (int i = 0; i < times; ++i) {
      co_await clock_.sleep_for(period);
      log_.push_back(fmt::format("{}h", hours()));
    }
  }
};

TEST(RealClock, NeverGoesBackAndWakesAfterItsTime) {
  Loop loop;
  RealClock clock(loop);
  const MonoTime before = clock.mono();
  const MonoTime when = before + 1ms;
  MonoTime woken{};
  asio::co_spawn(loop, clock.sleep_until(when), [&](std::exception_ptr) { woken = clock.mono(); });
  loop.run();
  EXPECT_GE(woken, when);
  EXPECT_GT(to_epoch_seconds(clock.wall()), 1'700'000'000);
}

TEST_F(AdjustableClockTest, SleepersWakeByThemselvesInRealTime) {
  bool woken = false;
  asio::co_spawn(loop_, clock_.sleep_for(1ms), [&](std::exception_ptr) { woken = true; });
  loop_.run();
  EXPECT_TRUE(woken);
  EXPECT_EQ(clock_.offset(), 0s);
}

TEST_F(AdjustableClockTest, WhatIsLeftAfterAnAdvancePassesInRealTime) {
  TaskGroup group(loop_);
  group.spawn("a", sleep_and_note(began_ + 1h, "a"));
  turn();
  const Duration almost = began_ + 1h - clock_.mono() - 50ms;
  EXPECT_EQ(run(clock_.advance(almost, 10s)).timers, 0u);
  EXPECT_TRUE(log_.empty());
  // Hangs, and is ended by the runner, when the sleeper still waits for the whole hour.
  while (log_.empty()) {
    loop_.restart();
    loop_.run_one();
  }
  EXPECT_THAT(log_, ElementsAre("a at 1h"));
}

TEST_F(AdjustableClockTest, AdvanceCountsFromTheEndOfWhatIsGoingOn) {
  TaskGroup group(loop_);
  WorkerPool pool(loop_, 1);
  group.spawn("work", [](WorkerPool& workers, AdjustableClock& clock, std::vector<std::string>& log) -> Async<void> {
    co_await workers.run([] {
      ::usleep(20'000);
      return 0;
    });
    co_await clock.sleep_for(1h);
    log.emplace_back("retried");
  }(pool, clock_, log_));
  turn();
  EXPECT_EQ(run(clock_.advance(1h, 10s)).timers, 1u);
  EXPECT_THAT(log_, ElementsAre("retried"));
}

TEST_F(AdjustableClockTest, AdvanceStepsFromTimerToTimer) {
  TaskGroup group(loop_);
  group.spawn("b", sleep_and_note(began_ + 3h, "b"));
  group.spawn("a", sleep_and_note(began_ + 1h, "a"));
  group.spawn("c", sleep_and_note(began_ + 5h, "c"));
  group.spawn("periodic", every(2h, 2));
  turn();
  const auto wall = clock_.wall();
  const auto advanced = run(clock_.advance(4h + 30min, 10s));
  EXPECT_TRUE(advanced.quiet);
  EXPECT_EQ(advanced.timers, 4u);
  EXPECT_GE(clock_.mono() - began_, 4h + 30min);
  EXPECT_GE(clock_.wall() - wall, 4h + 30min);
  EXPECT_THAT(log_, ElementsAre("a at 1h", "2h", "b at 3h", "4h"));
  ASSERT_TRUE(clock_.next_timer().has_value());
  EXPECT_EQ(*clock_.next_timer(), began_ + 5h);
  stop(group);
}

TEST_F(AdjustableClockTest, AdvanceByZeroMovesNothing) {
  const auto advanced = run(clock_.advance(0s, 10s));
  EXPECT_EQ(advanced.by, 0s);
  EXPECT_EQ(advanced.timers, 0u);
  EXPECT_EQ(clock_.offset(), 0s);
}

TEST_F(AdjustableClockTest, NextTimerMovesToTheEarliestOnly) {
  TaskGroup group(loop_);
  group.spawn("a", sleep_and_note(began_ + 2h, "a"));
  group.spawn("b", sleep_and_note(began_ + 3h, "b"));
  turn();
  const auto advanced = run(clock_.advance_to_next_timer(10s));
  EXPECT_TRUE(advanced.quiet);
  EXPECT_EQ(advanced.timers, 1u);
  EXPECT_THAT(log_, ElementsAre("a at 2h"));
  stop(group);
  const auto nobody = run(clock_.advance_to_next_timer(10s));
  EXPECT_EQ(nobody.by, 0s);
  EXPECT_EQ(nobody.timers, 0u);
  EXPECT_TRUE(nobody.quiet);
}

TEST_F(AdjustableClockTest, ACancelledSleeperLeaves) {
  TaskGroup group(loop_);
  group.spawn("a", sleep_and_note(began_ + 2h, "a"));
  turn();
  ASSERT_TRUE(clock_.next_timer().has_value());
  stop(group);
  EXPECT_EQ(clock_.next_timer(), std::nullopt);
  EXPECT_THAT(log_, IsEmpty());
}

/// Wakes, then works for a while in real time, then sleeps again: the pause must not be jumped over.
class WorkAfterWaking : public AdjustableClockTest {
 protected:
  Async<void> work_then_sleep() {
    co_await clock_.sleep_until(began_ + 1h);
    {
      const auto token = activity_.begin();
      RealClock real(loop_);
      co_await real.sleep_for(1ms);
      log_.push_back(fmt::format("worked at {}h", hours()));
    }
    co_await clock_.sleep_for(1h);
    log_.push_back(fmt::format("again at {}h", hours()));
  }
};

TEST_F(WorkAfterWaking, AdvanceWaitsForTheWorkThatATimerBegan) {
  TaskGroup group(loop_);
  group.spawn("work", work_then_sleep());
  turn();
  const auto advanced = run(clock_.advance(10h, 10s));
  EXPECT_TRUE(advanced.quiet);
  EXPECT_EQ(advanced.timers, 2u);
  EXPECT_THAT(log_, ElementsAre("worked at 1h", "again at 2h"));
}

TEST_F(AdjustableClockTest, AdvanceWaitsForWorkOfOtherThreads) {
  WorkerPool pool(loop_, 1);
  TaskGroup group(loop_);
  group.spawn(
      "work",
      [](WorkerPool& workers, MonoTime when, AdjustableClock& clock, std::vector<std::string>& log) -> Async<void> {
        co_await clock.sleep_until(when);
        co_await workers.run([] { return 0; });
        co_await clock.sleep_for(1h);
        log.emplace_back("again");
      }(pool, began_ + 1h, clock_, log_));
  turn();
  EXPECT_EQ(run(clock_.advance(10h, 10s)).timers, 2u);
  EXPECT_THAT(log_, ElementsAre("again"));
}

TEST_F(AdjustableClockTest, AdvanceGivesUpWhenWorkOutlivesItsPatience) {
  TaskGroup group(loop_);
  group.spawn("a", sleep_and_note(began_ + 2h, "a"));
  turn();
  auto token = activity_.begin();
  const auto advanced = run(clock_.advance(10h, 1ms));
  EXPECT_FALSE(advanced.quiet);
  EXPECT_EQ(advanced.by, 0s);
  EXPECT_EQ(run(clock_.advance_to_next_timer(1ms)).quiet, false);
  token.release();
  EXPECT_TRUE(run(clock_.advance(10h, 10s)).quiet);
  EXPECT_THAT(log_, ElementsAre("a at 2h"));
}

Async<AdjustableClock::Advanced> advance_twice_at_once(Loop& loop, AdjustableClock& clock,
                                                       std::vector<std::string>& log) {
  TaskGroup other(loop);
  other.spawn("other", [](AdjustableClock& c, std::vector<std::string>& l) -> Async<void> {
    const auto advanced = co_await c.advance(10h, 10s);
    l.push_back(fmt::format("second {} timers", advanced.timers));
  }(clock, log));
  const auto first = co_await clock.advance(2h, 10s);
  log.push_back(fmt::format("first {} timers", first.timers));
  co_await other.drain();
  co_return first;
}

TEST_F(AdjustableClockTest, TwoAdvancesAreServedOneAfterTheOther) {
  TaskGroup group(loop_);
  group.spawn("periodic", every(1h, 5));
  turn();
  run(advance_twice_at_once(loop_, clock_, log_));
  EXPECT_THAT(log_, ElementsAre("1h", "2h", "first 2 timers", "3h", "4h", "5h", "second 3 timers"));
  EXPECT_GE(clock_.mono() - began_, 12h);
}

TEST(Activity, IsIdleWhenTheLastTokenIsGone) {
  Loop loop;
  Activity activity(loop);
  bool idle = false;
  auto first = activity.begin();
  auto second = activity.begin();
  Activity::Token moved = std::move(first);
  EXPECT_EQ(activity.count(), 2u);
  asio::co_spawn(loop, activity.wait_idle(), [&](std::exception_ptr) { idle = true; });
  loop.poll();
  second.release();
  second.release();
  loop.poll();
  EXPECT_FALSE(idle);
  moved = Activity::Token();
  loop.poll();
  EXPECT_TRUE(idle);
  EXPECT_EQ(activity.count(), 0u);
}

}  // namespace
}  // namespace lambdad
