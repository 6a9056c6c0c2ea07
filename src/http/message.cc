#include "http/message.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::http {

std::optional<std::string_view> Headers::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (field.name_size == name.size() && equals_ignoring_case(name_of(field), name)) return value_of(field);
  }
  return std::nullopt;
}

std::string Headers::get_or(std::string_view name, std::string_view fallback) const {
  return std::string(get(name).value_or(fallback));
}

void Headers::reserve(std::size_t bytes) {
  // A field of fewer bytes, with its colon and line end, is rare.
  constexpr std::size_t kBytesPerField = 24;
  text_.reserve(bytes);
  fields_.reserve(bytes / kBytesPerField);
}

void Headers::add(std::string_view name, std::string_view value) {
  const std::size_t at = text_.size();
  const std::size_t size = at + name.size() + value.size();
  LD_CHECK(size <= UINT32_MAX, "headers of more than 4 GiB");
  fields_.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(value.size())});
  if (size <= text_.capacity()) {
    text_.append(name).append(value);
    return;
  }
  // The new field may be a view into the old text.
  std::string larger;
  larger.reserve(std::max(size, 2 * text_.capacity()));
  larger.append(text_).append(name).append(value);
  text_ = std::move(larger);
}

void Headers::set(std::string_view name, std::string_view value) {
  const auto before = static_cast<std::ptrdiff_t>(fields_.size());
  add(name, value);
  const Field added = fields_.back();
  const auto same = [this, added](const Field& field) {
    return field.name_size == added.name_size && equals_ignoring_case(name_of(field), name_of(added));
  };
  fields_.erase(std::remove_if(fields_.begin(), fields_.begin() + before, same), fields_.begin() + before);
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [this, name](const Field& field) { return equals_ignoring_case(name_of(field), name); });
}

std::string_view Request::path() const { return std::string_view(target).substr(0, target.find('?')); }

std::string_view Request::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

namespace {
Response with_body(int status, std::string body, std::string_view content_type) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", content_type);
  response.body = std::move(body);
  return response;
}
}  // namespace

Response Response::text(int status, std::string body) {
  return with_body(status, std::move(body), "text/plain; charset=utf-8");
}

Response Response::json(int status, std::string body) { return with_body(status, std::move(body), "application/json"); }

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Payload Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 424: return "Failed Dependency";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";  // a phrase is optional and nobody reads it, but some clients want one
  }
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view encoded) {
  std::vector<std::pair<std::string, std::string>> fields;
  while (!encoded.empty()) {
    const std::size_t end = std::min(encoded.find('&'), encoded.size());
    const std::string_view field = encoded.substr(0, end);
    encoded.remove_prefix(std::min(end + 1, encoded.size()));
    if (field.empty()) continue;
    const std::size_t mark = std::min(field.find('='), field.size());
    auto name = percent_decode(field.substr(0, mark), /*plus_is_space=*/true);
    auto value = percent_decode(field.substr(std::min(mark + 1, field.size())), /*plus_is_space=*/true);
    if (!name || !value) return std::nullopt;
    fields.emplace_back(std::move(*name), std::move(*value));
  }
  return fields;
}

}  // namespace lambdad::http
