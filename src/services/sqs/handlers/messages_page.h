/// /_aws/sqs/messages: every message of a queue, for people. A look receives nothing and changes nothing.
#pragma once

#include "aws/router.h"
#include "http/message.h"
#include "services/sqs/broker.h"

namespace lambdad::sqs {

/// The page that tools made for LocalStack know:
///
///   GET /_aws/sqs/messages?QueueUrl=URL[&ShowInvisible=true][&ShowDelayed=true]
///   GET /_aws/sqs/messages/REGION/ACCOUNT/NAME[?...]
///   POST /_aws/sqs/messages   ReceiveMessage as an SDK sends it whose endpoint URL this page is
///
/// A GET is answered as XML, with "Accept: application/json" as JSON of the same structure (a list of one is its
/// element). Messages are in the order of sending, with all attributes, IsVisible and IsDelayed. Those in flight are
/// shown with ShowInvisible, delayed ones with ShowDelayed. A URL without a Region means us-east-1, or else any Region
/// where the account has a queue of that name.
/// Source: LocalStack documentation, "SQS developer endpoints".
/// Ownership: borrows the broker. Threading: the loop.
class MessagesPage {
 public:
  explicit MessagesPage(Broker& broker);
  http::Response handle(http::Request request) const;

 private:
  LiveQueuePtr find(const std::string& region, const std::string& account, const std::string& name) const;

  Broker& broker_;
  aws::Router router_;
};

}  // namespace lambdad::sqs
