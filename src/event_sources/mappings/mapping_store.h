#pragma once

#include <memory>
#include <string>
#include <vector>

#include "event_sources/mappings/mapping.h"
#include "store/database.h"

namespace lambdad::event_sources {

/// The rows of mappings, one file. Threading: the loop only.
class MappingStore {
 public:
  static Result<std::unique_ptr<MappingStore>> open(Loop& loop, const std::string& path, store::Durability durability);
  /// Every mapping, by UUID. Blocks: for start-up.
  Result<std::vector<Mapping>> load();
  /// Inserts or replaces. Returns after the commit.
  Async<Result<void>> save(Mapping mapping);
  Async<Result<void>> remove(std::string uuid);
  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  explicit MappingStore(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<store::Database> database_;
};

}  // namespace lambdad::event_sources
