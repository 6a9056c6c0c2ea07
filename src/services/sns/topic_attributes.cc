#include "services/sns/topic_attributes.h"

#include <algorithm>

#include "aws/gen/sns.h"
#include "base/encoding.h"

namespace lambdad::sns {

namespace {

std::unexpected<aws::Error> invalid(std::string_view reason) {
  return std::unexpected(aws::sns::invalid_parameter(fmt::format("Invalid parameter: {}", reason)));
}

std::unexpected<aws::Error> invalid_value(std::string_view name, std::string_view reason) {
  return invalid(fmt::format("Attributes Reason: {}: {}", name, reason));
}

bool is_not_served(std::string_view name) {
  static constexpr std::string_view kNames[] = {"KmsMasterKeyId", "ArchivePolicy", "BeginningArchiveTime"};
  return std::ranges::find(kNames, name) != std::end(kNames) || name.ends_with("FeedbackRoleArn") ||
         name.ends_with("FeedbackSampleRate");
}

aws::Outcome<bool> read_bool(std::string_view name, std::string_view value) {
  const std::string lower = to_lower(value);
  if (lower == "true") return true;
  if (lower == "false") return false;
  return invalid_value(name, fmt::format("Invalid value [{}]. Must be true or false.", value));
}

}  // namespace

std::string default_policy(const std::string& arn, const std::string& account) {
  json::Array actions;
  for (const char* action :
       {"SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
        "SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"}) {
    actions.emplace_back(action);
  }
  json::Object statement{{"Sid", "__default_statement_ID"},
                         {"Effect", "Allow"},
                         {"Principal", json::Object{{"AWS", "*"}}},
                         {"Action", std::move(actions)},
                         {"Resource", arn},
                         {"Condition", json::Object{{"StringEquals", json::Object{{"AWS:SourceOwner", account}}}}}};
  return json::serialize(json::Object{{"Version", "2008-10-17"},
                                      {"Id", "__default_policy_ID"},
                                      {"Statement", json::Array{json::Value(std::move(statement))}}});
}

aws::Outcome<TopicAttributes> TopicAttributes::with(const StringMap& changes, Occasion occasion) const {
  TopicAttributes result = *this;
  // The others are judged by what kind of topic it is.
  if (const auto fifo = changes.find("FifoTopic"); fifo != changes.end()) {
    LD_TRY_VOID(result.apply(fifo->first, fifo->second, occasion));
  }
  for (const auto& [name, value] : changes) {
    if (name != "FifoTopic") LD_TRY_VOID(result.apply(name, value, occasion));
  }
  return result;
}

aws::Outcome<void> TopicAttributes::apply(const std::string& name, const std::string& value, Occasion occasion) {
  if (is_not_served(name)) {
    return std::unexpected(aws::not_served("sns", occasion == Occasion::kCreate ? "CreateTopic" : "SetTopicAttributes",
                                           "Attributes." + name));
  }
  if (name == "FifoTopic") {
    if (occasion == Occasion::kSet) return invalid("AttributeName");
    LD_TRY(fifo_, read_bool(name, value));
  } else if (name == "ContentBasedDeduplication") {
    LD_TRY(const bool wanted, read_bool(name, value));
    if (!fifo_) return invalid("Content-based deduplication can only be set for FIFO topics");
    content_based_ = wanted;
  } else if (name == "FifoThroughputScope") {
    if (!fifo_) return invalid_value(name, "can only be set for FIFO topics");
    if (value != "Topic" && value != "MessageGroup") {
      return invalid_value(name, fmt::format("Invalid value [{}]. Must be Topic or MessageGroup.", value));
    }
    per_group_ = value == "MessageGroup";
  } else if (name == "DisplayName") {
    if (value.size() > 100) return invalid("DisplayName");
  } else if (name == "SignatureVersion") {
    if (value != "1" && value != "2") {
      return invalid_value(name, fmt::format("Invalid value [{}]. Must be 1 or 2.", value));
    }
    signature_version_ = value;
  } else if (name == "TracingConfig") {
    // Headers pass through. A topic that samples by itself would need X-Ray.
    if (value == "Active") {
      return std::unexpected(aws::not_served("sns",
                                             occasion == Occasion::kCreate ? "CreateTopic" : "SetTopicAttributes",
                                             "Attributes.TracingConfig=Active"));
    }
    if (value != "PassThrough") return invalid_value(name, fmt::format("Invalid value [{}].", value));
  } else if (name == "Policy") {
    const auto document = json::parse(value);
    if (!value.empty() && (!document || !document->is_object() || document->find("Statement") == nullptr)) {
      return invalid("Policy Error: null");
    }
    if (value.empty()) {
      as_set_.erase(name);
      return {};
    }
  } else if (name == "DeliveryPolicy") {
    if (value.empty()) {
      delivery_policy_.reset();
      as_set_.erase(name);
      return {};
    }
    LD_TRY(delivery_policy_, DeliveryPolicy::parse(value, DeliveryPolicy::Of::kTopic));
  } else {
    return invalid(occasion == Occasion::kCreate ? fmt::format("Attributes Reason: Unknown attribute {}", name)
                                                 : "AttributeName");
  }
  as_set_.insert_or_assign(name, value);
  return {};
}

std::string TopicAttributes::policy() const {
  const auto set = as_set_.find("Policy");
  return set == as_set_.end() ? std::string() : set->second;
}

StringMap TopicAttributes::shown(const std::string& arn, const std::string& account) const {
  StringMap out = as_set_;
  out.emplace("DisplayName", "");
  out.emplace("Policy", default_policy(arn, account));
  out.insert_or_assign("TopicArn", arn);
  out.insert_or_assign("Owner", account);
  out.insert_or_assign(
      "EffectiveDeliveryPolicy",
      EffectivePolicy::of(delivery_policy_, std::nullopt)
          .show(DeliveryPolicy::Of::kTopic, delivery_policy_ && delivery_policy_->disable_subscription_overrides));
  if (fifo_) {
    out.insert_or_assign("FifoTopic", "true");
    out.insert_or_assign("ContentBasedDeduplication", content_based_ ? "true" : "false");
    out.insert_or_assign("FifoThroughputScope", per_group_ ? "MessageGroup" : "Topic");
  } else {
    out.erase("FifoTopic");
  }
  return out;
}

bool TopicAttributes::agrees_with(const StringMap& wanted) const {
  const StringMap mine = shown("", "");
  return std::ranges::all_of(wanted, [&](const auto& pair) {
    const auto own = mine.find(pair.first);
    if (pair.first == "FifoTopic") return (to_lower(pair.second) == "true") == fifo_;
    return own != mine.end() && own->second == pair.second;
  });
}

}  // namespace lambdad::sns
