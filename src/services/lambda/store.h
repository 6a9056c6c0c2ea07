#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "services/lambda/function.h"
#include "store/database.h"

namespace lambdad::lambda {

/// The functions as rows: one document each, replaced whole. Returns after the commit.
/// Errors: those of Database. Threading: the loop.
class FunctionStore {
 public:
  explicit FunctionStore(store::Database& database) : database_(database) {}
  static std::span<const store::Migration> migrations();

  Async<Result<std::vector<Function>>> load();
  Async<Result<void>> save(Function function);
  Async<Result<void>> remove(std::string account, std::string region, std::string name);

 private:
  store::Database& database_;
};

}  // namespace lambdad::lambda
