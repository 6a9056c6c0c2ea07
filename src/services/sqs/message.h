/// One message: what its sender gave, and what AWS derives from it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace lambdad::sqs {

/// A user attribute or system attribute. `value` is text, or raw bytes when the type is Binary or Binary.label.
struct MessageAttribute {
  std::string data_type;
  std::string value;
  bool is_binary() const { return data_type.starts_with("Binary"); }
  bool operator==(const MessageAttribute&) const = default;
};
using MessageAttributes = std::map<std::string, MessageAttribute>;

/// The 16 bytes of a UUID; half the size of its text, and messages have one each.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  std::string text() const;  ///< 8-4-4-4-12 lower-case hex
  static std::optional<Uuid> from_bytes(std::string_view bytes);
  bool operator==(const Uuid&) const = default;
};

/// What never changes about a message. Shared between the queue, the writer thread of the store and answers under way,
/// so it is immutable.
struct MessageContent {
  /// What few messages have; apart, so that plain messages do not pay for it.
  struct Extras {
    MessageAttributes attributes;
    std::string trace_header;      ///< system attribute AWSTraceHeader; empty: none
    std::string group_id;          ///< MessageGroupId; empty: none
    std::string deduplication_id;  ///< MessageDeduplicationId, given or made of the body; FIFO queues only
    bool operator==(const Extras&) const = default;
  };

  Uuid message_id;
  std::array<std::uint8_t, 16> md5_of_body{};
  WallTime sent_at;
  std::string sender_id;
  std::string body;
  std::unique_ptr<const Extras> extras;  ///< null when the message has none of them

  const MessageAttributes& attributes() const;
  std::string_view group_id() const { return extras ? std::string_view(extras->group_id) : std::string_view(); }
  std::string_view deduplication_id() const {
    return extras ? std::string_view(extras->deduplication_id) : std::string_view();
  }
  /// The same message sent at another moment, for a queue it is moved to.
  MessageContent moved(WallTime at) const;
};
using MessageContentPtr = std::shared_ptr<const MessageContent>;

/// The digest SDKs compare. Names in byte order; for each len32be(name) name len32be(type) type, a byte 1 (text) or 2
/// (binary), len32be(value) value. Lower-case hex.
/// Source: Developer Guide, "Calculating the MD5 message digest for message attributes".
std::string md5_of_attributes(const MessageAttributes& attributes);
std::array<std::uint8_t, 16> md5_raw(std::string_view bytes);

/// Body plus names, types and values of the user attributes: what MaximumMessageSize limits. System attributes do not
/// count. Source: SQS API reference, SendMessage; Developer Guide, "Message system attributes".
std::size_t message_size_bytes(std::string_view body, const MessageAttributes& attributes);

/// For the store: one JSON document, values of binary attributes in base64.
std::string encode_attributes(const MessageAttributes& attributes);
/// kCorrupt when the text was not written by encode_attributes.
Result<MessageAttributes> decode_attributes(std::string_view text);

}  // namespace lambdad::sqs
