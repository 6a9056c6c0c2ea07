#include "services/logs/event_scan.h"

#include <algorithm>

#include "services/logs/limits.h"
#include "services/logs/rows.h"

namespace lambdad::logs {

using store::Row;

namespace {
constexpr std::int64_t kChunksAtOnce = 32;
}  // namespace

Result<Store::EventPage> EventScan::run() {
  LD_TRY(auto group, find_group(tx_, query_.group));
  if (!group) {
    page_.missing = Store::Missing::kGroup;
    return std::move(page_);
  }
  first_ = std::max(query_.first, expired_before(group->retention_days, query_.now));
  for (const std::string& name : query_.streams) {
    LD_TRY(auto id, find_stream(tx_, group->id, name));
    if (!id) {
      page_.missing = Store::Missing::kStream;
      return std::move(page_);
    }
    names_.emplace(*id, name);
  }
  const bool one_stream = names_.size() == 1;
  const std::int64_t scope = one_stream ? names_.begin()->first : group->id;
  start_ = query_.backward ? Position{query_.last, INT64_MAX} : Position{first_, 0};
  if (query_.from) start_ = query_.backward ? std::min(start_, *query_.from) : std::max(start_, *query_.from);
  read_to_ = query_.backward ? Position{start_.timestamp, INT64_MAX} : Position{start_.timestamp - kChunkSpanMax, 0};

  while (!done_) {
    if (open_.empty() || !is_due(open_.top()->position())) {
      if (all_read_) break;
      LD_TRY_VOID(read_chunks(scope, one_stream));
      continue;
    }
    const ChunkPtr chunk = open_.top();
    open_.pop();
    take(*chunk);
    if (++chunk->next < chunk->events.size()) open_.push(chunk);
  }
  if (query_.backward) std::ranges::reverse(page_.events);
  return std::move(page_);
}

Result<void> EventScan::read_chunks(std::int64_t scope, bool one_stream) {
#define LOGS_SELECT "SELECT id, stream_id, first, events, ingested, data FROM chunk WHERE "
#define LOGS_AFTER " = ?1 AND (first, id) > (?2, ?3) AND first <= ?4 ORDER BY first, id LIMIT ?5"
#define LOGS_BEFORE " = ?1 AND (first, id) < (?2, ?3) AND first >= ?4 ORDER BY first DESC, id DESC LIMIT ?5"
  std::string_view sql;
  if (one_stream) {
    sql = query_.backward ? LOGS_SELECT "stream_id" LOGS_BEFORE : LOGS_SELECT "stream_id" LOGS_AFTER;
  } else {
    sql = query_.backward ? LOGS_SELECT "group_id" LOGS_BEFORE : LOGS_SELECT "group_id" LOGS_AFTER;
  }
#undef LOGS_SELECT
#undef LOGS_AFTER
#undef LOGS_BEFORE
  const std::int64_t end = query_.backward ? first_ - kChunkSpanMax : query_.last;
  std::int64_t seen = 0;
  Result<void> failure;
  LD_TRY_VOID(
      tx_.query(sql, {scope, read_to_.timestamp, read_to_.id, end, std::int64_t{kChunksAtOnce}}, [&](const Row& row) {
        ++seen;
        if (failure) failure = open(row);
      }));
  LD_TRY_VOID(std::move(failure));
  all_read_ = seen < kChunksAtOnce;
  // Streams that nobody asked for can fill a page's worth of work too.
  if (!all_read_ && open_.empty() && scanned_bytes_ >= kScannedBytesMax) {
    const Position at = query_.backward ? Position{read_to_.timestamp + kChunkSpanMax + 1, 0} : read_to_;
    if (query_.backward ? at < start_ : start_ < at) stop(at);
  }
  return {};
}

Result<void> EventScan::open(const Row& row) {
  read_to_ = {row.integer(2), row.integer(0)};
  LD_TRY(const std::string* stream, stream_name(row.integer(1)));
  if (stream == nullptr) {
    scanned_bytes_ += row.integer(3) * kEventOverheadBytes;
    return {};
  }
  auto chunk = std::make_shared<Chunk>();
  chunk->data = row.text(5);
  chunk->stream = stream;
  chunk->ingested = row.integer(4);
  auto events = read_chunk(read_to_.id, read_to_.timestamp, chunk->data);
  if (!events)
    return fail(Errc::kCorrupt, "log events {} to {} are damaged", row.integer(0), row.integer(0) + row.integer(3));
  std::erase_if(*events, [this](const ChunkEvent& event) {
    const Position& at = event.position;
    return at.timestamp < first_ || at.timestamp > query_.last || (query_.backward ? at >= start_ : at <= start_);
  });
  if (query_.backward) std::ranges::reverse(*events);
  chunk->events = std::move(*events);
  if (!chunk->events.empty()) open_.push(std::move(chunk));
  return {};
}

bool EventScan::is_due(const Position& position) const {
  if (all_read_) return true;
  return query_.backward ? position.timestamp > read_to_.timestamp + kChunkSpanMax : position <= read_to_;
}

void EventScan::take(Chunk& chunk) {
  const ChunkEvent& event = chunk.events[chunk.next];
  const auto size = static_cast<std::int64_t>(event.message.size()) + kEventOverheadBytes;
  ++scanned_;
  scanned_bytes_ += size;
  if (query_.pattern.matches(event.message)) {
    if (!page_.events.empty() && answer_bytes_ + size > kAnswerBytesMax) return stop(start_);
    answer_bytes_ += size;
    page_.events.push_back({event.position, chunk.ingested, *chunk.stream, std::string(event.message)});
  }
  start_ = event.position;
  if (static_cast<int>(page_.events.size()) >= query_.limit || scanned_ >= kScannedEventsMax ||
      scanned_bytes_ >= kScannedBytesMax) {
    stop(start_);
  }
}

void EventScan::stop(Position at) {
  page_.stopped_at = at;
  done_ = true;
}

/// nullptr when the query does not want the stream.
Result<const std::string*> EventScan::stream_name(std::int64_t id) {
  if (const auto known = names_.find(id); known != names_.end()) return &known->second;
  if (!query_.streams.empty() || unwanted_.contains(id)) return nullptr;
  std::string name;
  LD_TRY_VOID(tx_.query("SELECT name FROM log_stream WHERE id = ?", {id}, [&](const Row& row) { name = row.text(0); }));
  if (!name.starts_with(query_.stream_prefix)) {
    unwanted_.insert(id);
    return nullptr;
  }
  return &names_.emplace(id, std::move(name)).first->second;
}

}  // namespace lambdad::logs
