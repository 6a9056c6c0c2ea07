/// application/vnd.amazon.eventstream: the frames in which AWS streams events over a response.
///
///   total length (4) · headers length (4) · CRC-32 of these 8 bytes (4) · headers · payload · CRC-32 of all before (4)
///   header: name length (1) · name · type (1) · value, by type; numbers big-endian
///
/// Source: AWS SDKs' guide, "Event stream encoding"; limits as the SDKs enforce them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "aws/codec.h"
#include "aws/model.h"
#include "base/error.h"
#include "http/message.h"

namespace lambdad::aws {

namespace event_stream {

inline constexpr std::string_view kContentType = "application/vnd.amazon.eventstream";
inline constexpr std::size_t kHeadersBytesMax = 128 * 1024;
inline constexpr std::size_t kPayloadBytesMax = 24 * 1024 * 1024;

/// Headers of the type string, which are the only ones AWS's services use in responses.
struct Header {
  std::string name;   ///< 1..255 bytes
  std::string value;  ///< up to 32,767 bytes
  bool operator==(const Header&) const = default;
};

struct Message {
  std::vector<Header> headers;
  std::string payload;
  /// The first of this name; empty when there is none.
  std::string_view header(std::string_view name) const;
  bool operator==(const Message&) const = default;
};

/// Appends the frame of `message`, which must keep the limits.
void append(const Message& message, std::string& out);

/// Takes frames out of bytes that arrive in pieces. Headers of other types than string are read over.
///
/// kInvalid when a checksum is wrong, a length is impossible or above its limit, or the headers are malformed; nothing
/// can be read after that. Memory grows with the bytes that came, never with a length that is only announced.
class Decoder {
 public:
  void push(std::string_view bytes) { buffer_.append(bytes); }
  /// The next whole message; nullopt when more bytes are needed.
  Result<std::optional<Message>> next();
  /// No bytes of an unfinished message are left.
  bool at_boundary() const { return buffer_.empty(); }

 private:
  std::string buffer_;
};

}  // namespace event_stream

/// An event for RequestContext::events: `name` is the model's, `value` its structure.
template <class T>
Event make_event(std::string_view name, T value) {
  return Event{name, encode_output(std::move(value))};
}

/// The frame of `event`: a blob payload as application/octet-stream, everything else as application/json.
/// The operation must have an event of this name.
std::string encode_event(const OperationModel& operation, Event event);

/// Makes `response` send what `events` gives, frame by frame. In the JSON protocols its own body goes ahead as the
/// event "initial-response". Source: Smithy, "Event stream specification", initial messages.
void stream_events(const OperationModel& operation, Protocol protocol, EventSource events, http::Response& response);

}  // namespace lambdad::aws
