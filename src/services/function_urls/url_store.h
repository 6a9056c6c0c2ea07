#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/function_urls/url_config.h"
#include "store/database.h"

namespace lambdad::function_urls {

/// The rows of function URLs, one file. Threading: the loop only.
class UrlStore {
 public:
  static Result<std::unique_ptr<UrlStore>> open(Loop& loop, const std::string& path, store::Durability durability);
  /// Every URL, by id. Blocks: for start-up.
  Result<std::vector<UrlConfig>> load();
  /// Inserts or replaces. Returns after the commit.
  Async<Result<void>> save(UrlConfig config);
  Async<Result<void>> remove(std::string id);
  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  explicit UrlStore(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<store::Database> database_;
};

}  // namespace lambdad::function_urls
