#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace lambdad::http {

/// What the connection knows about a response besides the response itself.
struct ResponseContext {
  bool http_1_0 = false;      ///< the request was HTTP/1.0: no chunks, and a kept connection is said
  bool head_request = false;  ///< no body follows whatever the head says
  bool close = false;         ///< the connection ends after this response
  std::string_view date;      ///< the whole "Date: ...\r\n" line
};

/// Whether a body may follow: not after HEAD, 204 and 304.
bool has_body(const Response& response, const ResponseContext& context);

/// Whether status and fields can be sent: a status of 200..599, names that are tokens, values without control bytes
/// (a function that puts CR LF into a header value must not be able to write headers or responses of its own).
bool is_sendable(const Response& response);

/// Appends status line, fields and the empty line to `out`. The response must be sendable.
///
/// Framing belongs to the connection: Content-Length, Transfer-Encoding and Connection of the response are left out
/// and written as the body and `context` demand; only the response to HEAD and a 304 keep a Content-Length of their
/// own when they have no body, because there it describes what GET would have given.
void append_response_head(const Response& response, const ResponseContext& context, std::string& out);

/// Appends trailer fields and the empty line that ends a chunked body. Fields that cannot be sent, or that would
/// frame or route, are left out.
void append_trailers(const Headers& trailers, std::string& out);

}  // namespace lambdad::http
