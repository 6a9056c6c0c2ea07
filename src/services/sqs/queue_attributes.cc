#include "services/sqs/queue_attributes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "aws/gen/sqs.h"
#include "base/arn.h"
#include "base/json.h"

namespace lambdad::sqs {

namespace {

constexpr std::array<std::string_view, 22> kKnownNames = {"All",
                                                          "ApproximateNumberOfMessages",
                                                          "ApproximateNumberOfMessagesDelayed",
                                                          "ApproximateNumberOfMessagesNotVisible",
                                                          "ContentBasedDeduplication",
                                                          "CreatedTimestamp",
                                                          "DeduplicationScope",
                                                          "DelaySeconds",
                                                          "FifoQueue",
                                                          "FifoThroughputLimit",
                                                          "KmsDataKeyReusePeriodSeconds",
                                                          "KmsMasterKeyId",
                                                          "LastModifiedTimestamp",
                                                          "MaximumMessageSize",
                                                          "MessageRetentionPeriod",
                                                          "Policy",
                                                          "QueueArn",
                                                          "ReceiveMessageWaitTimeSeconds",
                                                          "RedriveAllowPolicy",
                                                          "RedrivePolicy",
                                                          "SqsManagedSseEnabled",
                                                          "VisibilityTimeout"};

std::optional<int> parse_int(std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max) return std::nullopt;
  return value;
}

std::unexpected<aws::Error> bad_attribute(std::string_view name) {
  return std::unexpected(aws::sqs::invalid_attribute_value(fmt::format("Invalid value for the parameter {}.", name)));
}
std::unexpected<aws::Error> bad_policy(std::string_view name, std::string_view value, std::string_view reason) {
  return std::unexpected(aws::sqs::invalid_parameter_value(
      fmt::format("Value {} for parameter {} is invalid. Reason: {}", value, name, reason)));
}

bool is_queue_arn(std::string_view text) {
  const auto arn = Arn::parse(text);
  return arn && arn->service == "sqs" && !arn->region.empty() && !arn->account.empty() && !arn->resource.contains(':');
}

aws::Outcome<RedrivePolicy> parse_redrive_policy(const std::string& text) {
  const auto refuse = [&text](std::string_view reason) { return bad_policy("RedrivePolicy", text, reason); };
  const auto document = json::parse(text);
  if (!document || document->if_object() == nullptr) return refuse("Redrive policy is not a valid JSON map.");
  for (const auto& [key, value] : *document->if_object()) {
    if (key != "deadLetterTargetArn" && key != "maxReceiveCount") {
      return refuse("Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].");
    }
  }
  const json::Value* arn = document->find("deadLetterTargetArn");
  const json::Value* count = document->find("maxReceiveCount");
  if (arn == nullptr || arn->if_string() == nullptr) {
    return refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.");
  }
  if (!is_queue_arn(*arn->if_string())) return refuse("Invalid value for deadLetterTargetArn.");
  RedrivePolicy policy{.dead_letter_arn = *arn->if_string()};
  if (count == nullptr) return refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.");
  // Both 3 and "3" are in use: CloudFormation and older tools write the text.
  const std::string* as_text = count->if_string();
  const json::Number* as_number = count->if_number();
  const std::string given = as_text != nullptr     ? *as_text
                            : as_number != nullptr ? as_number->text
                                                   : json::serialize(*count);
  const auto number = parse_int(given, 1, kMaxReceiveCountMax);
  if (!number) {
    return refuse(fmt::format("Invalid value for maxReceiveCount: {}, valid values are from 1 to {} both inclusive.",
                              given, kMaxReceiveCountMax));
  }
  policy.max_receive_count = static_cast<std::uint32_t>(*number);
  return policy;
}

aws::Outcome<RedriveAllowPolicy> parse_redrive_allow_policy(const std::string& text) {
  const auto refuse = [&text](std::string_view reason) { return bad_policy("RedriveAllowPolicy", text, reason); };
  const auto document = json::parse(text);
  if (!document || document->if_object() == nullptr) return refuse("Redrive allow policy is not a valid JSON map.");
  RedriveAllowPolicy policy;
  bool has_permission = false;
  bool has_sources = false;
  for (const auto& [key, value] : *document->if_object()) {
    if (key == "redrivePermission") {
      const std::string* permission = value.if_string();
      if (permission == nullptr) return refuse("Invalid value for redrivePermission.");
      if (*permission == "allowAll") {
        policy.permission = RedriveAllowPolicy::Permission::kAllowAll;
      } else if (*permission == "denyAll") {
        policy.permission = RedriveAllowPolicy::Permission::kDenyAll;
      } else if (*permission == "byQueue") {
        policy.permission = RedriveAllowPolicy::Permission::kByQueue;
      } else {
        return refuse("Invalid value for redrivePermission.");
      }
      has_permission = true;
    } else if (key == "sourceQueueArns") {
      const json::Array* arns = value.if_array();
      if (arns == nullptr || arns->size() > kRedriveSourcesMax) return refuse("Invalid value for sourceQueueArns.");
      for (const json::Value& arn : *arns) {
        if (arn.if_string() == nullptr || !is_queue_arn(*arn.if_string())) {
          return refuse("Invalid value for sourceQueueArns.");
        }
        policy.source_arns.push_back(*arn.if_string());
      }
      has_sources = true;
    } else {
      return refuse("Only following attributes are supported: [redrivePermission, sourceQueueArns].");
    }
  }
  if (!has_permission) return refuse("Redrive allow policy does not contain mandatory attribute: redrivePermission.");
  if (has_sources != (policy.permission == RedriveAllowPolicy::Permission::kByQueue)) {
    return refuse("sourceQueueArns must be given with redrivePermission byQueue, and only then.");
  }
  return policy;
}

}  // namespace

bool RedriveAllowPolicy::allows(std::string_view source_arn) const {
  switch (permission) {
    case Permission::kAllowAll: return true;
    case Permission::kDenyAll: return false;
    case Permission::kByQueue: return std::ranges::find(source_arns, source_arn) != source_arns.end();
  }
  return false;
}

bool QueueAttributes::is_known(std::string_view name) {
  return std::ranges::find(kKnownNames, name) != kKnownNames.end();
}

aws::Outcome<QueueAttributes> QueueAttributes::with(const AttributeMap& changes, Occasion occasion) const {
  QueueAttributes result = *this;
  for (const auto& [name, value] : changes) {
    if (auto applied = result.apply(name, value, occasion); !applied) return std::unexpected(applied.error());
  }
  return result;
}

aws::Outcome<void> QueueAttributes::apply(const std::string& name, const std::string& value, Occasion occasion) {
  struct Number {
    std::string_view name;
    int QueueAttributes::* field;
    int min;
    int max;
  };
  static constexpr Number kNumbers[] = {
      {"VisibilityTimeout", &QueueAttributes::visibility_timeout_, 0, kVisibilityTimeoutMax},
      {"MessageRetentionPeriod", &QueueAttributes::retention_, kRetentionMin, kRetentionMax},
      {"DelaySeconds", &QueueAttributes::delay_, 0, kDelayMax},
      {"MaximumMessageSize", &QueueAttributes::maximum_message_size_, kMessageSizeMin, kMessageSizeMax},
      {"ReceiveMessageWaitTimeSeconds", &QueueAttributes::wait_time_, 0, kWaitTimeMax},
  };
  const std::string_view operation = occasion == Occasion::kCreate ? "CreateQueue" : "SetQueueAttributes";
  const auto not_served = [&]() -> aws::Outcome<void> {
    return std::unexpected(aws::not_served("sqs", operation, fmt::format("Attributes.{}", name)));
  };

  for (const Number& number : kNumbers) {
    if (name != number.name) continue;
    const auto parsed = parse_int(value, number.min, number.max);
    if (!parsed) return bad_attribute(name);
    this->*number.field = *parsed;
    as_set_[name] = value;
    return {};
  }
  if (name == "RedrivePolicy") {
    if (value.empty()) {
      redrive_policy_.reset();
      as_set_.erase(name);
      return {};
    }
    auto policy = parse_redrive_policy(value);
    if (!policy) return std::unexpected(std::move(policy.error()));
    redrive_policy_ = std::move(*policy);
    as_set_[name] = value;
    return {};
  }
  if (name == "RedriveAllowPolicy") {
    if (value.empty()) {
      redrive_allow_policy_ = {};
      as_set_.erase(name);
      return {};
    }
    auto policy = parse_redrive_allow_policy(value);
    if (!policy) return std::unexpected(std::move(policy.error()));
    redrive_allow_policy_ = std::move(*policy);
    as_set_[name] = value;
    return {};
  }
  if (name == "SqsManagedSseEnabled") {
    if (value != "true" && value != "false") return bad_attribute(name);
    as_set_[name] = value;
    return {};
  }
  // Empty removes, and there is nothing to remove.
  if (name == "Policy" || name == "KmsMasterKeyId") return value.empty() ? aws::Outcome<void>{} : not_served();
  if (name == "KmsDataKeyReusePeriodSeconds") return not_served();
  if (name == "FifoQueue") {
    if (occasion == Occasion::kSet) {
      return std::unexpected(aws::sqs::invalid_attribute_value(
          "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."));
    }
    if (value == "true") return not_served();
  }
  if (name == "DeduplicationScope" || name == "FifoThroughputLimit") {
    return std::unexpected(aws::sqs::invalid_attribute_value(
        fmt::format("You can specify the {} only when FifoQueue is set to true.", name)));
  }
  // FifoQueue "false" and ContentBasedDeduplication of a standard queue too: so AWS answers.
  return std::unexpected(aws::sqs::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
}

AttributeMap QueueAttributes::shown() const {
  AttributeMap shown = {
      {"VisibilityTimeout", std::to_string(visibility_timeout_)},
      {"MessageRetentionPeriod", std::to_string(retention_)},
      {"DelaySeconds", std::to_string(delay_)},
      {"MaximumMessageSize", std::to_string(maximum_message_size_)},
      {"ReceiveMessageWaitTimeSeconds", std::to_string(wait_time_)},
      {"SqsManagedSseEnabled", "true"},
  };
  for (const char* name : {"RedrivePolicy", "RedriveAllowPolicy", "SqsManagedSseEnabled"}) {
    if (auto it = as_set_.find(name); it != as_set_.end()) shown[name] = it->second;
  }
  return shown;
}

std::optional<std::string> QueueAttributes::first_difference(const AttributeMap& wanted) const {
  const AttributeMap here = shown();
  for (const auto& [name, value] : wanted) {
    const auto it = here.find(name);
    if ((it == here.end() ? std::string() : it->second) != value) return name;
  }
  return std::nullopt;
}

}  // namespace lambdad::sqs
