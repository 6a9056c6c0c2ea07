/// The operations, one function each: check what the model cannot, ask the hub, answer.
#pragma once

#include "aws/dispatcher.h"
#include "aws/gen/sns.h"
#include "services/sns/hub.h"

namespace lambdad::sns {

/// What a handler works with. Both outlive the handler's coroutine.
struct Call {
  Hub* hub;
  const aws::RequestContext* context;
};

using aws::Outcome;
using aws::Unit;
namespace api = aws::sns;

Async<Outcome<api::CreateTopicResponse>> create_topic(Call call, api::CreateTopicInput input);
Async<Outcome<Unit>> delete_topic(Call call, api::DeleteTopicInput input);
Async<Outcome<api::ListTopicsResponse>> list_topics(Call call, api::ListTopicsInput input);
Async<Outcome<api::GetTopicAttributesResponse>> get_topic_attributes(Call call, api::GetTopicAttributesInput input);
Async<Outcome<Unit>> set_topic_attributes(Call call, api::SetTopicAttributesInput input);
Async<Outcome<Unit>> add_permission(Call call, api::AddPermissionInput input);
Async<Outcome<Unit>> remove_permission(Call call, api::RemovePermissionInput input);
Async<Outcome<api::TagResourceResponse>> tag_resource(Call call, api::TagResourceRequest input);
Async<Outcome<api::UntagResourceResponse>> untag_resource(Call call, api::UntagResourceRequest input);
Async<Outcome<api::ListTagsForResourceResponse>> list_tags_for_resource(Call call,
                                                                        api::ListTagsForResourceRequest input);

Async<Outcome<api::SubscribeResponse>> subscribe(Call call, api::SubscribeInput input);
Async<Outcome<api::ConfirmSubscriptionResponse>> confirm_subscription(Call call, api::ConfirmSubscriptionInput input);
Async<Outcome<Unit>> unsubscribe(Call call, api::UnsubscribeInput input);
Async<Outcome<api::ListSubscriptionsResponse>> list_subscriptions(Call call, api::ListSubscriptionsInput input);
Async<Outcome<api::ListSubscriptionsByTopicResponse>> list_subscriptions_by_topic(
    Call call, api::ListSubscriptionsByTopicInput input);
Async<Outcome<api::GetSubscriptionAttributesResponse>> get_subscription_attributes(
    Call call, api::GetSubscriptionAttributesInput input);
Async<Outcome<Unit>> set_subscription_attributes(Call call, api::SetSubscriptionAttributesInput input);

Async<Outcome<api::PublishResponse>> publish(Call call, api::PublishInput input);
Async<Outcome<api::PublishBatchResponse>> publish_batch(Call call, api::PublishBatchInput input);

}  // namespace lambdad::sns
