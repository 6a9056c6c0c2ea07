// An X-Ray header of a caller: counted links stay readable, and nothing of it can grow.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "invoke/recursion.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view header(reinterpret_cast<const char*>(data), size);
  const lambdad::FunctionArn function{"us-east-1", "111122223333", "f", ""};
  const auto link = lambdad::invoke::follow_chain(header, function);
  LD_CHECK(link.invocations >= 0 && link.trace_header.size() <= size + 64);
  const auto next = lambdad::invoke::follow_chain(link.trace_header, function);
  LD_CHECK(next.invocations > link.invocations || link.invocations == 32'767);
  return 0;
}
