#pragma once

// The least HTTP/1.1 a floor program needs: one thread, level-triggered epoll, keep-alive, Content-Length only. What a
// benchmark client would never send ends the program: a floor that answers wrongly must not be measured.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace floor_bench {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Connection {
  int fd;
  std::uint64_t number;  ///< never used twice, unlike the descriptor
  std::string input;
};

struct Message {
  std::string_view head;  ///< with the request line, without the empty line
  std::string_view body;
  bool is_post() const { return head.starts_with("POST "); }
  std::string_view path() const {
    const std::size_t begin = head.find(' ') + 1;
    return head.substr(begin, head.find(' ', begin) - begin);
  }
};

inline std::size_t content_length(std::string_view head) {
  static constexpr char kName[] = "\ncontent-length:";
  // `head` lies in a std::string, so that a 0 ends it; the match must lie before its end.
  const char* at = ::strcasestr(head.data(), kName);
  if (at == nullptr || at >= head.data() + head.size()) return 0;
  return std::strtoul(at + sizeof kName - 1, nullptr, 10);
}

/// Sends all of `bytes`; small answers always fit the socket's buffer.
inline void send_all(int fd, std::string_view bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;  // its end is reported by epoll
  if (sent != static_cast<ssize_t>(bytes.size())) die("send");
}

/// A server on 127.0.0.1. Prints "port N" once it listens, then calls on_message(connection, message) per request,
/// on_closed(connection) when a peer is gone, and after_round() when everything epoll reported has been handled.
class Server {
 public:
  Server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 1024) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      die("listen");
    }
    watch(listener_, nullptr);
    std::printf("port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);
  }

  template <class OnMessage, class OnClosed, class AfterRound>
  [[noreturn]] void run(OnMessage on_message, OnClosed on_closed, AfterRound after_round) {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[i].data.ptr);
        if (connection == nullptr) {
          accept_one();
        } else if (!read(*connection, on_message)) {
          on_closed(*connection);
          ::close(connection->fd);
          delete connection;
        }
      }
      after_round();
    }
  }

 private:
  void watch(int fd, Connection* connection) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = connection}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_one() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(fd, new Connection{fd, ++accepted_, {}});
  }

  template <class OnMessage>
  bool read(Connection& connection, OnMessage& on_message) {
    std::array<char, 16384> buffer;
    const ssize_t count = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (count <= 0) return false;
    connection.input.append(buffer.data(), static_cast<std::size_t>(count));
    std::size_t begin = 0;
    for (;;) {
      const std::string_view rest = std::string_view(connection.input).substr(begin);
      const std::size_t end = rest.find("\r\n\r\n");
      if (end == std::string_view::npos) break;
      const std::string_view head = rest.substr(0, end + 2);
      const std::size_t length = content_length(head);
      if (rest.size() < end + 4 + length) break;
      on_message(connection, Message{head, rest.substr(end + 4, length)});
      begin += end + 4 + length;
    }
    connection.input.erase(0, begin);
    return true;
  }

  int listener_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::uint64_t accepted_ = 0;
};

/// A log whose blocks are written before the measurement, so that a commit changes no metadata: records gather in
/// memory, commit() writes and syncs them. Wraps around at its end.
class Log {
 public:
  explicit Log(const char* path) : fd_(::open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    const std::string zeros(1 << 20, '\0');
    for (off_t at = 0; at < kSize; at += static_cast<off_t>(zeros.size())) {
      if (::pwrite(fd_, zeros.data(), zeros.size(), at) != static_cast<ssize_t>(zeros.size())) die("pwrite");
    }
    if (::fsync(fd_) != 0) die("fsync");
  }
  void append(std::string_view record) {
    const auto size = static_cast<std::uint32_t>(record.size());
    pending_.append(reinterpret_cast<const char*>(&size), sizeof size);
    pending_.append(record);
  }
  void commit() {
    if (end_ + static_cast<off_t>(pending_.size()) > kSize) end_ = 0;
    if (::pwrite(fd_, pending_.data(), pending_.size(), end_) != static_cast<ssize_t>(pending_.size())) die("pwrite");
    if (::fdatasync(fd_) != 0) die("fdatasync");
    end_ += static_cast<off_t>(pending_.size());
    pending_.clear();
  }

 private:
  static constexpr off_t kSize = 64 << 20;
  int fd_;
  off_t end_ = 0;
  std::string pending_;
};

}  // namespace floor_bench
