// `lambdad mappings`: the page /_lambdad/mappings of a running daemon, as a table or JSON.
#include <cstdio>
#include <optional>

#include <fmt/format.h>

#include "base/json.h"
#include "daemon/options.h"
#include "daemon/remote_api_caller.h"
#include "http/client.h"
#include "system/clock.h"

namespace lambdad::daemon {

namespace {

Async<Result<json::Array>> fetch(http::Client* client, RemoteEndpoint endpoint) {
  json::Array all;
  for (std::string after;;) {
    http::Request request;
    request.method = "GET";
    request.target = "/_lambdad/mappings?count=1000&after=" + after;
    LD_CO_TRY(auto response, co_await client->send(endpoint.host, endpoint.port, std::move(request)));
    if (response.status != 200)
      co_return fail(Errc::kUnavailable, "the daemon answered with status {}", response.status);
    LD_CO_TRY(auto page, json::parse(response.body));
    json::Object* object = page.if_object();
    json::Value* list = object == nullptr ? nullptr : object->find("mappings");
    if (list == nullptr || !list->is_array()) co_return fail(Errc::kCorrupt, "the answer is no list of mappings");
    for (json::Value& mapping : *list->if_array()) all.push_back(std::move(mapping));
    const json::Value* next = object->find("next");
    if (next == nullptr || !next->is_string()) co_return all;
    after = *next->if_string();
  }
}

std::string text_of(const json::Value* value) {
  if (value == nullptr) return "-";
  if (const auto* text = value->if_string()) return *text;
  return json::serialize(*value);
}

const json::Value* member(const json::Value& value, std::string_view outer, std::string_view inner) {
  const json::Value* object = value.find(outer);
  return object == nullptr ? nullptr : object->find(inner);
}

// "arn:aws:sqs:eu-west-1:111122223333:orders" -> "sqs:orders"
std::string short_arn(const std::string& arn) {
  std::string_view rest = arn;
  for (int i = 0; i < 2; ++i) rest.remove_prefix(std::min(rest.size(), rest.find(':') + 1));
  const std::string_view service = rest.substr(0, rest.find(':'));
  for (int i = 0; i < 3; ++i) rest.remove_prefix(std::min(rest.size(), rest.find(':') + 1));
  return fmt::format("{}:{}", service, rest);
}

void print_table(const json::Array& mappings) {
  if (mappings.empty()) {
    fmt::print("no event source mappings\n");
    return;
  }
  fmt::print("{:<36}  {:<9} {:<24} {:<24} {:>9} {:>9} {:>11}  {}\n", "UUID", "STATE", "SOURCE", "FUNCTION", "WAITING",
             "IN FLIGHT", "BUSY/ALL", "LAST RESULT");
  for (const json::Value& mapping : mappings) {
    const json::Value* problem = mapping.find("problem");
    const json::Value* result = mapping.find("last_result");
    std::string why = text_of(problem != nullptr ? problem : result);
    if (problem == nullptr && result == nullptr) why = text_of(mapping.find("state_reason"));
    fmt::print("{:<36}  {:<9} {:<24} {:<24} {:>9} {:>9} {:>11}  {}\n", text_of(mapping.find("uuid")),
               text_of(mapping.find("state")), short_arn(text_of(mapping.find("source"))),
               short_arn(text_of(mapping.find("function"))), text_of(member(mapping, "lag", "messages")),
               text_of(member(mapping, "lag", "in_flight")),
               fmt::format("{}/{}", text_of(member(mapping, "pollers", "busy")),
                           text_of(member(mapping, "pollers", "running"))),
               why);
  }
}

}  // namespace

int list_mappings(const std::string& endpoint, bool as_json) {
  const auto where = RemoteEndpoint::parse(endpoint);
  if (!where) {
    fmt::print(stderr, "lambdad: --endpoint {}\n", where.error().detail);
    return 2;
  }
  Loop loop;
  RealClock clock(loop);
  http::Client client(loop, clock);
  std::optional<Result<json::Array>> found;
  asio::co_spawn(loop, fetch(&client, *where), [&](std::exception_ptr error, Result<json::Array> result) {
    if (error) std::rethrow_exception(error);
    found = std::move(result);
    loop.stop();
  });
  loop.run();
  if (!*found) {
    fmt::print(stderr, "lambdad: {} does not answer: {}\n", endpoint, found->error().detail);
    return 1;
  }
  if (as_json) {
    fmt::print("{}\n", json::serialize_pretty(json::Value(std::move(**found))));
  } else {
    print_table(**found);
  }
  return 0;
}

}  // namespace lambdad::daemon
