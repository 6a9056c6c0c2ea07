#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "system/async.h"

namespace lambdad::store {

class Connection;

/// A value bound to a statement or read from a column. Text and blob are both bytes; `Blob` marks what is no text.
/// The views spare a copy where what they refer to lives until the statement has run.
struct Blob {
  std::string bytes;
};
struct TextView {
  std::string_view text;
};
struct BlobView {
  std::string_view bytes;
};
using Param = std::variant<std::monostate, std::int64_t, std::string, Blob, TextView, BlobView>;

/// One row of a result; columns by position, counted from 0. Valid inside the callback it is given to.
class Row {
 public:
  std::int64_t integer(int column) const;
  std::string text(int column) const;       ///< also for blobs
  std::string_view view(int column) const;  ///< the same without a copy; valid until the callback returns
  bool is_null(int column) const;

 private:
  friend class Connection;
  explicit Row(void* statement) : statement_(statement) {}
  void* statement_;
};

/// Statements inside one transaction. Lives on the database's writer (or reader) thread for the length of the work
/// function; blocking calls. Statements are prepared once per database and text, so the text must not contain values.
///
/// Errors: kConflict for a uniqueness violation, kInvalid for any other constraint, kTooLarge, kInternal for wrong SQL.
/// kUnavailable (disk full, I/O error) and kCorrupt end the whole transaction: every later call and the work itself
/// fail, whatever the work function returns.
class Transaction {
 public:
  /// INSERT, UPDATE, DELETE. Returns the number of rows changed.
  Result<std::int64_t> execute(std::string_view sql, std::span<const Param> params = {});
  Result<std::int64_t> execute(std::string_view sql, std::initializer_list<Param> params) {
    return execute(sql, std::span<const Param>(params.begin(), params.size()));
  }
  /// Calls `each` per row; also for INSERT ... RETURNING. `each` may use the transaction.
  Result<void> query(std::string_view sql, std::span<const Param> params, const std::function<void(const Row&)>& each);
  Result<void> query(std::string_view sql, std::initializer_list<Param> params,
                     const std::function<void(const Row&)>& each) {
    return query(sql, std::span<const Param>(params.begin(), params.size()), each);
  }
  /// Of the last INSERT on this connection. SQLite only: new code says RETURNING.
  std::int64_t last_insert_id() const;

 private:
  friend class Database;
  explicit Transaction(Connection& connection) : connection_(connection) {}
  Connection& connection_;
};

struct Migration {
  int version;           ///< 1, 2, ... without gaps
  std::string_view sql;  ///< statements separated by semicolons; append-only once released
};

enum class Durability {
  kFull,       ///< synchronous=FULL: a commit survives power loss
  kEphemeral,  ///< synchronous=OFF, for --ephemeral
};

/// What an error of a piece of work undoes. kPiece costs a savepoint; kBatch is for work that breaks no constraint, so
/// that it fails only where the whole batch fails anyway: every piece of the batch gets its error then.
enum class OnError { kUndoPiece, kUndoBatch };

/// Where work runs. kLoop is for simulations: on later turns of the loop, in an order that is the same every time;
/// nothing probes a disk that failed but the next write.
enum class Threads { kOwn, kLoop };

/// One SQLite file (WAL) with one writer thread and one reader thread.
///
/// Group commit: the writer takes everything that is waiting, runs each piece of work in a savepoint of one shared
/// transaction, commits once, then reports to all with one post to the loop. It never waits for company: a lone piece
/// is committed at once, and what arrives meanwhile is the next batch. A piece whose work returns an error is rolled
/// back alone. While COMMIT or a statement fails for the disk's sake (full disk, I/O error) every piece of the batch
/// fails with kUnavailable (kCorrupt when the file is damaged) and nothing of it is visible. As with any database, a
/// commit whose sync failed may turn up after all when the process dies before the next commit: kUnavailable means "not
/// promised", and whoever repeats the work must be able to meet its own rows.
///
/// The single writer connection is also the only one that checkpoints: SQLite before 3.51.3 can corrupt a WAL that two
/// connections write and checkpoint at once. It does so after reporting, so that nobody waits for it.
///
/// Work functions run on the writer thread: they must own what they use (capture by value) and must not touch state
/// of the loop. They are made, and with their captures destroyed, on the loop. They must not throw, and run once.
/// Results come back on the loop, after COMMIT, in the order the work was given. A caller that is cancelled while it
/// waits does not learn the outcome; the work is done nevertheless.
///
/// Threading: all calls from the loop. While work is under way the loop does not run out and virtual time stands still.
/// End: close() finishes queued work and blocks until that is on disk; the waiting callers learn of it when the loop
/// runs next. The destructor calls it. The loop outlives the database.
class Database {
 public:
  struct Options {
    Durability durability = Durability::kFull;
    Threads threads = Threads::kOwn;
    std::size_t batch_max = 512;            ///< pieces of work per commit
    std::size_t under_way_max = 65536;      ///< pieces given and not yet reported; more fail with kUnavailable
    std::uint32_t checkpoint_pages = 1000;  ///< WAL length (4 KiB pages) that asks for a checkpoint
    /// While commits fail and nobody writes: how long until the writer tries one of its own, which makes healthy() true
    /// again once there is space.
    Duration probe_interval = std::chrono::seconds(1);
    /// The writer gives way to whatever else wants a core: for data that nobody waits for, written in large pieces.
    bool gives_way = false;
  };
  /// Creates the file when absent (its directory must exist) and applies the migrations above its recorded version, in
  /// one transaction. What an earlier process wrote and did not live to sync is durable before anybody can see it.
  /// kCorrupt when the file was written by a newer lambdad or is no database of ours; kUnavailable for I/O errors and
  /// when another process holds the file; kInternal when a migration is wrong. Blocks.
  static Result<std::unique_ptr<Database>> open(Loop& loop, std::string path, std::span<const Migration> migrations,
                                                Options options);
  ~Database();

  /// Runs `work` on the writer thread; its result arrives after COMMIT. `work` is callable as Result<T>(Transaction&).
  /// Besides the work's own errors: kUnavailable and kCorrupt as said above, kClosed after close().
  template <class F>
  auto write(F work, OnError on_error = OnError::kUndoPiece) -> Async<std::invoke_result_t<F&, Transaction&>> {
    return submit<std::invoke_result_t<F&, Transaction&>>(Kind::kWrite, on_error, std::move(work));
  }
  /// The same without a coroutine: calls `done(Result<T>)` on the loop, inside this call when nothing can be written.
  /// For steps that change memory after the commit and must not be lost when their caller is cancelled.
  template <class F, class Done>
  void write(F work, OnError on_error, Done done) {
    using R = std::invoke_result_t<F&, Transaction&>;
    auto task = std::make_unique<Task<R, F, Done>>(std::move(work), std::move(done));
    task->on_error = on_error;
    enqueue(Kind::kWrite, std::move(task));
  }
  /// Runs `work` on the reader thread in a read transaction: sees everything acknowledged before the call.
  template <class F>
  auto read(F work) -> Async<std::invoke_result_t<F&, Transaction&>> {
    return submit<std::invoke_result_t<F&, Transaction&>>(Kind::kRead, OnError::kUndoPiece, std::move(work));
  }
  /// `work` on the calling thread, on the writer connection, committed when this returns. For start-up: it blocks.
  Result<void> run_now(const std::function<Result<void>(Transaction&)>& work);

  /// False after a commit failed for lack of space or an I/O error, until one succeeds again. From any thread.
  bool healthy() const;
  struct Stats {
    std::uint64_t commits = 0;      ///< transactions committed
    std::uint64_t works = 0;        ///< pieces of work committed, or rolled back by their own error
    std::uint64_t failures = 0;     ///< pieces of work that failed because their batch did
    std::uint64_t checkpoints = 0;  ///< checkpoints that moved the whole WAL
  };
  Stats stats() const;  ///< from any thread
  void close();

 private:
  enum class Kind { kWrite, kRead };

  /// A piece of work on its way. Made on the loop, run on a worker thread, finished and destroyed on the loop.
  struct Piece {
    virtual ~Piece() = default;
    /// Worker thread, inside the transaction. False when the work failed and must be rolled back.
    virtual bool run(Transaction& tx) = 0;
    /// Loop. nullopt when the work's own result stands.
    virtual void finish(std::optional<Error> failure) = 0;
    /// After run() was false.
    virtual Error error() const = 0;
    OnError on_error = OnError::kUndoPiece;
    std::optional<Error> failure;
  };
  template <class R, class F, class Done>
  struct Task final : Piece {
    Task(F w, Done d) : work(std::move(w)), done(std::move(d)) {}
    bool run(Transaction& tx) override { return result.emplace(work(tx)).has_value(); }
    void finish(std::optional<Error> why) override {
      done(why ? R(std::unexpected(std::move(*why))) : std::move(*result));
    }
    Error error() const override { return result->error(); }
    F work;
    Done done;
    std::optional<R> result;
  };
  void enqueue(Kind kind, std::unique_ptr<Piece> piece);

  template <class R, class F>
  Async<R> submit(Kind kind, OnError on_error, F work) {
    Promise<R> promise(loop_);
    auto done = [promise](R result) { promise.set(std::move(result)); };
    auto task = std::make_unique<Task<R, F, decltype(done)>>(std::move(work), std::move(done));
    task->on_error = on_error;
    enqueue(kind, std::move(task));
    co_return co_await promise.get();
  }

  struct Impl;
  explicit Database(Loop& loop);
  Loop& loop_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad::store
