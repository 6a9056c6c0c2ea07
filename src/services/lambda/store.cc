#include "services/lambda/store.h"

namespace lambdad::lambda {
namespace {

constexpr store::Migration kMigrations[] = {{1,
                                             "CREATE TABLE functions ("
                                             "  account TEXT NOT NULL,"
                                             "  region TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name))"}};

}  // namespace

std::span<const store::Migration> FunctionStore::migrations() { return kMigrations; }

Async<Result<std::vector<Function>>> FunctionStore::load() {
  co_return co_await database_.read([](store::Transaction& tx) -> Result<std::vector<Function>> {
    std::vector<Function> functions;
    Result<void> wrong;
    LD_TRY_VOID(
        tx.query("SELECT document FROM functions ORDER BY account, region, name", {}, [&](const store::Row& row) {
          if (!wrong) return;
          auto document = json::parse(row.text(0));
          auto function =
              document ? function_from_document(*document) : Result<Function>(std::unexpected(document.error()));
          if (function) {
            functions.push_back(std::move(*function));
          } else {
            wrong = std::unexpected(function.error());
          }
        }));
    if (!wrong) return fail(Errc::kCorrupt, "a stored function cannot be read: {}", wrong.error().detail);
    return functions;
  });
}

Async<Result<void>> FunctionStore::save(Function function) {
  std::string document = json::serialize(to_document(function));
  co_return co_await database_.write([account = std::move(function.account), region = std::move(function.region),
                                      name = std::move(function.name),
                                      document = std::move(document)](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("INSERT INTO functions (account, region, name, document) VALUES (?1, ?2, ?3, ?4) "
                   "ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document",
                   {account, region, name, document}));
    return {};
  });
}

Async<Result<void>> FunctionStore::remove(std::string account, std::string region, std::string name) {
  co_return co_await database_.write([account, region, name](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("DELETE FROM functions WHERE account = ?1 AND region = ?2 AND name = ?3", {account, region, name}));
    return {};
  });
}

}  // namespace lambdad::lambda
