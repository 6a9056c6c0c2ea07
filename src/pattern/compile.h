#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "pattern/event_fields.h"
#include "pattern/matcher.h"
#include "pattern/pattern.h"

namespace lambdad::pattern {

/// Limits of every dialect.
inline constexpr std::size_t kAlternativesMax = 1000;
inline constexpr std::size_t kStarsMax = 5;
inline constexpr std::size_t kDepthMax = 100;

/// One leaf of a pattern: a value at the slot's path matches one of `matchers`, or none is there and that is allowed.
struct Condition {
  std::uint32_t slot = 0;
  std::uint32_t shared_depth = 0;  ///< most segments that its path begins alike with a later or an absent condition's
  bool absent = false;             ///< `exists: false` is among them
  std::vector<Matcher> matchers;   ///< without the absent one

  bool matches(const json::Value& value) const;
};

/// Conditions that must hold together, by path.
using Alternative = std::vector<Condition>;

/// A compiled pattern: it matches when one alternative does.
struct Rule {
  FieldIndex fields;
  std::vector<Alternative> alternatives;
};

/// Errors: see Pattern::compile().
Result<Rule> compile_rule(const json::Value& document, Dialect dialect);

/// Whether `alternative` holds for an event whose values were found by the index that its slots are of.
bool holds(const Alternative& alternative, const EventFields& fields);

}  // namespace lambdad::pattern
