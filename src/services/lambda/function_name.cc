#include "services/lambda/function_name.h"

#include <algorithm>
#include <vector>

#include "aws/gen/lambda.h"

namespace lambdad::lambda {
namespace {

namespace api = aws::lambda;

bool all_of(std::string_view text, bool (*accepts)(char)) { return std::ranges::all_of(text, accepts); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_name_char(char c) {
  return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.' || c == '$';
}

bool is_account(std::string_view text) { return text.size() == 12 && all_of(text, is_digit); }

/// us-east-1, us-gov-west-1, us-iso-east-1
bool is_region(std::string_view text) {
  const auto last = text.rfind('-');
  if (text.size() < 7 || last == std::string_view::npos || last + 2 != text.size() || !is_digit(text.back())) {
    return false;
  }
  return text[2] == '-' && all_of(text.substr(0, last), [](char c) { return is_lower(c) || c == '-'; });
}

}  // namespace

std::optional<NameParts> parse_function_name(std::string_view text) {
  std::vector<std::string_view> tokens;
  for (;;) {
    const auto colon = text.find(':');
    tokens.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  std::size_t at = 0;
  auto more_follows = [&] { return at + 1 < tokens.size(); };
  NameParts parts;
  if (tokens[0] == "arn") {
    if (tokens.size() < 4 || !tokens[1].starts_with("aws") || tokens[2] != "lambda") return std::nullopt;
    at = 3;
  }
  if (more_follows() && is_region(tokens[at])) parts.region = tokens[at++];
  if (more_follows() && is_account(tokens[at])) parts.account = tokens[at++];
  if (more_follows() && tokens[at] == "function") ++at;
  parts.name = tokens[at++];
  if (at < tokens.size()) {
    parts.qualifier = tokens[at++];
    if (parts.qualifier.empty()) return std::nullopt;
  }
  if (at != tokens.size() || parts.name.empty() || !all_of(parts.name, is_name_char) ||
      !all_of(parts.qualifier, is_name_char)) {
    return std::nullopt;
  }
  return parts;
}

aws::Outcome<ports::FunctionRef> function_ref(const aws::RequestContext& context, std::string_view function_name,
                                              const std::optional<std::string>& qualifier) {
  auto parts = parse_function_name(function_name);
  if (!parts) {
    return std::unexpected(aws::validation_error(fmt::format(
        "1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: Member must "
        "be a function name, a partial ARN or an ARN of a function",
        function_name)));
  }
  if (!parts->region.empty() && parts->region != context.region) {
    return std::unexpected(api::resource_not_found(
        fmt::format("Functions from '{}' are not reachable in this region ('{}')", parts->region, context.region)));
  }
  if (qualifier && !qualifier->empty()) {
    if (!parts->qualifier.empty() && parts->qualifier != *qualifier) {
      return std::unexpected(api::invalid_parameter_value(
          "The derived qualifier from the function name does not match the specified qualifier."));
    }
    parts->qualifier = *qualifier;
  }
  return ports::FunctionRef{.account = parts->account.empty() ? context.account : parts->account,
                            .region = context.region,
                            .name = std::move(parts->name),
                            .qualifier = std::move(parts->qualifier)};
}

aws::Outcome<ports::FunctionRef> unqualified_function_ref(const aws::RequestContext& context,
                                                          std::string_view function_name) {
  auto ref = function_ref(context, function_name);
  if (ref && !ref->qualifier.empty()) {
    return std::unexpected(api::invalid_parameter_value(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."));
  }
  return ref;
}

aws::Error function_not_found(const ports::FunctionRef& function) {
  return api::resource_not_found(fmt::format("Function not found: {}", function.arn().str()));
}

}  // namespace lambdad::lambda
