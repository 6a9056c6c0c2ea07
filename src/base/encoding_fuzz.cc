// Any bytes: the decoders never crash, and what they accept survives a round trip.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/arn.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/time.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  LD_CHECK(base64_decode(base64_encode(text)) == text);
  LD_CHECK(hex_decode(hex_encode(text)) == text);
  LD_CHECK(percent_decode(percent_encode(text)) == text);
  if (const auto bytes = base64_decode(text)) LD_CHECK(base64_decode(base64_encode(*bytes)) == bytes);
  if (const auto bytes = hex_decode(text)) LD_CHECK(hex_encode(*bytes) == to_lower(text));
  if (const auto bytes = percent_decode(text, true)) LD_CHECK(percent_decode(percent_encode(*bytes), true) == bytes);

  if (is_xml_char_data(text)) LD_CHECK(is_valid_utf8(text));
  const std::string xml = xml_escape(text);
  LD_CHECK(is_xml_char_data(xml) && xml.find_first_of("<>\"'\r\n\t") == std::string::npos);
  const std::string visible = escape_control(text);
  LD_CHECK(is_valid_utf8(visible) && escape_control(visible) == visible);

  if (const auto arn = Arn::parse(text)) LD_CHECK(arn->str() == text);
  if (const auto arn = FunctionArn::parse(text)) LD_CHECK(arn->str() == text);
  if (const auto time = parse_iso8601(text)) {
    const auto again = parse_iso8601(format_iso8601_ms(*time));
    LD_CHECK(again == std::chrono::floor<std::chrono::milliseconds>(*time));
  }
  if (const auto duration = parse_duration(text)) LD_CHECK(parse_duration(format_duration(*duration)) == duration);
  return 0;
}
