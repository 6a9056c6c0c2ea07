/// What generated code is made of: reading shapes from documents and writing them.
///
/// A document is a json::Value with the model's member names; blobs are base64 text, timestamps numbers of seconds.
/// The same documents are what the protocols make from requests, what services store, and what ApiCaller passes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "aws/error.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"
#include "system/async.h"

namespace lambdad::aws {

/// What a handler produced: the output document, and beside it the bytes of a blob payload member.
struct Answer {
  json::Value document;
  std::string payload;
};

Outcome<void> decode_input(json::Value&& document, std::string& payload, Unit& out);
Answer encode_output(Unit&& value);

/// One event of an output stream, as the operation's model names it.
struct Event {
  std::string_view name;
  Answer body;
};
/// The next event; nullopt at the end; an error breaks the connection off.
using EventSource = std::function<Async<Result<std::optional<Event>>>()>;

namespace codec {

/// What a std::string member is: text, or bytes that documents carry as base64.
enum class Text : std::uint8_t { kPlain, kBase64 };

/// Seconds since the epoch, exact to the nanosecond: 1767225600, 1767225600.123.
json::Number timestamp_number(WallTime time);
/// nullopt when the number lies outside what WallTime holds (the years 1678 to 2261).
std::optional<WallTime> timestamp_from_number(const json::Number& number);

Result<void> read_scalar(json::Value&& value, Text text, std::string& out);
Result<void> read_scalar(json::Value&& value, Text text, std::int32_t& out);
Result<void> read_scalar(json::Value&& value, Text text, std::int64_t& out);
Result<void> read_scalar(json::Value&& value, Text text, double& out);
Result<void> read_scalar(json::Value&& value, Text text, bool& out);
Result<void> read_scalar(json::Value&& value, Text text, WallTime& out);
std::unexpected<lambdad::Error> wrong_kind(std::string_view wanted);

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <class T>
inline constexpr bool kIsScalar =
    std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, WallTime>;

template <class T>
Result<void> read(json::Value&& value, Text text, T& out) {
  if constexpr (kIsScalar<T>) {
    return read_scalar(std::move(value), text, out);
  } else if constexpr (IsVector<T>::value) {
    json::Array* array = value.if_array();
    if (array == nullptr) return wrong_kind("list");
    out.reserve(array->size());
    for (json::Value& element : *array) {
      LD_TRY_VOID(read(std::move(element), text, out.emplace_back()));
    }
    return {};
  } else if constexpr (IsMap<T>::value) {
    json::Object* object = value.if_object();
    if (object == nullptr) return wrong_kind("map");
    for (auto& [key, element] : *object) LD_TRY_VOID(read(std::move(element), text, out[key]));
    return {};
  } else {
    return decode(std::move(value), out);
  }
}

json::Value write_scalar(std::string&& value, Text text);
inline json::Value write_scalar(std::int32_t value, Text) { return json::Value(value); }
inline json::Value write_scalar(std::int64_t value, Text) { return json::Value(value); }
inline json::Value write_scalar(double value, Text) { return json::Value(value); }
inline json::Value write_scalar(bool value, Text) { return json::Value(value); }
inline json::Value write_scalar(WallTime value, Text) { return json::Value(timestamp_number(value)); }

template <class T>
json::Value write(T&& value, Text text) {
  using Shape = std::remove_cvref_t<T>;
  if constexpr (kIsScalar<Shape>) {
    return write_scalar(std::forward<T>(value), text);
  } else if constexpr (IsVector<Shape>::value) {
    json::Array array;
    array.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
      typename Shape::value_type element = std::move(value[i]);
      array.push_back(write(std::move(element), text));
    }
    return json::Value(std::move(array));
  } else if constexpr (IsMap<Shape>::value) {
    json::Object object;
    for (auto& [key, element] : value) object.append(key, write(std::move(element), text));
    return json::Value(std::move(object));
  } else {
    return encode(std::forward<T>(value));
  }
}

/// Reads the members of one structure; strings are moved out of the document. Members that are absent or null are
/// absent; unknown ones are ignored. The first failure is kept and names the member.
class Reader {
 public:
  Reader(json::Value& document, std::string_view shape);

  template <Text text = Text::kPlain, class T>
  void required(std::string_view name, T& out) {
    json::Value* value = take(name);
    if (value == nullptr) return missing(name);
    note(name, read(std::move(*value), text, out));
  }
  template <Text text = Text::kPlain, class T>
  void optional(std::string_view name, std::optional<T>& out) {
    json::Value* value = take(name);
    if (value == nullptr) return;
    note(name, read(std::move(*value), text, out.emplace()));
  }
  Result<void> finish() { return std::move(result_); }

 private:
  json::Value* take(std::string_view name);
  void missing(std::string_view name);
  void note(std::string_view name, Result<void> result);

  json::Object* object_;
  std::string_view shape_;
  Result<void> result_;
};

/// Writes the members of one structure in the model's order; absent ones are left out.
class Writer {
 public:
  template <Text text = Text::kPlain, class T>
  void member(std::string_view name, T&& value) {
    object_.append(std::string(name), write(std::move(value), text));
  }
  template <Text text = Text::kPlain, class T>
  void member(std::string_view name, std::optional<T>&& value) {
    if (value) object_.append(std::string(name), write(std::move(*value), text));
  }
  json::Value finish() { return json::Value(std::move(object_)); }

 private:
  json::Object object_;
};

/// A request that passed the checks and still does not decode is answered like a body that is not well formed.
Outcome<void> as_outcome(Result<void> result);

}  // namespace codec
}  // namespace lambdad::aws
