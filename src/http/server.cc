#include "http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

#include "http/connection.h"

namespace lambdad::http {

namespace {

using boost::system::error_code;
using Listener = asio::posix::basic_stream_descriptor<Executor>;

constexpr int kBacklog = 4096;
// Accepted in a row before other connections have their turn.
constexpr int kAcceptBatch = 64;
// Pause after the process or the machine ran out of descriptors or memory for sockets.
constexpr Duration kExhaustedPause = 100ms;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr_in& v4() const { return reinterpret_cast<const sockaddr_in&>(storage); }
  const sockaddr_in6& v6() const { return reinterpret_cast<const sockaddr_in6&>(storage); }
};

// "127.0.0.1", "::1"; an IPv4 peer of an IPv6 socket as IPv4; empty for other families.
std::string host_text(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &address.v4().sin_addr, text, sizeof text);
  } else if (address.storage.ss_family == AF_INET6) {
    const in6_addr& v6 = address.v6().sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      ::inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
  }
  return text;
}

std::uint16_t port_of(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) return ntohs(address.v4().sin_port);
  if (address.storage.ss_family == AF_INET6) return ntohs(address.v6().sin6_port);
  return 0;
}

Result<SocketAddress> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return fail(Errc::kInvalid, "'{}' is not ADDRESS:PORT", text);
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return fail(Errc::kInvalid, "'{}' has no port", text);
  std::string host = text.substr(0, colon);
  SocketAddress address;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) return address;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) return address;
  }
  return fail(Errc::kInvalid, "'{}' has no numeric address; IPv6 stands in brackets", text);
}

Errc code_of(int error_number) {
  switch (error_number) {
    case EADDRINUSE: return Errc::kConflict;
    case EACCES:
    case EPERM: return Errc::kDenied;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return Errc::kInvalid;
    default: return Errc::kUnavailable;
  }
}

}  // namespace

struct Server::Impl {
  Impl(Loop& loop, Clock& host_clock, ServerLimits limits, Handler handler)
      : set(loop, host_clock, std::move(limits), std::move(handler)),
        acceptors(loop),
        connections(loop),
        upkeep(loop) {}

  ConnectionSet set;
  std::string address;
  std::uint16_t port = 0;
  TaskGroup acceptors;
  TaskGroup connections;
  TaskGroup upkeep;
  bool grace_over = false;

  void start(UniqueFd listening_socket) {
    if (upkeep.size() == 0) upkeep.spawn("http deadlines", set.watch());
    acceptors.spawn("http accept", accept_from(std::move(listening_socket)));
  }

  Async<void> accept_from(UniqueFd fd) {
    Listener listener(set.loop.get_executor(), fd.release());
    for (;;) {
      while (set.open.size() >= set.limits.connections_max) co_await set.changed.wait();
      co_await listener.async_wait(Listener::wait_read, use_async);
      for (int i = 0; i < kAcceptBatch && set.open.size() < set.limits.connections_max; ++i) {
        SocketAddress peer;
        UniqueFd accepted(::accept4(listener.native_handle(), peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!accepted) {
          const int error = errno;
          if (error == EAGAIN || error == EWOULDBLOCK) break;
          if (error == EBADF || error == EINVAL || error == ENOTSOCK) co_return;  // no longer listening
          if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            co_await set.host_clock.sleep_for(kExhaustedPause);
            break;
          }
          continue;  // this peer has gone already
        }
        const int family = peer.storage.ss_family;
        if (family == AF_INET || family == AF_INET6) {
          const int on = 1;
          ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
        connections.spawn("http connection",
                          serve(std::make_unique<Connection>(set, std::move(accepted), family, host_text(peer))));
      }
    }
  }

  static Async<void> serve(std::unique_ptr<Connection> connection) { co_await connection->run(); }

  Async<void> end_grace(Duration grace) {
    co_await set.host_clock.sleep_for(grace);
    grace_over = true;
    set.changed.notify_all();
  }
};

Server::Server(Loop& loop, Clock& host_clock, ServerLimits limits, Handler handler)
    : impl_(std::make_shared<Impl>(loop, host_clock, std::move(limits), std::move(handler))) {}

Server::~Server() = default;

Result<void> Server::listen(const std::string& address) {
  LD_TRY(SocketAddress local, parse_address(address));
  UniqueFd fd(::socket(local.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(fd.get(), local.get(), local.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    return fail(code_of(error), "cannot listen on {}: {}", address,
                error_code(error, boost::system::system_category()).message());
  }
  if (impl_->address.empty()) {
    SocketAddress bound;
    ::getsockname(fd.get(), bound.get(), &bound.size);
    impl_->port = port_of(bound);
    impl_->address = fmt::format("{}:{}", address.substr(0, address.rfind(':')), impl_->port);
  }
  impl_->start(std::move(fd));
  return {};
}

Result<void> Server::adopt(UniqueFd listening_socket) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(listening_socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
    return fail(Errc::kInvalid, "not a listening socket");
  }
  const int flags = ::fcntl(listening_socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(listening_socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail(Errc::kInternal, "cannot make a socket non-blocking");
  }
  impl_->start(std::move(listening_socket));
  return {};
}

std::string Server::address() const { return impl_->address; }
std::uint16_t Server::port() const { return impl_->port; }
std::size_t Server::connections() const { return impl_->set.open.size(); }

Async<void> Server::stop(Duration grace) {
  auto impl = impl_;
  impl->set.stopping = true;
  co_await impl->acceptors.stop();
  for (Connection* connection : impl->set.open) {
    if (connection->is_idle()) connection->end_idle();
  }
  if (!impl->set.open.empty()) {
    impl->upkeep.spawn("http grace", impl->end_grace(grace));
    while (!impl->set.open.empty() && !impl->grace_over) co_await impl->set.changed.wait();
  }
  co_await impl->connections.stop();
  co_await impl->upkeep.stop();
}

}  // namespace lambdad::http
