/// What a function behind a URL answers, as HTTP.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "http/message.h"

namespace lambdad::function_urls {

/// Content type by which a function says that its streamed response begins with a prelude.
inline constexpr std::string_view kPreludeContentType = "application/vnd.awslambda.http-integration-response";

bool has_prelude(std::string_view content_type);

/// The response that `payload`, the result of a function that does not stream, stands for.
///
/// An object with `statusCode` says it itself: statusCode (a number or numeric text), headers (sent in lower case),
/// cookies (one Set-Cookie each), body (text; base64 of bytes with isBase64Encoded), and application/json when it names
/// no content type. Anything else is a 200 of application/json: text unquoted, null as nothing, all other values as
/// compact JSON.
/// kInvalid: no JSON, or an object that says something that cannot be a response. AWS answers that with 502.
/// Source: Lambda Developer Guide, "Invoking Lambda function URLs", response payload format; recorded answers.
Result<http::Response> interpret(std::string_view payload);

/// Reads the prelude of a streamed response out of bytes that arrive in pieces: a JSON object with statusCode, headers
/// and cookies as interpret() takes them, then eight NUL bytes.
class PreludeParser {
 public:
  enum class State { kMore, kComplete, kMalformed };
  static constexpr std::size_t kBytesMax = 128 * 1024;  ///< our choice: larger than any head that clients take

  /// Takes bytes from the front and returns how many: all of them in kMore; in kComplete the rest is the body.
  std::size_t push(std::string_view bytes);
  State state() const { return state_; }
  /// In kComplete: status and headers; application/octet-stream when the prelude names no content type.
  http::Response take() { return std::move(response_); }

 private:
  State state_ = State::kMore;
  std::string document_;
  std::size_t nuls_ = 0;
  http::Response response_;
};

}  // namespace lambdad::function_urls
