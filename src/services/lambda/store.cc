#include "services/lambda/store.h"

#include <map>

#include "services/lambda/function_document.h"

namespace lambdad::lambda {
namespace {

constexpr store::Migration kMigrations[] = {{1,
                                             "CREATE TABLE functions ("
                                             "  account TEXT NOT NULL,"
                                             "  region TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name))"},
                                            {2,
                                             "CREATE TABLE versions ("
                                             "  account TEXT NOT NULL,"
                                             "  region TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  number INTEGER NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name, number));"
                                             "CREATE TABLE layers ("
                                             "  account TEXT NOT NULL,"
                                             "  region TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name));"
                                             "CREATE TABLE code_signing_configs ("
                                             "  account TEXT NOT NULL,"
                                             "  region TEXT NOT NULL,"
                                             "  name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name))"}};

struct Statements {
  std::string_view load;
  std::string_view save;
  std::string_view remove;
};
Statements statements_of(LambdaStore::Kind kind) {
  switch (kind) {
    case LambdaStore::Kind::kLayer:
      return {"SELECT document FROM layers ORDER BY account, region, name",
              "INSERT INTO layers (account, region, name, document) VALUES (?1, ?2, ?3, ?4) "
              "ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document",
              "DELETE FROM layers WHERE account = ?1 AND region = ?2 AND name = ?3"};
    case LambdaStore::Kind::kCodeSigningConfig: break;
  }
  return {"SELECT document FROM code_signing_configs ORDER BY account, region, name",
          "INSERT INTO code_signing_configs (account, region, name, document) VALUES (?1, ?2, ?3, ?4) "
          "ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document",
          "DELETE FROM code_signing_configs WHERE account = ?1 AND region = ?2 AND name = ?3"};
}

/// Calls each(row) until it fails.
template <class Each>
Result<void> for_rows(store::Transaction& tx, std::string_view sql, Each each) {
  Result<void> wrong;
  LD_TRY_VOID(tx.query(sql, {}, [&](const store::Row& row) {
    if (wrong) wrong = each(row);
  }));
  return wrong;
}

}  // namespace

std::span<const store::Migration> LambdaStore::migrations() { return kMigrations; }

Async<Result<std::vector<Function>>> LambdaStore::load_functions() {
  co_return co_await database_.read([](store::Transaction& tx) -> Result<std::vector<Function>> {
    std::vector<Function> functions;
    LD_TRY_VOID(for_rows(tx, "SELECT document FROM functions ORDER BY account, region, name",
                         [&](const store::Row& row) -> Result<void> {
                           LD_TRY(const json::Value document, json::parse(row.view(0)));
                           LD_TRY(Function function, function_from_document(document));
                           functions.push_back(std::move(function));
                           return {};
                         }));
    // Both in the same order: one pass.
    auto owner = functions.begin();
    LD_TRY_VOID(for_rows(tx, "SELECT account, region, name, document FROM versions ORDER BY account, region, name",
                         [&](const store::Row& row) -> Result<void> {
                           const auto key = std::tuple(row.view(0), row.view(1), row.view(2));
                           auto key_of = [](const Function& f) {
                             return std::tuple<std::string_view, std::string_view, std::string_view>(f.account,
                                                                                                     f.region, f.name);
                           };
                           while (owner != functions.end() && key_of(*owner) < key) ++owner;
                           if (owner == functions.end() || key_of(*owner) != key) {
                             return fail(Errc::kCorrupt, "a version of '{}', which is not stored", row.view(2));
                           }
                           LD_TRY(const json::Value document, json::parse(row.view(3)));
                           LD_TRY(Version version, version_from_document(document));
                           const int number = version.number;
                           owner->versions.emplace(number, std::make_shared<const Version>(std::move(version)));
                           return {};
                         }));
    return functions;
  });
}

Async<Result<void>> LambdaStore::save_function(Function function, std::vector<VersionPtr> changed,
                                               std::vector<int> removed) {
  std::string document = json::serialize(to_document(function));
  std::vector<std::pair<int, std::string>> versions;
  for (const VersionPtr& each : changed) versions.emplace_back(each->number, json::serialize(to_document(*each)));
  co_return co_await database_.write([account = std::move(function.account), region = std::move(function.region),
                                      name = std::move(function.name), document = std::move(document),
                                      versions = std::move(versions),
                                      removed = std::move(removed)](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("INSERT INTO functions (account, region, name, document) VALUES (?1, ?2, ?3, ?4) "
                   "ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document",
                   {account, region, name, document}));
    for (const auto& [number, version] : versions) {
      LD_TRY_VOID(
          tx.execute("INSERT INTO versions (account, region, name, number, document) VALUES (?1, ?2, ?3, ?4, ?5) "
                     "ON CONFLICT (account, region, name, number) DO UPDATE SET document = excluded.document",
                     {account, region, name, std::int64_t{number}, version}));
    }
    for (const int number : removed) {
      LD_TRY_VOID(tx.execute("DELETE FROM versions WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
                             {account, region, name, std::int64_t{number}}));
    }
    return {};
  });
}

Async<Result<void>> LambdaStore::remove_function(std::string account, std::string region, std::string name) {
  co_return co_await database_.write([account, region, name](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("DELETE FROM functions WHERE account = ?1 AND region = ?2 AND name = ?3", {account, region, name}));
    LD_TRY_VOID(
        tx.execute("DELETE FROM versions WHERE account = ?1 AND region = ?2 AND name = ?3", {account, region, name}));
    return {};
  });
}

Async<Result<std::vector<json::Value>>> LambdaStore::load(Kind kind) {
  co_return co_await database_.read(
      [sql = statements_of(kind).load](store::Transaction& tx) -> Result<std::vector<json::Value>> {
        std::vector<json::Value> documents;
        LD_TRY_VOID(for_rows(tx, sql, [&](const store::Row& row) -> Result<void> {
          LD_TRY(json::Value document, json::parse(row.view(0)));
          documents.push_back(std::move(document));
          return {};
        }));
        return documents;
      });
}

Async<Result<void>> LambdaStore::save(Kind kind, std::string account, std::string region, std::string name,
                                      json::Value document) {
  co_return co_await database_.write([sql = statements_of(kind).save, account, region, name,
                                      text = json::serialize(document)](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(tx.execute(sql, {account, region, name, text}));
    return {};
  });
}

Async<Result<void>> LambdaStore::remove(Kind kind, std::string account, std::string region, std::string name) {
  co_return co_await database_.write(
      [sql = statements_of(kind).remove, account, region, name](store::Transaction& tx) -> Result<void> {
        LD_TRY_VOID(tx.execute(sql, {account, region, name}));
        return {};
      });
}

}  // namespace lambdad::lambda
