#pragma once

#include <string_view>

#include "ports/functions.h"

namespace lambdad::ports {

/// As the API says it, in the Reason member of TooManyRequestsException.
constexpr std::string_view to_string(ThrottleReason reason) {
  switch (reason) {
    case ThrottleReason::kConcurrentInvocationLimit: return "ConcurrentInvocationLimitExceeded";
    case ThrottleReason::kReservedConcurrentInvocationLimit: return "ReservedFunctionConcurrentInvocationLimitExceeded";
    case ThrottleReason::kInvocationRateLimit: return "FunctionInvocationRateLimitExceeded";
    case ThrottleReason::kReservedInvocationRateLimit: return "ReservedFunctionInvocationRateLimitExceeded";
  }
  return "";
}

}  // namespace lambdad::ports
