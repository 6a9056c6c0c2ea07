// Events of about 480 bytes, as an event bus carries them, against sets of mixed rules: a third on exact values alone,
// the others with one numeric range, anything-but, prefix, suffix, wildcard or array of values besides.
#include <benchmark/benchmark.h>

#include "pattern/pattern_set.h"
#include "system/random.h"

namespace lambdad::pattern {
namespace {

std::string pick(Random& random, const char* stem, std::uint64_t of) {
  return fmt::format("{}{}", stem, random.below(of));
}

std::string rule(Random& random, std::uint64_t i) {
  const std::string source = fmt::format(R"("source": ["shop.{}"])", random.below(40));
  const std::string type = fmt::format(R"("detail-type": ["type-{}"])", random.below(25));
  const auto with = [&](std::string detail) {
    return fmt::format(R"({{{}, {}, "detail": {{{}}}}})", source, type, detail);
  };
  switch (i % 9) {
    case 0:
    case 1:
    case 2:
      return with(fmt::format(R"("state": ["{}", "{}"])", pick(random, "state-", 12), pick(random, "state-", 12)));
    case 3: {
      const auto low = random.below(900);
      return with(fmt::format(R"("amount": [{{"numeric": [">", {}, "<=", {}]}}])", low, low + 100));
    }
    case 4: return with(fmt::format(R"("region": [{{"anything-but": ["{}"]}}])", pick(random, "region-", 8)));
    case 5: return fmt::format(R"({{{}, "detail": {{"path": [{{"prefix": "/data/{}/"}}]}}}})", type, random.below(200));
    case 6:
      return fmt::format(R"({{{}, "detail": {{"path": [{{"suffix": ".{}"}}]}}}})", source, pick(random, "ext", 30));
    case 7:
      return fmt::format(R"({{"detail": {{"path": [{{"wildcard": "/data/{}/*.{}"}}]}}}})", random.below(200),
                         pick(random, "ext", 30));
    default:
      return with(
          fmt::format(R"("items": {{"sku": ["{}"], "count": [{{"numeric": [">", 1]}}]}})", pick(random, "sku-", 50)));
  }
}

std::string event(Random& random) {
  return fmt::format(
      R"({{"version":"0","id":"{}","detail-type":"type-{}","source":"shop.{}","account":"111122223333",)"
      R"("time":"2026-01-31T10:00:00Z","region":"eu-west-1","resources":["arn:aws:shop:eu-west-1:111122223333:order/{}"],)"
      R"("detail":{{"state":"state-{}","region":"region-{}","amount":{},"path":"/data/{}/file-{}.ext{}","items":)"
      R"([{{"sku":"sku-{}","count":{}}},{{"sku":"sku-{}","count":1}}],"customer":{{"id":"c-{}","tier":"gold"}}}}}})",
      random.uuid_v4(), random.below(25), random.below(40), random.below(1000000), random.below(12), random.below(8),
      random.below(1000), random.below(200), random.below(100000), random.below(30), random.below(50), random.below(4),
      random.below(50), random.below(100000));
}

void BM_ParseAndMatch(benchmark::State& state) {
  SeededRandom random(1);
  PatternSet set;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    set.add(*Pattern::compile(rule(random, static_cast<std::uint64_t>(i)), Dialect::kEventBridge));
  }
  std::vector<std::string> events;
  for (int i = 0; i < 10000; ++i) events.push_back(event(random));
  std::vector<PatternSet::Id> found;
  std::size_t at = 0, matched = 0, bytes = 0;
  for (auto _ : state) {
    const std::string& text = events[at++ % events.size()];
    const auto parsed = json::parse(text);
    set.match(*parsed, found);
    matched += found.size();
    bytes += text.size();
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["matches/event"] = static_cast<double>(matched) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_ParseAndMatch)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

void BM_ParseOnly(benchmark::State& state) {
  SeededRandom random(1);
  const std::string text = event(random);
  for (auto _ : state) benchmark::DoNotOptimize(json::parse(text));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_ParseOnly);

// Five rules of one kind, as event-ruler's own benchmark has them.
void five(benchmark::State& state, const char* operand) {
  SeededRandom random(1);
  PatternSet set;
  for (int i = 0; i < 5; ++i) {
    set.add(*Pattern::compile(fmt::format(fmt::runtime(operand), fmt::arg("i", i * 7)), Dialect::kEventBridge));
  }
  std::vector<json::Value> events;
  std::vector<std::string> texts;
  for (int i = 0; i < 10000; ++i) texts.push_back(event(random));
  std::vector<PatternSet::Id> found;
  std::size_t at = 0;
  for (auto _ : state) {
    set.match(*json::parse(texts[at++ % texts.size()]), found);
    benchmark::DoNotOptimize(found.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(five, exact, R"({{"source": ["shop.{i}"]}})");
BENCHMARK_CAPTURE(five, anything_but, R"({{"source": [{{"anything-but": ["shop.{i}"]}}]}})");
BENCHMARK_CAPTURE(five, wildcard, R"({{"detail": {{"path": [{{"wildcard": "*/{i}/*.ext1"}}]}}}})");
BENCHMARK_CAPTURE(five, numeric, R"({{"detail": {{"amount": [{{"numeric": [">", {i}]}}]}}}})");

void BM_Compile1000(benchmark::State& state) {
  SeededRandom random(1);
  std::vector<std::string> rules;
  for (std::uint64_t i = 0; i < 1000; ++i) rules.push_back(rule(random, i));
  for (auto _ : state) {
    PatternSet set;
    for (const auto& text : rules) set.add(*Pattern::compile(text, Dialect::kEventBridge));
    benchmark::DoNotOptimize(set.size());
  }
}
BENCHMARK(BM_Compile1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lambdad::pattern
