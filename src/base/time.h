/// Time as values. Reading a clock is system/clock.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lambdad {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// For intervals and deadlines; never goes back; its zero means nothing outside this process.
struct MonoTag {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonoTag, Duration>;
  static constexpr bool is_steady = true;
};
using MonoTime = std::chrono::time_point<MonoTag, Duration>;

/// For timestamps that are stored or shown: nanoseconds since 1970-01-01T00:00:00Z.
using WallTime = std::chrono::sys_time<Duration>;

inline std::int64_t to_epoch_ms(WallTime t) {
  return std::chrono::floor<std::chrono::milliseconds>(t).time_since_epoch().count();
}
/// The first whole millisecond that is not before `t`: what is stored as milliseconds is not early then.
inline WallTime ceil_ms(WallTime t) { return std::chrono::ceil<std::chrono::milliseconds>(t); }
inline WallTime from_epoch_ms(std::int64_t ms) { return WallTime{std::chrono::milliseconds{ms}}; }
inline std::int64_t to_epoch_seconds(WallTime t) {
  return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}
inline double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

/// 2026-01-31T23:59:59.123Z
std::string format_iso8601_ms(WallTime t);
/// 2026-01-31T23:59:59.123+0000, as Lambda's LastModified
std::string format_lambda_last_modified(WallTime t);
/// 2026-01-31T23:59:59Z
std::string format_iso8601(WallTime t);
/// 20260131T235959Z, as SigV4's x-amz-date
std::string format_basic_iso8601(WallTime t);
/// 2026/01/31, as in a log stream name
std::string format_date_slashes(WallTime t);
/// Accepts 2026-01-31T23:59:59[.fraction](Z|+hh:mm|-hh:mm) and 20260131T235959Z; nullopt for anything else and for
/// years outside 1678..2261. A fraction finer than nanoseconds is cut off.
std::optional<WallTime> parse_iso8601(std::string_view text);
/// Accepts a sum of whole parts in d, h, m, s, ms, us and ns such as "2m", "1h30m", "500ms", "90s", "2d"; nullopt when
/// empty, negative or above 400 days.
std::optional<Duration> parse_duration(std::string_view text);
/// Largest units first: "2m", "1m30s", "250ms", "0s"; with a leading '-' when negative.
std::string format_duration(Duration d);

}  // namespace lambdad
