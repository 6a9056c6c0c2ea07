#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

using Kind = ports::InvocationOutcome::Kind;

constexpr std::string_view kInvoke = "/2015-03-31/functions/f/invocations";

class InvokeTest : public ::testing::Test {
 protected:
  InvokeTest() { world.create("f"); }
  http::Response invoke(std::string payload, http::Headers headers = {}, std::string query = {}) {
    return world.send("POST", std::string(kInvoke) + query, std::move(payload), std::move(headers));
  }
  World world;
};

TEST_F(InvokeTest, PassesPayloadsThroughAsBytes) {
  world.invoker.outcome.payload = "{\"z\":1.0,\"a\":12345678901234567890}";
  auto response = invoke("{\"b\": 1e400,  \"a\":0.1}");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "{\"z\":1.0,\"a\":12345678901234567890}");
  EXPECT_EQ(response.headers.get_or("X-Amz-Executed-Version", ""), "$LATEST");
  EXPECT_FALSE(response.headers.contains("X-Amz-Function-Error"));
  EXPECT_FALSE(response.headers.contains("X-Amz-Log-Result"));
  ASSERT_EQ(world.invoker.invoked.size(), 1u);
  const auto& request = world.invoker.invoked[0];
  EXPECT_EQ(request.payload, "{\"b\": 1e400,  \"a\":0.1}");
  EXPECT_EQ(request.function.name, "f");
  EXPECT_EQ(request.function.qualifier, "");
  EXPECT_EQ(request.request_id, response.headers.get_or("x-amzn-RequestId", ""));
  EXPECT_FALSE(request.want_log_tail);
}

TEST_F(InvokeTest, AFunctionErrorIsASuccessfulInvocation) {
  world.invoker.outcome = {.kind = Kind::kFunctionError,
                           .payload = R"({"errorMessage":"boom"})",
                           .executed_version = "$LATEST",
                           .log_tail = "START\n"};
  auto response = invoke("{}", {{"X-Amz-Log-Type", "Tail"}}, "?Qualifier=%24LATEST");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get_or("X-Amz-Function-Error", ""), "Unhandled");
  EXPECT_EQ(response.headers.get_or("X-Amz-Log-Result", ""), base64_encode("START\n"));
  EXPECT_EQ(response.body, R"({"errorMessage":"boom"})");
  EXPECT_EQ(world.invoker.invoked[0].function.qualifier, "$LATEST");
  EXPECT_TRUE(world.invoker.invoked[0].want_log_tail);
}

TEST_F(InvokeTest, EventsAreAcceptedOnceTheyAreQueued) {
  auto response = invoke("[1]", {{"X-Amz-Invocation-Type", "Event"}, {"X-Amzn-Trace-Id", "Root=1-2-3"}});
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.body, "");
  EXPECT_FALSE(response.headers.contains("X-Amz-Executed-Version"));
  EXPECT_EQ(response.headers.get_or("X-Amzn-Trace-Id", ""), "Root=1-2-3");
  ASSERT_EQ(world.invoker.enqueued.size(), 1u);
  EXPECT_EQ(world.invoker.enqueued[0].payload, "[1]");
  EXPECT_EQ(world.invoker.enqueued[0].plane, ports::Plane::kAsync);
  EXPECT_EQ(world.invoker.enqueued[0].trace_header, "Root=1-2-3");
  EXPECT_TRUE(world.invoker.invoked.empty());
  world.invoker.accepted = fail(Errc::kUnavailable, "the disk is full");
  EXPECT_EQ(invoke("[1]", {{"X-Amz-Invocation-Type", "Event"}}).status, 500);
}

TEST_F(InvokeTest, ADryRunOnlyChecks) {
  auto response = invoke("{}", {{"X-Amz-Invocation-Type", "DryRun"}});
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
  EXPECT_TRUE(world.invoker.invoked.empty());
}

TEST_F(InvokeTest, AnEmptyPayloadIsAllowed) {
  EXPECT_EQ(invoke("").status, 200);
  EXPECT_EQ(world.invoker.invoked[0].payload, "");
}

TEST_F(InvokeTest, ThePayloadMustBeJsonForEveryType) {
  for (std::string_view type : {"RequestResponse", "Event", "DryRun"}) {
    auto response = invoke("{not json", {{"X-Amz-Invocation-Type", std::string(type)}});
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.headers.get_or("x-amzn-ErrorType", ""), "InvalidRequestContentException");
    EXPECT_THAT(response.body, ::testing::HasSubstr("Could not parse request body into json: Could not parse payload "
                                                    "into json: "));
  }
}

TEST_F(InvokeTest, LimitsDependOnTheType) {
  auto json_of = [](std::size_t size) { return "\"" + std::string(size - 2, 'x') + "\""; };
  EXPECT_EQ(invoke(json_of(6'291'456)).status, 200);
  auto response = invoke(json_of(6'291'457));
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(*World::parse(response).find("message")->if_string(),
            "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)");
  EXPECT_EQ(invoke(json_of(1'048'576), {{"X-Amz-Invocation-Type", "Event"}}).status, 202);
  response = invoke(json_of(1'048'577), {{"X-Amz-Invocation-Type", "Event"}});
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(*World::parse(response).find("message")->if_string(),
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)");
}

TEST_F(InvokeTest, SizeIsCheckedBeforeExistenceAndExistenceBeforeJson) {
  const std::string target = "/2015-03-31/functions/missing/invocations";
  EXPECT_EQ(world.send("POST", target, std::string(6'291'457, 'x')).status, 413);
  auto response = world.send("POST", target, "{not json");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(*World::parse(response).find("Message")->if_string(),
            "Function not found: arn:aws:lambda:us-east-1:111122223333:function:missing:$LATEST");
}

TEST_F(InvokeTest, AThrottleSaysWhichQuota) {
  world.invoker.outcome = {.kind = Kind::kThrottled,
                           .throttle_reason = ports::ThrottleReason::kReservedConcurrentInvocationLimit};
  auto response = invoke("{}");
  EXPECT_EQ(response.status, 429);
  EXPECT_TRUE(response.headers.contains("Retry-After"));
  const json::Value body = World::parse(response);
  EXPECT_EQ(*body.find("Reason")->if_string(), "ReservedFunctionConcurrentInvocationLimitExceeded");
  EXPECT_EQ(*body.find("message")->if_string(), "Rate Exceeded.");
  EXPECT_EQ(*body.find("Type")->if_string(), "User");
}

TEST_F(InvokeTest, ASystemErrorTellsNothingOfTheInside) {
  world.invoker.outcome = {.kind = Kind::kSystemError, .detail = "sandbox: secret path"};
  auto response = invoke("{}");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.headers.get_or("x-amzn-ErrorType", ""), "ServiceException");
  EXPECT_THAT(response.body, ::testing::Not(::testing::HasSubstr("secret")));
}

TEST_F(InvokeTest, TheClientContextIsBase64OfJson) {
  const std::string context = R"({"custom":{"a":"b"}})";
  EXPECT_EQ(invoke("{}", {{"X-Amz-Client-Context", base64_encode(context)}}).status, 200);
  EXPECT_EQ(world.invoker.invoked[0].client_context, context);
  EXPECT_EQ(invoke("{}", {{"X-Amz-Client-Context", "%%%"}}).status, 400);
  EXPECT_EQ(invoke("{}", {{"X-Amz-Client-Context", base64_encode("no json")}}).status, 400);
  EXPECT_EQ(invoke("{}", {{"X-Amz-Client-Context", std::string(3584, 'A')}}).status, 400);
}

}  // namespace
}  // namespace lambdad::lambda
