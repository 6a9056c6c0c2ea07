/// The attributes of a topic: what may be set, what is shown, what they mean.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "services/sns/retry_policy.h"
#include "services/sns/store.h"

namespace lambdad::sns {

/// Settable attributes with their defaults. Texts are kept as they were given, beside their meaning.
class TopicAttributes {
 public:
  enum class Occasion { kCreate, kSet };
  /// These attributes with `changes` over them; empty Policy and DeliveryPolicy go back to the default. Fails with
  /// AWS's InvalidParameter, and names what lambdad does not serve: keys, archives, delivery status logs.
  aws::Outcome<TopicAttributes> with(const StringMap& changes, Occasion occasion) const;

  bool fifo() const { return fifo_; }
  bool content_based_deduplication() const { return content_based_; }
  /// Whether duplicates are looked for inside one message group only.
  bool deduplicates_per_group() const { return per_group_; }
  const std::string& signature_version() const { return signature_version_; }
  const std::optional<DeliveryPolicy>& delivery_policy() const { return delivery_policy_; }
  /// Empty: the default policy.
  std::string policy() const;

  const StringMap& as_set() const { return as_set_; }
  /// What GetTopicAttributes shows of it.
  StringMap shown(const std::string& arn, const std::string& account) const;
  /// Whether CreateTopic with `wanted` names a topic as it is here.
  bool agrees_with(const StringMap& wanted) const;

 private:
  aws::Outcome<void> apply(const std::string& name, const std::string& value, Occasion occasion);

  StringMap as_set_;
  bool fifo_ = false;
  bool content_based_ = false;
  bool per_group_ = false;
  std::string signature_version_ = "1";
  std::optional<DeliveryPolicy> delivery_policy_;
};

/// The policy of a topic nobody has given one: its owner may do everything.
std::string default_policy(const std::string& arn, const std::string& account);

}  // namespace lambdad::sns
