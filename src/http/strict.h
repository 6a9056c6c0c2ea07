/// The strict layer: what counts as a request or a response, and where it ends.
///
/// Whatever two HTTP implementations could read differently is refused, so
/// that no peer in front of lambdad and no AWS client can disagree with it about where a message ends, whom it is for,
/// or what its fields are. Push parsers without sockets or clocks: the outcome depends on the bytes only, never on how
/// they were cut into pieces, and no bytes make them abort.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "http/body_decoder.h"
#include "http/message.h"
#include "http/refusal.h"

namespace lambdad::http {

/// Finds the end of a head in bytes that arrive in pieces and refuses what no head may contain: line ends other than
/// CRLF, control bytes other than HT (NUL, CR and DEL among them), folded lines, an empty first line.
class HeadScanner {
 public:
  enum class Outcome { kMore, kFound, kRefused };
  /// `bytes` begins with the head and holds all that was seen by earlier calls. kFound sets `size()`.
  /// `first_line_max` and `head_max` count the line ends; above them kTargetTooLong or kHeadTooLarge.
  Outcome scan(std::string_view bytes, std::size_t first_line_max, std::size_t head_max);
  std::size_t size() const { return line_start_; }  ///< of the head, with the empty line
  Refusal refusal() const { return refusal_; }

 private:
  Outcome refuse(Refusal why) {
    refusal_ = why;
    return Outcome::kRefused;
  }
  std::size_t line_start_ = 0;
  std::size_t scanned_ = 0;
  Refusal refusal_ = Refusal::kMalformed;
};

struct RequestLimits {
  std::size_t header_bytes_max = 64 * 1024;  ///< the head, and the trailers, each
  std::size_t target_bytes_max = 16 * 1024;
  std::size_t body_bytes_max = 10 * 1024 * 1024;
  std::function<std::size_t(const Request& head)> body_limit;  ///< instead of body_bytes_max when set
};

/// Reads one request after the other from a stream of bytes.
///
///   while (parser.state() is kHead or kBody) { used = parser.push(buffer); drop `used` bytes from the buffer; read
///   more } kComplete: take() the request, next() begins with the bytes that were left. kRefused: answer
///   status_of(refusal()) and close; the parser takes nothing more.
///
/// Accepts HTTP/1.0 and HTTP/1.1; origin-form targets, `*` for OPTIONS, and the absolute form of exactly the host in
/// the Host field, which becomes origin-form. Refusal lists what is refused.
/// Ownership: borrows `limits`.
class RequestParser {
 public:
  enum class State { kHead, kBody, kComplete, kRefused };

  explicit RequestParser(const RequestLimits& limits) : limits_(limits) {}

  /// Takes bytes from the front of `bytes` and returns how many. Bytes not taken must be offered again, with more
  /// behind them; a head is taken only as a whole. Takes nothing in kComplete and kRefused.
  std::size_t push(std::string_view bytes);

  State state() const { return state_; }
  Refusal refusal() const { return refusal_; }  ///< in kRefused

  /// The head is known from kBody on.
  const Request& head() const { return request_; }
  /// In kBody: the client waits for "100 Continue" before it sends the body.
  bool expects_continue() const { return expects_continue_; }
  /// Whether the client lets the connection live on after this request.
  bool keep_alive() const { return keep_alive_; }
  bool is_http_1_0() const { return http_1_0_; }

  /// In kBody: where body bytes may be read to without a copy; empty when they must be pushed.
  std::span<char> body_room() { return body_.room(request_.body); }
  void body_filled(std::size_t count);

  /// In kBody: the head alone, for a handler that reads the body itself; go on with push() and take_piece(), and from
  /// kComplete with trailers() and next().
  Request take_head();
  /// After take_head(): what has come of the body since the last call. Counts against the limit as if it were kept.
  std::string take_piece();
  const Headers& trailers() const { return request_.trailers; }

  /// In kComplete: the request; its trailers are beside its headers, never among them.
  Request take() { return std::move(request_); }
  /// After take(): ready for the head of the next request.
  void next();

 private:
  void refuse(Refusal why);
  void read_head(std::string_view head);

  const RequestLimits& limits_;
  State state_ = State::kHead;
  Refusal refusal_ = Refusal::kMalformed;
  HeadScanner scanner_;
  BodyDecoder body_;
  Request request_;
  bool expects_continue_ = false;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
};

struct ResponseLimits {
  std::size_t header_bytes_max = 1024 * 1024;  ///< the head, and the trailers, each
  std::size_t body_bytes_max = 64 * 1024 * 1024;
};

/// Reads the response to one request. Interim responses (1xx) are read and forgotten; 101 is refused.
/// Ownership: borrows `limits`.
class ResponseParser {
 public:
  enum class State { kHead, kBody, kComplete, kRefused };

  /// `to_head_request`: the response to HEAD has no body whatever its fields say.
  ResponseParser(const ResponseLimits& limits, bool to_head_request)
      : limits_(limits), to_head_request_(to_head_request) {}

  std::size_t push(std::string_view bytes);  ///< as RequestParser::push
  /// The peer has closed. kComplete when the body was to last until then, else the state is unchanged: cut off.
  void push_end();

  State state() const { return state_; }
  Refusal refusal() const { return refusal_; }
  std::span<char> body_room() { return body_.room(response_.body); }
  void body_filled(std::size_t count);
  /// In kComplete: whether the connection may carry another request.
  bool keep_alive() const { return keep_alive_; }
  Response take() { return std::move(response_); }
  const Headers& trailers() const { return trailers_; }

 private:
  void refuse(Refusal why);
  void read_head(std::string_view head);

  const ResponseLimits& limits_;
  bool to_head_request_;
  State state_ = State::kHead;
  Refusal refusal_ = Refusal::kMalformed;
  HeadScanner scanner_;
  BodyDecoder body_;
  Response response_;
  Headers trailers_;
  bool keep_alive_ = true;
};

}  // namespace lambdad::http
