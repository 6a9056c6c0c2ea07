#include "execution/runtime_api.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

class RuntimeApiTest : public testing::Test {
 protected:
  ~RuntimeApiTest() override {
    api_.reset();
    sim_.run(tasks_.stop());
  }

  static http::Request request(std::string method, std::string path, std::string body = "") {
    http::Request made;
    made.method = std::move(method);
    made.target = "/2018-06-01/runtime/" + path;
    made.body = std::move(body);
    return made;
  }
  static NextInvocation invocation(std::string id) {
    NextInvocation made;
    made.request_id = std::move(id);
    made.payload = R"({"n":1})";
    made.deadline_epoch_ms = 1767225600123;
    made.invoked_function_arn = "arn:aws:lambda:eu-west-1:111122223333:function:f";
    return made;
  }

  /// Sends what the runtime sends and lets everything happen; nullopt while the call waits.
  std::shared_ptr<std::optional<http::Response>> send(http::Request what) {
    auto answer = std::make_shared<std::optional<http::Response>>();
    tasks_.spawn("runtime", send_to(answer, std::move(what)));
    sim_.settle();
    return answer;
  }
  Async<void> send_to(std::shared_ptr<std::optional<http::Response>> answer, http::Request what) {
    answer->emplace(co_await api_.handle(std::move(what)));
  }
  int status_of(http::Request what) { return (*send(std::move(what)))->status; }

  SimSystem sim_{test_seed()};
  RuntimeApi api_{sim_.loop()};
  TaskGroup tasks_{sim_.loop()};
};

TEST_F(RuntimeApiTest, NextWaitsForAnInvocationAndCarriesItsHeaders) {
  auto next = send(request("GET", "invocation/next"));
  EXPECT_FALSE(next->has_value());
  EXPECT_EQ(api_.state(), RuntimeApi::State::kReady);
  api_.offer(invocation("id-1"));
  sim_.settle();
  ASSERT_TRUE(next->has_value());
  EXPECT_EQ((*next)->status, 200);
  EXPECT_EQ((*next)->body, R"({"n":1})");
  EXPECT_EQ((*next)->headers.get("lambda-runtime-aws-request-id"), "id-1");
  EXPECT_EQ((*next)->headers.get("lambda-runtime-deadline-ms"), "1767225600123");
  EXPECT_FALSE((*next)->headers.contains("lambda-runtime-client-context"));
}

TEST_F(RuntimeApiTest, NextAgainBeforeAnsweringHandsOutTheSameEvent) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto again = send(request("GET", "invocation/next"));
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ((*again)->headers.get("lambda-runtime-aws-request-id"), "id-1");
}

TEST_F(RuntimeApiTest, AResponseEndsTheInvocation) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  auto accepted = send(request("POST", "invocation/id-1/response", "42"));
  EXPECT_EQ((*accepted)->status, 202);
  EXPECT_EQ((*accepted)->body, "{\"status\":\"OK\"}\n");
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->is_error);
  EXPECT_EQ(answer->payload, "42");
  EXPECT_EQ(api_.state(), RuntimeApi::State::kResponded);
}

TEST_F(RuntimeApiTest, AnErrorKeepsTheBodyAndTheType) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  auto posted = request("POST", "invocation/id-1/error", R"({"errorMessage":"boom"})");
  posted.headers.add("Lambda-Runtime-Function-Error-Type", "Function.Boom");
  EXPECT_EQ(status_of(std::move(posted)), 202);
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer && answer->is_error);
  EXPECT_EQ(answer->error_type, "Function.Boom");
  EXPECT_EQ(answer->payload, R"({"errorMessage":"boom"})");
}

TEST_F(RuntimeApiTest, OnlyTheCurrentInvocationCanBeAnsweredAndOnlyOnce) {
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", "1")), 400);
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto wrong = send(request("POST", "invocation/id-2/response", "1"));
  EXPECT_EQ((*wrong)->body, R"({"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"})");
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", "1")), 202);
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", "2")), 400);
  EXPECT_EQ(api_.take_answer()->payload, "1");
}

TEST_F(RuntimeApiTest, AnAbandonedInvocationCanNotBeAnswered) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  api_.abandon();
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", "late")), 400);
  EXPECT_FALSE(api_.take_answer());
}

TEST_F(RuntimeApiTest, AResponseOverTheLimitIsRefusedAndTheInvokerLearnsIt) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto refused = send(request("POST", "invocation/id-1/response", std::string(kResponseBytesMax + 1, 'x')));
  EXPECT_EQ((*refused)->status, 413);
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer && answer->too_large);
  EXPECT_EQ(answer->payload,
            R"({"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",)"
            R"("errorType":"Function.ResponseSizeTooLarge"})");
  EXPECT_EQ(api_.state(), RuntimeApi::State::kResponded);  // the runtime goes on
}

TEST_F(RuntimeApiTest, AResponseAtTheLimitIsTaken) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", std::string(kResponseBytesMax, 'x'))), 202);
}

TEST_F(RuntimeApiTest, AStreamThatBreaksOffSaysSoInItsTrailers) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto streamed = request("POST", "invocation/id-1/response", "half of it");
  streamed.headers.add("Lambda-Runtime-Function-Response-Mode", "streaming");
  streamed.trailers.add("Lambda-Runtime-Function-Error-Type", "Function.Broken");
  streamed.trailers.add("Lambda-Runtime-Function-Error-Body", base64_encode(R"({"errorMessage":"cut"})"));
  EXPECT_EQ(status_of(std::move(streamed)), 202);
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer && answer->is_error);
  EXPECT_EQ(answer->payload, R"({"errorMessage":"cut"})");
}

TEST_F(RuntimeApiTest, AnUnknownResponseModeIsRefused) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto odd = request("POST", "invocation/id-1/response", "x");
  odd.headers.add("Lambda-Runtime-Function-Response-Mode", "carrier-pigeon");
  EXPECT_EQ(status_of(std::move(odd)), 400);
}

TEST_F(RuntimeApiTest, AnInitErrorIsKeptAndEndsTheConversation) {
  auto posted = request("POST", "init/error", R"({"errorMessage":"no module"})");
  posted.headers.add("Lambda-Runtime-Function-Error-Type", "Runtime.ImportModuleError");
  EXPECT_EQ(status_of(std::move(posted)), 202);
  ASSERT_TRUE(api_.init_error());
  EXPECT_EQ(api_.init_error()->error_type, "Runtime.ImportModuleError");
  EXPECT_EQ(status_of(request("GET", "invocation/next")), 403);
}

TEST_F(RuntimeApiTest, AnInitErrorAfterNextIsRefused) {
  send(request("GET", "invocation/next"));
  EXPECT_EQ(status_of(request("POST", "init/error", "{}")), 403);
  EXPECT_FALSE(api_.init_error());
}

TEST_F(RuntimeApiTest, AResetEndsTheWaitOfTheOldProcess) {
  auto old = send(request("GET", "invocation/next"));
  api_.reset();
  sim_.settle();
  ASSERT_TRUE(old->has_value());
  EXPECT_EQ((*old)->status, 410);
  EXPECT_EQ(api_.state(), RuntimeApi::State::kStarted);
}

TEST_F(RuntimeApiTest, UnknownPathsAndMethodsAreRefused) {
  EXPECT_EQ(status_of(request("POST", "invocation/next")), 405);
  EXPECT_EQ(status_of(request("GET", "nonsense")), 404);
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/nonsense")), 404);
}

}  // namespace
}  // namespace lambdad::execution
