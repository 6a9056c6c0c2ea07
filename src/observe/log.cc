#include "observe/log.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "system/clock.h"

namespace lambdad {

namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO";
    case LogLevel::kWarn: return "WARN";
    case LogLevel::kError: return "ERROR";
  }
  return "?";
}

bool is_plain(std::string_view value) {
  return !value.empty() && value.find_first_of(" =\"\\") == std::string_view::npos;
}

/// A value as it stands in a text line: bare when no reader could take it for more than one field, quoted otherwise.
void append_text_value(std::string& line, std::string_view value) {
  const std::string safe = escape_control(value);
  if (is_plain(safe)) {
    line += safe;
  } else if (safe == value) {
    json::append_quoted(line, safe);
  } else {
    // Control characters are visible already; escaping their backslashes again would hide them.
    line.push_back('"');
    for (const char c : safe) {
      if (c == '"') line.push_back('\\');
      line.push_back(c);
    }
    line.push_back('"');
  }
}

}  // namespace

Logger::Logger(int fd, LogFormat format, LogLevel level) : fd_(fd), format_(format), level_(level) {}

void Logger::debug(std::string_view event, std::initializer_list<LogField> fields) {
  write(LogLevel::kDebug, event, fields);
}
void Logger::info(std::string_view event, std::initializer_list<LogField> fields) {
  write(LogLevel::kInfo, event, fields);
}
void Logger::warn(std::string_view event, std::initializer_list<LogField> fields) {
  write(LogLevel::kWarn, event, fields);
}
void Logger::error(std::string_view event, std::initializer_list<LogField> fields) {
  write(LogLevel::kError, event, fields);
}

void Logger::write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!enabled(level) || fd_ < 0) return;
  std::string line;
  line.reserve(256);
  // The machine's own time, which operators compare with other logs, not AWS time, which a user may move.
  const std::string time = format_iso8601_ms(host_wall_time());
  if (format_ == LogFormat::kText) {
    fmt::format_to(std::back_inserter(line), "{} {} {}", time, name_of(level), escape_control(event));
    for (const LogField& field : fields) {
      fmt::format_to(std::back_inserter(line), " {}=", escape_control(field.key));
      append_text_value(line, field.value);
    }
  } else {
    json::Object object{{"time", time}, {"level", name_of(level)}, {"event", event}};
    for (const LogField& field : fields) object.append(std::string(field.key), field.value);
    line = json::serialize(std::move(object));
  }
  line.push_back('\n');

  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nowhere left to say it
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

Logger& null_logger() {
  static Logger logger(-1, LogFormat::kText, LogLevel::kError);
  return logger;
}

}  // namespace lambdad
