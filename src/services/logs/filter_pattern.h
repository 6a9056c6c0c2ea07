#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "services/logs/structured_pattern.h"

namespace lambdad::logs {

/// A filter pattern, as FilterLogEvents takes it: for unstructured events, or a StructuredPattern.
///
/// | pattern | matches a message that holds |
/// | --- | --- |
/// | empty | anything |
/// | `ERROR timeout` | both terms |
/// | `"out of memory"` | the phrase; `\"` and `\\` stand for themselves |
/// | `?ERROR ?WARN` | one of the terms |
/// | `ERROR -retry` | the first and not the second |
/// | `{ $.a = 1 }`, `[a, b = 1]` | see StructuredPattern |
///
/// Case counts; a term may stand inside a word. An unquoted term holds letters, digits and underscores.
/// Refused by name: regular expressions `%...%`, and `?` beside terms without it. Source: CloudWatch Logs User Guide,
/// "Filter pattern syntax".
class FilterPattern {
 public:
  /// Matches everything.
  FilterPattern() = default;
  /// InvalidParameterException for what is no pattern; NotImplementedException for what is refused by name.
  static aws::Outcome<FilterPattern> parse(std::string_view text);
  /// Thread-safe.
  bool matches(std::string_view message) const;
  bool matches_everything() const { return !structured_ && all_.empty() && any_.empty() && none_.empty(); }

 private:
  std::vector<std::string> all_;
  std::vector<std::string> any_;
  std::vector<std::string> none_;
  std::shared_ptr<const StructuredPattern> structured_;
};

}  // namespace lambdad::logs
