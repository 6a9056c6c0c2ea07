#include "execution/log_frames.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/json.h"

namespace lambdad::execution {

namespace {

constexpr std::uint32_t kMagic = 0xa55a0000;
constexpr std::uint32_t kTimestampBit = 2;

std::uint32_t read_u32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

bool LogFrames::push(std::string_view bytes, const std::function<void(std::string)>& take) {
  if (broken_) return false;
  rest_.append(bytes);
  std::string_view left = rest_;
  while (left.size() >= 8) {
    const std::uint32_t type = read_u32(left);
    const std::uint32_t length = read_u32(left.substr(4));
    if ((type & ~0x1fu) != kMagic || length > kMessageBytesMax) {
      broken_ = true;
      rest_.clear();
      return false;
    }
    const std::size_t head = (type & kTimestampBit) != 0 ? 16 : 8;
    if (left.size() < head + length) break;
    take(std::string(left.substr(head, length)));
    left.remove_prefix(head + length);
  }
  rest_.erase(0, rest_.size() - left.size());
  return true;
}

// Shared with the pending wait, so that destruction while it waits is safe.
struct LogFrameReader::State : std::enable_shared_from_this<State> {
  State(Loop& loop, int fd) : descriptor(loop.get_executor(), fd) {}

  void wait() {
    descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](boost::system::error_code code) {
                            if (!code && self->take && self->read_available()) self->wait();
                          });
  }

  // False at the end of the pipe and for what is no frame. Reads a bounded amount, as FunctionLog does.
  bool read_available() {
    char buffer[64 * 1024];
    for (int round = 0; round < 16; ++round) {
      const ssize_t count = ::read(descriptor.native_handle(), buffer, sizeof buffer);
      if (count > 0) {
        if (!frames.push({buffer, static_cast<std::size_t>(count)}, take)) return false;
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
    return true;
  }

  asio::posix::basic_stream_descriptor<Executor> descriptor;
  LogFrames frames;
  std::function<void(std::string)> take;
};

LogFrameReader::LogFrameReader(Loop& loop, UniqueFd pipe, std::function<void(std::string)> take) {
  ::fcntl(pipe.get(), F_SETFL, ::fcntl(pipe.get(), F_GETFL) | O_NONBLOCK);
  state_ = std::make_shared<State>(loop, pipe.release());
  state_->take = std::move(take);
  state_->wait();
}

LogFrameReader::~LogFrameReader() {
  drain();
  state_->take = nullptr;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

void LogFrameReader::drain() { state_->read_available(); }

bool keeps_line(const ports::LogSettings& settings, std::string_view line) {
  if (settings.format == ports::LogFormat::kText) return true;
  ports::LogLevel level = ports::LogLevel::kInfo;
  if (line.starts_with('{')) {
    if (const auto parsed = json::parse(line)) {
      const json::Value* said = parsed->find("level");
      const std::string* name = said == nullptr ? nullptr : said->if_string();
      if (name != nullptr) level = parse_log_level(*name).value_or(level);
    }
  }
  return level >= settings.application_level;
}

std::optional<ports::LogLevel> parse_log_level(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  using ports::LogLevel;
  if (upper == "WARNING") return LogLevel::kWarn;
  if (upper == "CRITICAL") return LogLevel::kFatal;
  for (const LogLevel level :
       {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError, LogLevel::kFatal}) {
    if (upper == name_of(level)) return level;
  }
  return std::nullopt;
}

std::string_view name_of(ports::LogLevel level) {
  switch (level) {
    case ports::LogLevel::kTrace: return "TRACE";
    case ports::LogLevel::kDebug: return "DEBUG";
    case ports::LogLevel::kInfo: return "INFO";
    case ports::LogLevel::kWarn: return "WARN";
    case ports::LogLevel::kError: return "ERROR";
    case ports::LogLevel::kFatal: return "FATAL";
  }
  return "INFO";
}

}  // namespace lambdad::execution
