// Any bytes: parse() never crashes, validate() agrees with it, and what it built survives a round trip. simdjson, which
// shares no line with ours, must agree on what is JSON wherever the two follow the same rules.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/encoding.h"
#include "base/error.h"
#include "base/json.h"

namespace {

void compare_with_simdjson(std::string_view text, bool accepted) {
  static simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  const simdjson::error_code code = parser.parse(padded).error();
  if (text.starts_with("\xEF\xBB\xBF")) return;  // it skips a byte order mark
  if (code == simdjson::SUCCESS) {
    LD_CHECK(accepted, "simdjson accepts: {}", lambdad::escape_control(text));
  } else if (accepted) {
    // It refuses numbers beyond double and uint64 and lone surrogates; we keep them.
    const bool by_choice = code == simdjson::NUMBER_ERROR ||
                           (code == simdjson::STRING_ERROR && text.find("\\u") != std::string_view::npos);
    LD_CHECK(by_choice, "simdjson refuses ({}): {}", simdjson::error_message(code), lambdad::escape_control(text));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace json = lambdad::json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const json::ParseLimits limits{.depth_max = 1000};
  const auto parsed = json::parse(text, limits);
  const auto checked = json::validate(text, limits);
  LD_CHECK(parsed.has_value() == checked.has_value());
  const bool too_deep = !parsed && parsed.error().detail.find("nested too deep") != std::string::npos;
  if (!too_deep) compare_with_simdjson(text, parsed.has_value());
  if (!parsed) {
    LD_CHECK(parsed.error().detail == checked.error().detail);
    return 0;
  }
  const std::string once = json::serialize(*parsed);
  const auto again = json::parse(once, limits);
  LD_CHECK(again.has_value() && *again == *parsed);
  LD_CHECK(json::serialize(*again) == once);
  const auto from_pretty = json::parse(json::serialize_pretty(*parsed), limits);
  LD_CHECK(from_pretty.has_value() && *from_pretty == *parsed);
  return 0;
}
