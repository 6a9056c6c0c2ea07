#include "system/random.h"

#include <array>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdad {
namespace {

TEST(SeededRandom, TheSameSeedGivesTheSameBytes) {
  SeededRandom a(7), b(7), c(8);
  const std::string bytes = a.bytes(100);
  EXPECT_EQ(bytes, b.bytes(100));
  EXPECT_NE(bytes, c.bytes(100));
}

TEST(SeededRandom, BelowReachesEveryValueAboutEqually) {
  SeededRandom random(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts.at(random.below(6));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(SeededRandom, UnitIsInItsInterval) {
  SeededRandom random(1);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.unit();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Random, UuidsAreVersionFour) {
  KernelRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = random.uuid_v4();
    EXPECT_THAT(uuid, testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

TEST(Random, HexHasTheNumberOfDigitsAskedFor) {
  SeededRandom random(1);
  EXPECT_EQ(random.hex(7).size(), 7u);
  EXPECT_EQ(random.hex(0), "");
}

}  // namespace
}  // namespace lambdad
