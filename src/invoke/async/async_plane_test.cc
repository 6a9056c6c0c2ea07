#include "invoke/async/async_plane.h"

#include <functional>

#include <gtest/gtest.h>

#include "base/json.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

using Kind = ports::InvocationOutcome::Kind;

const ports::FunctionRef kFunction{"111122223333", "eu-west-1", "mail", ""};

struct FakeCatalog final : ports::FunctionCatalog {
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& f) override {
    if (gone) return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
    ports::FunctionVersion version;
    version.name = f.name;
    version.dead_letter_arn = dead_letter_arn;
    return std::make_shared<const ports::FunctionVersion>(std::move(version));
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return reserved; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return reserved.value_or(0); }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return config; }
  void on_change(std::function<void(const ports::FunctionRef&)>) override {}

  bool gone = false;
  std::string dead_letter_arn = "arn:aws:sqs:eu-west-1:111122223333:dlq";
  std::optional<int> reserved;
  ports::EventInvokeConfig config;
};

struct FakeInvoker final : ports::FunctionInvoker {
  explicit FakeInvoker(SimSystem& sim) : sim(sim) {}
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
    attempts.push_back(
        {request.function.name, request.request_id, request.payload, request.trace_header, sim.elapsed()});
    ++running;
    running_max = std::max(running_max, running);
    co_await sim.clock().sleep_for(work);
    --running;
    ports::InvocationOutcome outcome;
    outcome.kind = behave(request);
    outcome.executed_version = "$LATEST";
    outcome.payload = outcome.kind == Kind::kFunctionError ? R"({"errorMessage":"boom","errorType":"Exception"})" : "1";
    co_return outcome;
  }
  Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }

  struct Attempt {
    std::string function, request_id, payload, trace_header;
    Duration at;
  };
  SimSystem& sim;
  std::vector<Attempt> attempts;
  Duration work{};
  int running = 0;
  int running_max = 0;
  std::function<Kind(const ports::InvocationRequest&)> behave = [](const auto&) { return Kind::kSuccess; };
};

struct FakeTarget final : ports::Target {
  Async<Result<void>> deliver(Arn target, ports::TargetMessage message) override {
    if (failures > 0) {
      --failures;
      co_return fail(failure, "target says no");
    }
    delivered.push_back({target.str(), std::move(message)});
    co_return Result<void>();
  }
  std::vector<std::pair<std::string, ports::TargetMessage>> delivered;
  int failures = 0;
  Errc failure = Errc::kUnavailable;
};

class AsyncPlaneTest : public testing::Test {
 protected:
  AsyncPlaneTest() { open(); }
  ~AsyncPlaneTest() override { close(); }

  void open() {
    auto store = EventStore::open(sim_.loop(), sim_.directory() + "/async.db",
                                  {.durability = store::Durability::kEphemeral, .retention = retention_});
    ASSERT_TRUE(store) << store.error().detail;
    plane_ = std::make_unique<AsyncPlane>(sim_.system(), null_logger(), metrics_, std::move(*store), invoker_, catalog_,
                                          target_, limits_);
    ASSERT_TRUE(plane_->start());
  }
  void close() {
    sim_.run(plane_->stop());
    plane_.reset();
  }
  void restart() {
    close();
    open();
  }
  Result<void> accept(std::string id, ports::FunctionRef function = kFunction, std::string payload = R"({"n":1})") {
    ports::InvocationRequest request;
    request.function = std::move(function);
    request.request_id = std::move(id);
    request.payload = std::move(payload);
    return sim_.run(plane_->accept(std::move(request)));
  }
  std::vector<Duration> times() const {
    std::vector<Duration> result;
    for (const auto& attempt : invoker_.attempts) {
      result.push_back(std::chrono::round<std::chrono::seconds>(attempt.at - began_));
    }
    return result;
  }
  void fails() {
    invoker_.behave = [](const auto&) { return Kind::kFunctionError; };
    began_ = sim_.elapsed();
  }

  SimSystem sim_{test_seed()};
  Metrics metrics_;
  FakeCatalog catalog_;
  FakeInvoker invoker_{sim_};
  FakeTarget target_;
  AsyncPlane::Limits limits_;
  EventStore::Retention retention_;
  std::unique_ptr<AsyncPlane> plane_;
  Duration began_{};
};

using Times = std::vector<Duration>;

TEST_F(AsyncPlaneTest, RunsAnAcceptedEventOnceAndForgetsIt) {
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  ASSERT_EQ(invoker_.attempts.size(), 1u);
  EXPECT_EQ(invoker_.attempts[0].request_id, "id-1");
  EXPECT_EQ(invoker_.attempts[0].payload, R"({"n":1})");
  EXPECT_EQ(plane_->size(), 0u);
  restart();
  sim_.run_for(10h);
  EXPECT_EQ(invoker_.attempts.size(), 1u);
}

TEST_F(AsyncPlaneTest, AFunctionErrorIsRetriedAfterOneThenTwoMinutesThenDeadLettered) {
  fails();
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(6h);
  EXPECT_EQ(times(), (Times{0s, 60s, 180s}));
  ASSERT_EQ(target_.delivered.size(), 1u);
  const auto& [arn, message] = target_.delivered[0];
  EXPECT_EQ(arn, "arn:aws:sqs:eu-west-1:111122223333:dlq");
  EXPECT_EQ(message.body, R"({"n":1})");
  EXPECT_EQ(message.attributes.at("RequestID").value, "id-1");
  EXPECT_EQ(message.attributes.at("ErrorCode").value, "200");
  EXPECT_EQ(message.attributes.at("ErrorCode").data_type, "Number");
  EXPECT_EQ(message.attributes.at("ErrorMessage").value, "boom");
  EXPECT_EQ(plane_->size(), 0u);
}

TEST_F(AsyncPlaneTest, AttemptCountsAndDueTimesSurviveARestart) {
  fails();
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(30s);
  restart();
  sim_.run_for(29s);
  EXPECT_EQ(times(), (Times{0s}));
  sim_.run_for(40s);
  restart();
  sim_.run_for(6h);
  EXPECT_EQ(times(), (Times{0s, 60s, 180s}));
  EXPECT_EQ(target_.delivered.size(), 1u);
}

TEST_F(AsyncPlaneTest, RetrySettingsOfTheMomentCount) {
  fails();
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(10s);
  catalog_.config.maximum_retry_attempts = 1;
  sim_.run_for(6h);
  EXPECT_EQ(times(), (Times{0s, 60s}));
}

TEST_F(AsyncPlaneTest, ThrottledEventsWaitAndThenRun) {
  began_ = sim_.elapsed();
  int refusals = 3;
  invoker_.behave = [&](const auto&) { return refusals-- > 0 ? Kind::kThrottled : Kind::kSuccess; };
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1h);
  EXPECT_EQ(times(), (Times{0s, 1s, 3s, 7s}));
  EXPECT_EQ(plane_->size(), 0u);
  EXPECT_TRUE(target_.delivered.empty());
}

TEST_F(AsyncPlaneTest, AnOldEventIsGivenUp) {
  invoker_.behave = [](const auto&) { return Kind::kThrottled; };
  catalog_.config.maximum_event_age = 60s;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(2h);
  EXPECT_EQ(plane_->size(), 0u);
  ASSERT_EQ(target_.delivered.size(), 1u);
  EXPECT_EQ(target_.delivered[0].second.attributes.at("ErrorCode").value, "429");
}

TEST_F(AsyncPlaneTest, ZeroReservedConcurrencyGoesStraightToTheDeadLetterQueue) {
  catalog_.reserved = 0;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  EXPECT_TRUE(invoker_.attempts.empty());
  EXPECT_EQ(target_.delivered.size(), 1u);
}

TEST_F(AsyncPlaneTest, AnEventOfADeletedFunctionIsDropped) {
  invoker_.behave = [](const auto&) { return Kind::kNoSuchFunction; };
  catalog_.gone = true;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  EXPECT_EQ(plane_->size(), 0u);
}

TEST_F(AsyncPlaneTest, ADeadLetterQueueThatIsBusyIsTriedAgain) {
  fails();
  catalog_.config.maximum_retry_attempts = 0;
  target_.failures = 5;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(5min);
  EXPECT_EQ(target_.delivered.size(), 1u);
}

TEST_F(AsyncPlaneTest, ADeadLetterQueueThatIsGoneLosesTheEventAndCountsIt) {
  fails();
  catalog_.config.maximum_retry_attempts = 0;
  target_.failures = 1000;
  target_.failure = Errc::kNotFound;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(5min);
  EXPECT_EQ(plane_->size(), 0u);
  EXPECT_NE(metrics_.expose().find(R"(lambdad_dead_letter_errors_total{function="mail"} 1)"), std::string::npos);
}

TEST_F(AsyncPlaneTest, OneSlowFunctionDoesNotDelayAnother) {
  close();
  limits_.lanes.running_max = 4;
  limits_.lanes.running_per_function_max = 2;
  open();
  invoker_.work = 10s;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(accept(fmt::format("slow-{}", i)));
  const Duration before = sim_.elapsed();
  ASSERT_TRUE(accept("quick", {"111122223333", "eu-west-1", "other", ""}));
  sim_.run_for(1ms);
  EXPECT_EQ(invoker_.attempts.back().request_id, "quick");
  EXPECT_LE(invoker_.attempts.back().at - before, 1ms);
  sim_.run_for(10min);
  EXPECT_EQ(invoker_.attempts.size(), 21u);
  EXPECT_LE(invoker_.running_max, 4);
}

TEST_F(AsyncPlaneTest, PayloadsBeyondTheMemoryLimitAreReadWhenDue) {
  close();
  limits_.lanes.payload_memory_max = 10;
  limits_.lanes.running_max = 1;
  open();
  invoker_.work = 1s;
  const std::string large(1000, 'x');
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(accept(fmt::format("id-{}", i), kFunction, "\"" + large + "\""));
  sim_.run_for(1min);
  ASSERT_EQ(invoker_.attempts.size(), 5u);
  for (const auto& attempt : invoker_.attempts) EXPECT_EQ(attempt.payload.size(), 1002u);
}

TEST_F(AsyncPlaneTest, WhatWasNotAttemptedBeforeTheStopRunsAfterTheStart) {
  close();
  limits_.lanes.running_max = 1;
  open();
  invoker_.work = 1s;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(accept(fmt::format("id-{}", i)));
  restart();
  EXPECT_GT(plane_->size(), 0u);
  sim_.run_for(1min);
  std::set<std::string> seen;
  for (const auto& attempt : invoker_.attempts) seen.insert(attempt.request_id);
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(plane_->size(), 0u);
}

// --- destinations
// -----------------------------------------------------------------------------------------------------

TEST_F(AsyncPlaneTest, ASuccessIsToldToItsDestinationWithTheExactRecord) {
  catalog_.config.on_success = "arn:aws:sqs:eu-west-1:111122223333:done";
  ASSERT_TRUE(accept("id-1", kFunction, R"({"b" : 1.0, "a":[]})"));
  sim_.run_for(1s);
  ASSERT_EQ(target_.delivered.size(), 1u);
  const auto& [arn, message] = target_.delivered[0];
  EXPECT_EQ(arn, "arn:aws:sqs:eu-west-1:111122223333:done");
  EXPECT_EQ(message.body,
            R"({"version":"1.0","timestamp":"2026-01-01T00:00:00.000Z","requestContext":{"requestId":"id-1",)"
            R"("functionArn":"arn:aws:lambda:eu-west-1:111122223333:function:mail:$LATEST","condition":"Success",)"
            R"("approximateInvokeCount":1},"requestPayload":{"b" : 1.0, "a":[]},)"
            R"("responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":1})");
  EXPECT_TRUE(message.attributes.empty());
  ASSERT_TRUE(message.record);
  EXPECT_TRUE(message.record->succeeded);
  EXPECT_EQ(message.sender.source_arn, "arn:aws:lambda:eu-west-1:111122223333:function:mail");
}

TEST_F(AsyncPlaneTest, AFailureIsToldToDestinationAndDeadLetterQueueWhenBothAreSet) {
  fails();
  catalog_.config.on_failure = "arn:aws:sqs:eu-west-1:111122223333:failed";
  catalog_.config.maximum_retry_attempts = 1;
  ASSERT_TRUE(accept("id-1", {"111122223333", "eu-west-1", "mail", "live"}));
  sim_.run_for(1h);
  ASSERT_EQ(target_.delivered.size(), 2u);
  EXPECT_EQ(target_.delivered[0].first, "arn:aws:sqs:eu-west-1:111122223333:failed");
  EXPECT_EQ(target_.delivered[0].second.body,
            R"({"version":"1.0","timestamp":"2026-01-01T00:01:00.000Z","requestContext":{"requestId":"id-1",)"
            R"("functionArn":"arn:aws:lambda:eu-west-1:111122223333:function:mail:live",)"
            R"("condition":"RetriesExhausted","approximateInvokeCount":2},"requestPayload":{"n":1},)"
            R"("responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},)"
            R"("responsePayload":{"errorMessage":"boom","errorType":"Exception"}})");
  EXPECT_EQ(target_.delivered[1].first, "arn:aws:sqs:eu-west-1:111122223333:dlq");
  EXPECT_EQ(target_.delivered[1].second.body, R"({"n":1})");
}

TEST_F(AsyncPlaneTest, AnEventThatWasNeverAttemptedHasNoResponseInItsRecord) {
  catalog_.reserved = 0;
  catalog_.config.on_failure = "arn:aws:sqs:eu-west-1:111122223333:failed";
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  ASSERT_EQ(target_.delivered.size(), 2u);
  const auto record = json::parse(target_.delivered[0].second.body);
  EXPECT_EQ(*record->find("requestContext")->find("condition")->if_string(), "ZeroReservedConcurrency");
  EXPECT_EQ(record->find("requestContext")->find("approximateInvokeCount")->as_int64(), 0);
  EXPECT_EQ(record->find("responseContext"), nullptr);
  EXPECT_EQ(record->find("responsePayload"), nullptr);
}

TEST_F(AsyncPlaneTest, ADeliveryOutlivesARestartAndTheFunctionIsNotRunAgain) {
  catalog_.config.on_success = "arn:aws:sqs:eu-west-1:111122223333:done";
  target_.failures = 3;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(500ms);
  EXPECT_TRUE(target_.delivered.empty());
  EXPECT_EQ(plane_->size(), 0u);
  restart();
  sim_.run_for(1min);
  EXPECT_EQ(target_.delivered.size(), 1u);
  EXPECT_EQ(invoker_.attempts.size(), 1u);
}

TEST_F(AsyncPlaneTest, ADestinationThatStaysAwayLosesTheRecordAfterSixHours) {
  catalog_.config.on_success = "arn:aws:sqs:eu-west-1:111122223333:done";
  target_.failures = 100'000;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(5h);
  EXPECT_EQ(metrics_.expose().find("lambdad_destination_delivery_failures_total"), std::string::npos);
  sim_.run_for(2h);
  EXPECT_NE(metrics_.expose().find(R"(lambdad_destination_delivery_failures_total{function="mail"} 1)"),
            std::string::npos);
}

TEST_F(AsyncPlaneTest, WhoeverIsTriggeredByADeliveryIsFurtherInTheChain) {
  catalog_.config.on_success = "arn:aws:sqs:eu-west-1:111122223333:done";
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  ASSERT_EQ(target_.delivered.size(), 1u);
  const std::string& trace = target_.delivered[0].second.trace_header;
  EXPECT_TRUE(trace.starts_with("Root=1-")) << trace;
  EXPECT_NE(trace.find("Lineage="), std::string::npos) << trace;
  EXPECT_TRUE(trace.ends_with(":1")) << trace;
}

TEST_F(AsyncPlaneTest, AllAttemptsBelongToOneTrace) {
  fails();
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1h);
  ASSERT_EQ(invoker_.attempts.size(), 3u);
  EXPECT_TRUE(invoker_.attempts[0].trace_header.starts_with("Root=1-"));
  EXPECT_EQ(invoker_.attempts[0].trace_header, invoker_.attempts[2].trace_header);
}

// --- backlogs
// ---------------------------------------------------------------------------------------------------------

TEST_F(AsyncPlaneTest, ALongBacklogIsOnDiskAndRunsInTheOrderOfItsDueTimes) {
  close();
  limits_.lanes.head_max = 8;
  limits_.lanes.running_max = 1;
  open();
  invoker_.work = 1s;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(accept(fmt::format("{}", i)));
  EXPECT_LE(plane_->in_memory(), 10u);
  EXPECT_GE(plane_->size(), 199u);
  sim_.run_for(10min);
  ASSERT_EQ(invoker_.attempts.size(), 200u);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(invoker_.attempts[i].request_id, fmt::format("{}", i));
  EXPECT_EQ(plane_->size(), 0u);
  EXPECT_EQ(plane_->in_memory(), 0u);
}

TEST_F(AsyncPlaneTest, ManySlowFunctionsDoNotDelayOneThatRunsNothing) {
  close();
  limits_.lanes.running_max = 4;
  limits_.lanes.running_hard_max = 16;
  limits_.lanes.running_per_function_max = 2;
  open();
  invoker_.work = 10min;
  for (int i = 0; i < 10; ++i) {
    for (int n = 0; n < 3; ++n) {
      ASSERT_TRUE(
          accept(fmt::format("slow-{}-{}", i, n), {"111122223333", "eu-west-1", fmt::format("slow-{}", i), ""}));
    }
  }
  ASSERT_TRUE(accept("quick", {"111122223333", "eu-west-1", "other", ""}));
  sim_.run_for(1ms);
  EXPECT_EQ(std::ranges::count(invoker_.attempts, "quick", &FakeInvoker::Attempt::request_id), 1);
  EXPECT_LE(invoker_.running, 16);
}

TEST_F(AsyncPlaneTest, RetriesThatWaitAreNotInMemory) {
  fails();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(accept(fmt::format("{}", i)));
  sim_.run_for(10s);
  EXPECT_EQ(plane_->size(), 100u);
  EXPECT_EQ(plane_->in_memory(), 0u);
  sim_.run_for(1h);
  EXPECT_EQ(invoker_.attempts.size(), 300u);
}

// --- seeing and mending
// -----------------------------------------------------------------------------------------------

TEST_F(AsyncPlaneTest, ADeadEventShowsItsAttemptsAndCanBeReplayed) {
  fails();
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(10min);
  auto page = sim_.run(plane_->list({.state = EventStore::Filter::State::kDead}));
  ASSERT_TRUE(page);
  ASSERT_EQ(page->events.size(), 1u);
  const std::int64_t id = page->events[0].event.id;
  EXPECT_EQ(page->events[0].condition, "RetriesExhausted");
  restart();
  auto details = sim_.run(plane_->show(id));
  ASSERT_TRUE(details);
  ASSERT_EQ(details->attempts.size(), 3u);
  EXPECT_EQ(details->attempts[2].number, 3);
  EXPECT_EQ(details->attempts[2].outcome, "function_error");
  EXPECT_NE(details->attempts[2].error.find("boom"), std::string::npos);
  EXPECT_EQ(details->attempts[1].started - details->attempts[0].started, 60s);
  EXPECT_EQ(details->payload, R"({"n":1})");

  invoker_.behave = [](const auto&) { return Kind::kSuccess; };
  ASSERT_TRUE(sim_.run(plane_->replay(id)));
  sim_.run_for(1s);
  ASSERT_EQ(invoker_.attempts.size(), 4u);
  EXPECT_EQ(invoker_.attempts[3].request_id, "id-1");
  EXPECT_EQ(plane_->size(), 0u);
  EXPECT_EQ(sim_.run(plane_->show(id)).error().code, Errc::kNotFound);
  ASSERT_EQ(plane_->recent().size(), 1u);
  EXPECT_EQ(plane_->recent()[0].event.id, id);
  EXPECT_EQ(sim_.run(plane_->replay(id)).error().code, Errc::kNotFound);
}

TEST_F(AsyncPlaneTest, AQueuedEventCanBeDroppedButNotWhileItRuns) {
  fails();
  invoker_.work = 10s;
  ASSERT_TRUE(accept("id-1"));
  sim_.run_for(1s);
  auto page = sim_.run(plane_->list({}));
  ASSERT_TRUE(page);
  ASSERT_EQ(page->events.size(), 1u);
  const std::int64_t id = page->events[0].event.id;
  EXPECT_EQ(sim_.run(plane_->drop(id)).error().code, Errc::kConflict);
  sim_.run_for(20s);
  ASSERT_TRUE(sim_.run(plane_->drop(id)));
  EXPECT_EQ(plane_->size(), 0u);
  sim_.run_for(1h);
  EXPECT_EQ(invoker_.attempts.size(), 1u);
  EXPECT_TRUE(target_.delivered.empty());
  EXPECT_EQ(sim_.run(plane_->drop(id)).error().code, Errc::kNotFound);
}

TEST_F(AsyncPlaneTest, TheOldestDeadEventsMakeRoomForNewerOnes) {
  close();
  retention_.dead_max = 3;
  open();
  fails();
  catalog_.config.maximum_retry_attempts = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(accept(fmt::format("{}", i)));
    sim_.run_for(1s);
  }
  auto page = sim_.run(plane_->list({.state = EventStore::Filter::State::kDead}));
  ASSERT_TRUE(page);
  ASSERT_EQ(page->events.size(), 3u);
  EXPECT_EQ(page->events[0].event.request_id, "7");
}

TEST_F(AsyncPlaneTest, LargeEventsComeBackWhole) {
  close();
  limits_.lanes.payload_memory_max = 10;
  open();
  fails();
  const std::string large = "\"" + std::string(kEventBytesMax - 2, 'x') + "\"";
  ASSERT_TRUE(accept("id-1", kFunction, large));
  sim_.run_for(1h);
  ASSERT_EQ(invoker_.attempts.size(), 3u);
  for (const auto& attempt : invoker_.attempts) EXPECT_EQ(attempt.payload, large);
  ASSERT_EQ(target_.delivered.size(), 1u);
  EXPECT_EQ(target_.delivered[0].second.body, large);
}

}  // namespace
}  // namespace lambdad::invoke
