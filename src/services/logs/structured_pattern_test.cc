#include "services/logs/structured_pattern.h"

#include <gmock/gmock.h>

namespace lambdad::logs {
namespace {

using ::testing::ElementsAre;

bool matches(std::string_view pattern, std::string_view message) {
  const auto parsed = StructuredPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern << ": " << parsed.error().message;
  return parsed && (*parsed)->matches(message);
}

// The user guide's own examples are of this shape.
constexpr std::string_view kEvent =
    R"({"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],)"
    R"("objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"cluster.name":"c","bandwidth":75.5,)"
    R"("ok":true,"code":404})";

TEST(JsonPattern, ComparesMembers) {
  const std::pair<std::string_view, bool> cases[] = {
      {R"({ $.eventType = "UpdateTrail" })", true},
      {R"({$.eventType="UpdateTrail"})", true},
      {R"({ $.eventType = UpdateTrail })", true},
      {R"({ $.eventType = "updateTrail" })", false},
      {R"({ $.eventType = "Update*" })", true},
      {R"({ $.eventType != "Update*" })", false},
      {R"({ $.eventType != "Other" })", true},
      {R"({ $.missing != "Other" })", false},
      {R"({ $.sourceIPAddress != 123.123.* })", true},
      {R"({ $.sourceIPAddress = 111.111.* })", true},
      {R"({ $.arrayKey[0] = "value" })", true},
      {R"({ $.arrayKey[1] = "value" })", false},
      {R"({ $.arrayKey[7] = "value" })", false},
      {R"({ $.arrayKey[*] = "another value" })", true},
      {R"({ $.objectList[1].id = 2 })", true},
      {R"({ $.objectList[*].id > 2 })", false},
      {R"({ $.SomeObject IS NULL })", true},
      {R"({ $.eventType IS NULL })", false},
      {R"({ $.SomeOther NOT EXISTS })", true},
      {R"({ $.SomeObject NOT EXISTS })", false},
      {R"({ $.ok IS TRUE })", true},
      {R"({ $.ok IS FALSE })", false},
      {R"({ $.bandwidth > 75 })", true},
      {R"({ $.bandwidth >= 7.55e1 })", true},
      {R"({ $.bandwidth < 75.5 })", false},
      {R"({ $.bandwidth = "75.5" })", false},
      {R"({ $.code = 4* })", true},
      {R"({ $.code = 5* })", false},
      {R"({ $['cluster.name'] = "c" })", true},
      {R"({ $.['cluster.name'] = "c" })", true},
      {R"({ $.code = 404 && $.ok IS FALSE })", false},
      {R"({ $.code = 404 && $.ok IS FALSE || $.bandwidth > 1 })", true},
      {R"({ $.code = 404 && ($.ok IS FALSE || $.bandwidth > 1) })", true},
      {R"({ ($.eventType = "X" || $.code = 1) })", false},
  };
  for (const auto& [pattern, expected] : cases) EXPECT_EQ(matches(pattern, kEvent), expected) << pattern;
  EXPECT_FALSE(matches(R"({ $.a = 1 })", "no JSON"));
  EXPECT_FALSE(matches(R"({ $.a NOT EXISTS })", "[1]"));
}

TEST(SpacePattern, ComparesFields) {
  constexpr std::string_view kLine =
      R"(127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534)";
  const std::pair<std::string_view, bool> cases[] = {
      {"[ip, user, username, timestamp, request, status_code, bytes]", true},
      {"[ip, user, username, timestamp, request, status_code]", false},
      {"[ip, user, username, timestamp, request, status_code=4*, bytes>1000]", true},
      {"[ip, user, username, timestamp, request, status_code=4*, bytes>2000]", false},
      {"[..., request=*html*, status_code=4*, bytes]", true},
      {"[ip=%127%]", false},
      {"[ip=127.*, ...]", true},
      {"[..., bytes=1534]", true},
      {"[..., status_code!=404, bytes]", false},
      {"[ip, ..., request = \"GET /index.html HTTP/1.0\", ...]", true},
      {"[ip, user=Prod || user=Dev, ...]", true},
      {"[ip, (user=Prod && user!=Prod), ...]", false},
      {"[..., (status_code = 404 || status_code = 410), bytes]", true},
      {"[...]", true},
      {"[]", false},
  };
  for (const auto& [pattern, expected] : cases) {
    if (pattern.find('%') != std::string_view::npos) {
      const auto refused = StructuredPattern::parse(pattern);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().http_status, 501);
      continue;
    }
    EXPECT_EQ(matches(pattern, kLine), expected) << pattern;
  }
}

TEST(SpacePattern, QuotesAndBracketsHoldAFieldTogether) {
  EXPECT_THAT(split_fields(R"(a  "b c" [d e] "open [also)"), ElementsAre("a", "b c", "d e", "\"open", "[also"));
  EXPECT_THAT(split_fields("\n"), ElementsAre());
}

TEST(StructuredPattern, WhatIsNoPatternIsRefused) {
  for (const std::string_view bad : {"{",
                                     "{}",
                                     "{ $.a }",
                                     "{ a = 1 }",
                                     "{ $.a = }",
                                     "{ $.a = \"x }",
                                     "{ $.a > b }",
                                     "{ $.a IS MAYBE }",
                                     "{ $. = 1 }",
                                     "{ $.a[ = 1 }",
                                     "{ $.a[x] = 1 }",
                                     "{ $.a = 1 } more",
                                     "{ ($.a = 1 }",
                                     "{ $.a = 1 && }",
                                     "[a",
                                     "[a,",
                                     "[,]",
                                     "[a=]",
                                     "[a b]",
                                     "[a] b"}) {
    const auto parsed = StructuredPattern::parse(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().type, "InvalidParameterException") << bad;
  }
  EXPECT_FALSE(StructuredPattern::parse("{ " + std::string(500, '(') + "$.a = 1" + std::string(500, ')') + " }"));
}

TEST(Glob, StarsStandForAnyCharacters) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("a*b*c", "axxbyybzzc"));
  EXPECT_FALSE(glob_matches("a*b*c", "axxbyybzz"));
  EXPECT_FALSE(glob_matches("a", "ab"));
  EXPECT_TRUE(glob_matches("**a", "a"));
}

}  // namespace
}  // namespace lambdad::logs
