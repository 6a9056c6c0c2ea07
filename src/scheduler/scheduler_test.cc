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

  void call(ports::FunctionVersionPtr function, Placement placement = Placement::kOnDemand) {
    callers_.spawn("caller", run_one(std::move(function), placement));
  }
  Async<void> run_one(ports::FunctionVersionPtr function, Placement placement) {
    auto outcome = co_await scheduler_.run(std::move(function), {}, placement);
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
  scheduler_.retire_others({"111122223333", "eu-west-1", "f", ""}, {"2"});
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
  scheduler_.retire_others({"111122223333", "eu-west-1", "f", ""}, {});
  sim_.run_for(1ms);
  EXPECT_EQ(scheduler_.environments(), 1u);
}

TEST_F(SchedulerTest, AFunctionGainsAThousandEnvironmentsAndThenAHundredEachSecond) {
  runtime_.work = 1h;
  for (int i = 0; i < 1100; ++i) call(version("f", i % 2 == 0 ? "1" : "2"));
  sim_.run_for(100ms);
  EXPECT_EQ(runtime_.made, 1000);
  ASSERT_EQ(outcomes_.size(), 100u);
  EXPECT_EQ(outcomes_[0].kind, ports::InvocationOutcome::Kind::kThrottled);
  call(version("g", "3"));
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.made, 1001);
  for (int i = 0; i < 200; ++i) call(version("f", "1"));
  sim_.run_for(1ms);
  EXPECT_NEAR(runtime_.made, 1111, 1);
  runtime_.work = 0s;
  sim_.run_for(2h);
}

TEST(ScalingBudget, WhatIsNotUsedDoesNotAddUp) {
  ScalingBudget budget;
  MonoTime now{};
  now += 1h;
  int taken = 0;
  while (budget.take(now)) ++taken;
  EXPECT_EQ(taken, 1000);
  EXPECT_FALSE(budget.full(now + 9s));
  EXPECT_TRUE(budget.full(now + 10s));
}

// --- provisioned concurrency ----------------------------------------------------------------------------------------

TEST_F(SchedulerTest, ProvisionedEnvironmentsAreInitialisedAheadAndUsedFirst) {
  runtime_.init = 10s;
  scheduler_.provision(version("f", "1"), 2);
  sim_.run_for(5s);
  auto status = scheduler_.provisioned("1");
  EXPECT_EQ(status.requested, 2);
  EXPECT_EQ(status.allocated, 2);
  EXPECT_EQ(status.available, 0);
  sim_.run_for(6s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 2);
  call(version("f", "1"), Placement::kProvisioned);
  sim_.run_for(1ms);
  EXPECT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(runtime_.ahead, 1);
  EXPECT_EQ(runtime_.made, 2);
}

TEST_F(SchedulerTest, TheNumberOfProvisionedEnvironmentsMayChangeWhileTheyAreMade) {
  runtime_.init = 10s;
  scheduler_.provision(version("f", "1"), 2);
  sim_.run_for(5s);
  scheduler_.provision(version("f", "1"), 5);
  sim_.run_for(20s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 5);
  scheduler_.provision(version("f", "1"), 9);
  sim_.run_for(5s);
  scheduler_.provision(version("f", "1"), 6);
  sim_.run_for(20s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 6);
  EXPECT_EQ(scheduler_.environments(), 6u);
}

TEST_F(SchedulerTest, ProvisionedEnvironmentsAreNotReaped) {
  scheduler_.provision(version("f", "1"), 3);
  sim_.run_for(24h);
  EXPECT_EQ(scheduler_.provisioned("1").available, 3);
  EXPECT_EQ(runtime_.made, 3);
  EXPECT_EQ(runtime_.shut_down, 0);
}

TEST_F(SchedulerTest, InvocationsOnDemandDoNotTakeProvisionedEnvironments) {
  scheduler_.provision(version("f", "1"), 1);
  sim_.run_for(1s);
  call(version("f", "1"));
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.ahead, 0);
  EXPECT_EQ(runtime_.made, 2);
}

TEST_F(SchedulerTest, FewerProvisionedEnvironmentsAreLetGoAndNoneEndsThePool) {
  scheduler_.provision(version("f", "1"), 5);
  sim_.run_for(1s);
  scheduler_.provision(version("f", "1"), 2);
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.shut_down, 3);
  EXPECT_EQ(scheduler_.provisioned("1").available, 2);
  scheduler_.provision(version("f", "1"), 0);
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.shut_down, 5);
  EXPECT_EQ(scheduler_.provisioned("1").requested, 0);
  EXPECT_EQ(scheduler_.environments(), 0u);
}

TEST_F(SchedulerTest, AProvisionedEnvironmentWhoseProcessEndedIsInitialisedAgain) {
  scheduler_.provision(version("f", "1"), 1);
  sim_.run_for(1s);
  runtime_.crash = true;
  call(version("f", "1"), Placement::kProvisioned);
  sim_.run_for(1s);
  EXPECT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(scheduler_.provisioned("1").available, 1);
  EXPECT_EQ(runtime_.made, 1);
}

TEST_F(SchedulerTest, AProvisionedEnvironmentThatEndsWhileItIsIdleIsInitialisedAgain) {
  scheduler_.provision(version("f", "1"), 2);
  sim_.run_for(1s);
  runtime_.init = 10s;
  static_cast<FakeEnvironment&>(*runtime_.environments[0].lock()).end();
  sim_.run_for(1s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 1);
  sim_.run_for(10s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 2);
  EXPECT_EQ(runtime_.made, 2);
}

TEST_F(SchedulerTest, AFailedInitIsReportedAndTriedAgain) {
  runtime_.fail_init = true;
  scheduler_.provision(version("f", "1"), 2);
  sim_.run_for(1s);
  EXPECT_EQ(scheduler_.provisioned("1").available, 0);
  EXPECT_EQ(scheduler_.provisioned("1").failure, "Init failed");
  EXPECT_EQ(runtime_.made, 2);
  sim_.run_for(20min);
  EXPECT_LT(runtime_.made, 30);
  runtime_.fail_init = false;
  sim_.run_for(6min);
  EXPECT_EQ(scheduler_.provisioned("1").available, 2);
  EXPECT_EQ(scheduler_.provisioned("1").failure, "");
}

TEST_F(SchedulerTest, RetiringAVersionEndsItsProvisionedEnvironments) {
  scheduler_.provision(version("f", "1"), 2);
  scheduler_.provision(version("f", "2"), 1);
  sim_.run_for(1s);
  scheduler_.retire_others({"111122223333", "eu-west-1", "f", ""}, {"2"});
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.shut_down, 2);
  EXPECT_EQ(scheduler_.provisioned("2").available, 1);
}

}  // namespace
}  // namespace lambdad::scheduler
