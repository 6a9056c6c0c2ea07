#include "execution/platform_log.h"

#include <cmath>

#include "base/json.h"

namespace lambdad::execution {

namespace {

using ports::LogLevel;

constexpr std::string_view kNothing{};

std::string_view name_of(InitPhase phase) { return phase == InitPhase::kInit ? "init" : "invoke"; }

double milliseconds(Duration d) { return to_seconds(d) * 1000; }

std::uint64_t megabytes(std::uint64_t bytes) { return (bytes + 1024 * 1024 - 1) / (1024 * 1024); }

LogLevel level_of(RunStatus status, LogLevel good) { return status == RunStatus::kSuccess ? good : LogLevel::kWarn; }

// Builds a JSON object member by member.
class Record {
 public:
  Record& text(std::string_view key, std::string_view value) {
    begin(key);
    json::append_quoted(out_, value);
    return *this;
  }
  Record& optional_text(std::string_view key, std::string_view value) {
    return value.empty() ? *this : text(key, value);
  }
  template <std::integral I>
  Record& number(std::string_view key, I value) {
    begin(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
    return *this;
  }
  /// Milliseconds with at most three decimals.
  Record& milliseconds(std::string_view key, Duration value) {
    begin(key);
    const double rounded = std::round(to_seconds(value) * 1e6) / 1e3;
    fmt::format_to(std::back_inserter(out_), "{}", rounded);
    return *this;
  }
  Record& json(std::string_view key, std::string_view value) {
    begin(key);
    out_ += value;
    return *this;
  }
  Record& list(std::string_view key, const std::vector<std::string>& values) {
    begin(key);
    out_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      json::append_quoted(out_, values[i]);
    }
    out_ += ']';
    return *this;
  }
  Record& spans(const std::vector<PlatformLog::Span>& spans) {
    if (spans.empty()) return *this;
    begin("spans");
    out_ += '[';
    for (std::size_t i = 0; i < spans.size(); ++i) {
      if (i > 0) out_ += ',';
      out_ += Record()
                  .text("name", spans[i].name)
                  .text("start", format_iso8601_ms(spans[i].start))
                  .milliseconds("durationMs", spans[i].duration)
                  .take();
    }
    out_ += ']';
    return *this;
  }
  // `header` is "Root=…;Parent=…;Sampled=…".
  Record& tracing(std::string_view header) {
    if (header.empty()) return *this;
    Record inner;
    if (const std::size_t at = header.find("Parent="); at != std::string_view::npos) {
      inner.text("spanId", header.substr(at + 7, header.find(';', at) - at - 7));
    }
    inner.text("type", "X-Amzn-Trace-Id").text("value", header);
    return json("tracing", inner.take());
  }
  std::string take() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  void begin(std::string_view key) {
    if (out_.size() > 1) out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  std::string out_ = "{";
};

constexpr auto kNoText = [] { return std::string(); };

}  // namespace

std::string_view name_of(RunStatus status) {
  switch (status) {
    case RunStatus::kSuccess: return "success";
    case RunStatus::kError: return "error";
    case RunStatus::kFailure: return "failure";
    case RunStatus::kTimeout: return "timeout";
  }
  return "failure";
}

PlatformLog::PlatformLog(Clock& clock, FunctionLog& log, Telemetry& telemetry, ports::FunctionVersionPtr function,
                         Facts facts)
    : clock_(clock), log_(log), telemetry_(telemetry), function_(std::move(function)), facts_(std::move(facts)) {}

template <class Text, class MakeRecord>
void PlatformLog::say(std::string_view type, LogLevel level, Text text, MakeRecord make_record) {
  const ports::LogSettings& settings = function_->log_settings;
  const bool json_line = settings.format == ports::LogFormat::kJson && level >= settings.system_level;
  const bool published = telemetry_.wants(TelemetryStream::kPlatform);
  std::string record;
  if (json_line || published) record = make_record();
  if (json_line) {
    log_.platform(
        fmt::format(R"({{"time":"{}","type":"{}","record":{}}})", format_iso8601_ms(clock_.wall()), type, record));
  } else if (settings.format == ports::LogFormat::kText) {
    if (std::string line = text(); !line.empty()) log_.platform(std::move(line));
  }
  if (published) telemetry_.publish({.type = type, .time = clock_.wall(), .record = record, .line = {}});
}

void PlatformLog::init_start(InitPhase phase) {
  say(
      "platform.initStart", LogLevel::kInfo,
      [&] {
        if (facts_.runtime_version.empty()) return std::string();
        return fmt::format("INIT_START Runtime Version: {}\tRuntime Version ARN: {}", facts_.runtime_version,
                           facts_.runtime_version_arn);
      },
      [&] {
        Record record;
        record.text("initializationType", facts_.initialization_type).text("phase", name_of(phase));
        if (!facts_.runtime_version.empty()) {
          record.text("runtimeVersion", facts_.runtime_version).text("runtimeVersionArn", facts_.runtime_version_arn);
        }
        return record.text("functionName", function_->name)
            .text("functionVersion", function_->version)
            .text("instanceId", facts_.instance_id)
            .number("instanceMaxMemory", static_cast<std::int64_t>(function_->memory_mb) * 1024 * 1024)
            .take();
      });
}

void PlatformLog::init_runtime_done(InitPhase phase, RunStatus status, std::string_view error_type) {
  say("platform.initRuntimeDone", level_of(status, LogLevel::kDebug), kNoText, [&] {
    return Record()
        .text("initializationType", facts_.initialization_type)
        .text("phase", name_of(phase))
        .text("status", execution::name_of(status))
        .optional_text("errorType", error_type)
        .take();
  });
}

void PlatformLog::init_report(InitPhase phase, RunStatus status, std::string_view error_type, Duration took) {
  const bool on_demand = facts_.initialization_type == "on-demand";
  say(
      "platform.initReport", level_of(status, on_demand ? LogLevel::kDebug : LogLevel::kInfo),
      [&] {
        if (status == RunStatus::kSuccess && on_demand) return std::string();
        std::string line = fmt::format("INIT_REPORT Init Duration: {:.2f} ms\tPhase: {}\tStatus: {}",
                                       execution::milliseconds(took), name_of(phase), execution::name_of(status));
        if (!error_type.empty()) line += fmt::format("\tError Type: {}", error_type);
        return line;
      },
      [&] {
        return Record()
            .text("initializationType", facts_.initialization_type)
            .text("phase", name_of(phase))
            .text("status", execution::name_of(status))
            .optional_text("errorType", error_type)
            .json("metrics", Record().milliseconds("durationMs", took).take())
            .take();
      });
}

void PlatformLog::start(std::string_view request_id, std::string_view trace_header) {
  say(
      "platform.start", LogLevel::kInfo,
      [&] { return fmt::format("START RequestId: {} Version: {}", request_id, function_->version); },
      [&] {
        return Record().text("requestId", request_id).text("version", function_->version).tracing(trace_header).take();
      });
}

void PlatformLog::runtime_done(const RuntimeDone& done) {
  say("platform.runtimeDone", level_of(done.status, LogLevel::kDebug), kNoText, [&] {
    return Record()
        .text("requestId", done.request_id)
        .text("status", execution::name_of(done.status))
        .optional_text("errorType", done.error_type)
        .spans(done.spans)
        .tracing(done.trace_header)
        .json("metrics",
              Record().milliseconds("durationMs", done.duration).number("producedBytes", done.produced_bytes).take())
        .take();
  });
}

void PlatformLog::report(const Report& report) {
  const bool text = function_->log_settings.format == ports::LogFormat::kText;
  if (text) log_.platform(fmt::format("END RequestId: {}", report.request_id));
  if (telemetry_.wants_logs_api()) {
    const std::string end = Record().text("requestId", report.request_id).take();
    telemetry_.publish(
        {.type = "platform.end", .time = clock_.wall(), .record = end, .line = {}, .logs_api_only = true});
  }
  say(
      "platform.report", level_of(report.status, LogLevel::kInfo),
      [&] {
        std::string line = fmt::format(
            "REPORT RequestId: {}\tDuration: {:.2f} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: "
            "{} "
            "MB\t",
            report.request_id, milliseconds(report.duration), report.billed_ms, function_->memory_mb,
            megabytes(report.memory_peak_bytes));
        if (report.init_duration)
          line += fmt::format("Init Duration: {:.2f} ms\t", milliseconds(*report.init_duration));
        if (report.platform_failed) {
          line += fmt::format("Status: {}", report.status == RunStatus::kTimeout ? "timeout" : "error");
          if (report.status != RunStatus::kTimeout) line += fmt::format("\tError Type: {}", report.error_type);
        }
        if (const std::size_t root = report.trace_header.find("Root=");
            root != kNothing.npos && report.trace_header.find("Sampled=1") != kNothing.npos) {
          const std::size_t parent = report.trace_header.find("Parent=");
          const auto value = [&](std::size_t at, std::size_t skip) {
            return report.trace_header.substr(at + skip, report.trace_header.find(';', at) - at - skip);
          };
          line += fmt::format("\nXRAY TraceId: {}\tSegmentId: {}\tSampled: true\t", value(root, 5),
                              parent == kNothing.npos ? kNothing : value(parent, 7));
        }
        return line;
      },
      [&] {
        Record metrics;
        metrics.milliseconds("durationMs", report.duration)
            .number("billedDurationMs", report.billed_ms)
            .number("memorySizeMB", function_->memory_mb)
            .number("maxMemoryUsedMB", megabytes(report.memory_peak_bytes));
        if (report.init_duration) metrics.milliseconds("initDurationMs", *report.init_duration);
        return Record()
            .text("requestId", report.request_id)
            .json("metrics", metrics.take())
            .text("status", execution::name_of(report.status))
            .optional_text("errorType", report.error_type)
            .spans(report.spans)
            .tracing(report.trace_header)
            .take();
      });
}

void PlatformLog::extension(const ExtensionsApi::Extension& extension, std::string_view state,
                            std::string_view error_type) {
  say(
      "platform.extension", error_type.empty() ? LogLevel::kInfo : LogLevel::kWarn,
      [&] {
        std::string events;
        for (const std::string& event : extension.subscribed()) events += (events.empty() ? "" : ", ") + event;
        std::string line = fmt::format("EXTENSION\tName: {}\tState: {}\tEvents: [{}]", extension.name, state, events);
        if (!error_type.empty()) line += fmt::format("\tError Type: {}", error_type);
        return line;
      },
      [&] {
        return Record()
            .text("name", extension.name)
            .text("state", state)
            .list("events", extension.subscribed())
            .optional_text("errorType", error_type)
            .take();
      });
}

void PlatformLog::subscription(const TelemetrySubscription& subscription) {
  say(
      subscription.logs_api ? "platform.logsSubscription" : "platform.telemetrySubscription", LogLevel::kInfo,
      [&] {
        std::string types;
        for (const std::string& type : subscription.types) {
          types += types.empty() ? "" : ", ";
          types += static_cast<char>(type[0] - 'a' + 'A');
          types += type.substr(1);
        }
        return fmt::format("{}\tName: {}\tState: Subscribed\tTypes: [{}]", subscription.logs_api ? "LOGS" : "TELEMETRY",
                           subscription.extension, types);
      },
      [&] {
        return Record()
            .text("name", subscription.extension)
            .text("state", "Subscribed")
            .list("types", subscription.types)
            .take();
      });
}

void PlatformLog::fault(std::string_view text) {
  if (!telemetry_.wants_logs_api()) return;
  std::string record;
  json::append_quoted(record, text);
  telemetry_.publish(
      {.type = "platform.fault", .time = clock_.wall(), .record = record, .line = {}, .logs_api_only = true});
}

}  // namespace lambdad::execution
