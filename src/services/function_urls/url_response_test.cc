#include "services/function_urls/url_response.h"

#include <gtest/gtest.h>

#include "services/function_urls/cors.h"

namespace lambdad::function_urls {
namespace {

std::string shown(const Result<http::Response>& response) {
  if (!response) return "refused";
  std::string out = fmt::format("{}", response->status);
  for (const http::Header& field : response->headers) out += fmt::format(" [{}: {}]", field.name, field.value);
  return out + " " + response->body;
}

TEST(UrlResponse, WhatIsNoResponseObjectIsTheBody) {
  const std::string head = "200 [content-type: application/json] ";
  EXPECT_EQ(shown(interpret(R"({ "a" : [1.50, null] })")), head + R"({"a":[1.50,null]})");
  EXPECT_EQ(shown(interpret(R"([1, 2])")), head + "[1,2]");
  EXPECT_EQ(shown(interpret(R"("plain \"text\"")")), head + R"(plain "text")");
  EXPECT_EQ(shown(interpret("42")), head + "42");
  EXPECT_EQ(shown(interpret("true")), head + "true");
  EXPECT_EQ(shown(interpret("null")), head);
  EXPECT_EQ(shown(interpret(R"({"body":"x","headers":{}})")), head + R"({"body":"x","headers":{}})");
}

TEST(UrlResponse, AResponseObjectSaysItItself) {
  EXPECT_EQ(
      shown(interpret(R"({"statusCode":201,"headers":{"X-A":"b","Content-Type":"text/html","n":7,"t":true},
                                "cookies":["s=1; Path=/","t=2"],"body":"<p> 1"})")),
      "201 [x-a: b] [content-type: text/html] [n: 7] [t: true] [set-cookie: s=1; Path=/] [set-cookie: t=2] <p> 1");
  EXPECT_EQ(shown(interpret(R"({"statusCode":"418","body":"{ \"a\": 1 }"})")),
            R"(418 [content-type: application/json] { "a": 1 })");
  EXPECT_EQ(shown(interpret(R"({"statusCode":200,"body":"aGk=","isBase64Encoded":true})")),
            "200 [content-type: application/json] hi");
  EXPECT_EQ(shown(interpret(R"({"statusCode":204,"headers":null,"cookies":null,"body":null})")),
            "204 [content-type: application/json] ");
}

TEST(UrlResponse, WhatCannotBeAResponseIsRefused) {
  for (std::string_view payload :
       {"", "no json", R"({"statusCode":null})", R"({"statusCode":"x"})", R"({"statusCode":99})",
        R"({"statusCode":600})", R"({"statusCode":101})", R"({"statusCode":200.5})",
        R"({"statusCode":200,"body":{"a":1}})", R"({"statusCode":200,"body":"%","isBase64Encoded":true})",
        R"({"statusCode":200,"headers":[]})", R"({"statusCode":200,"headers":{"a":["b"]}})",
        R"({"statusCode":200,"headers":{"a b":"c"}})", R"({"statusCode":200,"headers":{"a":"b\r\nSet-Cookie: x"}})",
        R"({"statusCode":200,"cookies":"a"})", R"({"statusCode":200,"cookies":[1]})",
        R"({"statusCode":200,"cookies":["a\nb"]})"}) {
    EXPECT_EQ(shown(interpret(payload)), "refused") << payload;
  }
}

TEST(UrlResponse, FramingIsNotTheFunctionsToSay) {
  EXPECT_EQ(
      shown(interpret(R"({"statusCode":200,"headers":{"Content-Length":"9","Transfer-Encoding":"chunked","a":"b"}})")),
      "200 [a: b] [content-type: application/json] ");
}

const std::string kNuls(8, '\0');

TEST(Prelude, IsFoundHoweverTheBytesAreCut) {
  const std::string bytes = R"({"statusCode":201,"headers":{"X-A":"b"},"cookies":["c=1"]})" + kNuls + "body" + kNuls;
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    PreludeParser parser;
    std::string body;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      const std::string_view piece = std::string_view(bytes).substr(at, step);
      body += piece.substr(parser.push(piece));
    }
    ASSERT_EQ(parser.state(), PreludeParser::State::kComplete) << step;
    EXPECT_EQ(shown(parser.take()), "201 [x-a: b] [content-type: application/octet-stream] [set-cookie: c=1] ");
    EXPECT_EQ(body, "body" + kNuls);
  }
}

TEST(Prelude, SaysWhatIsNone) {
  const auto state_of = [](std::string bytes) {
    PreludeParser parser;
    parser.push(bytes);
    return parser.state();
  };
  EXPECT_EQ(state_of("{}" + kNuls), PreludeParser::State::kComplete);
  EXPECT_EQ(state_of("{}" + kNuls.substr(1)), PreludeParser::State::kMore);
  EXPECT_EQ(state_of("{}" + kNuls.substr(1) + "x"), PreludeParser::State::kMalformed);
  EXPECT_EQ(state_of("[]" + kNuls), PreludeParser::State::kMalformed);
  EXPECT_EQ(state_of(kNuls), PreludeParser::State::kMalformed);
  EXPECT_EQ(state_of(R"({"statusCode":7})" + kNuls), PreludeParser::State::kMalformed);
  EXPECT_EQ(state_of(std::string(PreludeParser::kBytesMax, ' ')), PreludeParser::State::kMore);
  EXPECT_EQ(state_of(std::string(PreludeParser::kBytesMax + 1, ' ')), PreludeParser::State::kMalformed);
}

TEST(Prelude, IsAnnouncedByItsContentType) {
  EXPECT_TRUE(has_prelude("application/vnd.awslambda.http-integration-response"));
  EXPECT_TRUE(has_prelude("Application/vnd.awslambda.http-integration-response ; charset=utf-8"));
  EXPECT_FALSE(has_prelude("application/json"));
  EXPECT_FALSE(has_prelude(""));
}

// --- CORS -----------------------------------------------------------------------------------------------------------

aws::lambda::Cors rules(std::vector<std::string> origins) {
  return {.allow_headers = {{"x-a", "content-type"}},
          .allow_methods = {{"GET", "POST"}},
          .allow_origins = std::move(origins),
          .expose_headers = {{"x-b"}},
          .max_age = 60};
}

http::Request preflight(std::string origin) {
  return {.method = "OPTIONS",
          .target = "/",
          .headers = {{"Origin", std::move(origin)}, {"Access-Control-Request-Method", "POST"}}};
}

TEST(Cors, PreflightsAreAnsweredForTheFunction) {
  EXPECT_EQ(
      shown(*answer_preflight(rules({"https://a.example", "https://b.example"}), preflight("https://B.example"))),
      "200 [vary: Origin] [access-control-allow-origin: https://B.example] [access-control-allow-methods: GET,POST] "
      "[access-control-allow-headers: x-a,content-type] [access-control-max-age: 60] ");
  EXPECT_EQ(shown(*answer_preflight(rules({"https://a.example"}), preflight("https://evil.example"))), "200 ");
  EXPECT_EQ(answer_preflight(rules({"*"}), preflight("https://x.example"))->headers.get("access-control-allow-origin"),
            "*");
}

TEST(Cors, OnlyPreflightsAreAnswered) {
  auto request = preflight("https://a.example");
  request.headers.remove("Access-Control-Request-Method");
  EXPECT_FALSE(answer_preflight(rules({"*"}), request));
  request = preflight("https://a.example");
  request.method = "POST";
  EXPECT_FALSE(answer_preflight(rules({"*"}), request));
}

TEST(Cors, WithCredentialsTheOriginIsNamed) {
  auto cors = rules({"*"});
  cors.allow_credentials = true;
  http::Response response;
  apply_cors(cors, "https://x.example", response);
  EXPECT_EQ(shown(response),
            "200 [vary: Origin] [access-control-allow-origin: https://x.example] "
            "[access-control-allow-credentials: true] [access-control-expose-headers: x-b] ");
}

TEST(Cors, TheConfigurationReplacesWhatTheFunctionSays) {
  http::Response response;
  response.headers.add("Access-Control-Allow-Origin", "https://mine.example");
  response.headers.add("access-control-allow-methods", "DELETE");
  http::Response without_origin = response;
  apply_cors(rules({"*"}), "https://x.example", response);
  EXPECT_EQ(shown(response), "200 [access-control-allow-origin: *] [access-control-expose-headers: x-b] ");
  apply_cors(rules({"*"}), std::nullopt, without_origin);
  EXPECT_EQ(shown(without_origin), "200 ");
}

}  // namespace
}  // namespace lambdad::function_urls
