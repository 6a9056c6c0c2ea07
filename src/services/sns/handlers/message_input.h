/// What is refused in a message, for Publish, PublishBatch and deliveries from inside.
#pragma once

#include <optional>
#include <string>

#include "services/sns/handlers/handlers.h"

namespace lambdad::sns {

struct MessageInput {
  std::string message;
  std::optional<std::string> subject;
  std::optional<std::string> structure;
  std::optional<std::map<std::string, api::MessageAttributeValue>> attributes;
  std::optional<std::string> deduplication_id;
  std::optional<std::string> group_id;
};

/// The message as the hub takes it, or AWS's error. Its size is not judged here: of a batch the sum counts.
Outcome<Hub::NewMessage> check_message(const LiveTopic& topic, MessageInput input);
/// Text as published, with attributes, for the limit.
std::size_t size_bytes(const MessageInput& input);

}  // namespace lambdad::sns
