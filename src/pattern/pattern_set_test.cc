#include "pattern/pattern_set.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pattern/testing/generator.h"
#include "pattern/testing/reference.h"
#include "system/test_seed.h"

namespace lambdad::pattern {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Pattern compiled(const json::Value& document) {
  auto pattern = Pattern::compile(document, Dialect::kEventBridge);
  LD_CHECK(pattern.has_value(), "{}: {}", json::serialize(document), pattern.error().detail);
  return *pattern;
}

// Every pattern, alone and in a set that grows and shrinks, gives the verdict of the reference.
TEST(PatternSet, AgreesWithTheReferenceOnRandomPatternsAndEvents) {
  SeededRandom random(test_seed());
  testing::Generator generate(random);
  std::size_t matched = 0, judged = 0;
  for (int round = 0; round < 60; ++round) {
    PatternSet set;
    std::map<PatternSet::Id, json::Value> documents;
    std::vector<PatternSet::Id> found;
    for (int step = 0; step < 40; ++step) {
      if (!documents.empty() && random.below(4) == 0) {
        auto gone = std::next(documents.begin(), static_cast<long>(random.below(documents.size())));
        set.remove(gone->first);
        documents.erase(gone);
      } else {
        json::Value document = generate.pattern();
        const auto id = set.add(compiled(document));
        ASSERT_TRUE(documents.emplace(id, std::move(document)).second);
      }
      const json::Value event = generate.event();
      std::vector<PatternSet::Id> expected;
      for (const auto& [id, document] : documents) {
        const bool wanted = testing::reference_matches(document, event);
        EXPECT_EQ(compiled(document).matches(event), wanted) << json::serialize(document) << "\n"
                                                             << json::serialize(event);
        if (wanted) expected.push_back(id);
        ++judged;
      }
      set.match(event, found);
      ASSERT_EQ(found, expected) << json::serialize(event);
      matched += expected.size();
    }
    EXPECT_EQ(set.size(), documents.size());
  }
  // The generator must keep producing both verdicts for this test to say anything.
  EXPECT_GT(matched, judged / 50);
  EXPECT_LT(matched, judged / 2);
}

TEST(PatternSet, ManyPatternsOnOnePathAreFoundByTheirValues) {
  PatternSet set;
  for (int i = 0; i < 1000; ++i) {
    set.add(compiled(json::Object{{"id", json::Array{json::Value(fmt::format("v{}", i))}}}));
  }
  std::vector<PatternSet::Id> found;
  set.match(*json::parse(R"({"id": "v7", "other": 1})"), found);
  EXPECT_THAT(found, ElementsAre(7));
  set.remove(7);
  set.match(*json::parse(R"({"id": "v7"})"), found);
  EXPECT_THAT(found, IsEmpty());
}

TEST(PatternSet, NothingMatchesWhatIsNoObject) {
  PatternSet set;
  set.add(compiled(*json::parse(R"({"a": [{"exists": false}]})")));
  std::vector<PatternSet::Id> found{1};
  set.match(*json::parse("[1]"), found);
  EXPECT_THAT(found, IsEmpty());
}

}  // namespace
}  // namespace lambdad::pattern
