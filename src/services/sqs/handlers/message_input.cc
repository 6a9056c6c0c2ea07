#include "services/sqs/handlers/message_input.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/utf8.h"

namespace lambdad::sqs {

namespace {

std::unexpected<aws::Error> refuse(std::string message) {
  return std::unexpected(aws::sqs::invalid_parameter_value(std::move(message)));
}

std::unexpected<aws::Error> refuse_character(std::string_view character) {
  return std::unexpected(aws::sqs::invalid_message_contents(
      fmt::format("Invalid binary character '{}' was found in the message body, the set of allowed characters is #x9 | "
                  "#xA | #xD | [#x20 to #xD7FF] | [#xE000 to #xFFFD] | [#x10000 to #x10FFFF]",
                  character)));
}

bool is_attribute_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool is_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of double's range is still a number: 128 digits are allowed. "inf" and "nan" are none.
  const bool parsed = error == std::errc{} || error == std::errc::result_out_of_range;
  return parsed && end == text.data() + text.size() && text.find_first_of("0123456789") != text.npos;
}

/// One value of either kind of attribute; `name` is for the texts.
template <class Value>
Outcome<MessageAttribute> check_value(const std::string& name, Value value) {
  if (value.data_type.empty()) return refuse(fmt::format("The message attribute '{}' must contain a DataType.", name));
  const std::string_view kind = std::string_view(value.data_type).substr(0, value.data_type.find('.'));
  if (kind != "String" && kind != "Number" && kind != "Binary") {
    return refuse(
        fmt::format("The type of message (user) attribute '{}' is invalid. You must use only the following "
                    "supported type prefixes: Binary, Number, String.",
                    name));
  }
  if (value.data_type.size() > kAttributeNameLengthMax || value.data_type.ends_with('.') ||
      !std::ranges::all_of(value.data_type, is_attribute_name_character)) {
    return refuse(fmt::format("The type of message (user) attribute '{}' is invalid.", name));
  }
  if ((value.string_list_values && !value.string_list_values->empty()) ||
      (value.binary_list_values && !value.binary_list_values->empty())) {
    return std::unexpected(
        aws::sqs::unsupported_operation("Message attribute list values in SendMessage operation are not supported."));
  }
  MessageAttribute attribute{.data_type = std::move(value.data_type), .value = {}};
  auto& given = attribute.is_binary() ? value.binary_value : value.string_value;
  const auto& other = attribute.is_binary() ? value.string_value : value.binary_value;
  if (!given || given->empty()) {
    return refuse(fmt::format("Message (user) attribute '{}' must contain a non-empty value of type '{}'.", name,
                              attribute.is_binary() ? "Binary" : "String"));
  }
  if (other && !other->empty()) {
    return refuse(fmt::format("Message (user) attribute '{}' has conflicting values: its type is '{}'.", name,
                              attribute.data_type));
  }
  attribute.value = std::move(*given);
  if (!attribute.is_binary()) {
    if (const auto character = first_forbidden_character(attribute.value)) return refuse_character(*character);
  }
  if (attribute.data_type.starts_with("Number") && !is_number(attribute.value)) {
    return refuse(fmt::format("Can't cast the value of message (user) attribute '{}' to a number.", name));
  }
  return attribute;
}

Outcome<void> check_attribute_name(const std::string& name) {
  if (name.empty() || name.size() > kAttributeNameLengthMax) {
    return refuse("Message (user) attribute names must be shorter than 256 Bytes");
  }
  if (!std::ranges::all_of(name, is_attribute_name_character)) {
    return refuse(
        "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
        "hyphens and underscores.");
  }
  const std::string lower = to_lower(name);
  if (lower.starts_with("aws.") || lower.starts_with("amazon.") || name.starts_with('.') || name.ends_with('.') ||
      name.contains("..")) {
    return refuse(
        "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for "
        "internal use. Additionally, they cannot start or end with '.'.");
  }
  return {};
}

}  // namespace

std::optional<std::string> first_forbidden_character(std::string_view text) {
  if (is_xml_char_data(text)) return std::nullopt;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Utf8Character character = decode_utf8(at, end);
    if (character.size == 0) return fmt::format("#x{:X}", static_cast<std::uint8_t>(*at));
    if (!is_xml_char_data(std::string_view(at, character.size))) return fmt::format("#x{:X}", character.code_point);
    at += character.size;
  }
  return std::nullopt;
}

Outcome<MessageAttributes> check_attributes(std::map<std::string, aws::sqs::MessageAttributeValue> attributes) {
  if (attributes.size() > kMessageAttributesMax) {
    return refuse(fmt::format("Number of message attributes [{}] exceeds the allowed maximum [{}].", attributes.size(),
                              kMessageAttributesMax));
  }
  MessageAttributes checked;
  for (auto& [name, value] : attributes) {
    if (auto named = check_attribute_name(name); !named) return std::unexpected(std::move(named.error()));
    auto attribute = check_value(name, std::move(value));
    if (!attribute) return std::unexpected(std::move(attribute.error()));
    checked.emplace(name, std::move(*attribute));
  }
  return checked;
}

Outcome<void> check_fifo_parameters(const LiveQueue& queue, const std::optional<std::string>& group_id,
                                    const std::optional<std::string>& deduplication_id,
                                    aws::Error (*error)(std::string)) {
  if (!group_id) return std::unexpected(error("The request must contain the parameter MessageGroupId."));
  if (!deduplication_id && !queue.attributes.content_based_deduplication()) {
    return refuse(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly");
  }
  return {};
}

bool is_group_id(std::string_view id) {
  return !id.empty() && id.size() <= kGroupIdLengthMax &&
         std::ranges::all_of(id, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string sequence_number(RowId row) { return fmt::format("1{:019}", row); }

Outcome<CheckedMessage> check_message(const Call& call, const LiveQueue& queue, MessageInput input) {
  if (input.body.empty()) {
    return std::unexpected(aws::sqs::missing_required_parameter("The request must contain the parameter MessageBody."));
  }
  if (const auto character = first_forbidden_character(input.body)) return refuse_character(*character);
  const bool is_fifo = queue.fifo != nullptr;
  if (is_fifo) {
    auto checked = check_fifo_parameters(queue, input.group_id, input.deduplication_id,
                                         [](std::string text) { return aws::sqs::missing_required_parameter(text); });
    if (!checked) return std::unexpected(std::move(checked.error()));
  }
  if (input.deduplication_id && !is_fifo) {
    return std::unexpected(bad_value(*input.deduplication_id, "MessageDeduplicationId",
                                     "The request include parameter that is not valid for this queue type."));
  }
  if (input.deduplication_id && !is_group_id(*input.deduplication_id)) {
    return std::unexpected(bad_value(
        *input.deduplication_id, "MessageDeduplicationId",
        "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length."));
  }
  if (input.group_id && !is_group_id(*input.group_id)) {
    return std::unexpected(
        bad_value(*input.group_id, "MessageGroupId",
                  "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."));
  }
  if (is_fifo && input.delay_seconds.value_or(0) != 0) {
    return std::unexpected(bad_value(std::to_string(*input.delay_seconds), "DelaySeconds",
                                     "The request include parameter that is not valid for this queue type."));
  }
  const auto delay = checked_int(input.delay_seconds, static_cast<int>(queue.attributes.delay() / 1s), 0, kDelayMax,
                                 "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.");
  if (!delay) return std::unexpected(delay.error());

  CheckedMessage checked;
  MessageContent::Extras extras;
  if (input.attributes && !input.attributes->empty()) {
    auto attributes = check_attributes(std::move(*input.attributes));
    if (!attributes) return std::unexpected(std::move(attributes.error()));
    extras.attributes = std::move(*attributes);
    checked.md5_of_attributes = md5_of_attributes(extras.attributes);
  }
  if (input.system_attributes && !input.system_attributes->empty()) {
    MessageAttributes system;
    for (auto& [name, value] : *input.system_attributes) {
      if (name != "AWSTraceHeader") {
        return refuse(fmt::format("Message system attribute name '{}' is invalid.", name));
      }
      auto attribute = check_value(name, std::move(value));
      if (!attribute) return std::unexpected(std::move(attribute.error()));
      if (attribute->data_type != "String") {
        return refuse("Message system attribute 'AWSTraceHeader' must be of type 'String'.");
      }
      extras.trace_header = attribute->value;
      system.emplace(name, std::move(*attribute));
    }
    checked.md5_of_system_attributes = md5_of_attributes(system);
  }
  extras.group_id = input.group_id.value_or("");
  if (is_fifo)
    extras.deduplication_id = input.deduplication_id ? *input.deduplication_id : hex_encode(sha256(input.body));

  checked.size_bytes = message_size_bytes(input.body, extras.attributes);
  if (checked.size_bytes > queue.attributes.maximum_message_size()) {
    return refuse(fmt::format("One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                              queue.attributes.maximum_message_size()));
  }

  auto content = std::make_shared<MessageContent>();
  content->message_id = call.broker->new_message_id();
  content->md5_of_body = md5_raw(input.body);
  content->sent_at = call.broker->now();
  content->sender_id = call.context->account;
  content->body = std::move(input.body);
  if (extras != MessageContent::Extras{}) {
    content->extras = std::make_unique<const MessageContent::Extras>(std::move(extras));
  }
  checked.message_id = content->message_id.text();
  checked.md5_of_body = hex_encode(std::string_view(reinterpret_cast<const char*>(content->md5_of_body.data()), 16));
  checked.message = {.content = std::move(content), .delay = std::chrono::seconds(*delay)};
  return checked;
}

}  // namespace lambdad::sqs
