#include "system/sim.h"

#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/test_seed.h"

namespace lambdad {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Async<void> note_at(SimSystem& sim, Duration after, std::vector<std::string>& log, std::string name) {
  co_await sim.clock().sleep_for(after);
  log.push_back(fmt::format("{} {}", name, format_duration(sim.elapsed())));
}

Async<void> every(SimSystem& sim, Duration period, int& times) {
  for (;;) {
    co_await sim.clock().sleep_for(period);
    ++times;
  }
}

TEST(SimSystem, WakesSleepersAtExactlyTheirMoment) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  group.spawn("late", note_at(sim, 6h, log, "late"));
  group.spawn("early", note_at(sim, 1ns, log, "early"));
  group.spawn("middle", note_at(sim, 1min, log, "middle"));
  const WallTime wall = sim.wall();
  sim.run_for(1min);
  EXPECT_THAT(log, ElementsAre("early 1ns", "middle 1m"));
  EXPECT_EQ(sim.wall() - wall, 1min);
  sim.run_for(5h);
  EXPECT_EQ(log.size(), 2u);
  EXPECT_TRUE(sim.run_until_idle());
  EXPECT_THAT(log, ElementsAre("early 1ns", "middle 1m", "late 6h"));
  EXPECT_EQ(sim.elapsed(), 6h);
}

TEST(SimSystem, SleepersOfOneMomentWakeInTheOrderTheyWentToSleep) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  for (const char* name : {"a", "b", "c"}) group.spawn(name, note_at(sim, 1s, log, name));
  sim.run_for(1s);
  EXPECT_THAT(log, ElementsAre("a 1s", "b 1s", "c 1s"));
}

TEST(SimSystem, RunForMovesTheTimeWhenNobodySleeps) {
  SimSystem sim(test_seed());
  sim.run_for(3h);
  EXPECT_EQ(sim.elapsed(), 3h);
}

TEST(SimSystem, RunUntilStopsAtTheMomentOfTheCondition) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  int times = 0;
  group.spawn("periodic", every(sim, 10s, times));
  EXPECT_TRUE(sim.run_until([&] { return times == 3; }));
  EXPECT_EQ(sim.elapsed(), 30s);
  EXPECT_FALSE(sim.run_until([&] { return times == 100; }, 1min));
  EXPECT_EQ(times, 9);
  EXPECT_FALSE(sim.run_until_idle(1h));
  sim.run(group.stop());
  EXPECT_EQ(sim.clock().sleepers(), 0u);
  EXPECT_TRUE(sim.run_until_idle());
}

Async<std::string> greet_later(SimSystem& sim) {
  co_await sim.clock().sleep_for(1h);
  co_return "hello";
}

Async<void> fail_later(SimSystem& sim) {
  co_await sim.clock().sleep_for(1h);
  throw std::runtime_error("too bad");
}

TEST(SimSystem, RunReturnsTheValueOrThrows) {
  SimSystem sim(test_seed());
  EXPECT_EQ(sim.run(greet_later(sim)), "hello");
  EXPECT_THROW(sim.run(fail_later(sim)), std::runtime_error);
  EXPECT_EQ(sim.elapsed(), 2h);
}

TEST(SimSystem, ACancelledSleeperLeavesAndIsNotWoken) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  group.spawn("a", note_at(sim, 1s, log, "a"));
  sim.settle();
  EXPECT_EQ(sim.clock().sleepers(), 1u);
  sim.run(group.stop());
  EXPECT_EQ(sim.clock().sleepers(), 0u);
  sim.run_for(1h);
  EXPECT_THAT(log, IsEmpty());
}

TEST(SimSystem, ASleeperCancelledInTheMomentItIsWokenEndsOnce) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  group.spawn("a", note_at(sim, 1s, log, "a"));
  sim.settle();
  ASSERT_TRUE(sim.clock().wake_next());
  sim.run(group.stop());
  EXPECT_EQ(group.size(), 0u);
  EXPECT_EQ(sim.clock().sleepers(), 0u);
}

Async<void> work_and_sleep(SimSystem& sim, std::vector<std::string>& log) {
  for (int i = 0; i < 3; ++i) {
    const int result = co_await sim.workers().run([i] { return i; });
    log.push_back(fmt::format("{} {}", result, format_duration(sim.elapsed())));
    co_await sim.clock().sleep_for(1s);
  }
}

TEST(SimSystem, TimeStandsStillWhileOtherThreadsWork) {
  SimSystem sim(test_seed(), {.worker_threads = 1});
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  int times = 0;
  group.spawn("periodic", every(sim, 1ms, times));
  group.spawn("work", work_and_sleep(sim, log));
  sim.run_for(10s);
  EXPECT_THAT(log, ElementsAre("0 0s", "1 1s", "2 2s"));
  sim.run(group.stop());
}

Async<void> act_in_real_time(SimSystem& sim, std::vector<std::string>& log) {
  const auto token = sim.activity().begin();
  RealClock real(sim.loop());
  co_await real.sleep_for(1ms);
  log.push_back(format_duration(sim.elapsed()));
}

TEST(SimSystem, TimeStandsStillDuringAnActivity) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  std::vector<std::string> log;
  int times = 0;
  group.spawn("periodic", every(sim, 1s, times));
  group.spawn("act", act_in_real_time(sim, log));
  sim.run_for(1h);
  EXPECT_THAT(log, ElementsAre("0s"));
  EXPECT_EQ(times, 3600);
  sim.run(group.stop());
}

TEST(SimSystem, TheSameSeedGivesTheSameRun) {
  const auto trace = [](std::uint64_t seed) {
    SimSystem sim(seed);
    TaskGroup group(sim.loop());
    std::vector<std::string> log;
    for (int i = 0; i < 50; ++i) {
      group.spawn("task", note_at(sim, std::chrono::milliseconds(sim.random().below(20)), log, std::to_string(i)));
    }
    sim.run_until_idle();
    return log;
  };
  const std::uint64_t seed = test_seed();
  EXPECT_EQ(trace(seed), trace(seed));
  EXPECT_NE(trace(seed), trace(seed + 1));
}

TEST(SimSystem, ItsDirectoryDisappearsWithIt) {
  RealFiles files;
  std::string directory;
  {
    SimSystem sim(test_seed());
    directory = sim.directory();
    ASSERT_TRUE(sim.files().write_durably(directory + "/file", "x").has_value());
    EXPECT_TRUE(files.exists(directory + "/file"));
  }
  EXPECT_FALSE(files.exists(directory));
}

Async<void> sleep_with_token(SimSystem& sim) {
  const auto token = sim.activity().begin();
  co_await sim.clock().sleep_for(1s);
}

TEST(SimSystemDeathTest, SaysWhyTheTimeCannotMove) {
  EXPECT_DEATH(
      {
        SimSystem sim(1, {.patience = 1ms});
        sim.run(sleep_with_token(sim));
      },
      "1 activities and 0 pieces .* held across a sleep");
  EXPECT_DEATH(
      {
        SimSystem sim(1);
        Promise<int> never(sim.loop());
        sim.run(never.get());
      },
      "something that never happens");
}

TEST(SimSystem, ManySleepersAreCheap) {
  SimSystem sim(test_seed());
  TaskGroup group(sim.loop());
  int times = 0;
  for (int i = 0; i < 100; ++i) group.spawn("periodic", every(sim, 1s, times));
  sim.run_for(1000s);
  EXPECT_EQ(times, 100'000);
  sim.run(group.stop());
}

}  // namespace
}  // namespace lambdad
