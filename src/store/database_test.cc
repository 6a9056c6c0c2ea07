#include "store/database.h"

#include <atomic>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/test_support.h"
#include "system/fault.h"

namespace lambdad::store {
namespace {

constexpr Migration kMigrations[] = {
    {1, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB);"},
    {2,
     "CREATE TABLE parts (item INTEGER NOT NULL REFERENCES items (id), n INTEGER CHECK (n > 0)); "
     "CREATE INDEX parts_by_item ON parts (item);"},
};

class DatabaseTest : public ::testing::Test {
 protected:
  void open(Database::Options options = {}) {
    auto opened = Database::open(loop, file(), kMigrations, options);
    ASSERT_TRUE(opened) << opened.error().detail;
    db = std::move(*opened);
  }
  std::string file() const { return directory.file("test.db"); }

  static Result<std::int64_t> insert(Transaction& tx, const std::string& name) {
    LD_TRY_VOID(tx.execute("INSERT INTO items (name) VALUES (?)", {name}));
    return tx.last_insert_id();
  }
  auto insert_later(std::string name) {
    return db->write([name = std::move(name)](Transaction& tx) { return insert(tx, name); });
  }
  Result<std::vector<std::string>> names() {
    return await_result(loop, db->read([](Transaction& tx) -> Result<std::vector<std::string>> {
      std::vector<std::string> all;
      LD_TRY_VOID(
          tx.query("SELECT name FROM items ORDER BY id", {}, [&](const Row& row) { all.push_back(row.text(0)); }));
      return all;
    }));
  }
  // Starts `task` without waiting; its result is in `results` at `name` after the loop has run.
  void start(std::string name, Async<Result<std::int64_t>> task) {
    asio::co_spawn(
        loop,
        [](DatabaseTest& self, std::string key, Async<Result<std::int64_t>> inner) -> Async<void> {
          auto result = co_await std::move(inner);
          self.order.push_back(key);
          self.results.emplace(std::move(key), std::move(result));
        }(*this, std::move(name), std::move(task)),
        [](std::exception_ptr error) {
          if (error) std::rethrow_exception(error);
        });
  }
  void run_loop() {
    loop.restart();
    loop.run();
  }
  // Keeps the writer inside a piece of work, "holder", so that what is started next waits and forms one batch.
  void hold_writer() {
    start("holder", db->write([this](Transaction& tx) {
      held = true;
      held.notify_all();
      released.wait(false);
      return insert(tx, "holder");
    }));
    loop.restart();
    loop.poll();
    held.wait(false);
  }
  // Lets the writer go once everything started is in its queue.
  void release_writer() {
    loop.restart();
    loop.poll();
    released = true;
    released.notify_all();
  }

  TemporaryDirectory directory;
  Loop loop;
  std::map<std::string, Result<std::int64_t>> results;
  std::vector<std::string> order;
  std::atomic<bool> held = false;
  std::atomic<bool> released = false;
  std::unique_ptr<Database> db;
};

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(DatabaseTest, KeepsWhatWasWrittenAfterReopening) {
  open();
  ASSERT_TRUE(await_result(loop, insert_later("a")));
  db.reset();
  EXPECT_FALSE(std::filesystem::exists(file() + "-wal")) << "closing moves the WAL into the file";
  open();
  EXPECT_THAT(*names(), ElementsAre("a"));
}

TEST_F(DatabaseTest, BindsAndReadsEveryKindOfValue) {
  open();
  const std::string bytes("\0\xff'x", 4);
  auto written = await_result(loop, db->write([bytes](Transaction& tx) -> Result<std::int64_t> {
    LD_TRY_VOID(tx.execute("INSERT INTO items (id, name, body) VALUES (?, ?, ?)", {1, "null", {}}));
    LD_TRY_VOID(tx.execute("INSERT INTO items (id, name, body) VALUES (?, ?, ?)", {2, "blob", Blob{bytes}}));
    LD_TRY_VOID(tx.execute("INSERT INTO items (id, name, body) VALUES (?, ?, ?)", {3, "empty", Blob{}}));
    LD_TRY_VOID(tx.execute("INSERT INTO items (id, name, body) VALUES (?, ?, ?)", {INT64_MIN, bytes, INT64_MAX}));
    const std::string last = "z";
    std::vector<Param> params = {TextView{last}};
    LD_TRY_VOID(tx.execute("UPDATE items SET body = ? WHERE name = 'empty'", {BlobView{}}));
    return tx.execute("UPDATE items SET name = name || ?", params);
  }));
  ASSERT_TRUE(written) << written.error().detail;
  EXPECT_EQ(*written, 4);
  auto checked = await_result(loop, db->read([bytes](Transaction& tx) -> Result<int> {
    int row_index = 0;
    LD_TRY_VOID(tx.query("SELECT id, name, body FROM items ORDER BY id", {}, [&](const Row& row) {
      switch (row_index++) {
        case 0:
          EXPECT_EQ(row.integer(0), INT64_MIN);
          EXPECT_EQ(row.integer(2), INT64_MAX);
          break;
        case 1:
          EXPECT_EQ(row.text(1), "nullz");
          EXPECT_TRUE(row.is_null(2));
          EXPECT_EQ(row.text(2), "");
          break;
        case 2:
          EXPECT_EQ(row.text(2), bytes);
          EXPECT_EQ(row.view(2), bytes);
          break;
        case 3:
          EXPECT_FALSE(row.is_null(2));
          EXPECT_EQ(row.text(2), "");
          break;
      }
    }));
    return row_index;
  }));
  EXPECT_EQ(checked.value(), 4);
}

TEST_F(DatabaseTest, CommitsWaitingWorkTogetherAndReportsInOrder) {
  open();
  for (int i = 0; i < 40; ++i) start(fmt::format("n{:02}", i), insert_later(fmt::format("n{:02}", i)));
  run_loop();
  ASSERT_EQ(results.size(), 40u);
  for (auto& [name, result] : results) EXPECT_TRUE(result) << name;
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(db->stats().works, 40u);
  EXPECT_EQ(names()->size(), 40u);
}

TEST_F(DatabaseTest, NeverPutsMoreThanBatchMaxInOneCommit) {
  open({.batch_max = 4});
  for (int i = 0; i < 10; ++i) start(fmt::format("n{}", i), insert_later(fmt::format("n{}", i)));
  run_loop();
  EXPECT_GE(db->stats().commits, 3u);
  EXPECT_EQ(names()->size(), 10u);
}

TEST_F(DatabaseTest, AnErrorRollsBackOnlyItsOwnPiece) {
  open();
  hold_writer();
  start("good", insert_later("good"));
  start("bad", db->write([](Transaction& tx) -> Result<std::int64_t> {
    LD_TRY_VOID(insert(tx, "half"));
    return fail(Errc::kThrottled, "changed my mind");
  }));
  start("conflict", db->write([](Transaction& tx) -> Result<std::int64_t> {
    LD_TRY_VOID(insert(tx, "other half"));
    return insert(tx, "good");
  }));
  start("last", insert_later("last"));
  release_writer();
  run_loop();
  EXPECT_TRUE(results.at("holder"));
  EXPECT_TRUE(results.at("good"));
  EXPECT_TRUE(results.at("last"));
  EXPECT_EQ(results.at("bad").error().code, Errc::kThrottled);
  EXPECT_EQ(results.at("conflict").error().code, Errc::kConflict);
  EXPECT_THAT(*names(), ElementsAre("holder", "good", "last"));
  EXPECT_EQ(db->stats().commits, 2u) << "the pieces did not share a batch";
  EXPECT_TRUE(db->healthy());
}

TEST_F(DatabaseTest, AnErrorOfUnguardedWorkFailsItsBatch) {
  open();
  hold_writer();
  start("guarded", insert_later("guarded"));
  std::vector<std::string> reports;
  const auto report = [&reports](Result<std::int64_t> result) {
    reports.push_back(result ? "stored" : std::string(to_string(result.error().code)));
  };
  db->write([](Transaction& tx) { return insert(tx, "unguarded"); }, OnError::kUndoBatch, report);
  db->write([](Transaction&) -> Result<std::int64_t> { return fail(Errc::kThrottled, "changed my mind"); },
            OnError::kUndoBatch, report);
  release_writer();
  run_loop();
  EXPECT_EQ(results.at("guarded").error().code, Errc::kThrottled);
  EXPECT_EQ(reports, std::vector<std::string>(2, std::string(to_string(Errc::kThrottled))));
  EXPECT_THAT(*names(), ElementsAre("holder"));
  EXPECT_TRUE(db->healthy()) << "the disk has nothing to do with it";
  db->write([](Transaction& tx) { return insert(tx, "next"); }, OnError::kUndoBatch, report);
  run_loop();
  EXPECT_EQ(reports.back(), "stored");
  EXPECT_THAT(*names(), ElementsAre("holder", "next"));
}

TEST_F(DatabaseTest, ALonePieceIsRolledBackByItsError) {
  open();
  auto result = await_result(loop, db->write([](Transaction& tx) -> Result<int> {
    LD_TRY_VOID(insert(tx, "half"));
    return fail(Errc::kInvalid, "no");
  }));
  EXPECT_EQ(result.error().code, Errc::kInvalid);
  EXPECT_TRUE(names()->empty());
  EXPECT_TRUE(await_result(loop, insert_later("next")));
}

TEST_F(DatabaseTest, NamesConstraintAndStatementErrors) {
  open();
  auto attempt = [&](std::string sql, std::vector<Param> params = {}) {
    auto result = await_result(loop, db->write([sql, params](Transaction& tx) { return tx.execute(sql, params); }));
    return result ? std::optional<Errc>{} : result.error().code;
  };
  EXPECT_EQ(attempt("INSERT INTO items (id, name) VALUES (1, 'a')"), std::nullopt);
  EXPECT_EQ(attempt("INSERT INTO items (id, name) VALUES (1, 'b')"), Errc::kConflict);
  EXPECT_EQ(attempt("INSERT INTO items (id, name) VALUES (2, 'a')"), Errc::kConflict);
  EXPECT_EQ(attempt("INSERT INTO items (id, name) VALUES (2, NULL)"), Errc::kInvalid);
  EXPECT_EQ(attempt("INSERT INTO parts (item, n) VALUES (99, 1)"), Errc::kInvalid) << "foreign keys must be on";
  EXPECT_EQ(attempt("INSERT INTO parts (item, n) VALUES (1, 0)"), Errc::kInvalid);
  EXPECT_EQ(attempt("INSERT INTO nowhere VALUES (1)"), Errc::kInternal);
  EXPECT_EQ(attempt("INSERT INTO items (id, name) VALUES (?, ?)", {5}), Errc::kInternal) << "a parameter is missing";
  EXPECT_EQ(attempt("DELETE FROM parts; DELETE FROM items"), Errc::kInternal) << "only one statement at a time";
  EXPECT_EQ(attempt("INSERT INTO items (name) VALUES (\"a\")"), Errc::kInternal) << "double quotes are for names";
  EXPECT_TRUE(db->healthy());
  EXPECT_EQ(names()->size(), 1u);
}

TEST_F(DatabaseTest, APieceThatEndsTheTransactionFailsItsBatch) {
  open();
  auto result = await_result(loop, db->write([](Transaction& tx) -> Result<int> {
    LD_TRY_VOID(tx.execute("COMMIT"));
    return 1;
  }));
  EXPECT_EQ(result.error().code, Errc::kInternal);
  EXPECT_TRUE(await_result(loop, insert_later("next")));
}

TEST_F(DatabaseTest, TheSameStatementMayRunInsideItsOwnRows) {
  open();
  auto result = await_result(loop, db->write([](Transaction& tx) -> Result<std::int64_t> {
    LD_TRY_VOID(insert(tx, "a"));
    LD_TRY_VOID(insert(tx, "b"));
    std::int64_t pairs = 0;
    const auto sql = "SELECT name FROM items";
    LD_TRY_VOID(tx.query(sql, {}, [&](const Row&) { EXPECT_TRUE(tx.query(sql, {}, [&](const Row&) { ++pairs; })); }));
    return pairs;
  }));
  EXPECT_EQ(result.value(), 4);
}

TEST_F(DatabaseTest, ReadsSeeWhatWasAcknowledgedBefore) {
  open();
  auto all_seen = [](Database& database) -> Async<bool> {
    for (std::int64_t i = 1; i <= 50; ++i) {
      auto written = co_await database.write([i](Transaction& tx) { return insert(tx, fmt::format("n{}", i)); });
      if (!written) co_return false;
      auto count = co_await database.read([](Transaction& tx) -> Result<std::int64_t> {
        std::int64_t n = 0;
        LD_TRY_VOID(tx.query("SELECT count(*) FROM items", {}, [&](const Row& row) { n = row.integer(0); }));
        return n;
      });
      if (!count || *count != i) co_return false;
    }
    co_return true;
  };
  EXPECT_TRUE(await_result(loop, all_seen(*db)));
}

TEST_F(DatabaseTest, AReadCannotWrite) {
  open();
  auto result = await_result(loop, db->read([](Transaction& tx) { return insert(tx, "a"); }));
  EXPECT_FALSE(result);
  EXPECT_TRUE(db->healthy());
  EXPECT_TRUE(names()->empty());
}

TEST_F(DatabaseTest, CloseFinishesQueuedWorkAndRefusesMore) {
  open({.batch_max = 6});
  hold_writer();
  for (int i = 0; i < 20; ++i) start(fmt::format("n{}", i), insert_later(fmt::format("n{}", i)));
  release_writer();
  db->close();
  start("late", insert_later("late"));
  run_loop();
  ASSERT_EQ(results.size(), 22u);
  EXPECT_EQ(results.at("late").error().code, Errc::kClosed);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(results.at(fmt::format("n{}", i)));
  open();
  EXPECT_EQ(names()->size(), 21u);
}

TEST_F(DatabaseTest, ResultsArriveEvenWhenTheDatabaseIsGone) {
  open();
  hold_writer();
  release_writer();
  db.reset();
  run_loop();
  EXPECT_TRUE(results.at("holder"));
}

TEST_F(DatabaseTest, CapturesOfWorkAreDestroyedOnTheLoop) {
  open();
  struct Probe {
    std::thread::id* where;
    ~Probe() { *where = std::this_thread::get_id(); }
  };
  std::thread::id destroyed_on;
  std::thread::id ran_on;
  auto work = [probe = std::make_shared<Probe>(&destroyed_on), &ran_on](Transaction&) -> Result<int> {
    ran_on = std::this_thread::get_id();
    return 1;
  };
  ASSERT_TRUE(await_result(loop, db->write(std::move(work))));
  EXPECT_EQ(destroyed_on, std::this_thread::get_id());
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST_F(DatabaseTest, ACancelledCallerLeavesTheWorkDone) {
  open();
  std::atomic<bool> go = false;
  TaskGroup group(loop);
  bool cancelled = false;
  auto task = [](Database& database, std::atomic<bool>& release, bool& flag) -> Async<void> {
    try {
      (void)co_await database.write([&release](Transaction& tx) {
        release.wait(false);
        return insert(tx, "a");
      });
    } catch (const std::exception&) {
      flag = true;
      throw;
    }
  };
  group.spawn("writer", task(*db, go, cancelled));
  loop.restart();
  loop.poll();
  asio::co_spawn(loop, group.stop(), [&](std::exception_ptr) {
    go = true;
    go.notify_all();
  });
  run_loop();
  EXPECT_TRUE(cancelled);
  EXPECT_THAT(*names(), ElementsAre("a"));
}

TEST_F(DatabaseTest, RefusesWorkAboveItsBound) {
  open({.under_way_max = 3});
  hold_writer();
  for (int i = 0; i < 4; ++i) start(fmt::format("n{}", i), insert_later(fmt::format("n{}", i)));
  release_writer();
  run_loop();
  EXPECT_TRUE(results.at("n0"));
  EXPECT_TRUE(results.at("n1"));
  EXPECT_EQ(results.at("n2").error().code, Errc::kUnavailable);
  EXPECT_EQ(results.at("n3").error().code, Errc::kUnavailable);
  EXPECT_TRUE(await_result(loop, insert_later("after")));
}

TEST_F(DatabaseTest, IsOffloadedWorkUntilTheLastReport) {
  open();
  Offloaded offloaded(loop);
  hold_writer();
  start("a", insert_later("a"));
  loop.poll();
  EXPECT_EQ(offloaded.count(), 1u);
  release_writer();
  run_loop();
  EXPECT_TRUE(results.at("a"));
  EXPECT_EQ(offloaded.count(), 0u);
}

TEST_F(DatabaseTest, RunNowCommitsBeforeTheLoopRuns) {
  open();
  ASSERT_TRUE(db->run_now([](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(insert(tx, "a"));
    return {};
  }));
  auto failed = db->run_now([](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(insert(tx, "b"));
    return fail(Errc::kInvalid, "no");
  });
  EXPECT_EQ(failed.error().code, Errc::kInvalid);
  EXPECT_THAT(*names(), ElementsAre("a"));
}

// --- failing disks --------------------------------------------------------------------------------------------------

constexpr Duration kNever = std::chrono::hours(10);

TEST_F(DatabaseTest, AFailedCommitFailsItsBatchAndTheNextOneHeals) {
  open({.probe_interval = kNever});
  for (const char* point : {"store.after_begin", "store.after_work", "store.before_commit"}) {
    SCOPED_TRACE(point);
    {
      fault::Armed armed(fmt::format("{}:1:fail", point));
      auto result = await_result(loop, insert_later("lost"));
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Errc::kUnavailable);
      EXPECT_FALSE(db->healthy());
      EXPECT_TRUE(names()->empty()) << "reading goes on, and nothing of the batch is there";
    }
    ASSERT_TRUE(await_result(loop, insert_later("kept")));
    EXPECT_TRUE(db->healthy());
    ASSERT_TRUE(await_result(loop, db->write([](Transaction& tx) { return tx.execute("DELETE FROM items"); })));
  }
  EXPECT_EQ(db->stats().failures, 3u);
}

TEST_F(DatabaseTest, AFailureOfTheDiskInOnePieceFailsAllOfItsBatchWhateverTheyReturn) {
  open({.probe_interval = kNever});
  fault::Armed armed("store.after_work:3:fail");
  hold_writer();
  for (const char* name : {"a", "b", "c"}) start(name, insert_later(name));
  release_writer();
  run_loop();
  EXPECT_TRUE(results.at("holder"));
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_FALSE(results.at(name)) << name;
    EXPECT_EQ(results.at(name).error().code, Errc::kUnavailable);
  }
  EXPECT_THAT(*names(), ElementsAre("holder"));
}

TEST_F(DatabaseTest, AFullDiskRefusesUntilThereIsSpace) {
  open({.probe_interval = kNever});
  ASSERT_TRUE(await_result(loop, insert_later("before")));
  auto limit = [&](std::int64_t pages) {
    return await_result(loop, db->write([pages](Transaction& tx) -> Result<int> {
      LD_TRY_VOID(tx.query(fmt::format("PRAGMA max_page_count={}", pages), {}, [](const Row&) {}));
      return 0;
    }));
  };
  auto insert_big = [](Transaction& tx, const std::string& name) -> Result<std::int64_t> {
    return tx.execute("INSERT INTO items (name, body) VALUES (?, ?)", {name, Blob{std::string(100000, 'x')}});
  };
  ASSERT_TRUE(limit(10));
  // Together with a small one: the batch is one, and so is its failure.
  hold_writer();
  start("small", insert_later("small"));
  start("big", db->write([insert_big](Transaction& tx) { return insert_big(tx, "big"); }));
  release_writer();
  run_loop();
  EXPECT_FALSE(results.at("small"));
  ASSERT_FALSE(results.at("big"));
  EXPECT_EQ(results.at("big").error().code, Errc::kUnavailable);
  EXPECT_THAT(results.at("big").error().detail, HasSubstr("full"));
  EXPECT_FALSE(db->healthy());
  EXPECT_THAT(*names(), ElementsAre("before", "holder"));
  // Also when the work itself ignores the error.
  auto ignoring = await_result(loop, db->write([insert_big](Transaction& tx) -> Result<int> {
    (void)insert_big(tx, "big");
    return 1;
  }));
  EXPECT_FALSE(ignoring);
  ASSERT_TRUE(limit(100000));
  EXPECT_FALSE(db->healthy()) << "a commit that writes nothing proves nothing";
  EXPECT_TRUE(await_result(loop, db->write([insert_big](Transaction& tx) { return insert_big(tx, "big"); })));
  EXPECT_TRUE(db->healthy());
  EXPECT_THAT(*names(), ElementsAre("before", "holder", "big"));
}

TEST_F(DatabaseTest, HealsByItselfWhileNobodyWrites) {
  open({.probe_interval = std::chrono::milliseconds(1)});
  fault::Armed armed("store.before_commit:1:fail,store.before_commit:2:fail,store.before_commit:3:fail");
  EXPECT_FALSE(await_result(loop, insert_later("lost")));
  while (!db->healthy()) std::this_thread::yield();
  EXPECT_EQ(fault::counts()["store.before_commit"], 4u) << "one commit and three probes";
}

TEST_F(DatabaseTest, ADamagedFileIsCorruptAndStaysUnhealthy) {
  open();
  ASSERT_TRUE(await_result(loop, db->write([](Transaction& tx) -> Result<int> {
    for (int i = 0; i < 200; ++i) {
      LD_TRY_VOID(tx.execute("INSERT INTO items (name, body) VALUES (?, ?)",
                             {fmt::format("n{}", i), Blob{std::string(2000, 'x')}}));
    }
    return 0;
  })));
  db.reset();
  {
    std::fstream bytes(file(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(2 * 4096);
    bytes << std::string(60 * 4096, '\x55');
  }
  open({.probe_interval = std::chrono::milliseconds(1)});
  auto result =
      await_result(loop, db->write([](Transaction& tx) { return tx.execute("UPDATE items SET body = NULL"); }));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kCorrupt);
  EXPECT_FALSE(db->healthy());
  auto read = names();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kCorrupt);
}

// --- opening --------------------------------------------------------------------------------------------------------

TEST_F(DatabaseTest, AppliesOnlyMissingMigrations) {
  {
    auto old = Database::open(loop, file(), std::span(kMigrations).first(1), {});
    ASSERT_TRUE(old);
    ASSERT_TRUE((*old)->run_now([](Transaction& tx) -> Result<void> {
      LD_TRY_VOID(insert(tx, "old"));
      return {};
    }));
  }
  open();
  EXPECT_THAT(*names(), ElementsAre("old"));
  EXPECT_TRUE(
      await_result(loop, db->write([](Transaction& tx) { return tx.execute("INSERT INTO parts VALUES (1, 1)"); })));
}

TEST_F(DatabaseTest, RefusesAFileOfANewerVersion) {
  open();
  db.reset();
  auto older = Database::open(loop, file(), std::span(kMigrations).first(1), {});
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, Errc::kCorrupt);
  EXPECT_THAT(older.error().detail, HasSubstr("version 2"));
  EXPECT_THAT(older.error().detail, HasSubstr("newer lambdad"));
}

TEST_F(DatabaseTest, AFailedMigrationLeavesTheVersionBefore) {
  {
    const Migration broken[] = {kMigrations[0], {2, "CREATE TABLE parts (x); CREATE TABLE parts (y);"}};
    auto opened = Database::open(loop, file(), broken, {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::kInternal);
    EXPECT_THAT(opened.error().detail, HasSubstr("migrating from version 0 to 2"));
  }
  open();  // version 2 applies cleanly: nothing of the broken one stayed
}

TEST_F(DatabaseTest, RefusesFilesThatAreNotOurs) {
  {
    std::ofstream text(file());
    text << std::string(5000, 'x');
  }
  auto opened = Database::open(loop, file(), kMigrations, {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);

  auto foreign = directory.file("foreign.db");
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(foreign.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "CREATE TABLE theirs (x)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  auto before = std::filesystem::last_write_time(foreign);
  opened = Database::open(loop, foreign, kMigrations, {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  EXPECT_THAT(opened.error().detail, HasSubstr("another program"));
  EXPECT_EQ(std::filesystem::last_write_time(foreign), before) << "it must stay as it is";
}

TEST_F(DatabaseTest, OpeningInAMissingDirectoryIsUnavailable) {
  auto opened = Database::open(loop, directory.file("no/such/test.db"), kMigrations, {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kUnavailable);
}

TEST_F(DatabaseTest, CheckpointsOnlyAfterTheWalHasGrown) {
  open({.checkpoint_pages = 20});
  ASSERT_TRUE(await_result(loop, insert_later("small")));
  EXPECT_EQ(db->stats().checkpoints, 0u);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(await_result(loop, insert_later(fmt::format("{}{:05000}", i, 0))));
  // The next commit starts after the checkpoint that followed the one before.
  EXPECT_GE(db->stats().checkpoints, 1u);
}

}  // namespace
}  // namespace lambdad::store
