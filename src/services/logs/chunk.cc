#include "services/logs/chunk.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "services/logs/limits.h"

namespace lambdad::logs {

Result<void> ChunkWriter::add(std::int64_t timestamp, std::string_view message) {
  if (open_.events > 0 && (timestamp - open_.first > kChunkSpanMax || open_.data.size() >= kChunkBytes)) {
    LD_TRY_VOID(finish());
  }
  if (open_.events == 0) {
    open_.id = next_id_;
    open_.first = timestamp;
  }
  const std::int64_t size = static_cast<std::int64_t>(message.size()) + kEventOverheadBytes;
  fmt::format_to(std::back_inserter(open_.data), "{} {}\n", timestamp - open_.first, message.size());
  open_.data.append(message);
  ++open_.events;
  ++next_id_;
  open_.bytes += size;
  bytes_ += size;
  return {};
}

Result<void> ChunkWriter::finish() {
  if (open_.events == 0) return {};
  return store_(std::exchange(open_, {}));
}

std::optional<std::vector<ChunkEvent>> read_chunk(std::int64_t id, std::int64_t first, std::string_view data) {
  std::vector<ChunkEvent> events;
  const auto number = [&data](std::int64_t& value, char end) {
    const auto [at, error] = std::from_chars(data.data(), data.data() + data.size(), value);
    if (error != std::errc() || value < 0 || at == data.data() + data.size() || *at != end) return false;
    data.remove_prefix(static_cast<std::size_t>(at - data.data()) + 1);
    return true;
  };
  while (!data.empty()) {
    std::int64_t offset = 0;
    std::int64_t size = 0;
    if (!number(offset, ' ') || offset > kChunkSpanMax || !number(size, '\n') || std::cmp_greater(size, data.size())) {
      return std::nullopt;
    }
    events.push_back({{first + offset, id}, data.substr(0, static_cast<std::size_t>(size))});
    data.remove_prefix(static_cast<std::size_t>(size));
    ++id;
  }
  return events;
}

}  // namespace lambdad::logs
