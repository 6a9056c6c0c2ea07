#include "scheduler/concurrency.h"

#include <vector>

#include <gtest/gtest.h>

namespace lambdad::scheduler {
namespace {

const ports::FunctionRef kOrders{"111122223333", "eu-west-1", "orders", ""};
const ports::FunctionRef kMail{"111122223333", "eu-west-1", "mail", ""};
const ports::FunctionRef kElsewhere{"111122223333", "us-east-1", "orders", ""};

const MonoTime kNow{};

TEST(ConcurrencyLedger, StopsAtTheAccountLimitAndGoesOnWhenAnInvocationEnds) {
  ConcurrencyLedger ledger(2);
  auto first = ledger.acquire(kOrders, "", {.reserved_total = 0}, kNow);
  auto second = ledger.acquire(kMail, "", {.reserved_total = 0}, kNow);
  ASSERT_TRUE(first && second);
  auto third = ledger.acquire(kOrders, "", {.reserved_total = 0}, kNow);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), ports::ThrottleReason::kConcurrentInvocationLimit);
  {
    auto ended = std::move(*second);
  }
  EXPECT_TRUE(ledger.acquire(kOrders, "", {.reserved_total = 0}, kNow));
}

TEST(ConcurrencyLedger, CountsEachRegionApart) {
  ConcurrencyLedger ledger(1);
  auto here = ledger.acquire(kOrders, "", {.reserved_total = 0}, kNow);
  auto there = ledger.acquire(kElsewhere, "", {.reserved_total = 0}, kNow);
  EXPECT_TRUE(here && there);
}

TEST(ConcurrencyLedger, AReservationIsACeiling) {
  ConcurrencyLedger ledger(10);
  auto only = ledger.acquire(kOrders, "", {.reserved = 1, .reserved_total = 1}, kNow);
  ASSERT_TRUE(only);
  auto more = ledger.acquire(kOrders, "", {.reserved = 1, .reserved_total = 1}, kNow);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), ports::ThrottleReason::kReservedConcurrentInvocationLimit);
}

TEST(ConcurrencyLedger, AReservationIsAGuarantee) {
  ConcurrencyLedger ledger(3);
  auto a = ledger.acquire(kMail, "", {.reserved_total = 1}, kNow);
  auto b = ledger.acquire(kMail, "", {.reserved_total = 1}, kNow);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(ledger.acquire(kMail, "", {.reserved_total = 1}, kNow));  // the third unit belongs to orders
  EXPECT_TRUE(ledger.acquire(kOrders, "", {.reserved = 1, .reserved_total = 1}, kNow));
}

TEST(ConcurrencyLedger, ZeroReservedRefusesEverything) {
  ConcurrencyLedger ledger;
  auto none = ledger.acquire(kOrders, "", {.reserved = 0, .reserved_total = 0}, kNow);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), ports::ThrottleReason::kReservedConcurrentInvocationLimit);
}

TEST(ConcurrencyLedger, ForgetsEndedInvocations) {
  ConcurrencyLedger ledger(1000);
  {
    std::vector<ConcurrencyLedger::Permit> permits;
    for (int i = 0; i < 100; ++i)
      permits.push_back(std::move(*ledger.acquire(kOrders, "", {.reserved_total = 0}, kNow)));
    EXPECT_EQ(ledger.running(kOrders), 100);
  }
  EXPECT_EQ(ledger.running(kOrders), 0);
  EXPECT_EQ(ledger.running_total(), 0);
}

TEST(ConcurrencyLedger, ProvisionedEnvironmentsComeFirstAndCountAgainstNothingElse) {
  ConcurrencyLedger ledger(1);
  const Quota quota{.reserved_total = 1, .provisioned_ready = 1};  // nothing of the account is left for others
  auto ahead = ledger.acquire(kOrders, "v1", quota, kNow);
  ASSERT_TRUE(ahead);
  EXPECT_TRUE(ahead->provisioned());
  auto spilled = ledger.acquire(kOrders, "v1", quota, kNow);
  ASSERT_FALSE(spilled);
  EXPECT_EQ(spilled.error(), ports::ThrottleReason::kConcurrentInvocationLimit);
}

TEST(ConcurrencyLedger, WhatIsProvisionedIsKeptFromTheRestOfAReservation) {
  ConcurrencyLedger ledger;
  const Quota latest{.reserved = 2, .provisioned_held = 2};
  EXPECT_FALSE(ledger.acquire(kOrders, "latest", latest, kNow));
  const Quota version{.reserved = 3, .provisioned_ready = 2, .provisioned_held = 2};
  auto first = ledger.acquire(kOrders, "v1", version, kNow);
  auto second = ledger.acquire(kOrders, "v1", version, kNow);
  auto spilled = ledger.acquire(kOrders, "v1", version, kNow);
  ASSERT_TRUE(first && second && spilled);
  EXPECT_TRUE(second->provisioned());
  EXPECT_FALSE(spilled->provisioned());
  EXPECT_FALSE(ledger.acquire(kOrders, "v1", version, kNow));
}

TEST(ConcurrencyLedger, AReservationMayBeUsedTenTimesASecond) {
  ConcurrencyLedger ledger;
  auto call = [&](MonoTime now) { return ledger.acquire(kOrders, "", {.reserved = 1, .reserved_total = 1}, now); };
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(call(kNow)) << i;
  auto refused = call(kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ports::ThrottleReason::kReservedInvocationRateLimit);
  EXPECT_FALSE(call(kNow + 99ms));
  EXPECT_TRUE(call(kNow + 101ms));
  EXPECT_FALSE(call(kNow + 101ms));
}

TEST(ConcurrencyLedger, AnAccountMayBeUsedTenTimesItsConcurrencyEachSecond) {
  ConcurrencyLedger ledger(2);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(ledger.acquire(i % 2 == 0 ? kOrders : kMail, "", {}, kNow)) << i;
  auto refused = ledger.acquire(kOrders, "", {}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ports::ThrottleReason::kInvocationRateLimit);
  EXPECT_TRUE(ledger.acquire(kElsewhere, "", {}, kNow));
  EXPECT_TRUE(ledger.acquire(kOrders, "", {}, kNow + 1s));
}

}  // namespace
}  // namespace lambdad::scheduler
