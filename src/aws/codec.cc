#include "aws/codec.h"

#include <cmath>
#include <limits>

#include "base/encoding.h"

namespace lambdad::aws {

Outcome<void> decode_input(json::Value&&, std::string&, Unit&) { return {}; }
Answer encode_output(Unit&&) { return {}; }

namespace codec {

namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

json::Number timestamp_number(WallTime time) {
  const std::int64_t nanos = time.time_since_epoch().count();
  const std::int64_t seconds = nanos / kNanosPerSecond;
  const std::int64_t rest = nanos % kNanosPerSecond;
  std::string text = fmt::format("{}{}", nanos < 0 && seconds == 0 ? "-" : "", seconds);
  if (rest != 0) {
    text += fmt::format(".{:09}", rest < 0 ? -rest : rest);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return json::Number{std::move(text)};
}

std::optional<WallTime> timestamp_from_number(const json::Number& number) {
  // Plain decimals are read exactly; a double has too few digits for nanoseconds.
  std::string_view text = number.text;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 32) return std::nullopt;
  if (text.find_first_of("eE") != std::string_view::npos) {
    const std::optional<double> seconds = json::Value(number).as_double();
    if (!seconds || !(std::abs(*seconds) < 9.2e9)) return std::nullopt;
    return WallTime(Duration(static_cast<std::int64_t>(*seconds * static_cast<double>(kNanosPerSecond))));
  }
  std::int64_t whole = 0;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != '.'; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    whole = whole * 10 + (text[i] - '0');
    if (whole >= std::numeric_limits<std::int64_t>::max() / kNanosPerSecond) return std::nullopt;
  }
  std::int64_t nanos = 0;
  std::int64_t unit = kNanosPerSecond / 10;
  for (++i; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    nanos += unit * (text[i] - '0');
  }
  const std::int64_t total = whole * kNanosPerSecond + nanos;
  return WallTime(Duration(negative ? -total : total));
}

std::unexpected<lambdad::Error> wrong_kind(std::string_view wanted) {
  return fail(Errc::kInvalid, "is not a {}", wanted);
}

Result<void> read_scalar(json::Value&& value, Text text, std::string& out) {
  std::string* string = value.if_string();
  if (string == nullptr) return wrong_kind("string");
  if (text == Text::kPlain) {
    out = std::move(*string);
    return {};
  }
  std::optional<std::string> bytes = base64_decode(*string);
  if (!bytes) return wrong_kind("base64 text");
  out = std::move(*bytes);
  return {};
}

Result<void> read_scalar(json::Value&& value, Text, std::int32_t& out) {
  const std::optional<std::int64_t> number = value.as_int64();
  if (!number || *number < std::numeric_limits<std::int32_t>::min() ||
      *number > std::numeric_limits<std::int32_t>::max()) {
    return wrong_kind("32-bit integer");
  }
  out = static_cast<std::int32_t>(*number);
  return {};
}

Result<void> read_scalar(json::Value&& value, Text, std::int64_t& out) {
  const std::optional<std::int64_t> number = value.as_int64();
  if (!number) return wrong_kind("64-bit integer");
  out = *number;
  return {};
}

Result<void> read_scalar(json::Value&& value, Text, double& out) {
  const std::optional<double> number = value.as_double();
  if (!number) return wrong_kind("number");
  out = *number;
  return {};
}

Result<void> read_scalar(json::Value&& value, Text, bool& out) {
  const bool* boolean = value.if_bool();
  if (boolean == nullptr) return wrong_kind("boolean");
  out = *boolean;
  return {};
}

Result<void> read_scalar(json::Value&& value, Text, WallTime& out) {
  const json::Number* number = value.if_number();
  const std::optional<WallTime> time = number == nullptr ? std::nullopt : timestamp_from_number(*number);
  if (!time) return wrong_kind("timestamp");
  out = *time;
  return {};
}

json::Value write_scalar(std::string&& value, Text text) {
  return json::Value(text == Text::kPlain ? std::move(value) : base64_encode(value));
}

Reader::Reader(json::Value& document, std::string_view shape) : object_(document.if_object()), shape_(shape) {
  if (object_ == nullptr) result_ = fail(Errc::kInvalid, "{}: is not an object", shape);
}

json::Value* Reader::take(std::string_view name) {
  if (!result_) return nullptr;
  json::Value* value = object_->find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

void Reader::missing(std::string_view name) {
  if (result_) result_ = fail(Errc::kInvalid, "{}.{}: is missing", shape_, name);
}

void Reader::note(std::string_view name, Result<void> result) {
  if (!result) result_ = fail_with(result.error(), fmt::format("{}.{}", shape_, name));
}

Outcome<void> as_outcome(Result<void> result) {
  if (!result) return std::unexpected(serialization_error(std::move(result.error().detail)));
  return {};
}

}  // namespace codec
}  // namespace lambdad::aws
