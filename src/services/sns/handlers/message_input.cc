#include "services/sns/handlers/message_input.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/hash.h"
#include "services/sns/handlers/common.h"

namespace lambdad::sns {

namespace {

std::unexpected<aws::Error> bad_attribute(std::string message) {
  return std::unexpected(api::invalid_parameter_value(std::move(message)));
}

Outcome<void> check_attribute_name(std::string_view name) {
  if (name.empty()) return bad_attribute("The request must contain non-empty message attribute names.");
  if (name.size() > 256) return bad_attribute("Length of message attribute name must be less than 256 bytes.");
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (!plain) {
    return bad_attribute(
        "Invalid non-alphanumeric character was found in the message attribute name. Can only include alphanumeric "
        "characters, hyphens, underscores, or dots.");
  }
  if (name.starts_with('.'))
    return bad_attribute("Invalid message attribute name starting with character '.' was found.");
  if (name.ends_with('.')) return bad_attribute("Invalid message attribute name ending with character '.' was found.");
  if (name.find("..") != name.npos) {
    return bad_attribute("Message attribute name can not have successive '.' character.");
  }
  return {};
}

Outcome<MessageAttribute> check_attribute(const std::string& name, api::MessageAttributeValue value) {
  LD_TRY_VOID(check_attribute_name(name));
  const std::string kind = value.data_type.substr(0, value.data_type.find('.'));
  if (value.data_type.empty()) {
    return bad_attribute(
        fmt::format("The message attribute '{}' must contain non-empty message attribute type.", name));
  }
  if (kind != "String" && kind != "Number" && kind != "Binary") {
    return bad_attribute(
        fmt::format("The message attribute '{}' has an invalid message attribute type, the set of supported type "
                    "prefixes is Binary, Number, and String.",
                    name));
  }
  MessageAttribute out;
  const bool binary = kind == "Binary";
  if (binary ? value.string_value.has_value() : value.binary_value.has_value()) {
    return bad_attribute(fmt::format("The message attribute '{}' with type '{}' must use field '{}'.", name,
                                     value.data_type, binary ? "Binary" : "String"));
  }
  out.value = (binary ? value.binary_value : value.string_value).value_or("");
  if (out.value.empty()) {
    return bad_attribute(fmt::format(
        "The message attribute '{}' must contain non-empty message attribute value for message attribute type '{}'.",
        name, value.data_type));
  }
  if (kind == "Number") {
    const auto number = json::parse(out.value);
    if (!number || !number->is_number()) {
      return bad_attribute(fmt::format("Could not cast message attribute '{}' value to number.", name));
    }
  }
  out.type = std::move(value.data_type);
  return out;
}

bool is_subject(std::string_view subject) {
  if (subject.empty() || subject.size() > kSubjectLengthMax) return false;
  return subject.front() != ' ' && std::ranges::all_of(subject, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// Letters, digits and punctuation, as AWS allows in group and deduplication ids.
bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= kGroupIdLengthMax &&
         std::ranges::all_of(id, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::size_t size_bytes(const MessageInput& input) {
  std::size_t size = input.message.size();
  if (!input.attributes) return size;
  for (const auto& [name, value] : *input.attributes) {
    size += name.size() + value.data_type.size() + value.string_value.value_or("").size() +
            value.binary_value.value_or("").size();
  }
  return size;
}

Outcome<Hub::NewMessage> check_message(const LiveTopic& topic, MessageInput input) {
  const auto invalid = [](std::string_view what) { return std::unexpected(invalid_parameter(what)); };
  Hub::NewMessage message;
  if (input.message.empty()) return invalid("Empty message");
  if (input.subject && !is_subject(*input.subject)) return invalid("Subject");
  message.subject = std::move(input.subject);
  message.text = std::move(input.message);
  if (input.structure && !input.structure->empty()) {
    if (*input.structure != "json") return invalid("MessageStructure");
    const auto document = json::parse(message.text);
    if (!document || !document->is_object()) {
      return invalid("Message Structure - JSON message body failed to parse");
    }
    const json::Value* fallback = document->find("default");
    if (fallback == nullptr || fallback->if_string() == nullptr) {
      return invalid("Message Structure - No default entry in JSON message body");
    }
    for (const auto& [protocol, text] : *document->if_object()) {
      // Entries for protocols unknown to SNS are ignored, as AWS does.
      if (text.if_string() != nullptr && parse_protocol(protocol)) message.texts.emplace(protocol, *text.if_string());
    }
    message.text = *fallback->if_string();
  }
  if (input.attributes) {
    for (auto& [name, value] : *input.attributes) {
      LD_TRY(auto attribute, check_attribute(name, std::move(value)));
      message.attributes.emplace(name, std::move(attribute));
    }
  }
  if (input.group_id && !is_id(*input.group_id)) return invalid("MessageGroupId");
  message.group_id = std::move(input.group_id).value_or("");
  if (!topic.attributes.fifo()) {
    if (input.deduplication_id) {
      return invalid(
          "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for "
          "this topic type");
    }
    return message;
  }
  if (message.group_id.empty()) return invalid("The MessageGroupId parameter is required for FIFO topics");
  if (input.deduplication_id) {
    if (!is_id(*input.deduplication_id)) return invalid("MessageDeduplicationId");
    message.deduplication_id = std::move(*input.deduplication_id);
  } else if (topic.attributes.content_based_deduplication()) {
    message.deduplication_id = hex_encode(sha256(message.text));
  } else {
    return invalid(
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly");
  }
  return message;
}

}  // namespace lambdad::sns
