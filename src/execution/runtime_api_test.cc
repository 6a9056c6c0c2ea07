#include "execution/runtime_api.h"

#include <deque>

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

TEST_F(RuntimeApiTest, ARuntimeWhoseInvocationWasGivenUpGetsNoOther) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  api_.abandon();
  auto again = send(request("GET", "invocation/next"));
  EXPECT_FALSE(again->has_value());
  EXPECT_NE(api_.state(), RuntimeApi::State::kReady);
  api_.reset();
  sim_.settle();
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ((*again)->status, 410);
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

/// Takes what it is given; says that there is room only when it is told to.
struct SlowSink final : ports::ResponseSink {
  explicit SlowSink(Loop& loop) : room(loop) {}
  void begin(ports::ResponseHead given) override { head = std::move(given); }
  Async<void> write(std::string bytes) override {
    taken += bytes;
    while (blocked) co_await room.wait();
  }
  std::optional<ports::ResponseHead> head;
  std::string taken;
  bool blocked = false;
  Notifier room;
};

/// A body that arrives as the test says.
struct FedBody final : http::BodyReader {
  explicit FedBody(Loop& loop) : fed(loop) {}
  Async<Result<std::optional<std::string>>> next() override {
    ++asked;
    while (pieces.empty()) co_await fed.wait();
    auto piece = std::move(pieces.front());
    pieces.pop_front();
    co_return piece;
  }
  const http::Headers& trailers() const override { return fields; }
  void feed(Result<std::optional<std::string>> piece) {
    pieces.push_back(std::move(piece));
    fed.notify_all();
  }
  std::deque<Result<std::optional<std::string>>> pieces;
  http::Headers fields;
  int asked = 0;
  Notifier fed;
};

class StreamedResponseTest : public RuntimeApiTest {
 protected:
  StreamedResponseTest() {
    auto made = invocation("id-1");
    made.sink = sink_;
    made.executed_version = "7";
    send(request("GET", "invocation/next"));
    api_.offer(std::move(made));
    sim_.settle();
  }
  http::Request streamed(std::string body = "") {
    auto made = request("POST", "invocation/id-1/response", std::move(body));
    made.headers.add("Lambda-Runtime-Function-Response-Mode", "streaming");
    made.headers.add("Content-Type", "text/plain");
    return made;
  }
  http::Request arriving() {
    auto made = streamed();
    made.body_stream = body_;
    return made;
  }
  std::shared_ptr<SlowSink> sink_ = std::make_shared<SlowSink>(sim_.loop());
  std::shared_ptr<FedBody> body_ = std::make_shared<FedBody>(sim_.loop());
};

TEST_F(StreamedResponseTest, EachPieceReachesTheSinkBeforeTheNextIsWritten) {
  auto accepted = send(arriving());
  ASSERT_TRUE(sink_->head);
  EXPECT_EQ(sink_->head->content_type, "text/plain");
  EXPECT_EQ(sink_->head->executed_version, "7");
  body_->feed("one ");
  sim_.settle();
  EXPECT_EQ(sink_->taken, "one ");
  EXPECT_FALSE(api_.take_answer());
  EXPECT_EQ(api_.state(), RuntimeApi::State::kRunning);
  body_->feed("two");
  body_->feed(std::nullopt);
  sim_.settle();
  EXPECT_EQ((*accepted)->status, 202);
  EXPECT_EQ(sink_->taken, "one two");
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->is_error);
  EXPECT_EQ(answer->payload, "");
  EXPECT_EQ(answer->streamed_bytes, 7u);
  EXPECT_EQ(api_.state(), RuntimeApi::State::kResponded);
}

TEST_F(StreamedResponseTest, NothingIsReadWhileTheSinkHasNoRoom) {
  sink_->blocked = true;
  send(arriving());
  body_->feed("one");
  sim_.settle();
  EXPECT_EQ(body_->asked, 1);
  sink_->blocked = false;
  sink_->room.notify_all();
  sim_.settle();
  EXPECT_EQ(body_->asked, 2);
}

TEST_F(StreamedResponseTest, ABodyThatCameWithItsHeadIsStreamedToo) {
  EXPECT_EQ(status_of(streamed("whole")), 202);
  EXPECT_EQ(sink_->taken, "whole");
  EXPECT_EQ(api_.take_answer()->payload, "");
}

TEST_F(StreamedResponseTest, AnErrorInTheTrailersFollowsTheBytes) {
  body_->fields = {{"Lambda-Runtime-Function-Error-Type", "Function.Broken"},
                   {"Lambda-Runtime-Function-Error-Body", base64_encode(R"({"errorMessage":"cut"})")}};
  send(arriving());
  body_->feed("half");
  body_->feed(std::nullopt);
  sim_.settle();
  EXPECT_EQ(sink_->taken, "half");
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer && answer->is_error);
  EXPECT_EQ(answer->error_type, "Function.Broken");
  EXPECT_EQ(answer->payload, R"({"errorMessage":"cut"})");
}

TEST_F(StreamedResponseTest, ABodyThatIsCutOffIsTruncated) {
  auto refused = send(arriving());
  body_->feed("half");
  body_->feed(fail(Errc::kClosed, "gone"));
  sim_.settle();
  EXPECT_EQ((*refused)->status, 400);
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer && answer->is_error && answer->cut_off);
  EXPECT_EQ(answer->error_type, "Runtime.TruncatedResponse");
}

TEST_F(StreamedResponseTest, StopsAtTheLimitOfStreamedResponses) {
  auto refused = send(arriving());
  const std::size_t step = 16 * 1024 * 1024;
  for (std::size_t fed = 0; fed < ports::kStreamedResponseBytesMax;
       fed += std::min(step, ports::kStreamedResponseBytesMax - fed)) {
    sink_->taken.clear();
    body_->feed(std::string(std::min(step, ports::kStreamedResponseBytesMax - fed), 'x'));
    sim_.settle();
    ASSERT_FALSE(refused->has_value()) << fed;
  }
  sink_->taken.clear();
  body_->feed("y");
  sim_.settle();
  ASSERT_TRUE(refused->has_value());
  EXPECT_EQ((*refused)->status, 413);
  EXPECT_EQ(sink_->taken, "");
  EXPECT_EQ(api_.take_answer()->error_type, "Function.ResponseSizeTooLarge");
}

TEST_F(StreamedResponseTest, AnAbandonedResponseIsWrittenNoFurther) {
  auto refused = send(arriving());
  body_->feed("before");
  sim_.settle();
  api_.abandon();
  body_->feed("after");
  sim_.settle();
  EXPECT_EQ((*refused)->status, 400);
  EXPECT_EQ(sink_->taken, "before");
  EXPECT_FALSE(api_.take_answer());
}

TEST_F(StreamedResponseTest, OneResponseAtATime) {
  send(arriving());
  EXPECT_EQ(status_of(streamed("second")), 400);
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/error", "{}")), 400);
  body_->feed(std::nullopt);
  sim_.settle();
  EXPECT_FALSE(api_.take_answer()->is_error);
}

TEST_F(StreamedResponseTest, AFunctionThatDoesNotStreamLeavesTheSinkAlone) {
  EXPECT_EQ(status_of(request("POST", "invocation/id-1/response", "42")), 202);
  EXPECT_FALSE(sink_->head);
  EXPECT_EQ(api_.take_answer()->payload, "42");
}

TEST_F(RuntimeApiTest, AStreamWithoutASinkIsCollectedUpToTheBufferedLimit) {
  auto body = std::make_shared<FedBody>(sim_.loop());
  const auto stream = [&] {
    auto made = request("POST", "invocation/id-1/response");
    made.headers.add("Lambda-Runtime-Function-Response-Mode", "streaming");
    made.headers.add("Content-Type", "text/html");
    made.body_stream = body;
    return made;
  };
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  send(stream());
  for (Result<std::optional<std::string>> piece : {Result<std::optional<std::string>>("a"), {"b"}, {std::nullopt}}) {
    body->feed(piece);
  }
  sim_.settle();
  auto answer = api_.take_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload, "ab");
  EXPECT_EQ(answer->content_type, "text/html");

  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto refused = send(stream());
  body->feed(std::string(kResponseBytesMax, 'x'));
  body->feed("y");
  sim_.settle();
  EXPECT_TRUE(api_.take_answer()->too_large);  // the invoker knows at once
  EXPECT_FALSE(refused->has_value());
  body->feed(std::nullopt);
  sim_.settle();
  EXPECT_EQ((*refused)->status, 413);
}

TEST(RuntimeApi, ReadsStreamsAndLargeResponsesAsTheyArrive) {
  http::Request head{.method = "POST", .target = "/2018-06-01/runtime/invocation/id/response"};
  const auto wants = [&](http::Headers headers) {
    head.headers = std::move(headers);
    return RuntimeApi::wants_arriving_body(head);
  };
  EXPECT_FALSE(wants({{"Content-Length", "6291556"}, {"Content-Type", "application/json"}}));
  EXPECT_TRUE(wants({{"Content-Length", "6291557"}}));
  EXPECT_TRUE(wants({{"content-length", "99999999999999999999999"}}));
  EXPECT_TRUE(wants({{"transfer-encoding", "chunked"}}));
  EXPECT_TRUE(wants({{"Content-Length", "1"}, {"lambda-runtime-function-response-mode", "streaming"}}));
  head.target = "/2018-06-01/runtime/invocation/id/error";
  EXPECT_FALSE(wants({{"transfer-encoding", "chunked"}}));
}

TEST(RuntimeApi, ShowsOnlyErrorTypesOfTheDocumentedForm) {
  EXPECT_EQ(shown_error_type("Function.Boom"), "Function.Boom");
  EXPECT_EQ(shown_error_type("Runtime.ExitError"), "Runtime.ExitError");
  for (std::string_view other :
       {"", "ValueError", "Function.", "Function.x", "Function.A1", "Other.Boom", "Function.A.B"}) {
    EXPECT_EQ(shown_error_type(other), "Function.Unknown") << other;
  }
}

TEST_F(RuntimeApiTest, AnUnknownResponseModeIsRefused) {
  send(request("GET", "invocation/next"));
  api_.offer(invocation("id-1"));
  sim_.settle();
  auto odd = request("POST", "invocation/id-1/response", "x");
  odd.headers.add("Lambda-Runtime-Function-Response-Mode", "carrier-pigeon");
  EXPECT_EQ(status_of(std::move(odd)), 400);
  EXPECT_EQ(api_.take_answer()->error_type, "Runtime.InvalidResponseModeHeader");
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
