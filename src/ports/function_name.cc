#include "ports/function_name.h"

#include <algorithm>
#include <vector>

namespace lambdad::ports {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

bool is_account(std::string_view part) { return part.size() == 12 && std::ranges::all_of(part, is_digit); }

// eu-west-1, us-gov-east-1, us-isob-east-1
bool is_region(std::string_view part) {
  if (part.size() < 6 || !is_lower(part[0]) || !is_lower(part[1]) || part[2] != '-') return false;
  if (!is_digit(part.back()) || part[part.size() - 2] != '-') return false;
  return std::ranges::all_of(part.substr(3, part.size() - 5), [](char c) { return is_lower(c) || c == '-'; });
}

bool is_name(std::string_view part) {
  return !part.empty() && std::ranges::all_of(part, [](char c) {
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

}  // namespace

std::optional<FunctionRef> parse_function_name(std::string_view text, std::string_view account,
                                               std::string_view region) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t colon = text.find(':', begin);
    parts.push_back(text.substr(begin, colon == std::string_view::npos ? colon : colon - begin));
    if (colon == std::string_view::npos) break;
    begin = colon + 1;
  }
  FunctionRef function{.account = std::string(account), .region = std::string(region), .name = {}, .qualifier = {}};
  std::size_t at = 0;
  if (parts.size() > 3 && parts[0] == "arn" && parts[2] == "lambda") at = 3;
  const auto more = [&] { return at + 1 < parts.size(); };
  if (more() && is_region(parts[at])) function.region = parts[at++];
  if (more() && is_account(parts[at])) function.account = parts[at++];
  if (more() && parts[at] == "function") ++at;
  if (!is_name(parts[at])) return std::nullopt;
  function.name = parts[at++];
  if (at < parts.size()) {
    if (parts[at] != "$LATEST" && !is_name(parts[at])) return std::nullopt;
    function.qualifier = parts[at++];
  }
  if (at != parts.size()) return std::nullopt;
  return function;
}

}  // namespace lambdad::ports
