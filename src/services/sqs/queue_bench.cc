// Steps of the core against the size of the backlog, receipt handles, and the memory of a waiting message.
//   ninja -C build/release services_sqs_bench && build/release/bin/services_sqs_bench

#include <malloc.h>

#include <benchmark/benchmark.h>

#include "services/sqs/receipt_handle.h"
#include "services/sqs/standard_queue.h"
#include "services/sqs/test_support.h"

namespace lambdad::sqs {
namespace {

void fill(Queue& queue, std::int64_t count) {
  for (RowId row = 1; row <= count; ++row) queue.add(test_message(row, at(0s), 0s, std::string(64, 'x')), at(0s));
}

/// One message in, one received, one deleted, over a standing backlog.
void BM_AddTakeRemove(benchmark::State& state) {
  StandardQueue queue(345600s);
  fill(queue, state.range(0));
  RowId row = state.range(0) + 1;
  WallTime now = at(1s);
  for (auto _ : state) {
    now += 10us;
    queue.add(test_message(row++, now), now);
    const auto taken = queue.take(now, {.messages_max = 1, .visibility_timeout = 30s});
    queue.remove(taken.received[0].message.row);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_AddTakeRemove)->Arg(0)->Arg(10'000)->Arg(1'000'000);

/// Ten received and not deleted: they come back when their timeout ends.
void BM_TakeTenThatReturn(benchmark::State& state) {
  StandardQueue queue(345600s);
  fill(queue, state.range(0));
  WallTime now = at(1s);
  for (auto _ : state) {
    now += 10us;
    benchmark::DoNotOptimize(queue.take(now, {.messages_max = 10, .visibility_timeout = 50ms}));
  }
  state.SetItemsProcessed(state.iterations() * 10);
}
BENCHMARK(BM_TakeTenThatReturn)->Arg(100'000)->Arg(1'000'000);

void BM_PurgeMillion(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    StandardQueue queue(345600s);
    fill(queue, 1'000'000);
    state.ResumeTiming();
    benchmark::DoNotOptimize(queue.remove_below(10'000'000));
  }
}
BENCHMARK(BM_PurgeMillion)->Unit(benchmark::kMillisecond)->Iterations(3);

void BM_BytesPerMessage(benchmark::State& state) {
  for (auto _ : state) {
    const auto before = ::mallinfo2().uordblks;
    StandardQueue queue(345600s);
    fill(queue, 200'000);
    state.counters["bytes_per_message_without_body"] =
        static_cast<double>(::mallinfo2().uordblks - before) / 200'000 - 64;
  }
}
BENCHMARK(BM_BytesPerMessage)->Iterations(1);

void BM_SealAndOpenReceiptHandle(benchmark::State& state) {
  const ReceiptHandles handles("0123456789abcdef");
  RowId row = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(handles.open(handles.seal({.queue = 1, .row = ++row, .generation = 1})));
  }
}
BENCHMARK(BM_SealAndOpenReceiptHandle);

}  // namespace
}  // namespace lambdad::sqs
