/// Events as they lie in the store: the ones of a stream that came together, in one row.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "services/logs/position.h"

namespace lambdad::logs {

/// From the first to the last event of a chunk, in milliseconds. What is read in the order of time looks this far
/// ahead.
inline constexpr std::int64_t kChunkSpanMax = 1000;
/// A chunk that holds this many bytes takes no further event.
inline constexpr std::size_t kChunkBytes = 256 * 1024;

/// Builds chunks out of events that come in the order of their timestamps. Each full chunk, and by finish() the last
/// one, goes to `store`, whose error ends the work.
class ChunkWriter {
 public:
  struct Chunk {
    std::int64_t id = 0;     ///< of its first event
    std::int64_t first = 0;  ///< timestamp of its first event
    std::int64_t events = 0;
    std::int64_t bytes = 0;  ///< in the measure of storedBytes
    std::string data;
  };
  using Store = std::function<Result<void>(Chunk)>;

  /// The first event gets `first_id`, the others the ids that follow.
  ChunkWriter(std::int64_t first_id, Store store) : next_id_(first_id), store_(std::move(store)) {}

  Result<void> add(std::int64_t timestamp, std::string_view message);
  Result<void> finish();
  std::int64_t bytes() const { return bytes_; }  ///< of all chunks, in the measure of storedBytes

 private:
  std::int64_t next_id_;
  Store store_;
  Chunk open_;
  std::int64_t bytes_ = 0;
};

struct ChunkEvent {
  Position position;
  std::string_view message;  ///< into the chunk's data
};

/// The events of a chunk; nullopt when `data` is not one.
std::optional<std::vector<ChunkEvent>> read_chunk(std::int64_t id, std::int64_t first, std::string_view data);

}  // namespace lambdad::logs
