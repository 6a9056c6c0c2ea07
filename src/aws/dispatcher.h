#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "aws/access.h"
#include "aws/codec.h"
#include "aws/error.h"
#include "aws/model.h"
#include "base/json.h"
#include "base/time.h"
#include "http/message.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "system/system.h"

namespace lambdad::aws {

/// Who asks, and for what: everything a handler may need beside its input.
struct RequestContext {
  std::string request_id;  ///< UUID v4; answered as x-amzn-RequestId
  std::string account;     ///< 12 digits: the caller's
  std::string region;      ///< from the credential scope, else the default region
  CallerPtr caller;        ///< null: nobody is known, and nobody is asked for
  std::string service;     ///< "sqs"
  std::string operation;   ///< "SendMessage"
  std::string base_url;    ///< how the client reaches us, from Host: "http://127.0.0.1:4566"; never ends in '/'
  std::string source_ip;
  WallTime received;               ///< on AWS's clock
  http::Headers headers;           ///< of the request
  http::Headers response_headers;  ///< set by handlers: X-Amz-Function-Error, ...
  EventSource events;              ///< set by handlers of operations whose output is an event stream
  int response_status = 0;         ///< set by handlers to override the model's success status; 0: as the model says
};

/// The operations that are served, by service and name; decodes requests into typed inputs and encodes what handlers
/// answer, in the protocol of the request.
///
/// One endpoint serves all services. A request is assigned to a service by, in this order: X-Amz-Target; the
/// credential scope of its signature (header or presigned query); a rest-json path of a served service; the Action of
/// a form body or query string. Unknown operation, operation not served, member not served: refused by name.
///
/// Checks before a handler runs: the body is well formed (SerializationException), types match, the model's
/// constraints hold (ValidationException with AWS's text, several joined), required members are present. Before all
/// that, who asks is made sure of; after it, that they may.
///
/// Every request gets a log line (debug), `lambdad_requests_total{service,operation,status}` and a duration histogram.
/// Ownership: handlers are owned; System parts outlive it. Threading: the loop only.
class Dispatcher {
 public:
  struct Options {
    std::string default_account = "000000000000";
    std::string default_region = "us-east-1";
    /// Null: an access key of 12 digits selects its account, any other the default one, and everything is allowed.
    AccessControl* access = nullptr;
  };
  Dispatcher(System& system, Logger& log, Metrics& metrics, Options options);
  ~Dispatcher();

  /// Makes the service's model known, so that its requests are recognised and its operations refused by name until
  /// they are served.
  void add(const ServiceModel& service);

  /// Serves `Op`. `handler` is called as handler(RequestContext&, Op::Input) and returns
  /// Async<Outcome<Op::Output>>; the context lives until that coroutine has ended. Once per operation.
  template <class Op, class F>
  void serve(F handler) {
    serve_document(Op::service(), Op::model(),
                   [handler = std::move(handler)](RequestContext& context, json::Value input,
                                                  std::string payload) -> Async<Outcome<Answer>> {
                     return run<Op>(&handler, &context, std::move(input), std::move(payload));
                   });
  }

  /// Answers one HTTP request that is meant for an AWS API. Never throws (cancellation apart).
  Async<http::Response> handle(http::Request request);

  /// Runs an operation in process, with the same checks; the input and output are documents with the model's member
  /// names (blobs base64, timestamps as numbers of seconds). Authorised when the context has a caller. For
  /// ports::ApiCaller.
  Async<Outcome<json::Value>> call(RequestContext context, std::string service, std::string operation,
                                   json::Value input);

  using DocumentHandler =
      std::function<Async<Outcome<Answer>>(RequestContext& context, json::Value input, std::string payload)>;
  /// As serve(), for operations that want the document itself.
  void serve_document(const ServiceModel& service, const OperationModel& operation, DocumentHandler handler);

 private:
  template <class Op, class F>
  static Async<Outcome<Answer>> run(const F* handler, RequestContext* context, json::Value input, std::string payload) {
    typename Op::Input typed;
    if (auto decoded = decode_input(std::move(input), payload, typed); !decoded) {
      co_return std::unexpected(std::move(decoded.error()));
    }
    auto outcome = co_await (*handler)(*context, std::move(typed));
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
    co_return encode_output(std::move(*outcome));
  }
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad::aws
