#include "invoke/async/dead_letter.h"

#include "base/encoding.h"
#include "base/json.h"

namespace lambdad::invoke {

namespace {

constexpr std::size_t kErrorMessageBytesMax = 1024;

// At most `bytes_max` bytes, not cut inside a character.
std::string shorten(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text;
}

std::string error_message_of(const std::string& error_payload) {
  auto document = json::parse(error_payload);
  if (!document) return "";
  const json::Value* message = document->find("errorMessage");
  if (message == nullptr || message->if_string() == nullptr) return "";
  return *message->if_string();
}

}  // namespace

ports::TargetMessage dead_letter_message(const Event& event, const GiveUp& reason, const std::string& payload,
                                         const std::string& error_payload) {
  ports::TargetMessage message;
  message.body = payload;
  message.trace_header = event.trace_header;
  std::string code = "200";
  std::string text = error_message_of(error_payload);
  if (error_payload.empty()) {
    switch (reason.condition) {
      case Condition::kZeroReservedConcurrency:
        code = "429";
        text = "Function not invoked. Function is configured with zero reserved concurrent executions";
        break;
      case Condition::kFunctionGone:
        code = "404";
        text = "Function not found: " + event.function.arn().str();
        break;
      case Condition::kRecursiveLoop:
        code = "400";
        text = "Function not invoked. It was invoked in a recursive loop.";
        break;
      case Condition::kEventAgeExceeded:
      case Condition::kRetriesExhausted:
        code = "429";
        text = "Rate Exceeded.";
        break;
    }
  }
  text = shorten(std::move(text), kErrorMessageBytesMax);
  message.attributes["RequestID"] = {"String", event.request_id};
  message.attributes["ErrorCode"] = {"Number", code};
  if (!text.empty() && is_xml_char_data(text)) message.attributes["ErrorMessage"] = {"String", text};
  return message;
}

}  // namespace lambdad::invoke
