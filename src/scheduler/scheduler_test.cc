#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include "scheduler/fake_environment.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::scheduler {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest()
      : scheduler_(sim_.system(), null_logger(), metrics_, fake_factory(sim_.loop(), sim_.clock(), runtime_)) {}
  ~SchedulerTest() override {
    sim_.run(callers_.stop());
    sim_.run(scheduler_.stop());
  }

  static ports::FunctionVersionPtr version(std::string name, std::string snapshot) {
    ports::FunctionVersion function;
    function.account = "111122223333";
    function.region = "eu-west-1";
    function.name = std::move(name);
    function.version = "$LATEST";
    function.snapshot_id = std::move(snapshot);
    return std::make_shared<const ports::FunctionVersion>(std::move(function));
  }

  void call(ports::FunctionVersionPtr function) { callers_.spawn("caller", run_one(std::move(function))); }
  Async<void> run_one(ports::FunctionVersionPtr function) {
    auto outcome = co_await scheduler_.run(std::move(function), {});
    outcomes_.push_back(std::move(outcome));
  }
  std::vector<std::string> environments_used() const {
    std::vector<std::string> used;
    for (const auto& outcome : outcomes_) used.push_back(outcome.payload);
    return used;
  }

  SimSystem sim_{test_seed()};
  FakeRuntime runtime_;
  Metrics metrics_;
  Scheduler scheduler_;
  TaskGroup callers_{sim_.loop()};
  std::vector<ports::InvocationOutcome> outcomes_;
};

using Used = std::vector<std::string>;

TEST_F(SchedulerTest, ReusesTheEnvironmentOfTheSameSnapshot) {
  for (int i = 0; i < 5; ++i) {
    call(version("f", "1"));
    sim_.run_for(1ms);
  }
  EXPECT_EQ(environments_used(), (Used{"1", "1", "1", "1", "1"}));
}

TEST_F(SchedulerTest, NeverSharesAnEnvironmentBetweenSnapshots) {
  call(version("f", "1"));
  sim_.run_for(1ms);
  call(version("f", "2"));
  call(version("g", "3"));
  sim_.run_for(1ms);
  EXPECT_EQ(runtime_.made, 3);
}

TEST_F(SchedulerTest, MakesOneEnvironmentForEachConcurrentInvocation) {
  runtime_.work = 1s;
  for (int i = 0; i < 7; ++i) call(version("f", "1"));
  sim_.run_for(2s);
  EXPECT_EQ(outcomes_.size(), 7u);
  EXPECT_EQ(runtime_.made, 7);
  EXPECT_EQ(runtime_.running_max, 7);
}

TEST_F(SchedulerTest, TakesTheEnvironmentUsedLast) {
  runtime_.work = 10ms;
  call(version("f", "1"));
  call(version("f", "1"));
  sim_.run_for(20ms);
  const std::string last = outcomes_.back().payload;
  outcomes_.clear();
  for (int i = 0; i < 3; ++i) {
    call(version("f", "1"));
    sim_.run_for(20ms);
  }
  EXPECT_EQ(environments_used(), (Used{last, last, last}));
}

TEST_F(SchedulerTest, WaitsAMomentForAnEnvironmentThatHasJustAnswered) {
  runtime_.settle = 1ms;
  call(version("f", "1"));
  sim_.settle();
  sim_.run_until([this] { return outcomes_.size() == 1; });
  call(version("f", "1"));
  sim_.run_for(10ms);
  EXPECT_EQ(outcomes_.size(), 2u);
  EXPECT_EQ(runtime_.made, 1);
}

TEST_F(SchedulerTest, MakesAnotherWhenTheRuntimeDoesNotComeBack) {
  runtime_.settle = 10s;
  call(version("f", "1"));
  sim_.run_until([this] { return outcomes_.size() == 1; });
  call(version("f", "1"));
  sim_.run_for(20ms);
  EXPECT_EQ(environments_used(), (Used{"1", "2"}));
}

TEST_F(SchedulerTest, AWaitingInvocationTakesWhicheverEnvironmentIsFreeFirst) {
  runtime_.work = 100ms;
  call(version("f", "1"));
  sim_.run_for(50ms);
  runtime_.init = 10s;
  call(version("f", "1"));
  sim_.run_for(200ms);
  EXPECT_EQ(environments_used(), (Used{"1", "1"}));
}

TEST_F(SchedulerTest, ReportsWhyNoEnvironmentCouldBeMade) {
  runtime_.fail_to_make = true;
  call(version("f", "1"));
  sim_.run_for(1s);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(outcomes_[0].kind, ports::InvocationOutcome::Kind::kSystemError);
  EXPECT_EQ(outcomes_[0].detail, "no room");
  runtime_.fail_to_make = false;
  call(version("f", "1"));
  sim_.run_for(1s);
  EXPECT_TRUE(outcomes_.back().ok());
}

TEST_F(SchedulerTest, FreezesIdleEnvironmentsOnceAndReapsThemLater) {
  call(version("f", "1"));
  sim_.run_for(5min);
  EXPECT_EQ(runtime_.frozen, 1);
  EXPECT_EQ(runtime_.shut_down, 0);
  sim_.run_for(6min);
  EXPECT_EQ(runtime_.shut_down, 1);
  EXPECT_EQ(scheduler_.environments(), 0u);
}

TEST_F(SchedulerTest, LetsARunningInvocationOfAnOldSnapshotFinish) {
  runtime_.work = 1s;
  call(version("f", "1"));
  sim_.run_for(100ms);
  scheduler_.retire_others({"111122223333", "eu-west-1", "f", ""}, "2");
  EXPECT_EQ(runtime_.shut_down, 0);
  sim_.run_for(2s);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_TRUE(outcomes_[0].ok());
  EXPECT_EQ(runtime_.shut_down, 1);
}

TEST_F(SchedulerTest, RetiringAFunctionLeavesOthersAlone) {
  call(version("f", "1"));
  call(version("g", "2"));
  sim_.run_for(1ms);
  scheduler_.retire_others({"111122223333", "eu-west-1", "f", ""}, "");
  sim_.run_for(1ms);
  EXPECT_EQ(scheduler_.environments(), 1u);
}

}  // namespace
}  // namespace lambdad::scheduler
