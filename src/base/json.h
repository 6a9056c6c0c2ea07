/// JSON documents that keep what the user wrote: the text of every number and the order of keys.
///
/// Nothing goes through double: 0.1, 1e400 and 12345678901234567890123 come out as they went in (Boost.JSON and
/// simdjson's DOM lose them). User payloads that are only passed on are never parsed at all; they travel as bytes.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace lambdad::json {

class Value;

/// A number as its JSON text.
struct Number {
  std::string text;
  bool operator==(const Number&) const = default;  // compares text: 1.0 is not 1
};

using Array = std::vector<Value>;

/// Members in the order they were written. A repeated key keeps its first position and its last value.
/// Lookup is a scan. Two objects are equal when they have the same members in any order.
class Object {
 public:
  using Member = std::pair<std::string, Value>;
  Object() = default;
  Object(std::initializer_list<Member> members);
  /// O(n log n) however the keys are chosen.
  static Object from_members(std::vector<Member> members);

  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// The value of `key`, null when it was absent.
  Value& operator[](std::string_view key);
  void set(std::string_view key, Value value);
  /// True when there was such a member.
  bool erase(std::string_view key);
  /// Adds without looking for a member of this name: for builders that know their keys are new.
  void append(std::string key, Value value);

  bool empty() const;
  std::size_t size() const;
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();
  bool operator==(const Object&) const;

 private:
  std::vector<Member> members_;
};

class Value {
 public:
  Value() = default;  // null
  Value(std::nullptr_t) {}
  template <std::same_as<bool> B>
  Value(B b) : data_(b) {}
  Value(std::string s) : data_(std::move(s)) {}
  Value(std::string_view s) : data_(std::string(s)) {}
  Value(const char* s) : data_(std::string(s)) {}
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  Value(I i) : data_(Number{std::to_string(i)}) {}
  /// The shortest decimal that reads back as `d`; infinities and NaN become null.
  Value(double d);
  Value(Number n) : data_(std::move(n)) {}
  Value(Array a) : data_(std::move(a)) {}
  Value(Object o) : data_(std::move(o)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_number() const { return std::holds_alternative<Number>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  /// Pointers are null when the value is of another kind.
  const bool* if_bool() const { return std::get_if<bool>(&data_); }
  const Number* if_number() const { return std::get_if<Number>(&data_); }
  const std::string* if_string() const { return std::get_if<std::string>(&data_); }
  std::string* if_string() { return std::get_if<std::string>(&data_); }
  const Array* if_array() const { return std::get_if<Array>(&data_); }
  Array* if_array() { return std::get_if<Array>(&data_); }
  const Object* if_object() const { return std::get_if<Object>(&data_); }
  Object* if_object() { return std::get_if<Object>(&data_); }

  /// A number without fraction that fits; 3.0 and 3e0 count as 3. nullopt otherwise.
  std::optional<std::int64_t> as_int64() const;
  /// The nearest double; nullopt when it is no number or beyond the range of double.
  std::optional<double> as_double() const;

  /// Member of an object, or null pointer when this is no object or has no such member.
  const Value* find(std::string_view key) const;

  bool operator==(const Value&) const = default;

 private:
  std::variant<std::monostate, bool, Number, std::string, Array, Object> data_;
};

struct ParseLimits {
  /// Objects and arrays inside one another. Parsing, serializing and destroying recurse this deep; up to 1,000 is safe
  /// on any thread of ours.
  std::size_t depth_max = 128;
};

/// One document with nothing but white space around it. Refuses what RFC 8259 refuses, invalid UTF-8 and a byte order
/// mark. A lone surrogate in an escape becomes U+FFFD. Errc::kInvalid with the byte offset in `detail`.
Result<Value> parse(std::string_view text, const ParseLimits& limits = {});

/// Whether `text` is one JSON document, without building it; the error says where it is not.
Result<void> validate(std::string_view text, const ParseLimits& limits = {});

/// Compact: no white space, escapes only what must be (and U+007F stays as it is). Strings should be UTF-8; bytes that
/// are not come out as U+FFFD, so that the result is always a JSON document.
std::string serialize(const Value& value);
/// Two spaces of indentation, for people.
std::string serialize_pretty(const Value& value);
/// Appends a JSON string literal.
void append_quoted(std::string& out, std::string_view text);

}  // namespace lambdad::json
