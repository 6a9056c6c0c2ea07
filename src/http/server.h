#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "http/message.h"
#include "system/async.h"
#include "system/clock.h"
#include "system/files.h"

namespace lambdad::http {

struct ServerLimits {
  std::size_t header_bytes_max = 64 * 1024;  ///< all header fields and the request line: 431 above
  std::size_t target_bytes_max = 16 * 1024;  ///< 414 above
  /// Largest body for a request with this head (its body still empty); 413 above. Unset: `body_bytes_max`.
  std::function<std::size_t(const Request& head)> body_limit;
  std::size_t body_bytes_max = 10 * 1024 * 1024;
  /// What is answered to a body above the limit, in the words of whom the request was for. Unset or nullopt: a
  /// sentence.
  std::function<std::optional<Response>(const Request& head)> refuse_body;
  /// Whether the handler gets a request with this head before its body, as Request::body_stream. Asked only when the
  /// body has not come whole with the head. Unset: never.
  std::function<bool(const Request& head)> stream_body;
  std::size_t connections_max = 10000;  ///< above it the listener pauses accepting
  Duration header_timeout = 10s;        ///< from the first byte of a request to the end of its head: 408
  Duration idle_timeout = 75s;          ///< between requests on a kept connection; zero means for ever
  Duration body_timeout = 60s;          ///< without any progress while a body arrives: 408
  Duration write_timeout = 60s;         ///< without any progress while a response is written
};

/// Answers requests on listening sockets.
///
/// One coroutine per connection; requests on a connection are served one after the other. Each buffered response
/// leaves in one write with TCP_NODELAY (two writes cost 40 ms against clients with Nagle and delayed
/// acknowledgements). A request that the strict layer refuses is answered 4xx and the connection is closed.
/// `Expect: 100-continue` is answered when the body is within the limit.
///
/// A handler that returns without having read a streamed body to its end is answered for and the connection closed.
///
/// When the peer closes while its handler runs, the handler is NOT cancelled (an invocation goes on); its response is
/// lost. One with on_sent is not even written: it is dropped with on_sent(false), and a peer that has closed only its
/// sending side, which cannot be told apart, counts as gone. While a streamed body waits for its next piece, a closed
/// peer is noticed by the next write.
///
/// The server frames responses: a handler's Content-Length, Transfer-Encoding and Connection are replaced (but
/// `Connection: close` is followed, and a response without a body to HEAD keeps its Content-Length). A response that
/// cannot be sent (a control byte in a field, a status outside 200..599) and a handler that throws become 500 and
/// close, with on_sent(false) for the response that was meant. A streamed body that ends with an error ends the
/// connection without the last chunk, or on HTTP/1.0 resets it, so that the client cannot take it for whole.
/// HTTP/1.0 gets streams without chunks.
///
/// Timeouts are watched about once a second (more often when they are shorter than ten) and end that much late.
///
/// Ownership: owns its sockets. `host_clock` outlives it. Threading: the loop only.
/// End: stop() stops accepting, lets running requests finish for `grace`, then closes; must be awaited before
/// destruction.
class Server {
 public:
  using Handler = std::function<Async<Response>(Request)>;
  Server(Loop& loop, Clock& host_clock, ServerLimits limits, Handler handler);
  ~Server();

  /// Listens on "ADDRESS:PORT" or "[V6]:PORT"; port 0 chooses a free one. kConflict when the port is taken.
  Result<void> listen(const std::string& address);
  /// Serves an already listening stream socket of any family (for sockets planted in a sandbox, or Unix sockets).
  Result<void> adopt(UniqueFd listening_socket);
  /// "127.0.0.1:4566" of the first listen().
  std::string address() const;
  std::uint16_t port() const;
  std::size_t connections() const;

  Async<void> stop(Duration grace);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace lambdad::http
