// What a cold start spends in this folder.
#include <benchmark/benchmark.h>

#include "sandbox/testing/world.h"

namespace lambdad::sandbox {
namespace {

using testing::World;

void report(benchmark::State& state, std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  if (us.empty()) return;
  state.counters["p50_us"] = us[us.size() / 2];
  state.counters["p90_us"] = us[us.size() * 9 / 10];
  state.counters["p99_us"] = us[us.size() * 99 / 100];
}

double since_us(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// create(), start(), first byte of output; destroy() is not counted. With spares as a daemon that has a moment between
// cold starts, and without.
void create_start_first_byte(benchmark::State& state) {
  World world(Isolation::kNamespaces, {}, static_cast<unsigned>(state.range(0)));
  std::vector<double> us;
  int number = 0;
  for (auto _ : state) {
    auto spec = world.spec(fmt::format("b-{}", number++));
    const auto begin = std::chrono::steady_clock::now();
    auto sandbox = world.create(spec);
    if (!sandbox) return state.SkipWithError(sandbox.error().detail.c_str());
    auto process = world.run((*sandbox)->start(World::probe({"pause"})));
    if (!process) return state.SkipWithError(process.error().detail.c_str());
    UniqueFd output = (*process)->take_output();
    testing::read_line(output);
    us.push_back(since_us(begin));
    state.SetIterationTime(us.back() / 1e6);
    world.run((*sandbox)->destroy());
    ::usleep(40'000);
  }
  report(state, us);
}
BENCHMARK(create_start_first_byte)->Arg(0)->Arg(2)->UseManualTime()->Iterations(200);

void create_only(benchmark::State& state) {
  World world;
  std::vector<double> us;
  int number = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    auto sandbox = world.create(world.spec(fmt::format("b-{}", number++)));
    if (!sandbox) return state.SkipWithError(sandbox.error().detail.c_str());
    us.push_back(since_us(begin));
    state.SetIterationTime(us.back() / 1e6);
    world.run((*sandbox)->destroy());
  }
  report(state, us);
}
BENCHMARK(create_only)->UseManualTime()->Iterations(200);

void start_first_byte_again(benchmark::State& state) {
  World world;
  std::vector<double> us;
  auto sandbox = world.create(world.spec());
  if (!sandbox) return state.SkipWithError(sandbox.error().detail.c_str());
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    auto process = world.run((*sandbox)->start(World::probe({"pause"})));
    if (!process) return state.SkipWithError(process.error().detail.c_str());
    UniqueFd output = (*process)->take_output();
    testing::read_line(output);
    us.push_back(since_us(begin));
    state.SetIterationTime(us.back() / 1e6);
    (*process)->kill();
    world.run((*process)->wait_exit());
  }
  report(state, us);
}
BENCHMARK(start_first_byte_again)->UseManualTime()->Iterations(200);

void freeze_and_thaw(benchmark::State& state) {
  World world;
  auto sandbox = world.create(world.spec());
  if (!sandbox) return state.SkipWithError(sandbox.error().detail.c_str());
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  if (!process) return state.SkipWithError(process.error().detail.c_str());
  for (auto _ : state) {
    (*sandbox)->freeze();
    (*sandbox)->thaw();
  }
}
BENCHMARK(freeze_and_thaw)->Iterations(2000);

}  // namespace
}  // namespace lambdad::sandbox
