#include "services/lambda/control_rates.h"

#include <algorithm>

namespace lambdad::lambda {
namespace {

constexpr std::size_t kAccountsMax = 10'000;         // a client can name any account
constexpr Duration kIdle = std::chrono::seconds(1);  // after which every allowance is whole again

}  // namespace

bool ControlRates::Allowance::take(double per_second, MonoTime now) {
  used = std::max(0.0, used - to_seconds(now - last) * per_second);
  last = now;
  if (used > per_second - 1) return false;
  used += 1;
  return true;
}

bool ControlRates::take(const std::string& account, const std::string& region, std::string_view operation,
                        MonoTime now) {
  const std::pair key{account, region};
  if (accounts_.size() >= kAccountsMax && !accounts_.contains(key)) forget_idle(now);
  Account& of = accounts_[key];
  if (operation == "GetFunction") return of.get_function.take(kGetFunctionPerSecond, now);
  if (operation == "GetPolicy") return of.get_policy.take(kGetPolicyPerSecond, now);
  return of.others.take(kOthersPerSecond, now);
}

void ControlRates::forget_idle(MonoTime now) {
  std::erase_if(accounts_, [&](const auto& each) {
    const Account& of = each.second;
    return now - std::max({of.get_function.last, of.get_policy.last, of.others.last}) >= kIdle;
  });
}

}  // namespace lambdad::lambda
