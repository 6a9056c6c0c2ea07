#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lambdad::logs {

/// The place of an event among those of its stream and group: by timestamp, and among equal ones in the order in which
/// they were stored.
struct Position {
  std::int64_t timestamp = 0;  ///< milliseconds since 1970
  std::int64_t id = 0;         ///< above 0 for events
  auto operator<=>(const Position&) const = default;
};

/// 56 decimal digits, as AWS's event ids and tokens have.
std::string to_digits(const Position& position);
/// nullopt for anything that to_digits() does not make.
std::optional<Position> parse_digits(std::string_view text);

/// nextForwardToken ("f/...") and nextBackwardToken ("b/...") of GetLogEvents.
struct StreamToken {
  enum class Direction { kForward, kBackward };
  Direction direction = Direction::kForward;
  /// The events after it, or before it. It need not be the place of an event.
  Position position;
  std::string str() const;
  static std::optional<StreamToken> parse(std::string_view text);
};

}  // namespace lambdad::logs
