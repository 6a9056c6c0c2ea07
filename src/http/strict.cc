#include "http/strict.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "http/head.h"

namespace lambdad::http {

namespace {

// One decimal number without sign, blanks or leading zeros, below 10^18.
std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t length = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return length;
}

struct Framing {
  bool chunked = false;
  std::optional<std::uint64_t> length;
};

// How the body is framed. Sets `why` and returns nullopt when it is not beyond doubt.
std::optional<Framing> framing_of(const FramingFields& fields, bool http_1_0, Refusal& why) {
  const auto refuse = [&why](Refusal reason) {
    why = reason;
    return std::nullopt;
  };
  Framing framing;
  if (fields.encodings > 0) {
    if (fields.lengths > 0) return refuse(Refusal::kTransferEncodingAndLength);
    if (http_1_0) return refuse(Refusal::kTransferEncodingOn10);
    if (fields.encodings > 1 || fields.encoding != "chunked") return refuse(Refusal::kTransferEncoding);
    framing.chunked = true;
  }
  if (fields.lengths > 1) return refuse(Refusal::kRepeatedContentLength);
  if (fields.lengths == 1) {
    framing.length = parse_length(fields.length);
    if (!framing.length) return refuse(Refusal::kContentLength);
  }
  return framing;
}

// host[:port] with the bytes of a registered name, an IPv4 address or an IPv6 address in brackets.
bool is_host(std::string_view host) {
  const std::size_t bracket = host.starts_with('[') ? host.find(']') : 0;
  if (bracket == std::string_view::npos) return false;
  const std::size_t colon = std::min(host.find(':', bracket), host.size());
  const std::string_view name = host.substr(0, colon);
  const std::string_view port = host.substr(std::min(colon + 1, host.size()));
  if (name.empty() || port.size() > 5 || !std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  if (name[0] == '[') {
    const std::string_view inner = name.substr(1, bracket - 1);
    return bracket == name.size() - 1 && !inner.empty() &&
           inner.find_first_not_of("0123456789abcdefABCDEF:.%") == std::string_view::npos;
  }
  return std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
  });
}

std::optional<Refusal> check_host(const FramingFields& fields, bool http_1_0) {
  if (fields.hosts > 1) return Refusal::kRepeatedHost;
  if (fields.hosts == 0) {
    if (http_1_0) return std::nullopt;
    return Refusal::kNoHost;
  }
  if (fields.host.empty()) return Refusal::kNoHost;
  if (!is_host(fields.host)) return Refusal::kHost;
  return std::nullopt;
}

// Finds the target to serve in `target`; nothing in it is decoded or normalised.
std::optional<Refusal> read_target(std::string_view method, std::string_view host, std::string_view& target) {
  const auto is_bad = [](char c) { return c <= 0x20 || c >= 0x7f || c == '#'; };
  if (target.empty() || std::ranges::any_of(target, is_bad)) return Refusal::kTarget;
  if (target[0] == '/') return std::nullopt;
  if (target == "*") {
    if (method == "OPTIONS") return std::nullopt;
    return Refusal::kTarget;
  }
  constexpr std::string_view kScheme = "http://";
  if (target.size() <= kScheme.size() || !equals_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    return Refusal::kTarget;
  }
  const std::string_view rest = target.substr(kScheme.size());
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  if (host.empty() || !equals_ignoring_case(rest.substr(0, path), host)) return Refusal::kTargetHost;
  if (path < rest.size() && rest[path] == '?') return Refusal::kTarget;  // "http://host?query" has no origin-form
  target = path == rest.size() ? std::string_view("/") : rest.substr(path);
  return std::nullopt;
}

}  // namespace

// --- HeadScanner ----------------------------------------------------------------------------------------------------

HeadScanner::Outcome HeadScanner::scan(std::string_view bytes, std::size_t first_line_max, std::size_t head_max) {
  // A head begins with a method or with "HTTP/": anything else, such as a TLS greeting, is told apart at once.
  if (!bytes.empty() && scanned_ == 0 && !is_token(bytes.substr(0, 1))) return refuse(Refusal::kMalformed);
  for (;;) {
    const std::size_t limit = line_start_ == 0 ? std::min(first_line_max, head_max) : head_max;
    const std::string_view seen = bytes.substr(0, limit);
    const std::size_t newline = seen.find('\n', scanned_);
    if (newline == std::string_view::npos) {
      scanned_ = seen.size();
      if (seen.size() < limit) return Outcome::kMore;
      return refuse(line_start_ == 0 && first_line_max < head_max ? Refusal::kTargetTooLong : Refusal::kHeadTooLarge);
    }
    if (newline == line_start_ || bytes[newline - 1] != '\r') return refuse(Refusal::kLineEnd);
    const std::string_view line = bytes.substr(line_start_, newline - 1 - line_start_);
    const bool is_first = line_start_ == 0;
    if (!is_first && !line.empty() && (line[0] == ' ' || line[0] == '\t')) return refuse(Refusal::kFoldedHeader);
    if (!is_header_value(line)) return refuse(Refusal::kControlByte);
    scanned_ = line_start_ = newline + 1;
    if (line.empty()) return is_first ? refuse(Refusal::kMalformed) : Outcome::kFound;
  }
}

// --- RequestParser --------------------------------------------------------------------------------------------------

void RequestParser::refuse(Refusal why) {
  refusal_ = why;
  state_ = State::kRefused;
}

void RequestParser::next() {
  state_ = State::kHead;
  scanner_ = {};
  request_ = {};
  expects_continue_ = false;
}

std::size_t RequestParser::push(std::string_view bytes) {
  std::size_t used = 0;
  if (state_ == State::kHead) {
    // Beside the target the first line holds a method and a version.
    constexpr std::size_t kAroundTarget = 64;
    switch (scanner_.scan(bytes, limits_.target_bytes_max + kAroundTarget, limits_.header_bytes_max)) {
      case HeadScanner::Outcome::kMore: return 0;
      case HeadScanner::Outcome::kRefused: refuse(scanner_.refusal()); return 0;
      case HeadScanner::Outcome::kFound: break;
    }
    used = scanner_.size();
    read_head(bytes.substr(0, used));
  }
  if (state_ == State::kBody) {
    used += body_.push(bytes.substr(used), request_.body, request_.trailers);
    if (body_.state() == BodyDecoder::State::kRefused) refuse(body_.refusal());
    if (body_.state() == BodyDecoder::State::kComplete) state_ = State::kComplete;
  }
  return used;
}

void RequestParser::body_filled(std::size_t count) {
  body_.filled(count, request_.body);
  if (body_.state() == BodyDecoder::State::kComplete) state_ = State::kComplete;
}

Request RequestParser::take_head() {
  Request head = std::exchange(request_, {});
  request_.body = std::exchange(head.body, {});
  request_.trailers = std::exchange(head.trailers, {});
  return head;
}

std::string RequestParser::take_piece() {
  body_.taken(request_.body.size());
  return std::exchange(request_.body, {});
}

void RequestParser::read_head(std::string_view head) {
  RequestLine line;
  FramingFields fields;
  if (auto why = read_request_line(head, line)) return refuse(*why);
  if (auto why = read_fields(head, request_.headers, fields)) return refuse(*why);
  http_1_0_ = line.http_1_0;
  if (line.target.size() > limits_.target_bytes_max) return refuse(Refusal::kTargetTooLong);
  if (line.method == "CONNECT") return refuse(Refusal::kConnect);
  if (auto why = check_host(fields, http_1_0_)) return refuse(*why);
  if (auto why = read_target(line.method, fields.host, line.target)) return refuse(*why);
  Refusal why{};
  const std::optional<Framing> framing = framing_of(fields, http_1_0_, why);
  if (!framing) return refuse(why);
  if (fields.expectations > 0 && !http_1_0_) {
    if (fields.expectations > 1 || !equals_ignoring_case(fields.expectation, "100-continue")) {
      return refuse(Refusal::kExpectation);
    }
    expects_continue_ = true;
  }
  keep_alive_ = !fields.close && (!http_1_0_ || fields.keep_alive);
  request_.method = line.method;
  request_.target = line.target;

  state_ = State::kBody;
  if (!framing->chunked && framing->length.value_or(0) == 0) {
    body_.expect_none();
    return;
  }
  const std::size_t body_max = limits_.body_limit ? limits_.body_limit(request_) : limits_.body_bytes_max;
  if (framing->chunked) {
    body_.expect_chunks(body_max, limits_.header_bytes_max);
  } else if (*framing->length > body_max) {
    refuse(Refusal::kBodyTooLarge);
  } else {
    body_.expect_length(*framing->length);
  }
}

// --- ResponseParser -------------------------------------------------------------------------------------------------

void ResponseParser::refuse(Refusal why) {
  refusal_ = why;
  state_ = State::kRefused;
}

std::size_t ResponseParser::push(std::string_view bytes) {
  std::size_t used = 0;
  while (state_ == State::kHead) {
    const std::string_view rest = bytes.substr(used);
    switch (scanner_.scan(rest, limits_.header_bytes_max, limits_.header_bytes_max)) {
      case HeadScanner::Outcome::kMore: return used;
      case HeadScanner::Outcome::kRefused: refuse(scanner_.refusal()); return used;
      case HeadScanner::Outcome::kFound: break;
    }
    used += scanner_.size();
    read_head(rest.substr(0, scanner_.size()));
  }
  if (state_ == State::kBody) {
    used += body_.push(bytes.substr(used), response_.body, trailers_);
    if (body_.state() == BodyDecoder::State::kRefused) refuse(body_.refusal());
    if (body_.state() == BodyDecoder::State::kComplete) state_ = State::kComplete;
  }
  return used;
}

void ResponseParser::push_end() {
  if (state_ == State::kBody && body_.lasts_until_close()) state_ = State::kComplete;
}

void ResponseParser::body_filled(std::size_t count) {
  body_.filled(count, response_.body);
  if (body_.state() == BodyDecoder::State::kComplete) state_ = State::kComplete;
}

void ResponseParser::read_head(std::string_view head) {
  StatusLine line;
  FramingFields fields;
  if (auto why = read_status_line(head, line)) return refuse(*why);
  if (auto why = read_fields(head, response_.headers, fields)) return refuse(*why);
  Refusal why{};
  const std::optional<Framing> framing = framing_of(fields, line.http_1_0, why);
  if (!framing) return refuse(why);
  if (line.status < 200) {
    if (line.status < 100 || line.status == 101) return refuse(Refusal::kMalformed);
    response_ = {};
    scanner_ = {};
    return;  // still kHead: the final response follows
  }
  if (line.status > 599) return refuse(Refusal::kMalformed);
  response_.status = line.status;
  keep_alive_ = !fields.close && (!line.http_1_0 || fields.keep_alive);

  state_ = State::kBody;
  if (to_head_request_ || line.status == 204 || line.status == 304) {
    body_.expect_none();
  } else if (framing->chunked) {
    body_.expect_chunks(limits_.body_bytes_max, limits_.header_bytes_max);
  } else if (!framing->length) {
    keep_alive_ = false;
    body_.expect_until_close(limits_.body_bytes_max);
  } else if (*framing->length > limits_.body_bytes_max) {
    refuse(Refusal::kBodyTooLarge);
  } else {
    body_.expect_length(*framing->length);
  }
}

}  // namespace lambdad::http
