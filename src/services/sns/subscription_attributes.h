/// The attributes of a subscription: what may be set, what they mean.
#pragma once

#include <optional>
#include <string>

#include "aws/error.h"
#include "base/arn.h"
#include "services/sns/filter_policy.h"
#include "services/sns/retry_policy.h"
#include "services/sns/store.h"

namespace lambdad::sns {

class SubscriptionAttributes {
 public:
  struct Kind {
    Protocol protocol = Protocol::kSqs;
    bool fifo_topic = false;
  };
  enum class Occasion { kSubscribe, kSet };
  /// These attributes with `changes` over them; an empty value removes the attribute. Fails with AWS's
  /// InvalidParameter, and names what lambdad does not serve: replay and Firehose roles.
  aws::Outcome<SubscriptionAttributes> with(const StringMap& changes, Kind kind, Occasion occasion) const;

  bool raw() const { return raw_; }
  const std::optional<FilterPolicy>& filter() const { return filter_; }
  const std::optional<Arn>& dead_letter_queue() const { return dead_letter_queue_; }
  const std::optional<DeliveryPolicy>& delivery_policy() const { return delivery_policy_; }
  /// What was set: for the store, and what GetSubscriptionAttributes shows beside the defaults.
  const StringMap& as_set() const { return as_set_; }
  StringMap shown() const;

 private:
  aws::Outcome<void> apply(const std::string& name, const std::string& value, Kind kind, Occasion occasion);
  aws::Outcome<void> compile_filter();

  StringMap as_set_;
  bool raw_ = false;
  std::optional<FilterPolicy> filter_;
  std::optional<Arn> dead_letter_queue_;
  std::optional<DeliveryPolicy> delivery_policy_;
};

}  // namespace lambdad::sns
