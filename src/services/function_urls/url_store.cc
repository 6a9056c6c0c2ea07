#include "services/function_urls/url_store.h"

namespace lambdad::function_urls {

namespace {
constexpr store::Migration kMigrations[] = {
    {1, "CREATE TABLE url (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;"},
};
}  // namespace

Result<std::unique_ptr<UrlStore>> UrlStore::open(Loop& loop, const std::string& path, store::Durability durability) {
  LD_TRY(auto database, store::Database::open(loop, path, kMigrations, {.durability = durability}));
  return std::unique_ptr<UrlStore>(new UrlStore(std::move(database)));
}

Result<std::vector<UrlConfig>> UrlStore::load() {
  std::vector<UrlConfig> configs;
  Result<void> readable;
  LD_TRY_VOID(database_->run_now([&](store::Transaction& tx) {
    return tx.query("SELECT document FROM url ORDER BY id", {}, [&](const store::Row& row) {
      auto document = json::parse(row.view(0));
      auto config = document ? url_config_from_document(std::move(*document))
                             : Result<UrlConfig>(std::unexpected(std::move(document).error()));
      if (config) {
        configs.push_back(std::move(*config));
      } else if (readable) {
        readable = std::unexpected(std::move(config).error());
      }
    });
  }));
  if (!readable) return fail(Errc::kCorrupt, "{}", readable.error().detail);
  return configs;
}

Async<Result<void>> UrlStore::save(UrlConfig config) {
  std::string document = json::serialize(to_document(config));
  co_return co_await database_->write(
      [id = config.id, document = std::move(document)](store::Transaction& tx) -> Result<void> {
        auto saved = tx.execute(
            "INSERT INTO url (id, document) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            {id, document});
        if (!saved) return std::unexpected(std::move(saved).error());
        return {};
      });
}

Async<Result<void>> UrlStore::remove(std::string id) {
  co_return co_await database_->write([id = std::move(id)](store::Transaction& tx) -> Result<void> {
    auto removed = tx.execute("DELETE FROM url WHERE id = ?", {id});
    if (!removed) return std::unexpected(std::move(removed).error());
    return {};
  });
}

}  // namespace lambdad::function_urls
