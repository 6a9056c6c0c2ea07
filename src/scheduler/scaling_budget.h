#pragma once

#include <algorithm>

#include "base/time.h"

namespace lambdad::scheduler {

/// How fast one function may gain environments: 1,000 at once, 100 more each second. Refills continuously; what is not
/// used does not add up beyond 1,000. Pure: takes `now` of the host's clock.
/// Source: Lambda Developer Guide, "Lambda scaling behavior": 1,000 execution environment instances every 10 seconds.
class ScalingBudget {
 public:
  static constexpr double kBurst = 1000;
  static constexpr double kPerSecond = 100;

  /// Takes one environment out of the budget; false when none is left at `now`.
  bool take(MonoTime now) {
    refill(now);
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }
  /// Nothing has been taken that is not back by now: a new budget would be the same.
  bool full(MonoTime now) {
    refill(now);
    return left_ >= kBurst;
  }

 private:
  void refill(MonoTime now) {
    if (now > last_) left_ = std::min(kBurst, left_ + to_seconds(now - last_) * kPerSecond);
    last_ = std::max(last_, now);
  }
  double left_ = kBurst;
  MonoTime last_{};
};

}  // namespace lambdad::scheduler
