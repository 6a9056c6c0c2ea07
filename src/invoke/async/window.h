#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_set>

#include "base/time.h"

namespace lambdad::invoke {

/// Which rows of a backlog in the store are in memory, when only its head is.
///
/// A row is held (in memory, waiting or being worked on), left behind (in the store only), or gone. What is left behind
/// is known by two facts: whether some of it may be due (`more`), and when the next of the rest is (`next_due`). A read
/// of what is due takes time, in which rows are taken up and let go: what it found is to be taken up only when wants()
/// says so, otherwise a row that is finished would come back.
class Window {
 public:
  bool holds(std::int64_t id) const { return held_.contains(id); }
  const std::unordered_set<std::int64_t>& held() const { return held_; }
  void hold(std::int64_t id) { held_.insert(id); }
  /// The row is gone, or left behind as the caller says next.
  void let_go(std::int64_t id) {
    held_.erase(id);
    if (reading_) left_.insert(id);
  }
  void leave_behind(WallTime due, WallTime now) {
    if (due <= now) {
      more_ = true;
    } else {
      next_due_ = next_due_ ? std::min(*next_due_, due) : due;
    }
  }

  /// Something that is due may be left behind: new rows have to wait behind it, and it has to be read.
  bool more() const { return more_; }
  bool reading() const { return reading_; }
  std::optional<WallTime> next_due() const { return next_due_; }
  /// Due times have come.
  void pass(WallTime now) {
    if (!next_due_ || *next_due_ > now) return;
    more_ = true;
    next_due_.reset();
  }

  void begin_read() {
    reading_ = true;
    more_ = false;
    next_due_.reset();  // the read finds it
    left_.clear();
  }
  bool wants(std::int64_t id) const { return !held_.contains(id) && !left_.contains(id); }
  /// `all`: nothing else was due; `next`: the earliest that was not. A read that failed has seen nothing: all = false.
  void end_read(bool all, std::optional<WallTime> next) {
    reading_ = false;
    if (!all) more_ = true;
    if (next) next_due_ = next_due_ ? std::min(*next_due_, *next) : *next;
    left_.clear();
  }

 private:
  std::unordered_set<std::int64_t> held_;
  std::unordered_set<std::int64_t> left_;  ///< let go while a read is under way
  bool more_ = false;
  bool reading_ = false;
  std::optional<WallTime> next_due_;
};

}  // namespace lambdad::invoke
