#include "services/function_urls/url_response.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "http/body_decoder.h"

namespace lambdad::function_urls {

namespace {

constexpr std::size_t kNuls = 8;

// What the connection or the endpoint itself says.
bool is_reserved(std::string_view name) {
  for (std::string_view reserved : {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade",
                                    "trailer", "te", "proxy-authenticate"}) {
    if (name == reserved) return true;
  }
  return false;
}

Result<int> read_status(const json::Value& value) {
  std::optional<std::int64_t> status = value.as_int64();
  if (const std::string* text = value.if_string()) {
    int number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size()) status = number;
  }
  if (!status || *status < 200 || *status > 599) return fail(Errc::kInvalid, "statusCode");
  return static_cast<int>(*status);
}

// Text, or a scalar as its JSON text.
Result<std::string> read_field(const json::Value& value) {
  std::string text;
  if (const std::string* string = value.if_string()) {
    text = *string;
  } else if (value.is_number() || value.is_bool()) {
    text = json::serialize(value);
  } else {
    return fail(Errc::kInvalid, "a header that is no text");
  }
  if (!http::is_header_value(text)) return fail(Errc::kInvalid, "a control character in a header");
  return text;
}

/// Status, headers and cookies of `object`; the parts that buffered and streamed responses share.
Result<http::Response> read_head(const json::Value& object, std::string_view default_type) {
  http::Response response;
  if (const json::Value* status = object.find("statusCode")) {
    LD_TRY(response.status, read_status(*status));
  }
  bool has_type = false;
  if (const json::Value* headers = object.find("headers"); headers != nullptr && !headers->is_null()) {
    const json::Object* fields = headers->if_object();
    if (fields == nullptr) return fail(Errc::kInvalid, "headers");
    for (const auto& [name, value] : *fields) {
      const std::string lower = to_lower(name);
      if (!http::is_token(lower)) return fail(Errc::kInvalid, "the name of a header");
      if (value.is_null() || is_reserved(lower)) continue;
      LD_TRY(std::string text, read_field(value));
      has_type = has_type || lower == "content-type";
      response.headers.add(lower, text);
    }
  }
  if (!has_type) response.headers.add("content-type", default_type);
  if (const json::Value* cookies = object.find("cookies"); cookies != nullptr && !cookies->is_null()) {
    const json::Array* list = cookies->if_array();
    if (list == nullptr) return fail(Errc::kInvalid, "cookies");
    for (const json::Value& cookie : *list) {
      if (cookie.if_string() == nullptr) return fail(Errc::kInvalid, "a cookie that is no text");
      LD_TRY(std::string text, read_field(cookie));
      response.headers.add("set-cookie", text);
    }
  }
  return response;
}

}  // namespace

bool has_prelude(std::string_view content_type) {
  return equals_ignoring_case(http::trim_blanks(content_type.substr(0, content_type.find(';'))), kPreludeContentType);
}

Result<http::Response> interpret(std::string_view payload) {
  LD_TRY(json::Value value, json::parse(payload));
  if (value.find("statusCode") == nullptr) {
    http::Response response;
    response.headers.add("content-type", "application/json");
    if (const std::string* text = value.if_string()) {
      response.body = *text;
    } else if (!value.is_null()) {
      response.body = json::serialize(value);
    }
    return response;
  }
  LD_TRY(http::Response response, read_head(value, "application/json"));
  const json::Value* encoded = value.find("isBase64Encoded");
  const bool base64 = encoded != nullptr && encoded->if_bool() != nullptr && *encoded->if_bool();
  if (const json::Value* body = value.find("body"); body != nullptr && !body->is_null()) {
    const std::string* text = body->if_string();
    if (text == nullptr) return fail(Errc::kInvalid, "a body that is no text");
    if (base64) {
      auto bytes = base64_decode(*text);
      if (!bytes) return fail(Errc::kInvalid, "a body that is no base64");
      response.body = std::move(*bytes);
    } else {
      response.body = *text;
    }
  }
  return response;
}

std::size_t PreludeParser::push(std::string_view bytes) {
  if (state_ != State::kMore) return 0;
  std::size_t at = 0;
  if (nuls_ == 0) {
    // JSON has no NUL bytes of its own.
    at = std::min(bytes.find('\0'), bytes.size());
    if (document_.size() + at > kBytesMax) {
      state_ = State::kMalformed;
      return 0;
    }
    document_.append(bytes.substr(0, at));
  }
  for (; at < bytes.size() && nuls_ < kNuls; ++at) {
    if (bytes[at] != '\0') {
      state_ = State::kMalformed;
      return at;
    }
    ++nuls_;
  }
  if (nuls_ < kNuls) return at;
  state_ = State::kMalformed;
  auto document = json::parse(document_);
  if (!document || !document->is_object()) return at;
  auto head = read_head(*document, "application/octet-stream");
  if (!head) return at;
  response_ = std::move(*head);
  state_ = State::kComplete;
  return at;
}

}  // namespace lambdad::function_urls
