#include "services/logs/filter_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdad::logs {
namespace {

bool matches(std::string_view pattern, std::string_view message) {
  auto parsed = FilterPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern << ": " << (parsed ? "" : parsed.error().message);
  return parsed && parsed->matches(message);
}
std::string error(std::string_view pattern) {
  auto parsed = FilterPattern::parse(pattern);
  return parsed ? "no error" : parsed.error().type + ": " + parsed.error().message;
}

TEST(FilterPattern, EmptyMatchesEverything) {
  EXPECT_TRUE(matches("", "anything"));
  EXPECT_TRUE(matches("  ", ""));
}

TEST(FilterPattern, AllPlainTermsMustOccurInTheirCase) {
  EXPECT_TRUE(matches("ERROR", "[ERROR 400] BAD REQUEST"));
  EXPECT_TRUE(matches("ERROR", "[ERRORS]"));
  EXPECT_FALSE(matches("ERROR", "[error 400]"));
  EXPECT_TRUE(matches("ERROR REQUEST", "[ERROR 400] BAD REQUEST"));
  EXPECT_FALSE(matches("ERROR REQUEST", "[ERROR 400] BAD"));
}

TEST(FilterPattern, QuotedPhrasesAreTakenAsTheyAre) {
  EXPECT_TRUE(matches(R"("INTERNAL SERVER")", "500 INTERNAL SERVER ERROR"));
  EXPECT_FALSE(matches(R"("INTERNAL SERVER")", "SERVER INTERNAL"));
  EXPECT_TRUE(matches(R"("say \"no\" \\o/")", R"(they say "no" \o/ again)"));
  EXPECT_TRUE(matches(R"("[x]" "{y}")", "{y} [x]"));
}

TEST(FilterPattern, QuestionMarksMeanOneOf) {
  EXPECT_TRUE(matches("?ERROR ?WARN", "WARN: disk"));
  EXPECT_TRUE(matches(R"(?ERROR ?"out of memory")", "out of memory"));
  EXPECT_FALSE(matches("?ERROR ?WARN", "INFO: disk"));
}

TEST(FilterPattern, MinusExcludes) {
  EXPECT_TRUE(matches("ERROR -retry", "ERROR final"));
  EXPECT_FALSE(matches("ERROR -retry", "ERROR retry"));
  EXPECT_TRUE(matches(R"(-"a b")", "ab"));
  EXPECT_FALSE(matches(R"(-"a b")", "a b"));
}

TEST(FilterPattern, RefusesWhatIsNoPattern) {
  EXPECT_EQ(error("a:b"), "InvalidParameterException: Invalid character(s) in term 'a:b'");
  EXPECT_EQ(error(R"("open)"), "InvalidParameterException: Invalid filter pattern");
  EXPECT_EQ(error(R"("")"), "InvalidParameterException: Invalid filter pattern");
  EXPECT_EQ(error("a -"), "InvalidParameterException: Invalid filter pattern");
}

TEST(FilterPattern, BracesAndBracketsAreStructuredPatterns) {
  EXPECT_TRUE(matches("{ $.level = \"ERROR\" }", R"({"level":"ERROR"})"));
  EXPECT_FALSE(matches("{ $.level = \"ERROR\" }", "ERROR"));
  EXPECT_TRUE(matches(" [level=ERROR, ...]", "ERROR no room"));
  EXPECT_EQ(error("{ level }"), "InvalidParameterException: Invalid filter pattern");
}

TEST(FilterPattern, RefusesByNameWhatIsNotServed) {
  EXPECT_THAT(error("{ $.level = %ERR% }"), testing::HasSubstr("regular expression"));
  EXPECT_THAT(error("%ERR.*%"), testing::HasSubstr("regular expression"));
  EXPECT_THAT(error("?ERROR WARN"), testing::HasSubstr("? beside other terms"));
}

}  // namespace
}  // namespace lambdad::logs
