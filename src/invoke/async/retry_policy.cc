#include "invoke/async/retry_policy.h"

#include <algorithm>

namespace lambdad::invoke {

namespace {
constexpr Duration kFunctionErrorDelay = 60s;  // times the number of attempts made
constexpr Duration kThrottleDelayMax = 300s;
}  // namespace

std::string_view to_string(Condition condition) {
  switch (condition) {
    case Condition::kRetriesExhausted: return "RetriesExhausted";
    case Condition::kEventAgeExceeded: return "EventAgeExceeded";
    case Condition::kZeroReservedConcurrency: return "ZeroReservedConcurrency";
    case Condition::kFunctionGone: return "FunctionGone";
    case Condition::kRecursiveLoop: return "RecursiveLoop";
  }
  return "Unknown";
}

std::optional<GiveUp> before_attempt(const EventProgress& progress, const ports::EventInvokeConfig& config,
                                     bool zero_reserved, WallTime now) {
  if (zero_reserved) return GiveUp{Condition::kZeroReservedConcurrency, progress.runs};
  if (now - progress.accepted > config.maximum_event_age) return GiveUp{Condition::kEventAgeExceeded, progress.runs};
  return std::nullopt;
}

Verdict after_attempt(const EventProgress& progress, ports::InvocationOutcome::Kind outcome,
                      const ports::EventInvokeConfig& config, bool zero_reserved, WallTime now) {
  using Kind = ports::InvocationOutcome::Kind;
  switch (outcome) {
    case Kind::kSuccess: return Done{};
    case Kind::kNoSuchFunction: return GiveUp{Condition::kFunctionGone, progress.runs};
    case Kind::kRecursiveLoop: return GiveUp{Condition::kRecursiveLoop, progress.runs};
    case Kind::kFunctionError: {
      const int runs = progress.runs + 1;
      if (zero_reserved) return GiveUp{Condition::kZeroReservedConcurrency, runs};
      if (runs > config.maximum_retry_attempts) return GiveUp{Condition::kRetriesExhausted, runs};
      const WallTime next = now + kFunctionErrorDelay * runs;
      if (next - progress.accepted > config.maximum_event_age) return GiveUp{Condition::kEventAgeExceeded, runs};
      return RetryAt{next, runs, 0};
    }
    case Kind::kThrottled:
    case Kind::kSystemError:
    case Kind::kNotReady: {
      // 2^9 s is beyond the cap already; the shift must not overflow.
      const Duration delay = std::min(Duration(1s) * (1 << std::min(progress.throttles, 9)), kThrottleDelayMax);
      if (now + delay - progress.accepted > config.maximum_event_age) {
        return GiveUp{Condition::kEventAgeExceeded, progress.runs};
      }
      return RetryAt{now + delay, progress.runs, progress.throttles + 1};
    }
  }
  return Done{};
}

}  // namespace lambdad::invoke
