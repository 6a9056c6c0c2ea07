/// Amazon SNS: topics, subscriptions and their deliveries. The only header of this folder that others include.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "aws/dispatcher.h"
#include "base/error.h"
#include "http/message.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "ports/targets.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::sns {

class Hub;

/// The service: topics and subscriptions are loaded when it is opened; deliveries begin with start().
///
/// A Publish is answered after the commit of the message and of everybody it goes to. Each delivery then lives by
/// itself until it succeeds, is in a dead-letter queue, or is given up as AWS would. Time is System::clock.
///
/// Ownership: owns everything of the service; system, log, metrics and what Options refer to outlive it, and so does it
/// the dispatcher's handlers. Threading: the loop.
/// End: stop(), while functions and queues still take messages.
class SnsService {
 public:
  struct Options {
    std::string directory;  ///< sns.db is there; made when absent
    store::Durability durability = store::Durability::kFull;
    ports::FunctionInvoker& invoker;
    ports::FunctionCatalog& catalog;
    ports::ApiCaller& api;                  ///< for queues
    std::function<std::string()> base_url;  ///< where endpoints reach this daemon; asked for after start()
  };
  /// Blocks while it loads. kCorrupt, kUnavailable and kDenied as the store has it.
  static Result<std::unique_ptr<SnsService>> open(System& system, Logger& log, Metrics& metrics, Options options);
  ~SnsService();

  /// Adds the model and serves its operations. Once.
  void register_operations(aws::Dispatcher& dispatcher);
  /// Takes up the deliveries of the last run. base_url answers by now.
  void start();
  Async<void> stop();

  /// Publishes to an SNS ARN, for dead-letter queues and destinations; returns after the commit. kNotFound, kTooLarge,
  /// kInvalid (no ARN of a topic, a FIFO topic, or a message that SNS refuses), kUnavailable.
  ports::Target& target();

  /// The policy of a topic as JSON; empty when it has the default one, or is not there.
  std::string resource_policy(const Arn& topic) const;

  /// GET /SimpleNotificationService-HASH.pem: the certificate that SigningCertURL names.
  static bool is_certificate_path(std::string_view path);
  Async<http::Response> certificate(http::Request request);
  /// GET /_lambdad/mail[?to=ADDRESS]: mail as it would have been sent, newest first, at most 100.
  Async<http::Response> mail(http::Request request);

  /// False while the store cannot commit.
  bool healthy() const;

 private:
  class TopicTarget;
  explicit SnsService(std::unique_ptr<Hub> hub);
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<TopicTarget> target_;
};

}  // namespace lambdad::sns
