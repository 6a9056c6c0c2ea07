#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "invoke/async/retry_policy.h"
#include "ports/functions.h"
#include "store/database.h"

namespace lambdad::invoke {

/// An accepted event as it is kept in memory; its payload stays in the store until the attempt when memory is short.
struct Event {
  std::int64_t id = 0;  ///< row; grows with acceptance
  ports::FunctionRef function;
  std::string request_id;
  std::string trace_header;
  EventProgress progress;
  WallTime due;
  std::size_t payload_bytes = 0;
  std::optional<std::string> payload;  ///< absent: in the store only
};

/// Rows of accepted events in DATA/async.db. Every call answers after its commit.
/// Errors: kUnavailable while the store cannot commit. Threading: the loop only.
class EventStore {
 public:
  static Result<std::unique_ptr<EventStore>> open(Loop& loop, const std::string& path, store::Durability durability);

  using Inserted = std::move_only_function<void(Result<std::int64_t>)>;
  /// Adds the event and calls `done` with its row id, on the loop. The event must not change until then.
  void insert(std::shared_ptr<const Event> event, Inserted done);
  Async<Result<void>> update(std::int64_t id, EventProgress progress, WallTime due);
  Async<Result<void>> remove(std::int64_t id);
  Async<Result<std::string>> payload(std::int64_t id);
  /// All events, oldest first, without payloads. Before the loop runs.
  Result<std::vector<Event>> load();
  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  explicit EventStore(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<store::Database> database_;
};

}  // namespace lambdad::invoke
