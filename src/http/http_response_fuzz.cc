// The response parser takes any bytes, and what it makes of them does not depend on how they are cut.
#include <cstddef>
#include <cstdint>
#include <string>

#include "http/strict.h"

namespace {

using namespace lambdad;
using namespace lambdad::http;

const ResponseLimits kLimits{.header_bytes_max = 512, .body_bytes_max = 40000};

std::string read(std::string_view bytes, std::size_t step, bool to_head_request) {
  ResponseParser parser(kLimits, to_head_request);
  std::string buffer;
  const auto wants_more = [&parser] {
    return parser.state() == ResponseParser::State::kHead || parser.state() == ResponseParser::State::kBody;
  };
  while (wants_more() && !bytes.empty()) {
    buffer.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    const std::size_t used = parser.push(buffer);
    LD_CHECK(used <= buffer.size(), "more taken than offered");
    buffer.erase(0, used);
  }
  parser.push_end();
  if (parser.state() == ResponseParser::State::kRefused) return std::string(describe(parser.refusal()));
  if (wants_more()) return "cut off";
  const bool keep = parser.keep_alive();
  const Response response = parser.take();
  LD_CHECK(response.status >= 200 && response.status <= 599, "status {}", response.status);
  LD_CHECK(response.body.size() <= kLimits.body_bytes_max, "a body above its limit");
  std::string seen = fmt::format("{} {} {} {}\n", response.status, keep, response.body, buffer.size() + bytes.size());
  for (const Headers* headers : {&response.headers, &parser.trailers()}) {
    for (const Header& field : *headers) seen += fmt::format("{}={};", field.name, field.value);
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool to_head_request = (data[0] & 1) != 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read(bytes, bytes.size() + 1, to_head_request);
  for (const std::size_t step : {std::size_t{1}, std::size_t{5}, std::size_t{64}}) {
    const std::string pieces = read(bytes, step, to_head_request);
    LD_CHECK(pieces == whole, "pieces of {} bytes are read differently: '{}' and '{}'", step, pieces, whole);
  }
  return 0;
}
