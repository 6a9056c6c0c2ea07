/// Kills a process that writes (store_crash_main.cc) at every fault point it passes, and looks at what it left.
///
/// Whatever happens: an acknowledged row is there with both its halves and its blob; no row is there in part; a row
/// whose work failed is not there; the file is sound, and the next process can go on with it.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/blobs.h"
#include "store/test_support.h"

namespace lambdad::store {
namespace {

struct Outcome {
  bool killed = false;
  int status = -1;  // of an exit
  std::set<std::int64_t> acknowledged;
  std::map<std::string, std::uint64_t> points;
};

struct Run {
  std::string fault;
  std::string loss = "nothing";
  std::uint64_t seed = 1;
  std::string durability = "full";
};

std::int64_t number_of(std::string_view text) {
  std::int64_t number = -1;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  LD_CHECK(code == std::errc{} && end == text.data() + text.size(), "'{}' is no number", text);
  return number;
}

// Reads what the child said; a line it could not finish was not said.
Outcome parse(const std::string& said) {
  Outcome outcome;
  std::string_view rest = said;
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (line.starts_with("ack ")) outcome.acknowledged.insert(number_of(line.substr(4)));
    if (line.starts_with("point ")) {
      auto space = line.rfind(' ');
      outcome.points[std::string(line.substr(6, space - 6))] =
          static_cast<std::uint64_t>(number_of(line.substr(space + 1)));
    }
  }
  return outcome;
}

Outcome run_child(const std::string& directory, std::int64_t first, const Run& run) {
  int out[2];
  LD_CHECK(::pipe2(out, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::vector<std::string> arguments = {STORE_CRASH_PROGRAM,      directory,     std::to_string(first), run.loss,
                                        std::to_string(run.seed), run.durability};
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string environment = "LAMBDAD_FAULT=" + run.fault;
  char* envp[] = {environment.data(), nullptr};
  pid_t child = -1;
  int code = ::posix_spawn(&child, STORE_CRASH_PROGRAM, &actions, nullptr, argv.data(), envp);
  posix_spawn_file_actions_destroy(&actions);
  LD_CHECK(code == 0, "cannot start {}: {}", STORE_CRASH_PROGRAM, std::strerror(code));
  ::close(out[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t got; (got = ::read(out[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(got));
  ::close(out[0]);
  int status = 0;
  LD_CHECK(::waitpid(child, &status, 0) == child);
  Outcome outcome = parse(said);
  outcome.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  return outcome;
}

std::vector<std::string> rows_of(sqlite3* db, const std::string& sql) {
  std::vector<std::string> rows;
  sqlite3_stmt* statement = nullptr;
  LD_CHECK(sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK, "{}", sqlite3_errmsg(db));
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    rows.emplace_back(text == nullptr ? "" : text);
  }
  if (code != SQLITE_DONE) rows.push_back(fmt::format("error {}: {}", code, sqlite3_errmsg(db)));
  sqlite3_finalize(statement);
  return rows;
}

// Everything that is wrong with what a process left, one line each; empty is good.
std::vector<std::string> flaws_of(const std::string& directory, const std::set<std::int64_t>& acknowledged) {
  std::vector<std::string> flaws;
  const std::string path = directory + "/rows.db";
  if (!std::filesystem::exists(path)) {
    if (!acknowledged.empty()) flaws.push_back("there is no file");
    return flaws;
  }
  sqlite3* db = nullptr;
  LD_CHECK(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  for (auto& line : rows_of(db, "PRAGMA integrity_check")) {
    if (line != "ok") flaws.push_back("integrity: " + line);
  }
  for (auto& line : rows_of(db, "PRAGMA foreign_key_check")) flaws.push_back("foreign key: " + line);
  std::set<std::int64_t> stored;
  bool has_tables = rows_of(db, "SELECT name FROM sqlite_master WHERE name IN ('rows', 'halves')").size() == 2;
  if (has_tables) {
    for (auto& number : rows_of(db, "SELECT number FROM rows")) stored.insert(number_of(number));
    for (auto& number : rows_of(db,
                                "SELECT number FROM rows r WHERE 3 <> (SELECT coalesce(sum(part), 0) FROM halves h"
                                " WHERE h.number = r.number)")) {
      flaws.push_back(fmt::format("row {} is there in part", number));
    }
    for (auto& number : rows_of(db, "SELECT number FROM rows WHERE number % 10 = 0")) {
      flaws.push_back(fmt::format("row {} was rolled back and is there", number));
    }
    RealFiles files;
    Blobs blobs(files, directory + "/blobs");
    for (auto& name : rows_of(db, "SELECT blob FROM rows WHERE blob IS NOT NULL")) {
      if (auto blob = blobs.get(name); !blob) flaws.push_back(fmt::format("blob: {}", blob.error().detail));
    }
  }
  for (std::int64_t number : acknowledged) {
    if (!stored.contains(number)) flaws.push_back(fmt::format("row {} was acknowledged and is lost", number));
  }
  sqlite3_close(db);
  return flaws;
}

std::string joined(const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

// The points a run without faults passes, with how often.
std::map<std::string, std::uint64_t> all_points() {
  TemporaryDirectory directory;
  auto outcome = run_child(directory.path(), 1, {.fault = "count"});
  LD_CHECK(outcome.status == 0, "a run without faults ended with {}", outcome.status);
  return outcome.points;
}

// The beginning, the middle and the end of a run. The last may not be reached: batches form differently each time.
std::set<std::uint64_t> counts_to_try(std::uint64_t passed) { return {1, (passed + 1) / 2, passed}; }

class Crash : public ::testing::TestWithParam<const char*> {};

TEST_P(Crash, AtAnyPointLosesNothingThatWasAcknowledged) {
  const std::string loss = GetParam();
  auto points = all_points();
  for (const char* known : {"store.after_begin", "store.after_work", "store.before_commit", "store.after_commit",
                            "store.before_report", "store.before_checkpoint", "store.after_checkpoint",
                            "store.before_migration_commit", "store.after_migration_commit", "blobs.before_write",
                            "blobs.after_write", "vfs.write", "vfs.sync", "vfs.after_sync"}) {
    EXPECT_TRUE(points.contains(known)) << known << " is never passed";
  }
  std::uint64_t seed = 1;
  std::size_t acknowledged = 0;
  for (const auto& [point, passed] : points) {
    for (std::uint64_t count : counts_to_try(passed)) {
      const std::string fault = fmt::format("{}:{}:kill", point, count);
      SCOPED_TRACE(fmt::format("LAMBDAD_FAULT={} store_crash DIR 1 {} {} full", fault, loss, ++seed));
      TemporaryDirectory directory;
      auto first = run_child(directory.path(), 1, {.fault = fault, .loss = loss, .seed = seed});
      ASSERT_TRUE(first.killed || first.status == 0) << "exit status " << first.status;
      if (count == 1) EXPECT_TRUE(first.killed) << "the point was not reached";
      auto known = first.acknowledged;
      // The next process recovers, and dies too: while it recovers, or in its own work.
      auto second = run_child(directory.path(), 1001, {.fault = fault, .loss = loss, .seed = seed + 1000});
      ASSERT_TRUE(second.killed || second.status == 0) << "exit status " << second.status;
      known.merge(second.acknowledged);
      EXPECT_EQ(joined(flaws_of(directory.path(), known)), "");
      auto third = run_child(directory.path(), 2001, {.fault = "count"});
      ASSERT_EQ(third.status, 0);
      EXPECT_EQ(third.acknowledged.size(), 96u - 9u) << "the third process could not do its work";
      known.merge(third.acknowledged);
      EXPECT_EQ(joined(flaws_of(directory.path(), known)), "");
      acknowledged += known.size();
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(acknowledged, 1000u);
}

INSTANTIATE_TEST_SUITE_P(Loss, Crash, ::testing::Values("nothing", "everything", "some"));

TEST(DiskErrors, AtAnyPointLoseNothingThatWasAcknowledged) {
  for (const auto& [point, passed] : all_points()) {
    for (std::uint64_t count : counts_to_try(passed)) {
      const std::string fault = fmt::format("{}:{}:fail", point, count);
      SCOPED_TRACE("LAMBDAD_FAULT=" + fault);
      TemporaryDirectory directory;
      auto outcome = run_child(directory.path(), 1, {.fault = fault});
      ASSERT_EQ(outcome.status, 0);
      EXPECT_EQ(joined(flaws_of(directory.path(), outcome.acknowledged)), "");
      auto next = run_child(directory.path(), 1001, {.fault = "count"});
      ASSERT_EQ(next.status, 0);
      EXPECT_EQ(next.acknowledged.size(), 96u - 9u);
      if (HasFailure()) return;
    }
  }
}

// The check itself: without syncs a power cut must lose rows, and this must be seen.
TEST(CrashCheck, NoticesLostRows) {
  TemporaryDirectory directory;
  auto outcome = run_child(directory.path(), 1,
                           {.fault = "store.before_report:15:kill", .loss = "everything", .durability = "ephemeral"});
  ASSERT_TRUE(outcome.killed);
  ASSERT_FALSE(outcome.acknowledged.empty());
  EXPECT_NE(joined(flaws_of(directory.path(), outcome.acknowledged)), "");
}

TEST(CrashCheck, WithoutPowerLossEvenUnsyncedRowsSurviveTheProcess) {
  TemporaryDirectory directory;
  auto outcome = run_child(directory.path(), 1, {.fault = "store.before_report:15:kill", .durability = "ephemeral"});
  ASSERT_TRUE(outcome.killed);
  ASSERT_FALSE(outcome.acknowledged.empty());
  EXPECT_EQ(joined(flaws_of(directory.path(), outcome.acknowledged)), "");
}

}  // namespace
}  // namespace lambdad::store
