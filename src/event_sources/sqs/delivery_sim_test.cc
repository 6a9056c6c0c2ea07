// A queue, a mapping on it and a function that fails in every way, with crashes: what must hold whatever happens.
//
// The real queue service and the real mapping service run on simulated time. A crash goes back to what was on disk at a
// random moment: the directory as it was is opened again, and what the old life did afterwards counts for nothing.
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>

#include "event_sources/sqs/test_support.h"
#include "services/sqs/sqs_service.h"
#include "system/random.h"

namespace lambdad::event_sources {
namespace {

constexpr Duration kVisibility = 60s;
constexpr int kConcurrencyMax = 4;

/// Everything that has happened, over all lives, and the rules.
class Checker {
 public:
  struct Message {
    std::string group;
    int number = 0;  ///< of its group, from 0
    bool done = false;
    int done_in_life = -1;
  };

  explicit Checker(bool fifo) : fifo_(fifo) {}

  /// `body` names the message. Called before it is sent; sending does not fail here.
  void sends(const std::string& body, std::string group, int number) {
    messages_[body] = {.group = std::move(group), .number = number};
  }
  void crashed() {
    ++life_;
    running_ = 0;
    running_groups_.clear();
  }
  int life() const { return life_; }

  void begins(const std::vector<std::string>& ids) {
    ++running_;
    EXPECT_LE(running_, kConcurrencyMax);
    std::set<std::string> groups;
    std::map<std::string, int> last;
    for (const auto& id : ids) {
      const Message& message = messages_.at(id);
      if (message.done) {
        EXPECT_NE(message.done_in_life, life_) << id << " was processed and comes again without a crash";
      }
      if (!fifo_) continue;
      groups.insert(message.group);
      const auto [before, first] = last.emplace(message.group, message.number);
      if (!first) {
        EXPECT_LT(before->second, message.number) << "out of order within a batch";
        before->second = message.number;
      }
      for (const auto& [other_id, other] : messages_) {
        const bool with_it = std::ranges::find(ids, other_id) != ids.end();
        EXPECT_TRUE(other.group != message.group || other.number >= message.number || other.done || with_it)
            << message.number << " of group " << message.group << " before " << other.number;
      }
    }
    for (const auto& group : groups) {
      EXPECT_TRUE(running_groups_.insert(group).second) << "group " << group << " runs twice at a time";
    }
  }
  void ends(const std::vector<std::string>& ids, const std::set<std::string>& failed) {
    --running_;
    for (const auto& id : ids) {
      Message& message = messages_.at(id);
      if (fifo_) running_groups_.erase(message.group);
      if (failed.contains(id)) continue;
      message.done = true;
      message.done_in_life = life_;
    }
  }
  std::size_t undone() const {
    return static_cast<std::size_t>(std::ranges::count_if(messages_, [](const auto& m) { return !m.second.done; }));
  }
  std::size_t size() const { return messages_.size(); }

 private:
  bool fifo_;
  int life_ = 0;
  int running_ = 0;
  std::set<std::string> running_groups_;
  std::map<std::string, Message> messages_;  ///< by body
};

/// A function that does what the dice say.
class DicedFunction final : public ports::FunctionInvoker {
 public:
  using Kind = ports::InvocationOutcome::Kind;
  DicedFunction(SimSystem& sim, Checker& checker) : sim_(sim), checker_(checker) {}

  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
    const int life = checker_.life();
    const auto event = json::parse(request.payload);
    LD_CHECK(event.has_value());
    std::vector<std::string> ids, bodies;
    for (const auto& record : *event->find("Records")->if_array()) {
      ids.push_back(*record.find("messageId")->if_string());
      bodies.push_back(*record.find("body")->if_string());
    }
    if (down) co_return FakeInvoker::outcome(Kind::kSystemError);
    const auto dice = well ? 9 : sim_.random().below(10);
    // Throttled: the function did not run.
    if (dice == 0) co_return FakeInvoker::outcome(Kind::kThrottled);
    checker_.begins(bodies);
    co_await sim_.clock().sleep_for(std::chrono::milliseconds(sim_.random().below(900)));
    if (life != checker_.life()) co_return FakeInvoker::outcome(Kind::kSystemError);  // its process is gone
    std::set<std::string> failed;
    auto outcome = FakeInvoker::outcome(Kind::kSuccess, R"({"batchItemFailures":[]})");
    if (dice == 1) {
      outcome = FakeInvoker::outcome(Kind::kFunctionError, R"({"errorMessage":"no"})");
      failed.insert(bodies.begin(), bodies.end());
    } else if (dice == 2) {
      outcome.payload = R"({"batchItemFailures":[{"itemIdentifier":""}]})";
      failed.insert(bodies.begin(), bodies.end());
    } else if (dice <= 4) {
      // As functions on FIFO queues must: the first that failed and all after it.
      const auto first = sim_.random().below(ids.size());
      json::Array list;
      for (auto i = first; i < ids.size(); ++i) {
        failed.insert(bodies[i]);
        list.push_back(json::Object{{"itemIdentifier", ids[i]}});
      }
      outcome.payload = json::serialize(json::Object{{"batchItemFailures", std::move(list)}});
    }
    checker_.ends(bodies, failed);
    co_return outcome;
  }
  Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }

  bool well = false;  ///< nothing fails any more
  bool down = false;  ///< between a crash and the next life

 private:
  SimSystem& sim_;
  Checker& checker_;
};

/// One life of the daemon on the files in a directory.
class Life final : public ports::ApiCaller {
 public:
  Life(SimSystem& sim, std::string directory, ports::FunctionInvoker& function)
      : sim_(sim), directory_(std::move(directory)), dispatcher_(sim.system(), null_logger(), metrics_, {}) {
    auto opened = sqs::SqsService::open(sim.system(), null_logger(), metrics_,
                                        {.directory = directory_, .durability = store::Durability::kEphemeral});
    LD_CHECK(opened.has_value(), "{}", opened.error().detail);
    sqs_ = std::move(*opened);
    sqs_->register_operations(dispatcher_);
    mappings_ = std::make_unique<MappingService>(
        sim.system(), null_logger(), metrics_,
        MappingService::Options{.data_directory = directory_, .durability = store::Durability::kEphemeral}, function,
        catalog_, *this);
    mappings_->add_source(std::make_unique<SqsSource>(mappings_->context()));
    const auto started = mappings_->start();
    LD_CHECK(started.has_value(), "{}", started.error().detail);
  }
  void end() {
    sim_.run(mappings_->stop());
    sim_.run(sqs_->stop());
  }

  Async<aws::Outcome<json::Value>> call(Call call) override {
    aws::RequestContext context;
    context.request_id = sim_.random().uuid_v4();
    context.account = call.account;
    context.region = call.region;
    context.service = call.service;
    context.operation = call.operation;
    context.base_url = "http://127.0.0.1:4566";
    context.received = sim_.wall();
    return dispatcher_.call(std::move(context), call.service, call.operation, std::move(call.input));
  }
  json::Value sqs(const char* operation, json::Object input) {
    auto answer = sim_.run(call({.service = "sqs",
                                 .operation = operation,
                                 .account = kCaller.account,
                                 .region = kCaller.region,
                                 .input = std::move(input)}));
    LD_CHECK(answer.has_value(), "{}: {}", operation, answer.error().message);
    return std::move(*answer);
  }
  MappingService& mappings() { return *mappings_; }
  const std::string& directory() const { return directory_; }

 private:
  SimSystem& sim_;
  std::string directory_;
  Metrics metrics_;
  FakeCatalog catalog_;
  aws::Dispatcher dispatcher_;
  std::unique_ptr<sqs::SqsService> sqs_;
  std::unique_ptr<MappingService> mappings_;
};

void deliver_all(std::uint64_t seed, bool fifo) {
  SimSystem sim(seed);
  Random& random = sim.random();
  Checker checker(fifo);
  DicedFunction function(sim, checker);
  const std::string root = sim.directory();
  int lives = 0;
  const auto next_directory = [&] { return fmt::format("{}/life-{}", root, lives++); };
  std::string directory = next_directory();
  std::filesystem::create_directory(directory);
  auto life = std::make_unique<Life>(sim, directory, function);

  const std::string name = fifo ? "q.fifo" : "q";
  json::Object attributes{{"VisibilityTimeout", std::to_string(kVisibility / 1s)}};
  if (fifo) attributes.append("FifoQueue", "true");
  const std::string url =
      *life->sqs("CreateQueue", {{"QueueName", name}, {"Attributes", attributes}}).find("QueueUrl")->if_string();
  aws::lambda::CreateEventSourceMappingRequest request;
  request.event_source_arn = "arn:aws:sqs:eu-west-1:111122223333:" + name;
  request.function_name = "f";
  request.batch_size = 1 + static_cast<int>(random.below(10));
  request.function_response_types = {"ReportBatchItemFailures"};
  request.scaling_config.emplace().maximum_concurrency = kConcurrencyMax;
  const auto created = sim.run(life->mappings().create(kCaller, request));
  ASSERT_TRUE(created) << created.error().message;

  std::map<std::string, int> numbers;
  for (int step = 0; step < 40; ++step) {
    for (auto n = random.below(6); n > 0; --n) {
      const std::string group = fmt::format("g{}", random.below(3));
      const int number = numbers[group]++;
      const std::string body = fmt::format("{}:{}", group, number);
      json::Object input{{"QueueUrl", url}, {"MessageBody", body}};
      if (fifo) {
        input.append("MessageGroupId", group);
        input.append("MessageDeduplicationId", body);
      }
      checker.sends(body, group, number);
      life->sqs("SendMessage", std::move(input));
    }
    sim.run_for(std::chrono::milliseconds(random.below(4000)));
    if (random.below(8) == 0) {
      directory = next_directory();
      std::filesystem::copy(life->directory(), directory, std::filesystem::copy_options::recursive);
      checker.crashed();
      function.down = true;
      life->end();
      function.down = false;
      life = std::make_unique<Life>(sim, directory, function);
    }
  }
  function.well = true;
  EXPECT_TRUE(sim.run_until([&] { return checker.undone() == 0; }, 2h))
      << checker.undone() << " of " << checker.size() << " messages were lost";
  life->end();
}

// LAMBDAD_SIM_ROUNDS=1000 for a long run.
int rounds() {
  const char* text = ::getenv("LAMBDAD_SIM_ROUNDS");
  return text == nullptr ? 15 : std::max(1, ::atoi(text));
}

void deliver_over_seeds(bool fifo) {
  for (int round = 0; round < rounds(); ++round) {
    const std::uint64_t seed = test_seed() + static_cast<std::uint64_t>(round);
    deliver_all(seed, fifo);
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "replay with LAMBDAD_SEED=" << seed << " LAMBDAD_SIM_ROUNDS=1";
      return;
    }
  }
}

TEST(Delivery, OfAStandardQueueLosesNothingAndRepeatsNothingWithoutACrash) { deliver_over_seeds(false); }
TEST(Delivery, OfAFifoQueueKeepsItsGroupsInOrderBesides) { deliver_over_seeds(true); }

}  // namespace
}  // namespace lambdad::event_sources
