#include "daemon/mappings_page.h"

#include <charconv>

namespace lambdad::daemon {

namespace {

http::Response answer(int status, const json::Value& body) {
  auto response = http::Response::json(status, json::serialize_pretty(body) + "\n");
  response.headers.set("Cache-Control", "no-store");
  return response;
}

}  // namespace

Async<http::Response> mappings_page(event_sources::MappingService& mappings, http::Request request) {
  if (request.method != "GET" && request.method != "HEAD") {
    auto refused = answer(405, json::Object{{"message", "this page answers GET"}});
    refused.headers.set("Allow", "GET");
    co_return refused;
  }
  std::string after;
  std::size_t count = 100;
  const auto parameters = http::parse_form(request.query());
  bool good = parameters.has_value();
  if (good) {
    for (const auto& [name, value] : *parameters) {
      if (name == "after") {
        after = value;
      } else if (name == "count") {
        const auto read = std::from_chars(value.data(), value.data() + value.size(), count);
        good = good && read.ec == std::errc{} && read.ptr == value.data() + value.size() && count >= 1 && count <= 1000;
      } else {
        good = false;
      }
    }
  }
  if (!good) co_return answer(400, json::Object{{"message", "use ?after=UUID and ?count=1..1000"}});
  co_return answer(200, co_await mappings.overview(std::move(after), count));
}

}  // namespace lambdad::daemon
