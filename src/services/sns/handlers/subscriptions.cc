#include <algorithm>

#include "services/sns/handlers/common.h"

namespace lambdad::sns {

namespace {

bool is_not_served_protocol(std::string_view protocol) {
  return protocol == "sms" || protocol == "application" || protocol == "firehose";
}

bool is_mail_address(std::string_view text) {
  const auto at = text.find('@');
  return at != text.npos && at > 0 && text.find('@', at + 1) == text.npos && at + 1 < text.size() &&
         std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
}

Outcome<void> check_endpoint(const LiveTopic& topic, Protocol protocol, const std::string& endpoint) {
  const bool fifo = topic.attributes.fifo();
  if (fifo && protocol != Protocol::kSqs) {
    return std::unexpected(invalid_parameter("Invalid parameter: Endpoint Reason: Please use FIFO SQS queue"));
  }
  const auto arn = Arn::parse(endpoint);
  switch (protocol) {
    case Protocol::kSqs:
      if (!arn || arn->service != "sqs" || arn->account.empty() || arn->region.empty() ||
          arn->resource.find_first_of(":/") != std::string::npos) {
        return std::unexpected(invalid_parameter("SQS endpoint ARN"));
      }
      if (!fifo && arn->resource.ends_with(".fifo")) {
        return std::unexpected(invalid_parameter(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"));
      }
      return {};
    case Protocol::kLambda:
      if (!FunctionArn::parse(endpoint)) return std::unexpected(invalid_parameter("Lambda endpoint ARN"));
      return {};
    case Protocol::kHttp:
    case Protocol::kHttps:
      if (const auto url = EndpointUrl::parse(endpoint); !url || url->tls != (protocol == Protocol::kHttps)) {
        return std::unexpected(invalid_parameter("Endpoint must match the specified protocol"));
      }
      return {};
    case Protocol::kEmail:
    case Protocol::kEmailJson: break;
  }
  if (!is_mail_address(endpoint)) return std::unexpected(invalid_parameter("Email address"));
  return {};
}

std::string shown_arn(const LiveSubscription& subscription) {
  return subscription.row.confirmed ? subscription.arn : "PendingConfirmation";
}

api::Subscription show(const LiveSubscription& subscription) {
  const TopicPtr topic = subscription.topic.lock();
  return {.subscription_arn = shown_arn(subscription),
          .owner = subscription.row.owner,
          .protocol = subscription.row.protocol,
          .endpoint = subscription.row.endpoint,
          .topic_arn = topic ? topic->arn : ""};
}

SubscriptionPtr find_same(const LiveTopic& topic, std::string_view protocol, const std::string& endpoint) {
  for (const auto& [uuid, subscription] : topic.subscriptions) {
    if (subscription->row.protocol == protocol && subscription->row.endpoint == endpoint) return subscription;
  }
  return nullptr;
}

}  // namespace

Async<Outcome<api::SubscribeResponse>> subscribe(Call call, api::SubscribeInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  if (is_not_served_protocol(input.protocol)) {
    co_return std::unexpected(aws::not_served("sns", "Subscribe", "Protocol=" + input.protocol));
  }
  const auto protocol = parse_protocol(input.protocol);
  if (!protocol) {
    co_return std::unexpected(
        invalid_parameter(fmt::format("Amazon SNS does not support this protocol string: {}", input.protocol)));
  }
  const std::string endpoint = input.endpoint.value_or("");
  if (auto fits = check_endpoint(**topic, *protocol, endpoint); !fits) {
    co_return std::unexpected(std::move(fits.error()));
  }
  const SubscriptionAttributes::Kind kind{.protocol = *protocol, .fifo_topic = (*topic)->attributes.fifo()};
  const StringMap wanted = input.attributes.value_or(StringMap{});
  auto attributes = SubscriptionAttributes{}.with(wanted, kind, SubscriptionAttributes::Occasion::kSubscribe);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));

  const bool return_arn = input.return_subscription_arn.value_or(false);
  const auto answer = [return_arn](const LiveSubscription& subscription) {
    return api::SubscribeResponse{
        .subscription_arn = subscription.row.confirmed || return_arn ? subscription.arn : "pending confirmation"};
  };
  if (const SubscriptionPtr existing = find_same(**topic, input.protocol, endpoint)) {
    const StringMap shown = existing->attributes.shown();
    const bool agrees = std::ranges::all_of(attributes->as_set(), [&](const auto& pair) {
      const auto own = shown.find(pair.first);
      return own != shown.end() && own->second == pair.second;
    });
    if (!agrees) {
      co_return std::unexpected(
          invalid_parameter("Attributes Reason: Subscription already exists with different attributes"));
    }
    if (!existing->row.confirmed) {
      const auto asked = co_await call.hub->ask_again(existing);
      if (!asked) co_return std::unexpected(to_aws_error(call, asked.error()));
    }
    co_return answer(*existing);
  }
  const auto subscribed =
      co_await call.hub->subscribe(*topic, call.context->account, *protocol, endpoint, std::move(*attributes));
  if (!subscribed) co_return std::unexpected(to_aws_error(call, subscribed.error()));
  co_return answer(**subscribed);
}

Async<Outcome<api::ConfirmSubscriptionResponse>> confirm_subscription(Call call, api::ConfirmSubscriptionInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  const SubscriptionPtr subscription = call.hub->find_token(**topic, input.token);
  if (!subscription || call.hub->now() - subscription->row.created_at > kTokenLifetime) {
    co_return std::unexpected(invalid_parameter("Token"));
  }
  if (!subscription->row.confirmed) {
    const aws::CallerPtr& caller = call.context->caller;
    const bool signed_request = caller && !caller->access_key_id.empty();
    const auto confirmed = co_await call.hub->confirm(subscription, signed_request);
    if (!confirmed) co_return std::unexpected(to_aws_error(call, confirmed.error()));
  }
  co_return api::ConfirmSubscriptionResponse{.subscription_arn = subscription->arn};
}

Async<Outcome<Unit>> unsubscribe(Call call, api::UnsubscribeInput input) {
  auto found = find_subscription(call, input.subscription_arn);
  if (!found) {
    // Unsubscribing what is not there succeeds (observed on AWS).
    if (found.error().http_status == 404) co_return Unit{};
    co_return std::unexpected(std::move(found.error()));
  }
  const TopicPtr topic = (*found)->topic.lock();
  const auto guard = co_await call.hub->lock(topic ? topic->arn : "");
  if ((*found)->deleted) co_return Unit{};
  const auto done = co_await call.hub->unsubscribe(*found);
  if (!done) co_return std::unexpected(to_aws_error(call, done.error()));
  co_return Unit{};
}

Async<Outcome<api::ListSubscriptionsResponse>> list_subscriptions(Call call, api::ListSubscriptionsInput input) {
  const auto after = page_start(input.next_token);
  if (!after) co_return std::unexpected(after.error());
  auto page = first_page(call.hub->subscriptions(call.context->account, call.context->region, *after));
  api::ListSubscriptionsResponse out;
  out.subscriptions.emplace();
  for (const SubscriptionPtr& subscription : page.items) out.subscriptions->push_back(show(*subscription));
  out.next_token = std::move(page.next_token);
  co_return out;
}

Async<Outcome<api::ListSubscriptionsByTopicResponse>> list_subscriptions_by_topic(
    Call call, api::ListSubscriptionsByTopicInput input) {
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  const auto after = page_start(input.next_token);
  if (!after) co_return std::unexpected(after.error());
  std::vector<SubscriptionPtr> rest;
  for (const auto& [uuid, subscription] : (*topic)->subscriptions) {
    if (subscription->arn > *after) rest.push_back(subscription);
  }
  auto page = first_page(std::move(rest));
  api::ListSubscriptionsByTopicResponse out;
  out.subscriptions.emplace();
  for (const SubscriptionPtr& subscription : page.items) out.subscriptions->push_back(show(*subscription));
  out.next_token = std::move(page.next_token);
  co_return out;
}

Async<Outcome<api::GetSubscriptionAttributesResponse>> get_subscription_attributes(
    Call call, api::GetSubscriptionAttributesInput input) {
  const auto found = find_subscription(call, input.subscription_arn);
  if (!found) co_return std::unexpected(found.error());
  const LiveSubscription& subscription = **found;
  const TopicPtr topic = subscription.topic.lock();
  StringMap out = subscription.attributes.shown();
  out["SubscriptionArn"] = subscription.arn;
  out["TopicArn"] = topic ? topic->arn : "";
  out["Owner"] = subscription.row.owner;
  out["Protocol"] = subscription.row.protocol;
  out["Endpoint"] = subscription.row.endpoint;
  out["PendingConfirmation"] = subscription.row.confirmed ? "false" : "true";
  out["ConfirmationWasAuthenticated"] = subscription.row.authenticated ? "true" : "false";
  out["SubscriptionPrincipal"] = fmt::format("arn:aws:iam::{}:root", subscription.row.owner);
  if (is_http(subscription.protocol) && topic) {
    out["EffectiveDeliveryPolicy"] =
        EffectivePolicy::of(topic->attributes.delivery_policy(), subscription.attributes.delivery_policy())
            .show(DeliveryPolicy::Of::kSubscription, false);
  }
  co_return api::GetSubscriptionAttributesResponse{.attributes = std::move(out)};
}

Async<Outcome<Unit>> set_subscription_attributes(Call call, api::SetSubscriptionAttributesInput input) {
  const auto found = find_subscription(call, input.subscription_arn);
  if (!found) co_return std::unexpected(found.error());
  const TopicPtr topic = (*found)->topic.lock();
  const auto guard = co_await call.hub->lock(topic ? topic->arn : "");
  if ((*found)->deleted) co_return std::unexpected(no_such_subscription());
  auto attributes = (*found)->attributes.with({{input.attribute_name, input.attribute_value.value_or("")}},
                                              {.protocol = (*found)->protocol, .fifo_topic = (*found)->fifo_topic},
                                              SubscriptionAttributes::Occasion::kSet);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  const auto stored = co_await call.hub->set_attributes(*found, std::move(*attributes));
  if (!stored) co_return std::unexpected(to_aws_error(call, stored.error()));
  co_return Unit{};
}

}  // namespace lambdad::sns
