#include "policy/condition.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/encoding.h"
#include "base/time.h"

namespace lambdad::policy {
namespace {

using Type = Condition::Type;
using Order = Condition::Order;

struct Operator {
  std::string_view name;
  Type type;
  Order order = Order::kEqual;
  bool negated = false;
};

constexpr Operator kOperators[] = {
    {"StringEquals", Type::kString},
    {"StringNotEquals", Type::kString, Order::kEqual, true},
    {"StringEqualsIgnoreCase", Type::kStringIgnoreCase},
    {"StringNotEqualsIgnoreCase", Type::kStringIgnoreCase, Order::kEqual, true},
    {"StringLike", Type::kStringLike},
    {"StringNotLike", Type::kStringLike, Order::kEqual, true},
    {"NumericEquals", Type::kNumeric},
    {"NumericNotEquals", Type::kNumeric, Order::kEqual, true},
    {"NumericLessThan", Type::kNumeric, Order::kLess},
    {"NumericLessThanEquals", Type::kNumeric, Order::kLessEqual},
    {"NumericGreaterThan", Type::kNumeric, Order::kGreater},
    {"NumericGreaterThanEquals", Type::kNumeric, Order::kGreaterEqual},
    {"DateEquals", Type::kDate},
    {"DateNotEquals", Type::kDate, Order::kEqual, true},
    {"DateLessThan", Type::kDate, Order::kLess},
    {"DateLessThanEquals", Type::kDate, Order::kLessEqual},
    {"DateGreaterThan", Type::kDate, Order::kGreater},
    {"DateGreaterThanEquals", Type::kDate, Order::kGreaterEqual},
    {"Bool", Type::kBool},
    {"BinaryEquals", Type::kBinary},
    {"IpAddress", Type::kIp},
    {"NotIpAddress", Type::kIp, Order::kEqual, true},
    // ArnEquals and ArnLike behave alike.
    {"ArnEquals", Type::kArn},
    {"ArnLike", Type::kArn},
    {"ArnNotEquals", Type::kArn, Order::kEqual, true},
    {"ArnNotLike", Type::kArn, Order::kEqual, true},
    {"Null", Type::kNull},
};

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (text.size() < prefix.size() || !equals_ignoring_case(text.substr(0, prefix.size()), prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// Seconds since 1970 of an ISO 8601 time, a date alone, or a number of seconds.
std::optional<double> date_of(std::string_view text) {
  if (auto seconds = number_of(text)) return seconds;
  auto time = parse_iso8601(text);
  if (!time) time = parse_iso8601(std::string(text) + "T00:00:00Z");
  if (!time) return std::nullopt;
  return static_cast<double>(to_epoch_ms(*time)) / 1000;
}

bool ordered(double given, double wanted, Order order) {
  switch (order) {
    case Order::kEqual: return given == wanted;
    case Order::kLess: return given < wanted;
    case Order::kLessEqual: return given <= wanted;
    case Order::kGreater: return given > wanted;
    case Order::kGreaterEqual: return given >= wanted;
  }
  return false;
}

struct Address {
  int family = 0;
  std::array<unsigned char, 16> bytes{};
  int bits() const { return family == AF_INET ? 32 : 128; }
};

std::optional<Address> address_of(std::string_view text) {
  Address address;
  const std::string copy(text);
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, copy.c_str(), address.bytes.data()) == 1) {
      address.family = family;
      // An IPv4 peer of an IPv6 socket.
      constexpr std::array<unsigned char, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
      if (family == AF_INET6 && std::memcmp(address.bytes.data(), kMapped.data(), kMapped.size()) == 0) {
        std::memmove(address.bytes.data(), address.bytes.data() + 12, 4);
        address.family = AF_INET;
      }
      return address;
    }
  }
  return std::nullopt;
}

bool in_range(std::string_view given, std::string_view range) {
  const std::size_t slash = range.find('/');
  const auto address = address_of(given);
  const auto network = address_of(range.substr(0, slash));
  if (!address || !network || address->family != network->family) return false;
  int length = network->bits();
  if (slash != std::string_view::npos) {
    const std::string_view digits = range.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size() || length < 0 || length > network->bits()) {
      return false;
    }
  }
  for (int bit = 0; bit < length; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((address->bytes[byte] & mask) != (network->bytes[byte] & mask)) return false;
  }
  return true;
}

std::optional<bool> bool_of(std::string_view text) {
  if (equals_ignoring_case(text, "true")) return true;
  if (equals_ignoring_case(text, "false")) return false;
  return std::nullopt;
}

bool text_matches(const Condition& condition, const std::string& given, const std::string& wanted,
                  const Context& context, bool variables) {
  const bool wildcards = condition.type != Type::kString && condition.type != Type::kStringIgnoreCase;
  const std::optional<Pattern> pattern =
      variables ? Pattern::expand(wanted, context, wildcards) : Pattern::plain(wanted, wildcards);
  if (!pattern) return false;
  if (condition.type == Type::kArn) return pattern->matches_arn(given);
  return pattern->matches(given, condition.type == Type::kStringIgnoreCase);
}

/// One value of the request against one of the policy, negation apart.
bool matches(const Condition& condition, const std::string& given, const std::string& wanted, const Context& context,
             bool variables) {
  switch (condition.type) {
    case Type::kString:
    case Type::kStringIgnoreCase:
    case Type::kStringLike:
    case Type::kArn: return text_matches(condition, given, wanted, context, variables);
    case Type::kNumeric: {
      const auto a = number_of(given), b = number_of(wanted);
      return a && b && ordered(*a, *b, condition.order);
    }
    case Type::kDate: {
      const auto a = date_of(given), b = date_of(wanted);
      return a && b && ordered(*a, *b, condition.order);
    }
    case Type::kBool: {
      const auto a = bool_of(given), b = bool_of(wanted);
      return a && b && *a == *b;
    }
    case Type::kBinary: {
      const auto a = base64_decode(given), b = base64_decode(wanted);
      return a && b && *a == *b;
    }
    case Type::kIp: return in_range(given, wanted);
    case Type::kNull: return false;
  }
  return false;
}

}  // namespace

std::optional<Condition> read_operator(std::string_view name) {
  Condition condition;
  if (take_prefix(name, "ForAllValues:")) {
    condition.set = Condition::Set::kForAll;
  } else if (take_prefix(name, "ForAnyValue:")) {
    condition.set = Condition::Set::kForAny;
  }
  constexpr std::string_view kIfExists = "IfExists";
  if (name.size() > kIfExists.size() && equals_ignoring_case(name.substr(name.size() - kIfExists.size()), kIfExists)) {
    condition.if_exists = true;
    name.remove_suffix(kIfExists.size());
  }
  for (const Operator& each : kOperators) {
    if (!equals_ignoring_case(each.name, name)) continue;
    condition.type = each.type;
    condition.order = each.order;
    condition.negated = each.negated;
    // "Null" asks for existence itself and knows no sets.
    if (each.type == Type::kNull && (condition.if_exists || condition.set != Condition::Set::kNone))
      return std::nullopt;
    return condition;
  }
  return std::nullopt;
}

bool holds(const Condition& condition, const Context& context, bool variables) {
  const Context::Values* given = context.find(condition.key);
  if (condition.type == Type::kNull) {
    return std::ranges::any_of(condition.values, [&](const std::string& value) {
      const auto absent = bool_of(value);
      return absent && *absent == (given == nullptr || given->empty());
    });
  }
  if (given == nullptr || given->empty()) {
    if (condition.if_exists || condition.set == Condition::Set::kForAll) return true;
    return condition.negated && condition.set == Condition::Set::kNone;
  }
  // Whether one value of the request agrees with the policy's list: one matches, or, negated, none does.
  const auto agrees = [&](const std::string& value) {
    const bool one = std::ranges::any_of(condition.values, [&](const std::string& wanted) {
      return matches(condition, value, wanted, context, variables);
    });
    return one != condition.negated;
  };
  const bool all =
      condition.set == Condition::Set::kForAll || (condition.set == Condition::Set::kNone && condition.negated);
  return all ? std::ranges::all_of(*given, agrees) : std::ranges::any_of(*given, agrees);
}

}  // namespace lambdad::policy
