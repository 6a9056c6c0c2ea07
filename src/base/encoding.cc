#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "base/utf8.h"

namespace lambdad {

namespace {

constexpr std::string_view kBase64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kLowerHex = "0123456789abcdef";
constexpr std::string_view kUpperHex = "0123456789ABCDEF";

consteval std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64Alphabet.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr std::array<std::int8_t, 256> kBase64Values = make_base64_values();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// Whether the next eight bytes are all of 0x20 to 0x7F: most text is, and goes through in words then.
bool starts_with_plain_word(const char* at, const char* end) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  constexpr std::uint64_t kHighBits = kEach * 0x80;
  std::uint64_t word;
  if (end - at < static_cast<std::ptrdiff_t>(sizeof word)) return false;
  std::memcpy(&word, at, sizeof word);
  // Without high bits the sum carries into no neighbour, and sets the high bit of what is at least 0x20.
  return (word & kHighBits) == 0 && ((word + kEach * 0x60) & kHighBits) == kHighBits;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// XML 1.0, production 2, "Char".
bool is_xml_char(std::uint32_t code) {
  return code == 0x9 || code == 0xA || code == 0xD || (code >= 0x20 && code <= 0xD7FF) ||
         (code >= 0xE000 && code <= 0xFFFD) || (code >= 0x10000 && code <= 0x10FFFF);
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data();
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 3; from += 3, left -= 3) {
    *to++ = kBase64Alphabet[from[0] >> 2];
    *to++ = kBase64Alphabet[(from[0] & 0x03) << 4 | from[1] >> 4];
    *to++ = kBase64Alphabet[(from[1] & 0x0F) << 2 | from[2] >> 6];
    *to++ = kBase64Alphabet[from[2] & 0x3F];
  }
  if (left > 0) {
    const unsigned second = left == 2 ? from[1] : 0u;
    *to++ = kBase64Alphabet[from[0] >> 2];
    *to++ = kBase64Alphabet[(from[0] & 0x03) << 4 | second >> 4];
    if (left == 2) *to = kBase64Alphabet[(second & 0x0F) << 2];
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with('=')) text.remove_suffix(1);
  if (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out(text.size() * 3 / 4, '\0');
  char* to = out.data();
  const auto value = [text](std::size_t i) -> int { return kBase64Values[static_cast<unsigned char>(text[i])]; };
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const int a = value(i), b = value(i + 1), c = value(i + 2), d = value(i + 3);
    if ((a | b | c | d) < 0) return std::nullopt;
    const unsigned bits = static_cast<unsigned>(a << 18 | b << 12 | c << 6 | d);
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8);
    *to++ = static_cast<char>(bits);
  }
  if (const std::size_t left = text.size() - i; left > 0) {
    const int a = value(i), b = value(i + 1), c = left == 3 ? value(i + 2) : 0;
    if ((a | b | c) < 0) return std::nullopt;
    const unsigned bits = static_cast<unsigned>(a << 18 | b << 12 | c << 6);
    *to++ = static_cast<char>(bits >> 16);
    if (left == 3) *to = static_cast<char>(bits >> 8);
  }
  return out;
}

std::string hex_encode(std::string_view bytes) {
  std::string out(bytes.size() * 2, '\0');
  char* to = out.data();
  for (const char c : bytes) {
    *to++ = kLowerHex[static_cast<unsigned char>(c) >> 4];
    *to++ = kLowerHex[static_cast<unsigned char>(c) & 0x0F];
  }
  return out;
}

std::optional<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

std::string percent_encode(std::string_view bytes, bool keep_slash) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    if (is_unreserved(c) || (keep_slash && c == '/')) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kUpperHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kUpperHex[static_cast<unsigned char>(c) & 0x0F]);
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high << 4 | low));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool is_valid_utf8(std::string_view bytes) {
  const char* const end = bytes.data() + bytes.size();
  for (const char* at = bytes.data(); at != end;) {
    if (starts_with_plain_word(at, end)) {
      at += sizeof(std::uint64_t);
      continue;
    }
    const std::size_t size = decode_utf8(at, end).size;
    if (size == 0) return false;
    at += size;
  }
  return true;
}

bool is_xml_char_data(std::string_view utf8) {
  const char* const end = utf8.data() + utf8.size();
  for (const char* at = utf8.data(); at != end;) {
    if (starts_with_plain_word(at, end)) {
      at += sizeof(std::uint64_t);
      continue;
    }
    const Utf8Character character = decode_utf8(at, end);
    if (character.size == 0 || !is_xml_char(character.code_point)) return false;
    at += character.size;
  }
  return true;
}

std::string xml_escape(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size() + utf8.size() / 8);
  const char* const end = utf8.data() + utf8.size();
  for (const char* at = utf8.data(); at != end;) {
    const Utf8Character character = decode_utf8(at, end);
    if (character.size == 0 || !is_xml_char(character.code_point)) {
      append_utf8(out, 0xFFFD);
      at += std::max<std::size_t>(character.size, 1);
      continue;
    }
    switch (character.code_point) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      case '\t': out += "&#x9;"; break;
      case '\n': out += "&#xA;"; break;
      case '\r': out += "&#xD;"; break;
      default: out.append(at, character.size);
    }
    at += character.size;
  }
  return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string escape_control(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const Utf8Character character = decode_utf8(at, end);
    const std::uint32_t code = character.code_point;
    const bool control = code < 0x20 || (code >= 0x7F && code <= 0x9F);
    const std::size_t size = std::max<std::size_t>(character.size, 1);
    if (character.size == 0 || control) {
      for (std::size_t i = 0; i < size; ++i) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(at[i]));
      }
    } else {
      out.append(at, size);
    }
    at += size;
  }
  return out;
}

}  // namespace lambdad
