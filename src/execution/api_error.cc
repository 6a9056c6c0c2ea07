#include "execution/api_error.h"

#include "base/json.h"

namespace lambdad::execution {

http::Response api_error(int status, std::string_view type, std::string_view message) {
  json::Object body;
  body.append("errorMessage", json::Value(message));
  body.append("errorType", json::Value(type));
  return http::Response::json(status, json::serialize(json::Value(std::move(body))));
}

http::Response api_accepted() { return http::Response::json(202, "{\"status\":\"OK\"}\n"); }

}  // namespace lambdad::execution
