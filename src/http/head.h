/// The lines of a head: what the strict layer looks at before it decides.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"
#include "http/refusal.h"

namespace lambdad::http {

/// The fields that frame and route a message, noted while a head is read. Views into the head.
struct FramingFields {
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  int expectations = 0;
  std::string_view host;
  std::string_view length;
  std::string_view encoding;
  std::string_view expectation;
  bool close = false;
  bool keep_alive = false;

  void see(std::string_view name, std::string_view value);
};

struct RequestLine {
  std::string_view method;  ///< a token
  std::string_view target;  ///< not empty, without blanks; otherwise unchecked
  bool http_1_0 = false;
};

struct StatusLine {
  int status = 0;  ///< of three digits
  bool http_1_0 = false;
};

/// Takes the first line off the front of `head`, which is whole: every line ends in CRLF, an empty one ends it, and
/// there is no other control byte in it than HT.
std::optional<Refusal> read_request_line(std::string_view& head, RequestLine& line);
std::optional<Refusal> read_status_line(std::string_view& head, StatusLine& line);
/// Reads the field lines that are left into `headers`: each a token, a colon directly behind it, and a value, of which
/// blanks at both ends are dropped.
std::optional<Refusal> read_fields(std::string_view head, Headers& headers, FramingFields& framing);

}  // namespace lambdad::http
