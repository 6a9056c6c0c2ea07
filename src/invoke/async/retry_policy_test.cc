#include "invoke/async/retry_policy.h"

#include <gtest/gtest.h>

namespace lambdad::invoke {
namespace {

using Kind = ports::InvocationOutcome::Kind;
constexpr WallTime kAccepted{std::chrono::seconds{1767225600}};

// Lets attempts that all end with `outcome` take no time and returns when each began, then why it was given up.
struct History {
  std::vector<Duration> attempts;
  std::optional<GiveUp> end;
};
History history(Kind outcome, ports::EventInvokeConfig config, int attempts_max = 1000) {
  History result;
  EventProgress progress{.accepted = kAccepted};
  WallTime now = kAccepted;
  while (static_cast<int>(result.attempts.size()) < attempts_max) {
    if (auto stop = before_attempt(progress, config, false, now)) {
      result.end = stop;
      return result;
    }
    result.attempts.push_back(now - kAccepted);
    const Verdict verdict = after_attempt(progress, outcome, config, false, now);
    if (const auto* retry = std::get_if<RetryAt>(&verdict)) {
      progress.runs = retry->runs;
      progress.throttles = retry->throttles;
      now = retry->when;
      continue;
    }
    if (const auto* gave_up = std::get_if<GiveUp>(&verdict)) result.end = *gave_up;
    return result;
  }
  return result;
}

TEST(RetryPolicy, AFunctionErrorIsRetriedAfterOneThenTwoMinutes) {
  const History h = history(Kind::kFunctionError, {});
  EXPECT_EQ(h.attempts, (std::vector<Duration>{0s, 60s, 180s}));
  ASSERT_TRUE(h.end);
  EXPECT_EQ(h.end->condition, Condition::kRetriesExhausted);
  EXPECT_EQ(h.end->runs, 3);
}

TEST(RetryPolicy, ZeroRetriesMeansOneAttempt) {
  const History h = history(Kind::kFunctionError, {.maximum_retry_attempts = 0});
  EXPECT_EQ(h.attempts.size(), 1u);
  EXPECT_EQ(h.end->condition, Condition::kRetriesExhausted);
}

TEST(RetryPolicy, TheAgeIsCheckedAgainstTheNextAttempt) {
  const History one = history(Kind::kFunctionError, {.maximum_event_age = 59s});
  EXPECT_EQ(one.attempts.size(), 1u);
  EXPECT_EQ(one.end->condition, Condition::kEventAgeExceeded);
  EXPECT_EQ(one.end->runs, 1);
  const History two = history(Kind::kFunctionError, {.maximum_event_age = 90s});
  EXPECT_EQ(two.attempts, (std::vector<Duration>{0s, 60s}));
  EXPECT_EQ(two.end->condition, Condition::kEventAgeExceeded);
  EXPECT_EQ(two.end->runs, 2);
}

TEST(RetryPolicy, ExhaustedRetriesComeBeforeTheAge) {
  const History h = history(Kind::kFunctionError, {.maximum_retry_attempts = 0, .maximum_event_age = 10s});
  EXPECT_EQ(h.end->condition, Condition::kRetriesExhausted);
}

TEST(RetryPolicy, ThrottlesBackOffFromOneSecondToFiveMinutesUntilTheAge) {
  const History h = history(Kind::kThrottled, {.maximum_event_age = 21600s});
  const std::vector<Duration> first{0s, 1s, 3s, 7s, 15s, 31s, 63s, 127s, 255s, 511s, 811s, 1111s};
  ASSERT_GT(h.attempts.size(), first.size());
  EXPECT_EQ(std::vector<Duration>(h.attempts.begin(), h.attempts.begin() + first.size()), first);
  EXPECT_LE(h.attempts.back(), 21600s);
  EXPECT_EQ(h.end->condition, Condition::kEventAgeExceeded);
  EXPECT_EQ(h.end->runs, 0);
}

TEST(RetryPolicy, SystemErrorsDoNotUseUpRetries) {
  EventProgress progress{.accepted = kAccepted, .runs = 2, .throttles = 40};
  const Verdict verdict = after_attempt(progress, Kind::kSystemError, {}, false, kAccepted + 180s);
  ASSERT_TRUE(std::holds_alternative<RetryAt>(verdict));
  EXPECT_EQ(std::get<RetryAt>(verdict).runs, 2);
  EXPECT_EQ(std::get<RetryAt>(verdict).when, kAccepted + 480s);
}

TEST(RetryPolicy, AFunctionErrorForgetsEarlierThrottles) {
  EventProgress progress{.accepted = kAccepted, .throttles = 5};
  const Verdict verdict = after_attempt(progress, Kind::kFunctionError, {}, false, kAccepted);
  EXPECT_EQ(std::get<RetryAt>(verdict).throttles, 0);
}

TEST(RetryPolicy, ZeroReservedConcurrencyGivesUpWithoutAnAttempt) {
  const auto stop = before_attempt({.accepted = kAccepted}, {}, true, kAccepted);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->condition, Condition::kZeroReservedConcurrency);
  EXPECT_EQ(stop->runs, 0);
}

TEST(RetryPolicy, ADeletedFunctionGivesUp) {
  const Verdict verdict = after_attempt({.accepted = kAccepted}, Kind::kNoSuchFunction, {}, false, kAccepted);
  EXPECT_EQ(std::get<GiveUp>(verdict).condition, Condition::kFunctionGone);
}

TEST(RetryPolicy, SuccessEndsIt) {
  EXPECT_TRUE(
      std::holds_alternative<Done>(after_attempt({.accepted = kAccepted}, Kind::kSuccess, {}, false, kAccepted)));
}

}  // namespace
}  // namespace lambdad::invoke
