#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "system/async.h"

namespace lambdad::http {

struct Header {
  std::string name;  ///< as received; compared without case
  std::string value;
};

/// Header fields in order. Repeats are kept apart.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> headers) : fields_(headers) {}
  /// First value of `name`.
  std::optional<std::string_view> get(std::string_view name) const;
  std::string get_or(std::string_view name, std::string_view fallback) const;
  bool contains(std::string_view name) const { return get(name).has_value(); }
  void add(std::string_view name, std::string_view value);
  /// Replaces all fields of this name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  std::size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<Header> fields_;
};

/// The next piece of a streamed body; nullopt at its end; an error breaks the connection off.
using BodySource = std::function<Async<Result<std::optional<std::string>>>()>;

/// A request body that its handler reads while it arrives. Between two calls nothing is read from the socket, so a slow
/// handler slows the sender down.
/// Threading: only the coroutine of the handler itself reads; after it has returned, next() is kClosed.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next piece, never empty, at most 64 KiB; nullopt at the end. Errors: kClosed when the peer has gone before the
  /// end, kTimedOut when it stood still for the server's body_timeout, kTooLarge above the server's limit, kInvalid for
  /// bytes that are no chunks. After an error the connection ends with the response.
  virtual Async<Result<std::optional<std::string>>> next() = 0;
  /// Fields after a chunked body; once next() has said that the body has ended.
  virtual const Headers& trailers() const = 0;
};

struct Request {
  std::string method;
  /// The request target exactly as sent: percent signs, double slashes and dot segments untouched.
  std::string target;
  Headers headers;
  std::string body;
  /// Fields after a chunked body. Never merged into `headers`.
  Headers trailers;
  /// Address of the peer, "127.0.0.1"; empty on Unix sockets.
  std::string peer_address;
  /// Set when the server was told to stream this body and it had not arrived whole with the head; `body` and `trailers`
  /// are empty then.
  std::shared_ptr<BodyReader> body_stream;

  /// The target up to '?', still encoded.
  std::string_view path() const;
  /// What follows '?', still encoded; empty when there is none.
  std::string_view query() const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  /// When set, `body` is ignored and the pieces are sent chunked as they come.
  BodySource stream;
  /// Fields sent after a streamed body; asked for when the stream has ended.
  std::function<Headers()> stream_trailers;
  /// Called once when the response has been written or the connection is gone: `true` when all of it was written.
  std::function<void(bool)> on_sent;

  static Response text(int status, std::string body);
  static Response json(int status, std::string body);
};

std::string_view reason_phrase(int status);

/// Decoded name=value pairs of a query string or form body, in order; nullopt for a bad percent escape.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view encoded);

}  // namespace lambdad::http
