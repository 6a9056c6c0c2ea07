/// The rows of the service: queues, messages and their delivery state, in DATA/sqs.db.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/sqs/queue.h"
#include "store/database.h"

namespace lambdad::sqs {

using QueueId = std::int64_t;

/// A queue as it is stored, without its messages.
struct QueueRow {
  QueueId id = 0;
  std::string account;
  std::string region;
  std::string name;
  WallTime created_at;
  WallTime modified_at;
  std::map<std::string, std::string> attributes;
  std::map<std::string, std::string> tags;
  RowId purge_floor = 0;
  std::optional<WallTime> purged_at;
};

struct DeletedQueueRow {
  std::string account;
  std::string region;
  std::string name;
  WallTime deleted_at;
};

/// One StartMessageMoveTask.
struct MoveTaskRow {
  std::int64_t id = 0;  ///< later tasks have greater ones
  std::string task_id;
  std::string source;                      ///< ARN
  std::optional<std::string> destination;  ///< ARN; nullopt: where each message came from
  std::optional<int> per_second;
  enum class Status { kRunning, kCompleted, kCancelling, kCancelled, kFailed };
  Status status = Status::kRunning;
  std::string failure;
  WallTime started_at;
  std::int64_t to_move = 0;
  std::int64_t moved = 0;
  bool is_active() const { return status == Status::kRunning || status == Status::kCancelling; }
};
/// "RUNNING", ...
std::string_view status_text(MoveTaskRow::Status status);

/// What a FIFO queue has accepted lately.
struct DeduplicationRow {
  RowId row = 0;
  QueueId queue = 0;
  Uuid message_id;
  WallTime sent_at;
  std::string group_id;
  std::string deduplication_id;
};

/// Every call is one transaction; its result arrives after COMMIT, in the order of the calls. A failed call has stored
/// nothing. Errors are the database's: kUnavailable, kCorrupt, kClosed.
///
/// Threading: the loop. End: close(), or the destructor.
class Store {
 public:
  static Result<std::unique_ptr<Store>> open(Loop& loop, std::string path, store::Durability durability);

  /// What the last run left, oldest message first. Rows that belong to nothing are handed to `dead`. Blocks; for
  /// start-up. kCorrupt when a row cannot be what this class wrote.
  struct Loading {
    std::function<void(QueueRow)> queue;  ///< all queues come before the first message
    std::function<void(DeletedQueueRow)> deleted;
    /// `attempt` as in Receive, of its last receive.
    std::function<void(QueueId, QueuedMessage, std::string_view attempt)> message;
    std::function<void(RowId)> dead;
    std::function<void(DeduplicationRow)> deduplication;  ///< in the order of their rows
    std::function<void(MoveTaskRow)> move_task;           ///< in the order of their ids
  };
  Result<void> load(const Loading& loading);

  /// Ids for queues and messages: larger than any that was given before, also by earlier runs.
  std::int64_t next_id() { return next_id_++; }
  /// The next value of next_id().
  std::int64_t peek_id() const { return next_id_; }
  /// 16 random bytes made with the database: the key of receipt handles.
  const std::string& secret() const { return secret_; }
  /// Sets the secret when the database has none yet. Blocks; before load().
  Result<void> ensure_secret(const std::string& fresh);

  /// Also ends the time in which the name is blocked.
  Async<Result<void>> insert_queue(QueueRow queue);
  /// Attributes, tags, modified_at, purge_floor and purged_at. kNotFound when it is gone.
  Async<Result<void>> update_queue(QueueRow queue);
  /// Its messages become dead rows: remove_messages() reclaims them.
  Async<Result<void>> delete_queue(QueueId queue, DeletedQueueRow trace);

  /// The steps of messages. `done` is called on the loop after the commit, whatever became of the caller; so a step
  /// changes the queue in memory there, and memory and rows do not drift apart.
  using Done = std::move_only_function<void(Result<void>)>;
  using Messages = std::shared_ptr<const std::vector<QueuedMessage>>;  ///< must not change until `done`
  void insert_messages(QueueId queue, Messages messages, Done done);

  struct Receive {
    std::vector<RowId> rows;
    WallTime received_at;
    WallTime available_at;
    std::string attempt;  ///< number of messages, a space, ReceiveRequestAttemptId; empty: none
  };
  /// One message that goes to a dead-letter queue: gets a new row id there and keeps its delivery counts. Its sent_at
  /// may change.
  struct Move {
    RowId from = 0;
    QueuedMessage to;
  };
  /// The effects of one receive: delivery counts and moves to `dead_letter_queue`, all or nothing.
  using Moves = std::shared_ptr<const std::vector<Move>>;  ///< must not change until `done`
  void record_receive(Receive receive, Moves moves, QueueId dead_letter_queue, Done done);

  struct Visibility {
    RowId row = 0;
    std::uint32_t receive_count = 0;  ///< nothing happens when the message was received again
    WallTime available_at;
  };
  void set_visibility(std::vector<Visibility> changes, Done done);
  void remove_messages(std::vector<RowId> rows, Done done);
  Async<Result<void>> remove_messages(std::vector<RowId> rows);
  Async<Result<void>> remove_deduplications(std::vector<RowId> rows);

  /// One message of a move task: becomes a new message of another queue.
  struct Redrive {
    RowId from = 0;
    QueueId queue = 0;
    QueuedMessage to;
  };
  using Redrives = std::shared_ptr<const std::vector<Redrive>>;  ///< must not change until `done`
  /// Messages deleted meanwhile stay deleted, and count as moved: an answered delete is not to be undone.
  void redrive(Redrives redrives, MoveTaskRow task, Done done);
  Async<Result<void>> save_move_task(MoveTaskRow task);
  Async<Result<void>> remove_move_task(std::int64_t id);

  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  explicit Store(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  Result<void> begin_run();

  std::unique_ptr<store::Database> database_;
  std::int64_t next_id_ = 1;
  std::string secret_;
};

}  // namespace lambdad::sqs
