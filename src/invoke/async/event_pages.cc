#include "invoke/async/event_pages.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"

namespace lambdad::invoke {

namespace {

constexpr std::size_t kPageMax = 1000;

http::Response answer(int status, json::Object body) {
  auto response = http::Response::json(status, json::serialize_pretty(json::Value(std::move(body))) + "\n");
  response.headers.set("Cache-Control", "no-store");
  return response;
}

http::Response problem(int status, std::string_view message) {
  return answer(status, json::Object{{"message", message}});
}

http::Response failed(const Error& error) {
  switch (error.code) {
    case Errc::kNotFound: return problem(404, error.detail);
    case Errc::kConflict: return problem(409, error.detail);
    default: return problem(503, error.detail);
  }
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

json::Object shown_event(const Event& event, std::string_view state) {
  json::Object out{{"id", event.id},
                   {"state", state},
                   {"function", event.function.arn().str()},
                   {"requestId", event.request_id},
                   {"accepted", format_iso8601_ms(event.progress.accepted)},
                   {"attempts", event.attempts},
                   {"invocations", event.progress.runs},
                   {"payloadBytes", event.payload_bytes}};
  return out;
}

json::Object shown_event(const EventStore::Shown& shown) {
  json::Object out = shown_event(shown.event, shown.ended ? "dead" : "queued");
  if (shown.ended) {
    out.append("condition", shown.condition);
    out.append("ended", format_iso8601_ms(*shown.ended));
  } else {
    out.append("due", format_iso8601_ms(shown.event.due));
  }
  return out;
}

json::Object shown_attempt(const Attempt& attempt) {
  json::Object out{{"number", attempt.number},
                   {"started", format_iso8601_ms(attempt.started)},
                   {"ended", format_iso8601_ms(attempt.ended)},
                   {"outcome", attempt.outcome}};
  if (!attempt.error.empty()) out.append("error", attempt.error);
  if (!attempt.log.empty()) out.append("log", attempt.log);
  return out;
}

std::string_view kind_name(Delivery::Kind kind) {
  switch (kind) {
    case Delivery::Kind::kOnSuccess: return "onSuccess";
    case Delivery::Kind::kOnFailure: return "onFailure";
    case Delivery::Kind::kDeadLetter: return "deadLetter";
  }
  return "";
}

bool is_of(const Event& event, const std::optional<ports::FunctionRef>& function) {
  return !function || (event.function.account == function->account && event.function.region == function->region &&
                       event.function.name == function->name);
}

}  // namespace

Async<http::Response> EventPages::handle(http::Request request) {
  std::string_view rest = request.path().substr(kPath.size());
  const bool reading = request.method == "GET" || request.method == "HEAD";
  if (rest.empty() || rest == "/") {
    if (!reading) co_return problem(405, "this page answers GET");
    co_return co_await list(std::move(request));
  }
  rest.remove_prefix(1);
  const bool replaying = rest.ends_with("/replay");
  if (replaying) rest.remove_suffix(std::string_view("/replay").size());
  const auto id = number(rest);
  if (!id) co_return problem(404, "events are named by their number: /_lambdad/events/17");
  if (replaying) {
    if (request.method != "POST") co_return problem(405, "this page answers POST");
    auto replayed = co_await plane_.replay(*id);
    if (!replayed) co_return failed(replayed.error());
    co_return co_await show(*id);
  }
  if (request.method == "DELETE") {
    auto dropped = co_await plane_.drop(*id);
    if (!dropped) co_return failed(dropped.error());
    co_return answer(200, json::Object{{"id", *id}, {"state", "removed"}});
  }
  if (!reading) co_return problem(405, "this page answers GET and DELETE");
  co_return co_await show(*id);
}

Async<http::Response> EventPages::list(http::Request request) {
  const auto fields = http::parse_form(request.query());
  if (!fields) co_return problem(400, "the query is not well encoded");
  EventStore::Filter filter;
  bool processed = false;
  for (const auto& [name, value] : *fields) {
    const auto as_number = number(value);
    if (name == "function") {
      const auto arn = FunctionArn::parse(value);
      filter.function = arn ? ports::FunctionRef{arn->account, arn->region, arn->name, ""}
                            : ports::FunctionRef{options_.account, options_.region, value, ""};
    } else if (name == "state" && value == "queued") {
      filter.state = EventStore::Filter::State::kQueued;
    } else if (name == "state" && value == "dead") {
      filter.state = EventStore::Filter::State::kDead;
    } else if (name == "state" && value == "processed") {
      processed = true;
    } else if (name == "after" && as_number) {
      filter.after = *as_number;
    } else if (name == "limit" && as_number && *as_number > 0) {
      filter.limit = std::min(static_cast<std::size_t>(*as_number), kPageMax);
    } else {
      co_return problem(400, "use function=NAME, state=queued|dead|processed, after=ID, limit=1..1000");
    }
  }
  json::Array events;
  json::Object body;
  if (processed) {
    // The latest first.
    for (auto each = plane_.recent().rbegin(); each != plane_.recent().rend() && events.size() < filter.limit; ++each) {
      if (!is_of(each->event, filter.function)) continue;
      json::Object shown = shown_event(each->event, "processed");
      shown.append("lastAttempt", shown_attempt(each->attempt));
      events.emplace_back(std::move(shown));
    }
    body.append("events", std::move(events));
    co_return answer(200, std::move(body));
  }
  auto page = co_await plane_.list(std::move(filter));
  if (!page) co_return failed(page.error());
  for (const auto& shown : page->events) events.emplace_back(shown_event(shown));
  body.append("events", std::move(events));
  if (page->after) body.append("next", *page->after);
  co_return answer(200, std::move(body));
}

Async<http::Response> EventPages::show(std::int64_t id) {
  auto details = co_await plane_.show(id);
  if (!details) {
    for (const auto& each : plane_.recent()) {
      if (each.event.id != id) continue;
      json::Object shown = shown_event(each.event, "processed");
      shown.append("lastAttempt", shown_attempt(each.attempt));
      co_return answer(200, std::move(shown));
    }
    co_return failed(details.error());
  }
  json::Object shown = shown_event(details->shown);
  json::Array attempts;
  for (const Attempt& attempt : details->attempts) attempts.emplace_back(shown_attempt(attempt));
  shown.append("history", std::move(attempts));
  json::Array deliveries;
  for (const Delivery& delivery : details->deliveries) {
    deliveries.emplace_back(json::Object{{"kind", kind_name(delivery.kind)},
                                         {"target", delivery.target},
                                         {"tries", delivery.tries},
                                         {"due", format_iso8601_ms(delivery.due)}});
  }
  shown.append("deliveries", std::move(deliveries));
  shown.append("payload", std::move(details->payload));
  co_return answer(200, std::move(shown));
}

}  // namespace lambdad::invoke
