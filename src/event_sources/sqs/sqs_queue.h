#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aws/error.h"
#include "event_sources/sqs/sqs_event.h"
#include "ports/targets.h"
#include "system/clock.h"

namespace lambdad::event_sources {

/// A queue as the pollers of a mapping use it: by ARN, through the SQS API, wherever that queue lives.
///
/// The URL and the visibility timeout are asked for once and again when they are old or a call failed.
/// Ownership: borrows; keep the object while its coroutines run. Threading: the loop only.
class SqsQueue {
 public:
  SqsQueue(ports::ApiCaller& api, Clock& clock, Arn arn) : api_(api), clock_(clock), arn_(std::move(arn)) {}

  const Arn& arn() const { return arn_; }
  /// Of messages received without saying another; known after refresh().
  Duration visibility_timeout() const { return visibility_timeout_; }
  /// Learns URL and visibility timeout unless they are known and young.
  Async<aws::Outcome<void>> refresh();

  struct Received {
    json::Value answer;
    const json::Array* messages() const;  ///< nullptr: none
  };
  /// One ReceiveMessage with all attributes. `count` 1..10, `wait` 0..20 whole seconds; `visibility_timeout` as the
  /// queue has it when absent. Messages taken while the caller is cancelled come back after their visibility timeout.
  Async<aws::Outcome<Received>> receive(int count, std::chrono::seconds wait,
                                        std::optional<std::chrono::seconds> visibility_timeout);

  struct Backlog {
    std::int64_t visible = 0;
    std::int64_t in_flight = 0;
    std::int64_t delayed = 0;
  };
  /// Messages in the queue, approximately.
  Async<aws::Outcome<Backlog>> backlog();

  struct Deleted {
    std::size_t deleted = 0;
    std::size_t failed = 0;
    std::string reason;  ///< of one that failed
  };
  /// Deletes in batches of ten. A call that fails as a whole on the server's side is made three times.
  Async<Deleted> remove(std::vector<std::string> receipt_handles);

 private:
  Async<aws::Outcome<json::Value>> call(const char* operation, json::Object input);
  /// Attributes that are numbers, in the order of `names`.
  Async<aws::Outcome<std::vector<std::int64_t>>> attributes_of(std::string url, std::vector<std::string> names);

  ports::ApiCaller& api_;
  Clock& clock_;
  Arn arn_;
  std::string url_;
  Duration visibility_timeout_ = 30s;
  std::optional<MonoTime> learnt_at_;
};

}  // namespace lambdad::event_sources
