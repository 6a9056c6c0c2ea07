#include "invoke/recursion.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/encoding.h"

namespace lambdad::invoke {
namespace {

constexpr std::string_view kField = "Lineage=";
constexpr std::size_t kFunctionsMax = 3;
constexpr std::size_t kHashDigits = 8;
constexpr int kCountMax = 32'767;

/// The piece of `text` before `separator`; takes both out of it.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view piece = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), piece.size() + 1));
  return piece;
}

/// FNV-1a: names a function within a chain, nothing more.
std::string hash_of(std::string_view text) {
  std::uint32_t hash = 2'166'136'261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619u;
  return fmt::format("{:08x}", hash);
}

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

ChainLink follow_chain(std::string_view trace_header, const FunctionArn& function) {
  const std::string mine = hash_of(function.unqualified());
  ChainLink link;
  std::vector<std::pair<std::string, int>> others;
  while (!trace_header.empty()) {
    std::string_view field = take(trace_header, ';');
    if (!field.starts_with(kField)) {
      if (!link.trace_header.empty()) link.trace_header += ';';
      link.trace_header += field;
      continue;
    }
    field.remove_prefix(kField.size());
    const std::string decoded = percent_decode(field).value_or("");  // boto3 encodes the separator
    field = decoded;
    while (!field.empty()) {
      std::string_view entry = take(field, '|');
      const std::string_view hash = take(entry, ':');
      int count = 0;
      const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), count);
      if (!is_hash(hash) || error != std::errc() || end != entry.data() + entry.size() || count < 0) continue;
      count = std::min(count, kCountMax);
      if (hash == mine) {
        link.invocations = std::max(link.invocations, count);
      } else {
        others.emplace_back(hash, count);
      }
    }
  }
  if (others.size() > kFunctionsMax - 1) others.erase(others.begin(), others.end() - (kFunctionsMax - 1));
  if (!link.trace_header.empty()) link.trace_header += ';';
  link.trace_header += kField;
  for (const auto& [hash, count] : others) link.trace_header += fmt::format("{}:{}|", hash, count);
  link.trace_header += fmt::format("{}:{}", mine, std::min(link.invocations + 1, kCountMax));
  return link;
}

}  // namespace lambdad::invoke
