#include <cstdint>
#include <string_view>

#include "services/logs/chunk.h"

// Whatever lies in the file is either refused or made of messages that lie inside it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad::logs;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto events = read_chunk(7, 1'767'225'600'000, bytes);
  if (!events) return 0;
  for (const ChunkEvent& event : *events) {
    if (event.message.data() < bytes.data() || event.message.data() + event.message.size() > bytes.data() + size) {
      __builtin_trap();
    }
  }
  return 0;
}
