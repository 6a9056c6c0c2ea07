#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/address.hpp>

#include "http/message.h"
#include "system/async.h"
#include "system/clock.h"
#include "system/files.h"

namespace lambdad::http {

struct ClientLimits {
  std::size_t body_bytes_max = 64 * 1024 * 1024;
  Duration connect_timeout = 5s;
  Duration total_timeout = 60s;
};

/// Gives an unconnected, non-blocking TCP socket, of another network for instance.
using SocketSource = std::function<Async<Result<UniqueFd>>()>;

/// Whether a connection to this address may be made; asked for every address a name resolves to.
using AddressCheck = std::function<bool(const asio::ip::address&)>;
/// False for link-local addresses (where clouds serve their metadata), multicast and unspecified ones, also as IPv6.
bool is_safe_address(const asio::ip::address& address);

enum class Tls {
  kNone,
  kVerified,  ///< the certificate must be of `host` and of an authority that the machine trusts
};

/// Sends a request to `host:port` and reads the whole response. Keeps idle connections without TLS for reuse.
/// `Host` and `Content-Length` are set from the arguments. Errors: kUnavailable (no connection), kTimedOut, kClosed,
/// kCorrupt (not HTTP, or framed in two ways), kTooLarge, kInvalid (a request that cannot be sent), kDenied (an address
/// that is refused, or a certificate that does not hold). Never follows redirects. Trailers of the response are checked
/// and dropped. A kept connection that turns out to be closed is replaced once, for methods that may run twice.
/// Threading: the loop only. End: requests on their way finish without the client; `loop` and `host_clock` outlive
/// them.
class Client {
 public:
  /// With `sockets` every host is 127.0.0.1 of the network that its sockets belong to; nothing is resolved.
  Client(Loop& loop, Clock& host_clock, ClientLimits limits = {}, SocketSource sockets = {}, AddressCheck check = {});
  ~Client();
  Async<Result<Response>> send(std::string host, std::uint16_t port, Request request, Tls tls = Tls::kNone);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace lambdad::http
