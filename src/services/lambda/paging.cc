#include "services/lambda/paging.h"

#include <string_view>

#include "aws/gen/lambda.h"
#include "base/encoding.h"

namespace lambdad::lambda {
namespace {

constexpr std::string_view kMarkerPrefix = "after:";

}  // namespace

std::string make_marker(const std::string& last) { return base64_encode(fmt::format("{}{}", kMarkerPrefix, last)); }

aws::Outcome<std::string> read_marker(const std::optional<std::string>& marker) {
  if (!marker || marker->empty()) return std::string();
  auto text = base64_decode(*marker);
  if (!text || !text->starts_with(kMarkerPrefix)) {
    return std::unexpected(aws::lambda::invalid_parameter_value("The pagination marker is not valid."));
  }
  return text->substr(kMarkerPrefix.size());
}

}  // namespace lambdad::lambda
