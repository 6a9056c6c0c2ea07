#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/event_stream.h"
#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

using Kind = ports::InvocationOutcome::Kind;

constexpr std::string_view kTarget = "/2021-11-15/functions/f/response-streaming-invocations";

/// Answers with a head, pieces and an outcome.
struct FakeStreamInvoker final : ports::StreamInvoker {
  struct Stream final : ports::ResponseStream {
    explicit Stream(FakeStreamInvoker& of) : head(of.head), pieces(of.pieces), end(of.outcome) {}
    Async<const ports::ResponseHead*> started() override { co_return head ? &*head : nullptr; }
    Async<std::optional<std::string>> next() override {
      if (pieces.empty()) co_return std::nullopt;
      std::string piece = std::move(pieces.front());
      pieces.pop_front();
      co_return piece;
    }
    ports::InvocationOutcome& outcome() override { return end; }
    std::optional<ports::ResponseHead> head;
    std::deque<std::string> pieces;
    ports::InvocationOutcome end;
  };
  std::unique_ptr<ports::ResponseStream> invoke_streaming(ports::InvocationRequest request) override {
    invoked.push_back(std::move(request));
    return std::make_unique<Stream>(*this);
  }
  std::vector<ports::InvocationRequest> invoked;
  std::optional<ports::ResponseHead> head;
  std::deque<std::string> pieces;
  ports::InvocationOutcome outcome{.kind = Kind::kSuccess, .executed_version = "$LATEST"};
};

class InvokeWithResponseStreamTest : public ::testing::Test {
 protected:
  InvokeWithResponseStreamTest() {
    world.create("f");
    world.service->set_stream_invoker(invoker);
  }
  http::Response invoke(std::string payload, http::Headers headers = {}) {
    return world.send("POST", std::string(kTarget), std::move(payload), std::move(headers));
  }
  /// Each event as "type: payload".
  std::vector<std::string> events_of(http::Response response) {
    aws::event_stream::Decoder decoder;
    std::vector<std::string> events;
    for (;;) {
      auto piece = world.run(response.stream());
      LD_CHECK(piece.has_value());
      if (!*piece) break;
      decoder.push(**piece);
      auto message = decoder.next();
      LD_CHECK(message && *message, "one frame at a time");
      EXPECT_EQ((*message)->header(":message-type"), "event");
      events.push_back(fmt::format("{}: {}", (*message)->header(":event-type"), (*message)->payload));
    }
    EXPECT_TRUE(decoder.at_boundary());
    return events;
  }
  World world;
  FakeStreamInvoker invoker;
};

TEST_F(InvokeWithResponseStreamTest, PiecesAreEventsAndTheEndIsOneToo) {
  invoker.head = {.content_type = "text/plain", .executed_version = "7"};
  invoker.pieces = {"one", "two"};
  auto response = invoke(R"({"a":1})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("Content-Type"), "application/vnd.amazon.eventstream");
  EXPECT_EQ(response.headers.get("X-Amz-Executed-Version"), "7");
  EXPECT_EQ(invoker.invoked.at(0).payload, R"({"a":1})");
  EXPECT_EQ(invoker.invoked.at(0).request_id, response.headers.get("x-amzn-RequestId"));
  EXPECT_THAT(events_of(std::move(response)),
              ::testing::ElementsAre("PayloadChunk: one", "PayloadChunk: two", "InvokeComplete: {}"));
}

TEST_F(InvokeWithResponseStreamTest, ABufferedResponseIsChunksToo) {
  invoker.outcome.payload = std::string(300 * 1024, 'x');
  const auto events = events_of(invoke("{}"));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].size() + events[1].size(), 300 * 1024 + 2 * std::string_view("PayloadChunk: ").size());
  EXPECT_EQ(events[2], "InvokeComplete: {}");
}

TEST_F(InvokeWithResponseStreamTest, AnErrorFollowsTheBytesBeforeIt) {
  invoker.head.emplace();
  invoker.pieces = {"half"};
  invoker.outcome = {.kind = Kind::kFunctionError,
                     .payload = R"({"errorMessage":"m"})",
                     .executed_version = "$LATEST",
                     .error_type = "Function.Unknown",
                     .log_tail = "END\n"};
  EXPECT_THAT(events_of(invoke("{}", {{"X-Amz-Log-Type", "Tail"}})),
              ::testing::ElementsAre("PayloadChunk: half",
                                     R"(InvokeComplete: {"ErrorCode":"Function.Unknown",)"
                                     R"("ErrorDetails":"{\"errorMessage\":\"m\"}","LogResult":"RU5ECg=="})"));
  EXPECT_TRUE(invoker.invoked.at(0).want_log_tail);
}

TEST_F(InvokeWithResponseStreamTest, WhatDoesNotRunIsAnOrdinaryError) {
  invoker.outcome = {.kind = Kind::kThrottled};
  auto response = invoke("{}");
  EXPECT_EQ(response.status, 429);
  EXPECT_FALSE(response.stream);
  invoker.outcome = {.kind = Kind::kSystemError};
  EXPECT_EQ(invoke("{}").status, 500);
  EXPECT_EQ(invoke("{no json").status, 400);
  EXPECT_EQ(invoke(std::string(6'291'457, 'x')).status, 413);
  EXPECT_EQ(invoke("{}", {{"X-Amz-Invocation-Type", "Event"}}).status, 400);
  EXPECT_EQ(world.send("POST", "/2021-11-15/functions/missing/response-streaming-invocations", "{}").status, 404);
}

TEST_F(InvokeWithResponseStreamTest, ADryRunOnlyChecks) {
  EXPECT_EQ(invoke("{}", {{"X-Amz-Invocation-Type", "DryRun"}}).status, 204);
  EXPECT_TRUE(invoker.invoked.empty());
}

}  // namespace
}  // namespace lambdad::lambda
