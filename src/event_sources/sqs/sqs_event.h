#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arn.h"
#include "base/json.h"

namespace lambdad::event_sources {

/// Largest event of an invocation, as it is written. Source: Lambda quotas, synchronous payload of 6 MB (MiB).
inline constexpr std::size_t kEventBytesMax = 6 * 1024 * 1024;

/// What a record's text is made with besides the message.
struct SqsRecordStyle {
  std::string queue_arn_json;  ///< as JSON string literals
  std::string region_json;
  /// With a batching window, messages without attributes carry "md5OfMessageAttributes":null; without one they carry no
  /// such key (observed, reference B.1).
  bool has_window = false;

  static SqsRecordStyle of(const Arn& queue, std::chrono::nanoseconds window);
};

/// One message on its way to a function.
struct SqsRecord {
  std::string message_id;
  std::string receipt_handle;
  std::string text;  ///< the element of "Records"
};

/// From a Message of ReceiveMessage's answer. nullopt when MessageId, ReceiptHandle or Body is missing.
///
/// Keys stand in AWS's order; system attributes in the order of the recorded events, then any others; user attributes
/// as SQS gave them. The body is the string as it was sent.
std::optional<SqsRecord> make_record(const json::Value& message, const SqsRecordStyle& style);

/// Bytes of make_event() for records whose texts have `text_bytes` bytes together.
std::size_t event_bytes(std::size_t records, std::size_t text_bytes);
/// {"Records":[...]}
std::string make_event(const std::vector<SqsRecord>& records);

}  // namespace lambdad::event_sources
