#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "aws/gen/lambda.h"
#include "base/arn.h"
#include "base/error.h"
#include "ports/functions.h"

namespace lambdad::event_sources {

/// Source: Lambda API reference, EventSourceMappingConfiguration, State.
enum class MappingState { kCreating, kEnabling, kEnabled, kDisabling, kDisabled, kUpdating, kDeleting };

std::string_view to_string(MappingState state);
std::optional<MappingState> mapping_state(std::string_view text);
/// Whether the mapping stays in `state` until somebody changes it; in the other states changes are refused.
constexpr bool is_settled(MappingState state) {
  return state == MappingState::kEnabled || state == MappingState::kDisabled;
}

/// One event source mapping as it is configured. What clients are shown is `configuration` itself: it carries every
/// setting of every kind of source, with the ones that do not belong to the source absent.
struct Mapping {
  aws::lambda::EventSourceMappingConfiguration configuration;
  std::string account;  ///< owner; the source may belong to another account
  std::string region;
  bool enabled = true;  ///< what the user wants; the state follows it
  MappingState state = MappingState::kCreating;
  ports::FunctionRef function;
  Arn source;
  std::map<std::string, std::string> tags;

  const std::string& uuid() const { return *configuration.uuid; }
  /// As clients see it now.
  aws::lambda::EventSourceMappingConfiguration shown() const;
  bool operator==(const Mapping&) const = default;
};

/// Rows hold the configuration document; account, region, enabled and tags stand beside it.
json::Value to_document(const Mapping& mapping);
/// kCorrupt when the document is not one that to_document() wrote.
Result<Mapping> mapping_from_document(json::Value document);

}  // namespace lambdad::event_sources
