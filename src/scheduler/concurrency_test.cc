#include "scheduler/concurrency.h"

#include <vector>

#include <gtest/gtest.h>

namespace lambdad::scheduler {
namespace {

const ports::FunctionRef kOrders{"111122223333", "eu-west-1", "orders", ""};
const ports::FunctionRef kMail{"111122223333", "eu-west-1", "mail", ""};
const ports::FunctionRef kElsewhere{"111122223333", "us-east-1", "orders", ""};

TEST(ConcurrencyLedger, StopsAtTheAccountLimitAndGoesOnWhenAnInvocationEnds) {
  ConcurrencyLedger ledger(2);
  auto first = ledger.acquire(kOrders, std::nullopt, 0);
  auto second = ledger.acquire(kMail, std::nullopt, 0);
  ASSERT_TRUE(first && second);
  auto third = ledger.acquire(kOrders, std::nullopt, 0);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), ports::ThrottleReason::kConcurrentInvocationLimit);
  {
    auto ended = std::move(*second);
  }
  EXPECT_TRUE(ledger.acquire(kOrders, std::nullopt, 0));
}

TEST(ConcurrencyLedger, CountsEachRegionApart) {
  ConcurrencyLedger ledger(1);
  auto here = ledger.acquire(kOrders, std::nullopt, 0);
  auto there = ledger.acquire(kElsewhere, std::nullopt, 0);
  EXPECT_TRUE(here && there);
}

TEST(ConcurrencyLedger, AReservationIsACeiling) {
  ConcurrencyLedger ledger(10);
  auto only = ledger.acquire(kOrders, 1, 1);
  ASSERT_TRUE(only);
  auto more = ledger.acquire(kOrders, 1, 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), ports::ThrottleReason::kReservedConcurrentInvocationLimit);
}

TEST(ConcurrencyLedger, AReservationIsAGuarantee) {
  ConcurrencyLedger ledger(3);
  auto a = ledger.acquire(kMail, std::nullopt, 1);
  auto b = ledger.acquire(kMail, std::nullopt, 1);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(ledger.acquire(kMail, std::nullopt, 1));  // the third unit belongs to orders
  EXPECT_TRUE(ledger.acquire(kOrders, 1, 1));
}

TEST(ConcurrencyLedger, ZeroReservedRefusesEverything) {
  ConcurrencyLedger ledger;
  auto none = ledger.acquire(kOrders, 0, 0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), ports::ThrottleReason::kReservedConcurrentInvocationLimit);
}

TEST(ConcurrencyLedger, ForgetsEndedInvocations) {
  ConcurrencyLedger ledger(1000);
  {
    std::vector<ConcurrencyLedger::Permit> permits;
    for (int i = 0; i < 100; ++i) permits.push_back(std::move(*ledger.acquire(kOrders, std::nullopt, 0)));
    EXPECT_EQ(ledger.running(kOrders), 100);
  }
  EXPECT_EQ(ledger.running(kOrders), 0);
  EXPECT_EQ(ledger.running_total(), 0);
}

}  // namespace
}  // namespace lambdad::scheduler
