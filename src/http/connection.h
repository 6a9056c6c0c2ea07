/// One connection of the server, and what the connections of a server share.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "http/input_buffer.h"
#include "http/response_head.h"
#include "http/server.h"
#include "http/strict.h"
#include "system/async.h"
#include "system/clock.h"
#include "system/files.h"

namespace lambdad::http {

class Connection;

/// Everything the connections of one server use together.
///
/// Deadlines cost no timer: a connection notes when its wait must be over, and watch() looks over all of them about
/// ten times within the shortest timeout, at most once a second, and not at all while no connection has a deadline.
/// A deadline therefore ends up to a second late.
/// Threading: the loop only.
class ConnectionSet {
 public:
  ConnectionSet(Loop& loop, Clock& host_clock, ServerLimits limits, Server::Handler handler);

  Loop& loop;
  Clock& host_clock;
  const ServerLimits limits;
  const RequestLimits request_limits;
  const Server::Handler handler;
  std::list<Connection*> open;
  Notifier changed;       ///< a connection has ended, or the grace of stop() is over
  bool stopping = false;  ///< requests that run are finished, none begins

  /// Closes connections whose deadline has passed. Runs until cancelled.
  Async<void> watch();
  void deadline_was_set() {
    if (!watching_) {
      watching_ = true;
      deadline_set_.notify_all();
    }
  }
  /// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", written once a second.
  std::string_view date_line();

 private:
  Notifier deadline_set_;
  bool watching_ = false;
  Duration watch_period_;
  std::int64_t date_second_ = -1;
  std::string date_;
};

/// Serves the requests of one accepted socket, one after the other.
///
/// Owns the socket. run() returns when the connection is over; destroying the connection closes the socket.
class Connection {
 public:
  /// `fd` is a connected stream socket of `family`; `peer` its address as Request::peer_address.
  Connection(ConnectionSet& set, UniqueFd fd, int family, std::string peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Async<void> run();

  /// Ends the current wait with expired(); for ConnectionSet::watch().
  MonoTime deadline() const { return deadline_; }
  void expire();
  /// Waits for the first byte of a request.
  bool is_idle() const { return idle_; }
  /// Ends the wait of an idle connection, which then closes.
  void end_idle();

 private:
  using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;
  using Pieces = std::array<std::string_view, 3>;
  enum class Sent { kAll, kSome, kFailed };
  class ArrivingBody;

  /// Of a request that is complete, or whose body the handler reads itself.
  Async<void> respond(RequestParser* parser);
  Async<Result<std::optional<std::string>>> next_piece(RequestParser* parser);
  Async<bool> send_stream(Response* response, ResponseContext context);
  Async<void> refuse(Refusal why);
  Async<void> refuse(Response response);
  Async<void> drain();

  /// Writes what the socket takes at once; drops what was written from the front of `pieces`.
  Sent send_now(Pieces& pieces);
  /// Writes a response that was held back; false when the connection is over.
  Async<bool> send_held();
  /// Writes the rest. False when the peer is gone or too slow.
  Async<bool> send_rest(Pieces pieces);
  bool peer_is_gone();
  /// Closing resets the connection, so that the peer cannot take a cut-off message for a whole one.
  void reset_on_close();

  void set_deadline(MonoTime when) {
    deadline_ = when;
    set_.deadline_was_set();
  }
  void clear_deadline() { deadline_ = MonoTime::max(); }

  ConnectionSet& set_;
  Socket socket_;
  std::string peer_;
  std::list<Connection*>::iterator place_;
  MonoTime deadline_ = MonoTime::max();
  bool expired_ = false;
  bool idle_ = false;
  bool keep_ = true;
  InputBuffer input_;
  std::string output_;
  bool held_ = false;  ///< output_ is a response that waits for the next one
};

}  // namespace lambdad::http
