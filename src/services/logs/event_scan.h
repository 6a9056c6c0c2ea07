#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "services/logs/chunk.h"
#include "services/logs/store.h"

namespace lambdad::logs {

/// Walks through the events of one stream or of a whole group, from where the query says, in its direction.
///
/// Chunks are read by the timestamp of their first event. Those of a group's streams overlap, so their events are
/// merged by a heap; an event is due once no chunk that is still unread can hold an earlier one (backward: a later
/// one), which a chunk's limited span tells. Lives inside one read transaction, on the reader thread.
class EventScan {
 public:
  EventScan(store::Transaction& tx, const Store::EventQuery& query) : tx_(tx), query_(query) {}
  Result<Store::EventPage> run();

 private:
  struct Chunk {
    std::string data;
    std::vector<ChunkEvent> events;  ///< in the query's direction, and only what it asks for
    std::size_t next = 0;
    std::int64_t ingested = 0;
    const std::string* stream = nullptr;
    const Position& position() const { return events[next].position; }
  };
  using ChunkPtr = std::shared_ptr<Chunk>;
  struct Later {
    bool backward;
    bool operator()(const ChunkPtr& a, const ChunkPtr& b) const {
      return backward ? a->position() < b->position() : b->position() < a->position();
    }
  };

  Result<void> read_chunks(std::int64_t scope, bool one_stream);
  Result<void> open(const store::Row& row);
  bool is_due(const Position& position) const;
  void take(Chunk& chunk);
  void stop(Position at);
  Result<const std::string*> stream_name(std::int64_t id);

  store::Transaction& tx_;
  const Store::EventQuery& query_;
  Store::EventPage page_;
  std::map<std::int64_t, std::string> names_;
  std::set<std::int64_t> unwanted_;
  std::int64_t first_ = 0;  ///< earliest timestamp that is shown
  Position start_;          ///< the page begins after it (backward: before it)
  std::priority_queue<ChunkPtr, std::vector<ChunkPtr>, Later> open_{Later{query_.backward}};
  Position read_to_;  ///< begin of the last chunk read
  bool all_read_ = false;
  bool done_ = false;
  int scanned_ = 0;
  std::int64_t scanned_bytes_ = 0;
  std::int64_t answer_bytes_ = 0;
};

}  // namespace lambdad::logs
