#include "aws/event_stream.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "aws/protocol.h"
#include "base/hash.h"

namespace lambdad::aws {

namespace event_stream {

namespace {

constexpr std::size_t kPreludeSize = 12;
constexpr std::size_t kAround = kPreludeSize + 4;  // without headers and payload
constexpr std::uint8_t kStringType = 7;

void append_number(std::uint32_t number, std::size_t bytes, std::string& out) {
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(number >> (8 * i) & 0xff));
}

std::uint32_t read_number(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < size; ++i) number = number << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return number;
}

// Bytes of a value of this type, its length field included; nullopt for a type that does not exist.
std::optional<std::size_t> value_size(std::uint8_t type, std::string_view rest) {
  switch (type) {
    case 0:
    case 1: return 0;  // true, false
    case 2: return 1;  // byte
    case 3: return 2;  // short
    case 4: return 4;  // integer
    case 5: return 8;  // long
    case 6:            // byte array
    case 7:            // string
      if (rest.size() < 2) return std::nullopt;
      return 2 + read_number(rest, 0, 2);
    case 8: return 8;   // timestamp
    case 9: return 16;  // UUID
    default: return std::nullopt;
  }
}

Result<std::vector<Header>> read_headers(std::string_view bytes) {
  std::vector<Header> headers;
  while (!bytes.empty()) {
    const std::size_t name_size = static_cast<std::uint8_t>(bytes[0]);
    if (name_size == 0 || bytes.size() < name_size + 2) return fail(Errc::kInvalid, "event stream: a header's name");
    const std::string_view name = bytes.substr(1, name_size);
    const auto type = static_cast<std::uint8_t>(bytes[1 + name_size]);
    bytes.remove_prefix(name_size + 2);
    const auto size = value_size(type, bytes);
    if (!size || *size > bytes.size()) return fail(Errc::kInvalid, "event stream: a header's value");
    if (type == kStringType) headers.push_back({std::string(name), std::string(bytes.substr(2, *size - 2))});
    bytes.remove_prefix(*size);
  }
  return headers;
}

}  // namespace

std::string_view Message::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &Header::name);
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

void append(const Message& message, std::string& out) {
  std::size_t headers_size = 0;
  for (const Header& header : message.headers) {
    LD_CHECK(!header.name.empty() && header.name.size() <= 255 && header.value.size() <= 32767, "event stream header");
    headers_size += 4 + header.name.size() + header.value.size();
  }
  LD_CHECK(headers_size <= kHeadersBytesMax && message.payload.size() <= kPayloadBytesMax, "event stream message");
  const std::size_t total = kAround + headers_size + message.payload.size();
  const std::size_t begin = out.size();
  out.reserve(begin + total);
  append_number(static_cast<std::uint32_t>(total), 4, out);
  append_number(static_cast<std::uint32_t>(headers_size), 4, out);
  append_number(crc32(std::string_view(out).substr(begin, 8)), 4, out);
  for (const Header& header : message.headers) {
    out.push_back(static_cast<char>(header.name.size()));
    out.append(header.name);
    out.push_back(static_cast<char>(kStringType));
    append_number(static_cast<std::uint32_t>(header.value.size()), 2, out);
    out.append(header.value);
  }
  out.append(message.payload);
  append_number(crc32(std::string_view(out).substr(begin)), 4, out);
}

Result<std::optional<Message>> Decoder::next() {
  const std::string_view bytes = buffer_;
  if (bytes.size() < kPreludeSize) return std::nullopt;
  const std::size_t total = read_number(bytes, 0, 4);
  const std::size_t headers_size = read_number(bytes, 4, 4);
  if (crc32(bytes.substr(0, 8)) != read_number(bytes, 8, 4)) {
    return fail(Errc::kInvalid, "event stream: the checksum of a prelude is wrong");
  }
  if (headers_size > kHeadersBytesMax || total < kAround + headers_size ||
      total - kAround - headers_size > kPayloadBytesMax) {
    return fail(Errc::kInvalid, "event stream: {} bytes with {} of headers", total, headers_size);
  }
  if (bytes.size() < total) return std::nullopt;
  if (crc32(bytes.substr(0, total - 4)) != read_number(bytes, total - 4, 4)) {
    return fail(Errc::kInvalid, "event stream: the checksum of a message is wrong");
  }
  Message message;
  LD_TRY(message.headers, read_headers(bytes.substr(kPreludeSize, headers_size)));
  const std::size_t payload_at = kPreludeSize + headers_size;
  message.payload = bytes.substr(payload_at, total - 4 - payload_at);
  buffer_.erase(0, total);
  return message;
}

}  // namespace event_stream

namespace {

struct Frames {
  Frames(const OperationModel* model, EventSource source) : operation(model), events(std::move(source)) {}
  static Async<Result<std::optional<std::string>>> next(std::shared_ptr<Frames> self) {
    if (!self->first.empty()) co_return std::exchange(self->first, {});
    auto event = co_await self->events();
    if (!event) co_return std::unexpected(std::move(event.error()));
    if (!*event) co_return std::nullopt;
    co_return encode_event(*self->operation, std::move(**event));
  }
  const OperationModel* operation;
  EventSource events;
  std::string first;  // a frame that goes ahead of the events; empty once it has gone
};

}  // namespace

std::string encode_event(const OperationModel& operation, Event event) {
  const auto model = std::ranges::find(operation.events, event.name, &EventModel::name);
  LD_CHECK(model != operation.events.end(), "{} has no event {}", operation.name, event.name);
  const bool bytes = !model->shape->payload_member.empty();
  event_stream::Message message;
  message.headers = {{":message-type", model->exception ? "exception" : "event"},
                     {model->exception ? ":exception-type" : ":event-type", std::string(event.name)},
                     {":content-type", bytes ? "application/octet-stream" : "application/json"}};
  if (bytes) {
    message.payload = std::move(event.body.payload);
  } else {
    append_json(message.payload, event.body.document, *model->shape);
  }
  std::string out;
  event_stream::append(message, out);
  return out;
}

void stream_events(const OperationModel& operation, Protocol protocol, EventSource events, http::Response& response) {
  response.headers.set("Content-Type", event_stream::kContentType);
  auto shared = std::make_shared<Frames>(&operation, std::move(events));
  if (protocol == Protocol::kJson10 || protocol == Protocol::kJson11) {
    event_stream::append({.headers = {{":message-type", "event"},
                                      {":event-type", "initial-response"},
                                      {":content-type", "application/json"}},
                          .payload = response.body.empty() ? "{}" : std::move(response.body)},
                         shared->first);
  }
  response.body.clear();
  response.stream = [shared] { return Frames::next(shared); };
}

}  // namespace lambdad::aws
