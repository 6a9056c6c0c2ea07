#include "services/sns/handlers/common.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::sns {

namespace {

// AWS counts the elements of what should be an ARN.
Outcome<void> check_arn(const std::string& arn, std::string_view parameter, std::size_t resource_parts) {
  const auto elements = static_cast<std::size_t>(std::ranges::count(arn, ':')) + 1;
  if (elements < 6) {
    return std::unexpected(
        invalid_parameter(fmt::format("{} Reason: An ARN must have at least 6 elements, not {}", parameter, elements)));
  }
  const auto parsed = Arn::parse(arn);
  if (!parsed || parsed->service != "sns" || elements != 5 + resource_parts) {
    return std::unexpected(invalid_parameter(parameter));
  }
  return {};
}

}  // namespace

aws::Error invalid_parameter(std::string_view what) {
  return api::invalid_parameter(fmt::format("Invalid parameter: {}", what));
}
aws::Error no_such_topic() { return api::not_found("Topic does not exist"); }
aws::Error no_such_subscription() { return api::not_found("Subscription does not exist"); }

aws::Error to_aws_error(const Call& call, const Error& error) {
  switch (error.code) {
    case Errc::kNotFound: return no_such_topic();
    case Errc::kUnavailable:
    case Errc::kClosed: {
      call.hub->log().warn("sns_unavailable", {{"request_id", call.context->request_id}, {"error", error.detail}});
      aws::Error unavailable = aws::internal_failure();
      unavailable.type = "ServiceUnavailable";
      unavailable.query_code = "ServiceUnavailable";
      unavailable.http_status = 503;
      unavailable.message = "The request has failed due to a temporary failure of the server.";
      return unavailable;
    }
    case Errc::kInvalid:
    case Errc::kConflict:
    case Errc::kTooLarge:
    case Errc::kDenied:
    case Errc::kThrottled:
    case Errc::kTimedOut:
    case Errc::kCorrupt:
    case Errc::kInternal: break;
  }
  call.hub->log().error("sns_failure", {{"request_id", call.context->request_id}, {"error", error.detail}});
  return api::internal_error("The request has failed because of an internal failure.");
}

Outcome<TopicPtr> find_topic(const Call& call, const std::string& arn, std::string_view parameter) {
  LD_TRY_VOID(check_arn(arn, parameter, 1));
  auto topic = call.hub->find_topic(arn);
  if (!topic) return std::unexpected(no_such_topic());
  return topic;
}

Outcome<SubscriptionPtr> find_subscription(const Call& call, const std::string& arn) {
  LD_TRY_VOID(check_arn(arn, "SubscriptionArn", 2));
  auto subscription = call.hub->find_subscription(arn);
  if (!subscription) return std::unexpected(no_such_subscription());
  return subscription;
}

Outcome<std::string> page_start(const std::optional<std::string>& token) {
  if (!token || token->empty()) return std::string();
  auto arn = base64_decode(*token);
  if (!arn || !arn->starts_with("arn:")) return std::unexpected(invalid_parameter("NextToken"));
  return *arn;
}

std::string page_token(const std::string& arn) { return base64_encode(arn); }

}  // namespace lambdad::sns
