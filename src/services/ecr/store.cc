#include "services/ecr/store.h"

#include <map>

namespace lambdad::ecr {
namespace {

constexpr store::Migration kMigrations[] = {{1,
                                             "CREATE TABLE repositories ("
                                             "  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,"
                                             "  document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name));"
                                             "CREATE TABLE images ("
                                             "  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,"
                                             "  digest TEXT NOT NULL, document TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name, digest));"
                                             "CREATE TABLE tags ("
                                             "  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,"
                                             "  tag TEXT NOT NULL, digest TEXT NOT NULL,"
                                             "  PRIMARY KEY (account, region, name, tag));"
                                             "CREATE TABLE layers ("
                                             "  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,"
                                             "  digest TEXT NOT NULL, size INTEGER NOT NULL, added_ms INTEGER NOT NULL,"
                                             "  PRIMARY KEY (account, region, name, digest));"
                                             "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL)"}};

constexpr std::string_view kOfRepository = " WHERE account = ?1 AND region = ?2 AND name = ?3";

RepositoryRef ref_of(const store::Row& row) { return {row.text(0), row.text(1), row.text(2)}; }

}  // namespace

std::span<const store::Migration> RepositoryStore::migrations() { return kMigrations; }

Async<Result<std::vector<Repository>>> RepositoryStore::load() {
  co_return co_await database_.read([](store::Transaction& tx) -> Result<std::vector<Repository>> {
    std::map<RepositoryRef, Repository> found;
    Result<void> wrong;
    auto note = [&wrong](const Error& error) {
      if (wrong) wrong = std::unexpected(error);
    };
    LD_TRY_VOID(tx.query("SELECT document FROM repositories", {}, [&](const store::Row& row) {
      auto document = json::parse(row.text(0));
      auto repository =
          document ? repository_from_document(*document) : Result<Repository>(std::unexpected(document.error()));
      if (!repository) return note(repository.error());
      RepositoryRef ref = repository->ref;
      found.emplace(std::move(ref), std::move(*repository));
    }));
    LD_TRY_VOID(tx.query("SELECT account, region, name, document FROM images", {}, [&](const store::Row& row) {
      const auto repository = found.find(ref_of(row));
      auto document = json::parse(row.text(3));
      auto image = document ? image_from_document(*document) : Result<StoredImage>(std::unexpected(document.error()));
      if (!image) return note(image.error());
      if (repository == found.end()) return;
      std::string digest = image->digest;
      repository->second.images.emplace(std::move(digest), std::move(*image));
    }));
    LD_TRY_VOID(tx.query("SELECT account, region, name, tag, digest FROM tags", {}, [&](const store::Row& row) {
      const auto repository = found.find(ref_of(row));
      if (repository != found.end()) repository->second.tags.emplace(row.text(3), row.text(4));
    }));
    LD_TRY_VOID(
        tx.query("SELECT account, region, name, digest, size, added_ms FROM layers", {}, [&](const store::Row& row) {
          const auto repository = found.find(ref_of(row));
          if (repository == found.end()) return;
          repository->second.layers.emplace(row.text(3), StoredLayer{.size = static_cast<std::uint64_t>(row.integer(4)),
                                                                     .added = from_epoch_ms(row.integer(5))});
        }));
    if (!wrong) return fail(Errc::kCorrupt, "a stored repository cannot be read: {}", wrong.error().detail);
    std::vector<Repository> repositories;
    for (auto& [ref, repository] : found) repositories.push_back(std::move(repository));
    return repositories;
  });
}

Async<Result<void>> RepositoryStore::save(Repository repository) {
  std::string document = json::serialize(repository_document(repository));
  co_return co_await database_.write(
      [ref = std::move(repository.ref), document = std::move(document)](store::Transaction& tx) -> Result<void> {
        LD_TRY_VOID(
            tx.execute("INSERT INTO repositories (account, region, name, document) VALUES (?1, ?2, ?3, ?4) "
                       "ON CONFLICT (account, region, name) DO UPDATE SET document = excluded.document",
                       {ref.account, ref.region, ref.name, document}));
        return {};
      });
}

Async<Result<void>> RepositoryStore::remove(RepositoryRef ref) {
  co_return co_await database_.write([ref = std::move(ref)](store::Transaction& tx) -> Result<void> {
    for (std::string_view table : {"repositories", "images", "tags", "layers"}) {
      LD_TRY_VOID(
          tx.execute(fmt::format("DELETE FROM {}{}", table, kOfRepository), {ref.account, ref.region, ref.name}));
    }
    return {};
  });
}

Async<Result<void>> RepositoryStore::save_image(RepositoryRef ref, StoredImage image, std::string tag) {
  std::string document = json::serialize(image_document(image));
  co_return co_await database_.write([ref = std::move(ref), digest = std::move(image.digest),
                                      document = std::move(document),
                                      tag = std::move(tag)](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        tx.execute("INSERT INTO images (account, region, name, digest, document) VALUES (?1, ?2, ?3, ?4, ?5) "
                   "ON CONFLICT (account, region, name, digest) DO UPDATE SET document = excluded.document",
                   {ref.account, ref.region, ref.name, digest, document}));
    if (tag.empty()) return {};
    LD_TRY_VOID(
        tx.execute("INSERT INTO tags (account, region, name, tag, digest) VALUES (?1, ?2, ?3, ?4, ?5) "
                   "ON CONFLICT (account, region, name, tag) DO UPDATE SET digest = excluded.digest",
                   {ref.account, ref.region, ref.name, tag, digest}));
    return {};
  });
}

Async<Result<void>> RepositoryStore::save_layer(RepositoryRef ref, std::string digest, StoredLayer layer) {
  co_return co_await database_.write([ref = std::move(ref), digest = std::move(digest),
                                      layer](store::Transaction& tx) -> Result<void> {
    LD_TRY_VOID(tx.execute(
        "INSERT INTO layers (account, region, name, digest, size, added_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
        "ON CONFLICT (account, region, name, digest) DO UPDATE SET added_ms = excluded.added_ms",
        {ref.account, ref.region, ref.name, digest, static_cast<std::int64_t>(layer.size), to_epoch_ms(layer.added)}));
    return {};
  });
}

Async<Result<void>> RepositoryStore::remove_parts(RepositoryRef ref, Removal removal) {
  co_return co_await database_.write(
      [ref = std::move(ref), removal = std::move(removal)](store::Transaction& tx) -> Result<void> {
        auto remove = [&](std::string_view table, std::string_view column,
                          const std::set<std::string>& keys) -> Result<void> {
          for (const std::string& key : keys) {
            LD_TRY_VOID(tx.execute(fmt::format("DELETE FROM {}{} AND {} = ?4", table, kOfRepository, column),
                                   {ref.account, ref.region, ref.name, key}));
          }
          return {};
        };
        LD_TRY_VOID(remove("images", "digest", removal.images));
        LD_TRY_VOID(remove("tags", "tag", removal.tags));
        return remove("layers", "digest", removal.layers);
      });
}

Async<Result<std::string>> RepositoryStore::secret(std::string fresh) {
  co_return co_await database_.write([fresh = std::move(fresh)](store::Transaction& tx) -> Result<std::string> {
    LD_TRY_VOID(tx.execute("INSERT INTO secrets (name, value) VALUES ('tokens', ?1) ON CONFLICT (name) DO NOTHING",
                           {store::Blob{fresh}}));
    std::string kept;
    LD_TRY_VOID(tx.query("SELECT value FROM secrets WHERE name = 'tokens'", {},
                         [&](const store::Row& row) { kept = row.text(0); }));
    return kept;
  });
}

}  // namespace lambdad::ecr
