/// Checks of what a sender gives, for SendMessage and its batch.
#pragma once

#include <memory>

#include "services/sqs/handlers/common.h"

namespace lambdad::sqs {

struct MessageInput {
  std::string body;
  std::optional<std::int32_t> delay_seconds;
  std::optional<std::map<std::string, aws::sqs::MessageAttributeValue>> attributes;
  std::optional<std::map<std::string, aws::sqs::MessageSystemAttributeValue>> system_attributes;
  std::optional<std::string> deduplication_id;
  std::optional<std::string> group_id;
};

/// A message ready to be sent, and what its sender is told.
struct CheckedMessage {
  Broker::NewMessage message;
  std::size_t size_bytes = 0;  ///< what counts for the limits of the queue and of a batch
  std::string message_id;
  std::string md5_of_body;
  std::optional<std::string> md5_of_attributes;
  std::optional<std::string> md5_of_system_attributes;
};

/// Body, attributes, delay and sizes against the queue's limits; on FIFO queues group and deduplication id. A message
/// without a deduplication id gets the SHA-256 of its body where the queue is set so.
Outcome<CheckedMessage> check_message(const Call& call, const LiveQueue& queue, MessageInput input);

/// What a FIFO queue must know of every message, refused for a whole batch: `error` makes the first error.
Outcome<void> check_fifo_parameters(const LiveQueue& queue, const std::optional<std::string>& group_id,
                                    const std::optional<std::string>& deduplication_id,
                                    aws::Error (*error)(std::string));
/// 1..128 of letters, digits and punctuation. Source: SQS API reference, SendMessage and ReceiveMessage, for
/// MessageGroupId, MessageDeduplicationId and ReceiveRequestAttemptId.
bool is_group_id(std::string_view id);
/// 20 digits, increasing. AWS promises 128 bits.
std::string sequence_number(RowId row);

/// User attributes: at most ten, names and types well formed, values not empty and of their type.
Outcome<MessageAttributes> check_attributes(std::map<std::string, aws::sqs::MessageAttributeValue> attributes);

/// The character that keeps `text` from being a message, as AWS names it: "#x0"; nullopt when all are allowed.
std::optional<std::string> first_forbidden_character(std::string_view text);

}  // namespace lambdad::sqs
