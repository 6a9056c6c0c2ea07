#include "execution/telemetry.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kDestination = R"("destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/in"})";

class TelemetryTest : public ::testing::Test {
 protected:
  TelemetryTest() { telemetry_.open_subscription(); }
  ~TelemetryTest() override { sim_.run(telemetry_.stop()); }
  static Async<Result<void>> transport(TelemetryTest* self, TelemetryDestination to, std::string body) {
    if (self->sending_ > Duration::zero()) co_await self->sim_.clock().sleep_for(self->sending_);
    ++self->attempts_;
    if (self->failures_ > 0) {
      --self->failures_;
      co_return fail(Errc::kUnavailable, "nobody listens");
    }
    self->port_ = to.port;
    self->batches_.push_back(std::move(body));
    co_return Result<void>{};
  }
  http::Response subscribe(std::string body, std::string name = "watcher", bool logs_api = false) {
    http::Request request;
    request.method = "PUT";
    request.target = logs_api ? "/2020-08-15/logs" : "/2022-07-01/telemetry";
    request.body = std::move(body);
    ExtensionsApi::Extension caller;
    caller.name = std::move(name);
    return telemetry_.subscribe(request, caller);
  }
  http::Response subscribe_to(std::string types, std::string more = "", std::string schema = "2022-12-13") {
    return subscribe(fmt::format(R"({{"schemaVersion":"{}","types":[{}],{}{}}})", schema, types, more, kDestination));
  }
  void say(std::string_view line, bool json = false) {
    telemetry_.publish({.stream = TelemetryStream::kFunction,
                        .type = "function",
                        .time = sim_.wall(),
                        .record = {},
                        .line = line,
                        .json_line = json});
  }
  void platform(std::string_view type, std::string_view record, bool logs_api_only = false) {
    telemetry_.publish(
        {.type = type, .time = sim_.wall(), .record = record, .line = {}, .logs_api_only = logs_api_only});
  }

  SimSystem sim_{test_seed()};
  Duration sending_{};
  int attempts_ = 0;
  int failures_ = 0;
  std::uint16_t port_ = 0;
  std::vector<std::string> batches_;
  Telemetry telemetry_{sim_.system(), [this](TelemetryDestination to, std::string body) {
                         return transport(this, std::move(to), std::move(body));
                       }};
};

TEST_F(TelemetryTest, ABatchLeavesWhenItsTimeoutHasPassed) {
  const auto answer = subscribe_to(R"("function")");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "\"OK\"");
  say("one");
  sim_.run_for(500ms);
  say("two \"quoted\"");
  sim_.run_for(499ms);
  EXPECT_TRUE(batches_.empty());
  sim_.run_for(1ms);
  EXPECT_THAT(batches_,
              ElementsAre(R"([{"time":"2026-01-01T00:00:00.000Z","type":"function","record":"one"},)"
                          R"({"time":"2026-01-01T00:00:00.500Z","type":"function","record":"two \"quoted\""}])"));
  EXPECT_EQ(port_, 8080);
}

TEST_F(TelemetryTest, AFullBatchLeavesAtOnce) {
  subscribe_to(R"("function")", R"("buffering":{"maxItems":1000,"timeoutMs":30000},)");
  for (int i = 0; i < 1000; ++i) say("x");
  sim_.settle();
  EXPECT_EQ(batches_.size(), 1u);
  say(std::string(262'144, 'y'));
  sim_.settle();
  EXPECT_EQ(batches_.size(), 2u);
}

TEST_F(TelemetryTest, WhoSubscribesLateGetsWhatInitHasSaid) {
  platform("platform.initStart", R"({"phase":"init"})");
  say("printed early");
  subscribe_to(R"("platform")");
  telemetry_.close_subscription();
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(HasSubstr(R"("type":"platform.initStart","record":{"phase":"init"}}])")));
}

TEST_F(TelemetryTest, OnlyTheStreamsAskedForAreSent) {
  subscribe_to(R"("platform")");
  telemetry_.close_subscription();
  EXPECT_TRUE(telemetry_.wants(TelemetryStream::kPlatform));
  EXPECT_FALSE(telemetry_.wants(TelemetryStream::kFunction));
  say("not this");
  platform("platform.start", R"({"requestId":"1"})");
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(HasSubstr(R"("type":"platform.start","record":{"requestId":"1"}}])")));
}

TEST_F(TelemetryTest, JsonLinesAreObjectsFromTheSecondSchemaOn) {
  subscribe_to(R"("function")");
  say(R"({"level":"INFO"})", true);
  say(R"({"level":"INFO"})", false);
  say(R"({"broken")", true);
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(::testing::AllOf(HasSubstr(R"("record":{"level":"INFO"}})"),
                                                     HasSubstr(R"("record":"{\"level\":\"INFO\"}"})"),
                                                     HasSubstr(R"("record":"{\"broken\""})"))));
}

TEST_F(TelemetryTest, TheFirstSchemaKeepsStrings) {
  subscribe_to(R"("function")", "", "2022-07-01");
  say(R"({"level":"INFO"})", true);
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(HasSubstr(R"("record":"{\"level\":\"INFO\"}"})")));
}

TEST_F(TelemetryTest, ADestinationThatFailsIsTriedAgainThenToldWhatIsLost) {
  subscribe_to(R"("function")");
  failures_ = 2;
  say("kept");
  sim_.run_for(2s);
  EXPECT_EQ(attempts_, 3);
  EXPECT_THAT(batches_, ElementsAre(HasSubstr("kept")));
  failures_ = 6;
  say("lost");
  sim_.run_for(10s);
  say("next");
  sim_.run_for(2s);
  ASSERT_EQ(batches_.size(), 2u);
  EXPECT_THAT(batches_[1], ::testing::AllOf(HasSubstr(R"("type":"platform.logsDropped","record":{"droppedBytes":)"),
                                            HasSubstr(R"("droppedRecords":1)"), HasSubstr("next")));
  EXPECT_TRUE(json::validate(batches_[1]));
}

TEST_F(TelemetryTest, ASlowSubscriberLosesTheOldest) {
  subscribe_to(R"("function")", R"("buffering":{"maxItems":1000},)");
  for (int i = 0; i < 3500; ++i) say(fmt::format("line-{}", i));
  sim_.settle();  // nothing could be sent meanwhile: 2,000 are kept
  ASSERT_FALSE(batches_.empty());
  EXPECT_THAT(batches_[0], HasSubstr(R"("droppedRecords":1500)"));
  EXPECT_THAT(batches_[0], HasSubstr("line-1500"));
}

TEST_F(TelemetryTest, NothingIsSentWhilePaused) {
  subscribe_to(R"("function")");
  telemetry_.pause();
  say("later");
  sim_.run_for(1min);
  EXPECT_TRUE(batches_.empty());
  telemetry_.resume();
  sim_.settle();
  EXPECT_EQ(batches_.size(), 1u);
}

TEST_F(TelemetryTest, FlushedWaitsForTheDeliveryOrItsDeadline) {
  subscribe_to(R"("function")");
  sending_ = 50ms;
  say("x");
  const MonoTime begin = sim_.now();
  sim_.run(telemetry_.flushed(sim_.now() + 1s));
  EXPECT_EQ(sim_.now() - begin, 50ms);
  sending_ = 1h;
  say("y");
  sim_.run(telemetry_.flushed(sim_.now() + 1s));
  EXPECT_EQ(sim_.now() - begin, 1050ms);
}

TEST_F(TelemetryTest, TcpGetsLines) {
  subscribe(R"({"schemaVersion":"2022-07-01","types":["function"],"destination":{"protocol":"TCP","port":9999}})");
  say("a");
  say("b");
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(::testing::MatchesRegex(".*\"a\"}\n.*\"b\"}\n")));
  EXPECT_EQ(port_, 9999);
}

TEST_F(TelemetryTest, TheLogsApiHasItsOwnEvents) {
  subscribe(R"({"types":["platform"],)" + kDestination + "}", "old", true);
  EXPECT_TRUE(telemetry_.wants_logs_api());
  platform("platform.end", R"({"requestId":"1"})", true);
  platform("platform.runtimeDone", R"({"requestId":"1"})");
  telemetry_.flush();
  sim_.settle();
  EXPECT_THAT(batches_, ElementsAre(::testing::AllOf(HasSubstr("platform.end"),
                                                     ::testing::Not(HasSubstr("platform.runtimeDone")))));
}

TEST_F(TelemetryTest, AnExtensionCannotHoldBothSubscriptions) {
  EXPECT_EQ(subscribe_to(R"("function")").status, 200);
  EXPECT_EQ(subscribe(R"({"types":["platform"],)" + kDestination + "}", "watcher", true).status, 403);
  // The same API again replaces the subscription.
  EXPECT_EQ(subscribe_to(R"("platform")").status, 200);
  telemetry_.close_subscription();
  EXPECT_FALSE(telemetry_.wants(TelemetryStream::kFunction));
}

TEST_F(TelemetryTest, AfterInitNobodySubscribes) {
  telemetry_.close_subscription();
  const auto answer = subscribe_to(R"("function")");
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("Telemetry.SubscriptionClosed"));
}

TEST_F(TelemetryTest, WhatIsNoSubscriptionIsRefused) {
  const std::string bad[] = {
      "",
      "[]",
      R"({"types":["function"],)" + kDestination + "}",
      R"({"schemaVersion":"2030-01-01","types":["function"],)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":[],)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":["function","function"],)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":["gossip"],)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":["function"]})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"UDP","port":1}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"TCP","port":0}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"TCP","port":9001}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"HTTP","URI":"http://example.com/"}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"HTTP","URI":"https://sandbox.localdomain/"}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:x/"}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:80/a b"}})",
      R"({"schemaVersion":"2022-12-13","types":["function"],"buffering":{"maxItems":999},)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":["function"],"buffering":{"maxBytes":1048577},)" + kDestination + "}",
      R"({"schemaVersion":"2022-12-13","types":["function"],"buffering":{"timeoutMs":24},)" + kDestination + "}",
  };
  for (const std::string& body : bad) {
    const auto answer = subscribe(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr("ValidationError")) << body;
  }
}

}  // namespace
}  // namespace lambdad::execution
