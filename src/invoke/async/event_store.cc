#include "invoke/async/event_store.h"

namespace lambdad::invoke {

namespace {

// Times are milliseconds since 1970 on AWS's clock. AUTOINCREMENT: an id is never used again, so that a log line
// names one event for ever.
constexpr store::Migration kMigrations[] = {
    {1, R"sql(
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  region TEXT NOT NULL,
  function TEXT NOT NULL,
  qualifier TEXT NOT NULL,
  request_id TEXT NOT NULL,
  trace_header TEXT NOT NULL,
  accepted_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  runs INTEGER NOT NULL,
  throttles INTEGER NOT NULL,
  payload BLOB NOT NULL
);
)sql"},
};

}  // namespace

Result<std::unique_ptr<EventStore>> EventStore::open(Loop& loop, const std::string& path,
                                                     store::Durability durability) {
  LD_TRY(auto database, store::Database::open(loop, path, kMigrations, {.durability = durability}));
  return std::unique_ptr<EventStore>(new EventStore(std::move(database)));
}

void EventStore::insert(std::shared_ptr<const Event> event, Inserted done) {
  LD_CHECK(event->payload.has_value());
  auto work = [event = std::move(event)](store::Transaction& tx) -> Result<std::int64_t> {
    auto inserted = tx.execute(
        "INSERT INTO event (account, region, function, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, "
        "throttles, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {store::TextView{event->function.account}, store::TextView{event->function.region},
         store::TextView{event->function.name}, store::TextView{event->function.qualifier},
         store::TextView{event->request_id}, store::TextView{event->trace_header},
         to_epoch_ms(event->progress.accepted), to_epoch_ms(event->due),
         static_cast<std::int64_t>(event->progress.runs), static_cast<std::int64_t>(event->progress.throttles),
         store::BlobView{*event->payload}});
    if (!inserted) return std::unexpected(inserted.error());
    return tx.last_insert_id();
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

Async<Result<void>> EventStore::update(std::int64_t id, EventProgress progress, WallTime due) {
  return database_->write(
      [=](store::Transaction& tx) -> Result<void> {
        auto changed = tx.execute("UPDATE event SET due_ms = ?, runs = ?, throttles = ? WHERE id = ?",
                                  {to_epoch_ms(due), static_cast<std::int64_t>(progress.runs),
                                   static_cast<std::int64_t>(progress.throttles), id});
        if (!changed) return std::unexpected(changed.error());
        return {};
      },
      store::OnError::kUndoBatch);
}

Async<Result<void>> EventStore::remove(std::int64_t id) {
  return database_->write(
      [=](store::Transaction& tx) -> Result<void> {
        auto changed = tx.execute("DELETE FROM event WHERE id = ?", {id});
        if (!changed) return std::unexpected(changed.error());
        return {};
      },
      store::OnError::kUndoBatch);
}

Async<Result<std::string>> EventStore::payload(std::int64_t id) {
  return database_->read([=](store::Transaction& tx) -> Result<std::string> {
    std::optional<std::string> found;
    LD_TRY_VOID(
        tx.query("SELECT payload FROM event WHERE id = ?", {id}, [&](const store::Row& row) { found = row.text(0); }));
    if (!found) return fail(Errc::kNotFound, "event {} has no row", id);
    return std::move(*found);
  });
}

Result<std::vector<Event>> EventStore::load() {
  std::vector<Event> events;
  LD_TRY_VOID(database_->run_now([&](store::Transaction& tx) {
    return tx.query(
        "SELECT id, account, region, function, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, "
        "throttles, length(payload) FROM event ORDER BY id",
        {}, [&](const store::Row& row) {
          Event event;
          event.id = row.integer(0);
          event.function = {row.text(1), row.text(2), row.text(3), row.text(4)};
          event.request_id = row.text(5);
          event.trace_header = row.text(6);
          event.progress.accepted = from_epoch_ms(row.integer(7));
          event.due = from_epoch_ms(row.integer(8));
          event.progress.runs = static_cast<int>(row.integer(9));
          event.progress.throttles = static_cast<int>(row.integer(10));
          event.payload_bytes = static_cast<std::size_t>(row.integer(11));
          events.push_back(std::move(event));
        });
  }));
  return events;
}

}  // namespace lambdad::invoke
