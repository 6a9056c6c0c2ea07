#include "services/function_urls/function_url_service.h"

#include <deque>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/function_urls/url_response.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::function_urls {
namespace {

using Kind = ports::InvocationOutcome::Kind;
using testing::HasSubstr;
using testing::MatchesRegex;

constexpr std::string_view kAccount = "111122223333";

struct FakeCatalog final : ports::FunctionCatalog {
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& function) override {
    if (!known.contains(function.name + ":" + function.qualifier)) {
      return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
    }
    return std::make_shared<ports::FunctionVersion>();
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return std::nullopt; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return 0; }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return {}; }
  void on_change(std::function<void(const ports::FunctionRef&)> listener) override {
    listeners.push_back(std::move(listener));
  }
  std::set<std::string> known = {"f:", "f:live", "f:blue", "g:"};
  std::vector<std::function<void(const ports::FunctionRef&)>> listeners;
};

/// Answers what it is told; a streamed response is a head, pieces and an outcome.
struct FakeInvoker final : ports::FunctionInvoker, ports::StreamInvoker {
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
    invoked.push_back(std::move(request));
    co_return outcome;
  }
  Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }
  std::unique_ptr<ports::ResponseStream> invoke_streaming(ports::InvocationRequest request) override {
    invoked.push_back(std::move(request));
    return std::make_unique<Stream>(*this);
  }
  struct Stream final : ports::ResponseStream {
    explicit Stream(FakeInvoker& of) : head(of.head), pieces(of.pieces), end(of.outcome) {}
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
  std::vector<ports::InvocationRequest> invoked;
  ports::InvocationOutcome outcome{.kind = Kind::kSuccess, .payload = "{}", .executed_version = "$LATEST"};
  std::optional<ports::ResponseHead> head;
  std::deque<std::string> pieces;
};

class FunctionUrlsTest : public testing::Test {
 protected:
  FunctionUrlsTest() { start(); }
  ~FunctionUrlsTest() override { stop(); }

  void start() {
    catalog_.listeners.clear();
    service_ = std::make_unique<FunctionUrlService>(
        sim_.system(), null_logger(), metrics_,
        FunctionUrlService::Options{.data_directory = sim_.directory(), .durability = store::Durability::kEphemeral},
        catalog_, invoker_, invoker_);
    dispatcher_ = std::make_unique<aws::Dispatcher>(sim_.system(), null_logger(), metrics_, aws::Dispatcher::Options{});
    const auto started = run(service_->start());
    LD_CHECK(started.has_value(), "{}", started.error().detail);
    service_->register_operations(*dispatcher_);
  }
  void stop() {
    run(service_->stop());
    dispatcher_.reset();
    service_.reset();
  }
  void restart() {
    stop();
    start();
  }
  /// The database's threads are real: the token makes the simulation wait for them.
  template <class T>
  T run(Async<T> task) {
    return sim_.run(as_activity(&sim_.activity(), std::move(task)));
  }
  template <class T>
  static Async<T> as_activity(Activity* activity, Async<T> task) {
    auto token = activity->begin();
    co_return co_await std::move(task);
  }

  static void sign(http::Request& request, std::string_view region = "us-east-1", std::string_view service = "lambda") {
    request.headers.set("X-Amz-Date", "20260101T000000Z");
    request.headers.set("Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/{}/{}/aws4_request, "
                                                     "SignedHeaders=host;x-amz-date, Signature={:064x}",
                                                     kAccount, region, service, 0));
  }
  http::Response api(std::string method, std::string target, std::string body = {}) {
    http::Request request{.method = std::move(method), .target = std::move(target), .body = std::move(body)};
    request.headers.set("Host", "127.0.0.1:4566");
    sign(request);
    return run(dispatcher_->handle(std::move(request)));
  }
  static std::string member(const http::Response& response, std::string_view name) {
    const auto document = json::parse(response.body);
    const json::Value* value = document ? document->find(name) : nullptr;
    if (value == nullptr) return "absent";
    return value->if_string() != nullptr ? *value->if_string() : json::serialize(*value);
  }
  static std::string url_path(std::string_view function) {
    return fmt::format("/2021-10-31/functions/{}/url", function);
  }

  /// Makes a URL and remembers its host.
  void create(json::Object more = {}) {
    json::Object body{{"AuthType", "NONE"}};
    for (auto& [key, value] : more) body.set(key, value);
    const auto response = api("POST", url_path("f"), json::serialize(json::Value(std::move(body))));
    LD_CHECK(response.status == 201, "{}", response.body);
    url_ = member(response, "FunctionUrl");
    host_ = url_.substr(7, url_.size() - 8);
  }
  http::Request request(std::string method = "GET", std::string target = "/", http::Headers headers = {}) {
    headers.set("Host", host_);
    return {.method = std::move(method), .target = std::move(target), .headers = std::move(headers)};
  }
  http::Response send(http::Request what) { return run(service_->handle(std::move(what))); }
  /// All of a streamed body; "..." at the end of one that breaks off.
  std::string body_of(http::Response response) {
    if (!response.stream) return response.body;
    std::string body;
    for (;;) {
      auto piece = run(response.stream());
      if (!piece) return body + "...";
      if (!*piece) return body;
      body += **piece;
    }
  }

  SimSystem sim_{test_seed()};
  Metrics metrics_;
  FakeCatalog catalog_;
  FakeInvoker invoker_;
  std::unique_ptr<FunctionUrlService> service_;
  std::unique_ptr<aws::Dispatcher> dispatcher_;
  std::string url_;
  std::string host_;
};

// --- configuration --------------------------------------------------------------------------------------------------

TEST_F(FunctionUrlsTest, CreateShowsTheUrl) {
  const auto response =
      api("POST", url_path("f"), R"({"AuthType":"AWS_IAM","Cors":{"AllowOrigins":["*"],"MaxAge":5}})");
  EXPECT_EQ(response.status, 201);
  EXPECT_THAT(member(response, "FunctionUrl"),
              MatchesRegex("http://[a-z2-7]{32}\\.lambda-url\\.us-east-1\\.localhost:4566/"));
  EXPECT_EQ(member(response, "FunctionArn"), "arn:aws:lambda:us-east-1:111122223333:function:f");
  EXPECT_EQ(member(response, "AuthType"), "AWS_IAM");
  EXPECT_EQ(member(response, "Cors"), R"({"AllowOrigins":["*"],"MaxAge":5})");
  EXPECT_EQ(member(response, "CreationTime"), "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(member(response, "InvokeMode"), "absent");
  EXPECT_EQ(member(response, "LastModifiedTime"), "absent");
}

TEST_F(FunctionUrlsTest, GetUpdateAndDelete) {
  create({{"InvokeMode", "BUFFERED"}});
  auto got = api("GET", url_path("f"));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(member(got, "FunctionUrl"), url_);
  EXPECT_EQ(member(got, "InvokeMode"), "BUFFERED");
  EXPECT_EQ(member(got, "LastModifiedTime"), member(got, "CreationTime"));
  sim_.run_for(5s);
  const auto updated = api("PUT", url_path("f"), R"({"InvokeMode":"RESPONSE_STREAM"})");
  EXPECT_EQ(updated.status, 200);
  EXPECT_EQ(member(updated, "FunctionUrl"), url_);
  EXPECT_EQ(member(updated, "InvokeMode"), "RESPONSE_STREAM");
  EXPECT_EQ(member(updated, "AuthType"), "NONE");
  EXPECT_EQ(member(updated, "LastModifiedTime"), "2026-01-01T00:00:05.000Z");
  const auto deleted = api("DELETE", url_path("f"));
  EXPECT_EQ(deleted.status, 204);
  EXPECT_EQ(deleted.body, "");
  got = api("GET", url_path("f"));
  EXPECT_EQ(got.status, 404);
  EXPECT_EQ(member(got, "Message"), "The resource you requested does not exist.");
  EXPECT_EQ(send(request()).status, 403);
}

TEST_F(FunctionUrlsTest, EveryAliasHasAUrlOfItsOwn) {
  create();
  const std::string own = url_;
  for (std::string_view alias : {"live", "blue"}) {
    const auto response = api("POST", url_path("f") + fmt::format("?Qualifier={}", alias), R"({"AuthType":"NONE"})");
    EXPECT_EQ(response.status, 201);
    EXPECT_EQ(member(response, "FunctionArn"),
              fmt::format("arn:aws:lambda:us-east-1:111122223333:function:f:{}", alias));
    EXPECT_NE(member(response, "FunctionUrl"), own);
  }
  auto page = api("GET", "/2021-10-31/functions/f/urls?MaxItems=2");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("function:f\""));
  EXPECT_THAT(page.body, HasSubstr("function:f:blue\""));
  EXPECT_EQ(page.body.find("function:f:live"), std::string::npos);
  page = api("GET", "/2021-10-31/functions/f/urls?MaxItems=2&Marker=" + member(page, "NextMarker"));
  EXPECT_THAT(page.body, HasSubstr("function:f:live\""));
  EXPECT_EQ(member(page, "NextMarker"), "absent");
  EXPECT_EQ(api("GET", "/2021-10-31/functions/g/urls").body, R"({"FunctionUrlConfigs":[]})");
}

TEST_F(FunctionUrlsTest, ErrorsAreAwss) {
  const auto message = [](const http::Response& response) {
    const std::string capital = member(response, "Message");
    return fmt::format("{} {}", response.status, capital == "absent" ? member(response, "message") : capital);
  };
  create();
  EXPECT_EQ(
      message(api("POST", url_path("f"), R"({"AuthType":"NONE"})")),
      "409 Failed to create function url config for [functionArn = arn:aws:lambda:us-east-1:111122223333:function:f]. "
      "Error message:  FunctionUrlConfig exists for this Lambda function");
  EXPECT_EQ(message(api("POST", url_path("missing"), R"({"AuthType":"NONE"})")), "404 Function does not exist");
  EXPECT_EQ(message(api("POST", url_path("f") + "?Qualifier=gone", R"({"AuthType":"NONE"})")),
            "404 Function does not exist");
  EXPECT_EQ(message(api("PUT", url_path("missing"), "{}")), "404 Function does not exist");
  EXPECT_EQ(message(api("PUT", url_path("g"), "{}")), "404 The resource you requested does not exist.");
  EXPECT_EQ(message(api("GET", url_path("missing"))), "404 The resource you requested does not exist.");
  EXPECT_EQ(message(api("DELETE", url_path("g"))), "404 The resource you requested does not exist.");
  EXPECT_EQ(message(api("GET", "/2021-10-31/functions/missing/urls")), "404 Function does not exist");
  EXPECT_EQ(message(api("POST", url_path("f:live") + "?Qualifier=blue", R"({"AuthType":"NONE"})")),
            "400 The derived qualifier from the function name does not match the specified qualifier.");
  EXPECT_THAT(message(api("POST", url_path("g"), R"({"AuthType":"NONE","InvokeMode":"X"})")),
              HasSubstr("Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"));
  EXPECT_THAT(message(api("POST", url_path("g") + "?Qualifier=1", R"({"AuthType":"NONE"})")),
              HasSubstr("Member must satisfy regular expression pattern"));
  EXPECT_THAT(message(api("POST", url_path("g"), "{}")), HasSubstr("'authType'"));
  EXPECT_THAT(message(api("POST", url_path("g"), R"({"AuthType":"NONE","Cors":{"MaxAge":86401}})")),
              HasSubstr("less than or equal to 86400"));
}

TEST_F(FunctionUrlsTest, UrlsLastAcrossARestart) {
  create({{"InvokeMode", "RESPONSE_STREAM"}, {"Cors", json::Object{{"AllowOrigins", json::Array{"*"}}}}});
  const std::string before = api("GET", url_path("f")).body;
  restart();
  EXPECT_EQ(api("GET", url_path("f")).body, before);
  EXPECT_EQ(send(request()).status, 200);
  // Gone while nothing ran: so is its URL.
  catalog_.known.erase("f:");
  restart();
  EXPECT_EQ(service_->size(), 0u);
}

TEST_F(FunctionUrlsTest, UrlsGoWithTheirFunctionAndStayWithoutTheirAlias) {
  create();
  api("POST", url_path("f") + "?Qualifier=live", R"({"AuthType":"NONE"})");
  const std::string host = host_;
  catalog_.known.erase("f:live");
  for (auto& listener : catalog_.listeners) listener({std::string(kAccount), "us-east-1", "f", ""});
  sim_.run_for(1s);
  EXPECT_EQ(service_->size(), 2u);
  catalog_.known.erase("f:");
  for (auto& listener : catalog_.listeners) listener({std::string(kAccount), "us-east-1", "f", ""});
  sim_.run_for(1s);
  EXPECT_EQ(service_->size(), 0u);
  catalog_.known.insert("f:");
  create();
  EXPECT_NE(host_, host);
}

// --- requests -------------------------------------------------------------------------------------------------------

TEST_F(FunctionUrlsTest, TheFunctionGetsTheEventAndItsAnswerIsTheResponse) {
  create();
  invoker_.outcome.payload = R"({"statusCode":201,"headers":{"X-A":"b"},"body":"made"})";
  const auto response = send(request("POST", "/2015-03-31/functions/x?a=b"));
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.body, "made");
  EXPECT_EQ(response.headers.get("x-a"), "b");
  ASSERT_EQ(invoker_.invoked.size(), 1u);
  const auto& invoked = invoker_.invoked[0];
  EXPECT_EQ(invoked.function.name, "f");
  EXPECT_EQ(invoked.request_id, response.headers.get("x-amzn-RequestId"));
  EXPECT_EQ(invoked.trace_header, response.headers.get("X-Amzn-Trace-Id"));
  EXPECT_EQ(invoked.sink, nullptr);
  const auto event = json::parse(invoked.payload);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(*event->find("rawPath")->if_string(), "/2015-03-31/functions/x");
  EXPECT_EQ(*event->find("requestContext")->find("requestId")->if_string(), invoked.request_id);
}

TEST_F(FunctionUrlsTest, FailuresBecomeStatuses) {
  create();
  const auto answer = [&](ports::InvocationOutcome outcome) {
    invoker_.outcome = std::move(outcome);
    const auto response = send(request());
    return fmt::format("{} {}", response.status, response.body);
  };
  EXPECT_EQ(answer({.kind = Kind::kFunctionError, .payload = "{}"}), "502 Internal Server Error");
  EXPECT_EQ(answer({.kind = Kind::kSuccess, .payload = "not json"}), "502 Internal Server Error");
  EXPECT_EQ(answer({.kind = Kind::kSuccess, .payload = R"({"statusCode":"no"})"}), "502 Internal Server Error");
  EXPECT_EQ(answer({.kind = Kind::kThrottled}), R"(429 {"Message":"Rate Exceeded."})");
  EXPECT_EQ(answer({.kind = Kind::kSystemError, .detail = "secret path"}),
            R"(500 {"Message":"Internal server error"})");
}

TEST_F(FunctionUrlsTest, AnUnknownUrlIsForbidden) {
  create();
  host_[0] = host_[0] == 'a' ? 'b' : 'a';
  auto response = send(request());
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.body, R"({"Message":null})");
}

TEST_F(FunctionUrlsTest, AUrlAnswersInItsOwnRegionOnlyAndForExistingTargetsOnly) {
  create();
  const std::string host = host_;
  host_.replace(host_.find("us-east-1"), 9, "eu-west-1");
  EXPECT_EQ(send(request()).body, R"({"Message":null})");
  host_ = host;
  EXPECT_EQ(send(request()).status, 200);
  catalog_.known.erase("f:");
  const auto response = send(request());
  EXPECT_EQ(response.status, 403);
  EXPECT_THAT(response.body, HasSubstr("Forbidden."));
}

TEST_F(FunctionUrlsTest, AnEventAboveSixMegabytesIsRefused) {
  create();
  auto large = request("POST");
  large.headers.set("Content-Type", "text/plain");
  large.body = std::string(6'291'456, 'x');
  EXPECT_EQ(send(std::move(large)).status, 413);
  EXPECT_TRUE(invoker_.invoked.empty());
}

TEST_F(FunctionUrlsTest, IamWantsASignatureForThisServiceAndRegion) {
  create({{"AuthType", "AWS_IAM"}});
  const auto refused = [&](http::Request what) {
    const auto response = send(std::move(what));
    EXPECT_EQ(response.headers.get_or("x-amzn-ErrorType", ""), response.status == 403 ? "AccessDeniedException" : "");
    return response.status == 403;
  };
  EXPECT_TRUE(refused(request()));
  auto bearer = request();
  bearer.headers.set("Authorization", "Bearer abc");
  EXPECT_TRUE(refused(bearer));
  auto broken = request();
  broken.headers.set("Authorization", "AWS4-HMAC-SHA256 Credential=x");
  EXPECT_TRUE(refused(broken));
  auto elsewhere = request();
  sign(elsewhere, "eu-west-1");
  EXPECT_TRUE(refused(elsewhere));
  auto other_service = request();
  sign(other_service, "us-east-1", "s3");
  EXPECT_TRUE(refused(other_service));
  EXPECT_TRUE(invoker_.invoked.empty());
  auto good = request();
  sign(good);
  EXPECT_FALSE(refused(good));
  EXPECT_THAT(invoker_.invoked.at(0).payload, HasSubstr(R"("accessKey":"111122223333","accountId":"111122223333")"));
}

TEST_F(FunctionUrlsTest, PreflightsNeverReachTheFunctionAndNeedNoSignature) {
  create({{"AuthType", "AWS_IAM"},
          {"Cors",
           json::Object{{"AllowOrigins", json::Array{"https://a.example"}}, {"AllowMethods", json::Array{"PUT"}}}}});
  auto response =
      send(request("OPTIONS", "/", {{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "PUT"}}));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("access-control-allow-methods"), "PUT");
  EXPECT_TRUE(invoker_.invoked.empty());
  auto signed_request = request("PUT", "/", {{"Origin", "https://a.example"}});
  sign(signed_request);
  response = send(std::move(signed_request));
  EXPECT_EQ(response.headers.get("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(invoker_.invoked.size(), 1u);
}

// --- streaming ------------------------------------------------------------------------------------------------------

TEST_F(FunctionUrlsTest, AStreamWithAPreludeSaysItsHeadItself) {
  create({{"InvokeMode", "RESPONSE_STREAM"}});
  invoker_.head = {.content_type = std::string(kPreludeContentType), .executed_version = "1"};
  invoker_.pieces = {R"({"statusCode":202,"head)", std::string("ers\":{\"X-A\":\"b\"}}\0\0\0\0", 21),
                     std::string("\0\0\0\0one", 7), "two"};
  auto response = send(request());
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.headers.get("x-a"), "b");
  EXPECT_EQ(body_of(std::move(response)), "onetwo");
}

TEST_F(FunctionUrlsTest, AStreamWithoutAPreludeIsPassedOn) {
  create({{"InvokeMode", "RESPONSE_STREAM"}});
  invoker_.head.emplace();
  invoker_.pieces = {"one", "two"};
  auto response = send(request());
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("content-type"), "application/octet-stream");
  EXPECT_EQ(body_of(std::move(response)), "onetwo");
  invoker_.head->content_type = "text/html";
  EXPECT_EQ(send(request()).headers.get("content-type"), "text/html");
}

TEST_F(FunctionUrlsTest, AStreamThatFailsBreaksOff) {
  create({{"InvokeMode", "RESPONSE_STREAM"}});
  invoker_.head.emplace();
  invoker_.pieces = {"half"};
  invoker_.outcome = {.kind = Kind::kFunctionError, .payload = "{}"};
  EXPECT_EQ(body_of(send(request())), "half...");
  // Before the first byte it can still be said properly.
  invoker_.head.reset();
  EXPECT_EQ(send(request()).status, 502);
  invoker_.head = {.content_type = std::string(kPreludeContentType)};
  invoker_.pieces = {"{\"statusCode\""};
  EXPECT_EQ(send(request()).status, 502);
  invoker_.pieces = {"no json" + std::string(8, '\0')};
  EXPECT_EQ(send(request()).status, 502);
}

TEST_F(FunctionUrlsTest, AStreamingUrlPassesABufferedResponseOnAsItIs) {
  create({{"InvokeMode", "RESPONSE_STREAM"}});
  invoker_.outcome.payload = R"({"statusCode":201})";
  const auto response = send(request());
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"statusCode":201})");
}

TEST_F(FunctionUrlsTest, ABufferedUrlWaitsForAStreamedResponse) {
  create();
  invoker_.outcome.content_type = kPreludeContentType;
  invoker_.outcome.payload = R"({"statusCode":202})" + std::string(8, '\0') + "body";
  auto response = send(request());
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.body, "body");
  invoker_.outcome = {.kind = Kind::kSuccess, .payload = "<p>", .content_type = "text/html"};
  response = send(request());
  EXPECT_EQ(response.headers.get("content-type"), "text/html");
  EXPECT_EQ(response.body, "<p>");
}

}  // namespace
}  // namespace lambdad::function_urls
