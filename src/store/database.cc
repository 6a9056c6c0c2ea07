#include "store/database.h"

#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>

#include "store/connection.h"
#include "system/fault.h"

namespace lambdad::store {

Result<std::int64_t> Transaction::execute(std::string_view sql, std::span<const Param> params) {
  return connection_.execute(sql, params);
}

Result<void> Transaction::query(std::string_view sql, std::span<const Param> params,
                                const std::function<void(const Row&)>& each) {
  return connection_.query(sql, params, each);
}

std::int64_t Transaction::last_insert_id() const { return connection_.last_insert_id(); }

namespace {

// Reads that share one snapshot and one report.
constexpr std::size_t kReadBatchMax = 32;

Error injected(std::string_view point) { return {Errc::kUnavailable, fmt::format("injected I/O error at {}", point)}; }

// Versions 1, 2, ...
Result<void> migrate(Connection& connection, const std::string& path, std::span<const Migration> migrations) {
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    LD_CHECK(migrations[i].version == static_cast<int>(i) + 1, "migration {} of {} has version {}", i + 1, path,
             migrations[i].version);
  }
  LD_TRY(std::int64_t version, connection.integer("PRAGMA user_version"));
  LD_TRY(std::int64_t application, connection.integer("PRAGMA application_id"));
  auto newest = static_cast<std::int64_t>(migrations.size());
  if (version > newest || version < 0) {
    return fail(
        Errc::kCorrupt,
        "{} has schema version {}, written by a newer lambdad; this one knows versions up to {}. Start the newer "
        "lambdad again, or restore a copy of the data directory from before the upgrade",
        path, version, newest);
  }
  // All of it in one transaction: a start on an empty directory waits for one sync then.
  std::string sql;
  if (application != kApplicationId) sql += fmt::format("PRAGMA application_id={};\n", kApplicationId);
  for (std::int64_t next = version; next < newest; ++next) {
    sql += fmt::format("{}\n;", migrations[static_cast<std::size_t>(next)].sql);
  }
  if (version != newest) sql += fmt::format("PRAGMA user_version={};\n", newest);
  if (sql.empty()) return {};

  LD_TRY_VOID(connection.run("BEGIN IMMEDIATE"));
  auto result = connection.script(sql);
  if (result && fault::point("store.before_migration_commit")) {
    result = std::unexpected(injected("store.before_migration_commit"));
  }
  if (result) result = connection.run("COMMIT");
  if (!result) {
    connection.rollback();
    return fail_with(result.error(), fmt::format("{}: migrating from version {} to {}", path, version, newest));
  }
  fault::point("store.after_migration_commit");
  return {};
}

}  // namespace

struct Database::Impl {
  using Pieces = std::vector<std::unique_ptr<Piece>>;

  // What the completions need on the loop; they may run after the database is gone.
  struct LoopSide {
    Impl* owner = nullptr;  // null once it is closed
    std::size_t under_way = 0;
    // Both held while a piece is under way: the loop must not run out, and virtual time must not move, while its result
    // is on another thread.
    std::optional<asio::executor_work_guard<Executor>> guard;
    std::optional<Offloaded::Token> offloaded;
  };

  // From the loop to one worker thread.
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    Pieces pieces;
    bool asleep = false;
    bool closed = false;

    void push(std::unique_ptr<Piece> piece) {
      bool wake;
      {
        std::lock_guard lock(mutex);
        pieces.push_back(std::move(piece));
        wake = std::exchange(asleep, false);
      }
      if (wake) changed.notify_one();
    }
    // Moves everything that waits to the end of `to`. When both are empty: waits, at most `patience` if given. False
    // when closed and nothing is left.
    bool take(Pieces& to, std::optional<Duration> patience) {
      std::unique_lock lock(mutex);
      if (to.empty() && pieces.empty()) {
        auto ready = [&] { return closed || !pieces.empty(); };
        asleep = true;
        if (patience) {
          changed.wait_for(lock, *patience, ready);
        } else {
          changed.wait(lock, ready);
        }
        asleep = false;
        if (closed && pieces.empty()) return false;
      }
      if (to.empty()) {
        to.swap(pieces);
      } else {
        std::move(pieces.begin(), pieces.end(), std::back_inserter(to));
        pieces.clear();
      }
      return true;
    }
    void close() {
      {
        std::lock_guard lock(mutex);
        closed = true;
      }
      changed.notify_one();
    }
  };

  Impl(Loop& l, const Options& o) : loop(l), offloaded(l), options(o) {}

  Loop& loop;
  Offloaded offloaded;
  Options options;
  std::shared_ptr<LoopSide> loop_side = std::make_shared<LoopSide>();
  bool closed = false;  // loop

  std::unique_ptr<Connection> writer;  // under writer_turn
  std::mutex writer_turn;              // the writer thread, or run_now()
  int checkpoint_at = 0;               // under writer_turn
  std::unique_ptr<Connection> reader;  // reader thread
  Queue writes;
  Queue reads;
  std::thread writer_thread;
  std::thread reader_thread;

  std::atomic<bool> healthy = true;
  bool damaged = false;  // under writer_turn: the last failure was a damaged file
  std::atomic<std::uint64_t> commits = 0;
  std::atomic<std::uint64_t> works = 0;
  std::atomic<std::uint64_t> failures = 0;
  std::atomic<std::uint64_t> checkpoints = 0;

  void report(Pieces batch) {
    asio::post(loop, [side = loop_side, batch = std::move(batch)]() mutable {
      fault::point("store.before_report");
      side->under_way -= batch.size();
      for (auto& piece : batch) {
        piece->finish(std::move(piece->failure));
        piece.reset();
      }
      if (side->under_way > 0) return;
      side->offloaded.reset();
      side->guard.reset();
    });
  }

  // Up to `max` pieces from the front.
  static Pieces slice(Pieces& waiting, std::size_t max) {
    if (waiting.size() <= max) return std::exchange(waiting, {});
    auto end = waiting.begin() + static_cast<std::ptrdiff_t>(max);
    Pieces batch(std::move_iterator(waiting.begin()), std::move_iterator(end));
    waiting.erase(waiting.begin(), end);
    return batch;
  }

  // --- writer, under writer_turn ---

  // Rolls back and says why the whole batch failed.
  Error give_up(Error why) {
    writer->rollback();
    damaged = why.code == Errc::kCorrupt;
    healthy = false;
    return why;
  }

  Result<void> begin() {
    LD_TRY_VOID(writer->run("BEGIN IMMEDIATE"));
    if (fault::point("store.after_begin")) return std::unexpected(injected("store.after_begin"));
    return {};
  }

  Result<void> commit() {
    if (fault::point("store.before_commit")) return std::unexpected(injected("store.before_commit"));
    LD_TRY_VOID(writer->run("COMMIT"));
    fault::point("store.after_commit");
    return {};
  }

  // nullopt when `work` may be part of the commit.
  template <class Work>
  std::optional<Error> spoiled_by(Work&& work) {
    work();
    if (fault::point("store.after_work")) writer->break_with(injected("store.after_work"));
    if (!writer->broken() && !writer->in_transaction()) {
      // Only by SQL that has no place in a piece of work (COMMIT, ON CONFLICT ROLLBACK).
      writer->break_with({Errc::kInternal, "a piece of work ended the transaction of its batch"});
    }
    return writer->broken();
  }

  // The error of the whole batch, if any. Keeps nothing of a batch that failed.
  std::optional<Error> run_batch(std::span<const std::unique_ptr<Piece>> batch) {
    if (auto begun = begin(); !begun) return give_up(std::move(begun).error());
    const std::int64_t changes_before = writer->total_changes();
    // A batch of one needs no savepoint: rolling it back is rolling back everything.
    const bool alone = batch.size() == 1;
    Transaction tx(*writer);
    for (auto& piece : batch) {
      const bool guarded = !alone && piece->on_error == OnError::kUndoPiece;
      if (guarded) {
        if (auto saved = writer->run("SAVEPOINT piece"); !saved) return give_up(std::move(saved).error());
      }
      bool succeeded = false;
      if (auto why = spoiled_by([&] { succeeded = piece->run(tx); })) return give_up(std::move(*why));
      if (alone) {
        if (!succeeded) {
          writer->rollback();
          return std::nullopt;
        }
        break;
      }
      if (!guarded) {
        if (!succeeded) {
          writer->rollback();
          return piece->error();
        }
        continue;
      }
      auto kept = succeeded ? Result<void>{} : writer->run("ROLLBACK TO piece");
      if (kept) kept = writer->run("RELEASE piece");
      if (!kept) return give_up(std::move(kept).error());
    }
    if (auto done = commit(); !done) return give_up(std::move(done).error());
    commits.fetch_add(1, std::memory_order_relaxed);
    // Only a commit that wrote something shows that the disk takes it.
    if (writer->total_changes() != changes_before) {
      damaged = false;
      healthy = true;
    }
    return std::nullopt;
  }

  // A commit of the writer's own, which stores what is stored already.
  void probe() {
    if (damaged) return;
    auto version = writer->integer("PRAGMA user_version");
    auto written = version ? begin() : Result<void>(std::unexpected(version.error()));
    if (written) written = writer->script(fmt::format("PRAGMA user_version={}", *version));
    if (written) written = commit();
    if (!written) {
      (void)give_up(std::move(written).error());
      return;
    }
    healthy = true;
  }

  void checkpoint_if_due() {
    if (writer->wal_pages() < checkpoint_at) return;
    fault::point("store.before_checkpoint");
    auto step = static_cast<int>(options.checkpoint_pages);
    if (writer->checkpoint()) {
      checkpoint_at = step;
      checkpoints.fetch_add(1, std::memory_order_relaxed);
    } else {
      // A reader holds a part, or the disk is full: not at every commit again.
      checkpoint_at = writer->wal_pages() + step;
    }
    fault::point("store.after_checkpoint");
  }

  void write_loop() {
    if (options.gives_way) {
      constexpr int kNiceness = 10;
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);  // on Linux of a thread; a wish
    }
    Pieces waiting;
    while (writes.take(waiting, healthy.load() ? std::nullopt : std::optional(options.probe_interval))) {
      Pieces batch = slice(waiting, options.batch_max);
      std::lock_guard turn(writer_turn);
      if (!batch.empty()) {
        write_batch(std::move(batch));
      } else if (!healthy.load()) {
        probe();
      }
    }
  }

  void write_batch(Pieces batch) {
    auto failure = run_batch(batch);
    if (failure) {
      for (auto& piece : batch) piece->failure = failure;
    }
    (failure ? failures : works).fetch_add(batch.size(), std::memory_order_relaxed);
    report(std::move(batch));
    checkpoint_if_due();
  }

  // --- reader ---

  void read_loop() {
    Pieces waiting;
    while (reads.take(waiting, std::nullopt)) {
      read_batch(slice(waiting, kReadBatchMax));
    }
  }

  void read_batch(Pieces batch) {
    auto begun = reader->run("BEGIN");
    Transaction tx(*reader);
    for (auto& piece : batch) {
      if (begun) (void)piece->run(tx);
      if (!begun) {
        piece->failure = begun.error();
      } else if (reader->broken()) {
        // The next piece gets a new transaction: it may read what is not damaged.
        piece->failure = reader->broken();
        reader->rollback();
        begun = reader->run("BEGIN");
      }
    }
    reader->rollback();
    report(std::move(batch));
  }

  // --- Threads::kLoop ---

  Pieces loop_writes;
  Pieces loop_reads;
  bool turn_posted = false;

  void push_on_loop(Kind kind, std::unique_ptr<Piece> piece) {
    (kind == Kind::kWrite ? loop_writes : loop_reads).push_back(std::move(piece));
    post_turn();
  }
  void post_turn() {
    if (std::exchange(turn_posted, true)) return;
    asio::post(loop, [side = loop_side] {
      if (side->owner != nullptr) side->owner->turn();
    });
  }
  // One batch each of what waits.
  void turn() {
    turn_posted = false;
    if (!loop_writes.empty()) write_batch(slice(loop_writes, options.batch_max));
    if (!loop_reads.empty()) read_batch(slice(loop_reads, kReadBatchMax));
    if (!loop_writes.empty() || !loop_reads.empty()) post_turn();
  }

  void close() {
    if (std::exchange(closed, true)) return;
    while (!loop_writes.empty() || !loop_reads.empty()) turn();
    loop_side->owner = nullptr;
    writes.close();
    reads.close();
    if (writer_thread.joinable()) writer_thread.join();
    if (reader_thread.joinable()) reader_thread.join();
    // The writer last: the last connection to close checkpoints and removes the WAL.
    reader.reset();
    writer.reset();
  }
};

Database::Database(Loop& loop) : loop_(loop) {}

Database::~Database() {
  if (impl_) impl_->close();
}

Result<std::unique_ptr<Database>> Database::open(Loop& loop, std::string path, std::span<const Migration> migrations,
                                                 Options options) {
  LD_CHECK(options.batch_max > 0 && options.checkpoint_pages > 0);
  auto impl = std::make_unique<Impl>(loop, options);
  LD_TRY(impl->writer, Connection::open(path, Connection::Role::kWriter, options.durability));
  LD_TRY_VOID(migrate(*impl->writer, path, migrations));
  if (options.durability == Durability::kFull) LD_TRY_VOID(impl->writer->sync_wal());
  LD_TRY(impl->reader, Connection::open(path, Connection::Role::kReader, options.durability));
  impl->checkpoint_at = static_cast<int>(options.checkpoint_pages);
  std::unique_ptr<Database> database(new Database(loop));
  database->impl_ = std::move(impl);
  Impl* running = database->impl_.get();
  running->loop_side->owner = running;
  if (options.threads == Threads::kLoop) return database;
  running->writer_thread = std::thread([running] { running->write_loop(); });
  running->reader_thread = std::thread([running] { running->read_loop(); });
  return database;
}

void Database::enqueue(Kind kind, std::unique_ptr<Piece> piece) {
  Impl& impl = *impl_;
  if (impl.closed) {
    piece->finish(Error{Errc::kClosed, "the store is closed"});
    return;
  }
  if (impl.loop_side->under_way >= impl.options.under_way_max) {
    piece->finish(
        Error{Errc::kUnavailable, fmt::format("{} pieces of work wait for the store", impl.loop_side->under_way)});
    return;
  }
  if (impl.loop_side->under_way++ == 0) {
    impl.loop_side->guard.emplace(loop_.get_executor());
    impl.loop_side->offloaded.emplace(impl.offloaded.begin());
  }
  if (impl.options.threads == Threads::kLoop) {
    impl.push_on_loop(kind, std::move(piece));
  } else {
    (kind == Kind::kWrite ? impl.writes : impl.reads).push(std::move(piece));
  }
}

Result<void> Database::run_now(const std::function<Result<void>(Transaction&)>& work) {
  Impl& impl = *impl_;
  if (impl.closed) return fail(Errc::kClosed, "the store is closed");
  struct Now final : Piece {
    explicit Now(const std::function<Result<void>(Transaction&)>& w) : work(w) {}
    bool run(Transaction& tx) override {
      result = work(tx);
      return result.has_value();
    }
    void finish(std::optional<Error>) override {}
    Error error() const override { return result.error(); }
    const std::function<Result<void>(Transaction&)>& work;
    Result<void> result;
  };
  auto piece = std::make_unique<Now>(work);
  Now& now = *piece;
  std::unique_ptr<Piece> batch[] = {std::move(piece)};
  std::lock_guard turn(impl.writer_turn);
  auto failure = impl.run_batch(batch);
  (failure ? impl.failures : impl.works).fetch_add(1, std::memory_order_relaxed);
  if (failure) return std::unexpected(std::move(*failure));
  return std::move(now.result);
}

bool Database::healthy() const { return impl_->healthy.load(); }

Database::Stats Database::stats() const {
  Stats stats;
  stats.commits = impl_->commits.load(std::memory_order_relaxed);
  stats.works = impl_->works.load(std::memory_order_relaxed);
  stats.failures = impl_->failures.load(std::memory_order_relaxed);
  stats.checkpoints = impl_->checkpoints.load(std::memory_order_relaxed);
  return stats;
}

void Database::close() { impl_->close(); }

}  // namespace lambdad::store
