#include "scheduler/concurrency.h"

#include <algorithm>

namespace lambdad::scheduler {

bool ConcurrencyLedger::Rate::take(int per_second, MonoTime now) {
  if (now > last) level = std::max(0.0, level - to_seconds(now - last) * per_second);
  last = std::max(last, now);
  if (level + 1 > per_second) return false;
  level += 1;
  return true;
}

std::expected<ConcurrencyLedger::Permit, ports::ThrottleReason> ConcurrencyLedger::acquire(
    const ports::FunctionRef& function, const std::string& snapshot_id, const Quota& quota, MonoTime now) {
  const std::string pool_key = function.account + ":" + function.region;
  Function& mine = functions_[pool_key + ":" + function.name];
  Pool& pool = pools_[pool_key];
  int* unit = nullptr;
  bool provisioned = false;
  if (quota.provisioned_ready > 0) {
    int& running = provisioned_[snapshot_id];
    if (running < quota.provisioned_ready) {
      unit = &running;
      provisioned = true;
    }
  }
  if (unit == nullptr && quota.reserved) {
    if (mine.on_demand >= *quota.reserved - quota.provisioned_held) {
      return std::unexpected(ports::ThrottleReason::kReservedConcurrentInvocationLimit);
    }
    unit = &mine.on_demand;
  }
  if (unit == nullptr) {
    if (pool.running >= account_limit_ - quota.reserved_total) {
      return std::unexpected(ports::ThrottleReason::kConcurrentInvocationLimit);
    }
    unit = &pool.running;
  }
  if (quota.reserved && !mine.rate.take(*quota.reserved * kRequestsPerUnit, now)) {
    return std::unexpected(ports::ThrottleReason::kReservedInvocationRateLimit);
  }
  if (!pool.rate.take(account_limit_ * kRequestsPerUnit, now)) {
    return std::unexpected(ports::ThrottleReason::kInvocationRateLimit);
  }
  ++*unit;
  ++mine.running;
  ++total_;
  return Permit(this, &mine.running, unit, provisioned);
}

void ConcurrencyLedger::release(int* function, int* unit) {
  --*function;
  --*unit;
  --total_;
}

int ConcurrencyLedger::running(const ports::FunctionRef& function) const {
  const auto entry = functions_.find(function.account + ":" + function.region + ":" + function.name);
  return entry == functions_.end() ? 0 : entry->second.running;
}

}  // namespace lambdad::scheduler
