#include "event_sources/mappings/mapping_store.h"

namespace lambdad::event_sources {

namespace {
constexpr store::Migration kMigrations[] = {
    {1, "CREATE TABLE mapping (uuid TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;"},
};
}  // namespace

Result<std::unique_ptr<MappingStore>> MappingStore::open(Loop& loop, const std::string& path,
                                                         store::Durability durability) {
  LD_TRY(auto database, store::Database::open(loop, path, kMigrations, {.durability = durability}));
  return std::unique_ptr<MappingStore>(new MappingStore(std::move(database)));
}

Result<std::vector<Mapping>> MappingStore::load() {
  std::vector<Mapping> mappings;
  Result<void> readable;
  LD_TRY_VOID(database_->run_now([&](store::Transaction& tx) {
    return tx.query("SELECT document FROM mapping ORDER BY uuid", {}, [&](const store::Row& row) {
      auto document = json::parse(row.view(0));
      auto mapping = document ? mapping_from_document(std::move(*document))
                              : Result<Mapping>(std::unexpected(std::move(document).error()));
      if (mapping) {
        mappings.push_back(std::move(*mapping));
      } else if (readable) {
        readable = std::unexpected(std::move(mapping).error());
      }
    });
  }));
  if (!readable) return fail(Errc::kCorrupt, "{}", readable.error().detail);
  return mappings;
}

Async<Result<void>> MappingStore::save(Mapping mapping) {
  std::string document = json::serialize(to_document(mapping));
  co_return co_await database_->write(
      [uuid = mapping.uuid(), document = std::move(document)](store::Transaction& tx) -> Result<void> {
        auto saved = tx.execute(
            "INSERT INTO mapping (uuid, document) VALUES (?, ?) "
            "ON CONFLICT (uuid) DO UPDATE SET document = excluded.document",
            {uuid, document});
        if (!saved) return std::unexpected(std::move(saved).error());
        return {};
      });
}

Async<Result<void>> MappingStore::remove(std::string uuid) {
  co_return co_await database_->write([uuid = std::move(uuid)](store::Transaction& tx) -> Result<void> {
    auto removed = tx.execute("DELETE FROM mapping WHERE uuid = ?", {uuid});
    if (!removed) return std::unexpected(std::move(removed).error());
    return {};
  });
}

}  // namespace lambdad::event_sources
