// What pollers do with messages, functions and time.
#include "event_sources/sqs/sqs_runtime.h"

#include <gmock/gmock.h>

#include "event_sources/sqs/test_support.h"

namespace lambdad::event_sources {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = ports::InvocationOutcome::Kind;

class PollerTest : public MappingTest {
 protected:
  aws::lambda::CreateEventSourceMappingRequest batched(int size, int window_seconds) {
    auto r = request();
    r.batch_size = size;
    r.maximum_batching_window_in_seconds = window_seconds;
    return r;
  }
  void answer(Kind kind, std::string payload = "null") {
    invoker_.behave = [=](const auto&) { return FakeInvoker::outcome(kind, payload); };
  }
};

TEST_F(PollerTest, MessagesAreGivenToTheFunctionAndDeleted) {
  enabled(request());
  sqs_.send("q", "hello");
  sim_.run_for(1s);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre("hello")));
  EXPECT_EQ(invoker_.invocations[0].plane, ports::Plane::kPoller);
  EXPECT_EQ(invoker_.invocations[0].function, "arn:aws:lambda:eu-west-1:111122223333:function:f");
  EXPECT_EQ(sqs_.size("q"), 0u);
  EXPECT_THAT(sqs_.accounts, ElementsAre("111122223333/eu-west-1"));
}

TEST_F(PollerTest, TheEventIsAsAwsWritesIt) {
  enabled(request());
  sqs_.send("q", R"({"n":1})");
  sim_.run_for(1s);
  ASSERT_EQ(invoker_.invocations.size(), 1u);
  EXPECT_EQ(invoker_.invocations[0].payload,
            R"({"Records":[{"messageId":"id-1","receiptHandle":"id-1#1","body":"{\"n\":1}",)"
            R"("attributes":{"ApproximateReceiveCount":"1"},"messageAttributes":{},"md5OfBody":"d",)"
            R"("eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:111122223333:q",)"
            R"("awsRegion":"eu-west-1"}]})");
}

TEST_F(PollerTest, ABatchHasAtMostBatchSizeMessages) {
  auto r = request();
  r.batch_size = 3;
  sqs_.send_many("q", 8);
  enabled(r);
  sim_.run_for(1s);
  EXPECT_THAT(batch_sizes(), testing::UnorderedElementsAre(3, 3, 2));
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, WithoutAWindowNobodyWaitsForCompany) {
  enabled(request());
  const Duration before = sim_.elapsed();
  sqs_.send("q", "a");
  sim_.settle();
  ASSERT_EQ(invoker_.invocations.size(), 1u);
  EXPECT_EQ(invoker_.invocations[0].at, before);
}

TEST_F(PollerTest, AWindowGathersMessagesFromTheFirstOn) {
  enabled(batched(100, 5));
  sim_.run_for(1h);
  const Duration first = sim_.elapsed();
  for (int i = 0; i < 4; ++i) {
    sqs_.send("q", std::to_string(i));
    sim_.run_for(1100ms);
  }
  EXPECT_THAT(batches(), IsEmpty());
  sim_.run_for(10s);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre("0", "1", "2", "3")));
  EXPECT_EQ(invoker_.invocations[0].at - first, 5s);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, AFullBatchDoesNotWaitForTheWindow) {
  enabled(batched(25, 300));
  const Duration before = sim_.elapsed();
  sqs_.send_many("q", 25);
  sim_.settle();
  EXPECT_THAT(batch_sizes(), ElementsAre(25));
  EXPECT_EQ(invoker_.invocations[0].at, before);
  EXPECT_THAT(sqs_.delete_batches, ElementsAre(10, 10, 5));
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, TheNextWindowOpensWhenTheInvocationEnds) {
  enabled(batched(100, 10));
  const Duration began = sim_.elapsed();
  sqs_.send("q", "a");
  sim_.run_for(10s);  // invoked at 10 s
  sim_.run_for(4s);
  sqs_.send("q", "b");  // at 14 s: the window ends at 20 s for the poller that ran, 24 s for one that was not there
  sim_.run_for(1min);
  ASSERT_EQ(invoker_.invocations.size(), 2u);
  const Duration second = invoker_.invocations[1].at - began;
  EXPECT_TRUE(second == 20s || second == 24s) << format_duration(second);
}

TEST_F(PollerTest, AWindowLongerThanTheVisibilityTimeoutReceivesWithItsOwn) {
  enabled(batched(100, 60));
  sim_.settle();
  ASSERT_FALSE(sqs_.receives.empty());
  EXPECT_EQ(sqs_.receives.back().find("VisibilityTimeout")->as_int64(), 60 + 3 + 30);
  sqs_.send("q", "a");
  sim_.run_for(10min);
  EXPECT_THAT(batch_sizes(), ElementsAre(1)) << "the message came back while its window was open";
}

TEST_F(PollerTest, WithinTheVisibilityTimeoutTheQueueDecides) {
  enabled(batched(100, 5));
  sim_.settle();
  ASSERT_FALSE(sqs_.receives.empty());
  EXPECT_EQ(sqs_.receives.back().find("VisibilityTimeout"), nullptr);
  EXPECT_EQ(json::serialize(*sqs_.receives.back().find("AttributeNames")), R"(["All"])");
  EXPECT_EQ(json::serialize(*sqs_.receives.back().find("MessageAttributeNames")), R"(["All"])");
  EXPECT_EQ(sqs_.receives.back().find("WaitTimeSeconds")->as_int64(), 20);
}

TEST_F(PollerTest, AnEventStaysBelowSixMegabytes) {
  sqs_.create("q", 60s);
  const std::string large(1000 * 1000, 'x');
  for (int i = 0; i < 10; ++i) sqs_.send("q", large);
  enabled(request());
  sim_.run_for(5s);
  std::size_t messages = 0;
  for (const auto& invocation : invoker_.invocations) {
    EXPECT_LE(invocation.payload.size(), kEventBytesMax);
    messages += invocation.bodies.size();
  }
  EXPECT_THAT(batch_sizes(), ElementsAre(6, 4));
  EXPECT_EQ(messages, 10u);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, WhatDoesNotFitIsNotRunBesideItsGroupInAFifoQueue) {
  sqs_.create("q.fifo", 60s);
  const std::string large(1000 * 1000, 'x');
  for (int i = 0; i < 10; ++i) sqs_.send("q.fifo", large);
  invoker_.work = 2s;
  enabled(request("f", kQueueArn + ".fifo"));
  sim_.run_for(30s);
  EXPECT_THAT(batch_sizes(), ElementsAre(6));
  EXPECT_EQ(sqs_.size("q.fifo"), 4u);
  sim_.run_for(60s);
  EXPECT_THAT(batch_sizes(), ElementsAre(6, 4));
  EXPECT_EQ(sqs_.size("q.fifo"), 0u);
}

// --- failures -------------------------------------------------------------------------------------------------------

TEST_F(PollerTest, MessagesOfAFailedBatchComeBackWithTheirVisibilityTimeout) {
  enabled(request());
  answer(Kind::kFunctionError);
  const Duration began = sim_.elapsed();
  const std::string id = sqs_.send("q", "bad");
  sim_.run_for(29s);
  EXPECT_EQ(invoker_.invocations.size(), 1u);
  EXPECT_EQ(sqs_.size("q"), 1u);
  answer(Kind::kSuccess);
  sim_.run_for(2s);
  ASSERT_EQ(invoker_.invocations.size(), 2u);
  EXPECT_EQ(invoker_.invocations[1].at - began, 30s);
  EXPECT_THAT(invoker_.invocations[1].ids, ElementsAre(id));
  EXPECT_THAT(invoker_.invocations[1].counts, ElementsAre("2"));
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, AThrottledBatchIsTriedAgainWhileItIsOurs) {
  enabled(request());
  answer(Kind::kThrottled);
  sqs_.send("q", "a");
  sim_.run_for(5s);
  const auto tries = invoker_.invocations.size();
  EXPECT_GE(tries, 3u);
  EXPECT_LE(tries, 6u);
  answer(Kind::kSuccess);
  sim_.run_for(20s);
  EXPECT_EQ(invoker_.invocations.size(), tries + 1);
  for (const auto& invocation : invoker_.invocations) EXPECT_THAT(invocation.counts, ElementsAre("1"));
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, AThrottledBatchIsGivenBackWhenItsTimeIsOver) {
  enabled(request());
  answer(Kind::kThrottled);
  const Duration began = sim_.elapsed();
  sqs_.send("q", "a");
  sim_.run_for(29900ms);
  for (const auto& invocation : invoker_.invocations) {
    EXPECT_THAT(invocation.counts, ElementsAre("1"));
    EXPECT_LE(invocation.at - began, 29s);
  }
  sim_.run_for(1s);
  EXPECT_THAT(invoker_.invocations.back().counts, ElementsAre("2"));
  EXPECT_EQ(sqs_.calls["DeleteMessageBatch"], 0);
}

TEST_F(PollerTest, ADeletedFunctionLosesNothing) {
  enabled(request());
  answer(Kind::kNoSuchFunction);
  sqs_.send("q", "a");
  sim_.run_for(100s);
  EXPECT_EQ(sqs_.size("q"), 1u);
  answer(Kind::kSuccess);
  sim_.run_for(60s);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, PollingGoesOnAfterTheQueueWasAway) {
  enabled(request());
  sqs_.destroy("q");
  sim_.run_for(10min);
  EXPECT_LT(sqs_.calls["GetQueueUrl"], 100);
  sqs_.create("q");
  sqs_.send("q", "a");
  sim_.run_for(15s);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre("a")));
}

// --- ReportBatchItemFailures ----------------------------------------------------------------------------------------

class ReportTest : public PollerTest {
 protected:
  void SetUp() override {
    auto r = request();
    r.function_response_types = {"ReportBatchItemFailures"};
    sqs_.send_many("q", 3);  // id-1, id-2, id-3
    answers_ = r;
  }
  std::size_t left_after(std::string response) {
    answer(Kind::kSuccess, std::move(response));
    enabled(answers_);
    sim_.run_for(1s);
    EXPECT_THAT(batch_sizes(), ElementsAre(3));
    return sqs_.size("q");
  }
  aws::lambda::CreateEventSourceMappingRequest answers_;
};

TEST_F(ReportTest, AnEmptyListDeletesAll) { EXPECT_EQ(left_after(R"({"batchItemFailures":[]})"), 0u); }
TEST_F(ReportTest, ANullListDeletesAll) { EXPECT_EQ(left_after(R"({"batchItemFailures":null})"), 0u); }
TEST_F(ReportTest, AnEmptyObjectDeletesAll) { EXPECT_EQ(left_after("{}"), 0u); }
TEST_F(ReportTest, NullDeletesAll) { EXPECT_EQ(left_after("null"), 0u); }
TEST_F(ReportTest, NoBodyDeletesAll) { EXPECT_EQ(left_after(""), 0u); }
TEST_F(ReportTest, InvalidJsonDeletesNothing) { EXPECT_EQ(left_after("{oops"), 3u); }
TEST_F(ReportTest, AnUnknownIdDeletesNothing) {
  EXPECT_EQ(left_after(R"({"batchItemFailures":[{"itemIdentifier":"x"}]})"), 3u);
}
TEST_F(ReportTest, AMisspeltKeyDeletesNothing) {
  EXPECT_EQ(left_after(R"({"batchItemFailures":[{"itemidentifier":"id-1"}]})"), 3u);
}
TEST_F(ReportTest, AnEmptyIdDeletesNothing) {
  EXPECT_EQ(left_after(R"({"batchItemFailures":[{"itemIdentifier":""}]})"), 3u);
}
TEST_F(ReportTest, ANullIdDeletesNothing) {
  EXPECT_EQ(left_after(R"({"batchItemFailures":[{"itemIdentifier":null}]})"), 3u);
}
TEST_F(ReportTest, ListedMessagesStayAndComeBack) {
  EXPECT_EQ(left_after(R"({"batchItemFailures":[{"itemIdentifier":"id-2"}]})"), 1u);
  answer(Kind::kSuccess);
  sim_.run_for(30s);
  ASSERT_EQ(invoker_.invocations.size(), 2u);
  EXPECT_THAT(invoker_.invocations[1].ids, ElementsAre("id-2"));
  EXPECT_THAT(invoker_.invocations[1].counts, ElementsAre("2"));
  EXPECT_EQ(sqs_.size("q"), 0u);
}
TEST_F(ReportTest, AFunctionErrorDeletesNothing) {
  answer(Kind::kFunctionError, R"({"batchItemFailures":[]})");
  enabled(answers_);
  sim_.run_for(1s);
  EXPECT_EQ(sqs_.size("q"), 3u);
}

TEST_F(PollerTest, WithoutReportTheResponseIsNotRead) {
  answer(Kind::kSuccess, R"({"batchItemFailures":[{"itemIdentifier":"id-1"}]})");
  enabled(request());
  sqs_.send("q", "a");
  sim_.run_for(1s);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

// --- how many pollers -----------------------------------------------------------------------------------------------

TEST_F(PollerTest, AnIdleMappingCostsOneLongPoll) {
  enabled(request());
  sim_.run_for(1h);
  EXPECT_EQ(sqs_.parked, 1);
  EXPECT_EQ(sqs_.parked_max, 1);
  EXPECT_EQ(sqs_.calls["ReceiveMessage"], 3600 / 20 + 1);
  EXPECT_EQ(sim_.activity().count(), 0u);
}

TEST_F(PollerTest, ABacklogRunsFiveAtOnceThenFiveMoreASecond) {
  limits_.pollers_max = 1000;
  restart();
  sqs_.create("q", 900s);
  sqs_.send_many("q", 5000);
  invoker_.work = 100s;
  enabled(request());
  sim_.settle();
  EXPECT_EQ(invoker_.running, 5);
  sim_.run_for(60s);
  EXPECT_NEAR(invoker_.running, 5 + 300, 2);
}

TEST_F(PollerTest, MaximumConcurrencyIsKept) {
  auto r = request();
  r.batch_size = 1;
  r.scaling_config.emplace().maximum_concurrency = 3;
  sqs_.send_many("q", 60);
  invoker_.work = 1s;
  enabled(r);
  sim_.run_for(30s);
  EXPECT_EQ(invoker_.running_max, 3);
  EXPECT_EQ(sqs_.size("q"), 0u);
  for (const auto& invocation : invoker_.invocations) {
    EXPECT_THAT(invocation.counts, ElementsAre("1")) << "messages beyond the maximum stay unreceived";
  }
}

TEST_F(PollerTest, TheNodeBoundsPollers) {
  limits_.pollers_max = 8;
  restart();
  sqs_.create("q", 900s);
  sqs_.send_many("q", 500);
  invoker_.work = 100s;
  enabled(request());
  sim_.run_for(90s);
  EXPECT_EQ(invoker_.running, 8);
}

TEST_F(PollerTest, WhatAMappingAsksForIsNotBoundedByTheNode) {
  limits_.pollers_max = 2;
  restart();
  auto r = request();
  r.batch_size = 1;
  r.scaling_config.emplace().maximum_concurrency = 7;
  sqs_.create("q", 900s);
  sqs_.send_many("q", 60);
  invoker_.work = 100s;
  enabled(r);
  sim_.run_for(60s);
  EXPECT_EQ(invoker_.running, 7);
}

TEST_F(PollerTest, ProvisionedPollersAreKeptAndGrowFasterUpToTheirMaximum) {
  auto r = request();
  r.batch_size = 1;
  r.provisioned_poller_config.emplace().minimum_pollers = 4;
  r.provisioned_poller_config->maximum_pollers = 6;
  sqs_.create("q", 900s);
  enabled(r);
  sim_.run_for(5min);
  EXPECT_EQ(sqs_.parked, 4) << "an idle mapping keeps its minimum";
  invoker_.work = 100s;
  sqs_.send_many("q", 100);
  sim_.run_for(1s);
  EXPECT_NEAR(invoker_.running, 5 + 1000 / 60, 2);
  sim_.run_for(30s);
  EXPECT_EQ(invoker_.running, 60) << "ten invocations for each of six pollers";
}

class FilterTest : public PollerTest {
 protected:
  aws::lambda::CreateEventSourceMappingRequest filtered(std::string pattern) {
    auto r = request();
    r.filter_criteria.emplace().filters.emplace().push_back({.pattern = std::move(pattern)});
    return r;
  }
  std::uint64_t events(const char* name) {
    const json::Value all = sim_.run(mappings_->overview("", 100));
    const json::Value& first = all.find("mappings")->if_array()->front();
    return static_cast<std::uint64_t>(*first.find("events")->find(name)->as_int64());
  }
};

TEST_F(FilterTest, UnwantedMessagesAreDeletedAndTheFunctionNeverSeesThem) {
  for (int i = 0; i < 20; ++i) sqs_.send("q", fmt::format("{{\"n\":{}}}", i));
  enabled(filtered(R"({"body": {"n": [{"numeric": [">=", 15]}]}})"));
  sim_.run_for(1s);
  std::set<std::string> seen;
  for (const auto& batch : batches()) seen.insert(batch.begin(), batch.end());
  EXPECT_THAT(seen, ElementsAre(R"({"n":15})", R"({"n":16})", R"({"n":17})", R"({"n":18})", R"({"n":19})"));
  EXPECT_EQ(sqs_.size("q"), 0u);
  EXPECT_EQ(events("PolledEventCount"), 20u);
  EXPECT_EQ(events("FilteredOutEventCount"), 15u);
  EXPECT_EQ(events("InvokedEventCount"), 5u);
  EXPECT_EQ(events("DeletedEventCount"), 20u);
  EXPECT_EQ(events("FailedInvokeEventCount"), 0u);
}

TEST_F(FilterTest, UnwantedMessagesFillNoBatch) {
  auto r = filtered(R"({"body": ["yes"]})");
  r.batch_size = 20;
  r.maximum_batching_window_in_seconds = 30;
  for (int i = 0; i < 40; ++i) sqs_.send("q", i % 2 == 0 ? "yes" : "no");
  enabled(r);
  sim_.run_for(1s);
  EXPECT_THAT(batch_sizes(), ElementsAre(20));
}

TEST_F(FilterTest, ABatchOfUnwantedMessagesIsNoInvocation) {
  enabled(filtered(R"({"body": ["yes"]})"));
  sqs_.send_many("q", 30);
  sim_.run_for(1min);
  EXPECT_THAT(batches(), IsEmpty());
  EXPECT_EQ(sqs_.size("q"), 0u);
  EXPECT_EQ(sim_.activity().count(), 0u);
}

TEST_F(FilterTest, AChangedFilterDecidesFromThenOn) {
  const std::string uuid = enabled(filtered(R"({"body": ["yes"]})"));
  aws::lambda::UpdateEventSourceMappingRequest r;
  r.uuid = uuid;
  r.filter_criteria.emplace();
  const auto updated = update(r);
  ASSERT_TRUE(updated);
  EXPECT_FALSE(updated->filter_criteria);
  sim_.run_for(1s);
  sqs_.send("q", "no");
  sim_.run_for(1s);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre("no")));
}

TEST_F(FilterTest, TheOverviewSaysWhatAMappingDoesAndWhyNot) {
  enabled(filtered(R"({"body": ["yes"]})"));
  const auto overview = [&] {
    const json::Value all = sim_.run(mappings_->overview("", 1));
    EXPECT_EQ(all.find("next"), nullptr);
    return all.find("mappings")->if_array()->front();
  };
  EXPECT_EQ(overview().find("state")->if_string()->c_str(), std::string("Enabled"));
  EXPECT_EQ(overview().find("pollers")->find("running")->as_int64(), 1);
  EXPECT_EQ(overview().find("last_result"), nullptr);
  answer(Kind::kFunctionError);
  sqs_.send("q", "yes");
  sim_.run_for(1s);
  EXPECT_EQ(*overview().find("last_result")->if_string(), "PROBLEM: Function call failed");
  EXPECT_EQ(overview().find("lag")->find("in_flight")->as_int64(), 1);
  sqs_.destroy("q");
  sim_.run_for(1min);
  EXPECT_THAT(*overview().find("problem")->if_string(), testing::HasSubstr("does not exist"));
}

TEST_F(PollerTest, FunctionErrorsReduceConcurrencyAndSuccessRestoresIt) {
  sqs_.create("q", 5s);
  sqs_.send_many("q", 400);
  invoker_.work = 1s;
  answer(Kind::kFunctionError);
  enabled(request());
  sim_.run_for(10s);
  EXPECT_EQ(invoker_.running, 1);
  answer(Kind::kSuccess);
  invoker_.running_max = 0;
  sim_.run_for(60s);
  EXPECT_GT(invoker_.running_max, 3);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, WithReportFunctionErrorsDoNot) {
  auto r = request();
  r.function_response_types = {"ReportBatchItemFailures"};
  sqs_.create("q", 5s);
  sqs_.send_many("q", 400);
  invoker_.work = 1s;
  answer(Kind::kFunctionError);
  enabled(r);
  sim_.run_for(10s);
  EXPECT_GE(invoker_.running, 5);
}

// --- end ------------------------------------------------------------------------------------------------------------

TEST_F(PollerTest, DisablingLetsTheRunningBatchFinishAndStopsReceivingAtOnce) {
  const std::string uuid = enabled(request());
  invoker_.work = 10s;
  sqs_.send("q", "running");
  sim_.run_for(1s);
  ASSERT_EQ(invoker_.running, 1);
  ASSERT_TRUE(switch_to(uuid, false));
  sim_.settle();
  EXPECT_EQ(sqs_.parked, 0);
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "Disabled");
  sqs_.send("q", "later");
  sim_.run_for(1h);
  EXPECT_THAT(batches(), ElementsAre(ElementsAre("running")));
  EXPECT_EQ(sqs_.size("q"), 1u) << "the running one was deleted, the later one was left alone";
  ASSERT_TRUE(switch_to(uuid, true));
  sim_.run_for(1min);
  EXPECT_EQ(sqs_.size("q"), 0u);
}

TEST_F(PollerTest, DeletingWithAnOpenWindowLeavesTheMessagesInTheQueue) {
  const std::string uuid = enabled(batched(100, 20));
  sqs_.send("q", "a");
  sim_.run_for(1s);
  ASSERT_TRUE(remove(uuid));
  sim_.run_for(1h);
  EXPECT_THAT(batches(), IsEmpty());
  EXPECT_EQ(sqs_.size("q"), 1u);
}

TEST_F(PollerTest, StoppingEndsTheRetriesOfAThrottledBatch) {
  enabled(request());
  answer(Kind::kThrottled);
  sqs_.send("q", "a");
  sim_.run_for(4s);
  const Duration before = sim_.elapsed();
  close();
  EXPECT_EQ(sim_.elapsed(), before);
  EXPECT_EQ(sqs_.size("q"), 1u);
  open();
}

TEST_F(PollerTest, ManyIdleMappingsAreServedEach) {
  for (int i = 0; i < 50; ++i) {
    sqs_.create(fmt::format("q{}", i));
    ASSERT_TRUE(create(request("f", fmt::format("arn:aws:sqs:eu-west-1:111122223333:q{}", i))));
  }
  sim_.run_for(1min);
  EXPECT_EQ(sqs_.parked, 50);
  for (int i = 0; i < 50; ++i) sqs_.send(fmt::format("q{}", i), "x");
  sim_.run_for(1s);
  EXPECT_EQ(invoker_.invocations.size(), 50u);
}

}  // namespace
}  // namespace lambdad::event_sources
