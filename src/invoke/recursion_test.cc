#include "invoke/recursion.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lambdad::invoke {
namespace {

const FunctionArn kF{"us-east-1", "111122223333", "f", ""};
const FunctionArn kG{"us-east-1", "111122223333", "g", ""};
const FunctionArn kH{"us-east-1", "111122223333", "h", "live"};
const std::string kRoot = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0";

TEST(Recursion, CountsTheInvocationsOfAFunctionInItsChain) {
  std::string header = kRoot;
  for (int i = 0; i < 20; ++i) {
    auto link = follow_chain(header, kF);
    EXPECT_EQ(link.invocations, i);
    EXPECT_EQ(link.trace_header.find(kRoot), 0u);
    header = link.trace_header;
    header = follow_chain(header, kG).trace_header;
  }
  EXPECT_EQ(follow_chain(header, kG).invocations, 20);
  EXPECT_EQ(follow_chain(header, kH).invocations, 0);
}

TEST(Recursion, AQualifierIsTheSameFunction) {
  FunctionArn qualified = kF;
  qualified.qualifier = "7";
  EXPECT_EQ(follow_chain(follow_chain(kRoot, kF).trace_header, qualified).invocations, 1);
}

TEST(Recursion, KeepsTheThreeLatestFunctions) {
  const FunctionArn i{"us-east-1", "111122223333", "i", ""};
  std::string header;
  for (const FunctionArn& each : {kF, kG, kH, i}) header = follow_chain(header, each).trace_header;
  EXPECT_EQ(std::ranges::count(header, '|'), 2);
  EXPECT_EQ(follow_chain(header, kF).invocations, 0);
  EXPECT_EQ(follow_chain(header, kG).invocations, 1);
}

TEST(Recursion, ReadsWhatBoto3Encodes) {
  std::string header = follow_chain(follow_chain(kRoot, kF).trace_header, kG).trace_header;
  header.replace(header.find('|'), 1, "%7C");
  EXPECT_EQ(follow_chain(header, kF).invocations, 1);
  EXPECT_EQ(follow_chain(header, kG).invocations, 1);
}

TEST(Recursion, WhatIsNoLineageIsDropped) {
  const std::string mine = follow_chain("", kF).trace_header.substr(8, 8);
  for (const std::string& bad :
       std::vector<std::string>{"Lineage=", "Lineage=||:", "Lineage=zzzzzzzz:3", "Lineage=" + mine + ":x",
                                "Lineage=" + mine + ":-4", "Lineage=" + mine + ":99999999999999999999"}) {
    auto link = follow_chain(kRoot + ";" + bad, kF);
    EXPECT_EQ(link.invocations, 0) << bad;
    EXPECT_EQ(link.trace_header, kRoot + ";Lineage=" + mine + ":1") << bad;
  }
  EXPECT_EQ(follow_chain("Lineage=" + mine + ":2147483647", kF).invocations, 32767);
}

}  // namespace
}  // namespace lambdad::invoke
