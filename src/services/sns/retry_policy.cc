#include "services/sns/retry_policy.h"

#include <cmath>

#include "aws/gen/sns.h"

namespace lambdad::sns {

namespace {

// Source: SNS Developer Guide, "Creating a delivery policy": ranges of the members.
constexpr std::int64_t kRetriesMax = 100;
constexpr std::int64_t kDelayMaxSeconds = 3600;
constexpr Duration kTotalMax = 3600s;

aws::Error invalid(std::string_view what) {
  return aws::sns::invalid_parameter(fmt::format("Invalid parameter: DeliveryPolicy: {}", what));
}

aws::Outcome<int> number(const json::Object& policy, std::string_view name, int fallback, std::int64_t min,
                         std::int64_t max) {
  const json::Value* value = policy.find(name);
  if (value == nullptr || value->is_null()) return fallback;
  const auto n = value->as_int64();
  if (!n || *n < min || *n > max) {
    return std::unexpected(invalid(fmt::format("{} must be an integer between {} and {}", name, min, max)));
  }
  return static_cast<int>(*n);
}

constexpr std::pair<std::string_view, RetryPolicy::Backoff> kBackoffs[] = {
    {"linear", RetryPolicy::Backoff::kLinear},
    {"arithmetic", RetryPolicy::Backoff::kArithmetic},
    {"geometric", RetryPolicy::Backoff::kGeometric},
    {"exponential", RetryPolicy::Backoff::kExponential},
};

std::string_view name_of(RetryPolicy::Backoff backoff) {
  for (const auto& [name, value] : kBackoffs) {
    if (value == backoff) return name;
  }
  return "linear";
}

aws::Outcome<RetryPolicy> read_retry(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return std::unexpected(invalid("the retry policy must be an object"));
  for (const auto& [name, member] : *object) {
    static constexpr std::string_view kNames[] = {"minDelayTarget",    "maxDelayTarget",     "numRetries",
                                                  "numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries",
                                                  "backoffFunction"};
    if (std::ranges::find(kNames, name) == std::end(kNames)) {
      return std::unexpected(invalid(fmt::format("unknown member {} of a retry policy", name)));
    }
  }
  RetryPolicy policy;
  LD_TRY(const int min, number(*object, "minDelayTarget", 20, 1, kDelayMaxSeconds));
  LD_TRY(const int max, number(*object, "maxDelayTarget", 20, 1, kDelayMaxSeconds));
  LD_TRY(policy.retries, number(*object, "numRetries", 3, 0, kRetriesMax));
  LD_TRY(policy.no_delay_retries, number(*object, "numNoDelayRetries", 0, 0, kRetriesMax));
  LD_TRY(policy.min_delay_retries, number(*object, "numMinDelayRetries", 0, 0, kRetriesMax));
  LD_TRY(policy.max_delay_retries, number(*object, "numMaxDelayRetries", 0, 0, kRetriesMax));
  if (max < min) return std::unexpected(invalid("maxDelayTarget must not be less than minDelayTarget"));
  policy.min_delay = std::chrono::seconds(min);
  policy.max_delay = std::chrono::seconds(max);
  if (policy.no_delay_retries + policy.min_delay_retries + policy.max_delay_retries > policy.retries) {
    return std::unexpected(invalid("numRetries must be at least the sum of the retries of the single phases"));
  }
  if (const json::Value* backoff = object->find("backoffFunction"); backoff != nullptr) {
    const std::string* name = backoff->if_string();
    const auto found =
        std::ranges::find_if(kBackoffs, [&](const auto& entry) { return name != nullptr && entry.first == *name; });
    if (found == std::end(kBackoffs)) {
      return std::unexpected(invalid("backoffFunction must be linear, arithmetic, geometric or exponential"));
    }
    policy.backoff = found->second;
  }
  Duration total{};
  for (int i = 1; i <= policy.retries; ++i) total += policy.delay_after(i).value_or(Duration::zero());
  if (total > kTotalMax) return std::unexpected(invalid("all retries together must not take more than 3600 seconds"));
  return policy;
}

json::Object show_retry(const RetryPolicy& policy) {
  const auto seconds = [](Duration d) { return json::Value(std::chrono::floor<std::chrono::seconds>(d).count()); };
  return json::Object{{"minDelayTarget", seconds(policy.min_delay)},
                      {"maxDelayTarget", seconds(policy.max_delay)},
                      {"numRetries", policy.retries},
                      {"numMaxDelayRetries", policy.max_delay_retries},
                      {"numNoDelayRetries", policy.no_delay_retries},
                      {"numMinDelayRetries", policy.min_delay_retries},
                      {"backoffFunction", name_of(policy.backoff)}};
}

}  // namespace

std::optional<Duration> RetryPolicy::delay_after(int failed_attempts) const {
  int retry = failed_attempts;  // the first retry follows the first failed attempt
  if (retry > retries) return std::nullopt;
  if (retry <= no_delay_retries) return Duration::zero();
  retry -= no_delay_retries;
  if (retry <= min_delay_retries) return min_delay;
  retry -= min_delay_retries;
  const int growing = retries - no_delay_retries - min_delay_retries - max_delay_retries;
  if (retry > growing) return max_delay;
  if (growing == 1) return min_delay;
  const int steps = growing - 1;
  const int i = retry - 1;
  const double low = to_seconds(min_delay);
  const double high = to_seconds(max_delay);
  double delay = low;
  switch (backoff) {
    case Backoff::kLinear: delay = low + (high - low) * i / steps; break;
    case Backoff::kArithmetic:
      delay = low + (high - low) * i * (i + 1) / (static_cast<double>(steps) * (steps + 1));
      break;
    case Backoff::kGeometric: delay = low * std::pow(high / low, static_cast<double>(i) / steps); break;
    case Backoff::kExponential: delay = low + (high - low) * (std::exp2(i) - 1) / (std::exp2(steps) - 1); break;
  }
  return std::chrono::milliseconds(std::llround(delay * 1000));
}

RetryPolicy managed_retry_policy() {
  return {.retries = 100015,
          .no_delay_retries = 3,
          .min_delay_retries = 2,
          .max_delay_retries = 100000,
          .min_delay = 1s,
          .max_delay = 20s,
          .backoff = RetryPolicy::Backoff::kExponential};
}

aws::Outcome<DeliveryPolicy> DeliveryPolicy::parse(std::string_view text, Of of) {
  const auto document = json::parse(text);
  const json::Object* object = document ? document->if_object() : nullptr;
  if (object == nullptr) return std::unexpected(invalid("failed to parse JSON"));
  const bool topic = of == Of::kTopic;
  if (topic) {
    if (object->size() != 1 || object->find("http") == nullptr || object->find("http")->if_object() == nullptr) {
      return std::unexpected(invalid("a topic's policy is an object with the one member http"));
    }
    object = object->find("http")->if_object();
  }
  DeliveryPolicy policy;
  for (const auto& [name, value] : *object) {
    if (value.is_null()) continue;
    if (name == (topic ? "defaultHealthyRetryPolicy" : "healthyRetryPolicy")) {
      LD_TRY(policy.retry, read_retry(value));
    } else if (name == (topic ? "defaultThrottlePolicy" : "throttlePolicy")) {
      const json::Object* throttle = value.if_object();
      if (throttle == nullptr) return std::unexpected(invalid("the throttle policy must be an object"));
      LD_TRY(const int rate, number(*throttle, "maxReceivesPerSecond", 0, 1, 1'000'000));
      if (rate > 0) policy.receives_per_second_max = rate;
    } else if (name == (topic ? "defaultRequestPolicy" : "requestPolicy")) {
      const json::Value* type = value.find("headerContentType");
      if (type == nullptr || type->if_string() == nullptr) {
        return std::unexpected(invalid("a request policy has the member headerContentType"));
      }
      const std::string& content_type = *type->if_string();
      const bool printable = std::ranges::all_of(content_type, [](char c) { return c >= 0x20 && c < 0x7f; });
      if (content_type.find('/') == std::string::npos || !printable) {
        return std::unexpected(invalid("headerContentType is no media type"));
      }
      policy.content_type = content_type;
    } else if (name == "disableSubscriptionOverrides" && topic) {
      if (value.if_bool() == nullptr) {
        return std::unexpected(invalid("disableSubscriptionOverrides must be true or false"));
      }
      policy.disable_subscription_overrides = *value.if_bool();
    } else {
      return std::unexpected(invalid(fmt::format("unknown member {}", name)));
    }
  }
  return policy;
}

EffectivePolicy EffectivePolicy::of(const std::optional<DeliveryPolicy>& topic,
                                    const std::optional<DeliveryPolicy>& subscription) {
  EffectivePolicy effective;
  const auto apply = [&effective](const std::optional<DeliveryPolicy>& policy) {
    if (!policy) return;
    if (policy->retry) effective.retry = *policy->retry;
    if (policy->receives_per_second_max) effective.receives_per_second_max = policy->receives_per_second_max;
    if (policy->content_type) effective.content_type = *policy->content_type;
  };
  apply(topic);
  if (!topic || !topic->disable_subscription_overrides) apply(subscription);
  return effective;
}

std::string EffectivePolicy::show(DeliveryPolicy::Of as, bool disable_subscription_overrides) const {
  const bool topic = as == DeliveryPolicy::Of::kTopic;
  json::Object out;
  out.append(topic ? "defaultHealthyRetryPolicy" : "healthyRetryPolicy", json::Value(show_retry(retry)));
  if (topic) out.append("disableSubscriptionOverrides", json::Value(disable_subscription_overrides));
  if (receives_per_second_max) {
    out.append(topic ? "defaultThrottlePolicy" : "throttlePolicy",
               json::Value(json::Object{{"maxReceivesPerSecond", *receives_per_second_max}}));
  }
  out.append(topic ? "defaultRequestPolicy" : "requestPolicy",
             json::Value(json::Object{{"headerContentType", content_type}}));
  if (!topic) return json::serialize(json::Value(std::move(out)));
  return json::serialize(json::Value(json::Object{{"http", json::Value(std::move(out))}}));
}

}  // namespace lambdad::sns
