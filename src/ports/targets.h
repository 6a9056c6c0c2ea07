#pragma once

#include <map>
#include <string>

#include "aws/error.h"
#include "base/arn.h"
#include "base/error.h"
#include "base/json.h"
#include "system/async.h"

namespace lambdad::ports {

/// Runs an AWS operation by name: in process, on another lambdad, or at AWS. Documents carry the model's member
/// names. Threading: the loop only.
struct ApiCaller {
  virtual ~ApiCaller() = default;
  struct Call {
    std::string service;    ///< "sqs"
    std::string operation;  ///< "ReceiveMessage"
    std::string account;
    std::string region;
    json::Value input;
  };
  virtual Async<aws::Outcome<json::Value>> call(Call call) = 0;
};

/// A message for a queue, topic or other target of an asynchronous delivery.
struct TargetMessage {
  std::string body;
  struct Attribute {
    std::string data_type;  ///< "String", "Number"
    std::string value;
  };
  std::map<std::string, Attribute> attributes;
  std::string trace_header;
};

/// Delivers to an ARN: dead-letter queues and destinations. Returns after the target's own commit.
/// Errors: kNotFound (no such queue), kDenied, kTooLarge, kInvalid (ARN of a kind that is not served), kUnavailable.
struct Target {
  virtual ~Target() = default;
  virtual Async<Result<void>> deliver(Arn target, TargetMessage message) = 0;
};

}  // namespace lambdad::ports
