#include "pattern/pattern.h"

#include "pattern/compile.h"

namespace lambdad::pattern {

Result<Pattern> Pattern::compile_text(std::string_view text, Dialect dialect) {
  auto document = json::parse(text);
  if (!document) return fail(Errc::kInvalid, "{}", document.error().detail);
  return compile(*document, dialect);
}

Result<Pattern> Pattern::compile(const json::Value& document, Dialect dialect) {
  LD_TRY(auto rule, compile_rule(document, dialect));
  return Pattern(std::make_shared<const Rule>(std::move(rule)));
}

bool Pattern::matches(const json::Value& event) const {
  const auto* object = event.if_object();
  if (object == nullptr) return false;
  EventFields fields;
  rule_->fields.collect(*object, fields);
  return std::ranges::any_of(rule_->alternatives,
                             [&](const Alternative& alternative) { return holds(alternative, fields); });
}

Pattern::Mention Pattern::mention(std::string_view key) const {
  Mention mention;
  for (std::uint32_t slot = 0; slot < rule_->fields.slots(); ++slot) {
    const std::string_view path = rule_->fields.path(slot);
    if (!path.starts_with(key)) continue;
    if (path.size() == key.size()) mention.value = true;
    if (path.size() > key.size() && path[key.size()] == '.') mention.inside = true;
  }
  return mention;
}

}  // namespace lambdad::pattern
