#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace lambdad::pattern {

/// Which element of which array of an event a value stands in. Elements form chains from the inner array outward.
struct Element {
  std::uint32_t outer = 0;  ///< the element around the array; 0: none
  std::uint32_t array = 0;  ///< numbers the arrays of one event
  std::uint32_t index = 0;
  std::uint32_t depth = 0;  ///< segments of the array's path
};

/// A value that some pattern asks for.
struct Leaf {
  const json::Value* value;  ///< a string, a number, true, false or null; belongs to the event
  std::uint32_t element;     ///< the innermost; 0: in no array of objects or arrays
};

/// The values of one event, by slot. Reused for the next event, so that nothing is allocated for most of them.
struct EventFields {
  std::vector<std::vector<Leaf>> slots;
  std::vector<std::uint32_t> found;  ///< slots that have leaves
  std::vector<Element> elements;     ///< [0] stands for none
  std::uint32_t arrays = 0;

  void clear(std::size_t slot_count);
  bool has_elements() const { return elements.size() > 1; }
  /// Whether values in these elements may count together: in every array that both are in, they are in one element.
  bool agree(std::uint32_t a, std::uint32_t b) const;
  /// `element` without the arrays at paths longer than `depth`.
  std::uint32_t outward(std::uint32_t element, std::uint32_t depth) const;
};

/// The paths that patterns ask for, each with a slot. Path segments are joined by dots, as dotted keys are.
class FieldIndex {
 public:
  FieldIndex() : nodes_(1) {}
  /// The slot of `path`, a new one when it has none.
  std::uint32_t add(std::string_view path);
  std::size_t slots() const { return paths_.size(); }
  const std::string& path(std::uint32_t slot) const { return paths_[slot]; }

  /// Finds the values of all slots in `event`. `out` refers to `event`.
  void collect(const json::Object& event, EventFields& out) const;

 private:
  static constexpr std::uint32_t kNone = ~0U;
  struct Node {
    std::vector<std::pair<std::string, std::uint32_t>> children;  // sorted
    std::uint32_t slot = kNone;
  };
  std::uint32_t child(std::uint32_t node, std::string_view name) const;
  void object(std::uint32_t node, const json::Object& members, std::uint32_t element, std::uint32_t depth,
              EventFields& out) const;
  void descend(std::uint32_t node, const json::Value& value, std::uint32_t element, std::uint32_t depth,
               EventFields& out) const;

  std::vector<Node> nodes_;
  std::vector<std::string> paths_;
};

}  // namespace lambdad::pattern
