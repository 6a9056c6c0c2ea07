// Any bytes on the framed log descriptor, in any pieces: the same frames come out, and nothing else happens.
#include "base/error.h"
#include "execution/log_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using lambdad::execution::LogFrames;
  if (size == 0) return 0;
  const std::size_t piece = data[0] % 32 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole, pieces;
  LogFrames at_once, bit_by_bit;
  const bool good = at_once.push(bytes, [&](std::string message) { whole += message + '\n'; });
  bool also_good = true;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    also_good = bit_by_bit.push(bytes.substr(at, piece), [&](std::string message) { pieces += message + '\n'; });
  }
  LD_CHECK(whole == pieces && (bytes.empty() || good == also_good), "frames depend on how the bytes arrive");
  return 0;
}
