#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "aws/dispatcher.h"
#include "http/message.h"
#include "observe/metrics.h"
#include "system/clock.h"
#include "system/system.h"

namespace lambdad::frontdoor {

/// Routes the requests of the main listener.
///
/// A request whose Host is a function URL's goes there, whatever its path. Of the others:
///
/// | path | answer |
/// | --- | --- |
/// | GET /_lambdad/health | 200 {"status":"ok",...} or 503 with what is wrong |
/// | GET, POST /_lambdad/clock | AWS's time; moves it forward |
/// | /_lambdad/events... | asynchronous events: see, replay, remove |
/// | GET /_lambdad/code/... | a function's zip, with the token of GetFunction's Code.Location |
/// | PUT, POST /_lambdad/images | takes an archive of a container image |
/// | GET /_lambdad/mail | mail that SNS would have sent |
/// | GET /SimpleNotificationService-....pem | the certificate of SNS's signatures, for everybody |
/// | GET /metrics | Prometheus text |
/// | GET, HEAD /_localstack/health, /_localstack/info, /_localstack/init | what tools made for LocalStack ask for |
/// | /v2/... that is not signed as an AWS API's | the container registry |
/// | anything else | the AWS API |
///
/// The pages of lambdad answer only when Host is an IP address, localhost, or a name the operator allowed, and never to
/// a request that a web page of another origin made: a page in the user's browser must not steer the daemon through
/// DNS rebinding or a cross-site form.
/// Ownership: borrows everything. Threading: the loop only.
class FrontDoor {
 public:
  /// One thing that health depends on: empty text when it is well.
  using HealthCheck = std::function<std::string()>;
  struct Options {
    std::string version;
    std::vector<std::string> services;       ///< names shown as running
    std::vector<std::string> allowed_hosts;  ///< further Host names for lambdad's own pages
    /// Called after the clock was moved, before the answer: keeps the offset for the next start.
    std::function<void(Duration offset)> clock_moved;
    /// Answers GET /_lambdad/code/...: downloads that GetFunction's Code.Location names.
    std::function<Async<http::Response>(http::Request)> code_download;
    /// Answers GET /_lambdad/mail.
    std::function<Async<http::Response>(http::Request)> mail;
    /// Whether a path names the certificate of SNS's signatures, and who answers for it.
    std::function<bool(std::string_view path)> is_certificate;
    std::function<Async<http::Response>(http::Request)> certificate;
    /// Answers /_lambdad/events and what is below it.
    std::function<Async<http::Response>(http::Request)> events;
    /// Whether a Host field names a function URL, and who answers for it.
    std::function<bool(std::string_view host)> is_function_url;
    std::function<Async<http::Response>(http::Request)> function_url;
    /// Answers /_lambdad/images; unset: there is no such page.
    std::function<Async<http::Response>(http::Request)> image_upload;
    /// Whether a request is for the container registry, and what answers it; unset: none is.
    std::function<bool(const http::Request&)> is_for_registry;
    std::function<Async<http::Response>(http::Request)> registry;
  };
  FrontDoor(System& system, AdjustableClock& clock, aws::Dispatcher& dispatcher, Metrics& metrics, Options options);

  void add_health_check(std::string name, HealthCheck check);
  Async<http::Response> handle(http::Request request);

 private:
  http::Response health() const;
  http::Response localstack(const http::Request& request) const;
  Async<http::Response> clock(http::Request request);
  bool may_use_own_pages(const http::Request& request) const;

  System& system_;
  AdjustableClock& clock_;
  aws::Dispatcher& dispatcher_;
  Metrics& metrics_;
  Options options_;
  std::map<std::string, HealthCheck> checks_;
  MonoTime started_;
};

}  // namespace lambdad::frontdoor
