#include "base/time.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace lambdad {

namespace {

using std::chrono::days;
using std::chrono::floor;

struct Fields {
  int year;
  unsigned month;
  unsigned day;
  int hour;
  int minute;
  int second;
  int millisecond;
};

Fields fields_of(WallTime t) {
  const auto day = floor<days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(floor<std::chrono::milliseconds>(t - day));
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

/// Reads from the front of a text; every step fails once one has failed.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::optional<int> digits(std::size_t count) {
    if (rest_.size() < count) return std::nullopt;
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return std::nullopt;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  /// Digits after a decimal point as nanoseconds; what is finer is cut off. nullopt when there is no digit.
  std::optional<Duration> fraction() {
    std::int64_t ns = 0;
    std::int64_t unit = 100'000'000;
    std::size_t count = 0;
    for (; count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9'; ++count, unit /= 10) {
      ns += (rest_[count] - '0') * unit;
    }
    if (count == 0) return std::nullopt;
    rest_.remove_prefix(count);
    return Duration{ns};
  }

 private:
  std::string_view rest_;
};

std::optional<WallTime> make_time(int year, int month, int day, int hour, int minute, int second, Duration fraction) {
  // Nanoseconds in 64 bits reach from September 1677 to April 2262.
  if (year < 1678 || year > 2261) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second} + fraction;
}

constexpr std::array<std::pair<std::string_view, Duration>, 7> kUnits = {{
    {"d", std::chrono::hours{24}},
    {"h", std::chrono::hours{1}},
    {"m", std::chrono::minutes{1}},
    {"s", std::chrono::seconds{1}},
    {"ms", std::chrono::milliseconds{1}},
    {"us", std::chrono::microseconds{1}},
    {"ns", Duration{1}},
}};
constexpr Duration kParsedDurationMax = std::chrono::hours{24} * 400;

}  // namespace

std::string format_iso8601_ms(WallTime t) {
  const Fields f = fields_of(t);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", f.year, f.month, f.day, f.hour, f.minute, f.second,
                     f.millisecond);
}

std::string format_lambda_last_modified(WallTime t) {
  std::string text = format_iso8601_ms(t);
  text.replace(text.size() - 1, 1, "+0000");
  return text;
}

std::string format_iso8601(WallTime t) {
  const Fields f = fields_of(t);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", f.year, f.month, f.day, f.hour, f.minute, f.second);
}

std::string format_basic_iso8601(WallTime t) {
  const Fields f = fields_of(t);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", f.year, f.month, f.day, f.hour, f.minute, f.second);
}

std::string format_date_slashes(WallTime t) {
  const Fields f = fields_of(t);
  return fmt::format("{:04}/{:02}/{:02}", f.year, f.month, f.day);
}

std::optional<WallTime> parse_iso8601(std::string_view text) {
  Reader in(text);
  const auto year = in.digits(4);
  if (!year) return std::nullopt;
  const bool extended = in.take('-');
  const auto month = in.digits(2);
  if (extended && !in.take('-')) return std::nullopt;
  const auto day = in.digits(2);
  if (!month || !day || !in.take('T')) return std::nullopt;
  const auto hour = in.digits(2);
  if (extended && !in.take(':')) return std::nullopt;
  const auto minute = in.digits(2);
  if (extended && !in.take(':')) return std::nullopt;
  const auto second = in.digits(2);
  if (!hour || !minute || !second) return std::nullopt;

  Duration fraction{};
  if (extended && in.take('.')) {
    const auto parsed = in.fraction();
    if (!parsed) return std::nullopt;
    fraction = *parsed;
  }
  const auto time = make_time(*year, *month, *day, *hour, *minute, *second, fraction);
  if (!time) return std::nullopt;

  Duration east{};
  if (!in.take('Z')) {
    if (!extended) return std::nullopt;
    const int sign = in.take('+') ? 1 : in.take('-') ? -1 : 0;
    if (sign == 0) return std::nullopt;
    const auto zone_hours = in.digits(2);
    if (!in.take(':')) return std::nullopt;
    const auto zone_minutes = in.digits(2);
    if (!zone_hours || !zone_minutes || *zone_hours > 23 || *zone_minutes > 59) return std::nullopt;
    east = sign * (std::chrono::hours{*zone_hours} + std::chrono::minutes{*zone_minutes});
  }
  if (!in.at_end()) return std::nullopt;
  return *time - east;
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Duration total{};
  while (!text.empty()) {
    std::int64_t count = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
      count = count * 10 + (text[digits] - '0');
      if (count > kParsedDurationMax.count()) return std::nullopt;
    }
    if (digits == 0) return std::nullopt;
    text.remove_prefix(digits);
    std::size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const std::string_view name = text.substr(0, letters);
    text.remove_prefix(letters);
    const auto* unit = std::find_if(kUnits.begin(), kUnits.end(), [name](const auto& u) { return u.first == name; });
    if (unit == kUnits.end() || count > kParsedDurationMax / unit->second) return std::nullopt;
    total += count * unit->second;
    if (total > kParsedDurationMax) return std::nullopt;
  }
  return total;
}

std::string format_duration(Duration d) {
  if (d == Duration::zero()) return "0s";
  std::string out;
  const bool negative = d < Duration::zero();
  if (negative) out.push_back('-');
  for (const auto& [name, unit] : kUnits) {
    // Divided before the sign is dropped: the most negative value has no positive counterpart.
    const std::int64_t count = d / unit;
    d %= unit;
    if (count != 0) fmt::format_to(std::back_inserter(out), "{}{}", negative ? -count : count, name);
  }
  return out;
}

}  // namespace lambdad
