#include "execution/api_error.h"

#include "base/json.h"

namespace lambdad::execution {

http::Response api_error(int status, std::string_view type, std::string_view message) {
  json::Object body;
  body.append("errorMessage", json::Value(message));
  body.append("errorType", json::Value(type));
  return http::Response::json(status, json::serialize(json::Value(std::move(body))));
}

http::Response api_accepted() {
  http::Response response = http::Response::json(202, "{\"status\":\"OK\"}\n");
  // A runtime that has asked for the next event already has nothing to do before it comes.
  response.may_wait = true;
  return response;
}

}  // namespace lambdad::execution
