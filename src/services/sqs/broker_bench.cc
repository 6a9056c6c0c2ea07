// The service without wire protocols: durable sends and receives from many callers at once, and loading at start-up.

#include <benchmark/benchmark.h>

#include "services/sqs/broker.h"
#include "services/sqs/test_support.h"

namespace lambdad::sqs {
namespace {

struct Machine {
  Loop loop;
  RealClock clock{loop};
  Activity activity{loop};
  KernelRandom random;
  RealFiles files;
  WorkerPool workers{loop, 1};
  System system{loop, clock, clock, activity, random, files, workers};
  Metrics metrics;

  std::unique_ptr<Broker> open(const std::string& directory, store::Durability durability) {
    auto broker = Broker::open(system, null_logger(), metrics, {.directory = directory, .durability = durability});
    LD_CHECK(broker.has_value(), "{}", broker.error().detail);
    return std::move(*broker);
  }
  template <class T>
  T run(Async<T> task) {
    std::optional<T> result;
    asio::co_spawn(
        loop,
        [](Async<T> inner, std::optional<T>* out) -> Async<void> { out->emplace(co_await std::move(inner)); }(
                                                      std::move(task), &result),
        [](std::exception_ptr error) {
          if (error) std::rethrow_exception(error);
        });
    while (!result) loop.run_one();
    return std::move(*result);
  }
  void stop(Broker& broker) {
    run([](Broker* b) -> Async<bool> {
      co_await b->stop();
      co_return true;
    }(&broker));
  }
};

LiveQueuePtr make_queue(Machine& machine, Broker& broker) {
  auto queue = machine.run(broker.create("000000000000", "us-east-1", "q", {}, {}));
  LD_CHECK(queue.has_value());
  return *queue;
}

std::vector<Broker::NewMessage> messages(Broker& broker, int count) {
  std::vector<Broker::NewMessage> made;
  for (int i = 0; i < count; ++i) {
    auto content = std::make_shared<MessageContent>();
    content->message_id = broker.new_message_id();
    content->body = std::string(200, 'x');
    content->md5_of_body = md5_raw(content->body);
    content->sent_at = broker.now();
    content->sender_id = "000000000000";
    made.push_back({.content = std::move(content), .delay = 0s});
  }
  return made;
}

Async<void> sender(Broker* broker, LiveQueuePtr queue, int batch, int times) {
  for (int i = 0; i < times; ++i) LD_CHECK((co_await broker->send(queue, messages(*broker, batch))).has_value());
}

Async<void> receiver(Broker* broker, LiveQueuePtr queue) {
  for (;;) {
    auto got = co_await broker->receive(queue, {.messages_max = 10, .visibility_timeout = 30s, .wait = 0s});
    LD_CHECK(got.has_value());
    if (got->empty()) co_return;
    std::vector<ReceiptHandle> handles;
    for (const auto& m : *got) handles.push_back({queue->row.id, m.row, m.receive_count});
    LD_CHECK((co_await broker->remove_messages(queue, std::move(handles))).has_value());
  }
}

/// range(0) callers, range(1) messages per call, fully durable.
void BM_Send(benchmark::State& state) {
  TemporaryDirectory directory;
  Machine machine;
  auto broker = machine.open(directory.path(), store::Durability::kFull);
  const auto queue = make_queue(machine, *broker);
  const auto callers = static_cast<int>(state.range(0));
  const auto batch = static_cast<int>(state.range(1));
  constexpr int kTimes = 50;
  for (auto _ : state) {
    TaskGroup group(machine.loop);
    for (int i = 0; i < callers; ++i) group.spawn("sender", sender(broker.get(), queue, batch, kTimes));
    while (group.size() > 0) machine.loop.run_one();
  }
  state.SetItemsProcessed(state.iterations() * callers * batch * kTimes);
  machine.stop(*broker);
}
BENCHMARK(BM_Send)->Args({1, 1})->Args({64, 1})->Args({64, 10})->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_ReceiveAndDelete(benchmark::State& state) {
  TemporaryDirectory directory;
  Machine machine;
  auto broker = machine.open(directory.path(), store::Durability::kFull);
  const auto queue = make_queue(machine, *broker);
  constexpr int kMessages = 20'000;
  for (auto _ : state) {
    state.PauseTiming();
    TaskGroup senders(machine.loop);
    senders.spawn("sender", sender(broker.get(), queue, 100, kMessages / 100));
    while (senders.size() > 0) machine.loop.run_one();
    state.ResumeTiming();
    TaskGroup group(machine.loop);
    for (int i = 0; i < 64; ++i) group.spawn("receiver", receiver(broker.get(), queue));
    while (group.size() > 0) machine.loop.run_one();
  }
  state.SetItemsProcessed(state.iterations() * kMessages);
  machine.stop(*broker);
}
BENCHMARK(BM_ReceiveAndDelete)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_LoadMillion(benchmark::State& state) {
  TemporaryDirectory directory;
  {
    Machine machine;
    auto broker = machine.open(directory.path(), store::Durability::kEphemeral);
    const auto queue = make_queue(machine, *broker);
    TaskGroup group(machine.loop);
    group.spawn("sender", sender(broker.get(), queue, 1000, 1000));
    while (group.size() > 0) machine.loop.run_one();
    machine.stop(*broker);
  }
  for (auto _ : state) {
    Machine machine;
    auto broker = machine.open(directory.path(), store::Durability::kEphemeral);
    state.PauseTiming();
    machine.stop(*broker);
    broker.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(BM_LoadMillion)->Iterations(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lambdad::sqs
