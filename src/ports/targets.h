#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "base/arn.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"
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

/// A message for a queue, topic, function, bus or bucket: dead letters, records of destinations, notifications.
struct TargetMessage {
  std::string body;
  struct Attribute {
    std::string data_type;  ///< "String", "Number"
    std::string value;
  };
  std::map<std::string, Attribute> attributes;  ///< of queues and topics; others leave them out
  std::string trace_header;                     ///< X-Ray header with the lineage of what led to this message
  std::string group_id;                         ///< MessageGroupId; FIFO targets need one. Empty: none
  std::string deduplication_id;  ///< MessageDeduplicationId for FIFO targets; empty: the target's own rule

  /// On whose behalf it is delivered: what a permission check sees. Empty: nobody's.
  struct Sender {
    std::string service;     ///< principal: "lambda.amazonaws.com"
    std::string source_arn;  ///< aws:SourceArn: the function (unqualified), the topic
    std::string role;        ///< ARN of the role whose permissions count
  };
  Sender sender;

  /// Set when `body` is the record of an asynchronous invocation: targets that wrap a message (a bus) or name it (a
  /// bucket) are made from this.
  struct InvocationRecord {
    FunctionArn function;  ///< qualified as in the record
    bool succeeded = false;
    WallTime at{};  ///< timestamp of the record
  };
  std::optional<InvocationRecord> record;
};

/// Delivers to an ARN. Returns after the target's own commit.
/// Errors: kNotFound (no such queue), kDenied, kTooLarge, kInvalid (ARN of a kind that is not served, or a message that
/// the target refuses), kUnavailable (later it can succeed). Threading: the loop only.
struct Target {
  virtual ~Target() = default;
  virtual Async<Result<void>> deliver(Arn target, TargetMessage message) = 0;
  /// Whether messages could be delivered to `target`, asked when it is configured: kNotFound, kInvalid (FIFO where only
  /// standard ones are taken).
  virtual Result<void> check(const Arn&) { return {}; }
};

/// Delivers to the target that serves the ARN's service. A service that nobody has added is not served: kInvalid, and
/// serves() lets it be refused by name when it is configured.
/// Ownership: borrows the targets. Threading: the loop only.
class Targets final : public Target {
 public:
  /// `service` as in ARNs: "sqs", "sns", "lambda", "events", "s3".
  void add(std::string service, Target& target) { by_service_[std::move(service)] = &target; }
  bool serves(std::string_view service) const { return by_service_.contains(service); }

  Async<Result<void>> deliver(Arn target, TargetMessage message) override;
  Result<void> check(const Arn& target) override;

 private:
  std::map<std::string, Target*, std::less<>> by_service_;
};

}  // namespace lambdad::ports
