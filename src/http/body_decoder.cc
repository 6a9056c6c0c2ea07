#include "http/body_decoder.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace lambdad::http {

namespace {

constexpr std::size_t kSizeLineMax = 16 + 256 + 2;  // digits, extensions, CRLF
// Below this a read through the connection's own buffer costs less than the care for a second one.
constexpr std::uint64_t kRoomMin = 16 * 1024;
constexpr std::uint64_t kRoomMax = 1024 * 1024;

constexpr auto kTokenBytes = [] {
  std::array<bool, 256> table{};
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (unsigned char c : std::string_view("!#$%&'*+-.^_`|~")) table[c] = true;
  return table;
}();

bool is_token_byte(char c) { return kTokenBytes[static_cast<unsigned char>(c)]; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ), without the blanks that RFC 9112 calls bad.
bool is_chunk_extension(std::string_view text) {
  std::size_t at = 0;
  const auto skip_token = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_token_byte(text[at])) ++at;
    return at > begin;
  };
  while (at < text.size()) {
    if (text[at++] != ';' || !skip_token()) return false;
    if (at == text.size() || text[at] != '=') continue;
    ++at;
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        if (at < text.size() && text[at] == '\\')
          ++at;
        else if (at < text.size() && text[at] == '"')
          break;
        if (at >= text.size()) return false;
      }
      ++at;
    } else if (!skip_token()) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool is_token(std::string_view name) { return !name.empty() && std::ranges::all_of(name, is_token_byte); }

bool is_header_value(std::string_view value) {
  // Every byte is looked at, which the compiler turns into vector instructions; leaving at the first bad one it cannot.
  bool bad = false;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    bad |= static_cast<bool>((byte < 0x20) & (byte != '\t')) | (byte == 0x7f);
  }
  return !bad;
}

std::string_view trim_blanks(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool is_forbidden_in_trailer(std::string_view name) {
  for (std::string_view forbidden : {"content-length", "transfer-encoding", "host", "connection", "trailer", "te",
                                     "upgrade", "expect", "authorization", "content-type", "content-encoding"}) {
    if (equals_ignoring_case(name, forbidden)) return true;
  }
  return false;
}

void BodyDecoder::begin(Mode mode, std::uint64_t remaining, std::size_t body_bytes_max, State state) {
  mode_ = mode;
  part_ = Part::kSize;
  state_ = state;
  remaining_ = remaining;
  body_bytes_max_ = body_bytes_max;
  roomed_ = 0;
  line_.clear();
}

void BodyDecoder::expect_length(std::uint64_t length) {
  begin(Mode::kLength, length, 0, length == 0 ? State::kComplete : State::kMore);
}

void BodyDecoder::expect_chunks(std::size_t body_bytes_max, std::size_t trailer_bytes_max) {
  begin(Mode::kChunks, 0, body_bytes_max, State::kMore);
  trailer_bytes_left_ = trailer_bytes_max;
}

void BodyDecoder::expect_until_close(std::size_t body_bytes_max) {
  begin(Mode::kUntilClose, 0, body_bytes_max, State::kMore);
}

BodyDecoder::State BodyDecoder::refuse(Refusal why) {
  refusal_ = why;
  return state_ = State::kRefused;
}

std::size_t BodyDecoder::push(std::string_view bytes, std::string& body, Headers& trailers) {
  if (state_ != State::kMore) return 0;
  switch (mode_) {
    case Mode::kNone: return 0;
    case Mode::kLength: {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
      body.append(bytes.substr(0, count));
      remaining_ -= count;
      if (remaining_ == 0) state_ = State::kComplete;
      return count;
    }
    case Mode::kUntilClose: {
      const std::size_t count = std::min(bytes.size(), body_bytes_max_ - body.size());
      body.append(bytes.substr(0, count));
      if (count < bytes.size()) refuse(Refusal::kBodyTooLarge);
      return count;
    }
    case Mode::kChunks: return push_chunks(bytes, body, trailers);
  }
  return 0;
}

std::size_t BodyDecoder::push_chunks(std::string_view bytes, std::string& body, Headers& trailers) {
  std::size_t at = 0;
  while (state_ == State::kMore && at < bytes.size()) {
    if (part_ == Part::kData) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size() - at));
      body.append(bytes.substr(at, count));
      at += count;
      remaining_ -= count;
      if (remaining_ == 0) part_ = Part::kDataEnd;
      continue;
    }
    // All else is lines. A line within `bytes` is looked at in place; one that is cut is put together in line_.
    const std::size_t line_max = part_ == Part::kDataEnd ? 2
                                 : part_ == Part::kSize  ? kSizeLineMax
                                                         : trailer_bytes_left_;
    const Refusal too_long = part_ == Part::kTrailer ? Refusal::kHeadTooLarge : Refusal::kChunk;
    const std::size_t newline = bytes.find('\n', at);
    const std::size_t end = newline == std::string_view::npos ? bytes.size() : newline + 1;
    if (line_.size() + (end - at) > line_max) {
      refuse(too_long);
      break;
    }
    std::string_view line = bytes.substr(at, end - at);
    at = end;
    if (newline == std::string_view::npos) {
      line_.append(line);
      if (line_.size() == line_max) refuse(too_long);  // no room for the line's end
      break;
    }
    if (!line_.empty()) {
      line_.append(line);
      line = line_;
    }
    const std::size_t line_size = line.size();
    if (line_size < 2 || line[line_size - 2] != '\r') {
      refuse(part_ == Part::kTrailer ? Refusal::kTrailer : Refusal::kChunk);
      break;
    }
    line.remove_suffix(2);
    switch (part_) {
      case Part::kSize: end_of_size_line(line, body.size()); break;
      case Part::kDataEnd: part_ = Part::kSize; break;  // two bytes at most, so the line is empty
      case Part::kTrailer:
        trailer_bytes_left_ -= line_size;
        end_of_trailer_line(line, trailers);
        break;
      case Part::kData: break;
    }
    line_.clear();
  }
  return at;
}

void BodyDecoder::end_of_size_line(std::string_view line, std::size_t body_size) {
  std::uint64_t size = 0;
  std::size_t digits = 0;
  for (; digits < line.size() && hex_digit(line[digits]) >= 0; ++digits) {
    if (digits == 16) {
      refuse(Refusal::kChunk);
      return;
    }
    size = size << 4 | static_cast<std::uint64_t>(hex_digit(line[digits]));
  }
  if (digits == 0 || !is_header_value(line) || !is_chunk_extension(line.substr(digits))) {
    refuse(Refusal::kChunk);
    return;
  }
  if (size > body_bytes_max_ - body_size) {
    refuse(Refusal::kBodyTooLarge);
    return;
  }
  remaining_ = size;
  part_ = size == 0 ? Part::kTrailer : Part::kData;
}

void BodyDecoder::end_of_trailer_line(std::string_view line, Headers& trailers) {
  if (line.empty()) {
    state_ = State::kComplete;
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || !is_header_value(line) ||
      is_forbidden_in_trailer(line.substr(0, colon))) {
    refuse(Refusal::kTrailer);
    return;
  }
  trailers.add(line.substr(0, colon), trim_blanks(line.substr(colon + 1)));
}

std::span<char> BodyDecoder::room(std::string& body) {
  if (mode_ != Mode::kLength || remaining_ < kRoomMin) return {};
  // Doubling, so that a body is copied at most once on average and memory follows what has really come.
  const std::uint64_t spare = std::max<std::uint64_t>(body.capacity() - body.size(), body.size());
  roomed_ = static_cast<std::size_t>(
      std::min({remaining_, std::max<std::uint64_t>(spare, kRoomMin), std::uint64_t{kRoomMax}}));
  const std::size_t size = body.size();
  // libstdc++ 12 hands the whole capacity to the function, so the count is our own.
  body.resize_and_overwrite(size + roomed_, [count = size + roomed_](char*, std::size_t) { return count; });
  return std::span(body).subspan(size);
}

void BodyDecoder::filled(std::size_t count, std::string& body) {
  body.resize(body.size() - roomed_ + count);
  roomed_ = 0;
  remaining_ -= count;
  if (remaining_ == 0) state_ = State::kComplete;
}

}  // namespace lambdad::http
