#include "execution/telemetry_transport.h"

#include <map>
#include <memory>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

namespace lambdad::execution {

namespace {

using asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, Executor>;

struct Transport {
  Transport(System& s, http::SocketSource source)
      : system(s), client(s.loop, s.host_clock, {}, source), sockets(std::move(source)) {}
  System& system;
  http::Client client;
  http::SocketSource sockets;
  std::map<std::uint16_t, std::shared_ptr<Socket>> connections;  // TCP destinations
};

Async<Result<void>> send_http(std::shared_ptr<Transport> transport, TelemetryDestination to, std::string body) {
  http::Request request;
  request.method = to.method;
  request.target = to.path;
  request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  auto response = co_await transport->client.send("sandbox.localdomain", to.port, std::move(request));
  if (!response) co_return std::unexpected(response.error());
  if (response->status / 100 != 2) co_return fail(Errc::kUnavailable, "status {}", response->status);
  co_return Result<void>{};
}

Async<Result<void>> send_tcp(std::shared_ptr<Transport> transport, TelemetryDestination to, std::string body) {
  boost::system::error_code error;
  auto& kept = transport->connections[to.port];
  std::shared_ptr<Socket> socket = kept;
  if (!socket) {
    auto made = co_await transport->sockets();
    if (!made) co_return std::unexpected(made.error());
    socket = std::make_shared<Socket>(transport->system.loop.get_executor());
    socket->assign(tcp::v4(), made->release(), error);
    if (error) co_return fail(Errc::kInternal, "a socket: {}", error.message());
    co_await socket->async_connect({asio::ip::address_v4::loopback(), to.port}, asio::redirect_error(use_async, error));
    if (error) co_return fail(Errc::kUnavailable, "connecting to port {}: {}", to.port, error.message());
    transport->connections[to.port] = socket;
  }
  co_await asio::async_write(*socket, asio::buffer(body), asio::redirect_error(use_async, error));
  if (error) {
    transport->connections.erase(to.port);
    co_return fail(Errc::kClosed, "port {}: {}", to.port, error.message());
  }
  co_return Result<void>{};
}

}  // namespace

TelemetryTransport make_telemetry_transport(System& system, http::SocketSource sockets) {
  auto transport = std::make_shared<Transport>(system, std::move(sockets));
  return [transport](TelemetryDestination to, std::string body) {
    return to.protocol == TelemetryDestination::Protocol::kHttp ? send_http(transport, std::move(to), std::move(body))
                                                                : send_tcp(transport, std::move(to), std::move(body));
  };
}

}  // namespace lambdad::execution
