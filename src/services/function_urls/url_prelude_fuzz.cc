/// The prelude of a streamed response takes any bytes, and what it makes of them does not depend on how they are cut.
/// The same bytes as a buffered result: whatever is not refused can be sent.
#include <cstddef>
#include <cstdint>

#include "http/response_head.h"
#include "services/function_urls/url_response.h"

namespace {

using namespace lambdad;
using function_urls::PreludeParser;

std::string read(std::string_view bytes, std::size_t step) {
  PreludeParser parser;
  std::string body;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, step);
    const std::size_t used = parser.push(piece);
    LD_CHECK(used <= piece.size(), "more taken than offered");
    if (parser.state() == PreludeParser::State::kMalformed) return "malformed";
    body += piece.substr(used);
    bytes.remove_prefix(piece.size());
  }
  if (parser.state() != PreludeParser::State::kComplete) return "unfinished";
  const http::Response head = parser.take();
  LD_CHECK(http::is_sendable(head), "a head that cannot be sent");
  std::string out = fmt::format("{} {} ", head.status, body);
  for (const http::Header& field : head.headers) out += fmt::format("{}={};", field.name, field.value);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read(bytes, bytes.size() + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    LD_CHECK(read(bytes, step) == whole, "read differently in pieces of {}", step);
  }
  if (const auto response = function_urls::interpret(bytes)) {
    LD_CHECK(http::is_sendable(*response), "a response that cannot be sent");
  }
  return 0;
}
