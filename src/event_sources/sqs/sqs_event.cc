#include "event_sources/sqs/sqs_event.h"

#include <algorithm>
#include <array>

namespace lambdad::event_sources {

namespace {

constexpr std::array<std::string_view, 9> kAttributeOrder = {
    "ApproximateReceiveCount", "AWSTraceHeader", "SentTimestamp",          "SequenceNumber",
    "MessageGroupId",          "SenderId",       "MessageDeduplicationId", "ApproximateFirstReceiveTimestamp",
    "DeadLetterQueueSourceArn"};

constexpr std::string_view kEventBegin = R"({"Records":[)";
constexpr std::string_view kEventEnd = "]}";

const std::string* text_of(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value == nullptr ? nullptr : value->if_string();
}

/// Appends members to a JSON object that is open in `out`.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) { out_ += '{'; }
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    json::append_quoted(out_, name);
    out_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    json::append_quoted(out_, value);
  }
  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

void append_attributes(std::string& out, const json::Value* attributes) {
  Members members(out);
  if (const json::Object* object = attributes == nullptr ? nullptr : attributes->if_object()) {
    for (const std::string_view name : kAttributeOrder) {
      const json::Value* value = object->find(name);
      if (value != nullptr && value->is_string()) members.text(name, *value->if_string());
    }
    for (const auto& [name, value] : *object) {
      if (value.is_string() && std::ranges::find(kAttributeOrder, name) == kAttributeOrder.end()) {
        members.text(name, *value.if_string());
      }
    }
  }
  members.close();
}

void append_message_attributes(std::string& out, const json::Value* attributes) {
  Members members(out);
  if (const json::Object* object = attributes == nullptr ? nullptr : attributes->if_object()) {
    for (const auto& [name, value] : *object) {
      members.key(name);
      Members attribute(out);
      if (const auto* text = text_of(value, "StringValue")) attribute.text("stringValue", *text);
      // Base64 in the document, base64 in the event.
      if (const auto* bytes = text_of(value, "BinaryValue")) attribute.text("binaryValue", *bytes);
      attribute.key("stringListValues");
      out += "[]";
      attribute.key("binaryListValues");
      out += "[]";
      const auto* type = text_of(value, "DataType");
      attribute.text("dataType", type == nullptr ? std::string_view{} : std::string_view{*type});
      attribute.close();
    }
  }
  members.close();
}

std::string quoted(std::string_view text) {
  std::string out;
  json::append_quoted(out, text);
  return out;
}

}  // namespace

SqsRecordStyle SqsRecordStyle::of(const Arn& queue, std::chrono::nanoseconds window) {
  return {.queue_arn_json = quoted(queue.str()), .region_json = quoted(queue.region), .has_window = window.count() > 0};
}

std::optional<SqsRecord> make_record(const json::Value& message, const SqsRecordStyle& style) {
  const auto* id = text_of(message, "MessageId");
  const auto* handle = text_of(message, "ReceiptHandle");
  const auto* body = text_of(message, "Body");
  if (id == nullptr || handle == nullptr || body == nullptr) return std::nullopt;
  SqsRecord record{.message_id = *id, .receipt_handle = *handle, .text = {}};
  std::string& out = record.text;
  out.reserve(body->size() + body->size() / 8 + handle->size() + 768);
  Members members(out);
  members.text("messageId", *id);
  members.text("receiptHandle", *handle);
  members.text("body", *body);
  members.key("attributes");
  append_attributes(out, message.find("Attributes"));
  members.key("messageAttributes");
  append_message_attributes(out, message.find("MessageAttributes"));
  if (const auto* md5 = text_of(message, "MD5OfMessageAttributes"); md5 != nullptr && !md5->empty()) {
    members.text("md5OfMessageAttributes", *md5);
  } else if (style.has_window) {
    members.key("md5OfMessageAttributes");
    out += "null";
  }
  const auto* md5_of_body = text_of(message, "MD5OfBody");
  members.text("md5OfBody", md5_of_body == nullptr ? std::string_view{} : std::string_view{*md5_of_body});
  members.text("eventSource", "aws:sqs");
  members.key("eventSourceARN");
  out += style.queue_arn_json;
  members.key("awsRegion");
  out += style.region_json;
  members.close();
  return record;
}

std::size_t event_bytes(std::size_t records, std::size_t text_bytes) {
  return kEventBegin.size() + text_bytes + (records == 0 ? 0 : records - 1) + kEventEnd.size();
}

std::string make_event(const std::vector<SqsRecord>& records) {
  std::size_t text_bytes = 0;
  for (const SqsRecord& record : records) text_bytes += record.text.size();
  std::string out;
  out.reserve(event_bytes(records.size(), text_bytes));
  out += kEventBegin;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (i > 0) out += ',';
    out += records[i].text;
  }
  out += kEventEnd;
  return out;
}

}  // namespace lambdad::event_sources
