#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace lambdad::pattern {

/// The same text for numbers of the same value, however long: "1.0", "1e0" and "1" are "1". `number` is a JSON number.
std::string canonical_number(std::string_view number);

/// Folds letters of Latin, Greek, Cyrillic, Armenian and full-width scripts to lower case, one character to one.
std::string fold_case(std::string_view utf8);

/// A block of addresses; IPv4 and IPv6 are separate.
struct AddressRange {
  std::string low;  ///< 4 or 16 bytes, network order
  std::string high;
};
/// 4 or 16 bytes; nullopt for what is no address in the usual notation.
std::optional<std::string> parse_address(std::string_view text);

/// One operator with its operand, as one member of a leaf's array. Immutable once compiled.
struct Matcher {
  enum class Kind : std::uint8_t {
    kString,  ///< text
    kNumber,  ///< text: canonical
    kTrue,
    kFalse,
    kNull,
    kPrefix,      ///< text
    kPrefixFold,  ///< text: folded
    kSuffix,
    kSuffixFold,
    kFold,
    kWildcard,  ///< pieces: the text between stars
    kRange,     ///< low, high
    kCidr,      ///< addresses
    kExists,
    kAbsent,      ///< never matches a value
    kAnythingBut  ///< none of `but` matches; or, faster, of the sorted `texts`
  };
  Kind kind = Kind::kExists;
  bool low_open = false;
  bool high_open = false;
  double low = 0;
  double high = 0;
  std::string text;
  std::vector<std::string> pieces;
  AddressRange addresses;
  /// Of kAnythingBut: matchers of one value each, or with `texts` (sorted) strings alone.
  std::vector<Matcher> but;
  std::vector<std::string> texts;

  /// `value` is a string, a number, true, false or null.
  bool matches(const json::Value& value) const;
};

}  // namespace lambdad::pattern
