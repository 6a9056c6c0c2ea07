/// The attributes of a queue: what may be set, what is shown, what they mean.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "services/sqs/deduplication.h"
#include "services/sqs/limits.h"

namespace lambdad::sqs {

using AttributeMap = std::map<std::string, std::string>;

struct RedrivePolicy {
  std::string dead_letter_arn;
  std::uint32_t max_receive_count = 10;
};

/// Which queues may name this one as their dead-letter queue.
struct RedriveAllowPolicy {
  enum class Permission { kAllowAll, kDenyAll, kByQueue };
  Permission permission = Permission::kAllowAll;
  std::vector<std::string> source_arns;  ///< with kByQueue
  bool allows(std::string_view source_arn) const;
};

/// Settable attributes with their defaults. Texts are kept as they were given, beside their meaning. A queue is FIFO
/// from its creation on or never.
class QueueAttributes {
 public:
  enum class Occasion { kCreate, kSet };
  /// These attributes with `changes` over them. An empty RedrivePolicy, RedriveAllowPolicy, Policy or KmsMasterKeyId
  /// removes it. Fails with AWS's error for unknown names (InvalidAttributeName) and bad values (InvalidAttributeValue,
  /// InvalidParameterValue). Does not look whether the queues and keys that are named exist.
  aws::Outcome<QueueAttributes> with(const AttributeMap& changes, Occasion occasion) const;

  Duration visibility_timeout() const { return std::chrono::seconds(visibility_timeout_); }
  Duration retention() const { return std::chrono::seconds(retention_); }
  Duration delay() const { return std::chrono::seconds(delay_); }
  Duration wait_time() const { return std::chrono::seconds(wait_time_); }
  std::size_t maximum_message_size() const { return static_cast<std::size_t>(maximum_message_size_); }
  const std::optional<RedrivePolicy>& redrive_policy() const { return redrive_policy_; }
  const RedriveAllowPolicy& redrive_allow_policy() const { return redrive_allow_policy_; }
  bool is_fifo() const { return as_set_.contains("FifoQueue"); }
  bool content_based_deduplication() const { return is_on("ContentBasedDeduplication"); }
  Deduplication::Scope deduplication_scope() const;
  /// The access policy as it was set; empty: none.
  std::string policy() const;

  /// What was set, for the store.
  const AttributeMap& as_set() const { return as_set_; }
  /// All that GetQueueAttributes shows of it: defaults included.
  AttributeMap shown() const;
  /// The first name in `wanted` whose value is another here: makes CreateQueue idempotent.
  std::optional<std::string> first_difference(const AttributeMap& wanted) const;

  /// Whether GetQueueAttributes knows the name (of any queue type).
  static bool is_known(std::string_view name);

 private:
  aws::Outcome<void> apply(const std::string& name, const std::string& value, Occasion occasion);
  aws::Outcome<void> apply_fifo(const std::string& name, const std::string& value, Occasion occasion);
  aws::Outcome<void> apply_encryption(const std::string& name, const std::string& value);
  aws::Outcome<void> check_together(const AttributeMap& changes) const;
  void keep(const std::string& name, const std::string& value);
  bool is_on(const char* name) const;

  AttributeMap as_set_;
  int visibility_timeout_ = kVisibilityTimeoutDefault;
  int retention_ = kRetentionDefault;
  int delay_ = 0;
  int maximum_message_size_ = kMessageSizeMax;
  int wait_time_ = 0;
  std::optional<RedrivePolicy> redrive_policy_;
  RedriveAllowPolicy redrive_allow_policy_;
};

}  // namespace lambdad::sqs
