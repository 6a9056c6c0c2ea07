#include "services/sqs/handlers/message_input.h"

namespace lambdad::sqs {

namespace {

/// A FIFO queue answers a repetition as it did the first message.
template <class Result>
void tell_accepted(Result& result, const Broker::Accepted& accepted) {
  result.message_id = accepted.message_id.text();
  result.sequence_number = sequence_number(accepted.row);
}

}  // namespace

Async<Outcome<aws::sqs::SendMessageResult>> send_message(Call call, aws::sqs::SendMessageRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  auto checked = check_message(call, **queue,
                               {.body = std::move(input.message_body),
                                .delay_seconds = input.delay_seconds,
                                .attributes = std::move(input.message_attributes),
                                .system_attributes = std::move(input.message_system_attributes),
                                .deduplication_id = std::move(input.message_deduplication_id),
                                .group_id = std::move(input.message_group_id)});
  if (!checked) co_return std::unexpected(std::move(checked.error()));
  std::vector<Broker::NewMessage> messages;
  messages.push_back(std::move(checked->message));
  const auto sent = co_await call.broker->send(*queue, std::move(messages));
  if (!sent) co_return std::unexpected(to_aws_error(call, sent.error()));
  aws::sqs::SendMessageResult result{.md5_of_message_body = std::move(checked->md5_of_body),
                                     .md5_of_message_attributes = std::move(checked->md5_of_attributes),
                                     .md5_of_message_system_attributes = std::move(checked->md5_of_system_attributes),
                                     .message_id = std::move(checked->message_id),
                                     .sequence_number = std::nullopt};
  if (!sent->empty()) tell_accepted(result, sent->front());
  co_return result;
}

Async<Outcome<aws::sqs::SendMessageBatchResult>> send_message_batch(Call call,
                                                                    aws::sqs::SendMessageBatchRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  if (auto batch = check_batch(input.entries, "SendMessageBatchRequestEntry"); !batch) {
    co_return std::unexpected(std::move(batch.error()));
  }
  // The size of all entries together refuses the request, whatever else is wrong with single ones.
  std::size_t size_bytes = 0;
  for (const auto& entry : input.entries) {
    size_bytes += entry.message_body.size();
    if (!entry.message_attributes) continue;
    for (const auto& [name, value] : *entry.message_attributes) {
      size_bytes += name.size() + value.data_type.size() + value.string_value.value_or("").size() +
                    value.binary_value.value_or("").size();
    }
  }
  if (size_bytes > kBatchSizeMax) {
    co_return std::unexpected(aws::sqs::batch_request_too_long(fmt::format(
        "Batch requests cannot be longer than {} bytes. You have sent {} bytes.", kBatchSizeMax, size_bytes)));
  }

  if ((*queue)->fifo != nullptr) {
    for (const auto& entry : input.entries) {
      auto checked = check_fifo_parameters(**queue, entry.message_group_id, entry.message_deduplication_id,
                                           [](std::string text) { return aws::sqs::invalid_parameter_value(text); });
      if (!checked) co_return std::unexpected(std::move(checked.error()));
    }
  }

  aws::sqs::SendMessageBatchResult result;
  std::vector<Broker::NewMessage> messages;
  for (auto& entry : input.entries) {
    auto checked = check_message(call, **queue,
                                 {.body = std::move(entry.message_body),
                                  .delay_seconds = entry.delay_seconds,
                                  .attributes = std::move(entry.message_attributes),
                                  .system_attributes = std::move(entry.message_system_attributes),
                                  .deduplication_id = std::move(entry.message_deduplication_id),
                                  .group_id = std::move(entry.message_group_id)});
    if (!checked) {
      result.failed.push_back(failed_entry(std::move(entry.id), checked.error()));
      continue;
    }
    messages.push_back(std::move(checked->message));
    result.successful.push_back({.id = std::move(entry.id),
                                 .message_id = std::move(checked->message_id),
                                 .md5_of_message_body = std::move(checked->md5_of_body),
                                 .md5_of_message_attributes = std::move(checked->md5_of_attributes),
                                 .md5_of_message_system_attributes = std::move(checked->md5_of_system_attributes),
                                 .sequence_number = std::nullopt});
  }
  if (!messages.empty()) {
    const auto sent = co_await call.broker->send(*queue, std::move(messages));
    if (!sent) co_return std::unexpected(to_aws_error(call, sent.error()));
    for (std::size_t i = 0; i < sent->size(); ++i) tell_accepted(result.successful[i], (*sent)[i]);
  }
  co_return result;
}

}  // namespace lambdad::sqs
