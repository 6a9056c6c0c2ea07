#include "execution/function_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

namespace lambdad::execution {

namespace {
constexpr std::size_t kEventBytesMax = 256 * 1024;
constexpr std::size_t kTailBytesMax = 4096;
}  // namespace

// The pipe's read end. Shared with the pending wait, so that a detach while it waits is safe.
struct FunctionLog::Reader : std::enable_shared_from_this<FunctionLog::Reader> {
  Reader(Loop& loop, int fd, FunctionLog* log) : descriptor(loop.get_executor(), fd), owner(log) {}

  void wait() {
    descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](boost::system::error_code code) {
                            if (code || self->owner == nullptr) return;
                            if (self->read_available()) self->wait();
                          });
  }

  // False at the end of the pipe. Reads a bounded amount, so that a flooding function cannot keep the loop.
  bool read_available() {
    char buffer[64 * 1024];
    for (int round = 0; round < 16; ++round) {
      const ssize_t count = ::read(descriptor.native_handle(), buffer, sizeof buffer);
      if (count > 0) {
        owner->consume({buffer, static_cast<std::size_t>(count)});
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
    return true;
  }

  asio::posix::basic_stream_descriptor<Executor> descriptor;
  FunctionLog* owner;
};

FunctionLog::FunctionLog(Loop& loop, Clock& clock, ports::FunctionLogSink& sink, ports::FunctionVersionPtr function,
                         std::string stream)
    : loop_(loop), clock_(clock), sink_(sink), function_(std::move(function)), stream_(std::move(stream)) {}

FunctionLog::~FunctionLog() { detach(); }

void FunctionLog::attach(UniqueFd pipe) {
  detach();
  const int flags = ::fcntl(pipe.get(), F_GETFL);
  ::fcntl(pipe.get(), F_SETFL, flags | O_NONBLOCK);
  reader_ = std::make_shared<Reader>(loop_, pipe.release(), this);
  reader_->wait();
}

void FunctionLog::drain() {
  if (reader_) reader_->read_available();
}

void FunctionLog::detach() {
  if (reader_) {
    reader_->read_available();
    reader_->owner = nullptr;
    boost::system::error_code ignored;
    reader_->descriptor.close(ignored);
    reader_.reset();
  }
  if (!unfinished_.empty()) emit_printed(std::exchange(unfinished_, {}));
}

void FunctionLog::consume(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    const std::size_t room = kEventBytesMax - unfinished_.size();
    unfinished_.append(piece.substr(0, room));
    if (piece.size() > room) {
      emit_printed(std::exchange(unfinished_, {}));
      bytes.remove_prefix(room);
      continue;
    }
    if (newline == std::string_view::npos) return;
    emit_printed(std::exchange(unfinished_, {}));
    bytes.remove_prefix(newline + 1);
  }
}

void FunctionLog::platform(std::string line) {
  if (!unfinished_.empty()) emit_printed(std::exchange(unfinished_, {}));
  emit(std::move(line));
}

void FunctionLog::printed(std::string message) {
  if (!unfinished_.empty()) emit_printed(std::exchange(unfinished_, {}));
  if (message.ends_with('\n')) message.pop_back();
  emit_printed(std::move(message));
}

void FunctionLog::emit_printed(std::string line) {
  if (!on_printed || on_printed(line)) emit(std::move(line));
}

void FunctionLog::emit(std::string line) {
  for (char& c : line) {
    if (c == '\r') c = '\n';
  }
  if (tailing_) {
    tail_ += line;
    tail_ += '\n';
    if (tail_.size() > 2 * kTailBytesMax) tail_.erase(0, tail_.size() - kTailBytesMax);
  }
  sink_.append(*function_, stream_, clock_.wall(), std::move(line));
}

void FunctionLog::begin_tail() {
  tail_.clear();
  tailing_ = true;
}

std::string FunctionLog::take_tail() {
  tailing_ = false;
  if (tail_.size() > kTailBytesMax) tail_.erase(0, tail_.size() - kTailBytesMax);
  return std::exchange(tail_, {});
}

}  // namespace lambdad::execution
