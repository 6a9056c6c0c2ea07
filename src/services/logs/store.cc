#include "services/logs/store.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/encoding.h"
#include "base/utf8.h"
#include "services/logs/chunk.h"
#include "services/logs/event_scan.h"
#include "services/logs/limits.h"
#include "services/logs/rows.h"
#include "services/logs/schema.h"

namespace lambdad::logs {

using store::Blob;
using store::Param;
using store::Row;
using store::Transaction;

std::string stored_message(const std::string& message) {
  std::string out;
  out.reserve(message.size() + 1);
  if (is_valid_utf8(message)) {
    out = message;
  } else {
    const char* at = message.data();
    const char* const end = at + message.size();
    while (at < end) {
      const auto character = decode_utf8(at, end);
      if (character.size == 0) {
        append_utf8(out, 0xFFFD);
        ++at;
      } else {
        out.append(at, character.size);
        at += character.size;
      }
    }
  }
  out.push_back('\n');
  return out;
}

Result<std::optional<FoundGroup>> find_group(Transaction& tx, const GroupKey& key) {
  std::optional<FoundGroup> found;
  LD_TRY_VOID(
      tx.query("SELECT id, retention_days, stored_bytes FROM log_group WHERE account = ? AND region = ? AND name = ?",
               {key.account, key.region, key.name}, [&](const Row& row) {
                 found = FoundGroup{row.integer(0), std::nullopt, row.integer(2)};
                 if (!row.is_null(1)) found->retention_days = static_cast<int>(row.integer(1));
               }));
  return found;
}

Result<std::optional<std::int64_t>> find_stream(Transaction& tx, std::int64_t group, const std::string& name) {
  std::optional<std::int64_t> id;
  LD_TRY_VOID(tx.query("SELECT id FROM log_stream WHERE group_id = ? AND name = ?", {group, name},
                       [&](const Row& row) { id = row.integer(0); }));
  return id;
}

namespace {

constexpr std::int64_t kChunksAtOnce = 256;        // read before looking whether enough is free
constexpr std::int64_t kDeadChunksPerWrite = 500;  // of deleted groups

std::optional<std::int64_t> optional_integer(const Row& row, int column) {
  return row.is_null(column) ? std::nullopt : std::optional(row.integer(column));
}

/// Stores `events`, whose timestamps do not fall, and returns what they count in storedBytes.
Result<std::int64_t> insert_events(Transaction& tx, std::int64_t group, std::int64_t stream,
                                   std::span<const NewEvent> events, std::int64_t now) {
  std::int64_t first_id = 0;
  LD_TRY_VOID(tx.query("UPDATE event_sequence SET next = next + ?1 RETURNING next - ?1",
                       {static_cast<std::int64_t>(events.size())}, [&](const Row& row) { first_id = row.integer(0); }));
  ChunkWriter writer(first_id, [&](ChunkWriter::Chunk chunk) -> Result<void> {
    LD_TRY([[maybe_unused]] auto inserted,
           tx.execute(
               "INSERT INTO chunk (id, group_id, stream_id, first, events, ingested, bytes, data)"
               " VALUES (?,?,?,?,?,?,?,?)",
               {chunk.id, group, stream, chunk.first, chunk.events, now, chunk.bytes, Blob{std::move(chunk.data)}}));
    return {};
  });
  for (const NewEvent& event : events) LD_TRY_VOID(writer.add(event.timestamp, event.message));
  LD_TRY_VOID(writer.finish());
  return writer.bytes();
}

Result<void> note_events(Transaction& tx, std::int64_t stream, std::int64_t first, std::int64_t last,
                         std::int64_t now) {
  LD_TRY([[maybe_unused]] auto changed,
         tx.execute("UPDATE log_stream SET first_event = min(coalesce(first_event, ?1), ?1),"
                    " last_event = max(coalesce(last_event, ?2), ?2), last_ingestion = ?3 WHERE id = ?4",
                    {first, last, now, stream}));
  return {};
}

/// Removes the oldest chunks of a group: all that end before `horizon`, and on until `bytes_to_free` are free. How many
/// bytes.
Result<std::int64_t> remove_oldest(Transaction& tx, std::int64_t group, std::int64_t horizon,
                                   std::int64_t bytes_to_free) {
  std::int64_t freed = 0;
  std::set<std::int64_t> streams;
  for (bool more = true; more;) {
    std::vector<std::int64_t> doomed;
    std::int64_t seen = 0;
    LD_TRY_VOID(tx.query("SELECT id, stream_id, first, bytes FROM chunk WHERE group_id = ? ORDER BY first, id LIMIT ?",
                         {group, std::int64_t{kChunksAtOnce}}, [&](const Row& row) {
                           ++seen;
                           more = more && (row.integer(2) < horizon - kChunkSpanMax || freed < bytes_to_free);
                           if (!more) return;
                           doomed.push_back(row.integer(0));
                           streams.insert(row.integer(1));
                           freed += row.integer(3);
                         }));
    more = more && seen == kChunksAtOnce;
    for (const std::int64_t id : doomed) {
      LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM chunk WHERE id = ?", {id}));
    }
  }
  for (const std::int64_t stream : streams) {
    LD_TRY([[maybe_unused]] auto updated,
           tx.execute("UPDATE log_stream SET first_event = (SELECT min(first) FROM chunk WHERE stream_id = ?1)"
                      " WHERE id = ?1",
                      {stream}));
    LD_TRY([[maybe_unused]] auto removed,
           tx.execute("DELETE FROM log_stream WHERE id = ? AND first_event IS NULL", {stream}));
  }
  return freed;
}

/// After `added` bytes went into the group: keeps its limits, and reclaims a little of what was deleted.
Result<void> upkeep(Transaction& tx, const FoundGroup& group, std::int64_t added, std::int64_t bytes_max,
                    std::int64_t now) {
  std::int64_t bytes = group.stored_bytes + added;
  const std::int64_t horizon = expired_before(group.retention_days, now);
  // A little below the limit, so that not every write has to remove something.
  const std::int64_t surplus = bytes > bytes_max ? bytes - (bytes_max - bytes_max / 64) : 0;
  bool expired = false;
  if (horizon > 0) {
    LD_TRY_VOID(tx.query("SELECT 1 FROM chunk WHERE group_id = ? AND first < ? LIMIT 1",
                         {group.id, horizon - kChunkSpanMax}, [&](const Row&) { expired = true; }));
  }
  if (expired || surplus > 0) {
    LD_TRY(auto freed, remove_oldest(tx, group.id, horizon, surplus));
    bytes -= freed;
  }
  LD_TRY([[maybe_unused]] auto changed,
         tx.execute("UPDATE log_group SET stored_bytes = ? WHERE id = ?", {bytes, group.id}));

  std::optional<std::int64_t> dead;
  LD_TRY_VOID(tx.query("SELECT id FROM dead_group LIMIT 1", {}, [&](const Row& row) { dead = row.integer(0); }));
  if (!dead) return {};
  LD_TRY(auto reclaimed, tx.execute("DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE group_id = ? LIMIT ?)",
                                    {*dead, std::int64_t{kDeadChunksPerWrite}}));
  if (reclaimed < kDeadChunksPerWrite) {
    LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM dead_group WHERE id = ?", {*dead}));
  }
  return {};
}

Result<void> append_stream(Transaction& tx, const Batch::Stream& lines, std::int64_t bytes_max, std::int64_t now) {
  LD_TRY(auto group, find_group(tx, lines.group));
  if (!group) {
    LD_TRY([[maybe_unused]] auto made,
           tx.execute("INSERT INTO log_group (account, region, name, created_at, stored_bytes) VALUES (?,?,?,?,0)",
                      {lines.group.account, lines.group.region, lines.group.name, now}));
    LD_TRY(group, find_group(tx, lines.group));
  }
  LD_TRY(auto stream, find_stream(tx, group->id, lines.name));
  if (!stream) {
    LD_TRY([[maybe_unused]] auto made, tx.execute("INSERT INTO log_stream (group_id, name, created_at) VALUES (?,?,?)",
                                                  {group->id, lines.name, now}));
    LD_TRY(stream, find_stream(tx, group->id, lines.name));
  }
  std::vector<NewEvent> events;
  events.reserve(lines.events.size() + 1);
  for (const NewEvent& event : lines.events) {
    // In the order in which they were printed, also when the clock was set back meanwhile.
    const std::int64_t earliest = events.empty() ? event.timestamp : events.back().timestamp;
    events.push_back({std::max(event.timestamp, earliest), stored_message(event.message)});
  }
  if (lines.dropped_events > 0) {
    // In the words of the Telemetry API, which is where AWS reports the same.
    events.push_back({events.empty() ? now : events.back().timestamp,
                      fmt::format(R"({{"type":"platform.logsDropped","record":{{"reason":"More was printed than could )"
                                  R"(be stored in time","droppedRecords":{},"droppedBytes":{}}}}})"
                                  "\n",
                                  lines.dropped_events, lines.dropped_bytes)});
  }
  if (events.empty()) return {};
  LD_TRY(auto bytes, insert_events(tx, group->id, *stream, events, now));
  LD_TRY_VOID(note_events(tx, *stream, events.front().timestamp, events.back().timestamp, now));
  return upkeep(tx, *group, bytes, bytes_max, now);
}

GroupRow group_row(const Row& row) {
  GroupRow group{.key = {row.text(0), row.text(1), row.text(2)},
                 .created_at = row.integer(3),
                 .retention_days = std::nullopt,
                 .stored_bytes = row.integer(5)};
  if (!row.is_null(4)) group.retention_days = static_cast<int>(row.integer(4));
  return group;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Loop& loop, std::string path, Options options) {
  LD_CHECK(options.group_bytes_max > 0);
  LD_TRY(auto database, store::Database::open(loop, std::move(path), kMigrations,
                                              {.durability = options.durability, .gives_way = true}));
  return std::unique_ptr<Store>(new Store(std::move(database), options));
}

Async<Result<bool>> Store::create_group(GroupKey group, Tags tags, std::int64_t now) {
  co_return co_await database_->write(
      [group = std::move(group), tags = std::move(tags), now](Transaction& tx) -> Result<bool> {
        LD_TRY(auto made, tx.execute("INSERT INTO log_group (account, region, name, created_at, stored_bytes)"
                                     " VALUES (?,?,?,?,0) ON CONFLICT DO NOTHING",
                                     {group.account, group.region, group.name, now}));
        if (made == 0) return false;
        LD_TRY(const auto found, find_group(tx, group));
        LD_TRY_VOID(put_tags(tx, found->id, tags));
        return true;
      });
}

Async<Result<Store::Missing>> Store::delete_group(GroupKey group) {
  co_return co_await database_->write([group = std::move(group)](Transaction& tx) -> Result<Missing> {
    LD_TRY(auto found, find_group(tx, group));
    if (!found) return Missing::kGroup;
    LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM log_group WHERE id = ?", {found->id}));
    LD_TRY([[maybe_unused]] auto streams, tx.execute("DELETE FROM log_stream WHERE group_id = ?", {found->id}));
    LD_TRY([[maybe_unused]] auto dead, tx.execute("INSERT INTO dead_group (id) VALUES (?)", {found->id}));
    return Missing::kNothing;
  });
}

Async<Result<Store::Missing>> Store::set_retention(GroupKey group, std::optional<int> days, std::int64_t now) {
  co_return co_await database_->write(
      [group = std::move(group), days, now, max = options_.group_bytes_max](Transaction& tx) -> Result<Missing> {
        LD_TRY(auto found, find_group(tx, group));
        if (!found) return Missing::kGroup;
        LD_TRY([[maybe_unused]] auto changed, tx.execute("UPDATE log_group SET retention_days = ? WHERE id = ?",
                                                         {days ? Param{std::int64_t{*days}} : Param{}, found->id}));
        found->retention_days = days;
        LD_TRY_VOID(upkeep(tx, *found, 0, max, now));
        return Missing::kNothing;
      });
}

Async<Result<Store::Created>> Store::create_stream(GroupKey group, std::string stream, std::int64_t now) {
  co_return co_await database_->write(
      [group = std::move(group), stream = std::move(stream), now](Transaction& tx) -> Result<Created> {
        LD_TRY(auto found, find_group(tx, group));
        if (!found) return Created::kNoGroup;
        LD_TRY(auto made, tx.execute("INSERT INTO log_stream (group_id, name, created_at) VALUES (?,?,?)"
                                     " ON CONFLICT DO NOTHING",
                                     {found->id, stream, now}));
        return made > 0 ? Created::kMade : Created::kExists;
      });
}

Async<Result<Store::Missing>> Store::delete_stream(GroupKey group, std::string stream) {
  co_return co_await database_->write(
      [group = std::move(group), stream = std::move(stream)](Transaction& tx) -> Result<Missing> {
        LD_TRY(auto found, find_group(tx, group));
        if (!found) return Missing::kGroup;
        LD_TRY(auto id, find_stream(tx, found->id, stream));
        if (!id) return Missing::kStream;
        LD_TRY([[maybe_unused]] auto counted,
               tx.execute("UPDATE log_group SET stored_bytes = stored_bytes -"
                          " (SELECT coalesce(sum(bytes), 0) FROM chunk WHERE stream_id = ?) WHERE id = ?",
                          {*id, found->id}));
        LD_TRY([[maybe_unused]] auto events, tx.execute("DELETE FROM chunk WHERE stream_id = ?", {*id}));
        LD_TRY([[maybe_unused]] auto removed, tx.execute("DELETE FROM log_stream WHERE id = ?", {*id}));
        return Missing::kNothing;
      });
}

Async<Result<Store::Missing>> Store::put(GroupKey group, std::string stream, std::vector<NewEvent> events,
                                         std::int64_t now) {
  co_return co_await database_->write([group = std::move(group), stream = std::move(stream), events = std::move(events),
                                       now, max = options_.group_bytes_max](Transaction& tx) -> Result<Missing> {
    LD_TRY(auto found, find_group(tx, group));
    if (!found) return Missing::kGroup;
    LD_TRY(auto id, find_stream(tx, found->id, stream));
    if (!id) return Missing::kStream;
    if (events.empty()) return Missing::kNothing;
    LD_TRY_VOID(note_events(tx, *id, events.front().timestamp, events.back().timestamp, now));
    LD_TRY(auto bytes, insert_events(tx, found->id, *id, events, now));
    LD_TRY_VOID(upkeep(tx, *found, bytes, max, now));
    return Missing::kNothing;
  });
}

Async<Result<void>> Store::append(std::shared_ptr<const Batch> batch, std::int64_t now) {
  co_return co_await database_->write(
      [batch = std::move(batch), now, max = options_.group_bytes_max](Transaction& tx) -> Result<void> {
        for (const Batch::Stream& stream : batch->streams) LD_TRY_VOID(append_stream(tx, stream, max, now));
        return {};
      });
}

Async<Result<std::optional<GroupRow>>> Store::group(GroupKey group) {
  co_return co_await database_->read([group = std::move(group)](Transaction& tx) -> Result<std::optional<GroupRow>> {
    std::optional<GroupRow> found;
    LD_TRY_VOID(
        tx.query("SELECT account, region, name, created_at, retention_days, stored_bytes FROM log_group"
                 " WHERE account = ? AND region = ? AND name = ?",
                 {group.account, group.region, group.name}, [&](const Row& row) { found = group_row(row); }));
    return found;
  });
}

Async<Result<std::vector<GroupRow>>> Store::groups(GroupQuery query) {
  co_return co_await database_->read([query = std::move(query)](Transaction& tx) -> Result<std::vector<GroupRow>> {
    std::vector<GroupRow> groups;
    LD_TRY_VOID(
        tx.query("SELECT account, region, name, created_at, retention_days, stored_bytes FROM log_group"
                 " WHERE account = ?1 AND region = ?2 AND name > ?3 AND substr(name, 1, length(?4)) = ?4"
                 " AND instr(name, ?5) > 0 ORDER BY name LIMIT ?6",
                 {query.account, query.region, query.after, query.prefix, query.substring, std::int64_t{query.limit}},
                 [&](const Row& row) { groups.push_back(group_row(row)); }));
    return groups;
  });
}

Async<Result<std::optional<std::vector<StreamRow>>>> Store::streams(StreamQuery query) {
  using Found = std::optional<std::vector<StreamRow>>;
  co_return co_await database_->read([query = std::move(query)](Transaction& tx) -> Result<Found> {
    LD_TRY(auto group, find_group(tx, query.group));
    if (!group) return Found{};
#define LOGS_STREAMS                                                                 \
  "SELECT name, created_at, first_event, last_event, last_ingestion FROM log_stream" \
  " WHERE group_id = ?1 AND substr(name, 1, length(?2)) = ?2 AND (?3 = 0 OR "
    std::string_view sql;
    if (query.order == StreamQuery::Order::kName) {
      // The time is bound and always the same, so that all four take the same parameters.
      sql = query.descending ? LOGS_STREAMS "(0, name) < (0 * ?4, ?5)) ORDER BY name DESC LIMIT ?6"
                             : LOGS_STREAMS "(0, name) > (0 * ?4, ?5)) ORDER BY name LIMIT ?6";
    } else {
      sql = query.descending ? LOGS_STREAMS
                "(coalesce(last_event, 0), name) < (?4, ?5)) ORDER BY coalesce(last_event, 0) DESC, name DESC LIMIT ?6"
                             : LOGS_STREAMS
                "(coalesce(last_event, 0), name) > (?4, ?5)) ORDER BY coalesce(last_event, 0), name LIMIT ?6";
    }
#undef LOGS_STREAMS
    Found found(std::in_place);
    LD_TRY_VOID(
        tx.query(sql,
                 {group->id, query.prefix, std::int64_t{query.after ? 1 : 0}, query.after ? query.after->first : 0,
                  query.after ? query.after->second : std::string(), std::int64_t{query.limit}},
                 [&](const Row& row) {
                   found->push_back({.name = row.text(0),
                                     .created_at = row.integer(1),
                                     .first_event = optional_integer(row, 2),
                                     .last_event = optional_integer(row, 3),
                                     .last_ingestion = optional_integer(row, 4)});
                 }));
    return found;
  });
}

Async<Result<Store::EventPage>> Store::events(EventQuery query) {
  co_return co_await database_->read(
      [query = std::move(query)](Transaction& tx) -> Result<EventPage> { return EventScan(tx, query).run(); });
}

}  // namespace lambdad::logs
