#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/refusal.h"

namespace lambdad::http {

/// Takes a message body out of its framing: a known length, strict chunks, or everything until the peer closes.
///
/// Chunks are read as RFC 9112 section 7.1 writes them and no more leniently: CRLF only, a size of 1 to 16 hexadecimal
/// digits directly followed by CRLF or a well-formed extension (ignored; 256 bytes a line), CRLF after the data.
/// Memory grows with the bytes that came, never with a size that a peer only announces.
class BodyDecoder {
 public:
  enum class State { kMore, kComplete, kRefused };

  void expect_none() { begin(Mode::kNone, 0, 0, State::kComplete); }
  void expect_length(std::uint64_t length);  ///< the caller has compared it with the limit
  void expect_chunks(std::size_t body_bytes_max, std::size_t trailer_bytes_max);
  void expect_until_close(std::size_t body_bytes_max);

  /// Takes bytes from the front, appends what is body to `body` and trailer fields to `trailers`; returns how many
  /// bytes were taken: all of them while more is needed.
  std::size_t push(std::string_view bytes, std::string& body, Headers& trailers);
  /// The caller has taken `count` bytes out of `body`; they still count against the limit.
  void taken(std::size_t count) {
    if (mode_ == Mode::kChunks || mode_ == Mode::kUntilClose) body_bytes_max_ -= count;
  }
  /// Room at the end of `body` that a read may fill; empty unless a length is expected. Afterwards filled() must be
  /// called with the count of bytes read, zero included.
  std::span<char> room(std::string& body);
  void filled(std::size_t count, std::string& body);

  bool lasts_until_close() const { return mode_ == Mode::kUntilClose; }
  State state() const { return state_; }
  Refusal refusal() const { return refusal_; }

 private:
  enum class Mode { kNone, kLength, kChunks, kUntilClose };
  enum class Part { kSize, kData, kDataEnd, kTrailer };

  void begin(Mode mode, std::uint64_t remaining, std::size_t body_bytes_max, State state);
  State refuse(Refusal why);
  std::size_t push_chunks(std::string_view bytes, std::string& body, Headers& trailers);
  void end_of_size_line(std::string_view line, std::size_t body_size);
  void end_of_trailer_line(std::string_view line, Headers& trailers);

  Mode mode_ = Mode::kNone;
  Part part_ = Part::kSize;
  State state_ = State::kComplete;
  Refusal refusal_ = Refusal::kChunk;
  std::uint64_t remaining_ = 0;  // of the body, or of the chunk
  std::size_t body_bytes_max_ = 0;
  std::size_t trailer_bytes_left_ = 0;
  std::size_t roomed_ = 0;  // bytes handed out by room()
  std::string line_;        // a line that is not whole yet
};

/// Whether `name` is a token of RFC 9110 section 5.6.2.
bool is_token(std::string_view name);
/// Whether `value` can stand in a header: no control byte other than HT.
bool is_header_value(std::string_view value);
/// A trailer must not say again what the head has said about framing, routing or trust.
bool is_forbidden_in_trailer(std::string_view name);
/// Without spaces and tabs at both ends.
std::string_view trim_blanks(std::string_view text);

}  // namespace lambdad::http
