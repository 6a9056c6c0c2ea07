/// Asynchronous events and what becomes of them. Values only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "invoke/async/retry_policy.h"
#include "ports/functions.h"

namespace lambdad::invoke {

/// An accepted event as it is kept in memory; its payload stays in the store until the attempt when memory is short.
struct Event {
  std::int64_t id = 0;    ///< row; grows with acceptance, never used again
  std::int64_t lane = 0;  ///< of its function
  ports::FunctionRef function;
  std::string request_id;
  std::string trace_header;
  EventProgress progress;
  int attempts = 0;  ///< all that were made, also those that did not reach the function
  WallTime due;
  std::size_t payload_bytes = 0;
  std::optional<std::string> payload;  ///< absent: in the store only
};

/// One attempt, as people are shown it.
struct Attempt {
  int number = 0;  ///< from 1
  WallTime started;
  WallTime ended;
  std::string outcome;  ///< "success", "function_error", "throttled", ...
  std::string error;    ///< what the function or lambdad said; empty when there is nothing to say
  std::string log;      ///< end of what the function printed
};

/// Something to be delivered because of how an event ended: the record for a destination, or the event itself for a
/// dead-letter queue. It lasts until its target has it or it is given up, whatever happens to the event.
struct Delivery {
  enum class Kind { kOnSuccess, kOnFailure, kDeadLetter };
  std::int64_t id = 0;  ///< row
  Kind kind = Kind::kDeadLetter;
  ports::FunctionRef function;
  std::string request_id;
  std::string target;  ///< ARN
  std::string role;    ///< of the function when the event ended
  std::string trace_header;
  std::string body;
  std::string error_code;     ///< of a dead letter
  std::string error_message;  ///< of a dead letter
  WallTime created;
  WallTime due;
  int tries = 0;
};

/// How an event ended.
struct Ending {
  std::int64_t event = 0;
  std::optional<Attempt> attempt;  ///< the last one, when there was one
  int attempts = 0;                ///< in all
  int runs = 0;                    ///< those that reached the function
  /// Why it was given up; absent: the function has processed it.
  std::optional<Condition> given_up;
  WallTime at;
  std::vector<Delivery> deliveries;
};

}  // namespace lambdad::invoke
