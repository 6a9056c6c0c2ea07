#include "invoke/async/event_store.h"

#include <algorithm>

namespace lambdad::invoke {

namespace {

using store::BlobView;
using store::Param;
using store::Row;
using store::TextView;
using store::Transaction;

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
    // Lanes: what is due next of one function is found without reading past anybody else's backlog. Large payloads have
    // a table of their own: a row is rewritten with every retry.
    {2, R"sql(
CREATE TABLE lane (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  region TEXT NOT NULL,
  function TEXT NOT NULL,
  UNIQUE (account, region, function)
);
INSERT INTO lane (account, region, function) SELECT DISTINCT account, region, function FROM event;
CREATE TABLE queued (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL,
  qualifier TEXT NOT NULL,
  request_id TEXT NOT NULL,
  trace_header TEXT NOT NULL,
  accepted_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  runs INTEGER NOT NULL,
  throttles INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  ended_ms INTEGER,
  condition TEXT,
  payload_bytes INTEGER NOT NULL,
  payload BLOB
);
INSERT INTO queued (id, lane, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, throttles, attempts,
                    payload_bytes, payload)
  SELECT event.id, lane.id, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, throttles,
         runs + throttles, length(payload), payload
  FROM event JOIN lane ON lane.account = event.account AND lane.region = event.region
                       AND lane.function = event.function;
DELETE FROM sqlite_sequence WHERE name = 'queued';
INSERT INTO sqlite_sequence (name, seq) SELECT 'queued', seq FROM sqlite_sequence WHERE name = 'event';
DROP TABLE event;
ALTER TABLE queued RENAME TO event;
CREATE INDEX event_due ON event (lane, due_ms) WHERE ended_ms IS NULL;
CREATE INDEX event_ended ON event (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE TABLE event_payload (
  event INTEGER PRIMARY KEY,
  payload BLOB NOT NULL
);
CREATE TABLE attempt (
  event INTEGER NOT NULL,
  number INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT NOT NULL,
  log BLOB NOT NULL,
  PRIMARY KEY (event, number)
) WITHOUT ROWID;
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  account TEXT NOT NULL,
  region TEXT NOT NULL,
  function TEXT NOT NULL,
  qualifier TEXT NOT NULL,
  request_id TEXT NOT NULL,
  target TEXT NOT NULL,
  role TEXT NOT NULL,
  trace_header TEXT NOT NULL,
  error_code TEXT NOT NULL,
  error_message TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX delivery_due ON delivery (due_ms);
CREATE INDEX delivery_event ON delivery (event);
)sql"},
};

// Larger payloads are in event_payload. About what still lies beside the rest of the row in a page.
constexpr std::size_t kInlinePayloadBytesMax = 2048;
// Rows that one page of list() looks at: the reader thread serves the queue as well.
constexpr std::int64_t kListRowsMax = 5'000;
constexpr std::size_t kShownPayloadBytesMax = 16 * 1024;

bool is_inline(std::size_t payload_bytes) { return payload_bytes <= kInlinePayloadBytesMax; }

constexpr std::string_view kEventColumns =
    "id, lane, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, throttles, attempts, payload_bytes";

Event read_event(const Row& row) {
  Event event;
  event.id = row.integer(0);
  event.lane = row.integer(1);
  event.function.qualifier = row.text(2);
  event.request_id = row.text(3);
  event.trace_header = row.text(4);
  event.progress.accepted = from_epoch_ms(row.integer(5));
  event.due = from_epoch_ms(row.integer(6));
  event.progress.runs = static_cast<int>(row.integer(7));
  event.progress.throttles = static_cast<int>(row.integer(8));
  event.attempts = static_cast<int>(row.integer(9));
  event.payload_bytes = static_cast<std::size_t>(row.integer(10));
  return event;
}
constexpr int kAfterEventColumns = 11;

constexpr std::string_view kDeliveryColumns =
    "id, kind, account, region, function, qualifier, request_id, target, role, trace_header, error_code, "
    "error_message, created_ms, due_ms, tries";

Delivery read_delivery(const Row& row) {
  Delivery delivery;
  delivery.id = row.integer(0);
  delivery.kind = static_cast<Delivery::Kind>(row.integer(1));
  delivery.function = {row.text(2), row.text(3), row.text(4), row.text(5)};
  delivery.request_id = row.text(6);
  delivery.target = row.text(7);
  delivery.role = row.text(8);
  delivery.trace_header = row.text(9);
  delivery.error_code = row.text(10);
  delivery.error_message = row.text(11);
  delivery.created = from_epoch_ms(row.integer(12));
  delivery.due = from_epoch_ms(row.integer(13));
  delivery.tries = static_cast<int>(row.integer(14));
  return delivery;
}
constexpr int kAfterDeliveryColumns = 15;

Result<void> insert_attempt(Transaction& tx, std::int64_t event, const Attempt& attempt) {
  LD_TRY_VOID(tx.execute(
      "INSERT INTO attempt (event, number, started_ms, ended_ms, outcome, error, log) VALUES (?, ?, ?, ?, ?, ?, ?)",
      {event, std::int64_t{attempt.number}, to_epoch_ms(attempt.started), to_epoch_ms(attempt.ended),
       TextView{attempt.outcome}, TextView{attempt.error}, BlobView{attempt.log}}));
  return {};
}

Result<std::int64_t> insert_delivery(Transaction& tx, std::int64_t event, const Delivery& delivery) {
  LD_TRY_VOID(
      tx.execute("INSERT INTO delivery (event, kind, account, region, function, qualifier, request_id, target, role, "
                 "trace_header, error_code, error_message, created_ms, due_ms, tries, body) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 {event, static_cast<std::int64_t>(delivery.kind), TextView{delivery.function.account},
                  TextView{delivery.function.region}, TextView{delivery.function.name},
                  TextView{delivery.function.qualifier}, TextView{delivery.request_id}, TextView{delivery.target},
                  TextView{delivery.role}, TextView{delivery.trace_header}, TextView{delivery.error_code},
                  TextView{delivery.error_message}, to_epoch_ms(delivery.created), to_epoch_ms(delivery.due),
                  std::int64_t{delivery.tries}, BlobView{delivery.body}}));
  return tx.last_insert_id();
}

// All that belongs to an event but the event itself and its deliveries.
Result<void> remove_parts(Transaction& tx, std::int64_t event) {
  LD_TRY_VOID(tx.execute("DELETE FROM attempt WHERE event = ?", {event}));
  LD_TRY_VOID(tx.execute("DELETE FROM event_payload WHERE event = ?", {event}));
  return {};
}

// What a commit changed about the dead letters that are kept.
struct DeadChange {
  std::int64_t count = 0;
  std::int64_t bytes = 0;
};

// Removes the oldest dead letters until what is kept, with `change`, is within `retention`.
Result<DeadChange> prune(Transaction& tx, DeadChange kept, DeadChange change, const EventStore::Retention& retention) {
  while (kept.count + change.count > retention.dead_max || kept.bytes + change.bytes > retention.dead_bytes_max) {
    std::optional<std::pair<std::int64_t, std::int64_t>> oldest;
    LD_TRY_VOID(tx.query("SELECT id, payload_bytes FROM event WHERE ended_ms IS NOT NULL ORDER BY ended_ms, id LIMIT 1",
                         {}, [&](const Row& row) { oldest.emplace(row.integer(0), row.integer(1)); }));
    if (!oldest) break;
    LD_TRY_VOID(remove_parts(tx, oldest->first));
    LD_TRY_VOID(tx.execute("DELETE FROM event WHERE id = ?", {oldest->first}));
    --change.count;
    change.bytes -= oldest->second;
  }
  return change;
}

}  // namespace

Result<std::unique_ptr<EventStore>> EventStore::open(Loop& loop, const std::string& path, Options options) {
  LD_TRY(auto database, store::Database::open(loop, path, kMigrations,
                                              {.durability = options.durability, .threads = options.threads}));
  return std::unique_ptr<EventStore>(new EventStore(std::move(database), options.retention));
}

Result<EventStore::Loaded> EventStore::load() {
  Loaded loaded;
  LD_TRY_VOID(database_->run_now([&](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(tx.query("SELECT coalesce(max(id), 0) FROM lane", {},
                         [&](const Row& row) { loaded.lane_last = row.integer(0); }));
    // Of functions that have been gone for long.
    LD_TRY_VOID(
        tx.execute("DELETE FROM lane WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.lane = lane.id AND "
                   "ended_ms IS NULL) AND NOT EXISTS (SELECT 1 FROM event WHERE ended_ms IS NOT NULL)",
                   {}));
    LD_TRY_VOID(tx.query("SELECT id, account, region, function FROM lane ORDER BY id", {}, [&](const Row& row) {
      loaded.lanes.push_back({row.integer(0), {row.text(1), row.text(2), row.text(3), ""}, 0, std::nullopt});
    }));
    std::int64_t homeless = 0;
    LD_TRY_VOID(tx.query("SELECT lane, count(*), min(due_ms) FROM event WHERE ended_ms IS NULL GROUP BY lane", {},
                         [&](const Row& row) {
                           const auto lane = std::ranges::lower_bound(loaded.lanes, row.integer(0), {}, &Lane::id);
                           if (lane == loaded.lanes.end() || lane->id != row.integer(0)) {
                             homeless += row.integer(1);
                             return;
                           }
                           lane->queued = row.integer(1);
                           lane->first_due = from_epoch_ms(row.integer(2));
                         }));
    if (homeless > 0) return fail(Errc::kCorrupt, "{} events name a lane that is not there", homeless);
    LD_TRY_VOID(tx.query("SELECT count(*), coalesce(sum(payload_bytes), 0) FROM event WHERE ended_ms IS NOT NULL", {},
                         [&](const Row& row) {
                           dead_ = row.integer(0);
                           dead_bytes_ = row.integer(1);
                         }));
    return tx.query("SELECT min(due_ms) FROM delivery", {}, [&](const Row& row) {
      if (!row.is_null(0)) loaded.first_delivery = from_epoch_ms(row.integer(0));
    });
  }));
  return loaded;
}

// --- the way of an event --------------------------------------------------------------------------------------------

void EventStore::insert(std::shared_ptr<const Event> event, LaneIs lane, Inserted done) {
  LD_CHECK(event->payload.has_value());
  auto work = [event = std::move(event), lane](Transaction& tx) -> Result<std::int64_t> {
    if (lane == LaneIs::kNew) {
      LD_TRY_VOID(
          tx.execute("INSERT INTO lane (id, account, region, function) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                     {event->lane, TextView{event->function.account}, TextView{event->function.region},
                      TextView{event->function.name}}));
    }
    const bool with_row = is_inline(event->payload_bytes);
    LD_TRY_VOID(tx.execute(
        "INSERT INTO event (lane, qualifier, request_id, trace_header, accepted_ms, due_ms, runs, throttles, attempts, "
        "payload_bytes, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {event->lane, TextView{event->function.qualifier}, TextView{event->request_id}, TextView{event->trace_header},
         to_epoch_ms(event->progress.accepted), to_epoch_ms(event->due), std::int64_t{event->progress.runs},
         std::int64_t{event->progress.throttles}, std::int64_t{event->attempts},
         static_cast<std::int64_t>(event->payload_bytes),
         with_row ? Param(BlobView{*event->payload}) : Param(std::monostate())}));
    const std::int64_t id = tx.last_insert_id();
    if (!with_row) {
      LD_TRY_VOID(
          tx.execute("INSERT INTO event_payload (event, payload) VALUES (?, ?)", {id, BlobView{*event->payload}}));
    }
    return id;
  };
  database_->write(std::move(work), store::OnError::kUndoBatch, std::move(done));
}

Async<Result<void>> EventStore::reschedule(std::shared_ptr<const Event> event, Attempt attempt) {
  return database_->write(
      [event = std::move(event), attempt = std::move(attempt)](Transaction& tx) -> Result<void> {
        LD_TRY_VOID(tx.execute("UPDATE event SET due_ms = ?, runs = ?, throttles = ?, attempts = ? WHERE id = ?",
                               {to_epoch_ms(event->due), std::int64_t{event->progress.runs},
                                std::int64_t{event->progress.throttles}, std::int64_t{event->attempts}, event->id}));
        return insert_attempt(tx, event->id, attempt);
      },
      store::OnError::kUndoBatch);
}

Async<Result<std::vector<std::int64_t>>> EventStore::end(std::shared_ptr<const Ending> ending) {
  struct Done {
    std::vector<std::int64_t> deliveries;
    DeadChange change;
  };
  // The bounds are kept as of what is committed now; endings that share a commit may go beyond them together until the
  // next one.
  auto work = [ending, kept = DeadChange{dead_, dead_bytes_}, retention = retention_](Transaction& tx) -> Result<Done> {
    Done done;
    for (const Delivery& delivery : ending->deliveries) {
      LD_TRY(auto id, insert_delivery(tx, ending->event, delivery));
      done.deliveries.push_back(id);
    }
    if (!ending->given_up) {
      // The first attempt leaves nothing behind but, with a large event, its payload.
      if (!ending->attempt || ending->attempt->number > 1) {
        LD_TRY_VOID(tx.execute("DELETE FROM attempt WHERE event = ?", {ending->event}));
      }
      std::int64_t bytes = 0;
      LD_TRY_VOID(tx.query("DELETE FROM event WHERE id = ? RETURNING payload_bytes", {ending->event},
                           [&](const Row& row) { bytes = row.integer(0); }));
      if (!is_inline(static_cast<std::size_t>(bytes))) {
        LD_TRY_VOID(tx.execute("DELETE FROM event_payload WHERE event = ?", {ending->event}));
      }
      return done;
    }
    if (ending->attempt) LD_TRY_VOID(insert_attempt(tx, ending->event, *ending->attempt));
    std::optional<std::int64_t> bytes;
    LD_TRY_VOID(
        tx.query("UPDATE event SET ended_ms = ?, condition = ?, runs = ?, attempts = ? "
                 "WHERE id = ? RETURNING payload_bytes",
                 {to_epoch_ms(ending->at), TextView{to_string(*ending->given_up)}, std::int64_t{ending->runs},
                  std::int64_t{ending->attempts}, ending->event},
                 [&](const Row& row) { bytes = row.integer(0); }));
    if (!bytes) return done;
    LD_TRY(done.change, prune(tx, kept, {1, *bytes}, retention));
    return done;
  };
  auto done = co_await database_->write(std::move(work), store::OnError::kUndoBatch);
  if (!done) co_return std::unexpected(std::move(done).error());
  dead_ += done->change.count;
  dead_bytes_ += done->change.bytes;
  co_return std::move(done->deliveries);
}

Async<Result<EventStore::Due<Event>>> EventStore::due(std::int64_t lane, ports::FunctionRef function, WallTime now,
                                                      std::unordered_set<std::int64_t> held, std::size_t limit,
                                                      std::size_t payload_bytes_max) {
  return database_->read([lane, function = std::move(function), now, held = std::move(held), limit,
                          payload_bytes_max](Transaction& tx) -> Result<Due<Event>> {
    static const std::string kSelect = fmt::format(
        "SELECT {}, payload FROM event WHERE lane = ? AND due_ms <= ? AND ended_ms IS NULL ORDER BY due_ms, id "
        "LIMIT ?",
        kEventColumns);
    Due<Event> due;
    std::size_t payload_bytes = 0;
    // Held ones are due as well and in the way; one row more tells whether that was all.
    const std::size_t rows_max = held.size() + limit + 1;
    std::size_t rows = 0;
    LD_TRY_VOID(tx.query(kSelect, {lane, to_epoch_ms(now), static_cast<std::int64_t>(rows_max)}, [&](const Row& row) {
      ++rows;
      if (held.contains(row.integer(0))) return;
      if (due.found.size() == limit) {
        due.all = false;
        return;
      }
      Event event = read_event(row);
      event.function.account = function.account;
      event.function.region = function.region;
      event.function.name = function.name;
      if (is_inline(event.payload_bytes) && payload_bytes + event.payload_bytes <= payload_bytes_max) {
        payload_bytes += event.payload_bytes;
        event.payload = row.text(kAfterEventColumns);
      }
      due.found.push_back(std::move(event));
    }));
    if (rows == rows_max) due.all = false;
    LD_TRY_VOID(tx.query("SELECT min(due_ms) FROM event WHERE lane = ? AND due_ms > ? AND ended_ms IS NULL",
                         {lane, to_epoch_ms(now)}, [&](const Row& row) {
                           if (!row.is_null(0)) due.next = from_epoch_ms(row.integer(0));
                         }));
    return due;
  });
}

Async<Result<std::string>> EventStore::payload(std::int64_t id) {
  return database_->read([=](Transaction& tx) -> Result<std::string> {
    std::optional<std::string> found;
    LD_TRY_VOID(
        tx.query("SELECT coalesce(event.payload, event_payload.payload) FROM event LEFT JOIN event_payload ON "
                 "event_payload.event = event.id WHERE event.id = ?",
                 {id}, [&](const Row& row) {
                   if (!row.is_null(0)) found = row.text(0);
                 }));
    if (!found) return fail(Errc::kNotFound, "event {} has no row", id);
    return std::move(*found);
  });
}

// --- deliveries -----------------------------------------------------------------------------------------------------

Async<Result<EventStore::Due<Delivery>>> EventStore::due_deliveries(WallTime now, std::unordered_set<std::int64_t> held,
                                                                    std::size_t limit) {
  return database_->read([now, held = std::move(held), limit](Transaction& tx) -> Result<Due<Delivery>> {
    static const std::string kSelect =
        fmt::format("SELECT {}, body FROM delivery WHERE due_ms <= ? ORDER BY due_ms, id LIMIT ?", kDeliveryColumns);
    Due<Delivery> due;
    const std::size_t rows_max = held.size() + limit + 1;
    std::size_t rows = 0;
    LD_TRY_VOID(tx.query(kSelect, {to_epoch_ms(now), static_cast<std::int64_t>(rows_max)}, [&](const Row& row) {
      ++rows;
      if (held.contains(row.integer(0))) return;
      if (due.found.size() == limit) {
        due.all = false;
        return;
      }
      due.found.push_back(read_delivery(row));
      due.found.back().body = row.text(kAfterDeliveryColumns);
    }));
    if (rows == rows_max) due.all = false;
    LD_TRY_VOID(tx.query("SELECT min(due_ms) FROM delivery WHERE due_ms > ?", {to_epoch_ms(now)}, [&](const Row& row) {
      if (!row.is_null(0)) due.next = from_epoch_ms(row.integer(0));
    }));
    return due;
  });
}

Async<Result<void>> EventStore::reschedule_delivery(std::int64_t id, int tries, WallTime due) {
  return database_->write(
      [=](Transaction& tx) -> Result<void> {
        LD_TRY_VOID(tx.execute("UPDATE delivery SET tries = ?, due_ms = ? WHERE id = ?",
                               {std::int64_t{tries}, to_epoch_ms(due), id}));
        return {};
      },
      store::OnError::kUndoBatch);
}

Async<Result<void>> EventStore::remove_delivery(std::int64_t id) {
  return database_->write(
      [=](Transaction& tx) -> Result<void> {
        LD_TRY_VOID(tx.execute("DELETE FROM delivery WHERE id = ?", {id}));
        return {};
      },
      store::OnError::kUndoBatch);
}

// --- for people -----------------------------------------------------------------------------------------------------

namespace {

const std::string& shown_columns() {
  static const std::string kColumns = fmt::format("{}, ended_ms, condition", kEventColumns);
  return kColumns;
}

EventStore::Shown read_shown(const Row& row) {
  EventStore::Shown shown;
  shown.event = read_event(row);
  if (!row.is_null(kAfterEventColumns)) shown.ended = from_epoch_ms(row.integer(kAfterEventColumns));
  if (!row.is_null(kAfterEventColumns + 1)) shown.condition = row.text(kAfterEventColumns + 1);
  return shown;
}

Result<void> name_function(Transaction& tx, Event& event) {
  return tx.query("SELECT account, region, function FROM lane WHERE id = ?", {event.lane}, [&](const Row& row) {
    event.function.account = row.text(0);
    event.function.region = row.text(1);
    event.function.name = row.text(2);
  });
}

}  // namespace

Async<Result<EventStore::Page>> EventStore::list(Filter filter) {
  return database_->read([filter = std::move(filter)](Transaction& tx) -> Result<Page> {
    std::optional<std::int64_t> lane;
    Page page;
    if (filter.function) {
      LD_TRY_VOID(tx.query("SELECT id FROM lane WHERE account = ? AND region = ? AND function = ?",
                           {filter.function->account, filter.function->region, filter.function->name},
                           [&](const Row& row) { lane = row.integer(0); }));
      if (!lane) return page;
    }
    // Dead ones are few and have an index (an expression keeps the order of ids from being preferred to it); what is
    // queued is looked through in the order of ids.
    const bool dead_only = filter.state == Filter::State::kDead;
    const std::string select =
        dead_only ? fmt::format("SELECT {} FROM event WHERE ended_ms > 0 AND id + 0 > ? ORDER BY id + 0 LIMIT ?",
                                shown_columns())
                  : fmt::format("SELECT {} FROM event WHERE id > ? ORDER BY id LIMIT ?", shown_columns());
    std::int64_t rows = 0;
    std::int64_t last = filter.after;
    bool full = false;
    LD_TRY_VOID(tx.query(select, {filter.after, kListRowsMax}, [&](const Row& row) {
      ++rows;
      if (full) return;
      const bool is_dead = !row.is_null(kAfterEventColumns);
      const bool wanted = (!lane || *lane == row.integer(1)) && (filter.state != Filter::State::kQueued || !is_dead);
      if (wanted && page.events.size() == filter.limit) {
        full = true;
        return;
      }
      last = row.integer(0);
      if (wanted) page.events.push_back(read_shown(row));
    }));
    for (Shown& shown : page.events) LD_TRY_VOID(name_function(tx, shown.event));
    if (full || rows == kListRowsMax) page.after = last;
    return page;
  });
}

Async<Result<EventStore::Details>> EventStore::show(std::int64_t id) {
  return database_->read([id](Transaction& tx) -> Result<Details> {
    std::optional<Details> found;
    LD_TRY_VOID(tx.query(fmt::format("SELECT {} FROM event WHERE id = ?", shown_columns()), {id},
                         [&](const Row& row) { found.emplace().shown = read_shown(row); }));
    if (!found) return fail(Errc::kNotFound, "there is no event {}", id);
    LD_TRY_VOID(name_function(tx, found->shown.event));
    LD_TRY_VOID(tx.query(
        "SELECT substr(coalesce(event.payload, event_payload.payload), 1, ?) FROM event LEFT JOIN "
        "event_payload ON event_payload.event = event.id WHERE event.id = ?",
        {static_cast<std::int64_t>(kShownPayloadBytesMax), id}, [&](const Row& row) { found->payload = row.text(0); }));
    LD_TRY_VOID(tx.query(
        "SELECT number, started_ms, ended_ms, outcome, error, log FROM attempt WHERE event = ? ORDER BY number", {id},
        [&](const Row& row) {
          found->attempts.push_back({static_cast<int>(row.integer(0)), from_epoch_ms(row.integer(1)),
                                     from_epoch_ms(row.integer(2)), row.text(3), row.text(4), row.text(5)});
        }));
    LD_TRY_VOID(tx.query(fmt::format("SELECT {} FROM delivery WHERE event = ? ORDER BY id", kDeliveryColumns), {id},
                         [&](const Row& row) { found->deliveries.push_back(read_delivery(row)); }));
    return std::move(*found);
  });
}

Async<Result<Event>> EventStore::revive(std::int64_t id, WallTime now) {
  auto revived = co_await database_->write([id, now](Transaction& tx) -> Result<Event> {
    static const std::string kUpdate = fmt::format(
        "UPDATE event SET ended_ms = NULL, condition = NULL, accepted_ms = ?, due_ms = ?, runs = 0, "
        "throttles = 0 WHERE id = ? AND ended_ms IS NOT NULL RETURNING {}",
        kEventColumns);
    std::optional<Event> found;
    LD_TRY_VOID(
        tx.query(kUpdate, {to_epoch_ms(now), to_epoch_ms(now), id}, [&](const Row& row) { found = read_event(row); }));
    if (!found) return fail(Errc::kNotFound, "there is no event {} that was given up", id);
    LD_TRY_VOID(name_function(tx, *found));
    return std::move(*found);
  });
  if (revived) {
    --dead_;
    dead_bytes_ -= static_cast<std::int64_t>(revived->payload_bytes);
  }
  co_return revived;
}

Async<Result<void>> EventStore::drop(std::int64_t id) {
  auto dropped = co_await database_->write([id](Transaction& tx) -> Result<DeadChange> {
    std::optional<DeadChange> change;
    LD_TRY_VOID(tx.query("DELETE FROM event WHERE id = ? RETURNING ended_ms, payload_bytes", {id}, [&](const Row& row) {
      change = row.is_null(0) ? DeadChange{} : DeadChange{-1, -row.integer(1)};
    }));
    if (!change) return fail(Errc::kNotFound, "there is no event {}", id);
    LD_TRY_VOID(remove_parts(tx, id));
    return *change;
  });
  if (!dropped) co_return std::unexpected(std::move(dropped).error());
  dead_ += dropped->count;
  dead_bytes_ += dropped->bytes;
  co_return Result<void>();
}

}  // namespace lambdad::invoke
