/// When a delivery that failed is tried again.
#pragma once

#include <optional>
#include <string>

#include "aws/error.h"
#include "base/json.h"
#include "base/time.h"

namespace lambdad::sns {

/// The four phases of retries, one after the other: at once, `min_delay` apart, growing from `min_delay` to
/// `max_delay`, `max_delay` apart. The third has what is left of `retries`. Source: SNS Developer Guide, "Amazon SNS
/// message delivery retries".
struct RetryPolicy {
  enum class Backoff { kLinear, kArithmetic, kGeometric, kExponential };
  int retries = 3;
  int no_delay_retries = 0;
  int min_delay_retries = 0;
  int max_delay_retries = 0;
  Duration min_delay = 20s;
  Duration max_delay = 20s;
  Backoff backoff = Backoff::kLinear;

  /// Pause before the next attempt; nullopt when the delivery must be given up. `failed_attempts` counts from 1.
  /// AWS names the growth functions and not their formulas; between first and last step of the third phase, x going
  /// from 0 to 1, ours are x, the triangular numbers, a constant factor, and powers of two.
  std::optional<Duration> delay_after(int failed_attempts) const;
  bool operator==(const RetryPolicy&) const = default;
};

/// For endpoints that AWS runs itself: 3 at once, 2 after 1 s, 10 growing from 1 s to 20 s, 100,000 every 20 s.
RetryPolicy managed_retry_policy();

/// What a DeliveryPolicy says, of a topic or of an HTTP subscription; absent parts are inherited.
struct DeliveryPolicy {
  std::optional<RetryPolicy> retry;
  std::optional<int> receives_per_second_max;
  std::optional<std::string> content_type;
  bool disable_subscription_overrides = false;  ///< topics only

  enum class Of { kTopic, kSubscription };
  /// InvalidParameter says what is wrong with the document.
  static aws::Outcome<DeliveryPolicy> parse(std::string_view text, Of of);
};

/// What holds for an HTTP subscription.
struct EffectivePolicy {
  RetryPolicy retry;
  std::optional<int> receives_per_second_max;
  std::string content_type = "text/plain; charset=UTF-8";

  static EffectivePolicy of(const std::optional<DeliveryPolicy>& topic,
                            const std::optional<DeliveryPolicy>& subscription);
  /// The EffectiveDeliveryPolicy attribute.
  std::string show(DeliveryPolicy::Of as, bool disable_subscription_overrides) const;
};

}  // namespace lambdad::sns
