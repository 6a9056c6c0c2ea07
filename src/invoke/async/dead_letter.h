#pragma once

#include <string>

#include "invoke/async/event_store.h"
#include "ports/targets.h"

namespace lambdad::invoke {

/// The message that a dead-letter queue gets: the event as it came, and three attributes.
///
/// RequestID (String), ErrorCode (Number: 200 for a function error, otherwise the status Invoke would have had) and
/// ErrorMessage (String, at most 1 KB: the function's errorMessage, or why it was not run). An attribute that would be
/// empty is left out, because SQS refuses it.
/// Source: Lambda Developer Guide, "Dead-letter queues"; texts without an attempt are third-party captures.
ports::TargetMessage dead_letter_message(const Event& event, const GiveUp& reason, const std::string& payload,
                                         const std::string& error_payload);

}  // namespace lambdad::invoke
