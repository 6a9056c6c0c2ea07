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

/// Routes the requests of the main listener: to the sites that were added (function URLs, the container registry, ...),
/// to the pages of lambdad, and what is left to the AWS API. Its own pages are
///
/// | path | answer |
/// | --- | --- |
/// | GET /_lambdad/health | 200 {"status":"ok",...} or 503 with what is wrong |
/// | GET, POST /_lambdad/clock | AWS's time; moves it forward |
/// | GET /metrics | Prometheus text |
/// | GET, HEAD /_localstack/health, /_localstack/info, /_localstack/init | what tools made for LocalStack ask for |
///
/// Others bring theirs (add_page): docs/architecture.md lists them.
///
/// The pages of lambdad answer only when Host is an IP address, localhost, or a name the operator allowed, and never to
/// a request that a web page of another origin made: a page in the user's browser must not steer the daemon through
/// DNS rebinding or a cross-site form. Where callers are authenticated they answer to this machine only.
/// Ownership: borrows everything. Threading: the loop only.
class FrontDoor {
 public:
  /// One thing that health depends on: empty text when it is well.
  using HealthCheck = std::function<std::string()>;
  struct Options {
    std::string version;
    std::vector<std::string> services;       ///< names shown as running
    std::vector<std::string> allowed_hosts;  ///< further Host names for lambdad's own pages
    /// Whether other machines may see them, health apart: they need no signature.
    bool own_pages_from_anywhere = true;
    /// Called after the clock was moved, before the answer: keeps the offset for the next start.
    std::function<void(Duration offset)> clock_moved;
  };
  FrontDoor(System& system, AdjustableClock& clock, aws::Dispatcher& dispatcher, Metrics& metrics, Options options);

  void add_health_check(std::string name, HealthCheck check);
  using Handler = std::function<Async<http::Response>(http::Request)>;
  /// Something beside the AWS API and lambdad's pages, open to everybody: what `is_for` claims goes to `handler`. Sites
  /// are asked first, in the order in which they were added.
  void add_site(std::function<bool(const http::Request&)> is_for, Handler handler);
  /// A page of lambdad: `path`, which begins with /_lambdad/ or /_aws/, and what is below it. `handler` says which
  /// methods it takes.
  void add_page(std::string path, Handler handler);
  Async<http::Response> handle(http::Request request);

 private:
  http::Response health() const;
  http::Response localstack(const http::Request& request) const;
  Async<http::Response> clock(http::Request request);
  const Handler* page_of(std::string_view path) const;
  bool may_use_own_pages(const http::Request& request) const;
  bool is_near(const http::Request& request) const;

  System& system_;
  AdjustableClock& clock_;
  aws::Dispatcher& dispatcher_;
  Metrics& metrics_;
  Options options_;
  struct Site {
    std::function<bool(const http::Request&)> is_for;
    Handler handler;
  };
  std::vector<Site> sites_;
  std::map<std::string, Handler, std::less<>> pages_;
  std::map<std::string, HealthCheck> checks_;
  MonoTime started_;
};

}  // namespace lambdad::frontdoor
