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
  std::string_view name;  ///< as received; compared without case
  std::string_view value;
};

/// Header fields in order. Repeats are kept apart.
///
/// All names and values lie in one text, so that a head costs two allocations however many fields it has. Whatever is
/// seen of a field is valid until the headers change or go away.
class Headers {
 public:
  class Iterator;
  Headers() = default;
  Headers(std::initializer_list<Header> headers) {
    for (const Header& header : headers) add(header.name, header.value);
  }
  /// First value of `name`.
  std::optional<std::string_view> get(std::string_view name) const;
  std::string get_or(std::string_view name, std::string_view fallback) const;
  bool contains(std::string_view name) const { return get(name).has_value(); }
  void add(std::string_view name, std::string_view value);
  /// Replaces all fields of this name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  /// For fields that are `bytes` long together.
  void reserve(std::size_t bytes);
  std::size_t size() const { return fields_.size(); }
  inline Iterator begin() const;
  inline Iterator end() const;

 private:
  struct Field {
    std::uint32_t name;  ///< where it begins in text_; the value follows it
    std::uint32_t name_size;
    std::uint32_t value_size;
  };
  std::string_view name_of(const Field& field) const { return {text_.data() + field.name, field.name_size}; }
  std::string_view value_of(const Field& field) const {
    return {text_.data() + field.name + field.name_size, field.value_size};
  }
  std::string text_;
  std::vector<Field> fields_;
};

class Headers::Iterator {
 public:
  using value_type = Header;
  using difference_type = std::ptrdiff_t;
  Iterator() = default;
  Iterator(const Headers* headers, std::size_t at) : headers_(headers), at_(at) {}
  Header operator*() const {
    const Field& field = headers_->fields_[at_];
    return {headers_->name_of(field), headers_->value_of(field)};
  }
  Iterator& operator++() {
    ++at_;
    return *this;
  }
  Iterator operator++(int) { return {headers_, at_++}; }
  bool operator==(const Iterator& other) const = default;

 private:
  const Headers* headers_ = nullptr;
  std::size_t at_ = 0;
};

inline Headers::Iterator Headers::begin() const { return {this, 0}; }
inline Headers::Iterator Headers::end() const { return {this, fields_.size()}; }

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
  /// May be held back to leave in one write with the response to the next request, when that has arrived already.
  bool may_wait = false;
  /// Called once when the response has been written or the connection is gone: `true` when all of it was written.
  std::function<void(bool)> on_sent;

  static Response text(int status, std::string body);
  static Response json(int status, std::string body);
};

std::string_view reason_phrase(int status);

/// Decoded name=value pairs of a query string or form body, in order; nullopt for a bad percent escape.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view encoded);

}  // namespace lambdad::http
