#include "invoke/async/deliveries.h"

#include "base/encoding.h"
#include "base/json.h"
#include "invoke/recursion.h"

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

struct ErrorAttributes {
  std::string code;
  std::string message;
};

ErrorAttributes error_attributes(const Event& event, const EventEnd& end) {
  if (end.answer && end.answer->is_error) return {"200", error_message_of(end.answer->payload)};
  switch (*end.given_up) {
    case Condition::kZeroReservedConcurrency:
      return {"429", "Function not invoked. Function is configured with zero reserved concurrent executions"};
    case Condition::kFunctionGone: return {"404", "Function not found: " + event.function.arn().str()};
    case Condition::kRecursiveLoop: return {"400", "Function not invoked. It was invoked in a recursive loop."};
    case Condition::kEventAgeExceeded:
    case Condition::kRetriesExhausted: break;
  }
  return {"429", "Rate Exceeded."};
}

FunctionArn qualified(const ports::FunctionRef& function) {
  FunctionArn arn = function.arn();
  if (arn.qualifier.empty()) arn.qualifier = "$LATEST";
  return arn;
}

// A user's document goes in as it is; what is none, as a string.
void append_document(std::string& out, const std::string& text) {
  if (!text.empty() && json::validate(text)) {
    out += text;
  } else {
    json::append_quoted(out, text);
  }
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  json::append_quoted(out, key);
  out += ':';
  json::append_quoted(out, value);
}

}  // namespace

std::string destination_record(const Event& event, const std::string& payload, const EventEnd& end) {
  std::string out = R"({"version":"1.0",)";
  append_member(out, "timestamp", format_iso8601_ms(end.at));
  out += R"(,"requestContext":{)";
  append_member(out, "requestId", event.request_id);
  out += ',';
  append_member(out, "functionArn", qualified(event.function).str());
  out += ',';
  append_member(out, "condition", end.given_up ? to_string(*end.given_up) : "Success");
  out += fmt::format(R"(,"approximateInvokeCount":{}}},"requestPayload":)", end.runs);
  append_document(out, payload);
  if (end.answer) {
    out += R"(,"responseContext":{"statusCode":200,)";
    append_member(out, "executedVersion", end.answer->executed_version);
    if (end.answer->is_error) out += R"(,"functionError":"Unhandled")";
    out += R"(},"responsePayload":)";
    append_document(out, end.answer->payload);
  }
  out += '}';
  return out;
}

std::vector<Delivery> deliveries_of(const Event& event, const std::string& payload, const EventEnd& end,
                                    const EndTargets& targets) {
  std::vector<Delivery> deliveries;
  const auto add = [&](Delivery::Kind kind, const std::string& target, std::string body) {
    if (target.empty()) return;
    Delivery delivery;
    delivery.kind = kind;
    delivery.function = event.function;
    delivery.request_id = event.request_id;
    delivery.target = target;
    delivery.role = targets.role;
    // Whoever is run by this message is one further in the chain.
    delivery.trace_header = follow_chain(event.trace_header, event.function.arn()).trace_header;
    delivery.body = std::move(body);
    delivery.created = end.at;
    delivery.due = end.at;
    if (kind == Delivery::Kind::kDeadLetter) {
      auto [code, message] = error_attributes(event, end);
      delivery.error_code = std::move(code);
      message = shorten(std::move(message), kErrorMessageBytesMax);
      if (is_xml_char_data(message)) delivery.error_message = std::move(message);
    }
    deliveries.push_back(std::move(delivery));
  };
  if (!end.given_up) {
    if (!targets.on_success.empty()) {
      add(Delivery::Kind::kOnSuccess, targets.on_success, destination_record(event, payload, end));
    }
    return deliveries;
  }
  if (!targets.on_failure.empty()) {
    add(Delivery::Kind::kOnFailure, targets.on_failure, destination_record(event, payload, end));
  }
  add(Delivery::Kind::kDeadLetter, targets.dead_letter, payload);
  return deliveries;
}

ports::TargetMessage message_of(const Delivery& delivery) {
  ports::TargetMessage message;
  message.body = delivery.body;
  message.trace_header = delivery.trace_header;
  message.sender = {"lambda.amazonaws.com", delivery.function.arn().unqualified(), delivery.role};
  if (delivery.kind == Delivery::Kind::kDeadLetter) {
    message.attributes["RequestID"] = {"String", delivery.request_id};
    message.attributes["ErrorCode"] = {"Number", delivery.error_code};
    if (!delivery.error_message.empty()) message.attributes["ErrorMessage"] = {"String", delivery.error_message};
  } else {
    message.record = {qualified(delivery.function), delivery.kind == Delivery::Kind::kOnSuccess, delivery.created};
  }
  return message;
}

}  // namespace lambdad::invoke
