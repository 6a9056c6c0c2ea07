#include "services/sns/filter_policy.h"

#include "aws/gen/sns.h"

namespace lambdad::sns {

namespace {

/// The attributes as a pattern sees them: strings, numbers, and what is in a String.Array. Binary ones are not seen.
/// nullopt when a value is not what its type says.
std::optional<json::Value> attributes_document(const MessageAttributes& attributes) {
  json::Object out;
  for (const auto& [name, attribute] : attributes) {
    if (attribute.is_binary()) continue;
    if (attribute.type == "String.Array") {
      auto array = json::parse(attribute.value);
      if (!array || !array->is_array()) return std::nullopt;
      out.append(name, std::move(*array));
    } else if (attribute.type.starts_with("Number")) {
      auto number = json::parse(attribute.value);
      if (!number || !number->is_number()) return std::nullopt;
      out.append(name, std::move(*number));
    } else {
      out.append(name, json::Value(attribute.value));
    }
  }
  return json::Value(std::move(out));
}

}  // namespace

aws::Outcome<FilterPolicy> FilterPolicy::parse(std::string_view text, Scope scope) {
  const auto invalid = [](std::string_view reason) {
    return std::unexpected(aws::sns::invalid_parameter(fmt::format("Invalid parameter: FilterPolicy: {}", reason)));
  };
  const auto document = json::parse(text);
  if (!document) return invalid("failed to parse JSON.");
  if (!document->is_object()) return invalid("Filter policy must be an object");
  if (document->if_object()->empty()) return FilterPolicy(std::nullopt, scope);
  auto compiled = pattern::Pattern::compile(
      *document, scope == Scope::kMessageBody ? pattern::Dialect::kSnsBody : pattern::Dialect::kSnsAttributes);
  if (!compiled) return invalid(compiled.error().detail);
  return FilterPolicy(std::move(*compiled), scope);
}

FilterPolicy::Verdict FilterPolicy::judge(const Message& message, Protocol protocol) const {
  if (!pattern_) return Verdict::kPasses;
  if (scope_ == Scope::kMessageBody) {
    const auto body = json::parse(message.text_for(protocol));
    if (!body || !body->is_object()) return Verdict::kInvalidBody;
    return pattern_->matches(*body) ? Verdict::kPasses : Verdict::kFilteredOut;
  }
  const auto attributes = attributes_document(message.attributes);
  if (!attributes) return Verdict::kInvalidAttributes;
  if (pattern_->matches(*attributes)) return Verdict::kPasses;
  return message.attributes.empty() ? Verdict::kNoAttributes : Verdict::kFilteredOut;
}

}  // namespace lambdad::sns
