#include "services/lambda/control_rates.h"

#include <gtest/gtest.h>

namespace lambdad::lambda {
namespace {

using namespace std::chrono_literals;

int taken(ControlRates& rates, std::string_view operation, MonoTime now, int tries = 1000) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += rates.take("111122223333", "us-east-1", operation, now) ? 1 : 0;
  return count;
}

TEST(ControlRates, GetFunctionAndGetPolicyHaveAllowancesOfTheirOwn) {
  ControlRates rates;
  const MonoTime now{1h};
  EXPECT_EQ(taken(rates, "ListFunctions", now), 15);
  EXPECT_EQ(taken(rates, "UpdateFunctionCode", now), 0) << "the others share theirs";
  EXPECT_EQ(taken(rates, "GetPolicy", now), 15);
  EXPECT_EQ(taken(rates, "GetFunction", now), 100);
}

TEST(ControlRates, TheAllowanceComesBackEvenly) {
  ControlRates rates;
  MonoTime now{1h};
  EXPECT_EQ(taken(rates, "ListFunctions", now), 15);
  EXPECT_EQ(taken(rates, "ListFunctions", now += 200ms), 3);
  EXPECT_EQ(taken(rates, "ListFunctions", now += 1h), 15) << "what is not used does not add up";
}

TEST(ControlRates, AccountsAndRegionsAreApart) {
  ControlRates rates;
  const MonoTime now{1h};
  EXPECT_EQ(taken(rates, "ListFunctions", now), 15);
  EXPECT_TRUE(rates.take("444455556666", "us-east-1", "ListFunctions", now));
  EXPECT_TRUE(rates.take("111122223333", "eu-west-1", "ListFunctions", now));
}

TEST(ControlRates, ManyAccountsDoNotEndAnothersThrottle) {
  ControlRates rates;
  const MonoTime now{1h};
  EXPECT_EQ(taken(rates, "ListFunctions", now), 15);
  for (int i = 0; i < 20'000; ++i) rates.take(std::to_string(i), "us-east-1", "ListFunctions", now);
  EXPECT_EQ(taken(rates, "ListFunctions", now), 0);
}

}  // namespace
}  // namespace lambdad::lambda
