/// The operations, one function each: check what the model cannot, ask the broker, answer.
#pragma once

#include "aws/dispatcher.h"
#include "aws/gen/sqs.h"
#include "services/sqs/broker.h"

namespace lambdad::sqs {

/// What a handler works with. Both outlive the handler's coroutine.
struct Call {
  Broker* broker;
  const aws::RequestContext* context;
};

using aws::Outcome;
using aws::Unit;

Async<Outcome<aws::sqs::CreateQueueResult>> create_queue(Call call, aws::sqs::CreateQueueRequest input);
Async<Outcome<Unit>> delete_queue(Call call, aws::sqs::DeleteQueueRequest input);
Async<Outcome<aws::sqs::ListQueuesResult>> list_queues(Call call, aws::sqs::ListQueuesRequest input);
Async<Outcome<aws::sqs::GetQueueUrlResult>> get_queue_url(Call call, aws::sqs::GetQueueUrlRequest input);
Async<Outcome<aws::sqs::GetQueueAttributesResult>> get_queue_attributes(Call call,
                                                                        aws::sqs::GetQueueAttributesRequest input);
Async<Outcome<Unit>> set_queue_attributes(Call call, aws::sqs::SetQueueAttributesRequest input);
Async<Outcome<Unit>> purge_queue(Call call, aws::sqs::PurgeQueueRequest input);
Async<Outcome<Unit>> tag_queue(Call call, aws::sqs::TagQueueRequest input);
Async<Outcome<Unit>> untag_queue(Call call, aws::sqs::UntagQueueRequest input);
Async<Outcome<aws::sqs::ListQueueTagsResult>> list_queue_tags(Call call, aws::sqs::ListQueueTagsRequest input);
Async<Outcome<aws::sqs::ListDeadLetterSourceQueuesResult>> list_dead_letter_source_queues(
    Call call, aws::sqs::ListDeadLetterSourceQueuesRequest input);

Async<Outcome<Unit>> add_permission(Call call, aws::sqs::AddPermissionRequest input);
Async<Outcome<Unit>> remove_permission(Call call, aws::sqs::RemovePermissionRequest input);

Async<Outcome<aws::sqs::StartMessageMoveTaskResult>> start_message_move_task(
    Call call, aws::sqs::StartMessageMoveTaskRequest input);
Async<Outcome<aws::sqs::CancelMessageMoveTaskResult>> cancel_message_move_task(
    Call call, aws::sqs::CancelMessageMoveTaskRequest input);
Async<Outcome<aws::sqs::ListMessageMoveTasksResult>> list_message_move_tasks(
    Call call, aws::sqs::ListMessageMoveTasksRequest input);

Async<Outcome<aws::sqs::SendMessageResult>> send_message(Call call, aws::sqs::SendMessageRequest input);
Async<Outcome<aws::sqs::SendMessageBatchResult>> send_message_batch(Call call, aws::sqs::SendMessageBatchRequest input);
Async<Outcome<aws::sqs::ReceiveMessageResult>> receive_message(Call call, aws::sqs::ReceiveMessageRequest input);
Async<Outcome<Unit>> delete_message(Call call, aws::sqs::DeleteMessageRequest input);
Async<Outcome<aws::sqs::DeleteMessageBatchResult>> delete_message_batch(Call call,
                                                                        aws::sqs::DeleteMessageBatchRequest input);
Async<Outcome<Unit>> change_message_visibility(Call call, aws::sqs::ChangeMessageVisibilityRequest input);
Async<Outcome<aws::sqs::ChangeMessageVisibilityBatchResult>> change_message_visibility_batch(
    Call call, aws::sqs::ChangeMessageVisibilityBatchRequest input);

}  // namespace lambdad::sqs
