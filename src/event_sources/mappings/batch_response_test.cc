#include "event_sources/mappings/batch_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdad::event_sources {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

const std::set<std::string_view, std::less<>> kKnown = {"a", "b", "c"};

// The table of the Lambda Developer Guide, "Implementing partial batch responses".
class FullSuccess : public testing::TestWithParam<const char*> {};
TEST_P(FullSuccess, NothingFailed) { EXPECT_THAT(reported_failures(GetParam(), kKnown), Optional(IsEmpty())); }
INSTANTIATE_TEST_SUITE_P(Rows, FullSuccess,
                         testing::Values("", " \n", "null", "{}", "\"\"", R"({"batchItemFailures":[]})",
                                         R"({"batchItemFailures":null})", R"({"other":1})"));

class FullFailure : public testing::TestWithParam<const char*> {};
TEST_P(FullFailure, EverythingFailed) { EXPECT_EQ(reported_failures(GetParam(), kKnown), std::nullopt); }
INSTANTIATE_TEST_SUITE_P(Rows, FullFailure,
                         testing::Values("{", "nonsense", "\"done\"", "42", "[]", R"({"batchItemFailures":"a"})",
                                         R"({"batchItemFailures":{}})", R"({"batchItemFailures":["a"]})",
                                         R"({"batchItemFailures":[{}]})",
                                         R"({"batchItemFailures":[{"itemidentifier":"a"}]})",
                                         R"({"batchItemFailures":[{"itemIdentifier":""}]})",
                                         R"({"batchItemFailures":[{"itemIdentifier":null}]})",
                                         R"({"batchItemFailures":[{"itemIdentifier":7}]})",
                                         R"({"batchItemFailures":[{"itemIdentifier":"unknown"}]})",
                                         R"({"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"x"}]})"));

TEST(BatchResponse, ListedItemsFailed) {
  EXPECT_THAT(reported_failures(R"({"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]})", kKnown),
              Optional(ElementsAre("a", "c")));
}

TEST(BatchResponse, AnItemMayBeListedTwice) {
  EXPECT_THAT(reported_failures(R"({"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]})", kKnown),
              Optional(ElementsAre("b")));
}

}  // namespace
}  // namespace lambdad::event_sources
