#include "invoke/async/event_store.h"

#include <gtest/gtest.h>

#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

// As lambdad wrote it before events had lanes.
constexpr store::Migration kFirst[] = {{1, R"sql(
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  region TEXT NOT NULL,
  function TEXT NOT NULL,
  qualifier TEXT NOT NULL,
  request_id TEXT NOT NULL,
  trace_header TEXT NOT NULL,
  accepted_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  runs INTEGER NOT NULL,
  throttles INTEGER NOT NULL,
  payload BLOB NOT NULL
);
)sql"}};

class EventStoreTest : public testing::Test {
 protected:
  std::string path() { return sim_.directory() + "/async.db"; }
  std::unique_ptr<EventStore> open() {
    auto store = EventStore::open(sim_.loop(), path(), {.durability = store::Durability::kEphemeral});
    LD_CHECK(store.has_value(), "{}", store.error().detail);
    return std::move(*store);
  }
  EventStore::Due<Event> due(EventStore& store, const EventStore::Lane& lane, std::int64_t now_ms,
                             std::unordered_set<std::int64_t> held = {}, std::size_t limit = 100) {
    auto found = sim_.run(store.due(lane.id, lane.function, from_epoch_ms(now_ms), std::move(held), limit, 1'000'000));
    LD_CHECK(found.has_value(), "{}", found.error().detail);
    return std::move(*found);
  }
  SimSystem sim_{test_seed()};
};

TEST_F(EventStoreTest, EventsOfAnOlderLambdadAreKept) {
  {
    auto old = store::Database::open(sim_.loop(), path(), kFirst, {.durability = store::Durability::kEphemeral});
    ASSERT_TRUE(old);
    ASSERT_TRUE((*old)->run_now([](store::Transaction& tx) -> Result<void> {
      const std::string large(5000, 'y');
      for (std::int64_t i = 1; i <= 6; ++i) {
        LD_TRY_VOID(tx.execute(
            "INSERT INTO event (account, region, function, qualifier, request_id, trace_header, "
            "accepted_ms, due_ms, runs, throttles, payload) VALUES ('1', 'r', ?, 'live', ?, 'Root=1', "
            "1000, ?, 1, 2, ?)",
            {i % 2 == 0 ? "even" : "odd", fmt::format("id-{}", i), 2000 + i, store::Blob{i == 1 ? large : "{}"}}));
      }
      LD_TRY_VOID(tx.execute("DELETE FROM event WHERE id = 6", {}));
      return {};
    }));
  }
  auto store = open();
  auto loaded = store->load();
  ASSERT_TRUE(loaded) << loaded.error().detail;
  ASSERT_EQ(loaded->lanes.size(), 2u);
  const auto odd = std::ranges::find(loaded->lanes, "odd", [](const auto& lane) { return lane.function.name; });
  ASSERT_NE(odd, loaded->lanes.end());
  EXPECT_EQ(odd->queued, 3);
  EXPECT_EQ(odd->first_due, from_epoch_ms(2001));
  const auto found = due(*store, *odd, 5000);
  ASSERT_EQ(found.found.size(), 3u);
  const Event& event = found.found[0];
  EXPECT_EQ(event.request_id, "id-1");
  EXPECT_EQ(event.function, (ports::FunctionRef{"1", "r", "odd", "live"}));
  EXPECT_EQ(event.progress.runs, 1);
  EXPECT_EQ(event.progress.throttles, 2);
  EXPECT_EQ(event.attempts, 3);
  EXPECT_EQ(sim_.run(store->payload(event.id)), std::string(5000, 'y'));

  // An id that was used is not used again.
  auto fresh = std::make_shared<Event>(event);
  fresh->payload = "{}";
  std::int64_t id = 0;
  store->insert(fresh, EventStore::LaneIs::kKnown, [&](Result<std::int64_t> row) { id = row.value_or(-1); });
  sim_.settle();
  EXPECT_EQ(id, 7);
}

TEST_F(EventStoreTest, WhatIsHeldIsNotReadAgainAndTheRestIsKnownToBeThere) {
  auto store = open();
  ASSERT_TRUE(store->load());
  auto event = std::make_shared<Event>();
  event->lane = 1;
  event->function = {"1", "r", "f", ""};
  event->payload = "{}";
  for (std::int64_t i = 1; i <= 10; ++i) {
    auto each = std::make_shared<Event>(*event);
    each->due = from_epoch_ms(i <= 8 ? 1000 : 9000 + i);
    store->insert(each, EventStore::LaneIs::kNew, [](Result<std::int64_t> row) { EXPECT_TRUE(row); });
  }
  sim_.settle();
  const EventStore::Lane lane{1, event->function, 10, std::nullopt};
  auto found = due(*store, lane, 1000, {1, 2, 3}, 2);
  ASSERT_EQ(found.found.size(), 2u);
  EXPECT_EQ(found.found[0].id, 4);
  EXPECT_FALSE(found.all);
  EXPECT_EQ(found.next, from_epoch_ms(9009));
  found = due(*store, lane, 1000, {1, 2, 3}, 5);
  EXPECT_EQ(found.found.size(), 5u);
  EXPECT_TRUE(found.all);
  EXPECT_EQ(due(*store, lane, 10'000).found.size(), 10u);
}

}  // namespace
}  // namespace lambdad::invoke
