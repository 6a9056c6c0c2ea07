#include "services/sqs/message.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"

namespace lambdad::sqs {

std::string Uuid::text() const {
  const std::string hex = hex_encode(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < hex.size(); ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text += '-';
    text += hex[i];
  }
  return text;
}

std::optional<Uuid> Uuid::from_bytes(std::string_view bytes) {
  Uuid uuid;
  if (bytes.size() != uuid.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(uuid.bytes.data()));
  return uuid;
}

const MessageAttributes& MessageContent::attributes() const {
  static const MessageAttributes none;
  return extras ? extras->attributes : none;
}

MessageContent MessageContent::moved(WallTime at) const {
  return {.message_id = message_id,
          .md5_of_body = md5_of_body,
          .sent_at = at,
          .sender_id = sender_id,
          .body = body,
          .extras = extras ? std::make_unique<const Extras>(*extras) : nullptr};
}

namespace {
void append_sized(std::string& out, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xff);
  out += bytes;
}
}  // namespace

std::string md5_of_attributes(const MessageAttributes& attributes) {
  std::string encoded;
  for (const auto& [name, attribute] : attributes) {
    append_sized(encoded, name);
    append_sized(encoded, attribute.data_type);
    encoded += attribute.is_binary() ? '\2' : '\1';
    append_sized(encoded, attribute.value);
  }
  return hex_encode(md5(encoded));
}

std::array<std::uint8_t, 16> md5_raw(std::string_view bytes) {
  const std::string digest = md5(bytes);
  std::array<std::uint8_t, 16> raw;
  LD_CHECK(digest.size() == raw.size());
  std::copy(digest.begin(), digest.end(), reinterpret_cast<char*>(raw.data()));
  return raw;
}

std::size_t message_size_bytes(std::string_view body, const MessageAttributes& attributes) {
  std::size_t size = body.size();
  for (const auto& [name, attribute] : attributes) {
    size += name.size() + attribute.data_type.size() + attribute.value.size();
  }
  return size;
}

std::string encode_attributes(const MessageAttributes& attributes) {
  json::Object document;
  for (const auto& [name, attribute] : attributes) {
    json::Object value;
    value.append("type", attribute.data_type);
    if (attribute.is_binary()) {
      value.append("base64", base64_encode(attribute.value));
    } else {
      value.append("text", attribute.value);
    }
    document.append(name, std::move(value));
  }
  return json::serialize(document);
}

Result<MessageAttributes> decode_attributes(std::string_view text) {
  const auto document = json::parse(text);
  if (!document) return fail(Errc::kCorrupt, "attributes of a message: {}", document.error().detail);
  const json::Object* members = document->if_object();
  if (members == nullptr) return fail(Errc::kCorrupt, "attributes of a message are not an object");
  MessageAttributes attributes;
  for (const auto& [name, value] : *members) {
    const json::Value* type = value.find("type");
    const json::Value* plain = value.find("text");
    const json::Value* base64 = value.find("base64");
    if (type == nullptr || type->if_string() == nullptr)
      return fail(Errc::kCorrupt, "attribute '{}' has no type", name);
    MessageAttribute attribute{*type->if_string(), {}};
    if (plain != nullptr && plain->if_string() != nullptr) {
      attribute.value = *plain->if_string();
    } else if (base64 != nullptr && base64->if_string() != nullptr) {
      auto bytes = base64_decode(*base64->if_string());
      if (!bytes) return fail(Errc::kCorrupt, "attribute '{}' is not base64", name);
      attribute.value = std::move(*bytes);
    } else {
      return fail(Errc::kCorrupt, "attribute '{}' has no value", name);
    }
    attributes.emplace(name, std::move(attribute));
  }
  return attributes;
}

}  // namespace lambdad::sqs
