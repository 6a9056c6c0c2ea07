#include "services/iam/store.h"

namespace lambdad::iam {
namespace {

constexpr store::Migration kMigrations[] = {{1,
                                             "CREATE TABLE roles ("
                                             "  account TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, name))"}};

}  // namespace

std::span<const store::Migration> RoleStore::migrations() { return kMigrations; }

Async<Result<std::vector<StoredRole>>> RoleStore::load() {
  co_return co_await database_.read([](store::Transaction& tx) -> Result<std::vector<StoredRole>> {
    std::vector<StoredRole> roles;
    Result<void> wrong;
    LD_TRY_VOID(tx.query("SELECT document FROM roles ORDER BY account, name", {}, [&](const store::Row& row) {
      if (!wrong) return;
      auto document = json::parse(row.text(0));
      auto role = document ? role_from_document(*document) : Result<StoredRole>(std::unexpected(document.error()));
      if (role) {
        roles.push_back(std::move(*role));
      } else {
        wrong = std::unexpected(role.error());
      }
    }));
    if (!wrong) return fail(Errc::kCorrupt, "a stored role cannot be read: {}", wrong.error().detail);
    return roles;
  });
}

Async<Result<void>> RoleStore::save(StoredRole role) {
  std::string document = json::serialize(to_document(role));
  co_return co_await database_.write([account = std::move(role.account), name = std::move(role.name),
                                      document = std::move(document)](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("INSERT INTO roles (account, name, document) VALUES (?1, ?2, ?3) "
                   "ON CONFLICT (account, name) DO UPDATE SET document = excluded.document",
                   {account, name, document}));
    return {};
  });
}

Async<Result<void>> RoleStore::remove(std::string account, std::string name) {
  co_return co_await database_.write([account, name](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(tx.execute("DELETE FROM roles WHERE account = ?1 AND name = ?2", {account, name}));
    return {};
  });
}

}  // namespace lambdad::iam
