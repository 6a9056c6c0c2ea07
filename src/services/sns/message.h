/// A message on its way, and the documents that endpoints get of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/time.h"

namespace lambdad::sns {

using RowId = std::int64_t;

enum class Protocol { kLambda, kSqs, kHttp, kHttps, kEmail, kEmailJson };
std::optional<Protocol> parse_protocol(std::string_view name);
std::string_view to_string(Protocol protocol);
inline bool is_http(Protocol p) { return p == Protocol::kHttp || p == Protocol::kHttps; }
inline bool is_mail(Protocol p) { return p == Protocol::kEmail || p == Protocol::kEmailJson; }

struct MessageAttribute {
  std::string type;   ///< "String", "String.Array", "Number", "Binary", with or without a label
  std::string value;  ///< bytes of a Binary
  bool is_binary() const { return type.starts_with("Binary"); }
  bool operator==(const MessageAttribute&) const = default;
};
using MessageAttributes = std::map<std::string, MessageAttribute>;

/// What was published, or the request to confirm a subscription. Immutable.
struct Message {
  enum class Type { kNotification, kSubscriptionConfirmation };
  Type type = Type::kNotification;
  RowId row = 0;   ///< increases in the order of publishing
  std::string id;  ///< MessageId
  std::string topic_arn;
  std::optional<std::string> subject;
  std::string text;                          ///< with MessageStructure json: its "default"
  std::map<std::string, std::string> texts;  ///< with MessageStructure json: by protocol
  MessageAttributes attributes;
  WallTime published;
  std::string sequence_number;   ///< FIFO topics; else empty
  std::string group_id;          ///< may be empty on standard topics
  std::string deduplication_id;  ///< FIFO topics
  std::string trace_header;
  std::string signature_version = "1";
  std::string token;  ///< of a confirmation

  bool is_fifo() const { return !sequence_number.empty(); }
  const std::string& text_for(Protocol protocol) const;
};
using MessagePtr = std::shared_ptr<const Message>;

/// For the store; decode is kCorrupt for anything encode did not write.
std::string encode(const Message& message);
Result<Message> decode(RowId row, std::string_view text);

/// Text and attributes as the size limit counts them.
std::size_t size_bytes(std::string_view text, const MessageAttributes& attributes);

/// The lines a signature is made over. Source: SNS Developer Guide, "Verifying the signatures of Amazon SNS messages".
std::string string_to_sign(const Message& message, std::string_view text, std::string_view subscribe_url);

/// Where documents point to, and what vouches for them. The signature is empty for FIFO topics, whose notifications
/// carry none (observed on AWS).
struct Envelope {
  std::string_view text;
  std::string signature;
  std::string certificate_url;
  std::string subscribe_url;    ///< confirmations
  std::string unsubscribe_url;  ///< notifications
};

/// The body of a delivery to SQS, HTTP and email-json, spaced as AWS does.
std::string notification_document(const Message& message, const Envelope& envelope);
/// The event a function gets: one record.
std::string lambda_event(const Message& message, const Envelope& envelope, std::string_view subscription_arn);

}  // namespace lambdad::sns
