#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ports/functions.h"
#include "system/async.h"
#include "system/files.h"

namespace lambdad::execution {

/// Cuts what a runtime writes to _LAMBDA_TELEMETRY_LOG_FD into messages.
///
/// | bytes | meaning, big-endian |
/// | --- | --- |
/// | 4 | type: 0xa55a0000 plus bit 0 text (else JSON), bit 1 with a timestamp, bits 2..4 level (in JSON also in the
/// message) | | 4 | length of the message | | 8 | microseconds since 1970; only with bit 1 | | length | the message,
/// UTF-8 | So 0xa55a0001 is the older frame without, 0xa55a0003 the newer with a timestamp. Source: AWS's runtime
/// interface clients for Python, Node.js and Java.
class LogFrames {
 public:
  static constexpr std::size_t kMessageBytesMax = 1024 * 1024;
  /// The next bytes of the pipe. False, from then on, when they are no frames or one is longer than kMessageBytesMax.
  bool push(std::string_view bytes, const std::function<void(std::string)>& take);

 private:
  std::string rest_;
  bool broken_ = false;
};

/// Reads frames from a pipe until its end or until it is destroyed. Threading: the loop only.
class LogFrameReader {
 public:
  LogFrameReader(Loop& loop, UniqueFd pipe, std::function<void(std::string)> take);
  ~LogFrameReader();
  LogFrameReader(const LogFrameReader&) = delete;
  LogFrameReader& operator=(const LogFrameReader&) = delete;
  /// Takes everything that is in the pipe now.
  void drain();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Whether a printed line is kept in the JSON format: its "level" member against the application log level. A line that
/// is no JSON object, or has no known level, counts as INFO. In the text format everything is kept.
/// Source: Lambda Developer Guide, "Log-level filtering".
bool keeps_line(const ports::LogSettings& settings, std::string_view line);
/// "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" in any case; also WARNING and CRITICAL, as Python says.
std::optional<ports::LogLevel> parse_log_level(std::string_view name);
std::string_view name_of(ports::LogLevel level);

}  // namespace lambdad::execution
