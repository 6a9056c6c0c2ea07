#include "scheduler/concurrency.h"

namespace lambdad::scheduler {

std::expected<ConcurrencyLedger::Permit, ports::ThrottleReason> ConcurrencyLedger::acquire(
    const ports::FunctionRef& function, std::optional<int> reserved, int reserved_total) {
  const std::string pool_key = function.account + ":" + function.region;
  int& running = functions_[pool_key + ":" + function.name];
  int* pool = nullptr;
  if (reserved) {
    if (running >= *reserved) return std::unexpected(ports::ThrottleReason::kReservedConcurrentInvocationLimit);
  } else {
    pool = &pools_[pool_key];
    if (*pool >= account_limit_ - reserved_total) {
      return std::unexpected(ports::ThrottleReason::kConcurrentInvocationLimit);
    }
    ++*pool;
  }
  ++running;
  ++total_;
  return Permit(this, &running, pool);
}

void ConcurrencyLedger::release(int* function, int* pool) {
  --*function;
  --total_;
  if (pool != nullptr) --*pool;
}

int ConcurrencyLedger::running(const ports::FunctionRef& function) const {
  const auto entry = functions_.find(function.account + ":" + function.region + ":" + function.name);
  return entry == functions_.end() ? 0 : entry->second;
}

}  // namespace lambdad::scheduler
