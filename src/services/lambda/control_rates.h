#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace lambdad::lambda {

/// How often an account may call Lambda's control plane in a region: GetFunction 100 times a second, GetPolicy 15
/// times, all others together 15 times. Invocations are not counted here. Pure: takes `now` of the host's clock.
/// Source: Lambda Developer Guide, "Lambda quotas", API requests. How many calls may come at once is not documented:
/// a second's worth.
class ControlRates {
 public:
  static constexpr double kGetFunctionPerSecond = 100;
  static constexpr double kGetPolicyPerSecond = 15;
  static constexpr double kOthersPerSecond = 15;

  /// Takes one call out of the allowance; false when none is left at `now`.
  bool take(const std::string& account, const std::string& region, std::string_view operation, MonoTime now);

 private:
  struct Allowance {
    double used = 0;  ///< calls that are not forgotten yet
    MonoTime last{};
    bool take(double per_second, MonoTime now);
  };
  struct Account {
    Allowance get_function;
    Allowance get_policy;
    Allowance others;
  };
  void forget_idle(MonoTime now);

  std::map<std::pair<std::string, std::string>, Account, std::less<>> accounts_;
};

}  // namespace lambdad::lambda
