// Any pattern against any message: accepted or refused, matched or not, in bounded time and without reading beyond.
#include "services/logs/filter_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  const auto pattern = lambdad::logs::FilterPattern::parse(text.substr(0, line));
  if (pattern && line != std::string_view::npos) (void)pattern->matches(text.substr(line + 1));
  return 0;
}
