#include "pattern/event_fields.h"

#include <algorithm>

namespace lambdad::pattern {

void EventFields::clear(std::size_t slot_count) {
  for (const std::uint32_t slot : found) slots[slot].clear();
  found.clear();
  if (slots.size() < slot_count) slots.resize(slot_count);
  elements.resize(1);
  arrays = 0;
}

bool EventFields::agree(std::uint32_t a, std::uint32_t b) const {
  for (std::uint32_t x = a; x != 0; x = elements[x].outer) {
    for (std::uint32_t y = b; y != 0; y = elements[y].outer) {
      if (elements[x].array == elements[y].array && elements[x].index != elements[y].index) return false;
    }
  }
  return true;
}

std::uint32_t EventFields::outward(std::uint32_t element, std::uint32_t depth) const {
  while (element != 0 && elements[element].depth > depth) element = elements[element].outer;
  return element;
}

std::uint32_t FieldIndex::child(std::uint32_t node, std::string_view name) const {
  const auto& children = nodes_[node].children;
  if (children.size() <= 6) {
    for (const auto& [key, to] : children) {
      if (key == name) return to;
    }
    return kNone;
  }
  const auto at = std::ranges::lower_bound(children, name, {}, [](const auto& c) { return std::string_view(c.first); });
  return at != children.end() && at->first == name ? at->second : kNone;
}

std::uint32_t FieldIndex::add(std::string_view path) {
  std::uint32_t node = 0;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = path.find('.', begin);
    const std::string_view name = path.substr(begin, dot == std::string_view::npos ? dot : dot - begin);
    std::uint32_t next = child(node, name);
    if (next == kNone) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      auto& children = nodes_[node].children;
      const auto at =
          std::ranges::lower_bound(children, name, {}, [](const auto& c) { return std::string_view(c.first); });
      children.emplace(at, std::string(name), next);
    }
    node = next;
    if (dot == std::string_view::npos) break;
    begin = dot + 1;
  }
  if (nodes_[node].slot == kNone) {
    nodes_[node].slot = static_cast<std::uint32_t>(paths_.size());
    paths_.emplace_back(path);
  }
  return nodes_[node].slot;
}

void FieldIndex::collect(const json::Object& event, EventFields& out) const {
  out.clear(paths_.size());
  object(0, event, 0, 0, out);
}

void FieldIndex::object(std::uint32_t node, const json::Object& members, std::uint32_t element, std::uint32_t depth,
                        EventFields& out) const {
  if (nodes_[node].children.empty()) return;
  for (const auto& [key, value] : members) {
    if (const std::uint32_t next = child(node, key); next != kNone) {
      descend(next, value, element, depth + 1, out);
    } else if (key.find('.') != std::string::npos) {
      std::uint32_t at = node;
      std::uint32_t at_depth = depth;
      for (std::size_t begin = 0; at != kNone;) {
        const std::size_t dot = key.find('.', begin);
        at = child(at, std::string_view(key).substr(begin, dot == std::string::npos ? dot : dot - begin));
        ++at_depth;
        if (dot == std::string::npos) break;
        begin = dot + 1;
      }
      if (at != kNone) descend(at, value, element, at_depth, out);
    }
  }
}

void FieldIndex::descend(std::uint32_t node, const json::Value& value, std::uint32_t element, std::uint32_t depth,
                         EventFields& out) const {
  if (const json::Object* members = value.if_object()) {
    object(node, *members, element, depth, out);
    return;
  }
  if (const json::Array* items = value.if_array()) {
    const std::uint32_t array = out.arrays++;
    std::uint32_t index = 0;
    for (const json::Value& item : *items) {
      std::uint32_t within = element;
      // Plain items of one array may count for different fields: they carry no element.
      if (item.is_object() || item.is_array()) {
        within = static_cast<std::uint32_t>(out.elements.size());
        out.elements.push_back({.outer = element, .array = array, .index = index, .depth = depth});
      }
      descend(node, item, within, depth, out);
      ++index;
    }
    return;
  }
  const std::uint32_t slot = nodes_[node].slot;
  if (slot == kNone) return;
  if (out.slots[slot].empty()) out.found.push_back(slot);
  out.slots[slot].push_back({&value, element});
}

}  // namespace lambdad::pattern
