#include "frontdoor/frontdoor.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"

namespace lambdad::frontdoor {

namespace {

// Longest real time that moving the clock waits for what the timers started.
constexpr Duration kPatienceDefault = 30s;
constexpr Duration kPatienceMax = 600s;

http::Response answer(int status, json::Object body) {
  auto response = http::Response::json(status, json::serialize_pretty(json::Value(std::move(body))) + "\n");
  response.headers.set("Cache-Control", "no-store");
  return response;
}

http::Response problem(int status, std::string_view message) {
  json::Object body;
  body.append("message", json::Value(message));
  return answer(status, std::move(body));
}

http::Response wrong_method(std::string_view allowed) {
  auto response = problem(405, fmt::format("this page answers {}", allowed));
  response.headers.set("Allow", allowed);
  return response;
}

// The host part of a Host header or an origin: "127.0.0.1:4566" -> "127.0.0.1", "[::1]:4566" -> "::1".
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) return std::string(authority.substr(1, authority.find(']') - 1));
  return to_lower(authority.substr(0, authority.find(':')));
}

std::string rounded(Duration d) { return format_duration(std::chrono::round<std::chrono::milliseconds>(d)); }

bool is_address(std::string_view host) {
  if (host.empty()) return false;
  if (host.find(':') != std::string_view::npos) return true;  // IPv6 literal: names have no colon
  return std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

}  // namespace

FrontDoor::FrontDoor(System& system, AdjustableClock& clock, aws::Dispatcher& dispatcher, Metrics& metrics,
                     Options options)
    : system_(system),
      clock_(clock),
      dispatcher_(dispatcher),
      metrics_(metrics),
      options_(std::move(options)),
      started_(system.host_clock.mono()) {}

void FrontDoor::add_health_check(std::string name, HealthCheck check) {
  checks_.emplace(std::move(name), std::move(check));
}

bool FrontDoor::may_use_own_pages(const http::Request& request) const {
  const std::string host = host_of(request.headers.get_or("Host", ""));
  const bool known = is_address(host) || host == "localhost" ||
                     std::ranges::find(options_.allowed_hosts, host) != options_.allowed_hosts.end();
  if (!known) return false;
  const auto origin = request.headers.get("Origin");
  if (!origin) return true;
  const std::size_t scheme = origin->find("://");
  return scheme != std::string_view::npos &&
         equals_ignoring_case(origin->substr(scheme + 3), request.headers.get_or("Host", ""));
}

void FrontDoor::add_site(std::function<bool(const http::Request&)> is_for, Handler handler) {
  sites_.push_back({std::move(is_for), std::move(handler)});
}

void FrontDoor::add_page(std::string path, Handler handler) { pages_.emplace(std::move(path), std::move(handler)); }

const FrontDoor::Handler* FrontDoor::page_of(std::string_view path) const {
  for (;;) {
    if (const auto page = pages_.find(path); page != pages_.end()) return &page->second;
    const std::size_t slash = path.rfind('/');
    if (slash == 0 || slash == std::string_view::npos) return nullptr;
    path = path.substr(0, slash);
  }
}

bool FrontDoor::is_near(const http::Request& request) const {
  const std::string_view peer = request.peer_address;
  return options_.own_pages_from_anywhere || peer.empty() || peer.starts_with("127.") || peer == "::1" ||
         peer.starts_with("::ffff:127.");
}

Async<http::Response> FrontDoor::handle(http::Request request) {
  for (const Site& site : sites_) {
    if (site.is_for(request)) co_return co_await site.handler(std::move(request));
  }
  const std::string_view path = request.path();
  const bool own = path.starts_with("/_lambdad/") || path.starts_with("/_localstack/") || path.starts_with("/_aws/") ||
                   path == "/metrics";
  if (!own) co_return co_await dispatcher_.handle(std::move(request));
  if (!may_use_own_pages(request)) {
    co_return problem(403, "lambdad's own pages answer only to its own address; see --allow-host");
  }
  if (!is_near(request) && path != "/_lambdad/health") {
    co_return problem(403, "lambdad's own pages answer only to this machine where callers are authenticated");
  }
  if (path == "/_lambdad/clock") co_return co_await clock(std::move(request));
  if (const Handler* page = page_of(path)) co_return co_await (*page)(std::move(request));
  if (request.method != "GET" && request.method != "HEAD") co_return wrong_method("GET");
  if (path == "/_lambdad/health") co_return health();
  if (path == "/metrics") {
    http::Response response = http::Response::text(200, metrics_.expose());
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    co_return response;
  }
  if (path.starts_with("/_localstack/")) co_return localstack(request);
  std::string known = "/_lambdad/health, /_lambdad/clock";
  for (const auto& [name, handler] : pages_) known += ", " + name;
  co_return problem(404, fmt::format("there is no such page; see {}, /metrics", known));
}

http::Response FrontDoor::health() const {
  json::Object problems;
  for (const auto& [name, check] : checks_) {
    if (std::string trouble = check(); !trouble.empty()) problems.append(name, json::Value(std::move(trouble)));
  }
  const bool well = problems.empty();
  json::Object body;
  body.append("status", json::Value(well ? "ok" : "degraded"));
  body.append("version", json::Value(options_.version));
  body.append(
      "uptime_seconds",
      json::Value(std::chrono::duration_cast<std::chrono::seconds>(system_.host_clock.mono() - started_).count()));
  json::Array services;
  for (const auto& name : options_.services) services.emplace_back(name);
  body.append("services", json::Value(std::move(services)));
  if (!well) body.append("problems", json::Value(std::move(problems)));
  return answer(well ? 200 : 503, std::move(body));
}

http::Response FrontDoor::localstack(const http::Request& request) const {
  const std::string_view page = request.path().substr(std::string_view("/_localstack/").size());
  json::Object body;
  if (page == "health") {
    json::Object services;
    for (const auto& name : options_.services) services.append(name, json::Value("running"));
    body.append("services", json::Value(std::move(services)));
    body.append("edition", json::Value("lambdad"));
    body.append("version", json::Value(options_.version));
    return answer(200, std::move(body));
  }
  if (page == "info") {
    body.append("version", json::Value(options_.version));
    body.append("edition", json::Value("lambdad"));
    body.append("is_license_activated", json::Value(true));
    body.append(
        "uptime",
        json::Value(std::chrono::duration_cast<std::chrono::seconds>(system_.host_clock.mono() - started_).count()));
    return answer(200, std::move(body));
  }
  if (page == "init") {
    json::Object completed;
    for (std::string_view stage : {"BOOT", "START", "READY"}) completed.append(std::string(stage), json::Value(true));
    completed.append("SHUTDOWN", json::Value(false));
    body.append("completed", json::Value(std::move(completed)));
    body.append("scripts", json::Value(json::Array{}));
    return answer(200, std::move(body));
  }
  return problem(404, "lambdad serves /_localstack/health, /_localstack/info and /_localstack/init");
}

Async<http::Response> FrontDoor::clock(http::Request request) {
  AdjustableClock::Advanced moved;
  const bool moving = request.method == "POST";
  if (!moving && request.method != "GET" && request.method != "HEAD") co_return wrong_method("GET, POST");
  if (moving) {
    auto document = json::parse(request.body);
    const json::Object* object = document ? document->if_object() : nullptr;
    if (object == nullptr) {
      co_return problem(400, R"(send {"advance":"2m"} or {"advance":"next"}, and "wait":"30s" to be more patient)");
    }
    Duration patience = kPatienceDefault;
    std::optional<Duration> by;
    bool next = false;
    for (const auto& [key, value] : *object) {
      const std::string* text = value.if_string();
      const auto duration = text != nullptr ? parse_duration(*text) : std::nullopt;
      if (key == "advance" && text != nullptr && *text == "next") {
        next = true;
      } else if (key == "advance" && duration) {
        by = duration;
      } else if (key == "wait" && duration && *duration <= kPatienceMax) {
        patience = *duration;
      } else {
        co_return problem(400,
                          fmt::format(R"("{}": use "advance":"90s", "advance":"1h30m", "advance":"next", or "wait")"
                                      R"( up to "10m")",
                                      escape_control(key)));
      }
    }
    if (next == by.has_value()) co_return problem(400, R"(say how far: "advance":"2m" or "advance":"next")");
    const MonoTime before = clock_.mono();
    moved = next ? co_await clock_.advance_to_next_timer(patience) : co_await clock_.advance(*by, patience);
    moved.by = clock_.mono() - before;  // with the real time it took: what a user sees pass
  }
  if (moving && options_.clock_moved) options_.clock_moved(clock_.offset());
  json::Object body;
  body.append("now", json::Value(format_iso8601_ms(clock_.wall())));
  body.append("offset", json::Value(rounded(clock_.offset())));
  if (moving) {
    body.append("advanced", json::Value(rounded(moved.by)));
    body.append("timers", json::Value(moved.timers));
    body.append("quiet", json::Value(moved.quiet));
  }
  if (auto next_timer = clock_.next_timer()) {
    body.append("next_timer_in", json::Value(rounded(std::max(Duration::zero(), *next_timer - clock_.mono()))));
  }
  // Not quiet: a function still runs; the clock stands where it was met.
  co_return answer(moving && !moved.quiet ? 409 : 200, std::move(body));
}

}  // namespace lambdad::frontdoor
