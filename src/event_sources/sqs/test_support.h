/// A queue service, a function service and a function catalogue in memory, on simulated time, for tests of pollers.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "aws/gen/sqs.h"
#include "base/json.h"
#include "event_sources/mappings/mapping_service.h"
#include "event_sources/sqs/sqs_source.h"
#include "system/either.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::event_sources {

/// SQS as far as pollers use it: long polls, visibility timeouts, a receipt handle per receive.
class FakeSqs final : public ports::ApiCaller {
 public:
  explicit FakeSqs(SimSystem& sim) : sim_(sim), changed_(sim.loop()) {}

  void create(const std::string& name, Duration visibility = 30s) { queues_[name].visibility = visibility; }
  void destroy(const std::string& name) {
    queues_.erase(name);
    changed_.notify_all();
  }
  std::string send(const std::string& queue, std::string body) {
    Message message;
    message.id = fmt::format("id-{}", ++sent_);
    message.body = std::move(body);
    message.visible_at = sim_.now();
    std::string id = message.id;
    queues_.at(queue).messages.push_back(std::move(message));
    changed_.notify_all();
    return id;
  }
  void send_many(const std::string& queue, int count) {
    for (int i = 0; i < count; ++i) send(queue, std::to_string(i));
  }
  std::size_t size(const std::string& queue) { return queues_.at(queue).messages.size(); }

  Async<aws::Outcome<json::Value>> call(Call call) override {
    ++calls[call.operation];
    accounts.insert(call.account + "/" + call.region);
    if (failing) co_return std::unexpected(aws::internal_failure());
    const json::Value* name_value = call.input.find(call.operation == "GetQueueUrl" ? "QueueName" : "QueueUrl");
    std::string name = *name_value->if_string();
    name = name.substr(name.rfind('/') + 1);
    if (!queues_.contains(name)) co_return no_queue();
    if (call.operation == "GetQueueUrl") co_return json::Object{{"QueueUrl", "http://sqs/" + name}};
    if (call.operation == "GetQueueAttributes") {
      const Queue& queue = queues_.at(name);
      const auto visible =
          std::ranges::count_if(queue.messages, [&](const Message& m) { return m.visible_at <= sim_.now(); });
      co_return json::Object{
          {"Attributes", json::Object{{"VisibilityTimeout", std::to_string(queue.visibility / std::chrono::seconds(1))},
                                      {"ApproximateNumberOfMessages", std::to_string(visible)},
                                      {"ApproximateNumberOfMessagesNotVisible",
                                       std::to_string(static_cast<long>(queue.messages.size()) - visible)},
                                      {"ApproximateNumberOfMessagesDelayed", "0"}}}};
    }
    if (call.operation == "ReceiveMessage") co_return co_await receive(std::move(name), std::move(call.input));
    if (call.operation == "DeleteMessageBatch") co_return remove(queues_.at(name), call.input);
    co_return std::unexpected(aws::internal_failure());
  }

  std::map<std::string, int> calls;
  std::set<std::string> accounts;
  std::vector<json::Value> receives;        ///< inputs
  std::vector<std::size_t> delete_batches;  ///< entries per call
  int parked = 0;
  int parked_max = 0;
  bool failing = false;

 private:
  struct Message {
    std::string id, body, handle;
    int receive_count = 0;
    MonoTime visible_at;
  };
  struct Queue {
    Duration visibility{};
    std::deque<Message> messages;
  };

  static std::unexpected<aws::Error> no_queue() {
    return std::unexpected(aws::sqs::queue_does_not_exist("The specified queue does not exist."));
  }

  Async<aws::Outcome<json::Value>> receive(std::string name, json::Value input) {
    receives.push_back(input);
    const auto count = static_cast<std::size_t>(*input.find("MaxNumberOfMessages")->as_int64());
    const MonoTime deadline = sim_.now() + std::chrono::seconds(*input.find("WaitTimeSeconds")->as_int64());
    for (;;) {
      if (!queues_.contains(name)) co_return no_queue();
      Queue& queue = queues_.at(name);
      const json::Value* own = input.find("VisibilityTimeout");
      const Duration visibility = own == nullptr ? queue.visibility : std::chrono::seconds(*own->as_int64());
      json::Array taken;
      MonoTime next = deadline;
      for (Message& message : queue.messages) {
        if (message.visible_at > sim_.now()) {
          next = std::min(next, message.visible_at);
          continue;
        }
        if (taken.size() == count) break;
        message.visible_at = sim_.now() + visibility;
        message.handle = fmt::format("{}#{}", message.id, ++message.receive_count);
        taken.emplace_back(json::Object{
            {"MessageId", message.id},
            {"ReceiptHandle", message.handle},
            {"MD5OfBody", "d"},
            {"Body", message.body},
            {"Attributes", json::Object{{"ApproximateReceiveCount", std::to_string(message.receive_count)}}}});
      }
      if (!taken.empty()) co_return json::Object{{"Messages", std::move(taken)}};
      if (sim_.now() >= deadline) co_return json::Object{};
      struct Parked {
        int& count;
        ~Parked() { --count; }
      } leave{++parked};
      parked_max = std::max(parked_max, parked);
      co_await wait_until(changed_, sim_.clock(), next);
    }
  }

  json::Value remove(Queue& queue, const json::Value& input) {
    const json::Array& entries = *input.find("Entries")->if_array();
    delete_batches.push_back(entries.size());
    for (const json::Value& entry : entries) {
      const std::string& handle = *entry.find("ReceiptHandle")->if_string();
      std::erase_if(queue.messages, [&](const Message& message) { return message.handle == handle; });
    }
    return json::Object{};
  }

  SimSystem& sim_;
  Notifier changed_;
  std::map<std::string, Queue> queues_;
  int sent_ = 0;
};

struct FakeCatalog final : ports::FunctionCatalog {
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& f) override {
    const auto found = functions.find(f.name);
    if (found == functions.end()) return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
    ports::FunctionVersion version;
    version.name = f.name;
    version.timeout = found->second;
    return std::make_shared<const ports::FunctionVersion>(std::move(version));
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return std::nullopt; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return 0; }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return {}; }
  void on_change(std::function<void(const ports::FunctionRef&)>) override {}

  std::map<std::string, Duration> functions = {{"f", 3s}, {"g", 3s}};  ///< and their timeouts
};

struct FakeInvoker final : ports::FunctionInvoker {
  using Kind = ports::InvocationOutcome::Kind;
  struct Invocation {
    std::string function;  ///< ARN
    std::vector<std::string> ids, bodies, counts;
    Duration at;
    ports::Plane plane;
    std::string payload;
  };
  explicit FakeInvoker(SimSystem& s) : sim(s) {}
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
    Invocation seen{.function = request.function.arn().str(),
                    .ids = {},
                    .bodies = {},
                    .counts = {},
                    .at = sim.elapsed(),
                    .plane = request.plane,
                    .payload = request.payload};
    const auto event = json::parse(request.payload);
    LD_CHECK(event.has_value(), "the event is no JSON");
    for (const json::Value& record : *event->find("Records")->if_array()) {
      seen.ids.push_back(*record.find("messageId")->if_string());
      seen.bodies.push_back(*record.find("body")->if_string());
      seen.counts.push_back(*record.find("attributes")->find("ApproximateReceiveCount")->if_string());
    }
    invocations.push_back(std::move(seen));
    const std::size_t index = invocations.size() - 1;
    ++running;
    running_max = std::max(running_max, running);
    co_await sim.clock().sleep_for(work);
    --running;
    co_return behave(invocations[index]);
  }
  Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }

  static ports::InvocationOutcome outcome(Kind kind, std::string payload = "null") {
    ports::InvocationOutcome result;
    result.kind = kind;
    result.payload = std::move(payload);
    return result;
  }

  SimSystem& sim;
  std::vector<Invocation> invocations;
  Duration work{};
  int running = 0;
  int running_max = 0;
  std::function<ports::InvocationOutcome(const Invocation&)> behave = [](const Invocation&) {
    return outcome(Kind::kSuccess);
  };
};

inline const std::string kQueueArn = "arn:aws:sqs:eu-west-1:111122223333:q";
inline const MappingService::Caller kCaller{
    .account = "111122223333", .region = "eu-west-1", .request_id = "00000000-0000-4000-8000-000000000000"};

/// A mapping service with SQS as its source, on simulated time. The queue "q" and the functions "f" and "g" exist.
class MappingTest : public testing::Test {
 protected:
  MappingTest() {
    sqs_.create("q");
    open();
  }
  ~MappingTest() override { close(); }

  void open() {
    mappings_ = std::make_unique<MappingService>(
        sim_.system(), null_logger(), metrics_,
        MappingService::Options{.data_directory = sim_.directory(), .durability = store::Durability::kEphemeral},
        invoker_, catalog_, sqs_);
    mappings_->add_source(std::make_unique<SqsSource>(mappings_->context(), limits_));
    const auto started = mappings_->start();
    ASSERT_TRUE(started) << started.error().detail;
  }
  void close() {
    sim_.run(mappings_->stop());
    mappings_.reset();
  }
  void restart() {
    close();
    open();
  }

  static aws::lambda::CreateEventSourceMappingRequest request(std::string function = "f", std::string arn = kQueueArn) {
    aws::lambda::CreateEventSourceMappingRequest result;
    result.event_source_arn = std::move(arn);
    result.function_name = std::move(function);
    return result;
  }
  aws::Outcome<MappingService::Configuration> create(aws::lambda::CreateEventSourceMappingRequest r) {
    return sim_.run(mappings_->create(kCaller, std::move(r)));
  }
  /// Creates and waits until it polls; the UUID.
  std::string enabled(aws::lambda::CreateEventSourceMappingRequest r) {
    auto created = create(std::move(r));
    EXPECT_TRUE(created) << created.error().message;
    if (!created) return {};
    sim_.run_for(kTransitionTime);
    EXPECT_EQ(state(*created->uuid), "Enabled");
    return *created->uuid;
  }
  aws::Outcome<MappingService::Configuration> update(aws::lambda::UpdateEventSourceMappingRequest r) {
    return sim_.run(mappings_->update(kCaller, std::move(r)));
  }
  aws::Outcome<MappingService::Configuration> switch_to(const std::string& uuid, bool enabled) {
    aws::lambda::UpdateEventSourceMappingRequest r;
    r.uuid = uuid;
    r.enabled = enabled;
    return update(std::move(r));
  }
  aws::Outcome<MappingService::Configuration> remove(const std::string& uuid) {
    return sim_.run(mappings_->remove(kCaller, uuid));
  }
  std::string state(const std::string& uuid) {
    const auto found = mappings_->get(kCaller, uuid);
    return found ? *found->state : found.error().type;
  }
  std::vector<std::vector<std::string>> batches() const {
    std::vector<std::vector<std::string>> result;
    for (const auto& invocation : invoker_.invocations) result.push_back(invocation.bodies);
    return result;
  }
  std::vector<std::size_t> batch_sizes() const {
    std::vector<std::size_t> result;
    for (const auto& invocation : invoker_.invocations) result.push_back(invocation.bodies.size());
    return result;
  }

  SimSystem sim_{test_seed()};
  Metrics metrics_;
  FakeCatalog catalog_;
  FakeInvoker invoker_{sim_};
  FakeSqs sqs_{sim_};
  SqsPollerLimits limits_;
  std::unique_ptr<MappingService> mappings_;
};

}  // namespace lambdad::event_sources
