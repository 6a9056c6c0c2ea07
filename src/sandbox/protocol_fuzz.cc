// Whatever bytes arrive, decoding ends without a crash and without allocating more than a multiple of them.
#include "sandbox/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad::sandbox;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  {
    Decoder decoder(packet);
    decoder.spec();
    if (decoder.finish() && decoder.failed()) __builtin_trap();
  }
  {
    Decoder decoder(packet);
    const ProcessSpec process = decoder.process();
    if (decoder.finish()) {
      // What was understood means the same when it is said again.
      Encoder again(decoder.header());
      again.process(process);
      if (again.bytes() != packet) __builtin_trap();
    }
  }
  Decoder(packet).exit();
  Decoder(packet).outcome();
  Decoder(packet).created();
  Decoder(packet).capabilities();
  return 0;
}
