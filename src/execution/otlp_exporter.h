#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "http/client.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "system/system.h"

namespace lambdad::execution {

/// One sampled invocation, as spans are made from it. Times are the host's.
struct InvocationTrace {
  ports::FunctionVersionPtr function;
  std::string request_id;
  std::string trace_header;  ///< Root=…;Parent=…;Sampled=1
  WallTime accepted{};       ///< by the invoker
  WallTime begun{};          ///< in its environment
  WallTime answered{};
  WallTime ended{};  ///< extensions done too
  /// Of the environment, when this was its first invocation.
  std::optional<std::pair<WallTime, Duration>> init;
  std::string error_type;  ///< empty: success
};

/// The body of an OTLP/HTTP request with the spans of these invocations. Pure, but for span ids.
///
///   FUNCTION ── queue (accepted to begun) · init · invoke (begun to answered) · overhead (answered to ended)
///
/// The trace id is the X-Ray root's 32 digits. Where the function traces actively the first span is the segment that
/// its header names as Parent; else it is a child of the caller's. Queue begins before Init, which lies within it.
/// Source: OpenTelemetry protocol, JSON encoding; its semantic conventions for FaaS.
std::string otlp_request(const std::vector<InvocationTrace>& traces, Random& random);

/// Sends traces to a collector: POST URL/v1/traces, a second after the first of a batch. record() never waits; above
/// 10,000 waiting invocations the newest are dropped and counted. A collector that does not answer is tried again every
/// five seconds.
/// Threading: the loop only. End: stop(), which makes one last attempt of at most two seconds.
class OtlpExporter {
 public:
  /// `endpoint` is "http://HOST:PORT[/path]". kInvalid for anything else.
  static Result<std::unique_ptr<OtlpExporter>> make(System& system, Logger& log, Metrics& metrics,
                                                    std::string_view endpoint);
  void record(InvocationTrace trace);
  Async<void> stop();

 private:
  OtlpExporter(System& system, Logger& log, Metrics& metrics, std::string host, std::uint16_t port, std::string path);
  Async<void> run();
  Async<bool> send();

  System& system_;
  Logger& log_;
  const std::string host_;
  const std::uint16_t port_;
  const std::string path_;
  http::Client client_;
  std::deque<InvocationTrace> waiting_;
  Notifier appeared_;
  bool failing_ = false;
  Counter& sent_;
  Counter& dropped_;
  TaskGroup tasks_;
};

}  // namespace lambdad::execution
