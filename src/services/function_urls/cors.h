/// Cross-origin rules of a function URL. Pure.
///
/// Source: Lambda Developer Guide, "Cross-origin resource sharing (CORS)"; Fetch standard, "CORS protocol".
#pragma once

#include <optional>

#include "aws/gen/lambda.h"
#include "http/message.h"

namespace lambdad::function_urls {

/// The answer to a preflight request: OPTIONS with Origin and Access-Control-Request-Method. nullopt for any other
/// request, which is the function's. An origin that is not allowed gets a 200 that allows nothing.
std::optional<http::Response> answer_preflight(const aws::lambda::Cors& cors, const http::Request& request);

/// Makes the cross-origin headers of `response` say what `cors` says; those that the function set are replaced.
/// `origin` is the request's; without one nothing is added.
void apply_cors(const aws::lambda::Cors& cors, std::optional<std::string_view> origin, http::Response& response);

}  // namespace lambdad::function_urls
