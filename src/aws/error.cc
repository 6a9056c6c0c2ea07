#include "aws/error.h"

#include <fmt/format.h>

namespace lambdad::aws {

namespace {

Error common(std::string type, int status, std::string message, std::string query_code) {
  Error error;
  error.type = std::move(type);
  error.http_status = status;
  error.fault = status >= 500 ? Fault::kServer : Fault::kClient;
  error.message = std::move(message);
  error.query_code = std::move(query_code);
  return error;
}

}  // namespace

Error validation_error(std::string message) {
  return common("ValidationException", 400, std::move(message), "ValidationError");
}

Error serialization_error(std::string message) {
  Error error = common("SerializationException", 400, std::move(message), "MalformedInput");
  error.message_member = "Message";
  return error;
}

Error unknown_operation(std::string message) {
  return common("UnknownOperationException", 404, std::move(message), "InvalidAction");
}

Error not_served(std::string_view service, std::string_view operation, std::string_view member) {
  std::string message = operation.empty() ? fmt::format("lambdad does not serve {}.", service)
                        : member.empty()
                            ? fmt::format("lambdad does not serve {}:{}.", service, operation)
                            : fmt::format("lambdad does not serve the member {} of {}:{}.", member, service, operation);
  return common("NotImplementedException", 501, std::move(message), "NotImplemented");
}

Error access_denied(std::string type, std::string message) {
  std::string code = type.ends_with("Exception") ? type.substr(0, type.size() - 9) : type;
  return common(std::move(type), 403, std::move(message), std::move(code));
}

Error internal_failure() { return common("InternalFailure", 500, "", "InternalFailure"); }

}  // namespace lambdad::aws
