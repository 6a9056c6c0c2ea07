/// The program that the crash test kills: eight writers commit numbered rows and print each number that was
/// acknowledged. LAMBDAD_FAULT says where it dies.
///
///   store_crash DIRECTORY FIRST_NUMBER LOSS SEED DURABILITY     LOSS: nothing everything some; DURABILITY: full
///   ephemeral
///
/// Prints "ack N" for an acknowledged row, "refused N" for one whose commit failed, and, when it comes to the end,
/// "point NAME COUNT" for every fault point passed. Ends with 0, or 3 when the store contradicts itself.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "store/blobs.h"
#include "store/database.h"
#include "store/power_loss_vfs_testing.h"
#include "system/fault.h"

namespace lambdad::store {
namespace {

constexpr int kWriters = 8;
constexpr int kRowsPerWriter = 12;
constexpr int kBlobEvery = 4;  // every so many rows name a blob

constexpr Migration kMigrations[] = {
    {1, "CREATE TABLE rows (number INTEGER PRIMARY KEY, body TEXT NOT NULL, blob TEXT);"},
    {2,
     "CREATE TABLE halves (number INTEGER NOT NULL REFERENCES rows (number), part INTEGER NOT NULL,"
     " PRIMARY KEY (number, part));"
     "CREATE INDEX halves_by_part ON halves (part);"},
};

// One write(2) per line: what was said cannot be lost with the process.
void say(const std::string& line) {
  LD_CHECK(::write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

[[noreturn]] void contradiction(const std::string& what) {
  std::fprintf(stderr, "store_crash: %s\n", what.c_str());
  std::_Exit(3);
}

// Three statements that only make sense together. A number that divides by 10 fails after the second.
Result<void> write_row(Transaction& tx, std::int64_t number, const std::string& blob) {
  Param name = blob.empty() ? Param{} : Param{blob};
  std::string body(static_cast<std::size_t>(200 + (number * 373) % 4000), static_cast<char>('a' + number % 26));
  LD_TRY_VOID(tx.execute("INSERT INTO rows (number, body, blob) VALUES (?, ?, ?)", {number, body, name}));
  LD_TRY_VOID(tx.execute("INSERT INTO halves (number, part) VALUES (?, ?)", {number, 1}));
  if (number % 10 == 0) return fail(Errc::kInvalid, "a row that must not be stored");
  LD_TRY_VOID(tx.execute("INSERT INTO halves (number, part) VALUES (?, ?)", {number, 2}));
  return {};
}

Async<void> writer(Database& db, Blobs& blobs, std::int64_t first, int index) {
  for (int i = 0; i < kRowsPerWriter; ++i) {
    std::int64_t number = first + i * kWriters + index;
    std::string blob;
    if (number % kBlobEvery == 0) {
      auto put = blobs.put(fmt::format("blob of {}", number));
      if (!put) {
        say(fmt::format("refused {}\n", number));
        continue;
      }
      blob = *put;
    }
    auto written = co_await db.write([number, blob](Transaction& tx) { return write_row(tx, number, blob); });
    if (!written) {
      if (number % 10 != 0 && written.error().code != Errc::kUnavailable) contradiction(written.error().detail);
      say(fmt::format("refused {}\n", number));
      continue;
    }
    say(fmt::format("ack {}\n", number));
    auto seen = co_await db.read([number](Transaction& tx) -> Result<int> {
      int parts = 0;
      LD_TRY_VOID(tx.query("SELECT part FROM halves WHERE number = ?", {number}, [&](const Row&) { ++parts; }));
      return parts;
    });
    if (!seen) contradiction(fmt::format("reading row {}: {}", number, seen.error().detail));
    if (*seen != 2) contradiction(fmt::format("row {} was acknowledged and has {} parts", number, *seen));
  }
}

int run(const std::string& directory, std::int64_t first, Durability durability) {
  Loop loop;
  RealFiles files;
  Blobs blobs(files, directory + "/blobs");
  Database::Options options;
  options.durability = durability;
  options.batch_max = 5;
  options.checkpoint_pages = 12;
  auto db = Database::open(loop, directory + "/rows.db", kMigrations, options);
  if (!db) {
    if (db.error().code != Errc::kUnavailable) contradiction(db.error().detail);
    return 0;
  }
  for (int i = 0; i < kWriters; ++i) asio::co_spawn(loop, writer(**db, blobs, first, i), asio::detached);
  loop.run();
  (*db)->close();
  for (const auto& [point, count] : fault::counts()) say(fmt::format("point {} {}\n", point, count));
  return 0;
}

}  // namespace
}  // namespace lambdad::store

int main(int argc, char** argv) {
  using namespace lambdad::store;
  if (argc != 6) return 2;
  std::string loss = argv[3];
  power_loss::install(loss == "everything" ? power_loss::Loss::kEverything
                      : loss == "some"     ? power_loss::Loss::kSome
                                           : power_loss::Loss::kNothing,
                      std::strtoull(argv[4], nullptr, 10));
  return run(argv[1], std::strtoll(argv[2], nullptr, 10),
             std::string(argv[5]) == "full" ? Durability::kFull : Durability::kEphemeral);
}
