#include "event_sources/mappings/record_filter.h"

#include <gtest/gtest.h>

namespace lambdad::event_sources {
namespace {

aws::Outcome<std::optional<RecordFilter>> compiled(std::vector<std::string> patterns) {
  aws::lambda::FilterCriteria criteria;
  criteria.filters.emplace();
  for (auto& text : patterns) criteria.filters->push_back({.pattern = std::move(text)});
  return RecordFilter::compile(criteria, "body");
}

bool wants(std::vector<std::string> patterns, const std::string& body) {
  const auto filter = compiled(std::move(patterns));
  EXPECT_TRUE(filter && *filter);
  json::Object record{{"messageId", "m-1"},
                      {"body", body},
                      {"attributes", json::Object{{"ApproximateReceiveCount", "1"}}},
                      {"messageAttributes", json::Object{{"kind", json::Object{{"stringValue", "rush"}}}}},
                      {"eventSource", "aws:sqs"}};
  return (*filter)->wants(json::serialize(json::Value(std::move(record))));
}

// Every cell of the type matrix.
TEST(RecordFilter, PatternAndPayloadMustBeOfOneKind) {
  EXPECT_TRUE(wants({R"({"body": ["text"]})"}, "text"));
  EXPECT_FALSE(wants({R"({"body": ["text"]})"}, "other"));
  EXPECT_FALSE(wants({R"({"body": [{"anything-but": "text"}]})"}, R"({"k": 1})"));
  EXPECT_TRUE(wants({R"({"body": {"k": [1]}})"}, R"({"k": 1})"));
  EXPECT_FALSE(wants({R"({"body": {"k": [2]}})"}, R"({"k": 1})"));
  EXPECT_FALSE(wants({R"({"body": {"k": [{"exists": false}]}})"}, "text"));
  EXPECT_TRUE(wants({R"({"body": {"k": [{"exists": false}]}})"}, R"({"j": 1})"));
  EXPECT_TRUE(wants({R"({"messageAttributes": {"kind": {"stringValue": ["rush"]}}})"}, "text"));
  EXPECT_TRUE(wants({R"({"messageAttributes": {"kind": {"stringValue": ["rush"]}}})"}, R"({"k": 1})"));
}

TEST(RecordFilter, APayloadThatIsOneJsonValueIsThatOrItsText) {
  EXPECT_TRUE(wants({R"({"body": [{"numeric": [">", 100]}]})"}, "101"));
  EXPECT_TRUE(wants({R"({"body": ["101"]})"}, "101"));
  EXPECT_FALSE(wants({R"({"body": [{"numeric": [">", 100]}]})"}, "99"));
}

TEST(RecordFilter, OneOfTheFiltersIsEnoughAndAllFieldsOfIt) {
  EXPECT_TRUE(wants({R"({"body": {"a": [1]}})", R"({"body": {"b": [2]}})"}, R"({"b": 2})"));
  EXPECT_FALSE(wants({R"({"body": {"a": [1], "b": [2]}})"}, R"({"b": 2})"));
  EXPECT_FALSE(wants({R"({"body": {"a": [1]}, "messageId": ["other"]})"}, R"({"a": 1})"));
}

TEST(RecordFilter, NoFiltersAreNone) {
  EXPECT_FALSE(compiled({}).value().has_value());
  EXPECT_FALSE(RecordFilter::compile({}, "body").value().has_value());
}

TEST(RecordFilter, RefusesWhatIsNoPattern) {
  for (const char* text :
       {"{", "word", R"({"a": "x"})", R"({"a": []})", R"({"a": {}})", "[]", R"({"a": [{"like": "x"}]})"}) {
    const auto filter = compiled({text});
    ASSERT_FALSE(filter) << text;
    EXPECT_EQ(filter.error().message, "Invalid filter pattern definition.") << text;
  }
  aws::lambda::FilterCriteria no_pattern;
  no_pattern.filters.emplace(1);
  EXPECT_FALSE(RecordFilter::compile(no_pattern, "body"));
  EXPECT_FALSE(compiled({R"({"a": [")" + std::string(4096, 'x') + R"("]})"}));
  EXPECT_TRUE(compiled(std::vector<std::string>(10, R"({"a": [1]})")));
  EXPECT_FALSE(compiled(std::vector<std::string>(11, R"({"a": [1]})")));
}

}  // namespace
}  // namespace lambdad::event_sources
