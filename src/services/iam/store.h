#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "store/database.h"

namespace lambdad::iam {

/// One thing as it is stored: a document, replaced whole.
struct Row {
  std::string kind;  ///< "user", "group", "role", "policy"
  std::string account;
  std::string key;       ///< unique within kind and account: the name in lower case
  std::string document;  ///< empty: the row goes
};

/// Everything of IAM as rows. Returns after the commit. Threading: the loop.
class IamStore {
 public:
  explicit IamStore(store::Database& database) : database_(database) {}
  static std::span<const store::Migration> migrations();

  Async<Result<std::vector<Row>>> load();
  /// All rows in one commit.
  Async<Result<void>> write(std::vector<Row> rows);

 private:
  store::Database& database_;
};

}  // namespace lambdad::iam
