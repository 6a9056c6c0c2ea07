#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "services/ecr/repository.h"
#include "store/database.h"

namespace lambdad::ecr {

/// Repositories, images, tags and layers as rows. Returns after the commit. Threading: the loop.
class RepositoryStore {
 public:
  explicit RepositoryStore(store::Database& database) : database_(database) {}
  static std::span<const store::Migration> migrations();

  Async<Result<std::vector<Repository>>> load();
  /// The repository's own row; its images, tags and layers have theirs.
  Async<Result<void>> save(Repository repository);
  Async<Result<void>> remove(RepositoryRef ref);
  /// An image, and its tag unless that is empty.
  Async<Result<void>> save_image(RepositoryRef ref, StoredImage image, std::string tag);
  Async<Result<void>> save_layer(RepositoryRef ref, std::string digest, StoredLayer layer);
  struct Removal {
    std::set<std::string> images;
    std::set<std::string> tags;
    std::set<std::string> layers;
  };
  /// In one transaction.
  Async<Result<void>> remove_parts(RepositoryRef ref, Removal removal);
  /// A secret that lasts as long as the data: `fresh` when there is none yet.
  Async<Result<std::string>> secret(std::string fresh);

 private:
  store::Database& database_;
};

}  // namespace lambdad::ecr
