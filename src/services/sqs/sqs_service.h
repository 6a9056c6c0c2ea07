/// Amazon SQS. The only header of this folder that others include.
#pragma once

#include <memory>
#include <string>

#include "aws/dispatcher.h"
#include "base/error.h"
#include "http/message.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/targets.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::sqs {

class Broker;
class MessagesPage;

/// The service: its queues are loaded when it is opened, and it answers what is registered with the dispatcher.
///
/// Every acknowledgement comes after the commit that makes it safe. Time is System::clock. A ReceiveMessage that waits
/// costs a few hundred bytes, no timer and no Activity, so pollers simply wait 20 s through ports::ApiCaller.
///
/// Ownership: owns everything of the service; system, log and metrics outlive it, and so does it the dispatcher's
/// handlers. Threading: the loop.
/// End: stop(), after the last request has been given to the dispatcher; parked receives then answer empty.
class SqsService {
 public:
  struct Options {
    std::string directory;  ///< sqs.db is there; made when absent
    store::Durability durability = store::Durability::kFull;
  };
  /// Blocks while it loads: about a second per million messages. kCorrupt, kUnavailable and kDenied as the store has
  /// it.
  static Result<std::unique_ptr<SqsService>> open(System& system, Logger& log, Metrics& metrics, Options options);
  ~SqsService();

  /// Adds the model and serves its operations. Once.
  void register_operations(aws::Dispatcher& dispatcher);

  /// Delivers to an SQS ARN, for dead-letter queues and destinations; returns after the commit. kNotFound, kTooLarge,
  /// kInvalid (no ARN of a queue, or a body or an attribute that SQS refuses), kUnavailable.
  ports::Target& target();

  /// The policy of a queue as JSON; empty when it has none, or is not there.
  std::string resource_policy(const Arn& queue) const;

  /// GET and POST /_aws/sqs/messages...: the messages of a queue, for people; see handlers/messages_page.h.
  http::Response messages_page(http::Request request) const;

  /// False while the store cannot commit.
  bool healthy() const;
  Async<void> stop();

 private:
  class QueueTarget;
  explicit SqsService(std::unique_ptr<Broker> broker);
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<QueueTarget> target_;
  std::unique_ptr<MessagesPage> messages_page_;
};

}  // namespace lambdad::sqs
