/// An HTTP request as the event that a function behind a URL gets: API Gateway's HTTP payload, version 2.0.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"
#include "http/message.h"
#include "services/function_urls/url_config.h"

namespace lambdad::function_urls {

/// Who signed the request, of a URL with AWS_IAM.
struct Caller {
  std::string access_key;
  std::string account;
  std::string user_arn;  ///< "arn:aws:sts::111122223333:assumed-role/app/me"
  std::string user_id;   ///< "AROA...:me"
};

/// What an event says beside the request itself.
struct EventFacts {
  UrlHost host;
  std::string request_id;
  std::string trace_header;      ///< X-Amzn-Trace-Id
  std::optional<Caller> caller;  ///< nullopt: anonymous
  WallTime now{};
};

/// The event for `request`. Pure.
///
/// Header names are lower-cased and repeats joined with ','; cookies stand in `cookies`, not among the headers. The
/// path is raw in rawPath and decoded once in requestContext.http.path; query values are decoded and repeats joined
/// with ','. The body is text for textual content types (text/*, JSON, XML, JavaScript) when it is UTF-8, else base64;
/// absent when empty, as is queryStringParameters without a query. Source: Lambda Developer Guide, "Invoking Lambda
/// function URLs"; recorded events.
json::Value make_event(const http::Request& request, const EventFacts& facts);

}  // namespace lambdad::function_urls
