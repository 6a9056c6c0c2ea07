#pragma once

#include <string_view>
#include <variant>

#include "base/time.h"
#include "ports/functions.h"

namespace lambdad::invoke {

/// Why an event is given up. Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations",
/// `condition`; kFunctionGone and kRecursiveLoop are not published by AWS.
enum class Condition {
  kRetriesExhausted,
  kEventAgeExceeded,
  kZeroReservedConcurrency,
  kFunctionGone,
  kRecursiveLoop,
};
std::string_view to_string(Condition condition);

/// What an event has been through.
struct EventProgress {
  WallTime accepted;
  int runs = 0;       ///< attempts that reached the function
  int throttles = 0;  ///< attempts in a row that did not
};

struct Done {};
struct RetryAt {
  WallTime when;
  int runs;
  int throttles;
};
struct GiveUp {
  Condition condition;
  int runs;
};
using Verdict = std::variant<Done, RetryAt, GiveUp>;

/// Whether an event may be attempted at `now`; nullopt: yes.
///
/// Reserved concurrency of zero gives an event up without an attempt; so does an age beyond the configured maximum.
/// Source: lambda-core behaviour observed November 2025 (ZeroReservedConcurrency with approximateInvokeCount 0).
std::optional<GiveUp> before_attempt(const EventProgress& progress, const ports::EventInvokeConfig& config,
                                     bool zero_reserved, WallTime now);

/// What follows from an attempt that ended at `now`. Pure.
///
/// Function errors are retried after 1 minute, then after 2, at most `config.maximum_retry_attempts` times, and not
/// when the next attempt would begin beyond `config.maximum_event_age`. Throttles and system errors do not count as
/// retries: 1 s, 2 s, 4 s ... up to 5 minutes, until the age is reached. Source: Lambda Developer Guide, "How Lambda
/// handles errors and retries with asynchronous invocation"; the look-ahead of the age check and the doubling are
/// observed (November 2025).
Verdict after_attempt(const EventProgress& progress, ports::InvocationOutcome::Kind outcome,
                      const ports::EventInvokeConfig& config, bool zero_reserved, WallTime now);

}  // namespace lambdad::invoke
