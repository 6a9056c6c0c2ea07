#include "services/iam/store.h"

namespace lambdad::iam {
namespace {

constexpr store::Migration kMigrations[] = {
    {1,
     "CREATE TABLE roles ("
     "  account TEXT NOT NULL,"
     "  name TEXT NOT NULL,"
     "  document TEXT NOT NULL,"
     "  PRIMARY KEY (account, name))"},
    {2,
     "CREATE TABLE entities ("
     "  kind TEXT NOT NULL,"
     "  account TEXT NOT NULL,"
     "  key TEXT NOT NULL,"
     "  document TEXT NOT NULL,"
     "  PRIMARY KEY (kind, account, key)) WITHOUT ROWID;"
     "INSERT INTO entities SELECT 'role', account, lower(name), document FROM roles;"
     "DROP TABLE roles"}};

}  // namespace

std::span<const store::Migration> IamStore::migrations() { return kMigrations; }

Async<Result<std::vector<Row>>> IamStore::load() {
  co_return co_await database_.read([](store::Transaction& tx) -> Result<std::vector<Row>> {
    std::vector<Row> rows;
    LD_TRY_VOID(
        tx.query("SELECT kind, account, key, document FROM entities ORDER BY kind, account, key", {},
                 [&](const store::Row& row) { rows.push_back({row.text(0), row.text(1), row.text(2), row.text(3)}); }));
    return rows;
  });
}

Async<Result<void>> IamStore::write(std::vector<Row> rows) {
  co_return co_await database_.write([rows = std::move(rows)](store::Transaction& tx) -> Result<void> {
    for (const Row& row : rows) {
      if (row.document.empty()) {
        LD_TRY_VOID(tx.execute("DELETE FROM entities WHERE kind = ?1 AND account = ?2 AND key = ?3",
                               {row.kind, row.account, row.key}));
      } else {
        LD_TRY_VOID(
            tx.execute("INSERT INTO entities (kind, account, key, document) VALUES (?1, ?2, ?3, ?4) "
                       "ON CONFLICT (kind, account, key) DO UPDATE SET document = excluded.document",
                       {row.kind, row.account, row.key, row.document}));
      }
    }
    return {};
  });
}

}  // namespace lambdad::iam
