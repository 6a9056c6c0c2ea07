#include <gtest/gtest.h>

#include "store/sim_disk_testing.h"
#include "store/test_support.h"
#include "system/test_seed.h"

namespace lambdad::store {
namespace {

constexpr Migration kMigrations[] = {{1, "CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"}};

class SimDiskTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open(Durability durability = Durability::kFull) {
    auto database =
        Database::open(loop_, "/rows.db", kMigrations, {.durability = durability, .threads = Threads::kLoop});
    LD_CHECK(database.has_value(), "{}", database.error().detail);
    return std::move(*database);
  }
  Result<void> insert(Database& database, std::int64_t id) {
    return await_result(loop_, database.write([id](Transaction& tx) -> Result<void> {
      LD_TRY_VOID(tx.execute("INSERT INTO row (id, text) VALUES (?, ?)", {id, std::string(500, 'x')}));
      return {};
    }));
  }
  std::int64_t count(Database& database) {
    auto rows = await_result(loop_, database.read([](Transaction& tx) -> Result<std::int64_t> {
      std::int64_t found = 0;
      LD_TRY_VOID(tx.query("SELECT count(*) FROM row", {}, [&](const Row& row) { found = row.integer(0); }));
      return found;
    }));
    LD_CHECK(rows.has_value(), "{}", rows.error().detail);
    return *rows;
  }

  Loop loop_;
  SimDisk disk_;
  SeededRandom random_{test_seed()};
};

TEST_F(SimDiskTest, WhatWasCommittedSurvivesAnyLossOfPower) {
  for (std::int64_t round = 0; round < 30; ++round) {
    auto database = open();
    for (std::int64_t i = 0; i < 10; ++i) ASSERT_TRUE(insert(*database, round * 10 + i));
    // Dies now: nothing is written any more, not even what closing would write.
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kError; };
    database.reset();
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kGo; };
    disk_.lose_power(random_);
    database = open();
    EXPECT_EQ(count(*database), (round + 1) * 10);
  }
}

// Found by the simulation of asynchronous events: what one process had written and not synced was seen, and acted on,
// by the next one, and then lost with the power.
TEST_F(SimDiskTest, WhatWasSeenAfterACrashSurvivesALossOfPower) {
  const auto die = [&](std::unique_ptr<Database>& database) {
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kError; };
    database.reset();
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kGo; };
  };
  std::int64_t turned_up = 0;
  for (std::int64_t round = 0; round < 40; ++round) {
    auto database = open();
    const std::int64_t before = count(*database);
    disk_.before_change = [](std::string_view what) {
      return what == "sync" ? SimDisk::Answer::kError : SimDisk::Answer::kGo;
    };
    ASSERT_FALSE(insert(*database, round));
    die(database);
    database = open();
    const std::int64_t seen = count(*database);
    turned_up += seen - before;
    die(database);
    disk_.lose_power(random_);
    database = open();
    ASSERT_EQ(count(*database), seen);
    die(database);
  }
  EXPECT_GT(turned_up, 0);
}

TEST_F(SimDiskTest, WhatWasNotSyncedIsLostOrTornSometimes) {
  std::set<std::int64_t> left;
  for (int round = 0; round < 40; ++round) {
    const std::string path = fmt::format("/rows-{}.db", round);
    {
      ASSERT_TRUE(Database::open(loop_, path, kMigrations, {.threads = Threads::kLoop}));
    }
    auto opened =
        Database::open(loop_, path, kMigrations, {.durability = Durability::kEphemeral, .threads = Threads::kLoop});
    ASSERT_TRUE(opened);
    for (std::int64_t i = 0; i < 5; ++i) ASSERT_TRUE(insert(**opened, i));
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kError; };
    opened->reset();
    disk_.before_change = [](std::string_view) { return SimDisk::Answer::kGo; };
    disk_.lose_power(random_);
    auto again = Database::open(loop_, path, kMigrations, {.threads = Threads::kLoop});
    if (again) left.insert(count(**again));
  }
  EXPECT_GT(left.size(), 1u);
}

TEST_F(SimDiskTest, AFullDiskFailsCommitsUntilThereIsSpace) {
  auto database = open();
  ASSERT_TRUE(insert(*database, 1));
  disk_.before_change = [](std::string_view what) {
    return what == "write" ? SimDisk::Answer::kFull : SimDisk::Answer::kGo;
  };
  EXPECT_EQ(insert(*database, 2).error().code, Errc::kUnavailable);
  EXPECT_FALSE(database->healthy());
  EXPECT_EQ(count(*database), 1);
  disk_.before_change = [](std::string_view) { return SimDisk::Answer::kGo; };
  EXPECT_TRUE(insert(*database, 2));
  EXPECT_TRUE(database->healthy());
  EXPECT_EQ(count(*database), 2);
}

}  // namespace
}  // namespace lambdad::store
