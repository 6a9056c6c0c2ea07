#pragma once

#include <string>

#include "http/message.h"
#include "invoke/async/async_plane.h"

namespace lambdad::invoke {

/// /_lambdad/events: what asynchronous events there are, what they have been through, and how to mend it.
///
/// | request | answer |
/// | --- | --- |
/// | GET /_lambdad/events?function=&state=&after=&limit= | a page of events; state: queued, dead, processed; without:
/// queued and dead | | GET /_lambdad/events/ID | one event with its attempts, payload and the deliveries that are still
/// to be made | | POST /_lambdad/events/ID/replay | gives a dead event back to its function | | DELETE
/// /_lambdad/events/ID | removes a queued or dead event |
///
/// `function` is an ARN or a name in the default account and region. `state=processed` shows the latest successes,
/// which are remembered in memory only. A page may be empty and have a `next`: pages look at a bounded number of rows.
/// Ownership: borrows the plane. Threading: the loop only.
class EventPages {
 public:
  struct Options {
    std::string account;
    std::string region;
  };
  EventPages(AsyncPlane& plane, Options options) : plane_(plane), options_(std::move(options)) {}
  static constexpr std::string_view kPath = "/_lambdad/events";
  Async<http::Response> handle(http::Request request);

 private:
  Async<http::Response> list(http::Request request);
  Async<http::Response> show(std::int64_t id);

  AsyncPlane& plane_;
  Options options_;
};

}  // namespace lambdad::invoke
