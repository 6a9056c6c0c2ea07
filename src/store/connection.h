/// One SQLite connection: opening, prepared statements, and what its error codes mean to us. Inside this folder only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lambdad::store {

/// Marks a file as ours ("LDST"); SQLite keeps it in the header (PRAGMA application_id).
inline constexpr std::int64_t kApplicationId = 0x4c445354;

/// A connection that some thread owns at a time; no locks inside.
///
/// A failure of the disk (full, I/O error, damaged file) leaves the transaction in a state that must not be committed:
/// the connection is then `broken()` until rollback(), and every statement in between answers with that error.
class Connection {
 public:
  enum class Role {
    kWriter,  ///< creates the file; checkpoints when told, never by itself
    kReader,  ///< refuses to write; never checkpoints, not even on close
  };
  static Result<std::unique_ptr<Connection>> open(const std::string& path, Role role, Durability durability);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<std::int64_t> execute(std::string_view sql, std::span<const Param> params);
  Result<void> query(std::string_view sql, std::span<const Param> params, const std::function<void(const Row&)>& each);
  /// A statement of our own without parameters and rows, such as COMMIT.
  Result<void> run(std::string_view sql);
  /// Several statements, not cached.
  Result<void> script(std::string_view sql);
  /// The first column of the first row.
  Result<std::int64_t> integer(std::string_view sql);
  std::int64_t last_insert_id() const;

  bool in_transaction() const;
  const std::optional<Error>& broken() const { return broken_; }
  /// Makes the transaction fail as if the kernel had refused a read or write.
  void break_with(Error error);
  /// Ends the transaction, if any, without its changes; no longer broken.
  void rollback();
  std::int64_t total_changes() const;

  /// Makes durable what is in the WAL. A process that was killed may have written commits that it did not live to sync:
  /// they are visible to the next one, and would be lost with the power although it has acted on them.
  Result<void> sync_wal();
  /// Pages in the WAL after the last commit.
  int wal_pages() const { return wal_pages_; }
  /// Moves what it can from the WAL into the file without waiting for readers. True when that was everything.
  bool checkpoint();

 private:
  struct Statement {
    sqlite3_stmt* handle = nullptr;
    bool in_use = false;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  class Lease;

  Connection() = default;
  Result<Lease> prepare(std::string_view sql, std::span<const Param> params);
  Result<sqlite3_stmt*> compile(std::string_view sql, bool keep);
  /// What SQLite's code means to a caller; remembers the ones that spoil the transaction.
  Error error(int code, std::string_view doing);

  sqlite3* handle_ = nullptr;
  std::unordered_map<std::string, Statement, Hash, std::equal_to<>> statements_;
  std::optional<Error> broken_;
  int wal_pages_ = 0;
};

}  // namespace lambdad::store
