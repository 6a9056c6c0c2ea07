#include "system/fault.h"

#include <csignal>

#include <gtest/gtest.h>

namespace lambdad {
namespace {

TEST(Fault, NothingHappensWhileNothingIsArmed) {
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(fault::point("test.step"));
}

TEST(Fault, FailsExactlyTheNamedPassage) {
  fault::Armed armed("test.step:2:fail");
  EXPECT_FALSE(fault::point("test.step"));
  EXPECT_FALSE(fault::point("test.other"));
  EXPECT_TRUE(fault::point("test.step"));
  EXPECT_FALSE(fault::point("test.step"));
  EXPECT_EQ(fault::counts()["test.step"], 3u);
  EXPECT_EQ(fault::counts()["test.other"], 1u);
}

TEST(Fault, PlusFailsFromThatPassageOn) {
  fault::Armed armed("test.step:2+:fail");
  EXPECT_FALSE(fault::point("test.step"));
  EXPECT_TRUE(fault::point("test.step"));
  EXPECT_TRUE(fault::point("test.step"));
}

TEST(Fault, DisarmsAtTheEndAndCountsAnewAfterArming) {
  {
    fault::Armed armed("test.step:1+:fail");
    EXPECT_TRUE(fault::point("test.step"));
  }
  EXPECT_FALSE(fault::point("test.step"));
  fault::Armed armed("test.step:2:fail");
  EXPECT_FALSE(fault::point("test.step"));
  EXPECT_TRUE(fault::point("test.step"));
}

TEST(Fault, KillEndsTheProcessAtOnce) {
  EXPECT_EXIT(
      {
        fault::Armed armed("test.step:2:kill");
        fault::point("test.step");
        std::fprintf(stderr, "first passed\n");
        fault::point("test.step");
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGKILL), "first passed");
}

TEST(Fault, RefusesTextItCannotRead) {
  for (const char* good : {"", "count", "a:1:kill", "a.b:12+:fail,c:3:kill"})
    EXPECT_TRUE(fault::validate(good)) << good;
  for (const char* bad : {"a", "a:kill", ":1:kill", "a:0:kill", "a::kill", "a:x:kill", "a:1:boom", "a:1:kill,b"}) {
    auto result = fault::validate(bad);
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().code, Errc::kInvalid);
  }
}

}  // namespace
}  // namespace lambdad
