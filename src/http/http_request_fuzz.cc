// The request parser takes any bytes, and what it makes of them does not depend on how they are cut.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "http/strict.h"

namespace {

using namespace lambdad;
using namespace lambdad::http;

const RequestLimits kLimits{.header_bytes_max = 512, .target_bytes_max = 128, .body_bytes_max = 40000};

void describe_headers(const Headers& headers, std::string& out) {
  for (const Header& field : headers) {
    LD_CHECK(is_token(field.name) && is_header_value(field.value), "a field that could not be sent on");
    out += fmt::format("{}={};", field.name, field.value);
  }
}

enum class Bodies { kWhole, kByPieces };

// All requests in `bytes`, one line each, and how it ended.
std::string read_all(std::string_view bytes, std::size_t step, Bodies bodies = Bodies::kWhole) {
  std::string seen;
  RequestParser parser(kLimits);
  std::optional<Request> head;  // of a request whose body is taken by pieces
  std::string buffer;
  while (!bytes.empty() || !buffer.empty()) {
    const std::size_t before = buffer.size();
    buffer.append(bytes.substr(0, step));
    const bool grew = buffer.size() > before;
    bytes.remove_prefix(std::min(step, bytes.size()));
    for (bool again = true; again;) {
      const std::size_t used = parser.push(buffer);
      LD_CHECK(used <= buffer.size(), "more taken than offered");
      buffer.erase(0, used);
      again = false;
      if (parser.state() == RequestParser::State::kRefused) return seen + std::string(describe(parser.refusal()));
      if (parser.state() == RequestParser::State::kBody) {
        LD_CHECK(parser.head().body.size() <= kLimits.body_bytes_max, "a body above its limit");
        if (bodies == Bodies::kByPieces) {
          if (!head) head = parser.take_head();
          head->body += parser.take_piece();
        } else if (const auto room = parser.body_room(); !room.empty()) {
          const std::size_t count = std::min(room.size(), bytes.size());
          bytes.copy(room.data(), count);
          bytes.remove_prefix(count);
          parser.body_filled(count);
        }
      }
      if (parser.state() == RequestParser::State::kComplete) {
        Request request = head ? std::move(*head) : parser.take();
        if (head) {
          request.body += parser.take_piece();
          request.trailers = parser.trailers();
          head.reset();
        }
        LD_CHECK(request.target.starts_with('/') || request.target == "*", "a target of another form");
        seen += fmt::format("{} {} {} ", request.method, request.target, request.body);
        describe_headers(request.headers, seen);
        describe_headers(request.trailers, seen);
        seen += '\n';
        parser.next();
        again = !buffer.empty();
      }
    }
    if (!grew && bytes.empty()) break;
  }
  return seen + fmt::format("in {}", parser.state() == RequestParser::State::kBody ? "a body" : "a head");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read_all(bytes, bytes.size() + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{5}, std::size_t{64}}) {
    LD_CHECK(read_all(bytes, step) == whole, "pieces of {} bytes are read differently: '{}' and '{}'", step,
             read_all(bytes, step), whole);
  }
  LD_CHECK(read_all(bytes, 3, Bodies::kByPieces) == whole, "bodies taken by pieces are read differently: '{}' and '{}'",
           read_all(bytes, 3, Bodies::kByPieces), whole);
  return 0;
}
