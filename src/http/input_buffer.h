#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace lambdad::http {

/// Bytes read from a connection and not yet used. Small while a connection is idle; grows for heads that do not fit
/// and for bodies that arrive in chunks.
class InputBuffer {
 public:
  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }

  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  /// Where to read to; never empty. `wanted` is the size the buffer should have.
  std::span<char> room(std::size_t wanted) {
    if (capacity_ < wanted || end_ == capacity_) make_room(wanted);
    return {bytes_.get() + end_, capacity_ - end_};
  }
  void filled(std::size_t count) { end_ += count; }

  /// Gives back what a large message needed, once nothing is kept.
  void shrink() {
    if (empty() && capacity_ > kIdleSize) {
      bytes_.reset();
      capacity_ = 0;
    }
  }

  static constexpr std::size_t kIdleSize = 8 * 1024;
  static constexpr std::size_t kBodySize = 64 * 1024;

 private:
  void make_room(std::size_t wanted) {
    const std::size_t size = end_ - begin_;
    if (capacity_ >= wanted && size <= capacity_ / 2) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, size);
    } else {
      const std::size_t capacity = std::max({wanted, kIdleSize, size * 2});
      auto larger = std::make_unique_for_overwrite<char[]>(capacity);
      if (size > 0) std::memcpy(larger.get(), bytes_.get() + begin_, size);
      bytes_ = std::move(larger);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = size;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace lambdad::http
