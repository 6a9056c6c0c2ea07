#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fmt/format.h>

#include "base/encoding.h"

namespace lambdad::http {

namespace {

using boost::system::error_code;

// A body up to this size is copied behind its head, which costs less than a second element for the kernel to walk.
constexpr std::size_t kCopiedBodyMax = 16 * 1024;
// How long, and how much, a connection that is being closed still swallows. Closing with unread bytes would reset the
// connection, and the peer could lose the answer that tells it why.
constexpr Duration kLingerTime = 2s;
constexpr std::size_t kLingerBytes = 256 * 1024 * 1024;

// What the kernel holds of a streamed body at most, on either side: by itself it would take tens of megabytes from a
// fast sender for a slow receiver. Of a response only bytes that could be sent and were not count, so that a long way
// to the client is still filled.
constexpr int kStreamedInKernel = 128 * 1024;

// Calls on_sent exactly once, whichever way the response goes.
class SentReport {
 public:
  explicit SentReport(std::function<void(bool)> report) : report_(std::move(report)) {}
  SentReport(const SentReport&) = delete;
  SentReport& operator=(const SentReport&) = delete;
  ~SentReport() {
    if (report_) report_(sent_);
  }
  void set_sent() { sent_ = true; }
  // Whether anybody wants to know.
  explicit operator bool() const { return report_ != nullptr; }

 private:
  std::function<void(bool)> report_;
  bool sent_ = false;
};

RequestLimits request_limits_of(const ServerLimits& limits) {
  return {.header_bytes_max = limits.header_bytes_max,
          .target_bytes_max = limits.target_bytes_max,
          .body_bytes_max = limits.body_bytes_max,
          .body_limit = limits.body_limit};
}

Duration watch_period_of(const ServerLimits& limits) {
  Duration shortest = std::min({limits.header_timeout, limits.body_timeout, limits.write_timeout});
  if (limits.idle_timeout > Duration::zero()) shortest = std::min(shortest, limits.idle_timeout);
  return std::clamp<Duration>(shortest / 10, 1ms, 1s);
}

}  // namespace

// --- ConnectionSet --------------------------------------------------------------------------------------------------

ConnectionSet::ConnectionSet(Loop& l, Clock& clock, ServerLimits server_limits, Server::Handler server_handler)
    : loop(l),
      host_clock(clock),
      limits(std::move(server_limits)),
      request_limits(request_limits_of(limits)),
      handler(std::move(server_handler)),
      changed(l),
      deadline_set_(l),
      watch_period_(watch_period_of(limits)) {}

Async<void> ConnectionSet::watch() {
  for (;;) {
    while (!watching_) co_await deadline_set_.wait();
    co_await host_clock.sleep_for(watch_period_);
    const MonoTime now = host_clock.mono();
    bool any = false;
    for (Connection* connection : open) {
      if (connection->deadline() == MonoTime::max()) continue;
      any = true;
      if (connection->deadline() <= now) connection->expire();
    }
    watching_ = any;
  }
}

std::string_view ConnectionSet::date_line() {
  const auto now = std::chrono::floor<std::chrono::seconds>(host_clock.wall());
  if (const std::int64_t second = now.time_since_epoch().count(); second != date_second_) {
    date_second_ = second;
    const auto day = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(now - day);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    date_ = fmt::format("Date: {}, {:02} {} {:04} {:02}:{:02}:{:02} GMT\r\n",
                        kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                        kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                        time.hours().count(), time.minutes().count(), time.seconds().count());
  }
  return date_;
}

// --- Connection -----------------------------------------------------------------------------------------------------

// The body of the request that is being answered, for as long as its handler runs.
class Connection::ArrivingBody final : public BodyReader {
 public:
  ArrivingBody(Connection& connection, RequestParser& parser) : connection_(&connection), parser_(&parser) {}

  Async<Result<std::optional<std::string>>> next() override {
    if (parser_ == nullptr) co_return fail(Errc::kClosed, "the request has been answered");
    co_return co_await connection_->next_piece(parser_);
  }
  const Headers& trailers() const override { return parser_ == nullptr ? none_ : parser_->trailers(); }
  void detach() { parser_ = nullptr; }

 private:
  Connection* connection_;
  RequestParser* parser_;
  Headers none_;
};

Connection::Connection(ConnectionSet& set, UniqueFd fd, int family, std::string peer)
    : set_(set),
      socket_(set.loop.get_executor()),
      peer_(std::move(peer)),
      place_(set.open.insert(set.open.end(), this)) {
  error_code error;
  socket_.assign(asio::generic::stream_protocol(family, 0), fd.get(), error);
  if (!error) fd.release();
}

Connection::~Connection() {
  set_.open.erase(place_);
  set_.changed.notify_all();
}

void Connection::expire() {
  expired_ = true;
  clear_deadline();
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::end_idle() {
  error_code ignored;
  socket_.cancel(ignored);
}

Async<void> Connection::run() {
  if (!socket_.is_open()) co_return;
  RequestParser parser(set_.request_limits);
  // Of one request.
  bool continued = false;
  bool buffered = false;
  MonoTime head_deadline{};
  const auto begin_next = [&] {
    parser.next();
    input_.shrink();
    continued = buffered = false;
    head_deadline = {};
  };
  for (;;) {
    if (!input_.empty()) {
      input_.consume(parser.push(input_.view()));
      if (parser.state() == RequestParser::State::kComplete) {
        co_await respond(&parser);
        if (!keep_) co_return;
        begin_next();
        continue;
      }
      if (parser.state() == RequestParser::State::kRefused) {
        std::optional<Response> words;
        if (parser.refusal() == Refusal::kBodyTooLarge && set_.limits.refuse_body) {
          words = set_.limits.refuse_body(parser.head());
        }
        co_await (words ? refuse(std::move(*words)) : refuse(parser.refusal()));
        co_return;
      }
    }
    // What has come of the next request is not all of it.
    if (held_ && !co_await send_held()) co_return;
    const bool in_body = parser.state() == RequestParser::State::kBody;
    if (in_body && parser.expects_continue() && !continued) {
      continued = true;
      // Not needed, and not sent, once the body has begun to come.
      if (parser.head().body.empty() && input_.empty()) {
        Pieces pieces{"HTTP/1.1 100 Continue\r\n\r\n"};
        const Sent sent = send_now(pieces);
        if (sent == Sent::kFailed) co_return;
        if (sent == Sent::kSome && !co_await send_rest(pieces)) co_return;
      }
    }

    if (in_body && !buffered) {
      if (set_.limits.stream_body && set_.limits.stream_body(parser.head())) {
        co_await respond(&parser);
        if (!keep_) co_return;
        begin_next();
        continue;
      }
      buffered = true;
    }

    idle_ = !in_body && input_.empty();
    if (idle_) {
      if (set_.stopping) co_return;
      if (set_.limits.idle_timeout > Duration::zero()) {
        set_deadline(set_.host_clock.mono() + set_.limits.idle_timeout);
      }
    } else if (in_body) {
      set_deadline(set_.host_clock.mono() + set_.limits.body_timeout);
    } else {
      if (head_deadline == MonoTime{}) head_deadline = set_.host_clock.mono() + set_.limits.header_timeout;
      set_deadline(head_deadline);
    }
    std::span<char> room = in_body ? parser.body_room() : std::span<char>();
    const bool into_body = !room.empty();
    if (!into_body) room = input_.room(in_body ? InputBuffer::kBodySize : InputBuffer::kIdleSize);
    error_code error;
    const std::size_t count = co_await socket_.async_read_some(asio::buffer(room.data(), room.size()),
                                                               asio::redirect_error(use_async, error));
    clear_deadline();
    const bool expired = std::exchange(expired_, false);
    if (into_body) {
      parser.body_filled(count);
    } else {
      input_.filled(count);
    }
    if (error) {
      if (expired && !idle_) {
        co_await refuse(in_body ? Refusal::kSlowBody : Refusal::kSlowHead);
      }
      co_return;
    }
    if (into_body && parser.state() == RequestParser::State::kComplete) {
      co_await respond(&parser);
      if (!keep_) co_return;
      begin_next();
    }
    idle_ = false;
  }
}

Async<Result<std::optional<std::string>>> Connection::next_piece(RequestParser* parser) {
  for (;;) {
    if (std::string piece = parser->take_piece(); !piece.empty()) co_return piece;
    if (parser->state() == RequestParser::State::kComplete) co_return std::nullopt;
    if (parser->state() == RequestParser::State::kRefused) {
      const bool too_large = parser->refusal() == Refusal::kBodyTooLarge;
      co_return fail(too_large ? Errc::kTooLarge : Errc::kInvalid, "{}", describe(parser->refusal()));
    }
    if (input_.empty()) {
      set_deadline(set_.host_clock.mono() + set_.limits.body_timeout);
      const std::span<char> room = input_.room(InputBuffer::kBodySize);
      error_code error;
      const std::size_t count = co_await socket_.async_read_some(asio::buffer(room.data(), room.size()),
                                                                 asio::redirect_error(use_async, error));
      clear_deadline();
      input_.filled(count);
      if (std::exchange(expired_, false)) co_return fail(Errc::kTimedOut, "the body stands still");
      if (error) co_return fail(Errc::kClosed, "the body is cut off: {}", error.message());
    }
    input_.consume(parser->push(input_.view()));
  }
}

Async<void> Connection::respond(RequestParser* parser) {
  ResponseContext context;
  context.http_1_0 = parser->is_http_1_0();
  std::shared_ptr<ArrivingBody> arriving;
  Request request;
  if (parser->state() == RequestParser::State::kBody) {
    request = parser->take_head();
    request.body_stream = arriving = std::make_shared<ArrivingBody>(*this, *parser);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVBUF, &kStreamedInKernel, sizeof kStreamedInKernel);
  } else {
    request = parser->take();
  }
  request.peer_address = peer_;
  context.head_request = request.method == "HEAD";
  keep_ = parser->keep_alive();

  Response response;
  bool failed = false;
  try {
    response = co_await set_.handler(std::move(request));
  } catch (const std::exception& error) {
    if (is_cancelled(error)) throw;
    failed = true;
  }
  if (arriving) {
    arriving->detach();
    if (parser->state() != RequestParser::State::kComplete) keep_ = false;
  }
  SentReport report(std::exchange(response.on_sent, nullptr));
  // Asked only for who wants to know: a write to a connection that is gone harms nobody.
  if (report && peer_is_gone()) {
    keep_ = false;
    co_return;
  }
  bool replaced = failed;
  if (failed || !is_sendable(response)) {
    replaced = true;
    response = Response::text(500, "Internal Server Error\n");
    keep_ = false;
  }
  if (set_.stopping) keep_ = false;
  if (keep_) {
    if (auto connection = response.headers.get("Connection"); connection && equals_ignoring_case(*connection, "close"))
      keep_ = false;
  }
  const bool streams = response.stream && has_body(response, context);
  if (streams && context.http_1_0) keep_ = false;  // its end is the end of the connection
  context.close = !keep_;
  context.date = set_.date_line();

  if (!std::exchange(held_, false)) output_.clear();
  append_response_head(response, context, output_);
  bool sent;
  if (streams) {
    sent = co_await send_stream(&response, context);
  } else {
    Pieces pieces{};
    if (has_body(response, context)) {
      if (response.body.size() <= kCopiedBodyMax) {
        output_.append(response.body);
      } else {
        pieces[1] = response.body;
      }
    }
    // The peer has sent its next request without having read this.
    if (response.may_wait && keep_ && !report && pieces[1].empty() && !input_.empty()) {
      held_ = true;
      co_return;
    }
    pieces[0] = output_;
    const Sent at_once = send_now(pieces);
    sent = at_once == Sent::kAll;
    if (at_once == Sent::kSome) sent = co_await send_rest(pieces);
  }
  if (!sent) {
    keep_ = false;
    co_return;
  }
  if (!replaced) report.set_sent();
  if (!keep_) co_await drain();
}

Async<bool> Connection::send_stream(Response* response, ResponseContext context) {
  // Sockets of other families refuse this, and have small buffers.
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kStreamedInKernel, sizeof kStreamedInKernel);
  // The head leaves at once: a client of a streaming function waits for it, however late the first piece comes.
  Pieces pieces{output_};
  const Sent head_sent = send_now(pieces);
  if (head_sent == Sent::kFailed) co_return false;
  if (head_sent == Sent::kSome && !co_await send_rest(pieces)) co_return false;
  for (;;) {
    Result<std::optional<std::string>> piece;
    try {
      piece = co_await response->stream();
    } catch (const std::exception& error) {
      if (is_cancelled(error)) throw;
      piece = fail(Errc::kInternal, "body source: {}", error.what());
    }
    if (!piece) {
      // A body that lacks its last chunk says itself that it was cut off, and what was sent of it still arrives.
      if (context.http_1_0) reset_on_close();
      co_return false;
    }
    const bool is_end = !*piece;
    if (!is_end && (*piece)->empty()) continue;  // an empty chunk would end the body
    output_.clear();
    pieces = {};
    if (context.http_1_0) {
      if (is_end) co_return true;
      pieces[0] = **piece;
    } else if (is_end) {
      output_.append("0\r\n");
      append_trailers(response->stream_trailers ? response->stream_trailers() : Headers(), output_);
      pieces[0] = output_;
    } else {
      fmt::format_to(std::back_inserter(output_), "{:x}\r\n", (*piece)->size());
      pieces = {output_, **piece, "\r\n"};
    }
    const Sent piece_sent = send_now(pieces);
    if (piece_sent == Sent::kFailed) co_return false;
    if (piece_sent == Sent::kSome && !co_await send_rest(pieces)) co_return false;
    if (is_end) co_return true;
  }
}

Async<void> Connection::refuse(Refusal why) {
  return refuse(Response::text(status_of(why), fmt::format("{}\n", describe(why))));
}

Async<void> Connection::refuse(Response response) {
  ResponseContext context;
  context.close = true;
  context.date = set_.date_line();
  if (!std::exchange(held_, false)) output_.clear();
  append_response_head(response, context, output_);
  output_.append(response.body);
  Pieces pieces{output_};
  const Sent sent = send_now(pieces);
  if (sent == Sent::kFailed) co_return;
  if (sent == Sent::kSome && !co_await send_rest(pieces)) co_return;
  co_await drain();
}

Async<void> Connection::drain() {
  error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (error) co_return;
  expired_ = false;
  set_deadline(set_.host_clock.mono() + kLingerTime);
  std::size_t swallowed = 0;
  while (swallowed < kLingerBytes && !expired_) {
    input_ = {};
    const std::span<char> room = input_.room(swallowed == 0 ? InputBuffer::kIdleSize : InputBuffer::kBodySize);
    swallowed += co_await socket_.async_read_some(asio::buffer(room.data(), room.size()),
                                                  asio::redirect_error(use_async, error));
    if (error) break;
  }
  clear_deadline();
}

Connection::Sent Connection::send_now(Pieces& pieces) {
  for (;;) {
    std::array<iovec, 3> parts{};
    std::size_t count = 0;
    std::size_t total = 0;
    for (std::string_view piece : pieces) {
      if (piece.empty()) continue;
      parts[count++] = {const_cast<char*>(piece.data()), piece.size()};
      total += piece.size();
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::kSome : Sent::kFailed;
    }
    auto left = static_cast<std::size_t>(written);
    if (left == total) return Sent::kAll;
    for (std::string_view& piece : pieces) {
      const std::size_t from_this = std::min(left, piece.size());
      piece.remove_prefix(from_this);
      left -= from_this;
    }
  }
}

Async<bool> Connection::send_held() {
  held_ = false;
  Pieces pieces{output_};
  const Sent sent = send_now(pieces);
  if (sent == Sent::kSome) co_return co_await send_rest(pieces);
  co_return sent == Sent::kAll;
}

Async<bool> Connection::send_rest(Pieces pieces) {
  for (;;) {
    set_deadline(set_.host_clock.mono() + set_.limits.write_timeout);
    error_code error;
    co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(use_async, error));
    clear_deadline();
    if (error) {
      reset_on_close();
      co_return false;
    }
    switch (send_now(pieces)) {
      case Sent::kAll: co_return true;
      case Sent::kFailed: co_return false;
      case Sent::kSome: break;
    }
  }
}

bool Connection::peer_is_gone() {
  char byte;
  const ssize_t count = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Connection::reset_on_close() {
  // Not through the socket object: its destructor would take the option back.
  const ::linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace lambdad::http
