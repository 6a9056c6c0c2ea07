#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "execution/function_log.h"
#include "execution/telemetry.h"
#include "ports/functions.h"

namespace lambdad::execution {

enum class InitPhase { kInit, kInvoke };
enum class RunStatus { kSuccess, kError, kFailure, kTimeout };
std::string_view name_of(RunStatus status);

/// What the platform says about an environment: START, END, REPORT and INIT lines in the log, JSON records in the JSON
/// format (filtered by the system log level), and the platform stream of the Telemetry and Logs APIs (never filtered).
///
/// A record is made only when somebody gets it. Levels of records: start INFO; runtimeDone and initRuntimeDone DEBUG,
/// WARN unless successful; report INFO, WARN unless successful; initStart, extension and subscriptions INFO; initReport
/// DEBUG, WARN unless successful; logsDropped WARN.
/// Source: Lambda Developer Guide, "Telemetry API Event schema reference" and "Log-level filtering"; lines as observed
/// in January 2026. Threading: the loop only.
class PlatformLog {
 public:
  struct Facts {
    std::string runtime_version;  ///< "python:3.11.2"; empty for an image: no INIT_START line then
    std::string runtime_version_arn;
    std::string initialization_type;  ///< "on-demand", "provisioned-concurrency"
    std::string instance_id;
  };
  PlatformLog(Clock& clock, FunctionLog& log, Telemetry& telemetry, ports::FunctionVersionPtr function, Facts facts);

  void init_start(InitPhase phase);
  void init_runtime_done(InitPhase phase, RunStatus status, std::string_view error_type);
  /// In the text log only when Init failed, and always in provisioned environments.
  void init_report(InitPhase phase, RunStatus status, std::string_view error_type, Duration took);
  void start(std::string_view request_id, std::string_view trace_header);

  struct Span {
    std::string_view name;
    WallTime start{};
    Duration duration{};
  };
  struct RuntimeDone {
    std::string_view request_id;
    RunStatus status = RunStatus::kSuccess;
    std::string_view error_type;
    std::string_view trace_header;
    Duration duration{};
    std::size_t produced_bytes = 0;
    std::vector<Span> spans;
  };
  void runtime_done(const RuntimeDone& done);

  struct Report {
    std::string_view request_id;
    RunStatus status = RunStatus::kSuccess;
    std::string_view error_type;
    std::string_view trace_header;
    Duration duration{};
    std::int64_t billed_ms = 0;
    std::uint64_t memory_peak_bytes = 0;
    std::optional<Duration> init_duration;
    std::vector<Span> spans;
    /// A handler's own error is no failure of the platform: the text line has no Status then.
    bool platform_failed = false;
  };
  /// END and REPORT.
  void report(const Report& report);
  void extension(const ExtensionsApi::Extension& extension, std::string_view state, std::string_view error_type);
  void subscription(const TelemetrySubscription& subscription);
  /// The Logs API's platform.fault, and nothing elsewhere.
  void fault(std::string_view text);

 private:
  template <class Text, class Record>
  void say(std::string_view type, ports::LogLevel level, Text text, Record record);

  Clock& clock_;
  FunctionLog& log_;
  Telemetry& telemetry_;
  ports::FunctionVersionPtr function_;
  const Facts facts_;
};

}  // namespace lambdad::execution
