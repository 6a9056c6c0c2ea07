#include "services/sns/retry_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdad::sns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> delays(const RetryPolicy& policy) {
  std::vector<double> out;
  for (int failed = 1;; ++failed) {
    const auto delay = policy.delay_after(failed);
    if (!delay) return out;
    out.push_back(to_seconds(*delay));
  }
}

TEST(RetryPolicy, HttpHasThreeRetriesByDefault) { EXPECT_THAT(delays(RetryPolicy{}), ElementsAre(20, 20, 20)); }

TEST(RetryPolicy, PhasesFollowOneAnother) {
  RetryPolicy policy{.retries = 9,
                     .no_delay_retries = 1,
                     .min_delay_retries = 2,
                     .max_delay_retries = 2,
                     .min_delay = 2s,
                     .max_delay = 16s};
  EXPECT_THAT(delays(policy), ElementsAre(0, 2, 2, 2, 6.667, 11.333, 16, 16, 16));
  policy.backoff = RetryPolicy::Backoff::kGeometric;
  EXPECT_THAT(delays(policy), ElementsAre(0, 2, 2, 2, 4, 8, 16, 16, 16));
  policy.backoff = RetryPolicy::Backoff::kExponential;
  EXPECT_THAT(delays(policy), ElementsAre(0, 2, 2, 2, 4, 8, 16, 16, 16));
  policy.backoff = RetryPolicy::Backoff::kArithmetic;
  EXPECT_THAT(delays(policy), ElementsAre(0, 2, 2, 2, 4.333, 9, 16, 16, 16));
}

TEST(RetryPolicy, ManagedEndpointsAreTriedForTwentyThreeDays) {
  const RetryPolicy policy = managed_retry_policy();
  EXPECT_EQ(policy.delay_after(3), Duration::zero());
  EXPECT_EQ(policy.delay_after(4), 1s);
  EXPECT_EQ(policy.delay_after(6), 1s);
  EXPECT_EQ(policy.delay_after(15), 20s);
  EXPECT_EQ(policy.delay_after(100015), 20s);
  EXPECT_EQ(policy.delay_after(100016), std::nullopt);
}

TEST(DeliveryPolicy, WhatItDoesNotSayIsInherited) {
  const auto topic = DeliveryPolicy::parse(
      R"({"http":{"defaultHealthyRetryPolicy":{"numRetries":5,"minDelayTarget":1,"maxDelayTarget":2},)"
      R"("defaultRequestPolicy":{"headerContentType":"application/json"}}})",
      DeliveryPolicy::Of::kTopic);
  ASSERT_TRUE(topic) << topic.error().message;
  const auto subscription =
      DeliveryPolicy::parse(R"({"throttlePolicy":{"maxReceivesPerSecond":7}})", DeliveryPolicy::Of::kSubscription);
  ASSERT_TRUE(subscription) << subscription.error().message;
  EffectivePolicy effective = EffectivePolicy::of(*topic, *subscription);
  EXPECT_EQ(effective.retry.retries, 5);
  EXPECT_EQ(effective.receives_per_second_max, 7);
  EXPECT_EQ(effective.content_type, "application/json");
  DeliveryPolicy strict = *topic;
  strict.disable_subscription_overrides = true;
  EXPECT_EQ(EffectivePolicy::of(strict, *subscription).receives_per_second_max, std::nullopt);
  // What is shown can be set again.
  EXPECT_TRUE(DeliveryPolicy::parse(effective.show(DeliveryPolicy::Of::kTopic, false), DeliveryPolicy::Of::kTopic));
  EXPECT_TRUE(DeliveryPolicy::parse(effective.show(DeliveryPolicy::Of::kSubscription, false),
                                    DeliveryPolicy::Of::kSubscription));
}

TEST(DeliveryPolicy, RefusesWhatItDoesNotKnow) {
  const auto refusal = [](const char* text) {
    const auto parsed = DeliveryPolicy::parse(text, DeliveryPolicy::Of::kSubscription);
    return parsed ? std::string("accepted") : parsed.error().message;
  };
  EXPECT_THAT(refusal("["), HasSubstr("failed to parse JSON"));
  EXPECT_THAT(refusal(R"({"colour":1})"), HasSubstr("unknown member colour"));
  EXPECT_THAT(refusal(R"({"healthyRetryPolicy":{"numRetries":101}})"), HasSubstr("numRetries"));
  EXPECT_THAT(refusal(R"({"healthyRetryPolicy":{"numRetries":1,"numNoDelayRetries":2}})"), HasSubstr("numRetries"));
  EXPECT_THAT(refusal(R"({"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":4}})"),
              HasSubstr("maxDelayTarget"));
  EXPECT_THAT(refusal(R"({"healthyRetryPolicy":{"numRetries":10,"minDelayTarget":600,"maxDelayTarget":600}})"),
              HasSubstr("3600"));
  EXPECT_THAT(refusal(R"({"healthyRetryPolicy":{"backoffFunction":"wild"}})"), HasSubstr("backoffFunction"));
}

}  // namespace
}  // namespace lambdad::sns
