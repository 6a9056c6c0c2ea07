#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/json.h"

namespace lambdad::aws {

enum class Fault {
  kClient,  ///< the request can be mended by its sender (4xx)
  kServer,  ///< 5xx
};

/// What the caller sees. Made only by the generated constructors of a service and by the few common ones below, so
/// that status, names and the casing of members match the model.
struct Error {
  std::string type;  ///< shape name: "ResourceNotFoundException"
  int http_status = 500;
  Fault fault = Fault::kServer;
  std::string message;
  std::string message_member = "message";  ///< "message" or "Message", as the shape has it; empty: no such member
  std::string query_code;                  ///< code in the query protocol and in x-amzn-query-error; empty: `type`
  bool has_type_member = false;            ///< Lambda's "Type": "User" | "Service"
  json::Object members;                    ///< further members: Reason, ...
  std::string retry_after;                 ///< Retry-After header in seconds; empty: none
};

template <class T>
using Outcome = std::expected<T, Error>;

/// The result of operations without output.
struct Unit {
  bool operator==(const Unit&) const = default;
};

/// 400 ValidationException, the front end's answer to a request that breaks the model's constraints.
Error validation_error(std::string message);
/// 400 SerializationException: the body is not what the protocol says.
Error serialization_error(std::string message);
/// 404/400 UnknownOperationException, by protocol.
Error unknown_operation(std::string message);
/// 501 NotImplementedException: a published operation or member that lambdad does not serve; names it.
Error not_served(std::string_view service, std::string_view operation, std::string_view member = {});
/// 403 AccessDeniedException / the given type.
Error access_denied(std::string type, std::string message);
/// 500 InternalFailure; details go to the log under the request id.
Error internal_failure();

}  // namespace lambdad::aws
