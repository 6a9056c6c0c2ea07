#include "event_sources/mappings/mapping.h"

#include <array>
#include <utility>

namespace lambdad::event_sources {

namespace {
constexpr std::array<std::pair<MappingState, std::string_view>, 7> kStates = {{
    {MappingState::kCreating, "Creating"},
    {MappingState::kEnabling, "Enabling"},
    {MappingState::kEnabled, "Enabled"},
    {MappingState::kDisabling, "Disabling"},
    {MappingState::kDisabled, "Disabled"},
    {MappingState::kUpdating, "Updating"},
    {MappingState::kDeleting, "Deleting"},
}};
}  // namespace

std::string_view to_string(MappingState state) {
  for (const auto& [known, text] : kStates) {
    if (known == state) return text;
  }
  return {};
}

std::optional<MappingState> mapping_state(std::string_view text) {
  for (const auto& [state, known] : kStates) {
    if (known == text) return state;
  }
  return std::nullopt;
}

aws::lambda::EventSourceMappingConfiguration Mapping::shown() const {
  auto result = configuration;
  result.state = std::string(to_string(state));
  return result;
}

json::Value to_document(const Mapping& mapping) {
  json::Object tags;
  for (const auto& [key, value] : mapping.tags) tags.append(key, value);
  return json::Object{{"account", mapping.account},
                      {"region", mapping.region},
                      {"enabled", mapping.enabled},
                      {"tags", std::move(tags)},
                      {"configuration", aws::lambda::to_document(mapping.shown())}};
}

Result<Mapping> mapping_from_document(json::Value document) {
  const json::Value* account = document.find("account");
  const json::Value* region = document.find("region");
  const json::Value* enabled = document.find("enabled");
  const json::Value* configuration = document.find("configuration");
  if (account == nullptr || !account->is_string() || region == nullptr || !region->is_string() || enabled == nullptr ||
      !enabled->is_bool() || configuration == nullptr) {
    return fail(Errc::kCorrupt, "a stored mapping lacks members");
  }
  Mapping mapping;
  mapping.account = *account->if_string();
  mapping.region = *region->if_string();
  mapping.enabled = *enabled->if_bool();
  // Rows of earlier versions have none.
  if (const json::Value* tags = document.find("tags"); tags != nullptr && tags->is_object()) {
    for (const auto& [key, value] : *tags->if_object()) {
      if (!value.is_string()) return fail(Errc::kCorrupt, "a stored mapping has a tag that is no text");
      mapping.tags[key] = *value.if_string();
    }
  }
  if (auto decoded = aws::lambda::decode(json::Value(*configuration), mapping.configuration); !decoded) {
    return fail(Errc::kCorrupt, "a stored mapping: {}", decoded.error().detail);
  }
  const auto& c = mapping.configuration;
  const auto state = c.state ? mapping_state(*c.state) : std::nullopt;
  const auto function = c.function_arn ? FunctionArn::parse(*c.function_arn) : std::nullopt;
  const auto source = c.event_source_arn ? Arn::parse(*c.event_source_arn) : std::nullopt;
  if (!c.uuid || !state || !function || !source) return fail(Errc::kCorrupt, "a stored mapping lacks its identity");
  mapping.state = *state;
  mapping.function = {function->account, function->region, function->name, function->qualifier};
  mapping.source = *source;
  mapping.configuration.state.reset();
  return mapping;
}

}  // namespace lambdad::event_sources
