// Two lines of any bytes, a pattern and an event: compiling never crashes, what it accepts it accepts again when it is
// written anew, and a pattern gives the same verdict alone and in a set.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "pattern/pattern_set.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  const auto document = json::parse(text.substr(0, line));
  if (!document) return 0;
  for (const auto dialect : {pattern::Dialect::kEventBridge, pattern::Dialect::kMappingFilter,
                             pattern::Dialect::kSnsAttributes, pattern::Dialect::kSnsBody}) {
    const auto compiled = pattern::Pattern::compile(*document, dialect);
    if (!compiled) {
      LD_CHECK(!compiled.error().detail.empty());
      continue;
    }
    LD_CHECK(pattern::Pattern::compile(json::serialize(*document), dialect).has_value());
    const auto event = line == std::string_view::npos ? Result<json::Value>() : json::parse(text.substr(line + 1));
    if (!event) continue;
    pattern::PatternSet set;
    const auto id = set.add(*compiled);
    std::vector<pattern::PatternSet::Id> found;
    set.match(*event, found);
    LD_CHECK(compiled->matches(*event) == !found.empty());
    set.remove(id);
  }
  return 0;
}
