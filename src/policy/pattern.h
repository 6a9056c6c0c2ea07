/// What the texts of a policy match.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lambdad::policy {

/// The keys of a request that conditions and variables ask for. Names without regard to case; a key has one value or
/// several. A key that is absent is not the same as one that is empty.
class Context {
 public:
  using Values = std::vector<std::string>;
  void set(std::string_view key, std::string value) { set(key, Values{std::move(value)}); }
  void set(std::string_view key, Values values);
  /// Null when absent.
  const Values* find(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, Values>> entries_;  // keys in lower case; a dozen of them
};

/// Literal text with wildcards, made from a text of a policy by expand().
class Pattern {
 public:
  /// `text` as it stands: `*` matches any run of characters, `?` any one. `wildcards` false: all of it is literal.
  static Pattern plain(std::string_view text, bool wildcards = true);
  /// The same with ${key}, ${key, 'default'}, ${*}, ${?} and ${$} replaced; what a value holds is literal. nullopt when
  /// a key is absent, or has several values, and has no default: such a text matches nothing.
  static std::optional<Pattern> expand(std::string_view text, const Context& context, bool wildcards = true);

  bool matches(std::string_view text, bool ignore_case = false) const;
  /// As an ARN: each of the six parts for itself, so that a wildcard does not reach over a colon except in the last. A
  /// pattern with fewer parts is matched whole.
  bool matches_arn(std::string_view arn) const;

 private:
  using Char = char16_t;  // a byte, or one of the two below
  static constexpr Char kAnyRun = 0x100, kAnyOne = 0x101;
  static bool run(std::basic_string_view<Char> pattern, std::string_view text, bool ignore_case);
  std::basic_string<Char> chars_;
};

/// Actions: without regard to case, with wildcards.
bool action_matches(std::string_view pattern, std::string_view action);

}  // namespace lambdad::policy
