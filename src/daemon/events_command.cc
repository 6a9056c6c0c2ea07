// `lambdad events`: asks the running daemon.
#include <charconv>
#include <cstdio>

#include <fmt/format.h>

#include "base/json.h"
#include "daemon/options.h"
#include "http/client.h"

namespace lambdad::daemon {

namespace {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

// "http://127.0.0.1:4566" or "127.0.0.1:4566".
std::optional<Endpoint> parse_endpoint(std::string_view text) {
  if (text.starts_with("http://")) text.remove_prefix(7);
  if (text.ends_with('/')) text.remove_suffix(1);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view digits = text.substr(colon + 1);
  Endpoint endpoint{std::string(text.substr(0, colon)), 0};
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  return endpoint;
}

std::string text_of(const json::Value& event, std::string_view key) {
  const json::Value* value = event.find(key);
  if (value == nullptr) return "";
  return value->if_string() != nullptr ? *value->if_string() : json::serialize(*value);
}

class Asker {
 public:
  Asker(Loop& loop, Clock& clock, Endpoint endpoint) : client_(loop, clock), endpoint_(std::move(endpoint)) {}

  // nullopt after saying on stderr what is wrong.
  Async<std::optional<json::Value>> ask(std::string method, std::string path) {
    http::Request request{.method = std::move(method), .target = "/_lambdad/events" + path};
    auto response = co_await client_.send(endpoint_.host, endpoint_.port, std::move(request));
    if (!response) {
      fmt::print(stderr, "lambdad: no answer from {}:{}: {}\n", endpoint_.host, endpoint_.port,
                 response.error().detail);
      co_return std::nullopt;
    }
    auto document = json::parse(response->body);
    if (response->status != 200 || !document) {
      fmt::print(stderr, "lambdad: {}\n", document ? text_of(*document, "message") : response->body);
      co_return std::nullopt;
    }
    co_return std::move(*document);
  }

 private:
  http::Client client_;
  Endpoint endpoint_;
};

void print_row(const json::Value& event) {
  const std::string end = text_of(event, "state") == "dead" ? text_of(event, "condition") : text_of(event, "due");
  fmt::print("{:>8}  {:<9}  {:>8}  {:<26}  {:<36}  {}\n", text_of(event, "id"), text_of(event, "state"),
             text_of(event, "attempts"), end, text_of(event, "requestId"), text_of(event, "function"));
}

// Calls `each` for every event that the options ask for; false when something went wrong.
template <class Each>
Async<bool> for_each_event(Asker* asker, EventsOptions options, std::string state, Each each) {
  std::string after = "0";
  for (;;) {
    std::string path = fmt::format("?after={}&limit=500", after);
    if (!options.function.empty()) path += "&function=" + options.function;
    if (!state.empty()) path += "&state=" + state;
    auto page = co_await asker->ask("GET", std::move(path));
    if (!page) co_return false;
    if (const json::Value* events = page->find("events"); events != nullptr && events->if_array() != nullptr) {
      for (const json::Value& event : *events->if_array()) {
        each(event);
      }
    }
    const std::string next = text_of(*page, "next");
    if (next.empty()) co_return true;
    after = next;
  }
}

Async<int> run(Asker* asker, EventsOptions options) {
  using Verb = EventsOptions::Verb;
  if (options.verb == Verb::kList) {
    json::Array all;
    if (!options.as_json) {
      fmt::print("{:>8}  {:<9}  {:>8}  {:<26}  {:<36}  {}\n", "ID", "STATE", "ATTEMPTS", "DUE OR CONDITION",
                 "REQUEST ID", "FUNCTION");
    }
    const auto print = [&](const json::Value& event) { options.as_json ? all.push_back(event) : print_row(event); };
    if (!co_await for_each_event(asker, options, options.state, print)) co_return 1;
    if (options.as_json) fmt::print("{}\n", json::serialize_pretty(json::Value(std::move(all))));
    co_return 0;
  }
  std::vector<std::string> ids = options.ids;
  if (options.all) {
    const auto collect = [&](const json::Value& event) { ids.push_back(text_of(event, "id")); };
    if (!co_await for_each_event(asker, options, "dead", collect)) co_return 1;
  }
  int status = 0;
  for (const std::string& id : ids) {
    const bool replay = options.verb == Verb::kReplay;
    const std::string path = replay ? fmt::format("/{}/replay", id) : fmt::format("/{}", id);
    const char* method = options.verb == Verb::kShow ? "GET" : replay ? "POST" : "DELETE";
    auto answer = co_await asker->ask(method, path);
    if (!answer) {
      status = 1;
    } else if (options.verb == Verb::kShow) {
      fmt::print("{}\n", json::serialize_pretty(*answer));
    } else {
      fmt::print("{} {}\n", replay ? "replayed" : "removed", id);
    }
  }
  co_return status;
}

}  // namespace

int events(const EventsOptions& options) {
  const auto endpoint = parse_endpoint(options.endpoint);
  if (!endpoint) {
    fmt::print(stderr, "lambdad: --endpoint {}: write http://HOST:PORT\n", options.endpoint);
    return 2;
  }
  if (options.verb != EventsOptions::Verb::kList && options.ids.empty() && !options.all) {
    fmt::print(stderr, "lambdad: name the events by their ids (see `lambdad events list`), or say --all-dead\n");
    return 2;
  }
  Loop loop;
  RealClock clock(loop);
  Asker asker(loop, clock, *endpoint);
  int status = 1;
  asio::co_spawn(
      loop,
      [](Asker* to, EventsOptions what, int* out) -> Async<void> { *out = co_await run(to, std::move(what)); }(
                                                      &asker, options, &status),
      [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
      });
  loop.run();
  return status;
}

}  // namespace lambdad::daemon
