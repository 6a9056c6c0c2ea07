#include "invoke/trace_header.h"

#include <gmock/gmock.h>

#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

using ::testing::MatchesRegex;

const std::string kRoot = "Root=1-5759e988-bd862e3fe1be46a994272793";
const std::string kParent = "53995c3f42cd8ad8";

class TraceHeader : public ::testing::Test {
 protected:
  std::string made(std::string_view from_caller, bool traces) {
    return trace_header(from_caller, traces, sim_.system());
  }
  SimSystem sim_{test_seed()};
};

TEST_F(TraceHeader, WithoutACallersTheTimeIsInANewRoot) {
  EXPECT_THAT(made("", false), MatchesRegex("Root=1-6955b900-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"));
  EXPECT_THAT(made("", true), MatchesRegex("Root=1-6955b900-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1"));
}

TEST_F(TraceHeader, ACallersDecisionStays) {
  EXPECT_EQ(made(kRoot + ";Parent=" + kParent + ";Sampled=1", false), kRoot + ";Parent=" + kParent + ";Sampled=1");
  EXPECT_EQ(made(kRoot + ";Parent=" + kParent + ";Sampled=0", true), kRoot + ";Parent=" + kParent + ";Sampled=0");
  EXPECT_EQ(made(kRoot + "; Parent=" + kParent + "; Sampled=1;Lineage=a87bd80c:0|68fd508a:5", false),
            kRoot + ";Parent=" + kParent + ";Sampled=1;Lineage=a87bd80c:0|68fd508a:5");
}

TEST_F(TraceHeader, AnActiveFunctionHasASegmentOfItsOwn) {
  const std::string header = made(kRoot + ";Parent=" + kParent + ";Sampled=1", true);
  EXPECT_THAT(header, MatchesRegex(kRoot + ";Parent=[0-9a-f]{16};Sampled=1"));
  EXPECT_EQ(header.find(kParent), std::string::npos);
}

TEST_F(TraceHeader, WhatIsNoFieldIsDropped) {
  EXPECT_THAT(made("Root=nonsense;Parent=12;Sampled=yes;Self=1;;=", false),
              MatchesRegex("Root=1-6955b900-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"));
  EXPECT_THAT(made(kRoot + ";Lineage=" + std::string(1000, 'a'), false),
              MatchesRegex(kRoot + ";Parent=[0-9a-f]{16};Sampled=0"));
}

}  // namespace
}  // namespace lambdad::invoke
