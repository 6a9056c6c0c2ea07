/// For this folder's tests.
#pragma once

#include <memory>
#include <string>

#include "services/sqs/queue.h"
#include "store/test_support.h"

namespace lambdad::sqs {

using store::await_result;
using store::TemporaryDirectory;

/// Moments of a test's virtual time: `at(30s)`.
inline WallTime at(Duration since_start) { return WallTime{std::chrono::seconds{1'800'000'000}} + since_start; }

/// A content whose MessageId is made from `number`.
inline MessageContentPtr test_content(std::uint64_t number, WallTime sent_at, std::string body = "m") {
  auto content = std::make_shared<MessageContent>();
  for (int i = 0; i < 8; ++i) content->message_id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  content->sent_at = sent_at;
  content->sender_id = "000000000000";
  content->body = std::move(body);
  return content;
}

inline QueuedMessage test_message(RowId row, WallTime sent_at, Duration delay = 0s, std::string body = "m") {
  QueuedMessage message;
  message.row = row;
  message.content = test_content(static_cast<std::uint64_t>(row), sent_at, std::move(body));
  message.available_at = sent_at + delay;
  return message;
}

}  // namespace lambdad::sqs
