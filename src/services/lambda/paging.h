/// Pages of lists: markers that clients hand back, and how long a page is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aws/error.h"

namespace lambdad::lambda {

/// Opaque to clients: where the page before ended.
std::string make_marker(const std::string& last);
/// Empty without a marker; InvalidParameterValueException for one that make_marker() did not make.
aws::Outcome<std::string> read_marker(const std::optional<std::string>& marker);

/// Entries of a page: what was asked for, at most `most`.
inline std::size_t page_size(const std::optional<std::int32_t>& asked, std::size_t most) {
  return std::min(static_cast<std::size_t>(asked.value_or(static_cast<std::int32_t>(most))), most);
}

/// Collects a page; add() says whether more would be taken. The entry after a full page only tells that a page follows.
template <class Item>
class Page {
 public:
  explicit Page(std::size_t size) : size_(size) {}
  /// `position`: what make_marker() is given when this is the last entry of the page.
  bool add(Item item, std::string position) {
    if (items_.size() == size_) {
      more_ = true;
      return false;
    }
    items_.push_back(std::move(item));
    last_ = std::move(position);
    return true;
  }
  std::vector<Item> take_items() { return std::move(items_); }
  std::optional<std::string> next_marker() const { return more_ ? std::optional(make_marker(last_)) : std::nullopt; }

 private:
  std::size_t size_;
  std::vector<Item> items_;
  std::string last_;
  bool more_ = false;
};

}  // namespace lambdad::lambda
