#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "services/iam/role.h"
#include "store/database.h"

namespace lambdad::iam {

/// The roles as rows: one document each, replaced whole. Returns after the commit. Threading: the loop.
class RoleStore {
 public:
  explicit RoleStore(store::Database& database) : database_(database) {}
  static std::span<const store::Migration> migrations();

  Async<Result<std::vector<StoredRole>>> load();
  Async<Result<void>> save(StoredRole role);
  Async<Result<void>> remove(std::string account, std::string name);

 private:
  store::Database& database_;
};

}  // namespace lambdad::iam
