/// Commits per second of concurrent writers, each waiting for its acknowledgement before it writes again.
#include <filesystem>

#include <benchmark/benchmark.h>

#include "store/database.h"
#include "store/test_support.h"

namespace lambdad::store {
namespace {

constexpr Migration kMigrations[] = {
    {1, "CREATE TABLE rows (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, body BLOB NOT NULL);"}};

Async<void> writer(Database& db, std::int64_t owner, std::int64_t& left, bool& failed) {
  while (left > 0) {
    --left;
    auto written = co_await db.write([owner](Transaction& tx) {
      return tx.execute("INSERT INTO rows (owner, body) VALUES (?, ?)", {owner, Blob{std::string(1024, 'x')}});
    });
    if (!written) failed = true;
  }
}

void commits(benchmark::State& state, Durability durability) {
  TemporaryDirectory directory;
  Loop loop;
  auto db = Database::open(loop, directory.file("bench.db"), kMigrations, {.durability = durability});
  if (!db) {
    state.SkipWithError(db.error().detail.c_str());
    return;
  }
  const std::int64_t rows = 200 * state.range(0);
  for (auto _ : state) {
    std::int64_t left = rows;
    bool failed = false;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      asio::co_spawn(loop, writer(**db, i, left, failed), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
      });
    }
    loop.restart();
    loop.run();
    if (failed) state.SkipWithError("a write failed");
  }
  state.SetItemsProcessed(state.iterations() * rows);
  auto stats = (*db)->stats();
  state.counters["rows_per_commit"] = static_cast<double>(stats.works) / static_cast<double>(stats.commits);
}

void full(benchmark::State& state) { commits(state, Durability::kFull); }
void ephemeral(benchmark::State& state) { commits(state, Durability::kEphemeral); }

BENCHMARK(full)->Arg(1)->Arg(16)->Arg(64)->Arg(512)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ephemeral)->Arg(1)->Arg(16)->Arg(64)->Arg(512)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lambdad::store
