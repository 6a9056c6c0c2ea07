/// The decoder takes any bytes, however they are cut; what it reads is written back to the same frames when it consists
/// of what append() writes.
#include <cstddef>
#include <cstdint>

#include "aws/event_stream.h"

namespace {

using namespace lambdad;
using namespace lambdad::aws::event_stream;

std::vector<Message> read_all(std::string_view bytes, std::size_t step, bool& refused) {
  Decoder decoder;
  std::vector<Message> messages;
  while (!bytes.empty()) {
    decoder.push(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    for (;;) {
      auto message = decoder.next();
      refused = !message;
      if (refused) return messages;
      if (!*message) break;
      messages.push_back(std::move(**message));
    }
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bool refused = false;
  bool refused_in_pieces = false;
  const auto whole = read_all(bytes, bytes.size() + 1, refused);
  const auto pieces = read_all(bytes, 7, refused_in_pieces);
  LD_CHECK(whole == pieces && refused == refused_in_pieces, "read differently in pieces");

  // Arbitrary text as a message: what is written is read.
  Message message;
  const std::size_t split = std::min<std::size_t>(size, size > 0 ? data[0] : 0);
  if (split > 0)
    message.headers.push_back({std::string(bytes.substr(0, split)), std::string(bytes.substr(split / 2, 300))});
  message.payload = bytes;
  std::string frame;
  append(message, frame);
  Decoder decoder;
  decoder.push(frame);
  auto read = decoder.next();
  LD_CHECK(read && *read && **read == message && decoder.at_boundary(), "a message is not read as it was written");
  return 0;
}
