#include "services/sns/message.h"

#include "base/encoding.h"

namespace lambdad::sns {

namespace {

constexpr std::pair<std::string_view, Protocol> kProtocols[] = {
    {"lambda", Protocol::kLambda}, {"sqs", Protocol::kSqs},     {"http", Protocol::kHttp},
    {"https", Protocol::kHttps},   {"email", Protocol::kEmail}, {"email-json", Protocol::kEmailJson},
};

std::string quoted(std::string_view text) {
  std::string out;
  json::append_quoted(out, text);
  return out;
}

std::string shown_value(const MessageAttribute& attribute) {
  return attribute.is_binary() ? base64_encode(attribute.value) : attribute.value;
}

}  // namespace

std::optional<Protocol> parse_protocol(std::string_view name) {
  for (const auto& [known, protocol] : kProtocols) {
    if (known == name) return protocol;
  }
  return std::nullopt;
}

std::string_view to_string(Protocol protocol) {
  for (const auto& [name, known] : kProtocols) {
    if (known == protocol) return name;
  }
  return "";
}

const std::string& Message::text_for(Protocol protocol) const {
  const auto own = texts.find(std::string(to_string(protocol)));
  return own == texts.end() ? text : own->second;
}

std::string encode(const Message& message) {
  json::Object out;
  const auto put = [&out](const char* name, const std::string& text) {
    if (!text.empty()) out.append(name, json::Value(text));
  };
  if (message.type == Message::Type::kSubscriptionConfirmation) out.append("confirmation", json::Value(true));
  put("id", message.id);
  put("topic", message.topic_arn);
  if (message.subject) out.append("subject", json::Value(*message.subject));
  put("text", message.text);
  if (!message.texts.empty()) {
    json::Object texts;
    for (const auto& [protocol, text] : message.texts) texts.append(protocol, json::Value(text));
    out.append("texts", json::Value(std::move(texts)));
  }
  if (!message.attributes.empty()) {
    json::Object attributes;
    for (const auto& [name, attribute] : message.attributes) {
      attributes.append(name,
                        json::Value(json::Array{json::Value(attribute.type), json::Value(shown_value(attribute))}));
    }
    out.append("attributes", json::Value(std::move(attributes)));
  }
  out.append("published", json::Value(message.published.time_since_epoch().count()));
  put("sequence", message.sequence_number);
  put("group", message.group_id);
  put("deduplication", message.deduplication_id);
  put("trace", message.trace_header);
  put("signature_version", message.signature_version);
  put("token", message.token);
  return json::serialize(json::Value(std::move(out)));
}

Result<Message> decode(RowId row, std::string_view text) {
  const auto corrupt = [row] { return fail(Errc::kCorrupt, "message row {} is not what was written", row); };
  const auto document = json::parse(text);
  if (!document || !document->is_object()) return corrupt();
  Message message;
  message.row = row;
  const auto get = [&document](const char* name, std::string& to) {
    const json::Value* value = document->find(name);
    if (value != nullptr && value->if_string() != nullptr) to = *value->if_string();
  };
  if (document->find("confirmation") != nullptr) message.type = Message::Type::kSubscriptionConfirmation;
  get("id", message.id);
  get("topic", message.topic_arn);
  get("text", message.text);
  get("sequence", message.sequence_number);
  get("group", message.group_id);
  get("deduplication", message.deduplication_id);
  get("trace", message.trace_header);
  get("signature_version", message.signature_version);
  get("token", message.token);
  if (document->find("subject") != nullptr) get("subject", message.subject.emplace());
  const json::Value* published = document->find("published");
  const auto at = published == nullptr ? std::nullopt : published->as_int64();
  if (!at || message.id.empty() || message.topic_arn.empty()) return corrupt();
  message.published = WallTime{Duration{*at}};
  if (const json::Value* texts = document->find("texts"); texts != nullptr && texts->if_object() != nullptr) {
    for (const auto& [protocol, value] : *texts->if_object()) {
      if (value.if_string() == nullptr) return corrupt();
      message.texts.emplace(protocol, *value.if_string());
    }
  }
  if (const json::Value* all = document->find("attributes"); all != nullptr && all->if_object() != nullptr) {
    for (const auto& [name, pair] : *all->if_object()) {
      const json::Array* parts = pair.if_array();
      if (parts == nullptr || parts->size() != 2 || !(*parts)[0].is_string() || !(*parts)[1].is_string()) {
        return corrupt();
      }
      MessageAttribute attribute{*(*parts)[0].if_string(), *(*parts)[1].if_string()};
      if (attribute.is_binary()) {
        auto bytes = base64_decode(attribute.value);
        if (!bytes) return corrupt();
        attribute.value = std::move(*bytes);
      }
      message.attributes.emplace(name, std::move(attribute));
    }
  }
  return message;
}

std::size_t size_bytes(std::string_view text, const MessageAttributes& attributes) {
  std::size_t size = text.size();
  for (const auto& [name, attribute] : attributes) size += name.size() + attribute.type.size() + attribute.value.size();
  return size;
}

std::string string_to_sign(const Message& message, std::string_view text, std::string_view subscribe_url) {
  std::string out;
  const auto line = [&out](std::string_view name, std::string_view value) {
    out.append(name).append("\n").append(value).append("\n");
  };
  const bool confirmation = message.type == Message::Type::kSubscriptionConfirmation;
  line("Message", text);
  line("MessageId", message.id);
  if (confirmation) line("SubscribeURL", subscribe_url);
  if (!confirmation && message.subject) line("Subject", *message.subject);
  line("Timestamp", format_iso8601_ms(message.published));
  if (confirmation) line("Token", message.token);
  line("TopicArn", message.topic_arn);
  line("Type", confirmation ? "SubscriptionConfirmation" : "Notification");
  return out;
}

std::string notification_document(const Message& message, const Envelope& envelope) {
  const bool confirmation = message.type == Message::Type::kSubscriptionConfirmation;
  std::string out = "{";
  const auto member = [&out](std::string_view name, std::string_view value) {
    fmt::format_to(std::back_inserter(out), "{}\n  \"{}\" : {}", out.size() == 1 ? "" : ",", name, quoted(value));
  };
  member("Type", confirmation ? "SubscriptionConfirmation" : "Notification");
  member("MessageId", message.id);
  if (message.is_fifo()) member("SequenceNumber", message.sequence_number);
  if (confirmation) member("Token", message.token);
  member("TopicArn", message.topic_arn);
  if (message.subject) member("Subject", *message.subject);
  member("Message", envelope.text);
  if (confirmation) member("SubscribeURL", envelope.subscribe_url);
  member("Timestamp", format_iso8601_ms(message.published));
  if (!envelope.signature.empty()) {
    member("SignatureVersion", message.signature_version);
    member("Signature", envelope.signature);
    member("SigningCertURL", envelope.certificate_url);
  }
  if (!confirmation) member("UnsubscribeURL", envelope.unsubscribe_url);
  if (!message.attributes.empty()) {
    out += ",\n  \"MessageAttributes\" : {";
    bool first = true;
    for (const auto& [name, attribute] : message.attributes) {
      fmt::format_to(std::back_inserter(out), "{}\n    {} : {{\"Type\":{},\"Value\":{}}}",
                     std::exchange(first, false) ? "" : ",", quoted(name), quoted(attribute.type),
                     quoted(shown_value(attribute)));
    }
    out += "\n  }";
  }
  out += "\n}";
  return out;
}

std::string lambda_event(const Message& message, const Envelope& envelope, std::string_view subscription_arn) {
  json::Object attributes;
  for (const auto& [name, attribute] : message.attributes) {
    attributes.append(name, json::Object{{"Type", attribute.type}, {"Value", shown_value(attribute)}});
  }
  json::Object sns;
  sns.append("Type", "Notification");
  sns.append("MessageId", message.id);
  sns.append("TopicArn", message.topic_arn);
  sns.append("Subject", message.subject ? json::Value(*message.subject) : json::Value());
  sns.append("Message", envelope.text);
  sns.append("Timestamp", format_iso8601_ms(message.published));
  sns.append("SignatureVersion", message.signature_version);
  sns.append("Signature", envelope.signature);
  sns.append("SigningCertUrl", envelope.certificate_url);
  sns.append("UnsubscribeUrl", envelope.unsubscribe_url);
  sns.append("MessageAttributes", std::move(attributes));
  json::Object record;
  record.append("EventSource", "aws:sns");
  record.append("EventVersion", "1.0");
  record.append("EventSubscriptionArn", subscription_arn);
  record.append("Sns", std::move(sns));
  return json::serialize(json::Object{{"Records", json::Array{json::Value(std::move(record))}}});
}

}  // namespace lambdad::sns
