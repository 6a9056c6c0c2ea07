#include "base/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/utf8.h"

namespace lambdad::json {

namespace {

// Above this many members a repeated key is found by sorting instead of by comparing all pairs. Sorting and not
// hashing, so that no choice of keys makes a document slow to parse.
constexpr std::size_t kSortedAbove = 32;

/// Leaves every key once: at its first position, with its last value.
void merge_repeated_keys(std::vector<Object::Member>& members) {
  const std::size_t count = members.size();
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> replaced_by;  // index of the last member of this key; kNone for members to drop

  const auto note = [&](std::size_t first, std::size_t later) {
    if (replaced_by.empty()) {
      replaced_by.resize(count);
      std::iota(replaced_by.begin(), replaced_by.end(), std::size_t{0});
    }
    replaced_by[first] = later;
    replaced_by[later] = kNone;
  };

  if (count <= kSortedAbove) {
    for (std::size_t later = 1; later < count; ++later) {
      for (std::size_t first = 0; first < later; ++first) {
        if (members[first].first == members[later].first) {
          note(first, later);
          break;
        }
      }
    }
  } else {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const int by_key = members[a].first.compare(members[b].first);
      return by_key != 0 ? by_key < 0 : a < b;
    });
    for (std::size_t i = 0; i < count;) {
      std::size_t next = i + 1;
      while (next < count && members[order[next]].first == members[order[i]].first) note(order[i], order[next++]);
      i = next;
    }
  }
  if (replaced_by.empty()) return;

  // A value moves forward only, so reading `replaced_by[from]` never sees a member that was already moved away.
  std::size_t to = 0;
  for (std::size_t from = 0; from < count; ++from) {
    if (replaced_by[from] == kNone) continue;
    if (replaced_by[from] != from) members[from].second = std::move(members[replaced_by[from]].second);
    if (to != from) members[to] = std::move(members[from]);
    ++to;
  }
  members.resize(to);
}

/// A number's text taken apart: (negative) 0.digits * 10^exponent, without zeros at either end of the digits.
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int64_t exponent = 0;
};

Decimal take_apart(std::string_view text) {
  Decimal out;
  if (text.starts_with('-')) {
    out.negative = true;
    text.remove_prefix(1);
  }
  const std::size_t e = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, e);
  if (e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    const bool down = digits.starts_with('-');
    if (down || digits.starts_with('+')) digits.remove_prefix(1);
    // Far beyond what any text can balance with its digits.
    constexpr std::int64_t kFar = 1'000'000'000'000'000;
    for (const char c : digits) out.exponent = std::min(out.exponent * 10 + (c - '0'), kFar);
    if (down) out.exponent = -out.exponent;
  }
  const std::size_t point = mantissa.find('.');
  out.digits = std::string(mantissa.substr(0, point));
  out.exponent += static_cast<std::int64_t>(out.digits.size());
  if (point != std::string_view::npos) out.digits += mantissa.substr(point + 1);
  const std::size_t zeros = std::min(out.digits.find_first_not_of('0'), out.digits.size());
  out.digits.erase(0, zeros);
  out.exponent -= static_cast<std::int64_t>(zeros);
  out.digits.erase(out.digits.find_last_not_of('0') + 1);
  if (out.digits.empty()) out.exponent = 0;
  return out;
}

/// The first byte in [at, end) that is not printable ASCII or is a quote or a backslash: where a string stops being
/// plain. Eight bytes at a time.
const char* skip_plain(const char* at, const char* end) {
  if constexpr (std::endian::native == std::endian::little) {
    constexpr std::uint64_t kOnes = 0x0101010101010101u;
    constexpr std::uint64_t kHighs = 0x8080808080808080u;
    for (; end - at >= 8; at += 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      const std::uint64_t quote = word ^ (kOnes * '"');
      const std::uint64_t backslash = word ^ (kOnes * '\\');
      // A subtraction borrows only above a byte that truly matches, so the lowest mark is always right.
      const std::uint64_t marks =
          (word | ((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash)) &
          kHighs;
      if (marks != 0) return at + std::countr_zero(marks) / 8;
    }
  }
  while (at != end && static_cast<unsigned char>(*at) >= 0x20 && static_cast<unsigned char>(*at) < 0x80 && *at != '"' &&
         *at != '\\') {
    ++at;
  }
  return at;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

enum class Mode { kBuild, kCheck };

/// One pass over a document. In kCheck nothing is built and the targets are not written.
template <Mode kMode>
class Parser {
 public:
  Parser(std::string_view text, const ParseLimits& limits)
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()), depth_max_(limits.depth_max) {}

  bool document(Value& out) {
    skip_space();
    if (!value(out, 0)) return false;
    skip_space();
    return at_ == end_ || stop("text after the document");
  }

  std::unexpected<Error> error() const {
    return fail(Errc::kInvalid, "JSON: {} at byte {}", problem_, wrong_at_ - begin_);
  }

 private:
  bool stop(const char* problem) {
    problem_ = problem;
    wrong_at_ = at_;
    return false;
  }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool value(Value& out, std::size_t depth) {
    if (at_ == end_) return stop("unexpected end");
    switch (*at_) {
      case '{': return object(out, depth + 1);
      case '[': return array(out, depth + 1);
      case '"':
        if constexpr (kMode == Mode::kBuild) {
          std::string text;
          if (!string(text)) return false;
          out = Value(std::move(text));
          return true;
        } else {
          return string(ignored_);
        }
      case 't': return word("true", out, Value(true));
      case 'f': return word("false", out, Value(false));
      case 'n': return word("null", out, Value());
      default: return number(out);
    }
  }

  bool word(std::string_view expected, Value& out, Value meaning) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) {
      return stop("unexpected character");
    }
    at_ += expected.size();
    if constexpr (kMode == Mode::kBuild) out = std::move(meaning);
    return true;
  }

  bool number(Value& out) {
    const char* const start = at_;
    if (*at_ == '-') ++at_;
    if (at_ == end_ || !is_digit(*at_)) return stop(at_ == start ? "unexpected character" : "digit expected");
    if (*at_ == '0') {
      ++at_;
      if (at_ != end_ && is_digit(*at_)) return stop("number with a leading zero");
    } else {
      skip_digits();
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (at_ == end_ || !is_digit(*at_)) return stop("digit expected");
      skip_digits();
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (at_ == end_ || !is_digit(*at_)) return stop("digit expected");
      skip_digits();
    }
    if constexpr (kMode == Mode::kBuild) out = Value(Number{std::string(start, at_)});
    return true;
  }

  void skip_digits() {
    while (at_ != end_ && is_digit(*at_)) ++at_;
  }

  bool string(std::string& out) {
    ++at_;
    for (;;) {
      const char* const plain = at_;
      at_ = skip_plain(at_, end_);
      if constexpr (kMode == Mode::kBuild) out.append(plain, at_);
      if (at_ == end_) return stop("string without end");
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ == '\\') {
        if (!escape(out)) return false;
        continue;
      }
      if (static_cast<unsigned char>(*at_) < 0x20) return stop("control character in a string");
      const std::size_t size = decode_utf8(at_, end_).size;
      if (size == 0) return stop("invalid UTF-8");
      if constexpr (kMode == Mode::kBuild) out.append(at_, size);
      at_ += size;
    }
  }

  bool escape(std::string& out) {
    ++at_;
    if (at_ == end_) return stop("string without end");
    char plain = 0;
    switch (*at_) {
      case '"':
      case '\\':
      case '/': plain = *at_; break;
      case 'b': plain = '\b'; break;
      case 'f': plain = '\f'; break;
      case 'n': plain = '\n'; break;
      case 'r': plain = '\r'; break;
      case 't': plain = '\t'; break;
      case 'u': ++at_; return unicode_escape(out);
      default: return stop("unknown escape");
    }
    ++at_;
    if constexpr (kMode == Mode::kBuild) out.push_back(plain);
    return true;
  }

  /// After "\u". A high surrogate takes the escape of its low one with it; a lone one becomes U+FFFD.
  bool unicode_escape(std::string& out) {
    std::uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xD800 && code <= 0xDFFF) {
      std::uint32_t low = 0;
      const char* const after = at_;
      const bool paired = code <= 0xDBFF && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u';
      if (paired) at_ += 2;
      if (paired && !hex4(low)) return false;
      if (low >= 0xDC00 && low <= 0xDFFF) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        code = 0xFFFD;
        at_ = after;
      }
    }
    if constexpr (kMode == Mode::kBuild) append_utf8(out, code);
    return true;
  }

  bool hex4(std::uint32_t& code) {
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) return stop("string without end");
      const char c = *at_;
      std::uint32_t digit = 0;
      if (is_digit(c)) {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
      } else {
        return stop("hex digit expected");
      }
      code = code << 4 | digit;
    }
    return true;
  }

  bool array(Value& out, std::size_t depth) {
    if (depth > depth_max_) return stop("nested too deep");
    ++at_;
    Array items;
    skip_space();
    if (at_ != end_ && *at_ == ']') {
      ++at_;
    } else {
      for (;;) {
        if constexpr (kMode == Mode::kBuild) items.emplace_back();
        if (!value(kMode == Mode::kBuild ? items.back() : out, depth)) return false;
        skip_space();
        if (at_ == end_) return stop("array without end");
        if (*at_ == ']') break;
        if (*at_ != ',') return stop("',' or ']' expected");
        ++at_;
        skip_space();
      }
      ++at_;
    }
    if constexpr (kMode == Mode::kBuild) out = Value(std::move(items));
    return true;
  }

  bool object(Value& out, std::size_t depth) {
    if (depth > depth_max_) return stop("nested too deep");
    ++at_;
    std::vector<Object::Member> members;
    skip_space();
    if (at_ != end_ && *at_ == '}') {
      ++at_;
    } else {
      for (;;) {
        if (at_ == end_ || *at_ != '"') return stop("key expected");
        if constexpr (kMode == Mode::kBuild) members.emplace_back();
        if (!string(kMode == Mode::kBuild ? members.back().first : ignored_)) return false;
        skip_space();
        if (at_ == end_ || *at_ != ':') return stop("':' expected");
        ++at_;
        skip_space();
        if (!value(kMode == Mode::kBuild ? members.back().second : out, depth)) return false;
        skip_space();
        if (at_ == end_) return stop("object without end");
        if (*at_ == '}') break;
        if (*at_ != ',') return stop("',' or '}' expected");
        ++at_;
        skip_space();
      }
      ++at_;
    }
    if constexpr (kMode == Mode::kBuild) out = Value(Object::from_members(std::move(members)));
    return true;
  }

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const std::size_t depth_max_;
  const char* problem_ = "";
  const char* wrong_at_ = nullptr;
  std::string ignored_;
};

void append_value(std::string& out, const Value& value, int indent);

void append_line(std::string& out, int indent) {
  if (indent < 0) return;
  out.push_back('\n');
  out.append(static_cast<std::size_t>(indent) * 2, ' ');
}

/// `indent` is the depth of `value`, or negative for compact output.
void append_value(std::string& out, const Value& value, int indent) {
  const int inner = indent < 0 ? indent : indent + 1;
  if (const bool* b = value.if_bool()) {
    out += *b ? "true" : "false";
  } else if (const Number* n = value.if_number()) {
    out += n->text;
  } else if (const std::string* s = value.if_string()) {
    append_quoted(out, *s);
  } else if (const Array* items = value.if_array()) {
    out.push_back('[');
    for (std::size_t i = 0; i < items->size(); ++i) {
      if (i > 0) out.push_back(',');
      append_line(out, inner);
      append_value(out, (*items)[i], inner);
    }
    if (!items->empty()) append_line(out, indent);
    out.push_back(']');
  } else if (const Object* members = value.if_object()) {
    out.push_back('{');
    bool first = true;
    for (const auto& [key, member] : *members) {
      if (!std::exchange(first, false)) out.push_back(',');
      append_line(out, inner);
      append_quoted(out, key);
      out += indent < 0 ? ":" : ": ";
      append_value(out, member, inner);
    }
    if (!members->empty()) append_line(out, indent);
    out.push_back('}');
  } else {
    out += "null";
  }
}

}  // namespace

// --- Object ---------------------------------------------------------------------------------------------------------

Object::Object(std::initializer_list<Member> members) : members_(members) { merge_repeated_keys(members_); }

Object Object::from_members(std::vector<Member> members) {
  Object object;
  object.members_ = std::move(members);
  merge_repeated_keys(object.members_);
  return object;
}

const Value* Object::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}
Value* Object::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

Value& Object::operator[](std::string_view key) {
  if (Value* value = find(key)) return *value;
  return members_.emplace_back(std::string(key), Value()).second;
}

void Object::set(std::string_view key, Value value) { (*this)[key] = std::move(value); }

bool Object::erase(std::string_view key) {
  return std::erase_if(members_, [key](const Member& member) { return member.first == key; }) > 0;
}

void Object::append(std::string key, Value value) { members_.emplace_back(std::move(key), std::move(value)); }

bool Object::empty() const { return members_.empty(); }
std::size_t Object::size() const { return members_.size(); }
std::vector<Object::Member>::const_iterator Object::begin() const { return members_.begin(); }
std::vector<Object::Member>::const_iterator Object::end() const { return members_.end(); }
std::vector<Object::Member>::iterator Object::begin() { return members_.begin(); }
std::vector<Object::Member>::iterator Object::end() { return members_.end(); }

bool Object::operator==(const Object& other) const {
  if (size() != other.size()) return false;
  const auto by_key = [](const Object& object) {
    std::vector<const Member*> order;
    order.reserve(object.size());
    for (const Member& member : object.members_) order.push_back(&member);
    std::ranges::sort(order, [](const Member* a, const Member* b) {
      const int by_name = a->first.compare(b->first);
      return by_name != 0 ? by_name < 0 : a < b;  // all point into one vector
    });
    return order;
  };
  return std::ranges::equal(by_key(*this), by_key(other), [](const Member* a, const Member* b) { return *a == *b; });
}

// --- Value ----------------------------------------------------------------------------------------------------------

Value::Value(double d) {
  if (!std::isfinite(d)) return;
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d);
  LD_CHECK(end.ec == std::errc{});
  data_ = Number{std::string(buffer.data(), end.ptr)};
}

std::optional<std::int64_t> Value::as_int64() const {
  const Number* number = if_number();
  if (number == nullptr) return std::nullopt;
  std::int64_t plain = 0;
  const char* const end = number->text.data() + number->text.size();
  if (const auto read = std::from_chars(number->text.data(), end, plain); read.ec == std::errc{} && read.ptr == end) {
    return plain;
  }
  Decimal decimal = take_apart(number->text);
  if (decimal.digits.empty()) return 0;
  const auto digits = static_cast<std::int64_t>(decimal.digits.size());
  if (decimal.exponent < digits || decimal.exponent > 19) return std::nullopt;
  decimal.digits.append(static_cast<std::size_t>(decimal.exponent - digits), '0');
  if (decimal.negative) decimal.digits.insert(0, 1, '-');
  std::int64_t value = 0;
  const auto read = std::from_chars(decimal.digits.data(), decimal.digits.data() + decimal.digits.size(), value);
  if (read.ec != std::errc{}) return std::nullopt;
  return value;
}

std::optional<double> Value::as_double() const {
  const Number* number = if_number();
  if (number == nullptr) return std::nullopt;
  double value = 0;
  const char* const end = number->text.data() + number->text.size();
  const auto read = std::from_chars(number->text.data(), end, value);
  if (read.ec == std::errc::result_out_of_range) {
    const Decimal decimal = take_apart(number->text);
    if (decimal.exponent > 0) return std::nullopt;
    return decimal.negative ? -0.0 : 0.0;
  }
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return value;
}

const Value* Value::find(std::string_view key) const {
  const Object* object = if_object();
  return object == nullptr ? nullptr : object->find(key);
}

// --- Text -----------------------------------------------------------------------------------------------------------

Result<Value> parse(std::string_view text, const ParseLimits& limits) {
  Parser<Mode::kBuild> parser(text, limits);
  Value value;
  if (!parser.document(value)) return parser.error();
  return value;
}

Result<void> validate(std::string_view text, const ParseLimits& limits) {
  Parser<Mode::kCheck> parser(text, limits);
  Value unused;
  if (!parser.document(unused)) return parser.error();
  return {};
}

std::string serialize(const Value& value) {
  std::string out;
  append_value(out, value, -1);
  return out;
}

std::string serialize_pretty(const Value& value) {
  std::string out;
  append_value(out, value, 0);
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('"');
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    const char* const plain = at;
    at = skip_plain(at, end);
    out.append(plain, at);
    if (at == end) break;
    const auto byte = static_cast<unsigned char>(*at);
    if (byte >= 0x80) {
      const std::size_t size = decode_utf8(at, end).size;
      if (size == 0) {
        append_utf8(out, 0xFFFD);
        ++at;
      } else {
        out.append(at, size);
        at += size;
      }
      continue;
    }
    ++at;
    out.push_back('\\');
    switch (byte) {
      case '"':
      case '\\': out.push_back(static_cast<char>(byte)); break;
      case '\b': out.push_back('b'); break;
      case '\f': out.push_back('f'); break;
      case '\n': out.push_back('n'); break;
      case '\r': out.push_back('r'); break;
      case '\t': out.push_back('t'); break;
      default:
        out += "u00";
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 0x0F]);
    }
  }
  out.push_back('"');
}

}  // namespace lambdad::json
