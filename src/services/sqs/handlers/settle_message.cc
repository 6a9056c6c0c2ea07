// What a receiver does with a message: delete it or change how long it stays hidden, one or a batch.

#include "services/sqs/handlers/common.h"

namespace lambdad::sqs {

namespace {

/// The change of one message, or AWS's error. `text` is the receipt handle as given.
Outcome<Store::Visibility> check_visibility(const Call& call, LiveQueue& queue, const std::string& text,
                                            int timeout_seconds) {
  const auto handle = open_receipt_handle(call, queue, text);
  if (!handle) return std::unexpected(handle.error());
  if (timeout_seconds < 0 || timeout_seconds > kVisibilityTimeoutMax) {
    return std::unexpected(
        bad_value(std::to_string(timeout_seconds), "VisibilityTimeout", "Must be between 0 and 43200, if provided."));
  }
  const QueuedMessage* message = queue.messages.find_received(handle->row, handle->generation);
  if (message != nullptr && queue.fifo != nullptr &&
      !queue.fifo->holds(handle->row, handle->generation, call.broker->now())) {
    message = nullptr;
  }
  if (message == nullptr) {
    return std::unexpected(
        bad_value(text, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."));
  }
  const WallTime available_at = call.broker->now() + std::chrono::seconds(timeout_seconds);
  if (available_at > *message->received_at + kVisibilityTotalMax) {
    return std::unexpected(bad_value(std::to_string(timeout_seconds), "VisibilityTimeout",
                                     "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"));
  }
  return Store::Visibility{.row = handle->row, .receive_count = handle->generation, .available_at = available_at};
}

/// The receipt handle of a delete. On a FIFO queue it must be of the receive that still hides the message; a message
/// that is gone is deleted once more.
Outcome<ReceiptHandle> check_delete(const Call& call, LiveQueue& queue, const std::string& text) {
  auto handle = open_receipt_handle(call, queue, text);
  if (!handle || queue.fifo == nullptr || queue.messages.find(handle->row) == nullptr) return handle;
  if (!queue.fifo->holds(handle->row, handle->generation, call.broker->now())) {
    return std::unexpected(bad_value(text, "ReceiptHandle", "The receipt handle has expired."));
  }
  return handle;
}

}  // namespace

Async<Outcome<Unit>> delete_message(Call call, aws::sqs::DeleteMessageRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  const auto handle = check_delete(call, **queue, input.receipt_handle);
  if (!handle) co_return std::unexpected(handle.error());
  if (auto removed = co_await call.broker->remove_messages(*queue, {*handle}); !removed) {
    co_return std::unexpected(to_aws_error(call, removed.error()));
  }
  co_return Unit{};
}

Async<Outcome<aws::sqs::DeleteMessageBatchResult>> delete_message_batch(Call call,
                                                                        aws::sqs::DeleteMessageBatchRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  if (auto batch = check_batch(input.entries, "DeleteMessageBatchRequestEntry"); !batch) {
    co_return std::unexpected(std::move(batch.error()));
  }
  aws::sqs::DeleteMessageBatchResult result;
  std::vector<ReceiptHandle> handles;
  for (auto& entry : input.entries) {
    const auto handle = check_delete(call, **queue, entry.receipt_handle);
    if (!handle) {
      result.failed.push_back(failed_entry(std::move(entry.id), handle.error()));
      continue;
    }
    handles.push_back(*handle);
    result.successful.push_back({.id = std::move(entry.id)});
  }
  if (auto removed = co_await call.broker->remove_messages(*queue, std::move(handles)); !removed) {
    co_return std::unexpected(to_aws_error(call, removed.error()));
  }
  co_return result;
}

Async<Outcome<Unit>> change_message_visibility(Call call, aws::sqs::ChangeMessageVisibilityRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  const auto change = check_visibility(call, **queue, input.receipt_handle, input.visibility_timeout);
  if (!change) co_return std::unexpected(change.error());
  if (auto changed = co_await call.broker->change_visibility(*queue, {*change}); !changed) {
    co_return std::unexpected(to_aws_error(call, changed.error()));
  }
  co_return Unit{};
}

Async<Outcome<aws::sqs::ChangeMessageVisibilityBatchResult>> change_message_visibility_batch(
    Call call, aws::sqs::ChangeMessageVisibilityBatchRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  if (auto batch = check_batch(input.entries, "ChangeMessageVisibilityBatchRequestEntry"); !batch) {
    co_return std::unexpected(std::move(batch.error()));
  }
  aws::sqs::ChangeMessageVisibilityBatchResult result;
  std::vector<Store::Visibility> changes;
  for (auto& entry : input.entries) {
    if (!entry.visibility_timeout) {
      result.failed.push_back(failed_entry(
          std::move(entry.id),
          aws::sqs::missing_required_parameter("The request must contain the parameter VisibilityTimeout.")));
      continue;
    }
    const auto change = check_visibility(call, **queue, entry.receipt_handle, *entry.visibility_timeout);
    if (!change) {
      result.failed.push_back(failed_entry(std::move(entry.id), change.error()));
      continue;
    }
    changes.push_back(*change);
    result.successful.push_back({.id = std::move(entry.id)});
  }
  if (!changes.empty()) {
    if (auto changed = co_await call.broker->change_visibility(*queue, std::move(changes)); !changed) {
      co_return std::unexpected(to_aws_error(call, changed.error()));
    }
  }
  co_return result;
}

}  // namespace lambdad::sqs
