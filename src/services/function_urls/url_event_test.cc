#include "services/function_urls/url_event.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace lambdad::function_urls {
namespace {

constexpr std::string_view kHost = "abcd.lambda-url.eu-west-1.localhost:4566";

EventFacts facts() {
  return {.host = *parse_url_host(kHost),
          .request_id = "11111111-2222-4333-8444-555555555555",
          .trace_header = "Root=1-2-3",
          .now = from_epoch_ms(1767225600123)};
}

http::Request request(std::string method, std::string target, http::Headers headers = {}, std::string body = {}) {
  headers.add("Host", kHost);
  return {.method = std::move(method),
          .target = std::move(target),
          .headers = std::move(headers),
          .body = std::move(body),
          .peer_address = "192.0.2.7"};
}

json::Value event_of(const http::Request& of) { return make_event(of, facts()); }
std::string text_of(const json::Value* value) { return value == nullptr ? "absent" : json::serialize(*value); }

TEST(UrlEvent, IsPayloadVersionTwo) {
  const auto event = event_of(request("POST", "/a%20b/c?q=1&q=2&z=%2Fx+y",
                                      {{"User-Agent", "curl/8"},
                                       {"X-Two", "1"},
                                       {"x-two", "2"},
                                       {"Cookie", "s=1; t=2"},
                                       {"Content-Type", "application/json; charset=utf-8"}},
                                      "{\"ä\":1}"));
  EXPECT_EQ(
      json::serialize(event),
      R"({"version":"2.0","routeKey":"$default","rawPath":"/a%20b/c","rawQueryString":"q=1&q=2&z=%2Fx+y",)"
      R"("cookies":["s=1","t=2"],)"
      R"("headers":{"content-type":"application/json; charset=utf-8","host":"abcd.lambda-url.eu-west-1.localhost:4566",)"
      R"("user-agent":"curl/8","x-amzn-trace-id":"Root=1-2-3","x-forwarded-for":"192.0.2.7",)"
      R"("x-forwarded-port":"4566","x-forwarded-proto":"http","x-two":"1,2"},)"
      R"("queryStringParameters":{"q":"1,2","z":"/x y"},)"
      R"("requestContext":{"accountId":"anonymous","apiId":"abcd","domainName":"abcd.lambda-url.eu-west-1.localhost",)"
      R"("domainPrefix":"abcd","http":{"method":"POST","path":"/a b/c","protocol":"HTTP/1.1",)"
      R"("sourceIp":"192.0.2.7","userAgent":"curl/8"},"requestId":"11111111-2222-4333-8444-555555555555",)"
      R"("routeKey":"$default","stage":"$default","time":"01/Jan/2026:00:00:00 +0000","timeEpoch":1767225600123},)"
      R"("body":"{\"ä\":1}","isBase64Encoded":false})");
}

TEST(UrlEvent, LeavesOutWhatIsNotThere) {
  const auto event = event_of(request("GET", "/"));
  for (std::string_view absent : {"cookies", "queryStringParameters", "body"}) {
    EXPECT_EQ(event.find(absent), nullptr) << absent;
  }
  EXPECT_EQ(text_of(event.find("isBase64Encoded")), "false");
  EXPECT_EQ(text_of(event.find("rawQueryString")), R"("")");
}

TEST(UrlEvent, BodiesThatAreNoTextAreBase64) {
  const auto body_of = [](std::string type, std::string body) {
    http::Headers headers;
    if (!type.empty()) headers.add("Content-Type", type);
    const auto event = event_of(request("POST", "/", headers, std::move(body)));
    return text_of(event.find("body")) + " " + text_of(event.find("isBase64Encoded"));
  };
  for (std::string_view type : {"text/plain", "application/json", "application/xml", "application/javascript",
                                "application/problem+json", "image/svg+xml", "TEXT/CSV;a=b"}) {
    EXPECT_EQ(body_of(std::string(type), "a"), R"("a" false)") << type;
  }
  for (std::string_view type : {"", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                                "application/octet-stream", "image/png"}) {
    EXPECT_EQ(body_of(std::string(type), "a"), R"("YQ==" true)") << type;
  }
  EXPECT_EQ(body_of("text/plain", "\xff"), R"("/w==" true)") << "text that is no UTF-8";
}

TEST(UrlEvent, PathAndQueryAreDecodedOnceAndBadEscapesStay) {
  const auto event = event_of(request("GET", "/pa2%25Fth/1%zz?multi=foo&multi=%2Fbar&flag&bad=%"));
  EXPECT_EQ(text_of(event.find("rawPath")), R"("/pa2%25Fth/1%zz")");
  EXPECT_EQ(text_of(event.find("requestContext")->find("http")->find("path")), R"("/pa2%Fth/1%zz")");
  EXPECT_EQ(text_of(event.find("queryStringParameters")), R"({"bad":"%","flag":"","multi":"foo,/bar"})");
}

TEST(UrlEvent, ACallerCannotForgeWhatTheEndpointSays) {
  const auto event = event_of(request("GET", "/", {{"X-Forwarded-For", "6.6.6.6"}, {"X-Amzn-Trace-Id", "Root=9"}}));
  EXPECT_EQ(text_of(event.find("headers")->find("x-forwarded-for")), R"("192.0.2.7")");
  EXPECT_EQ(text_of(event.find("headers")->find("x-amzn-trace-id")), R"("Root=1-2-3")");
}

TEST(UrlEvent, NamesWhoSigned) {
  EventFacts of = facts();
  of.caller = Caller{.access_key = "ASIAEXAMPLE",
                     .account = "111122223333",
                     .user_arn = "arn:aws:sts::111122223333:assumed-role/app/me",
                     .user_id = "AROAAPP:me"};
  const auto event = make_event(request("GET", "/"), of);
  const json::Value& context = *event.find("requestContext");
  EXPECT_EQ(text_of(context.find("accountId")), R"("111122223333")");
  EXPECT_EQ(text_of(context.find("authorizer")),
            R"({"iam":{"accessKey":"ASIAEXAMPLE","accountId":"111122223333","callerId":"AROAAPP:me",)"
            R"("cognitoIdentity":null,"principalOrgId":null,"userArn":"arn:aws:sts::111122223333:assumed-role/app/me",)"
            R"("userId":"AROAAPP:me"}})");
}

TEST(UrlHost, IsFoundInAnyCaseUnderAnyDomain) {
  for (std::string_view host : {"ABCD.lambda-URL.eu-west-1.on.aws", "abcd.lambda-url.eu-west-1.localhost:4566"}) {
    const auto parsed = parse_url_host(host);
    ASSERT_TRUE(parsed) << host;
    EXPECT_EQ(parsed->id, "abcd");
    EXPECT_EQ(parsed->region, "eu-west-1");
  }
  for (std::string_view host : {"", "127.0.0.1:4566", "localhost", "abcd.lambda-url.eu-west-1", "[::1]:80",
                                "abcd.lambda-url.eu-west-1.", ".lambda-url.eu-west-1.on.aws", "a.b.lambda-url.r.x"}) {
    EXPECT_FALSE(parse_url_host(host)) << host;
  }
}

TEST(Url, IsReachableOnThisMachine) {
  const UrlConfig config{.id = "abcd", .function = {.region = "eu-west-1"}};
  const auto url_at = [&](std::string_view base) { return url_of(config, base, "localhost"); };
  EXPECT_EQ(url_at("http://127.0.0.1:4566"), "http://abcd.lambda-url.eu-west-1.localhost:4566/");
  EXPECT_EQ(url_at("http://[::1]:80"), "http://abcd.lambda-url.eu-west-1.localhost:80/");
  EXPECT_EQ(url_of(config, "http://10.0.0.1:4566", "lan.example"),
            "http://abcd.lambda-url.eu-west-1.lan.example:4566/");
  EXPECT_EQ(url_at("http://localhost"), "http://abcd.lambda-url.eu-west-1.localhost/");
  EXPECT_EQ(url_at("http://[::1]"), "http://abcd.lambda-url.eu-west-1.localhost/");
}

}  // namespace
}  // namespace lambdad::function_urls
