#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "ports/functions.h"

namespace lambdad::scheduler {

/// Concurrent executions of an account in a region. Source: Lambda quotas, "Concurrent executions".
inline constexpr int kAccountConcurrencyDefault = 1000;

/// Counts running invocations against the quotas: the function's reserved concurrency when it has one, otherwise the
/// account's pool less everything reserved. An invocation holds a Permit while it runs.
/// Threading: the loop only. Permits end before the ledger.
class ConcurrencyLedger {
 public:
  explicit ConcurrencyLedger(int account_limit = kAccountConcurrencyDefault) : account_limit_(account_limit) {}

  class Permit {
   public:
    Permit(Permit&& other) noexcept
        : ledger_(std::exchange(other.ledger_, nullptr)), function_(other.function_), pool_(other.pool_) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (ledger_ != nullptr) ledger_->release(function_, pool_);
    }

   private:
    friend class ConcurrencyLedger;
    Permit(ConcurrencyLedger* ledger, int* function, int* pool) : ledger_(ledger), function_(function), pool_(pool) {}
    ConcurrencyLedger* ledger_;
    int* function_;
    int* pool_;  ///< null when it counts against a reservation
  };

  /// `reserved`: of this function; `reserved_total`: of all functions of its account and region.
  std::expected<Permit, ports::ThrottleReason> acquire(const ports::FunctionRef& function, std::optional<int> reserved,
                                                       int reserved_total);
  int running(const ports::FunctionRef& function) const;
  int running_total() const { return total_; }
  int account_limit() const { return account_limit_; }

 private:
  void release(int* function, int* pool);
  int account_limit_;
  int total_ = 0;
  // Nodes of std::map stay where they are, so permits point into them. One entry per function ever invoked.
  std::map<std::string, int> functions_;
  std::map<std::string, int> pools_;
};

}  // namespace lambdad::scheduler
