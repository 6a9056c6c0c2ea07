#include "store/connection.h"

#include <mutex>

#include <sqlite3.h>

namespace lambdad::store {
namespace {

// Statements kept per connection. Far above what the SQL of one file has; reached only by generated texts.
constexpr std::size_t kStatementsMax = 512;

constexpr int kBusyTimeoutMs = 5000;

sqlite3_stmt* statement_of(void* handle) { return static_cast<sqlite3_stmt*>(handle); }

// Codes after which the transaction may be half done or cannot go on.
bool spoils_transaction(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_NOMEM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT: return true;
    default: return false;
  }
}

Errc meaning(int code) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      switch (code) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID: return Errc::kConflict;
        default: return Errc::kInvalid;
      }
    case SQLITE_TOOBIG: return Errc::kTooLarge;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Errc::kCorrupt;
    default: return spoils_transaction(code) ? Errc::kUnavailable : Errc::kInternal;
  }
}

int bind(sqlite3_stmt* statement, int index, const Param& param) {
  // Not copied: the caller keeps the parameters until the statement has been reset.
  struct Binder {
    sqlite3_stmt* statement;
    int index;
    int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
    int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, index, value); }
    int operator()(const std::string& text) const { return (*this)(TextView{text}); }
    int operator()(const Blob& blob) const { return (*this)(BlobView{blob.bytes}); }
    int operator()(const TextView& view) const {
      // A null pointer would bind NULL.
      const char* const begin = view.text.data() == nullptr ? "" : view.text.data();
      return sqlite3_bind_text64(statement, index, begin, view.text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int operator()(const BlobView& blob) const {
      // A null pointer would bind NULL; an empty blob is not that.
      if (blob.bytes.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
      return sqlite3_bind_blob64(statement, index, blob.bytes.data(), blob.bytes.size(), SQLITE_STATIC);
    }
  };
  return std::visit(Binder{statement, index}, param);
}

}  // namespace

// --- Row ------------------------------------------------------------------------------------------------------------

std::int64_t Row::integer(int column) const { return sqlite3_column_int64(statement_of(statement_), column); }

std::string_view Row::view(int column) const {
  // The order matters: the pointer first, then the length of what it points to.
  const void* bytes = sqlite3_column_type(statement_of(statement_), column) == SQLITE_BLOB
                          ? sqlite3_column_blob(statement_of(statement_), column)
                          : static_cast<const void*>(sqlite3_column_text(statement_of(statement_), column));
  int size = sqlite3_column_bytes(statement_of(statement_), column);
  return bytes == nullptr ? std::string_view{}
                          : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

std::string Row::text(int column) const { return std::string(view(column)); }

bool Row::is_null(int column) const { return sqlite3_column_type(statement_of(statement_), column) == SQLITE_NULL; }

// --- Statements -----------------------------------------------------------------------------------------------------

// A prepared statement in use: given back to the cache, or finalized when it has no place there.
class Connection::Lease {
 public:
  Lease(sqlite3_stmt* handle, Statement* cached) : handle_(handle), cached_(cached) {}
  Lease(Lease&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), cached_(std::exchange(other.cached_, nullptr)) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (handle_ == nullptr) return;
    if (cached_ == nullptr) {
      sqlite3_finalize(handle_);
      return;
    }
    sqlite3_reset(handle_);
    sqlite3_clear_bindings(handle_);
    cached_->in_use = false;
  }
  sqlite3_stmt* get() const { return handle_; }

 private:
  sqlite3_stmt* handle_;
  Statement* cached_;
};

Result<sqlite3_stmt*> Connection::compile(std::string_view sql, bool keep) {
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), keep ? SQLITE_PREPARE_PERSISTENT : 0,
                                &statement, &tail);
  if (code != SQLITE_OK) return std::unexpected(error(code, sql));
  std::string_view rest(tail, static_cast<std::size_t>(sql.data() + sql.size() - tail));
  if (statement == nullptr || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    sqlite3_finalize(statement);
    return fail(Errc::kInternal, "'{}' is not exactly one statement", sql);
  }
  return statement;
}

Result<Connection::Lease> Connection::prepare(std::string_view sql, std::span<const Param> params) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    if (statements_.size() >= kStatementsMax) {
      std::erase_if(statements_, [](auto& entry) {
        if (entry.second.in_use) return false;
        sqlite3_finalize(entry.second.handle);
        return true;
      });
    }
    LD_TRY(sqlite3_stmt * compiled, compile(sql, true));
    found = statements_.emplace(std::string(sql), Statement{compiled, false}).first;
  }
  Statement* cached = &found->second;
  sqlite3_stmt* handle = cached->handle;
  if (cached->in_use) {
    // The same text again from inside its own rows.
    LD_TRY(handle, compile(sql, false));
    cached = nullptr;
  } else {
    cached->in_use = true;
  }
  Lease lease(handle, cached);
  if (static_cast<std::size_t>(sqlite3_bind_parameter_count(handle)) != params.size()) {
    return fail(Errc::kInternal, "'{}' has {} parameters and was given {}", sql, sqlite3_bind_parameter_count(handle),
                params.size());
  }
  for (std::size_t i = 0; i < params.size(); ++i) {
    int code = bind(handle, static_cast<int>(i) + 1, params[i]);
    if (code != SQLITE_OK) return std::unexpected(error(code, sql));
  }
  return lease;
}

Result<std::int64_t> Connection::execute(std::string_view sql, std::span<const Param> params) {
  if (broken_) return std::unexpected(*broken_);
  LD_TRY(auto lease, prepare(sql, params));
  int code;
  do {
    code = sqlite3_step(lease.get());
  } while (code == SQLITE_ROW);
  if (code != SQLITE_DONE) return std::unexpected(error(code, sql));
  // sqlite3_changes() keeps the count of an earlier statement when this one cannot change rows.
  return sqlite3_stmt_readonly(lease.get()) != 0 ? 0 : sqlite3_changes64(handle_);
}

Result<void> Connection::query(std::string_view sql, std::span<const Param> params,
                               const std::function<void(const Row&)>& each) {
  if (broken_) return std::unexpected(*broken_);
  LD_TRY(auto lease, prepare(sql, params));
  for (;;) {
    int code = sqlite3_step(lease.get());
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return std::unexpected(error(code, sql));
    each(Row(lease.get()));
    if (broken_) return std::unexpected(*broken_);
  }
}

Result<void> Connection::run(std::string_view sql) {
  LD_TRY_VOID(execute(sql, {}));
  return {};
}

Result<void> Connection::script(std::string_view sql) {
  if (broken_) return std::unexpected(*broken_);
  std::string text(sql);
  int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code, text.substr(0, 200)));
  return {};
}

Result<std::int64_t> Connection::integer(std::string_view sql) {
  std::optional<std::int64_t> value;
  LD_TRY_VOID(query(sql, {}, [&](const Row& row) {
    if (!value) value = row.integer(0);
  }));
  if (!value) return fail(Errc::kInternal, "'{}' has no row", sql);
  return *value;
}

Error Connection::error(int code, std::string_view doing) {
  int extended = sqlite3_extended_errcode(handle_);
  if ((extended & 0xff) != (code & 0xff)) extended = code;
  Error result{meaning(extended), fmt::format("sqlite {} ({}): {}", extended, sqlite3_errmsg(handle_), doing)};
  if (spoils_transaction(extended)) break_with(result);
  return result;
}

// --- Transactions ---------------------------------------------------------------------------------------------------

std::int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

void Connection::break_with(Error error) {
  if (!broken_) broken_ = std::move(error);
}

void Connection::rollback() {
  broken_.reset();
  // SQLite may have rolled back by itself. A ROLLBACK that fails leaves a transaction in which BEGIN fails, so that
  // nothing can be acknowledged by mistake.
  if (in_transaction()) (void)run("ROLLBACK");
  broken_.reset();
}

std::int64_t Connection::total_changes() const { return sqlite3_total_changes64(handle_); }

bool Connection::checkpoint() {
  int total = -1;
  int moved = -1;
  int code = sqlite3_wal_checkpoint_v2(handle_, "main", SQLITE_CHECKPOINT_PASSIVE, &total, &moved);
  return code == SQLITE_OK && total == moved;
}

Result<void> Connection::sync_wal() {
  sqlite3_file* wal = nullptr;
  int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  if (code != SQLITE_OK) return std::unexpected(error(code, "finding the WAL"));
  if (wal == nullptr || wal->pMethods == nullptr) return {};  // none has been opened: there is nothing in it
  code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) return fail(Errc::kUnavailable, "sqlite {}: syncing the WAL", code);
  return {};
}

// --- Opening --------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Role role, Durability durability) {
  // Its statistics of memory take a lock in every allocation. Without effect once SQLite is in use.
  static std::once_flag configured;
  std::call_once(configured, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
  std::unique_ptr<Connection> connection(new Connection);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (role == Role::kWriter) flags |= SQLITE_OPEN_CREATE;
  int code = sqlite3_open_v2(path.c_str(), &connection->handle_, flags, nullptr);
  auto opening = fmt::format("opening {}", path);
  if (code != SQLITE_OK) return std::unexpected(connection->error(code, opening));
  sqlite3* db = connection->handle_;

  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  if (role == Role::kReader) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);

  // Before anything that writes: a file of somebody else must stay as it is.
  LD_TRY(std::int64_t application, connection->integer("PRAGMA application_id"));
  LD_TRY(std::int64_t tables, connection->integer("SELECT count(*) FROM sqlite_master"));
  LD_TRY(std::int64_t version, connection->integer("PRAGMA user_version"));
  bool is_new = application == 0 && tables == 0 && version == 0;
  if (application != kApplicationId && !is_new) {
    return fail(Errc::kCorrupt,
                "{} is an SQLite file of another program (application_id {:#x}); choose another data "
                "directory or move the file away",
                path, application);
  }

  LD_TRY_VOID(connection->script("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;"));
  if (role == Role::kReader) {
    LD_TRY_VOID(connection->script("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8192; PRAGMA query_only=ON;"));
    return connection;
  }
  // journal_size_limit: a WAL that a slow reader let grow is cut when it starts anew.
  LD_TRY_VOID(
      connection->script("PRAGMA page_size=4096; PRAGMA cache_size=-16384; PRAGMA journal_size_limit=67108864;"));
  LD_TRY_VOID(
      connection->script(durability == Durability::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF"));
  std::string mode;
  LD_TRY_VOID(connection->query("PRAGMA journal_mode=WAL", {}, [&](const Row& row) { mode = row.text(0); }));
  if (mode != "wal") return fail(Errc::kUnavailable, "{} cannot use a WAL (journal mode '{}')", path, mode);
  // In place of the automatic checkpoint, which runs inside COMMIT and would delay the acknowledgement.
  sqlite3_wal_hook(
      db,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Connection*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      connection.get());
  return connection;
}

Connection::~Connection() {
  for (auto& [text, statement] : statements_) sqlite3_finalize(statement.handle);
  if (handle_ != nullptr) {
    int code = sqlite3_close(handle_);
    LD_CHECK(code == SQLITE_OK, "a connection is closed while statements run: {}", code);
  }
}

}  // namespace lambdad::store
