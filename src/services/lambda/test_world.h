/// For this folder's tests: the service with real stores on virtual time, spoken to over HTTP.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "aws/dispatcher.h"
#include "base/encoding.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "package/package_store.h"
#include "package/test_zip.h"
#include "services/lambda/lambda_service.h"
#include "store/blobs.h"
#include "store/database.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::lambda {

inline constexpr std::string_view kTestAccount = "111122223333";
inline constexpr std::string_view kTestArn = "arn:aws:lambda:us-east-1:111122223333:function:";

/// Records what it is asked and answers what it is told.
struct FakeInvoker final : ports::FunctionInvoker {
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
    invoked.push_back(std::move(request));
    co_return outcome;
  }
  Async<Result<void>> enqueue(ports::InvocationRequest request) override {
    enqueued.push_back(std::move(request));
    co_return accepted;
  }
  std::vector<ports::InvocationRequest> invoked;
  std::vector<ports::InvocationRequest> enqueued;
  ports::InvocationOutcome outcome{
      .kind = ports::InvocationOutcome::Kind::kSuccess, .payload = "{}", .executed_version = "$LATEST"};
  Result<void> accepted;
};

inline std::string test_zip(std::string_view body = "def handler(event, context): return event") {
  return package::TestZip().file("app.py", body).bytes();
}

class World {
 public:
  World() : sim(test_seed()), blobs(sim.files(), sim.directory() + "/blobs") { start(); }
  ~World() { stop(); }

  void start() {
    auto opened = store::Database::open(sim.loop(), sim.directory() + "/lambda.db", LambdaService::migrations(),
                                        {.durability = store::Durability::kEphemeral});
    LD_CHECK(opened.has_value(), "{}", opened.error().detail);
    database = std::move(*opened);
    packages =
        std::make_unique<package::PackageStore>(sim.system(), null_logger(), blobs, sim.directory() + "/packages");
    service = std::make_unique<LambdaService>(
        sim.system(), null_logger(), *database, *packages,
        LambdaService::Options{.runtime_check = [this](const std::string& runtime) -> Result<void> {
          if (runtime == missing_runtime) return fail(Errc::kNotFound, "install {}", runtime);
          return {};
        }});
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    auto started = run(service->start());
    LD_CHECK(started.has_value(), "{}", started.error().detail);
    service->serve(*dispatcher);
    service->set_invoker(invoker);
  }
  void stop() {
    if (service == nullptr) return;
    run(service->stop());
    run(packages->stop());
    dispatcher.reset();
    service.reset();
    packages.reset();
    database.reset();
  }
  void restart() {
    stop();
    start();
  }
  /// Runs `task` to its end. The database's threads are real: the token makes the simulation wait for them.
  template <class T>
  T run(Async<T> task) {
    return sim.run(as_activity(&sim.activity(), std::move(task)));
  }
  /// Lets background work end.
  void settle() {
    run(service->settle());
    run(packages->settle());
  }

  static http::Request request(std::string method, std::string target, std::string body = {},
                               http::Headers headers = {}) {
    http::Request out{.method = std::move(method),
                      .target = std::move(target),
                      .headers = std::move(headers),
                      .body = std::move(body)};
    out.headers.set("Host", "127.0.0.1:4566");
    out.headers.set("X-Amz-Date", "20260101T000000Z");
    out.headers.set("Authorization",
                    fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/lambda/aws4_request, "
                                "SignedHeaders=host;x-amz-date, Signature={:064x}",
                                kTestAccount, 0));
    return out;
  }
  http::Response send(std::string method, std::string target, std::string body = {}, http::Headers headers = {}) {
    return run(dispatcher->handle(request(std::move(method), std::move(target), std::move(body), std::move(headers))));
  }
  /// One after the other without letting background work end in between.
  std::vector<http::Response> send_at_once(std::vector<http::Request> requests) {
    return run(all(dispatcher.get(), std::move(requests)));
  }

  static json::Value parse(const http::Response& response) {
    auto value = json::parse(response.body);
    LD_CHECK(value.has_value(), "no JSON: {}", response.body);
    return std::move(*value);
  }

  /// "404 ResourceNotFoundException: what it says"
  static std::string error(const http::Response& response) {
    const json::Value body = parse(response);
    const json::Value* message = body.find("message") != nullptr ? body.find("message") : body.find("Message");
    return fmt::format("{} {}: {}", response.status, response.headers.get_or("x-amzn-ErrorType", ""),
                       message != nullptr && message->if_string() != nullptr ? *message->if_string() : "");
  }
  /// A member of an answer by its path: "Configuration.Version", "Layers.0.Arn". Texts bare, the rest as JSON; "" when
  /// there is no such member.
  static std::string at(const http::Response& response, std::string_view path) {
    const json::Value body = parse(response);
    const json::Value* value = &body;
    while (value != nullptr && !path.empty()) {
      const std::string_view key = path.substr(0, path.find('.'));
      path.remove_prefix(std::min(path.size(), key.size() + 1));
      if (const json::Array* array = value->if_array()) {
        const std::size_t index = static_cast<std::size_t>(std::atoi(std::string(key).c_str()));
        value = index < array->size() ? &(*array)[index] : nullptr;
      } else {
        value = value->find(key);
      }
    }
    if (value == nullptr) return "";
    return value->if_string() != nullptr ? *value->if_string() : json::serialize(*value);
  }
  static ports::FunctionRef ref(const std::string& name, const std::string& qualifier = {}) {
    return {.account = std::string(kTestAccount), .region = "us-east-1", .name = name, .qualifier = qualifier};
  }
  /// A change of the function that has ended.
  http::Response update_code(const std::string& name, const std::string& body, json::Object more = {}) {
    more.set("ZipFile", base64_encode(test_zip(body)));
    auto response = send("PUT", "/2015-03-31/functions/" + name + "/code", json::serialize(more));
    settle();
    return response;
  }
  http::Response publish(const std::string& name, const std::string& body = "{}") {
    return send("POST", "/2015-03-31/functions/" + name + "/versions", body);
  }

  /// A request that creates a function; `more` members are added or replace.
  static json::Object creation(const std::string& name, json::Object more = {}) {
    json::Object object{{"FunctionName", name},
                        {"Runtime", "python3.11"},
                        {"Role", "arn:aws:iam::111122223333:role/r"},
                        {"Handler", "app.handler"},
                        {"Code", json::Object{{"ZipFile", base64_encode(test_zip())}}}};
    for (auto& [key, value] : more) object.set(key, value);
    return object;
  }
  static http::Request create_request(const std::string& name, json::Object more = {}) {
    return request("POST", "/2015-03-31/functions", json::serialize(creation(name, std::move(more))));
  }
  http::Response create(const std::string& name, json::Object more = {}) {
    auto response = run(dispatcher->handle(create_request(name, std::move(more))));
    settle();
    return response;
  }

  SimSystem sim;
  store::Blobs blobs;
  Metrics metrics;
  FakeInvoker invoker;
  std::string missing_runtime;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<package::PackageStore> packages;
  std::unique_ptr<LambdaService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;

 private:
  template <class T>
  static Async<T> as_activity(Activity* activity, Async<T> task) {
    auto token = activity->begin();
    co_return co_await std::move(task);
  }
  static Async<std::vector<http::Response>> all(aws::Dispatcher* to, std::vector<http::Request> requests) {
    std::vector<http::Response> responses;
    for (http::Request& each : requests) responses.push_back(co_await to->handle(std::move(each)));
    co_return responses;
  }
};

}  // namespace lambdad::lambda
