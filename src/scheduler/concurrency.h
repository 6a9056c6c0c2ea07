#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "ports/functions.h"

namespace lambdad::scheduler {

/// Concurrent executions of an account in a region. Source: Lambda quotas, "Concurrent executions".
inline constexpr int kAccountConcurrencyDefault = 1000;
/// Invocations per second for each unit of concurrency, of an account and of a reservation.
/// Source: Lambda Developer Guide, "Understanding concurrency and requests per second".
inline constexpr int kRequestsPerUnit = 10;

/// What one invocation may count against.
struct Quota {
  std::optional<int> reserved;  ///< of the function
  int reserved_total = 0;       ///< what functions without a reservation cannot have (FunctionCatalog)
  int provisioned_ready = 0;    ///< environments of this very version that were initialised ahead
  /// Of a function with a reservation: what its provisioned concurrency keeps from invocations on demand.
  int provisioned_held = 0;
};

/// Counts running invocations and their rate against the quotas. A version's provisioned environments come first; what
/// they cannot take counts against the function's reservation when it has one, otherwise against the account's pool
/// less everything reserved. An invocation holds a Permit while it runs.
/// Threading: the loop only. Permits end before the ledger.
class ConcurrencyLedger {
 public:
  explicit ConcurrencyLedger(int account_limit = kAccountConcurrencyDefault) : account_limit_(account_limit) {}

  class Permit {
   public:
    Permit(Permit&& other) noexcept
        : ledger_(std::exchange(other.ledger_, nullptr)),
          function_(other.function_),
          unit_(other.unit_),
          provisioned_(other.provisioned_) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (ledger_ != nullptr) ledger_->release(function_, unit_);
    }
    /// Whether the invocation has an environment that was initialised ahead.
    bool provisioned() const { return provisioned_; }

   private:
    friend class ConcurrencyLedger;
    Permit(ConcurrencyLedger* ledger, int* function, int* unit, bool provisioned)
        : ledger_(ledger), function_(function), unit_(unit), provisioned_(provisioned) {}
    ConcurrencyLedger* ledger_;
    int* function_;
    int* unit_;  ///< what else it counts against
    bool provisioned_;
  };

  /// `snapshot_id`: of the version that will run. `now`: of the host's clock.
  std::expected<Permit, ports::ThrottleReason> acquire(const ports::FunctionRef& function,
                                                       const std::string& snapshot_id, const Quota& quota,
                                                       MonoTime now);
  int running(const ports::FunctionRef& function) const;
  int running_total() const { return total_; }
  int account_limit() const { return account_limit_; }

 private:
  /// Invocations of the last second, as a bucket that leaks.
  struct Rate {
    double level = 0;
    MonoTime last{};
    bool take(int per_second, MonoTime now);
  };
  struct Function {
    int running = 0;
    int on_demand = 0;  ///< counted against the reservation
    Rate rate;
  };
  struct Pool {
    int running = 0;
    Rate rate;
  };

  void release(int* function, int* unit);
  int account_limit_;
  int total_ = 0;
  // Nodes of std::map stay where they are, so permits point into them. One entry per function ever invoked, and per
  // version that ever had provisioned concurrency.
  std::map<std::string, Function> functions_;
  std::map<std::string, Pool> pools_;
  std::map<std::string, int> provisioned_;  ///< running, by snapshot id
};

}  // namespace lambdad::scheduler
