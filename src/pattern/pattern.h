/// Event patterns: JSON documents that say which events are wanted.
///
///   auto wanted = Pattern::compile(R"({"source": ["shop"], "detail": {"amount": [{"numeric": [">", 100]}]}})",
///                                  Dialect::kEventBridge);
///   if (wanted && wanted->matches(event)) ...
///
/// A pattern is an object. Its leaves are non-empty arrays, whose members are joined by or; its fields are joined by
/// and. An event matches when for every leaf one value at the same path matches:
///
/// | in the array | matches |
/// | --- | --- |
/// | `"a"` `{"exact": "a"}` | that string |
/// | `1` `true` `null` | numbers of that value (1, 1.0 and 1e0 are one value); that word |
/// | `{"prefix": "a"}` `{"suffix": "a"}` | strings; the operand may be `{"equals-ignore-case": "a"}` |
/// | `{"equals-ignore-case": "a"}` | strings, without regard to case |
/// | `{"wildcard": "a*b"}` | strings; `*` is any text, `\*` and `\\` are characters |
/// | `{"numeric": [">", 0, "<=", 5]}` | numbers; = < <= > >= |
/// | `{"cidr": "10.0.0.0/24"}` | strings that are addresses in the block, from the given address on |
/// | `{"exists": true}` `{"exists": false}` | any value that is no object and no array; the absence of one |
/// | `{"anything-but": X}` | any such value that X does not match: a string, a number, a list of either, or an object |
/// |  | with prefix, suffix, equals-ignore-case or wildcard and a string or a list of them |
/// | `"$or": [{...}, {...}]` beside fields | one of the objects, in the place of the `$or` |
///
/// Arrays in events: a leaf matches when one element does. Values of one array's objects count together only when they
/// come from the same element. `exists: false` asks for the absence from the elements that the other fields chose. A
/// dot in a key is the same as nesting. Of fields named twice the last one counts.
///
/// Case is folded by simple rules for the Latin, Greek, Cyrillic, Armenian and full-width letters.
/// Source: Amazon EventBridge User Guide, "Creating event patterns"; Lambda Developer Guide, "Event filtering"; Amazon
/// SNS Developer Guide, "Message filtering".
#pragma once

#include <concepts>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace lambdad::pattern {

/// Who asks. The language is one; what is allowed of it differs.
///
/// |  | bus rules | mapping filters | SNS attributes | SNS body |
/// | --- | --- | --- | --- | --- |
/// | operands of `numeric` | any | -5e9..5e9 | -1e9..1e9 | -1e9..1e9 |
/// | `anything-but` with `suffix` or `equals-ignore-case` | yes | yes | no | no |
/// | objects inside the pattern | yes | yes | no | yes |
/// | keys | any | any | 5 | 5 |
/// | combinations of values | any | any | 150 | 150 |
///
/// The alternatives that `$or` makes are at most 1,000, stars in one operand of `wildcard` at most 5, a pattern at most
/// 100 levels deep. AWS measures the complexity of wildcards in an unpublished way; the number of stars is ours.
enum class Dialect { kEventBridge, kMappingFilter, kSnsAttributes, kSnsBody };

struct Rule;  // compile.h

/// One compiled pattern. A value that is cheap to copy; immutable and safe to share between threads.
class Pattern {
 public:
  /// Errc::kInvalid; `detail` is AWS's text for what is wrong, without a position: `Unrecognized match type prefx`.
  static Result<Pattern> compile(const json::Value& document, Dialect dialect);
  template <std::convertible_to<std::string_view> Text>
  static Result<Pattern> compile(const Text& text, Dialect dialect) {
    return compile_text(text, dialect);
  }

  /// False for events that are no objects.
  bool matches(const json::Value& event) const;
  /// Whether the pattern says something of `key` at the top level: nothing, of its value (`"key": [...]`), of what is
  /// inside it (`"key": {...}`), or both in different alternatives.
  struct Mention {
    bool value = false;
    bool inside = false;
  };
  Mention mention(std::string_view key) const;

  const Rule& rule() const { return *rule_; }

 private:
  static Result<Pattern> compile_text(std::string_view text, Dialect dialect);
  explicit Pattern(std::shared_ptr<const Rule> rule) : rule_(std::move(rule)) {}
  std::shared_ptr<const Rule> rule_;
};

}  // namespace lambdad::pattern
