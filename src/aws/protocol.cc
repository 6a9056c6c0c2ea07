#include "aws/protocol.h"

#include <charconv>
#include <limits>

#include "base/encoding.h"

namespace lambdad::aws {

namespace {

/// How AWS's JSON parser names what it found.
std::string_view token_name(const json::Value& value) {
  if (value.is_string()) return "STRING_VALUE";
  if (value.is_number()) return "NUMBER_VALUE";
  if (const bool* boolean = value.if_bool()) return *boolean ? "TRUE_VALUE" : "FALSE_VALUE";
  if (value.is_array()) return "START_ARRAY";
  if (value.is_object()) return "START_OBJECT";
  return "VALUE_NULL";
}

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::kString: return "String";
    case Kind::kInteger: return "Integer";
    case Kind::kLong: return "Long";
    case Kind::kDouble: return "Double";
    case Kind::kBoolean: return "Boolean";
    case Kind::kTimestamp: return "Timestamp";
    case Kind::kBlob: return "Blob";
    case Kind::kStructure: return "Structure";
    case Kind::kList: return "List";
    case Kind::kMap: return "Map";
  }
  return "";
}

std::unexpected<Error> mismatch(const json::Value& value, const ShapeModel& shape) {
  if (value.is_array()) return std::unexpected(serialization_error("Start of list found where not expected"));
  if (value.is_object()) {
    return std::unexpected(serialization_error("Start of structure or map found where not expected."));
  }
  return std::unexpected(
      serialization_error(fmt::format("{} can not be converted to {} {}", token_name(value),
                                      shape.kind == Kind::kInteger ? "an" : "a", type_name(shape.kind))));
}

bool fits_int32(std::int64_t value) {
  return value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
}

std::string format_http_date(WallTime time) {
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

const MemberModel* find_body_member(const ShapeModel& shape, std::string_view name, MemberNames names) {
  for (const MemberModel& member : shape.members) {
    if (names == MemberNames::kModel ? member.name == name
                                     : member.location == Location::kBody && member.wire_name == name) {
      return &member;
    }
  }
  return nullptr;
}

}  // namespace

Outcome<json::Value> normalize(json::Value&& value, const ShapeModel& shape, MemberNames names) {
  switch (shape.kind) {
    case Kind::kStructure: {
      json::Object* object = value.if_object();
      if (object == nullptr) return mismatch(value, shape);
      json::Object out;
      for (auto& [name, member_value] : *object) {
        const MemberModel* member = find_body_member(shape, name, names);
        if (member == nullptr || member_value.is_null()) continue;
        auto normal = normalize(std::move(member_value), *member->shape, names);
        if (!normal) return normal;
        out.append(std::string(member->name), std::move(*normal));
      }
      return json::Value(std::move(out));
    }
    case Kind::kList: {
      json::Array* array = value.if_array();
      if (array == nullptr) return mismatch(value, shape);
      for (json::Value& element : *array) {
        auto normal = normalize(std::move(element), *shape.element, names);
        if (!normal) return normal;
        element = std::move(*normal);
      }
      return std::move(value);
    }
    case Kind::kMap: {
      json::Object* object = value.if_object();
      if (object == nullptr) return mismatch(value, shape);
      for (auto& [key, element] : *object) {
        auto normal = normalize(std::move(element), *shape.element, names);
        if (!normal) return normal;
        element = std::move(*normal);
      }
      return std::move(value);
    }
    case Kind::kString:
    case Kind::kBlob:
      if (!value.is_string()) return mismatch(value, shape);
      return std::move(value);
    case Kind::kBoolean:
      if (!value.is_bool()) return mismatch(value, shape);
      return std::move(value);
    case Kind::kInteger:
    case Kind::kLong: {
      const std::optional<std::int64_t> number = value.as_int64();
      if (!number || (shape.kind == Kind::kInteger && !fits_int32(*number))) return mismatch(value, shape);
      return json::Value(*number);
    }
    case Kind::kDouble:
      if (!value.as_double()) return mismatch(value, shape);
      return std::move(value);
    case Kind::kTimestamp: {
      const json::Number* number = value.if_number();
      if (number == nullptr || !codec::timestamp_from_number(*number)) return mismatch(value, shape);
      return std::move(value);
    }
  }
  return mismatch(value, shape);
}

Outcome<json::Value> scalar_from_text(std::string_view text, const ShapeModel& shape, TimestampFormat timestamps,
                                      std::string_view where) {
  const auto refuse = [&] {
    return std::unexpected(serialization_error(
        fmt::format("The value '{}' of {} can not be converted to {} {}", escape_control(text.substr(0, 128)), where,
                    shape.kind == Kind::kInteger ? "an" : "a", type_name(shape.kind))));
  };
  switch (shape.kind) {
    case Kind::kString:
    case Kind::kBlob:
      if (!is_valid_utf8(text)) return refuse();
      return json::Value(text);
    case Kind::kBoolean:
      if (text == "true") return json::Value(true);
      if (text == "false") return json::Value(false);
      return refuse();
    case Kind::kInteger:
    case Kind::kLong: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) return refuse();
      if (shape.kind == Kind::kInteger && !fits_int32(number)) return refuse();
      return json::Value(number);
    }
    case Kind::kDouble: {
      double number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size() || !(number - number == 0)) return refuse();
      return json::Value(number);
    }
    case Kind::kTimestamp: {
      if (timestamps == TimestampFormat::kUnix) {
        json::Number number{std::string(text)};
        if (!json::validate(text) || !codec::timestamp_from_number(number)) return refuse();
        return json::Value(std::move(number));
      }
      const std::optional<WallTime> time = parse_iso8601(text);
      if (!time) return refuse();
      return json::Value(codec::timestamp_number(*time));
    }
    case Kind::kStructure:
    case Kind::kList:
    case Kind::kMap: break;
  }
  return refuse();
}

std::string scalar_to_text(const json::Value& value, const ShapeModel& shape, TimestampFormat timestamps) {
  if (const bool* boolean = value.if_bool()) return *boolean ? "true" : "false";
  if (const std::string* string = value.if_string()) return *string;
  const json::Number* number = value.if_number();
  if (number == nullptr) return {};
  if (shape.kind == Kind::kTimestamp && timestamps != TimestampFormat::kUnix) {
    if (const auto time = codec::timestamp_from_number(*number)) {
      if (timestamps == TimestampFormat::kRfc822) return format_http_date(*time);
      return time->time_since_epoch() % 1s == Duration(0) ? format_iso8601(*time) : format_iso8601_ms(*time);
    }
  }
  return number->text;
}

Outcome<Input> decode_request(const Route& route, http::Request& request, std::string_view base_url) {
  if (route.protocol == Protocol::kRestJson) return decode_rest_json(route, request);
  auto document = route.protocol == Protocol::kQuery ? decode_query(route, request, base_url)
                                                     : decode_json_body(request.body, route.operation->input);
  if (!document) return std::unexpected(std::move(document.error()));
  return Input{std::move(*document), {}};
}

http::Response encode_answer(const Route& route, Answer&& answer, std::string_view request_id) {
  http::Response response = route.protocol == Protocol::kRestJson ? encode_rest_json_answer(route, std::move(answer))
                            : route.protocol == Protocol::kQuery
                                ? encode_query_answer(route, std::move(answer), request_id)
                                : encode_json_answer(route, std::move(answer));
  response.headers.add("x-amzn-RequestId", request_id);
  return response;
}

http::Response encode_error(Protocol protocol, const ServiceModel* service, const Error& error,
                            std::string_view request_id) {
  http::Response response = protocol == Protocol::kRestJson ? encode_rest_json_error(error)
                            : protocol == Protocol::kQuery  ? encode_query_error(service, error, request_id)
                                                            : encode_json_error(protocol, service, error);
  response.headers.add("x-amzn-RequestId", request_id);
  if (!error.retry_after.empty()) response.headers.add("Retry-After", error.retry_after);
  return response;
}

}  // namespace lambdad::aws
