#include "http/head.h"

#include <algorithm>

#include "base/encoding.h"
#include "http/body_decoder.h"

namespace lambdad::http {

namespace {

std::string_view take_line(std::string_view& head) {
  const std::size_t end = head.find("\r\n");
  const std::string_view line = head.substr(0, end);
  head.remove_prefix(std::min(end + 2, head.size()));
  return line;
}

// "HTTP/1.0" or "HTTP/1.1", and nothing else.
std::optional<Refusal> read_version(std::string_view text, bool& http_1_0) {
  http_1_0 = text == "HTTP/1.0";
  if (http_1_0 || text == "HTTP/1.1") return std::nullopt;
  return Refusal::kVersion;
}

}  // namespace

void FramingFields::see(std::string_view name, std::string_view value) {
  const auto is = [name](std::string_view other) { return equals_ignoring_case(name, other); };
  switch (name.size()) {
    case 4:
      if (is("host")) ++hosts, host = value;
      break;
    case 6:
      if (is("expect")) ++expectations, expectation = value;
      break;
    case 10:
      if (!is("connection")) break;
      while (!value.empty()) {
        const std::size_t end = std::min(value.find(','), value.size());
        const std::string_view option = trim_blanks(value.substr(0, end));
        if (equals_ignoring_case(option, "close")) close = true;
        if (equals_ignoring_case(option, "keep-alive")) keep_alive = true;
        value.remove_prefix(std::min(end + 1, value.size()));
      }
      break;
    case 14:
      if (is("content-length")) ++lengths, length = value;
      break;
    case 17:
      if (is("transfer-encoding")) ++encodings, encoding = value;
      break;
    default: break;
  }
}

std::optional<Refusal> read_request_line(std::string_view& head, RequestLine& line) {
  std::string_view rest = take_line(head);
  const std::size_t first = rest.find(' ');
  line.method = rest.substr(0, first);
  if (first == std::string_view::npos || !is_token(line.method)) return Refusal::kMalformed;
  rest.remove_prefix(first + 1);
  const std::size_t second = rest.find(' ');
  if (second == 0 || second == std::string_view::npos) return Refusal::kTarget;
  line.target = rest.substr(0, second);
  return read_version(rest.substr(second + 1), line.http_1_0);
}

std::optional<Refusal> read_status_line(std::string_view& head, StatusLine& line) {
  const std::string_view text = take_line(head);
  constexpr std::size_t kVersion = 8;
  constexpr std::size_t kStatus = kVersion + 1;
  if (auto why = read_version(text.substr(0, kVersion), line.http_1_0)) return why;
  if (text.size() < kStatus + 3 || text[kVersion] != ' ') return Refusal::kMalformed;
  line.status = 0;
  for (const char c : text.substr(kStatus, 3)) {
    if (c < '0' || c > '9') return Refusal::kMalformed;
    line.status = line.status * 10 + (c - '0');
  }
  if (text.size() > kStatus + 3 && text[kStatus + 3] != ' ') return Refusal::kMalformed;
  return std::nullopt;
}

std::optional<Refusal> read_fields(std::string_view head, Headers& headers, FramingFields& framing) {
  headers.reserve(head.size());
  for (std::string_view line = take_line(head); !line.empty(); line = take_line(head)) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || !is_token(name)) return Refusal::kMalformed;
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    framing.see(name, value);
    headers.add(name, value);
  }
  return std::nullopt;
}

}  // namespace lambdad::http
