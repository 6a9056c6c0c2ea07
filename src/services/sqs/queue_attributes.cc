#include "services/sqs/queue_attributes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "aws/gen/sqs.h"
#include "base/arn.h"
#include "base/json.h"
#include "services/sqs/policy.h"

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
  // The others depend on it.
  if (const auto fifo = changes.find("FifoQueue"); fifo != changes.end()) {
    if (auto applied = result.apply(fifo->first, fifo->second, occasion); !applied) {
      return std::unexpected(applied.error());
    }
  }
  for (const auto& [name, value] : changes) {
    if (name == "FifoQueue") continue;
    if (auto applied = result.apply(name, value, occasion); !applied) return std::unexpected(applied.error());
  }
  if (auto checked = result.check_together(changes); !checked) return std::unexpected(checked.error());
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
  if (name == "Policy") {
    if (auto checked = check_policy(value); !value.empty() && !checked) return checked;
    keep(name, value);
    return {};
  }
  if (name == "SqsManagedSseEnabled" || name.starts_with("Kms")) return apply_encryption(name, value);
  return apply_fifo(name, value, occasion);
}

aws::Outcome<void> QueueAttributes::apply_encryption(const std::string& name, const std::string& value) {
  if (name == "SqsManagedSseEnabled") {
    if (value != "true" && value != "false") return bad_attribute(name);
  } else if (name == "KmsDataKeyReusePeriodSeconds") {
    if (!parse_int(value, kKeyReuseMin, kKeyReuseMax)) return bad_attribute(name);
  } else if (name != "KmsMasterKeyId") {
    return std::unexpected(aws::sqs::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
  } else if (!value.empty()) {
    as_set_["SqsManagedSseEnabled"] = "false";
  }
  keep(name, value);
  return {};
}

aws::Outcome<void> QueueAttributes::apply_fifo(const std::string& name, const std::string& value, Occasion occasion) {
  if (name == "FifoQueue") {
    // Setting what it is already is allowed.
    if (occasion == Occasion::kSet && !(is_fifo() && value == "true")) {
      return std::unexpected(aws::sqs::invalid_attribute_value(
          "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."));
    }
    if (value == "true") {
      as_set_[name] = value;
      return {};
    }
  }
  if (name == "DeduplicationScope" || name == "FifoThroughputLimit") {
    if (!is_fifo()) {
      return std::unexpected(aws::sqs::invalid_attribute_value(
          fmt::format("You can specify the {} only when FifoQueue is set to true.", name)));
    }
    const bool known = name == "DeduplicationScope" ? value == "queue" || value == "messageGroup"
                                                    : value == "perQueue" || value == "perMessageGroupId";
    if (!known) return bad_attribute(name);
    as_set_[name] = value;
    return {};
  }
  if (name == "ContentBasedDeduplication" && is_fifo()) {
    if (value != "true" && value != "false") return bad_attribute(name);
    as_set_[name] = value;
    return {};
  }
  // FifoQueue "false" and ContentBasedDeduplication of a standard queue too: so AWS answers.
  return std::unexpected(aws::sqs::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
}

aws::Outcome<void> QueueAttributes::check_together(const AttributeMap& changes) const {
  const bool has_key = as_set_.contains("KmsMasterKeyId");
  // A key that was set switches the queue's own encryption off, but both cannot be asked for.
  const auto own = changes.find("SqsManagedSseEnabled");
  if (has_key && own != changes.end() && own->second == "true") {
    return std::unexpected(aws::sqs::invalid_attribute_name(
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."));
  }
  const auto limit = as_set_.find("FifoThroughputLimit");
  if (limit != as_set_.end() && limit->second == "perMessageGroupId" &&
      deduplication_scope() != Deduplication::Scope::kMessageGroup) {
    return std::unexpected(aws::sqs::invalid_attribute_value(
        "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."));
  }
  return {};
}

void QueueAttributes::keep(const std::string& name, const std::string& value) {
  if (value.empty()) {
    as_set_.erase(name);
  } else {
    as_set_[name] = value;
  }
}

bool QueueAttributes::is_on(const char* name) const {
  const auto it = as_set_.find(name);
  return it != as_set_.end() && it->second == "true";
}

Deduplication::Scope QueueAttributes::deduplication_scope() const {
  const auto it = as_set_.find("DeduplicationScope");
  return it != as_set_.end() && it->second == "messageGroup" ? Deduplication::Scope::kMessageGroup
                                                             : Deduplication::Scope::kQueue;
}

std::string QueueAttributes::policy() const {
  const auto it = as_set_.find("Policy");
  return it == as_set_.end() ? std::string() : it->second;
}

AttributeMap QueueAttributes::shown() const {
  AttributeMap shown = {
      {"VisibilityTimeout", std::to_string(visibility_timeout_)},
      {"MessageRetentionPeriod", std::to_string(retention_)},
      {"DelaySeconds", std::to_string(delay_)},
      {"MaximumMessageSize", std::to_string(maximum_message_size_)},
      {"ReceiveMessageWaitTimeSeconds", std::to_string(wait_time_)},
  };
  shown.insert(as_set_.begin(), as_set_.end());
  // Defaults of what was not set.
  shown.try_emplace("SqsManagedSseEnabled", "true");
  if (is_fifo()) {
    shown.try_emplace("ContentBasedDeduplication", "false");
    shown.try_emplace("DeduplicationScope", "queue");
    shown.try_emplace("FifoThroughputLimit", "perQueue");
  }
  if (shown.contains("KmsMasterKeyId")) {
    shown.try_emplace("KmsDataKeyReusePeriodSeconds", std::to_string(kKeyReuseDefault));
  } else {
    shown.erase("KmsDataKeyReusePeriodSeconds");
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
