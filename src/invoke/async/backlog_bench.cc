/// What a backlog costs: accepting, memory, starting again, draining; per event, for backlogs of growing length. The
/// function is an invoker that answers at once, so this is the plane and its store. Real disk: run it where data lives
/// (TMPDIR). BACKLOG_MAX=10000000 for ten million.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <benchmark/benchmark.h>

#include "invoke/async/async_plane.h"
#include "store/test_support.h"

namespace lambdad::invoke {
namespace {

struct Catalog final : ports::FunctionCatalog {
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef&) override {
    return function;
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return std::nullopt; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return 0; }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return {}; }
  void on_change(std::function<void(const ports::FunctionRef&)>) override {}
  ports::FunctionVersionPtr function = std::make_shared<const ports::FunctionVersion>();
};

/// Holds everything back until it is opened.
struct Gate final : ports::FunctionInvoker {
  explicit Gate(Loop& loop) : opened(loop) {}
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest) override {
    while (!open) co_await opened.wait();
    ports::InvocationOutcome outcome;
    outcome.kind = ports::InvocationOutcome::Kind::kSuccess;
    co_return outcome;
  }
  Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }
  bool open = false;
  Notifier opened;
};

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * 4096 / 1e6;
}

Async<void> accept_many(AsyncPlane* plane, std::size_t count, std::size_t functions, std::string payload) {
  for (std::size_t i = 0; i < count; ++i) {
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", fmt::format("f{}", i % functions), ""};
    request.request_id = fmt::format("00000000-0000-4000-8000-{:012}", i);
    request.payload = payload;
    auto accepted = co_await plane->accept(std::move(request));
    LD_CHECK(accepted.has_value(), "{}", accepted.error().detail);
  }
}

Async<void> until_empty(AsyncPlane* plane, Clock* clock) {
  while (plane->size() > 0) co_await clock->sleep_for(1ms);
}

template <class T>
void run(Loop& loop, T task) {
  bool ended = false;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
    ended = true;
  });
  loop.restart();
  while (!ended) loop.run_one();
}

Async<void> accept_by(AsyncPlane* plane, Loop* loop, std::size_t count, std::size_t functions) {
  constexpr std::size_t kClients = 64;
  TaskGroup clients(*loop);
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.spawn("client", accept_many(plane, count / kClients, functions, "\"" + std::string(1022, 'x') + "\""));
  }
  co_await clients.drain();
}

void BM_Backlog(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto functions = static_cast<std::size_t>(state.range(1));
  if (const char* most = std::getenv("BACKLOG_MAX");
      count > (most == nullptr ? 1'000'000 : std::strtoull(most, nullptr, 10))) {
    state.SkipWithError("beyond BACKLOG_MAX");
    return;
  }
  for ([[maybe_unused]] auto _ : state) {
    const store::TemporaryDirectory directory;
    Loop loop;
    RealClock clock(loop);
    Activity activity(loop);
    KernelRandom random;
    RealFiles files;
    WorkerPool workers(loop, 1);
    System system{loop, clock, clock, activity, random, files, workers};
    Metrics metrics;
    Catalog catalog;
    Gate gate(loop);
    ports::Targets targets;
    const auto open = [&] {
      auto store = EventStore::open(loop, directory.file("async.db"), {});
      LD_CHECK(store.has_value(), "{}", store.error().detail);
      auto plane = std::make_unique<AsyncPlane>(system, null_logger(), metrics, std::move(*store), gate, catalog,
                                                targets, AsyncPlane::Limits{});
      LD_CHECK(plane->start().has_value());
      return plane;
    };
    const double empty_mb = resident_mb();
    auto began = std::chrono::steady_clock::now();
    {
      auto plane = open();
      run(loop, accept_by(plane.get(), &loop, count, functions));
      state.counters["accept/s"] = static_cast<double>(count) / seconds_since(began);
      state.counters["MB"] = resident_mb() - empty_mb;
      // As after kill -9: what waits is not finished first.
      gate.open = true;
      gate.opened.notify_all();
      run(loop, plane->stop());
    }
    state.counters["disk_B/event"] =
        static_cast<double>(std::filesystem::file_size(directory.file("async.db"))) / static_cast<double>(count);
    began = std::chrono::steady_clock::now();
    auto plane = open();
    state.counters["start_ms"] = seconds_since(began) * 1e3;
    began = std::chrono::steady_clock::now();
    const std::size_t waiting = plane->size();
    run(loop, until_empty(plane.get(), &clock));
    state.counters["drain/s"] = static_cast<double>(waiting) / seconds_since(began);
    run(loop, plane->stop());
  }
}
BENCHMARK(BM_Backlog)
    ->ArgNames({"events", "functions"})
    ->Args({10'000, 1})
    ->Args({100'000, 1})
    ->Args({100'000, 1'000})
    ->Args({1'000'000, 1})
    ->Args({10'000'000, 1})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace lambdad::invoke
