#pragma once

#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/time.h"

namespace lambdad {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

/// One field of a log line. The value is text; control bytes are escaped when it is written.
struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view k, T v) : key(k), value(fmt::to_string(v)) {}
};

/// Lines on a descriptor (stderr by default): time, level, event name in snake_case, fields.
///
///   log.info("function_created", {{"function", arn}, {"request_id", id}});
///
/// Text: `2026-01-31T10:00:00.123Z INFO function_created function=arn:... request_id=...`; JSON: one object per line.
/// In text, values that are empty or hold a space, '=', '"' or '\\' are quoted. The time is the machine's. A line that
/// the descriptor does not take is lost. Never log payloads, environment variables or credentials. Thread-safe; a line
/// is one write.
class Logger {
 public:
  Logger(int fd, LogFormat format, LogLevel level);
  void debug(std::string_view event, std::initializer_list<LogField> fields = {});
  void info(std::string_view event, std::initializer_list<LogField> fields = {});
  void warn(std::string_view event, std::initializer_list<LogField> fields = {});
  void error(std::string_view event, std::initializer_list<LogField> fields = {});
  bool enabled(LogLevel level) const { return level >= level_; }

 private:
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);
  int fd_;
  LogFormat format_;
  LogLevel level_;
};

/// A logger that writes nowhere, for tests.
Logger& null_logger();

}  // namespace lambdad
