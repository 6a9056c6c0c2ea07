/// Which targets asynchronous invocations may name: destinations and dead-letter queues.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "aws/gen/lambda.h"
#include "ports/functions.h"
#include "ports/targets.h"

namespace lambdad::lambda {

struct Destinations {
  std::string on_success;  ///< ARN; empty: none
  std::string on_failure;
};

/// Destinations that `function` may have: standard SQS queues and SNS topics, other functions, event buses, and buckets
/// for failures, in the function's region; they must exist. InvalidParameterValueException with AWS's texts; a service
/// that `targets` does not have is refused by name (NotImplementedException). `targets` may be null: none is served.
/// Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"; texts: reference A.10.
aws::Outcome<Destinations> check_destinations(const std::optional<aws::lambda::DestinationConfig>& config,
                                              const ports::FunctionRef& function, ports::Targets* targets,
                                              std::string_view operation);

/// A dead-letter queue: a standard SQS queue or SNS topic. Errors as above.
aws::Outcome<void> check_dead_letter_target(const std::string& arn, ports::Targets* targets,
                                            std::string_view operation);

}  // namespace lambdad::lambda
