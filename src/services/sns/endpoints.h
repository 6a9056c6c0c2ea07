/// One attempt to bring a message to its endpoint.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "http/client.h"
#include "ports/functions.h"
#include "ports/targets.h"
#include "services/sns/live.h"
#include "services/sns/signing.h"
#include "services/sns/store.h"
#include "system/system.h"

namespace lambdad::sns {

/// What became of an attempt.
struct Attempt {
  enum class Kind {
    kDelivered,
    kFailed,   ///< may succeed later
    kRefused,  ///< never will: AWS's "client-side error"
  };
  Kind kind = Kind::kDelivered;
  Failure why;
};

/// http://[user[:password]@]host[:port][/path][?query], or https.
struct EndpointUrl {
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string target;         ///< path and query, at least "/"
  std::string authorization;  ///< Basic, of the user information; empty: none
  /// nullopt for anything else, and for lambdad's own pages.
  static std::optional<EndpointUrl> parse(std::string_view text);
};

/// The protocols. "Delivered" to a function means that its event is in the asynchronous queue; what the function makes
/// of it is not SNS's business. To a queue: that it is committed there. To HTTP: an answer of 2xx within 15 s. Mail is
/// stored.
///
/// Source: SNS Developer Guide, "Message delivery retries": endpoints that are gone, are denied or answer 4xx other
/// than 429 are not tried again. Ownership: borrows everything. Threading: the loop only.
class Endpoints {
 public:
  struct Options {
    ports::FunctionInvoker& invoker;
    ports::FunctionCatalog& catalog;
    ports::ApiCaller& api;                  ///< of queues
    std::function<std::string()> base_url;  ///< where endpoints reach this daemon: "http://127.0.0.1:4566"
  };
  Endpoints(System& system, Store& store, Signing& signing, Options options);

  Async<Attempt> deliver(SubscriptionPtr subscription, MessagePtr message);
  /// To the subscription's dead-letter queue, which is set.
  Async<Attempt> dead_letter(SubscriptionPtr subscription, MessagePtr message, Failure failure);

 private:
  /// Text, signature and links for one subscription.
  Async<Result<Envelope>> envelope(SubscriptionPtr subscription, MessagePtr message);
  Async<Attempt> to_function(SubscriptionPtr subscription, MessagePtr message);
  Async<Attempt> to_queue(SubscriptionPtr subscription, MessagePtr message);
  Async<Attempt> to_http(SubscriptionPtr subscription, MessagePtr message);
  Async<Attempt> to_mail(SubscriptionPtr subscription, MessagePtr message);
  Async<Attempt> send(Arn queue, MessagePtr message, std::string body, MessageAttributes attributes);

  System& system_;
  Store& store_;
  Signing& signing_;
  Options options_;
  http::Client client_;
};

}  // namespace lambdad::sns
