#include "services/sqs/store.h"

#include <charconv>
#include <unordered_map>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "services/sqs/schema.h"

namespace lambdad::sqs {

using store::BlobView;
using store::Param;
using store::Row;
using store::TextView;
using store::Transaction;

std::string_view status_text(MoveTaskRow::Status status) {
  switch (status) {
    case MoveTaskRow::Status::kRunning: return "RUNNING";
    case MoveTaskRow::Status::kCompleted: return "COMPLETED";
    case MoveTaskRow::Status::kCancelling: return "CANCELLING";
    case MoveTaskRow::Status::kCancelled: return "CANCELLED";
    case MoveTaskRow::Status::kFailed: return "FAILED";
  }
  return "";
}

namespace {

// A run of the process has its own range of ids, so that none is ever given twice without writing a counter for each.
constexpr int kIdsPerRunBits = 40;

std::int64_t to_column(WallTime t) { return t.time_since_epoch().count(); }
WallTime to_time(std::int64_t column) { return WallTime{Duration{column}}; }
Param optional_text(const std::string& text) { return text.empty() ? Param{} : Param{text}; }

std::string encode_map(const std::map<std::string, std::string>& map) {
  json::Object object;
  for (const auto& [key, value] : map) object.append(key, value);
  return json::serialize(object);
}

Result<std::map<std::string, std::string>> decode_map(std::string_view text) {
  const auto document = json::parse(text);
  if (!document || document->if_object() == nullptr) return fail(Errc::kCorrupt, "'{}' is no JSON object", text);
  std::map<std::string, std::string> map;
  for (const auto& [key, value] : *document->if_object()) {
    if (value.if_string() == nullptr) return fail(Errc::kCorrupt, "'{}' of '{}' is no string", key, text);
    map.emplace(key, *value.if_string());
  }
  return map;
}

// "?,?,?": one statement text per number of rows, so that the database prepares few.
std::string placeholders(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += i == 0 ? "?" : ",?";
  return text;
}

Result<void> insert_message(Transaction& tx, QueueId queue, const QueuedMessage& message) {
  static const MessageContent::Extras kNone;
  const MessageContent& content = *message.content;
  const MessageContent::Extras& extras = content.extras ? *content.extras : kNone;
  const auto bytes = [](const auto& array) {
    return BlobView{{reinterpret_cast<const char*>(array.data()), array.size()}};
  };
  const auto result = tx.execute(
      "INSERT INTO message (id, queue_id, message_id, sent_at, available_at, sender_id, md5_of_body, body, attributes,"
      " trace_header, group_id, deduplication_id, dead_letter_source) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {message.row, queue, bytes(content.message_id.bytes), to_column(content.sent_at), to_column(message.available_at),
       TextView{content.sender_id}, bytes(content.md5_of_body), TextView{content.body},
       extras.attributes.empty() ? Param{} : Param{encode_attributes(extras.attributes)},
       optional_text(extras.trace_header), optional_text(extras.group_id), optional_text(extras.deduplication_id),
       message.dead_letter_source ? Param{*message.dead_letter_source} : Param{}});
  if (!result) return fail_with(result.error(), "inserting a message");
  return {};
}

Result<void> insert_deduplication(Transaction& tx, QueueId queue, const QueuedMessage& message) {
  const MessageContent& content = *message.content;
  const auto& id = content.message_id.bytes;
  LD_TRY([[maybe_unused]] auto inserted,
         tx.execute("INSERT INTO deduplication (id, queue_id, message_id, sent_at, group_id, deduplication_id)"
                    " VALUES (?,?,?,?,?,?)",
                    {message.row, queue, BlobView{{reinterpret_cast<const char*>(id.data()), id.size()}},
                     to_column(content.sent_at), TextView{content.group_id()}, TextView{content.deduplication_id()}}));
  return {};
}

Result<void> save_task(Transaction& tx, const MoveTaskRow& task) {
  LD_TRY(
      [[maybe_unused]] auto saved,
      tx.execute("INSERT INTO move_task (id, task_id, source, destination, per_second, status, failure, started_at,"
                 " to_move, moved) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
                 " status = excluded.status, failure = excluded.failure, moved = MAX(moved, excluded.moved)",
                 {task.id, TextView{task.task_id}, TextView{task.source},
                  task.destination ? Param{*task.destination} : Param{},
                  task.per_second ? Param{std::int64_t{*task.per_second}} : Param{}, TextView{status_text(task.status)},
                  optional_text(task.failure), to_column(task.started_at), task.to_move, task.moved}));
  return {};
}

Result<MoveTaskRow> read_task(const Row& row) {
  MoveTaskRow task{.id = row.integer(0), .task_id = row.text(1), .source = row.text(2)};
  if (!row.is_null(3)) task.destination = row.text(3);
  if (!row.is_null(4)) task.per_second = static_cast<int>(row.integer(4));
  using Status = MoveTaskRow::Status;
  bool known = false;
  for (const Status status :
       {Status::kRunning, Status::kCompleted, Status::kCancelling, Status::kCancelled, Status::kFailed}) {
    if (row.view(5) != status_text(status)) continue;
    task.status = status;
    known = true;
  }
  if (!known) return fail(Errc::kCorrupt, "move task {} has status '{}'", task.id, row.view(5));
  task.failure = row.text(6);
  task.started_at = to_time(row.integer(7));
  task.to_move = row.integer(8);
  task.moved = row.integer(9);
  return task;
}

Result<void> remove_rows(Transaction& tx, std::span<const RowId> rows) {
  // Ten at a time, the size of a batch request.
  while (!rows.empty()) {
    const auto part = rows.first(std::min<std::size_t>(rows.size(), 10));
    rows = rows.subspan(part.size());
    const std::vector<Param> params(part.begin(), part.end());
    const std::string list = placeholders(part.size());
    LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM message WHERE id IN (" + list + ")", params));
    LD_TRY([[maybe_unused]] auto states, tx.execute("DELETE FROM delivery WHERE message IN (" + list + ")", params));
  }
  return {};
}

Result<void> record_rows(Transaction& tx, const Store::Receive& receive) {
  if (receive.rows.empty()) return {};
  std::vector<Param> params{to_column(receive.received_at), to_column(receive.received_at),
                            to_column(receive.available_at), optional_text(receive.attempt)};
  params.insert(params.end(), receive.rows.begin(), receive.rows.end());
  // From the message's own row, so that one deleted meanwhile leaves no state behind.
  LD_TRY([[maybe_unused]] auto changed,
         tx.execute("INSERT INTO delivery (message, receive_count, first_received_at, received_at, available_at,"
                    " attempt) SELECT id, 1, ?, ?, ?, ? FROM message WHERE id IN (" +
                        placeholders(receive.rows.size()) +
                        ") ON CONFLICT (message) DO UPDATE SET receive_count = delivery.receive_count + 1,"
                        " received_at = excluded.received_at, available_at = excluded.available_at,"
                        " attempt = excluded.attempt",
                    params));
  return {};
}

Result<void> move_message(Transaction& tx, const Store::Move& move, QueueId queue) {
  LD_TRY(auto moved,
         tx.execute("UPDATE message SET id = ?, queue_id = ?, sent_at = ?, dead_letter_source = ?"
                    " WHERE id = ?",
                    {move.to.row, queue, to_column(move.to.content->sent_at), *move.to.dead_letter_source, move.from}));
  if (moved == 0) return {};  // deleted meanwhile
  LD_TRY([[maybe_unused]] auto state, tx.execute("UPDATE delivery SET message = ?, available_at = ? WHERE message = ?",
                                                 {move.to.row, to_column(move.to.available_at), move.from}));
  return {};
}

Result<QueueRow> read_queue(const Row& row) {
  QueueRow queue;
  queue.id = row.integer(0);
  queue.account = row.text(1);
  queue.region = row.text(2);
  queue.name = row.text(3);
  queue.created_at = to_time(row.integer(4));
  queue.modified_at = to_time(row.integer(5));
  LD_TRY(queue.attributes, decode_map(row.view(6)));
  LD_TRY(queue.tags, decode_map(row.view(7)));
  queue.purge_floor = row.integer(8);
  if (!row.is_null(9)) queue.purged_at = to_time(row.integer(9));
  return queue;
}

/// Reads message rows; shares the ARNs of dead-letter sources, which are few, between messages.
class MessageReader {
 public:
  Result<QueuedMessage> read(const Row& row) {
    auto content = std::make_shared<MessageContent>();
    const auto message_id = Uuid::from_bytes(row.view(2));
    const auto md5 = Uuid::from_bytes(row.view(6));
    if (!message_id || !md5)
      return fail(Errc::kCorrupt, "message row {} has an id or a digest of wrong size", row.integer(0));
    content->message_id = *message_id;
    content->md5_of_body = md5->bytes;
    content->sent_at = to_time(row.integer(3));
    content->sender_id = row.text(5);
    content->body = row.text(7);
    if (!row.is_null(8) || !row.is_null(9) || !row.is_null(10) || !row.is_null(17)) {
      auto extras = std::make_unique<MessageContent::Extras>();
      if (!row.is_null(8)) {
        LD_TRY(extras->attributes, decode_attributes(row.view(8)));
      }
      extras->trace_header = row.text(9);
      extras->group_id = row.text(10);
      extras->deduplication_id = row.text(17);
      content->extras = std::move(extras);
    }
    QueuedMessage message;
    message.row = row.integer(0);
    message.content = std::move(content);
    message.available_at = to_time(row.integer(4));
    if (!row.is_null(11)) message.dead_letter_source = share(row.view(11));
    if (!row.is_null(12)) {
      message.receive_count = static_cast<std::uint32_t>(row.integer(12));
      message.first_received_at = to_time(row.integer(13));
      message.received_at = to_time(row.integer(14));
      message.available_at = to_time(row.integer(15));
    }
    return message;
  }

 private:
  std::shared_ptr<const std::string> share(std::string_view arn) {
    auto& shared = sources_[std::string(arn)];
    if (!shared) shared = std::make_shared<const std::string>(arn);
    return shared;
  }
  std::unordered_map<std::string, std::shared_ptr<const std::string>> sources_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Loop& loop, std::string path, store::Durability durability) {
  LD_TRY(auto database, store::Database::open(loop, std::move(path), kMigrations, {.durability = durability}));
  std::unique_ptr<Store> store(new Store(std::move(database)));
  LD_TRY_VOID(store->begin_run());
  return store;
}

Result<void> Store::begin_run() {
  return database_->run_now([this](Transaction& tx) -> Result<void> {
    std::int64_t run = 0;
    LD_TRY_VOID(tx.query("SELECT name, value FROM setting", {}, [&](const Row& row) {
      const std::string_view value = row.view(1);
      if (row.view(0) == "run") std::from_chars(value.data(), value.data() + value.size(), run);
      if (row.view(0) == "secret") secret_ = hex_decode(value).value_or("");
    }));
    ++run;
    next_id_ = run << kIdsPerRunBits;
    LD_TRY([[maybe_unused]] auto changed, tx.execute("INSERT INTO setting (name, value) VALUES ('run', ?)"
                                                     " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                                     {std::to_string(run)}));
    return {};
  });
}

Result<void> Store::ensure_secret(const std::string& fresh) {
  if (!secret_.empty()) return {};
  LD_TRY_VOID(database_->run_now([&fresh](Transaction& tx) -> Result<void> {
    LD_TRY([[maybe_unused]] auto inserted,
           tx.execute("INSERT INTO setting (name, value) VALUES ('secret', ?)", {hex_encode(fresh)}));
    return {};
  }));
  secret_ = fresh;
  return {};
}

Result<void> Store::load(const Loading& loading) {
  return database_->run_now([&loading](Transaction& tx) -> Result<void> {
    std::optional<Error> failure;
    std::unordered_map<QueueId, RowId> floors;
    LD_TRY_VOID(
        tx.query("SELECT id, account, region, name, created_at, modified_at, attributes, tags, purge_floor,"
                 " purged_at FROM queue ORDER BY id",
                 {}, [&](const Row& row) {
                   auto queue = read_queue(row);
                   if (!queue) {
                     if (!failure) failure = std::move(queue).error();
                     return;
                   }
                   floors.emplace(queue->id, queue->purge_floor);
                   loading.queue(std::move(*queue));
                 }));
    LD_TRY_VOID(tx.query("SELECT account, region, name, deleted_at FROM deleted_queue", {}, [&](const Row& row) {
      loading.deleted({row.text(0), row.text(1), row.text(2), to_time(row.integer(3))});
    }));
    MessageReader reader;
    LD_TRY_VOID(
        tx.query("SELECT m.id, m.queue_id, m.message_id, m.sent_at, m.available_at, m.sender_id, m.md5_of_body, m.body,"
                 " m.attributes, m.trace_header, m.group_id, m.dead_letter_source,"
                 " d.receive_count, d.first_received_at, d.received_at, d.available_at, d.attempt, m.deduplication_id"
                 " FROM message m LEFT JOIN delivery d ON d.message = m.id ORDER BY m.id",
                 {}, [&](const Row& row) {
                   const auto floor = floors.find(row.integer(1));
                   if (floor == floors.end() || row.integer(0) < floor->second) {
                     loading.dead(row.integer(0));
                     return;
                   }
                   auto message = reader.read(row);
                   if (message) {
                     loading.message(floor->first, std::move(*message), row.view(16));
                   } else if (!failure) {
                     failure = std::move(message).error();
                   }
                 }));
    LD_TRY_VOID(tx.query(
        "SELECT id, queue_id, message_id, sent_at, group_id, deduplication_id FROM deduplication ORDER BY id", {},
        [&](const Row& row) {
          const auto message_id = Uuid::from_bytes(row.view(2));
          if (message_id) {
            loading.deduplication(
                {row.integer(0), row.integer(1), *message_id, to_time(row.integer(3)), row.text(4), row.text(5)});
          } else if (!failure) {
            failure = Error{Errc::kCorrupt, fmt::format("deduplication row {} has no message id", row.integer(0))};
          }
        }));
    LD_TRY_VOID(
        tx.query("SELECT id, task_id, source, destination, per_second, status, failure, started_at, to_move, moved"
                 " FROM move_task ORDER BY id",
                 {}, [&](const Row& row) {
                   auto task = read_task(row);
                   if (task) {
                     loading.move_task(std::move(*task));
                   } else if (!failure) {
                     failure = std::move(task).error();
                   }
                 }));
    if (failure) return std::unexpected(std::move(*failure));
    return {};
  });
}

Async<Result<void>> Store::insert_queue(QueueRow queue) {
  co_return co_await database_->write([queue = std::move(queue)](Transaction& tx) -> Result<void> {
    LD_TRY([[maybe_unused]] auto unblocked,
           tx.execute("DELETE FROM deleted_queue WHERE account = ? AND region = ? AND name = ?",
                      {queue.account, queue.region, queue.name}));
    LD_TRY([[maybe_unused]] auto inserted,
           tx.execute("INSERT INTO queue (id, account, region, name, created_at, modified_at, attributes, tags,"
                      " purge_floor, purged_at) VALUES (?,?,?,?,?,?,?,?,?,NULL)",
                      {queue.id, queue.account, queue.region, queue.name, to_column(queue.created_at),
                       to_column(queue.modified_at), encode_map(queue.attributes), encode_map(queue.tags),
                       queue.purge_floor}));
    return {};
  });
}

Async<Result<void>> Store::update_queue(QueueRow queue) {
  co_return co_await database_->write([queue = std::move(queue)](Transaction& tx) -> Result<void> {
    LD_TRY(auto changed,
           tx.execute("UPDATE queue SET modified_at = ?, attributes = ?, tags = ?, purge_floor = ?, purged_at = ?"
                      " WHERE id = ?",
                      {to_column(queue.modified_at), encode_map(queue.attributes), encode_map(queue.tags),
                       queue.purge_floor, queue.purged_at ? Param{to_column(*queue.purged_at)} : Param{}, queue.id}));
    if (changed == 0) return fail(Errc::kNotFound, "queue {} is gone", queue.name);
    return {};
  });
}

Async<Result<void>> Store::delete_queue(QueueId queue, DeletedQueueRow trace) {
  co_return co_await database_->write([queue, trace = std::move(trace)](Transaction& tx) -> Result<void> {
    LD_TRY([[maybe_unused]] auto deleted, tx.execute("DELETE FROM queue WHERE id = ?", {queue}));
    LD_TRY([[maybe_unused]] auto traced,
           tx.execute("INSERT INTO deleted_queue (account, region, name, deleted_at) VALUES (?,?,?,?)"
                      " ON CONFLICT (account, region, name) DO UPDATE SET deleted_at = excluded.deleted_at",
                      {trace.account, trace.region, trace.name, to_column(trace.deleted_at)}));
    return {};
  });
}

void Store::insert_messages(QueueId queue, Messages messages, Done done) {
  auto work = [queue, messages = std::move(messages)](Transaction& tx) -> Result<void> {
    for (const QueuedMessage& message : *messages) {
      LD_TRY_VOID(insert_message(tx, queue, message));
      if (!message.content->deduplication_id().empty()) LD_TRY_VOID(insert_deduplication(tx, queue, message));
    }
    return {};
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

void Store::record_receive(Receive receive, Moves moves, QueueId dead_letter_queue, Done done) {
  auto work = [receive = std::move(receive), moves = std::move(moves),
               dead_letter_queue](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(record_rows(tx, receive));
    for (const Move& move : *moves) LD_TRY_VOID(move_message(tx, move, dead_letter_queue));
    return {};
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

void Store::set_visibility(std::vector<Visibility> changes, Done done) {
  auto work = [changes = std::move(changes)](Transaction& tx) -> Result<void> {
    for (const Visibility& change : changes) {
      LD_TRY([[maybe_unused]] auto changed,
             tx.execute("UPDATE delivery SET available_at = ? WHERE message = ? AND receive_count = ?",
                        {to_column(change.available_at), change.row, std::int64_t{change.receive_count}}));
    }
    return {};
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

void Store::remove_messages(std::vector<RowId> rows, Done done) {
  auto work = [rows = std::move(rows)](Transaction& tx) -> Result<void> { return remove_rows(tx, rows); };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

Async<Result<void>> Store::remove_messages(std::vector<RowId> rows) {
  return database_->write([rows = std::move(rows)](Transaction& tx) -> Result<void> { return remove_rows(tx, rows); },
                          store::OnError::kUndoBatch);
}

Async<Result<void>> Store::remove_deduplications(std::vector<RowId> rows) {
  return database_->write(
      [rows = std::move(rows)](Transaction& tx) -> Result<void> {
        for (std::span<const RowId> rest = rows; !rest.empty();) {
          const auto part = rest.first(std::min<std::size_t>(rest.size(), 10));
          rest = rest.subspan(part.size());
          LD_TRY([[maybe_unused]] auto removed,
                 tx.execute("DELETE FROM deduplication WHERE id IN (" + placeholders(part.size()) + ")",
                            std::vector<Param>(part.begin(), part.end())));
        }
        return {};
      },
      store::OnError::kUndoBatch);
}

void Store::redrive(Redrives redrives, MoveTaskRow task, Done done) {
  auto work = [redrives = std::move(redrives), task = std::move(task)](Transaction& tx) -> Result<void> {
    for (const Redrive& redrive : *redrives) {
      LD_TRY(auto removed, tx.execute("DELETE FROM message WHERE id = ?", {redrive.from}));
      if (removed == 0) continue;
      LD_TRY([[maybe_unused]] auto state, tx.execute("DELETE FROM delivery WHERE message = ?", {redrive.from}));
      LD_TRY_VOID(insert_message(tx, redrive.queue, redrive.to));
    }
    return save_task(tx, task);
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

Async<Result<void>> Store::save_move_task(MoveTaskRow task) {
  return database_->write([task = std::move(task)](Transaction& tx) -> Result<void> { return save_task(tx, task); });
}

Async<Result<void>> Store::remove_move_task(std::int64_t id) {
  return database_->write([id](Transaction& tx) -> Result<void> {
    LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM move_task WHERE id = ?", {id}));
    return {};
  });
}

}  // namespace lambdad::sqs
