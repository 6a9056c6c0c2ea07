#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "base/json.h"

namespace lambdad::json {
namespace {

/// An event of `records` SQS messages as a function receives it.
std::string sqs_event(int records) {
  Array list;
  for (int i = 0; i < records; ++i) {
    list.push_back(Object{{"messageId", fmt::format("059f36b4-87a3-44ab-83d2-{:012}", i)},
                          {"receiptHandle", std::string(180, 'A')},
                          {"body", R"({"order": 12345, "items": ["a", "b"]})"},
                          {"attributes", Object{{"ApproximateReceiveCount", "1"}, {"SentTimestamp", "1545082649183"}}},
                          {"messageAttributes", Object{}},
                          {"eventSource", "aws:sqs"}});
  }
  return serialize(Object{{"Records", std::move(list)}});
}

void set_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

void BM_Parse(benchmark::State& state) {
  const std::string text = sqs_event(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(parse(text));
  set_bytes(state, text.size());
}
BENCHMARK(BM_Parse)->Arg(1)->Arg(10)->Arg(1000);

void BM_Validate(benchmark::State& state) {
  const std::string text = sqs_event(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(validate(text));
  set_bytes(state, text.size());
}
BENCHMARK(BM_Validate)->Arg(1)->Arg(10)->Arg(1000);

void BM_Serialize(benchmark::State& state) {
  const std::string text = sqs_event(static_cast<int>(state.range(0)));
  const auto value = parse(text);
  for (auto _ : state) benchmark::DoNotOptimize(serialize(*value));
  set_bytes(state, text.size());
}
BENCHMARK(BM_Serialize)->Arg(1)->Arg(10)->Arg(1000);

/// Time per key must not grow with the number of keys.
void BM_ParseManyKeys(benchmark::State& state) {
  Object object;
  for (std::int64_t i = 0; i < state.range(0); ++i) object.append(fmt::format("key{}", i), i);
  const std::string text = serialize(object);
  for (auto _ : state) benchmark::DoNotOptimize(parse(text));
  state.SetItemsProcessed(state.range(0) * state.iterations());
}
BENCHMARK(BM_ParseManyKeys)->Arg(100)->Arg(10'000)->Arg(100'000);

}  // namespace
}  // namespace lambdad::json
