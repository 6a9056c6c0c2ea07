#include "invoke/trace_header.h"

#include <algorithm>

namespace lambdad::invoke {

namespace {

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

bool is_root(std::string_view text) {
  return text.size() == 35 && text.starts_with("1-") && text[10] == '-' && is_hex(text.substr(2, 8), 8) &&
         is_hex(text.substr(11), 24);
}

bool is_lineage(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '|' || c == '/' || c == '-';
  });
}

}  // namespace

std::string trace_header(std::string_view from_caller, bool traces, System& system) {
  std::string_view root, parent, sampled, lineage;
  while (!from_caller.empty()) {
    std::string_view field = from_caller.substr(0, from_caller.find(';'));
    from_caller.remove_prefix(std::min(field.size() + 1, from_caller.size()));
    while (field.starts_with(' ')) field.remove_prefix(1);
    const std::string_view value = field.substr(std::min(field.find('=') + 1, field.size()));
    if (field.starts_with("Root=") && is_root(value)) root = value;
    if (field.starts_with("Parent=") && is_hex(value, 16)) parent = value;
    if (field.starts_with("Sampled=") && (value == "0" || value == "1")) sampled = value;
    if (field.starts_with("Lineage=") && is_lineage(value)) lineage = value;
  }
  std::string out;
  out.reserve(96 + lineage.size());
  out += "Root=";
  if (root.empty()) {
    fmt::format_to(std::back_inserter(out), "1-{:08x}-", to_epoch_seconds(system.clock.wall()));
    out += system.random.hex(24);
  } else {
    out += root;
  }
  if (sampled.empty()) sampled = traces ? "1" : "0";
  out += ";Parent=";
  const bool own_segment = parent.empty() || (traces && sampled == "1");
  if (own_segment) {
    out += system.random.hex(16);
  } else {
    out += parent;
  }
  out.append(";Sampled=").append(sampled);
  if (!lineage.empty()) out.append(";Lineage=").append(lineage);
  return out;
}

}  // namespace lambdad::invoke
