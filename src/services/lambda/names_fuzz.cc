// Names of functions and layers, and markers: what parses is what it was parsed from.
#include <cstddef>
#include <cstdint>
#include <string>

#include "services/lambda/function_name.h"
#include "services/lambda/layers.h"
#include "services/lambda/paging.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdad::lambda;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto parts = parse_function_name(text)) LD_CHECK(!parts->name.empty());
  if (auto layer = parse_layer_arn(text)) {
    LD_CHECK(!layer->name.empty());
    LD_CHECK(parse_layer_arn(layer->arn()).has_value());
  }
  static_cast<void>(read_marker(text));
  LD_CHECK(read_marker(make_marker(text)).value_or("") == text);
  return 0;
}
