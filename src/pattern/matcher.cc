#include "pattern/matcher.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace lambdad::pattern {

namespace {

/// The lower-case partner of a letter; the character itself when it has none here.
char32_t fold(char32_t c) {
  const auto even_odd = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c >= 0xC0 && c <= 0xDE) return c == 0xD7 ? c : c + 32;
  // Latin Extended-A; without dotted and dotless i and the letters that have no partner of their own.
  if (even_odd(0x100, 0x12F) || even_odd(0x132, 0x137) || even_odd(0x14A, 0x177)) return c | 1;
  if (even_odd(0x139, 0x148) || even_odd(0x179, 0x17E)) return c % 2 == 1 ? c + 1 : c;
  if (c == 0x178) return 0xFF;
  if (c >= 0x391 && c <= 0x3A9) return c + 32;
  if (c >= 0x410 && c <= 0x42F) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (even_odd(0x460, 0x481) || even_odd(0x48A, 0x4BF) || even_odd(0x4D0, 0x52F)) return c | 1;
  if (c >= 0x531 && c <= 0x556) return c + 48;
  if (even_odd(0x1E00, 0x1E95) || even_odd(0x1EA0, 0x1EFF)) return c | 1;
  if (c >= 0xFF21 && c <= 0xFF3A) return c + 32;
  return c;
}

bool contains_in_order(std::string_view text, const std::vector<std::string>& pieces) {
  // The first piece begins the text and the last one ends it; those between are found one after the other.
  const std::string& first = pieces.front();
  const std::string& last = pieces.back();
  if (pieces.size() == 1) return text == first;
  if (text.size() < first.size() + last.size() || !text.starts_with(first) || !text.ends_with(last)) return false;
  text.remove_prefix(first.size());
  text.remove_suffix(last.size());
  for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
    const std::size_t at = text.find(pieces[i]);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + pieces[i].size());
  }
  return true;
}

constexpr std::size_t kIntegerDigitsMax = 400;  // longer ones are written with an exponent

// Most numbers are plain integers and their own canonical text.
bool is_plain_integer(std::string_view number) {
  return number.size() <= kIntegerDigitsMax && number != "-0" && number.find_first_of(".eE") == std::string_view::npos;
}

bool equals_number(const json::Number& value, const std::string& canonical) {
  return is_plain_integer(value.text) ? value.text == canonical : canonical_number(value.text) == canonical;
}

bool in_range(const Matcher& matcher, const json::Value& value) {
  const auto number = value.as_double();
  if (!number) return false;
  if (matcher.low_open ? *number <= matcher.low : *number < matcher.low) return false;
  return matcher.high_open ? *number < matcher.high : *number <= matcher.high;
}

}  // namespace

std::string canonical_number(std::string_view number) {
  if (is_plain_integer(number)) return std::string(number);
  const bool negative = number.starts_with('-');
  if (negative) number.remove_prefix(1);
  std::string digits;
  std::int64_t exponent = 0;  // of the last digit
  bool fraction = false;
  std::size_t at = 0;
  for (; at < number.size() && number[at] != 'e' && number[at] != 'E'; ++at) {
    if (number[at] == '.') {
      fraction = true;
      continue;
    }
    digits += number[at];
    if (fraction) --exponent;
  }
  if (at < number.size()) {
    std::string_view written = number.substr(at + 1);
    if (written.starts_with('+')) written.remove_prefix(1);
    std::int64_t value = 0;
    const auto read = std::from_chars(written.data(), written.data() + written.size(), value);
    // Beyond what anybody counts: its own text stands for it.
    if (read.ec != std::errc{} || value > 1'000'000'000'000 || value < -1'000'000'000'000) {
      return fmt::format("{}{}", negative ? "-" : "", number);
    }
    exponent += value;
  }
  const std::size_t leading = digits.find_first_not_of('0');
  if (leading == std::string::npos) return "0";
  digits.erase(0, leading);
  while (digits.size() > 1 && digits.back() == '0') {
    digits.pop_back();
    ++exponent;
  }
  const char* const sign = negative ? "-" : "";
  // Integers as they are usually written, so that they equal those that are.
  if (exponent >= 0 &&
      exponent + static_cast<std::int64_t>(digits.size() + (negative ? 1 : 0)) <= std::int64_t{kIntegerDigitsMax}) {
    return fmt::format("{}{}{}", sign, digits, std::string(static_cast<std::size_t>(exponent), '0'));
  }
  return fmt::format("{}{}e{}", sign, digits, exponent);
}

std::string fold_case(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  for (std::size_t at = 0; at < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[at]);
    if (lead < 0x80) {
      out += static_cast<char>(fold(lead));
      ++at;
      continue;
    }
    const auto next = [&](std::size_t i) {
      return static_cast<char32_t>(static_cast<unsigned char>(utf8[at + i]) & 0x3F);
    };
    if ((lead & 0xE0) == 0xC0 && at + 1 < utf8.size()) {
      const char32_t c = fold(static_cast<char32_t>(lead & 0x1F) << 6 | next(1));  // stays within two bytes
      out += static_cast<char>(0xC0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3F));
      at += 2;
    } else if ((lead & 0xF0) == 0xE0 && at + 2 < utf8.size()) {
      const char32_t c = fold(static_cast<char32_t>(lead & 0x0F) << 12 | next(1) << 6 | next(2));
      out += static_cast<char>(0xE0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
      out += static_cast<char>(0x80 | (c & 0x3F));
      at += 3;
    } else {
      out += utf8[at++];
    }
  }
  return out;
}

std::optional<std::string> parse_address(std::string_view text) {
  if (text.size() > INET6_ADDRSTRLEN) return std::nullopt;
  const std::string terminated(text);
  unsigned char bytes[16];
  if (::inet_pton(AF_INET, terminated.c_str(), bytes) == 1) return std::string(reinterpret_cast<char*>(bytes), 4);
  if (::inet_pton(AF_INET6, terminated.c_str(), bytes) == 1) return std::string(reinterpret_cast<char*>(bytes), 16);
  return std::nullopt;
}

bool Matcher::matches(const json::Value& value) const {
  const std::string* string = value.if_string();
  switch (kind) {
    case Kind::kString: return string != nullptr && *string == text;
    case Kind::kNumber: return value.is_number() && equals_number(*value.if_number(), text);
    case Kind::kTrue: return value.is_bool() && *value.if_bool();
    case Kind::kFalse: return value.is_bool() && !*value.if_bool();
    case Kind::kNull: return value.is_null();
    case Kind::kPrefix: return string != nullptr && string->starts_with(text);
    case Kind::kPrefixFold: return string != nullptr && fold_case(*string).starts_with(text);
    case Kind::kSuffix: return string != nullptr && string->ends_with(text);
    case Kind::kSuffixFold: return string != nullptr && fold_case(*string).ends_with(text);
    case Kind::kFold: return string != nullptr && string->size() == text.size() && fold_case(*string) == text;
    case Kind::kWildcard: return string != nullptr && contains_in_order(*string, pieces);
    case Kind::kRange: return value.is_number() && in_range(*this, value);
    case Kind::kCidr: {
      if (string == nullptr) return false;
      const auto address = parse_address(*string);
      return address && address->size() == addresses.low.size() && *address >= addresses.low &&
             *address <= addresses.high;
    }
    case Kind::kExists: return true;
    case Kind::kAbsent: return false;
    case Kind::kAnythingBut:
      if (!texts.empty()) return string == nullptr || !std::ranges::binary_search(texts, *string);
      return std::ranges::none_of(but, [&](const Matcher& matcher) { return matcher.matches(value); });
  }
  return false;
}

}  // namespace lambdad::pattern
