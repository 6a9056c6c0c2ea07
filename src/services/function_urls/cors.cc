#include "services/function_urls/cors.h"

#include <fmt/ranges.h>

#include "base/encoding.h"

namespace lambdad::function_urls {

namespace {

using aws::lambda::Cors;
using List = std::optional<std::vector<std::string>>;

// What Access-Control-Allow-Origin says to `origin`; nullopt when it is not allowed.
std::optional<std::string> allowed_origin(const Cors& cors, std::string_view origin) {
  if (!cors.allow_origins) return std::nullopt;
  for (const std::string& allowed : *cors.allow_origins) {
    if (allowed == "*") {
      // With credentials browsers take no wildcard.
      return cors.allow_credentials.value_or(false) ? std::string(origin) : "*";
    }
    if (equals_ignoring_case(allowed, origin)) return std::string(origin);
  }
  return std::nullopt;
}

void add_list(std::string_view name, const List& list, http::Response& response) {
  if (list && !list->empty()) response.headers.add(name, fmt::format("{}", fmt::join(*list, ",")));
}

// True when the origin is allowed.
bool add_origin(const Cors& cors, std::string_view origin, http::Response& response) {
  auto allowed = allowed_origin(cors, origin);
  if (!allowed) return false;
  if (*allowed != "*") response.headers.add("vary", "Origin");
  response.headers.add("access-control-allow-origin", *allowed);
  if (cors.allow_credentials.value_or(false)) response.headers.add("access-control-allow-credentials", "true");
  return true;
}

}  // namespace

std::optional<http::Response> answer_preflight(const Cors& cors, const http::Request& request) {
  const auto origin = request.headers.get("Origin");
  if (request.method != "OPTIONS" || !origin || !request.headers.contains("Access-Control-Request-Method")) {
    return std::nullopt;
  }
  http::Response response;
  if (add_origin(cors, *origin, response)) {
    add_list("access-control-allow-methods", cors.allow_methods, response);
    add_list("access-control-allow-headers", cors.allow_headers, response);
    if (cors.max_age) response.headers.add("access-control-max-age", fmt::to_string(*cors.max_age));
  }
  return response;
}

void apply_cors(const Cors& cors, std::optional<std::string_view> origin, http::Response& response) {
  for (std::string_view name :
       {"access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods",
        "access-control-allow-headers", "access-control-expose-headers", "access-control-max-age"}) {
    response.headers.remove(name);
  }
  if (origin && add_origin(cors, *origin, response)) {
    add_list("access-control-expose-headers", cors.expose_headers, response);
  }
}

}  // namespace lambdad::function_urls
