#include "execution/otlp_exporter.h"

#include <charconv>
#include <map>

#include "base/json.h"

namespace lambdad::execution {

namespace {

constexpr std::size_t kWaitingMax = 10'000;
constexpr std::size_t kBatchMax = 500;
constexpr Duration kBatchDelay = 1s;
constexpr Duration kRetryPause = 5s;
constexpr Duration kSendLimit = 2s;

json::Value attribute(std::string_view key, std::string_view text) {
  return json::Object{{"key", std::string(key)}, {"value", json::Object{{"stringValue", std::string(text)}}}};
}

json::Value flag_attribute(std::string_view key, bool flag) {
  return json::Object{{"key", std::string(key)}, {"value", json::Object{{"boolValue", flag}}}};
}

std::string_view field(std::string_view header, std::string_view name) {
  const std::size_t at = header.find(name);
  if (at == std::string_view::npos) return {};
  const std::string_view value = header.substr(at + name.size());
  return value.substr(0, value.find(';'));
}

std::string nanoseconds(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

class SpanList {
 public:
  SpanList(const InvocationTrace& trace, Random& random) : random_(random) {
    const std::string_view root = field(trace.trace_header, "Root=");
    if (root.size() == 35) trace_id_ = std::string(root.substr(2, 8)) + std::string(root.substr(11));
    if (trace_id_.empty()) trace_id_ = random.hex(32);
    const std::string parent(field(trace.trace_header, "Parent="));
    const bool own_segment = trace.function->traces && !parent.empty();
    first_ = own_segment ? parent : random.hex(16);
    json::Object first = span(trace.function->name, first_, own_segment ? "" : parent, trace.accepted, trace.ended, 2);
    first.append("attributes", json::Array{attribute("faas.invocation_id", trace.request_id),
                                           flag_attribute("faas.coldstart", trace.init.has_value())});
    if (!trace.error_type.empty()) {
      first.append("status", json::Object{{"code", 2}, {"message", trace.error_type}});
    }
    spans_.push_back(std::move(first));
    child("queue", trace.accepted, trace.begun);
    if (trace.init) child("init", trace.init->first, trace.init->first + trace.init->second);
    child("invoke", trace.begun, trace.answered);
    child("overhead", trace.answered, trace.ended);
  }
  json::Array take() { return std::move(spans_); }

 private:
  json::Object span(std::string_view name, const std::string& id, const std::string& parent, WallTime begin,
                    WallTime end, int kind) const {
    json::Object made;
    made.append("traceId", json::Value(trace_id_));
    made.append("spanId", json::Value(id));
    if (!parent.empty()) made.append("parentSpanId", json::Value(parent));
    made.append("name", json::Value(name));
    made.append("kind", json::Value(kind));
    made.append("startTimeUnixNano", json::Value(nanoseconds(begin)));
    made.append("endTimeUnixNano", json::Value(nanoseconds(end)));
    return made;
  }
  void child(std::string_view name, WallTime begin, WallTime end) {
    spans_.push_back(span(name, random_.hex(16), first_, begin, end, 1));
  }

  Random& random_;
  std::string trace_id_;
  std::string first_;
  json::Array spans_;
};

json::Value resource_of(const ports::FunctionVersion& function) {
  return json::Object{
      {"attributes",
       json::Array{attribute("service.name", function.name), attribute("cloud.provider", "aws"),
                   attribute("cloud.platform", "aws_lambda"), attribute("cloud.region", function.region),
                   attribute("cloud.account.id", function.account), attribute("faas.name", function.name),
                   attribute("faas.version", function.version), attribute("aws.log.group.names", function.log_group)}}};
}

}  // namespace

std::string otlp_request(const std::vector<InvocationTrace>& traces, Random& random) {
  // One resource for each version of a function, in the order in which they come.
  std::vector<std::pair<const ports::FunctionVersion*, json::Array>> resources;
  for (const InvocationTrace& trace : traces) {
    const auto* function = trace.function.get();
    auto place = std::ranges::find(resources, function, [](const auto& entry) { return entry.first; });
    if (place == resources.end()) place = resources.insert(place, {function, {}});
    for (json::Value& span : SpanList(trace, random).take()) place->second.push_back(std::move(span));
  }
  json::Array list;
  for (auto& [function, spans] : resources) {
    json::Object scope{{"scope", json::Object{{"name", "lambdad"}}}, {"spans", std::move(spans)}};
    list.push_back(json::Object{{"resource", resource_of(*function)}, {"scopeSpans", json::Array{std::move(scope)}}});
  }
  return json::serialize(json::Object{{"resourceSpans", std::move(list)}});
}

Result<std::unique_ptr<OtlpExporter>> OtlpExporter::make(System& system, Logger& log, Metrics& metrics,
                                                         std::string_view endpoint) {
  constexpr std::string_view kScheme = "http://";
  if (!endpoint.starts_with(kScheme)) {
    return fail(Errc::kInvalid, "'{}' is not http://HOST:PORT", endpoint);
  }
  std::string_view rest = endpoint.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  std::string path(slash == std::string_view::npos ? "" : rest.substr(slash));
  while (path.ends_with('/')) path.pop_back();
  if (!path.ends_with("/v1/traces")) path += "/v1/traces";
  rest = rest.substr(0, slash);
  const std::size_t colon = rest.rfind(':');
  std::uint16_t port = 4318;  // of OTLP over HTTP
  if (colon != std::string_view::npos) {
    const std::string_view digits = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) {
      return fail(Errc::kInvalid, "'{}' is not http://HOST:PORT", endpoint);
    }
  }
  const std::string host(rest.substr(0, colon));
  if (host.empty()) return fail(Errc::kInvalid, "'{}' is not http://HOST:PORT", endpoint);
  return std::unique_ptr<OtlpExporter>(new OtlpExporter(system, log, metrics, host, port, std::move(path)));
}

OtlpExporter::OtlpExporter(System& system, Logger& log, Metrics& metrics, std::string host, std::uint16_t port,
                           std::string path)
    : system_(system),
      log_(log),
      host_(std::move(host)),
      port_(port),
      path_(std::move(path)),
      client_(system.loop, system.host_clock, {.connect_timeout = kSendLimit, .total_timeout = kSendLimit}),
      appeared_(system.loop),
      sent_(metrics.counter("lambdad_traces_sent_total", "Invocations whose spans a collector has taken.")),
      dropped_(metrics.counter("lambdad_traces_dropped_total",
                               "Invocations whose spans were dropped because too many waited for the collector.")),
      tasks_(system.loop) {
  tasks_.spawn("trace export", run());
}

void OtlpExporter::record(InvocationTrace trace) {
  if (waiting_.size() >= kWaitingMax) {
    dropped_.add();
    return;
  }
  waiting_.push_back(std::move(trace));
  if (waiting_.size() == 1) appeared_.notify_all();
}

Async<void> OtlpExporter::run() {
  for (;;) {
    while (waiting_.empty()) co_await appeared_.wait();
    co_await system_.host_clock.sleep_for(kBatchDelay);
    while (!waiting_.empty()) {
      if (!co_await send()) co_await system_.host_clock.sleep_for(kRetryPause);
    }
  }
}

Async<bool> OtlpExporter::send() {
  const std::size_t count = std::min(waiting_.size(), kBatchMax);
  http::Request request;
  request.method = "POST";
  request.target = path_;
  request.headers.add("Content-Type", "application/json");
  request.body =
      otlp_request({waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count)}, system_.random);
  const auto response = co_await client_.send(host_, port_, std::move(request));
  // What a collector refuses it will refuse again; what it cannot take now it may take later.
  const bool taken = response && response->status / 100 == 2;
  const bool refused = response && response->status / 100 == 4 && response->status != 429;
  if (!taken && !failing_) {
    log_.warn("traces_not_sent",
              {{"reason", response ? fmt::format("status {}", response->status) : response.error().detail}});
  }
  failing_ = !taken;
  if (taken) sent_.add(count);
  if (refused) dropped_.add(count);
  if (taken || refused) waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  co_return taken || refused;
}

Async<void> OtlpExporter::stop() {
  co_await tasks_.stop();
  if (!waiting_.empty()) co_await send();
}

}  // namespace lambdad::execution
