#pragma once

#include <string>

#include "base/time.h"
#include "ports/functions.h"

namespace lambdad::ports {

/// Where the lines of functions go: the embedded CloudWatch Logs service.
/// Threading: the loop only. append() never waits; the sink bounds what it holds and counts what it drops.
struct FunctionLogSink {
  virtual ~FunctionLogSink() = default;
  /// `message` is one log event without its trailing newline; `stream` is "2026/01/31/[$LATEST]<32 hex>".
  virtual void append(const FunctionVersion& function, const std::string& stream, WallTime time,
                      std::string message) = 0;
};

}  // namespace lambdad::ports
