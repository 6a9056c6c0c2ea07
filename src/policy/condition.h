/// The Condition element.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/pattern.h"

namespace lambdad::policy {

/// One line of a Condition: an operator, a key, and the values of which one must match.
struct Condition {
  enum class Type { kString, kStringIgnoreCase, kStringLike, kNumeric, kDate, kBool, kBinary, kIp, kArn, kNull };
  enum class Order { kEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
  enum class Set { kNone, kForAll, kForAny };
  Type type = Type::kString;
  Order order = Order::kEqual;  ///< of numbers and dates
  bool negated = false;         ///< ...NotEquals, ...NotLike, NotIpAddress
  bool if_exists = false;
  Set set = Set::kNone;
  std::string key;
  std::vector<std::string> values;
};

/// Reads an operator's name ("ForAnyValue:StringLikeIfExists") into a Condition without key and values; nullopt when it
/// is none. Names are compared without regard to case, as IAM does.
std::optional<Condition> read_operator(std::string_view name);

/// Whether the request fulfils `condition`. `variables`: ${...} in the values of string and ARN operators stand for
/// values of the request.
///
/// A key that the request lacks fails a positive operator and fulfils a negated one, and fulfils both with IfExists and
/// with ForAllValues. A negated operator holds when no value matches. A key with several values and an operator
/// without ForAllValues or ForAnyValue is taken as with ForAnyValue. A value that is not of the operator's type matches
/// nothing. Source: IAM User Guide, "IAM JSON policy elements: Condition operators".
bool holds(const Condition& condition, const Context& context, bool variables);

}  // namespace lambdad::policy
