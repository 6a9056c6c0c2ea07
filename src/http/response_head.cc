#include "http/response_head.h"

#include <charconv>

#include "base/encoding.h"
#include "http/body_decoder.h"

namespace lambdad::http {

namespace {

void append_field(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_number(std::size_t number, std::string& out) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// Longer names cannot be one of the fields that are looked for; told apart by length before any byte is compared.
bool is_framing_field(std::string_view name) {
  switch (name.size()) {
    case 10: return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 14: return equals_ignoring_case(name, "content-length");
    case 17: return equals_ignoring_case(name, "transfer-encoding");
    default: return false;
  }
}

}  // namespace

bool has_body(const Response& response, const ResponseContext& context) {
  return !context.head_request && response.status != 204 && response.status != 304;
}

bool is_sendable(const Response& response) {
  if (response.status < 200 || response.status > 599) return false;
  for (const Header& field : response.headers) {
    if (!is_token(field.name) || !is_header_value(field.value)) return false;
  }
  return true;
}

void append_response_head(const Response& response, const ResponseContext& context, std::string& out) {
  out.append("HTTP/1.1 ");
  append_number(static_cast<std::size_t>(response.status), out);
  out.append(" ").append(reason_phrase(response.status)).append("\r\n");
  std::string_view own_length;
  bool has_date = false;
  for (const Header& field : response.headers) {
    if (is_framing_field(field.name)) {
      if (field.name.size() == 14) own_length = field.value;
      continue;
    }
    if (field.name.size() == 4 && equals_ignoring_case(field.name, "date")) has_date = true;
    append_field(field.name, field.value, out);
  }
  const bool body = has_body(response, context);
  if (response.stream) {
    if (body && !context.http_1_0) append_field("Transfer-Encoding", "chunked", out);
  } else if (body || !response.body.empty()) {
    if (response.status != 204) {
      out.append("Content-Length: ");
      append_number(response.body.size(), out);
      out.append("\r\n");
    }
  } else if (!own_length.empty() && response.status != 204) {
    append_field("Content-Length", own_length, out);
  } else if (context.head_request && response.status != 204 && response.status != 304) {
    append_field("Content-Length", "0", out);
  }
  if (!has_date) out.append(context.date);
  if (context.close) {
    append_field("Connection", "close", out);
  } else if (context.http_1_0) {
    append_field("Connection", "keep-alive", out);
  }
  out.append("\r\n");
}

void append_trailers(const Headers& trailers, std::string& out) {
  for (const Header& field : trailers) {
    if (!is_token(field.name) || !is_header_value(field.value) || is_forbidden_in_trailer(field.name)) continue;
    append_field(field.name, field.value, out);
  }
  out.append("\r\n");
}

}  // namespace lambdad::http
