#include "services/logs/position.h"

#include <charconv>

#include <fmt/format.h>

namespace lambdad::logs {

namespace {

constexpr std::size_t kTimestampDigits = 20;
constexpr std::size_t kIdDigits = 36;

std::optional<std::int64_t> parse_number(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (code != std::errc{} || end != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::string to_digits(const Position& position) {
  return fmt::format("{:0{}}{:0{}}", position.timestamp, kTimestampDigits, position.id, kIdDigits);
}

std::optional<Position> parse_digits(std::string_view text) {
  if (text.size() != kTimestampDigits + kIdDigits) return std::nullopt;
  if (text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto timestamp = parse_number(text.substr(0, kTimestampDigits));
  const auto id = parse_number(text.substr(kTimestampDigits));
  if (!timestamp || !id) return std::nullopt;
  return Position{*timestamp, *id};
}

std::string StreamToken::str() const { return (direction == Direction::kForward ? "f/" : "b/") + to_digits(position); }

std::optional<StreamToken> StreamToken::parse(std::string_view text) {
  if (!text.starts_with("f/") && !text.starts_with("b/")) return std::nullopt;
  const auto position = parse_digits(text.substr(2));
  if (!position) return std::nullopt;
  return StreamToken{text.front() == 'f' ? Direction::kForward : Direction::kBackward, *position};
}

}  // namespace lambdad::logs
