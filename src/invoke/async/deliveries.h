/// What is delivered when an event has ended. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "invoke/async/event.h"
#include "ports/targets.h"

namespace lambdad::invoke {

/// The end of an event as its destinations are told.
struct EventEnd {
  /// Why it was given up; absent: success.
  std::optional<Condition> given_up;
  int runs = 0;  ///< attempts that reached the function
  WallTime at;
  /// Of the last attempt, when that reached the function.
  struct Answer {
    bool is_error = false;
    std::string payload;
    std::string executed_version;
  };
  std::optional<Answer> answer;
};

/// What the function's configuration asks for at the end of an event.
struct EndTargets {
  std::string on_success;   ///< ARN; empty: none
  std::string on_failure;   ///< ARN; empty: none
  std::string dead_letter;  ///< ARN; empty: none
  std::string role;
};

/// The deliveries that an event's end causes: none, the success record, or failure record and dead letter, which are
/// independent of each other. `payload` is the event as it came.
std::vector<Delivery> deliveries_of(const Event& event, const std::string& payload, const EventEnd& end,
                                    const EndTargets& targets);

/// The record that a destination gets. Payload and answer go in as they are; an answer that is no JSON as a string.
/// An event that was given up without an answer has neither responseContext nor responsePayload.
/// Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"; recorded for $LATEST in
/// functionArn and for what is absent.
std::string destination_record(const Event& event, const std::string& payload, const EventEnd& end);

/// As a target gets it. A dead letter is the event as it came with three attributes: RequestID (String), ErrorCode
/// (Number: 200 for a function error, otherwise the status Invoke would have had) and ErrorMessage (String, at most
/// 1 KB: the function's errorMessage, or why it was not run; left out when empty, because SQS refuses that).
/// Source: Lambda Developer Guide, "Dead-letter queues"; texts without an attempt are third-party captures.
ports::TargetMessage message_of(const Delivery& delivery);

}  // namespace lambdad::invoke
