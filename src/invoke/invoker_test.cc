#include "invoke/invoker.h"

#include <gtest/gtest.h>

#include "invoke/recursion.h"
#include "scheduler/fake_environment.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

using Kind = ports::InvocationOutcome::Kind;

/// One function, "f", with what a test gives it.
struct FakeCatalog final : ports::FunctionCatalog {
  FakeCatalog() {
    ports::FunctionVersion function;
    function.account = "111122223333";
    function.region = "eu-west-1";
    function.name = "f";
    function.version = "1";
    function.snapshot_id = "snapshot";
    version = std::make_shared<const ports::FunctionVersion>(std::move(function));
  }
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& ref) override {
    if (ref.name != "f") return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
    return version;
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return reserved; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return reserved_total; }
  int provisioned_concurrency(const ports::FunctionRef&) override { return provisioned; }
  bool stops_loops(const ports::FunctionRef&) override { return stops; }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return {}; }
  void on_change(std::function<void(const ports::FunctionRef&)>) override {}

  ports::FunctionVersionPtr version;
  std::optional<int> reserved;
  int reserved_total = 0;
  int provisioned = 0;
  bool stops = true;
};

class InvokerTest : public ::testing::Test {
 protected:
  ~InvokerTest() override {
    sim_.run(callers_.drain());
    sim_.run(scheduler_.stop());
  }
  void call(int times = 1, const std::string& trace_header = "") {
    for (int i = 0; i < times; ++i) callers_.spawn("caller", run_one(trace_header));
  }
  Async<void> run_one(std::string trace_header) {
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", "f", "1"};
    request.trace_header = std::move(trace_header);
    outcomes_.push_back(co_await invoker_.invoke(std::move(request)));
  }
  testing::AssertionResult counted(const std::string& series) {
    const std::string text = metrics_.expose();
    if (text.find(series + "\n") != std::string::npos) return testing::AssertionSuccess();
    return testing::AssertionFailure() << series << " is not in\n" << text;
  }

  SimSystem sim_{test_seed()};
  // Functions "run" by sleeping on the simulated clock here, which the simulation's own Activity would keep from
  // moving.
  Activity activity_{sim_.loop()};
  System system_{sim_.loop(), sim_.clock(), sim_.clock(), activity_, sim_.random(), sim_.files(), sim_.workers()};
  scheduler::FakeRuntime runtime_;
  Metrics metrics_;
  FakeCatalog catalog_;
  scheduler::ConcurrencyLedger ledger_;
  scheduler::Scheduler scheduler_{sim_.system(), null_logger(), metrics_,
                                  scheduler::fake_factory(sim_.loop(), sim_.clock(), runtime_)};
  Invoker invoker_{system_, null_logger(), metrics_, catalog_, ledger_, scheduler_};
  TaskGroup callers_{sim_.loop()};
  std::vector<ports::InvocationOutcome> outcomes_;
};

TEST_F(InvokerTest, AThrottleIsCountedUnderItsReason) {
  catalog_.reserved = 1;
  runtime_.work = 1s;
  call(3);
  sim_.run_for(2s);
  ASSERT_EQ(outcomes_.size(), 3u);
  EXPECT_EQ(outcomes_[0].kind, Kind::kThrottled);
  EXPECT_EQ(outcomes_[2].kind, Kind::kSuccess);
  EXPECT_TRUE(
      counted(R"(lambdad_throttles_total{function="f",reason="ReservedFunctionConcurrentInvocationLimitExceeded"} 2)"));
}

TEST_F(InvokerTest, ProvisionedEnvironmentsTakeWhatTheyCanAndTheRestRunsOnDemand) {
  catalog_.provisioned = 2;
  scheduler_.provision(catalog_.version, 2);
  sim_.run_for(1s);
  runtime_.work = 1s;
  call(3);
  sim_.run_for(2s);
  EXPECT_EQ(runtime_.ahead, 2);
  EXPECT_EQ(runtime_.made, 3);
  EXPECT_TRUE(counted(R"(lambdad_provisioned_invocations_total{function="f"} 2)"));
  EXPECT_TRUE(counted(R"(lambdad_provisioned_spillover_total{function="f"} 1)"));
}

TEST_F(InvokerTest, AVersionRunsOnDemandUntilItsEnvironmentsAreReady) {
  catalog_.provisioned = 1;
  catalog_.reserved = 1;
  runtime_.init = 10s;
  scheduler_.provision(catalog_.version, 1);
  call();
  sim_.run_for(11s);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(outcomes_[0].kind, Kind::kSuccess);
  EXPECT_EQ(runtime_.ahead, 0);
  call();
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.ahead, 1);
}

TEST_F(InvokerTest, ALoopIsStoppedUnlessItIsAllowed) {
  const std::string header = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=";
  const std::string link = follow_chain("", {"eu-west-1", "111122223333", "f", ""}).trace_header.substr(8, 9);
  call(1, header + link + "15");
  call(1, header + link + "16");
  sim_.run_for(1s);
  ASSERT_EQ(outcomes_.size(), 2u);
  EXPECT_EQ(runtime_.invocations, 1);
  EXPECT_TRUE(counted(R"(lambdad_invocations_total{function="f",status="recursive_loop"} 1)"));
  catalog_.stops = false;
  call(1, header + link + "16");
  sim_.run_for(1s);
  EXPECT_EQ(runtime_.invocations, 2);
}

}  // namespace
}  // namespace lambdad::invoke
