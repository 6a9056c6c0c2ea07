#include "http/client.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "base/encoding.h"
#include "http/body_decoder.h"
#include "http/input_buffer.h"
#include "http/strict.h"

namespace lambdad::http {

namespace {

using asio::ip::tcp;
using boost::system::error_code;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Resolver = asio::ip::basic_resolver<tcp, Executor>;

// Kept for one host and port; an idle connection older than that is rather closed than tried.
constexpr std::size_t kIdleMax = 64;
constexpr Duration kIdleAgeMax = 15s;

// One request on its way: what the deadline must be able to end.
struct Exchange {
  explicit Exchange(Loop& loop) : socket(loop.get_executor()), resolver(loop.get_executor()) {}
  Socket socket;
  Resolver resolver;
  MonoTime deadline{};
  bool timed_out = false;
  bool over = false;
  asio::cancellation_signal end_timer;
};

Async<void> enforce_deadline(Clock* host_clock, std::shared_ptr<Exchange> exchange) {
  // The deadline moves once, from that of connecting to that of the whole.
  while (!exchange->over && host_clock->mono() < exchange->deadline) {
    co_await host_clock->sleep_until(exchange->deadline);
  }
  if (exchange->over) co_return;
  exchange->timed_out = true;
  error_code ignored;
  exchange->socket.cancel(ignored);
  exchange->resolver.cancel();
}

// Runs enforce_deadline() for as long as this object lives.
class DeadlineGuard {
 public:
  DeadlineGuard(Loop& loop, Clock& host_clock, std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {
    // Not in a TaskGroup: it is ended by the destructor below, and what it leaves for one more turn of the loop is its
    // own shared state.
    asio::co_spawn(
        loop, enforce_deadline(&host_clock, exchange_),
        asio::bind_cancellation_slot(exchange_->end_timer.slot(), [held = exchange_](std::exception_ptr) {}));
  }
  DeadlineGuard(const DeadlineGuard&) = delete;
  DeadlineGuard& operator=(const DeadlineGuard&) = delete;
  ~DeadlineGuard() {
    exchange_->over = true;
    exchange_->end_timer.emit(asio::cancellation_type::all);
  }

 private:
  std::shared_ptr<Exchange> exchange_;
};

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

// Fields that the client itself decides.
bool is_own_field(std::string_view name) {
  for (std::string_view own :
       {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "expect", "te", "upgrade"}) {
    if (equals_ignoring_case(name, own)) return true;
  }
  return false;
}

Result<std::string> request_head(const std::string& host, std::uint16_t port, const Request& request, Tls tls) {
  const auto is_bad = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f;
  };
  if (!is_token(request.method) || request.method == "CONNECT") return fail(Errc::kInvalid, "request method");
  if (request.target.empty() || (request.target[0] != '/' && request.target != "*") ||
      std::ranges::any_of(request.target, is_bad)) {
    return fail(Errc::kInvalid, "request target");
  }
  if (host.empty() || std::ranges::any_of(host, is_bad) || host.find_first_of("/?#@[]") != std::string::npos) {
    return fail(Errc::kInvalid, "host name");
  }
  const std::string authority = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}", request.method, request.target, authority);
  if (port != (tls == Tls::kNone ? 80 : 443)) fmt::format_to(std::back_inserter(head), ":{}", port);
  head.append("\r\n");
  for (const Header& field : request.headers) {
    if (!is_token(field.name) || !is_header_value(field.value)) return fail(Errc::kInvalid, "header field");
    if (!is_own_field(field.name)) head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  const bool says_length = !request.body.empty() || (request.method != "GET" && request.method != "HEAD");
  if (says_length) fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", request.body.size());
  head.append("\r\n");
  return head;
}

}  // namespace

struct Client::Impl {
  struct Idle {
    Socket socket;
    MonoTime since;
  };

  Impl(Loop& l, Clock& clock, ClientLimits client_limits, SocketSource source, AddressCheck address_check)
      : loop(l),
        host_clock(clock),
        limits(client_limits),
        response_limits{.body_bytes_max = limits.body_bytes_max},
        sockets(std::move(source)),
        check(std::move(address_check)) {}

  Loop& loop;
  Clock& host_clock;
  const ClientLimits limits;
  const ResponseLimits response_limits;
  const SocketSource sockets;
  const AddressCheck check;
  std::optional<asio::ssl::context> tls_context;  // made when it is needed first
  std::map<std::string, std::vector<Idle>> idle;  // by "host:port", oldest first
  MonoTime swept{};

  // The connection used last that is still open; nothing may have arrived on it.
  std::optional<Socket> take_idle(const std::string& peer) {
    auto place = idle.find(peer);
    if (place == idle.end()) return std::nullopt;
    std::optional<Socket> found;
    while (!found && !place->second.empty()) {
      Socket socket = std::move(place->second.back().socket);
      const bool fresh = host_clock.mono() - place->second.back().since < kIdleAgeMax;
      place->second.pop_back();
      char byte;
      const bool quiet = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
                         (errno == EAGAIN || errno == EWOULDBLOCK);
      if (fresh && quiet) found.emplace(std::move(socket));
    }
    if (place->second.empty()) idle.erase(place);
    return found;
  }

  void keep_idle(const std::string& peer, Socket socket) {
    const MonoTime now = host_clock.mono();
    auto& of_peer = idle[peer];
    if (of_peer.size() >= kIdleMax) of_peer.erase(of_peer.begin());
    of_peer.push_back({std::move(socket), now});
    if (now - swept < 1s) return;
    swept = now;
    for (auto place = idle.begin(); place != idle.end();) {
      const auto is_old = [now](const Idle& one) { return now - one.since >= kIdleAgeMax; };
      std::erase_if(place->second, is_old);
      place = place->second.empty() ? idle.erase(place) : std::next(place);
    }
  }

  Async<Result<void>> connect_elsewhere(std::shared_ptr<Exchange> exchange, std::uint16_t port) {
    auto made = co_await sockets();
    if (!made) co_return std::unexpected(made.error());
    error_code error;
    exchange->socket.assign(tcp::v4(), made->release(), error);
    if (error) co_return fail(Errc::kInternal, "a socket: {}", error.message());
    co_await exchange->socket.async_connect({asio::ip::address_v4::loopback(), port},
                                            asio::redirect_error(use_async, error));
    if (exchange->timed_out) co_return fail(Errc::kTimedOut, "connecting to port {}", port);
    if (error == asio::error::operation_aborted) throw_cancelled();
    if (error) co_return fail(Errc::kUnavailable, "connecting to port {}: {}", port, error.message());
    co_return Result<void>{};
  }

  Async<Result<void>> connect(std::shared_ptr<Exchange> exchange, std::string host, std::uint16_t port) {
    if (sockets) co_return co_await connect_elsewhere(std::move(exchange), port);
    std::vector<tcp::endpoint> endpoints;
    error_code error;
    if (const auto address = asio::ip::make_address(host, error); !error) {
      endpoints.emplace_back(address, port);
    } else {
      const auto found =
          co_await exchange->resolver.async_resolve(host, std::to_string(port), asio::redirect_error(use_async, error));
      if (exchange->timed_out) co_return fail(Errc::kTimedOut, "resolving {}", host);
      if (error == asio::error::operation_aborted) throw_cancelled();
      if (error) co_return fail(Errc::kUnavailable, "resolving {}: {}", host, error.message());
      for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    }
    if (check) {
      const bool had_some = !endpoints.empty();
      std::erase_if(endpoints, [this](const tcp::endpoint& endpoint) { return !check(endpoint.address()); });
      if (had_some && endpoints.empty()) co_return fail(Errc::kDenied, "the address of {} is refused", host);
    }
    for (const tcp::endpoint& endpoint : endpoints) {
      error_code ignored;
      exchange->socket.close(ignored);
      exchange->socket.open(endpoint.protocol(), error);
      if (error) continue;
      ::fcntl(exchange->socket.native_handle(), F_SETFD, FD_CLOEXEC);
      exchange->socket.set_option(tcp::no_delay(true), ignored);
      co_await exchange->socket.async_connect(endpoint, asio::redirect_error(use_async, error));
      if (exchange->timed_out) co_return fail(Errc::kTimedOut, "connecting to {}:{}", host, port);
      if (error == asio::error::operation_aborted) throw_cancelled();
      if (!error) co_return Result<void>{};
    }
    co_return fail(Errc::kUnavailable, "connecting to {}:{}: {}", host, port, error.message());
  }

  // Sends and reads once on the exchange's connection. `*untouched` tells whether no byte of a response came.
  template <class Stream>
  Async<Result<Response>> run(std::shared_ptr<Exchange> exchange, Stream* stream, const std::string* head,
                              const Request* request, const std::string* peer, bool* untouched) {
    Stream& socket = *stream;
    *untouched = true;
    error_code error;
    const std::array<asio::const_buffer, 2> out{asio::buffer(*head), asio::buffer(request->body)};
    co_await asio::async_write(socket, out, asio::redirect_error(use_async, error));
    // A peer that refuses a large body may answer and close before it has read everything: read in any case.
    const bool written = !error;
    ResponseParser parser(response_limits, request->method == "HEAD");
    InputBuffer input;
    while (!exchange->timed_out) {
      std::span<char> room = parser.body_room();
      const bool into_body = !room.empty();
      if (!into_body) {
        const bool in_body = parser.state() == ResponseParser::State::kBody;
        room = input.room(in_body ? InputBuffer::kBodySize : InputBuffer::kIdleSize);
      }
      const std::size_t count = co_await socket.async_read_some(asio::buffer(room.data(), room.size()),
                                                                asio::redirect_error(use_async, error));
      if (count > 0) *untouched = false;
      if (into_body) {
        parser.body_filled(count);
      } else {
        input.filled(count);
        input.consume(parser.push(input.view()));
      }
      if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) parser.push_end();
      if (parser.state() == ResponseParser::State::kComplete) {
        if constexpr (std::is_same_v<Stream, Socket>) {
          if (parser.keep_alive() && written && !error && input.empty()) keep_idle(*peer, std::move(socket));
        }
        co_return parser.take();
      }
      if (parser.state() == ResponseParser::State::kRefused) {
        const bool large = parser.refusal() == Refusal::kBodyTooLarge || parser.refusal() == Refusal::kHeadTooLarge;
        co_return fail(large ? Errc::kTooLarge : Errc::kCorrupt, "response of {}: {}", *peer,
                       describe(parser.refusal()));
      }
      if (error) break;
    }
    if (exchange->timed_out) co_return fail(Errc::kTimedOut, "request to {}", *peer);
    if (error == asio::error::operation_aborted) throw_cancelled();
    co_return fail(Errc::kClosed, "{} closed before its response was whole: {}", *peer, error.message());
  }

  // The exchange's connection, which is open, with TLS on it.
  Async<Result<Response>> run_tls(std::shared_ptr<Exchange> exchange, const std::string* host, const std::string* head,
                                  const Request* request, const std::string* peer) {
    error_code error;
    if (!tls_context) {
      tls_context.emplace(asio::ssl::context::tls_client);
      tls_context->set_default_verify_paths(error);
      if (error) co_return fail(Errc::kUnavailable, "certificate authorities: {}", error.message());
    }
    asio::ssl::stream<Socket&> stream(exchange->socket, *tls_context);
    stream.set_verify_mode(asio::ssl::verify_peer, error);
    stream.set_verify_callback(asio::ssl::host_name_verification(*host), error);
    error_code not_an_address;
    asio::ip::make_address(*host, not_an_address);
    if (not_an_address) SSL_set_tlsext_host_name(stream.native_handle(), host->c_str());
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(use_async, error));
    if (exchange->timed_out) co_return fail(Errc::kTimedOut, "TLS with {}", *peer);
    if (error == asio::error::operation_aborted) throw_cancelled();
    if (error && SSL_get_verify_result(stream.native_handle()) != X509_V_OK) {
      co_return fail(Errc::kDenied, "the certificate of {}: {}", *peer,
                     X509_verify_cert_error_string(SSL_get_verify_result(stream.native_handle())));
    }
    if (error) co_return fail(Errc::kUnavailable, "TLS with {}: {}", *peer, error.message());
    bool untouched = false;
    co_return co_await run(exchange, &stream, head, request, peer, &untouched);
  }

  static Async<Result<Response>> send(std::shared_ptr<Impl> impl, std::string host, std::uint16_t port, Request request,
                                      Tls tls) {
    LD_CO_TRY(const std::string head, request_head(host, port, request, tls));
    const std::string peer = fmt::format("{}:{}", host, port);
    const MonoTime total_deadline = impl->host_clock.mono() + impl->limits.total_timeout;

    auto exchange = std::make_shared<Exchange>(impl->loop);
    exchange->deadline = total_deadline;
    if (auto socket = tls == Tls::kNone ? impl->take_idle(peer) : std::nullopt) {
      exchange->socket = std::move(*socket);
      const DeadlineGuard guard(impl->loop, impl->host_clock, exchange);
      bool untouched = false;
      Result<Response> response = co_await impl->run(exchange, &exchange->socket, &head, &request, &peer, &untouched);
      // A kept connection may be closed by the peer at the very moment it is used again. Then, and only when the
      // request may safely run twice, a fresh one is tried.
      const bool stale = !response && response.error().code == Errc::kClosed && untouched;
      if (!stale || !is_idempotent(request.method)) co_return response;
    }
    exchange = std::make_shared<Exchange>(impl->loop);
    exchange->deadline = std::min(total_deadline, impl->host_clock.mono() + impl->limits.connect_timeout);
    const DeadlineGuard guard(impl->loop, impl->host_clock, exchange);
    LD_CO_TRY_VOID(co_await impl->connect(exchange, host, port));
    exchange->deadline = total_deadline;
    if (tls == Tls::kVerified) co_return co_await impl->run_tls(exchange, &host, &head, &request, &peer);
    bool untouched = false;
    co_return co_await impl->run(exchange, &exchange->socket, &head, &request, &peer, &untouched);
  }
};

bool is_safe_address(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return is_safe_address(asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()));
  }
  if (address.is_unspecified() || address.is_multicast()) return false;
  if (address.is_v6()) return !address.to_v6().is_link_local();
  return (address.to_v4().to_uint() >> 16) != 0xA9FE;  // 169.254.0.0/16
}

Client::Client(Loop& loop, Clock& host_clock, ClientLimits limits, SocketSource sockets, AddressCheck check)
    : impl_(std::make_shared<Impl>(loop, host_clock, limits, std::move(sockets), std::move(check))) {}

Client::~Client() = default;

Async<Result<Response>> Client::send(std::string host, std::uint16_t port, Request request, Tls tls) {
  return Impl::send(impl_, std::move(host), port, std::move(request), tls);
}

}  // namespace lambdad::http
