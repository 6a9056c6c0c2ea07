#include <algorithm>

#include "base/encoding.h"
#include "services/sns/handlers/common.h"

namespace lambdad::sns {

namespace {

bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Outcome<void> check_name(const std::string& name, bool fifo) {
  constexpr std::string_view kSuffix = ".fifo";
  if (!fifo) {
    if (!is_name(name) || name.size() > kTopicNameLengthMax) return std::unexpected(invalid_parameter("Topic Name"));
    return {};
  }
  if (!name.ends_with(kSuffix) || !is_name(name.substr(0, name.size() - kSuffix.size())) ||
      name.size() > kTopicNameLengthMax) {
    return std::unexpected(invalid_parameter(
        "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, "
        "numbers, underscores, and hyphens, and must be between 1 and 256 characters long."));
  }
  return {};
}

Outcome<StringMap> read_tags(const std::vector<api::Tag>& tags) {
  StringMap out;
  for (const api::Tag& tag : tags) {
    if (tag.key.empty() || tag.key.starts_with("aws:")) {
      return std::unexpected(invalid_parameter("Tags Reason: aws: prefixed tag key names are not allowed"));
    }
    if (!out.emplace(tag.key, tag.value).second) {
      return std::unexpected(invalid_parameter("Duplicated keys are not allowed."));
    }
  }
  return out;
}

Outcome<void> check_tag_count(const StringMap& tags) {
  if (tags.size() <= kTagsMax) return {};
  return std::unexpected(api::tag_limit_exceeded("Could not complete request: tag quota of per resource exceeded"));
}

constexpr std::string_view kActions[] = {"GetTopicAttributes",
                                         "SetTopicAttributes",
                                         "AddPermission",
                                         "RemovePermission",
                                         "DeleteTopic",
                                         "Subscribe",
                                         "ListSubscriptionsByTopic",
                                         "Publish",
                                         "Receive",
                                         "GetDataProtectionPolicy",
                                         "TagResource",
                                         "UntagResource",
                                         "ListTagsForResource"};

Async<Outcome<Unit>> store_policy(Call call, TopicPtr topic, std::string policy) {
  auto attributes = topic->attributes.with({{"Policy", std::move(policy)}}, TopicAttributes::Occasion::kSet);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  const auto stored = co_await call.hub->set_attributes(topic, std::move(*attributes));
  if (!stored) co_return std::unexpected(to_aws_error(call, stored.error()));
  co_return Unit{};
}

json::Value policy_document(const LiveTopic& topic) {
  std::string text = topic.attributes.policy();
  if (text.empty()) text = default_policy(topic.arn, topic.row.account);
  return json::parse(text).value_or(json::Value(json::Object()));
}

}  // namespace

Async<Outcome<api::CreateTopicResponse>> create_topic(Call call, api::CreateTopicInput input) {
  const StringMap wanted = input.attributes.value_or(StringMap{});
  auto attributes = TopicAttributes{}.with(wanted, TopicAttributes::Occasion::kCreate);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  if (auto named = check_name(input.name, attributes->fifo()); !named) {
    co_return std::unexpected(std::move(named.error()));
  }
  auto tags = read_tags(input.tags.value_or(std::vector<api::Tag>{}));
  if (!tags) co_return std::unexpected(std::move(tags.error()));
  if (auto counted = check_tag_count(*tags); !counted) co_return std::unexpected(std::move(counted.error()));

  std::string arn = fmt::format("arn:aws:sns:{}:{}:{}", call.context->region, call.context->account, input.name);
  const auto guard = co_await call.hub->lock(arn);
  if (const TopicPtr existing = call.hub->find_topic(arn)) {
    if (!existing->attributes.agrees_with(wanted)) {
      co_return std::unexpected(invalid_parameter("Attributes Reason: Topic already exists with different attributes"));
    }
    if (!tags->empty() && *tags != existing->row.tags) {
      co_return std::unexpected(invalid_parameter("Tags Reason: Topic already exists with different tags"));
    }
    co_return api::CreateTopicResponse{.topic_arn = existing->arn};
  }
  const auto created = co_await call.hub->create_topic(call.context->account, call.context->region,
                                                       std::move(input.name), std::move(*attributes), std::move(*tags));
  if (!created) co_return std::unexpected(to_aws_error(call, created.error()));
  co_return api::CreateTopicResponse{.topic_arn = (*created)->arn};
}

Async<Outcome<Unit>> delete_topic(Call call, api::DeleteTopicInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  auto topic = find_topic(call, input.topic_arn);
  if (!topic) {
    // Deleting what is not there succeeds. Source: SNS API reference, DeleteTopic.
    if (topic.error().http_status == 404) co_return Unit{};
    co_return std::unexpected(std::move(topic.error()));
  }
  const auto deleted = co_await call.hub->delete_topic(*topic);
  if (!deleted) co_return std::unexpected(to_aws_error(call, deleted.error()));
  co_return Unit{};
}

Async<Outcome<api::ListTopicsResponse>> list_topics(Call call, api::ListTopicsInput input) {
  const auto after = page_start(input.next_token);
  if (!after) co_return std::unexpected(after.error());
  auto page = first_page(call.hub->topics(call.context->account, call.context->region, *after));
  api::ListTopicsResponse out;
  out.topics.emplace();
  for (const TopicPtr& topic : page.items) out.topics->push_back({.topic_arn = topic->arn});
  out.next_token = std::move(page.next_token);
  co_return out;
}

Async<Outcome<api::GetTopicAttributesResponse>> get_topic_attributes(Call call, api::GetTopicAttributesInput input) {
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  StringMap attributes = (*topic)->attributes.shown((*topic)->arn, (*topic)->row.account);
  const auto confirmed =
      std::ranges::count_if((*topic)->subscriptions, [](const auto& entry) { return entry.second->row.confirmed; });
  attributes["SubscriptionsConfirmed"] = std::to_string(confirmed);
  attributes["SubscriptionsPending"] = std::to_string(std::ssize((*topic)->subscriptions) - confirmed);
  attributes["SubscriptionsDeleted"] = std::to_string((*topic)->row.deleted_subscriptions);
  co_return api::GetTopicAttributesResponse{.attributes = std::move(attributes)};
}

Async<Outcome<Unit>> set_topic_attributes(Call call, api::SetTopicAttributesInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  auto attributes = (*topic)->attributes.with({{input.attribute_name, input.attribute_value.value_or("")}},
                                              TopicAttributes::Occasion::kSet);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  const auto stored = co_await call.hub->set_attributes(*topic, std::move(*attributes));
  if (!stored) co_return std::unexpected(to_aws_error(call, stored.error()));
  co_return Unit{};
}

Async<Outcome<Unit>> add_permission(Call call, api::AddPermissionInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  json::Array actions;
  for (const std::string& action : input.action_name) {
    if (action != "*" && std::ranges::find(kActions, action) == std::end(kActions)) {
      co_return std::unexpected(invalid_parameter("Policy statement action out of service scope!"));
    }
    actions.emplace_back("SNS:" + action);
  }
  json::Array principals;
  for (const std::string& account : input.aws_account_id) {
    const bool number =
        account.size() == 12 && std::ranges::all_of(account, [](char c) { return c >= '0' && c <= '9'; });
    if (!number) co_return std::unexpected(invalid_parameter("Policy Error: PrincipalNotFound"));
    principals.emplace_back(fmt::format("arn:aws:iam::{}:root", account));
  }
  if (actions.empty() || principals.empty()) {
    co_return std::unexpected(invalid_parameter("AWSAccountId and ActionName must not be empty"));
  }
  json::Value policy = policy_document(**topic);
  json::Value& statements = (*policy.if_object())["Statement"];
  if (statements.is_object()) statements = json::Value(json::Array{statements});
  if (!statements.is_array()) statements = json::Value(json::Array{});
  for (const json::Value& statement : *statements.if_array()) {
    const json::Value* sid = statement.find("Sid");
    if (sid != nullptr && sid->if_string() != nullptr && *sid->if_string() == input.label) {
      co_return std::unexpected(invalid_parameter("Statement already exists"));
    }
  }
  const auto one_or_all = [](json::Array list) {
    return list.size() == 1 ? list.front() : json::Value(std::move(list));
  };
  statements.if_array()->push_back(json::Object{{"Sid", input.label},
                                                {"Effect", "Allow"},
                                                {"Principal", json::Object{{"AWS", one_or_all(std::move(principals))}}},
                                                {"Action", one_or_all(std::move(actions))},
                                                {"Resource", (*topic)->arn}});
  co_return co_await store_policy(call, *topic, json::serialize(policy));
}

Async<Outcome<Unit>> remove_permission(Call call, api::RemovePermissionInput input) {
  const auto guard = co_await call.hub->lock(input.topic_arn);
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  json::Value policy = policy_document(**topic);
  json::Array* statements = (*policy.if_object())["Statement"].if_array();
  const auto is_labelled = [&](const json::Value& statement) {
    const json::Value* sid = statement.find("Sid");
    return sid != nullptr && sid->if_string() != nullptr && *sid->if_string() == input.label;
  };
  // Removing what is not there succeeds (observed on AWS).
  if (statements == nullptr || std::erase_if(*statements, is_labelled) == 0) co_return Unit{};
  co_return co_await store_policy(call, *topic, json::serialize(policy));
}

Async<Outcome<api::TagResourceResponse>> tag_resource(Call call, api::TagResourceRequest input) {
  const auto guard = co_await call.hub->lock(input.resource_arn);
  const auto topic = find_topic(call, input.resource_arn, "ResourceArn");
  if (!topic) {
    co_return std::unexpected(topic.error().http_status == 404 ? api::resource_not_found("Resource does not exist")
                                                               : topic.error());
  }
  auto added = read_tags(input.tags);
  if (!added) co_return std::unexpected(std::move(added.error()));
  StringMap tags = (*topic)->row.tags;
  for (auto& [key, value] : *added) tags.insert_or_assign(key, std::move(value));
  if (auto counted = check_tag_count(tags); !counted) co_return std::unexpected(std::move(counted.error()));
  const auto stored = co_await call.hub->set_tags(*topic, std::move(tags));
  if (!stored) co_return std::unexpected(to_aws_error(call, stored.error()));
  co_return api::TagResourceResponse{};
}

Async<Outcome<api::UntagResourceResponse>> untag_resource(Call call, api::UntagResourceRequest input) {
  const auto guard = co_await call.hub->lock(input.resource_arn);
  const auto topic = find_topic(call, input.resource_arn, "ResourceArn");
  if (!topic) {
    co_return std::unexpected(topic.error().http_status == 404 ? api::resource_not_found("Resource does not exist")
                                                               : topic.error());
  }
  StringMap tags = (*topic)->row.tags;
  for (const std::string& key : input.tag_keys) tags.erase(key);
  const auto stored = co_await call.hub->set_tags(*topic, std::move(tags));
  if (!stored) co_return std::unexpected(to_aws_error(call, stored.error()));
  co_return api::UntagResourceResponse{};
}

Async<Outcome<api::ListTagsForResourceResponse>> list_tags_for_resource(Call call,
                                                                        api::ListTagsForResourceRequest input) {
  const auto topic = find_topic(call, input.resource_arn, "ResourceArn");
  if (!topic) {
    co_return std::unexpected(topic.error().http_status == 404 ? api::resource_not_found("Resource does not exist")
                                                               : topic.error());
  }
  api::ListTagsForResourceResponse out;
  out.tags.emplace();
  for (const auto& [key, value] : (*topic)->row.tags) out.tags->push_back({.key = key, .value = value});
  co_return out;
}

}  // namespace lambdad::sns
