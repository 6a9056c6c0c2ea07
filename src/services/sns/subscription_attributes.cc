#include "services/sns/subscription_attributes.h"

#include "aws/gen/sns.h"
#include "base/encoding.h"

namespace lambdad::sns {

namespace {

std::unexpected<aws::Error> invalid(std::string_view reason) {
  return std::unexpected(aws::sns::invalid_parameter(fmt::format("Invalid parameter: {}", reason)));
}

constexpr std::string_view kScope = "FilterPolicyScope";

}  // namespace

aws::Outcome<SubscriptionAttributes> SubscriptionAttributes::with(const StringMap& changes, Kind kind,
                                                                  Occasion occasion) const {
  SubscriptionAttributes result = *this;
  for (const auto& [name, value] : changes) LD_TRY_VOID(result.apply(name, value, kind, occasion));
  // Last: a policy is judged by the scope it is set with.
  if (changes.contains("FilterPolicy") || changes.contains(std::string(kScope))) LD_TRY_VOID(result.compile_filter());
  return result;
}

aws::Outcome<void> SubscriptionAttributes::compile_filter() {
  filter_.reset();
  const auto policy = as_set_.find("FilterPolicy");
  if (policy == as_set_.end()) return {};
  const auto scope = as_set_.find(std::string(kScope));
  const bool body = scope != as_set_.end() && scope->second == "MessageBody";
  auto parsed = FilterPolicy::parse(policy->second,
                                    body ? FilterPolicy::Scope::kMessageBody : FilterPolicy::Scope::kMessageAttributes);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  filter_.emplace(std::move(*parsed));
  return {};
}

aws::Outcome<void> SubscriptionAttributes::apply(const std::string& name, const std::string& value, Kind kind,
                                                 Occasion occasion) {
  const auto not_served = [&] {
    const bool subscribing = occasion == Occasion::kSubscribe;
    return std::unexpected(aws::not_served("sns", subscribing ? "Subscribe" : "SetSubscriptionAttributes",
                                           subscribing ? "Attributes." + name : "AttributeName=" + name));
  };
  if (name == "ReplayPolicy" || name == "SubscriptionRoleArn") return not_served();
  if (name == "RawMessageDelivery") {
    const std::string lower = to_lower(value);
    if (lower != "true" && lower != "false") {
      return invalid(
          fmt::format("Attributes Reason: RawMessageDelivery: Invalid value [{}]. Must be true or false.", value));
    }
    if (lower == "true" && kind.protocol != Protocol::kSqs && !is_http(kind.protocol)) {
      return invalid(fmt::format("Attributes Reason: Delivery protocol [{}] does not support raw message delivery.",
                                 to_string(kind.protocol)));
    }
    raw_ = lower == "true";
    as_set_.insert_or_assign(name, lower);
    return {};
  }
  if (name == "FilterPolicy") {
    // Compiled by the caller, once the scope is known.
  } else if (name == kScope) {
    if (!value.empty() && value != "MessageAttributes" && value != "MessageBody") {
      return invalid(fmt::format(
          "FilterPolicyScope: Invalid value [{}]. Please use either MessageBody or MessageAttributes", value));
    }
  } else if (name == "RedrivePolicy") {
    dead_letter_queue_.reset();
    if (!value.empty()) {
      const auto document = json::parse(value);
      if (!document || !document->is_object()) return invalid("RedrivePolicy: failed to parse JSON.");
      const json::Value* target = document->find("deadLetterTargetArn");
      if (target == nullptr || target->if_string() == nullptr) {
        return invalid("RedrivePolicy: deadLetterTargetArn is missing or not a string");
      }
      const auto arn = Arn::parse(*target->if_string());
      if (!arn || arn->service != "sqs" || arn->account.empty() || arn->region.empty()) {
        return invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn");
      }
      if (arn->resource.ends_with(".fifo") != kind.fifo_topic) {
        return invalid(kind.fifo_topic ? "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO topic"
                                       : "RedrivePolicy: FIFO SQS Queues can not be used as DLQ for standard topics");
      }
      dead_letter_queue_ = *arn;
    }
  } else if (name == "DeliveryPolicy") {
    delivery_policy_.reset();
    if (!value.empty()) {
      if (!is_http(kind.protocol)) {
        return invalid(fmt::format("DeliveryPolicy: Delivery protocol [{}] does not support a delivery policy.",
                                   to_string(kind.protocol)));
      }
      LD_TRY(delivery_policy_, DeliveryPolicy::parse(value, DeliveryPolicy::Of::kSubscription));
    }
  } else {
    return invalid(occasion == Occasion::kSubscribe ? fmt::format("Attributes Reason: Unknown attribute: {}", name)
                                                    : "AttributeName");
  }
  if (value.empty()) {
    as_set_.erase(name);
  } else {
    as_set_.insert_or_assign(name, value);
  }
  return {};
}

StringMap SubscriptionAttributes::shown() const {
  StringMap out = as_set_;
  out.emplace("RawMessageDelivery", "false");
  if (out.contains("FilterPolicy")) {
    out.emplace(std::string(kScope), "MessageAttributes");
  } else {
    out.erase(std::string(kScope));
  }
  return out;
}

}  // namespace lambdad::sns
