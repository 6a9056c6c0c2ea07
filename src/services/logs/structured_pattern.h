#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "base/json.h"

namespace lambdad::logs {

/// A filter pattern over the members of JSON events or over the fields of space-delimited ones.
///
/// | pattern | matches |
/// | --- | --- |
/// | `{ $.level = "ERROR" }` | JSON objects whose member is that string; `*` in it stands for any characters |
/// | `{ $.code = 4* }` | text beginning with 4, of a string or a number |
/// | `{ $.ms >= 1.5e3 }` | numbers: = != < > <= >= |
/// | `{ $.a IS NULL }` `IS TRUE` `IS FALSE` `{ $.a NOT EXISTS }` | |
/// | `{ ($.a = 1 \|\| $.b[0].c != "x") && $.d[*] > 2 }` | && binds tighter than \|\| |
/// | `[ip, user, ..., status = 4*, bytes > 1000]` | lines with as many fields; `...` stands for any number of them |
/// | `[level = ERROR \|\| level = WARN, ...]` | conditions on one field; its name is free |
///
/// A field ends at a space, but "..." and [...] hold one together. A comparison with a member that is absent, or of
/// another kind, is false, also !=. Refused by name: regular expressions `%...%`. At most 32 parentheses inside one
/// another. Source: CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters, filter
/// log events, and Live Tail".
class StructuredPattern {
 public:
  /// For text that begins with '{' or '['. InvalidParameterException for what is no pattern.
  static aws::Outcome<std::shared_ptr<const StructuredPattern>> parse(std::string_view text);
  /// Thread-safe.
  bool matches(std::string_view message) const;

  struct Step {
    enum Kind { kMember, kIndex, kAny } kind = kMember;
    std::string name;
    std::size_t index = 0;
  };
  struct Condition {
    enum Test {
      kEqual,
      kNotEqual,
      kLess,
      kGreater,
      kLessOrEqual,
      kGreaterOrEqual,
      kNull,
      kTrue,
      kFalse,
      kAbsent,
      kAlways
    };
    Test test = kAlways;
    std::vector<Step> path;        ///< of JSON patterns
    std::string text;              ///< to compare with; '*' are wildcards
    std::optional<double> number;  ///< set when the text is an unquoted number
  };
  /// A condition, or the conjunction or disjunction of children.
  struct Node {
    enum Kind { kCondition, kAnd, kOr } kind = kCondition;
    Condition condition;
    std::vector<Node> children;
  };
  struct Field {
    bool any_number = false;  ///< "..."
    Node node;
  };

 private:
  bool is_json_ = false;
  Node root_;                  ///< JSON
  std::vector<Field> fields_;  ///< space-delimited
};

/// The fields of a space-delimited line, without the quotes or brackets that hold one together.
std::vector<std::string_view> split_fields(std::string_view line);
/// Whether `text` is `pattern`, in which '*' stands for any characters. Linear in their product at worst.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace lambdad::logs
