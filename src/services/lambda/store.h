#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "services/lambda/function.h"
#include "store/database.h"

namespace lambdad::lambda {

/// The rows of this service: a document per function, per published version, per layer (with its versions) and per code
/// signing configuration, each replaced whole. Every write returns after its commit.
/// Errors: those of Database; kCorrupt for a row that cannot be read. Threading: the loop.
class LambdaStore {
 public:
  explicit LambdaStore(store::Database& database) : database_(database) {}
  static std::span<const store::Migration> migrations();

  Async<Result<std::vector<Function>>> load_functions();
  /// In one transaction: the function, the versions that are new or changed, the removal of others.
  Async<Result<void>> save_function(Function function, std::vector<VersionPtr> changed, std::vector<int> removed);
  Async<Result<void>> remove_function(std::string account, std::string region, std::string name);

  /// Documents of a kind that is kept by name: "layers", "code_signing_configs".
  enum class Kind { kLayer, kCodeSigningConfig };
  Async<Result<std::vector<json::Value>>> load(Kind kind);
  Async<Result<void>> save(Kind kind, std::string account, std::string region, std::string name, json::Value document);
  Async<Result<void>> remove(Kind kind, std::string account, std::string region, std::string name);

 private:
  store::Database& database_;
};

}  // namespace lambdad::lambda
