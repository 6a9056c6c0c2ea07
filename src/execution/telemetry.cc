#include "execution/telemetry.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "execution/api_error.h"

namespace lambdad::execution {

namespace {

constexpr std::string_view kTelemetryPath = "/2022-07-01/telemetry";
constexpr std::string_view kLogsPath = "/2020-08-15/logs";
constexpr std::string_view kHost = "sandbox.localdomain";
constexpr int kAttemptsMax = 6;
constexpr std::size_t kBacklogMax = 1000;
constexpr Duration kFirstPause = 100ms;
constexpr Duration kPauseMax = 1s;
/// Reserved for the Runtime API. Source: Lambda Developer Guide, "Telemetry API", destination protocols.
constexpr std::uint16_t kReservedPort = 9001;

std::unexpected<http::Response> refused(std::string message) {
  return std::unexpected(api_error(400, "ValidationError", message));
}

std::optional<TelemetryStream> stream_of(std::string_view name) {
  if (name == "platform") return TelemetryStream::kPlatform;
  if (name == "function") return TelemetryStream::kFunction;
  if (name == "extension") return TelemetryStream::kExtension;
  return std::nullopt;
}

// A member of `buffering` within its range.
std::expected<std::int64_t, http::Response> bounded(const json::Object& buffering, std::string_view name,
                                                    std::int64_t otherwise, std::int64_t least, std::int64_t most) {
  const json::Value* value = buffering.find(name);
  if (value == nullptr || value->is_null()) return otherwise;
  const auto number = value->as_int64();
  if (!number || *number < least || *number > most) {
    return refused(fmt::format("buffering.{} must be between {} and {}", name, least, most));
  }
  return *number;
}

std::expected<TelemetryDestination, http::Response> parse_destination(const json::Value* value) {
  if (value == nullptr || !value->is_object()) return refused("destination is required");
  TelemetryDestination made;
  const json::Value* protocol = value->find("protocol");
  const std::string* name = protocol == nullptr ? nullptr : protocol->if_string();
  if (name != nullptr && *name == "TCP") {
    made.protocol = TelemetryDestination::Protocol::kTcp;
    const json::Value* port = value->find("port");
    const auto number = port == nullptr ? std::nullopt : port->as_int64();
    if (!number || *number < 1 || *number > 65535) return refused("destination.port must be between 1 and 65535");
    made.port = static_cast<std::uint16_t>(*number);
  } else if (name != nullptr && *name == "HTTP") {
    const json::Value* uri = value->find("URI");
    const std::string* text = uri == nullptr ? nullptr : uri->if_string();
    constexpr std::string_view kScheme = "http://";
    if (text == nullptr || !text->starts_with(kScheme)) return refused("destination.URI must begin with http://");
    std::string_view rest = std::string_view(*text).substr(kScheme.size());
    const std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos) {
      made.path = rest.substr(slash);
      rest = rest.substr(0, slash);
    }
    const std::size_t colon = rest.find(':');
    if (rest.substr(0, colon) != kHost && rest.substr(0, colon) != "sandbox") {
      return refused(fmt::format("destination.URI must name the host {}", kHost));
    }
    made.port = 80;
    if (colon != std::string_view::npos) {
      const std::string_view digits = rest.substr(colon + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), made.port);
      if (error != std::errc{} || end != digits.data() + digits.size() || made.port == 0) {
        return refused("destination.URI has no valid port");
      }
    }
    if (std::ranges::any_of(made.path, [](unsigned char c) { return c <= 0x20 || c >= 0x7f; })) {
      return refused("destination.URI has characters that are not allowed");
    }
    if (const json::Value* method = value->find("method"); method != nullptr && method->if_string() != nullptr) {
      if (*method->if_string() != "POST" && *method->if_string() != "PUT")
        return refused("destination.method is unknown");
      made.method = *method->if_string();
    }
  } else {
    return refused("destination.protocol must be HTTP or TCP");
  }
  if (made.port == kReservedPort) return refused(fmt::format("port {} is reserved", kReservedPort));
  return made;
}

void append_envelope(std::string& out, WallTime time, std::string_view type) {
  out += R"({"time":")";
  out += format_iso8601_ms(time);
  out += R"(","type":")";
  out += type;
  out += R"(","record":)";
}

}  // namespace

std::expected<TelemetrySubscription, http::Response> parse_telemetry_subscription(std::string_view body,
                                                                                  bool logs_api) {
  const auto parsed = json::parse(body);
  if (!parsed) return refused(parsed.error().detail);
  const json::Object* request = parsed->if_object();
  if (request == nullptr) return refused("a JSON object is expected");
  TelemetrySubscription made;
  made.logs_api = logs_api;

  const json::Value* version = request->find("schemaVersion");
  const std::string* schema = version == nullptr ? nullptr : version->if_string();
  if (logs_api) {
    // Absent means the first one. Source: Lambda Developer Guide, "Lambda Logs API".
    if (version != nullptr && (schema == nullptr || (*schema != "2020-08-15" && *schema != "2021-03-18"))) {
      return refused("schemaVersion must be 2020-08-15 or 2021-03-18");
    }
    made.runtime_done = schema != nullptr && *schema == "2021-03-18";
  } else {
    if (schema == nullptr || (*schema != "2022-07-01" && *schema != "2022-12-13" && *schema != "2025-01-29")) {
      return refused("schemaVersion must be 2022-07-01, 2022-12-13 or 2025-01-29");
    }
    made.objects = *schema != "2022-07-01";
  }

  const json::Value* types = request->find("types");
  if (types == nullptr || types->if_array() == nullptr || types->if_array()->empty()) {
    return refused("types must name platform, function or extension");
  }
  for (const json::Value& type : *types->if_array()) {
    const auto stream = type.if_string() == nullptr ? std::nullopt : stream_of(*type.if_string());
    if (!stream) return refused("types must name platform, function or extension");
    if (std::ranges::find(made.streams, *stream) != made.streams.end()) return refused("types names one twice");
    made.streams.push_back(*stream);
    made.types.push_back(*type.if_string());
  }
  if (const json::Value* buffering = request->find("buffering"); buffering != nullptr && !buffering->is_null()) {
    const json::Object* members = buffering->if_object();
    if (members == nullptr) return refused("buffering is not an object");
    const auto items = bounded(*members, "maxItems", 10'000, 1'000, 10'000);
    if (!items) return std::unexpected(items.error());
    const auto bytes = bounded(*members, "maxBytes", 262'144, 262'144, 1'048'576);
    if (!bytes) return std::unexpected(bytes.error());
    const auto timeout = bounded(*members, "timeoutMs", 1'000, 25, 30'000);
    if (!timeout) return std::unexpected(timeout.error());
    made.buffering = {static_cast<std::size_t>(*items), static_cast<std::size_t>(*bytes),
                      std::chrono::milliseconds(*timeout)};
  }
  auto destination = parse_destination(request->find("destination"));
  if (!destination) return std::unexpected(std::move(destination).error());
  made.destination = std::move(*destination);
  return made;
}

// One subscription and what waits for it.
struct Telemetry::Queue {
  explicit Queue(Loop& loop) : wake(loop) {}
  TelemetrySubscription subscription;
  std::deque<std::string> events;
  std::size_t bytes = 0;
  MonoTime first{};  ///< when the oldest came, on the host's clock
  std::size_t dropped_events = 0;
  std::size_t dropped_bytes = 0;
  bool flush = false;
  bool sending = false;
  bool over = false;
  Notifier wake;

  bool ripe(MonoTime now) const {
    if (events.empty()) return false;
    const auto& b = subscription.buffering;
    return flush || events.size() >= b.items_max || bytes >= b.bytes_max || now >= first + b.timeout;
  }
};

// An event with its texts.
struct Telemetry::Kept {
  Event event;
  std::string type, record, line;
};

Telemetry::~Telemetry() = default;

Telemetry::Telemetry(System& system, TelemetryTransport transport)
    : system_(system), transport_(std::move(transport)), changed_(system.loop), tasks_(system.loop) {}

bool Telemetry::serves(std::string_view path) {
  return path == kTelemetryPath || path == kLogsPath || path == "/2022-07-01/telemetry/" || path == "/2020-08-15/logs/";
}

http::Response Telemetry::subscribe(const http::Request& request, const ExtensionsApi::Extension& caller) {
  const bool logs_api = request.path().starts_with(kLogsPath);
  if (request.method != "PUT") return api_error(405, "MethodNotAllowed", "use PUT");
  if (!open_) {
    return logs_api ? api_error(403, "Logs.SubscriptionClosed", "Logs API subscription is closed already")
                    : api_error(403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already");
  }
  auto parsed = parse_telemetry_subscription(request.body, logs_api);
  if (!parsed) return std::move(parsed).error();
  parsed->extension = caller.name;
  const auto earlier =
      std::ranges::find_if(queues_, [&](const auto& queue) { return queue->subscription.extension == caller.name; });
  if (earlier != queues_.end()) {
    if ((*earlier)->subscription.logs_api != logs_api) {
      return api_error(403, logs_api ? "Logs.SubscriptionClosed" : "Telemetry.SubscriptionClosed",
                       "the extension has subscribed through the other API already");
    }
    (*earlier)->subscription = std::move(*parsed);  // once more, or differently
  } else {
    auto queue = std::make_shared<Queue>(system_.loop);
    queue->subscription = std::move(*parsed);
    queues_.push_back(queue);
    for (const Kept& kept : backlog_) {
      Event event = kept.event;
      event.type = kept.type;
      event.record = kept.record;
      event.line = kept.line;
      offer(queue, event);
    }
    tasks_.spawn("telemetry delivery", deliver(queue));
    if (on_subscribe) on_subscribe(queue->subscription);
  }
  return http::Response::json(200, "\"OK\"");
}

bool Telemetry::wants(TelemetryStream stream) const {
  return open_ || std::ranges::any_of(queues_, [&](const auto& queue) {
           return std::ranges::find(queue->subscription.streams, stream) != queue->subscription.streams.end();
         });
}

bool Telemetry::wants_logs_api() const {
  return std::ranges::any_of(queues_, [](const auto& queue) { return queue->subscription.logs_api; });
}

void Telemetry::publish(const Event& event) {
  if (open_ && backlog_.size() < kBacklogMax) {
    backlog_.push_back({event, std::string(event.type), std::string(event.record), std::string(event.line)});
  }
  for (const auto& queue : queues_) offer(queue, event);
}

void Telemetry::offer(const std::shared_ptr<Queue>& queue, const Event& event) {
  const TelemetrySubscription& to = queue->subscription;
  if (std::ranges::find(to.streams, event.stream) == to.streams.end()) return;
  if (to.logs_api ? event.telemetry_api_only : event.logs_api_only) return;
  if (!to.runtime_done && event.type == "platform.runtimeDone") return;
  std::string text;
  append_envelope(text, event.time, event.type);
  if (event.stream == TelemetryStream::kPlatform) {
    text += event.record;
  } else if (to.objects && event.json_line && event.line.starts_with('{') && json::validate(event.line)) {
    text += event.line;
  } else {
    json::append_quoted(text, event.line);
  }
  text += '}';
  enqueue(queue, std::move(text));
}

void Telemetry::open_subscription() {
  backlog_.clear();
  open_ = true;
}

void Telemetry::close_subscription() {
  backlog_ = {};
  open_ = false;
}

void Telemetry::enqueue(const std::shared_ptr<Queue>& queue, std::string event) {
  const TelemetryBuffering& limits = queue->subscription.buffering;
  if (queue->events.empty()) queue->first = system_.host_clock.mono();
  queue->bytes += event.size();
  queue->events.push_back(std::move(event));
  while (queue->events.size() > 1 &&
         (queue->bytes > 2 * limits.bytes_max || queue->events.size() > 2 * limits.items_max)) {
    ++queue->dropped_events;
    queue->dropped_bytes += queue->events.front().size();
    queue->bytes -= queue->events.front().size();
    queue->events.pop_front();
  }
  queue->wake.notify_all();
}

namespace {
Async<void> wake_after(Clock* clock, MonoTime when, std::shared_ptr<Notifier> notifier) {
  co_await clock->sleep_until(when);
  notifier->notify_all();
}
}  // namespace

Async<void> Telemetry::deliver(std::shared_ptr<Queue> queue) {
  Clock& host = system_.host_clock;
  // Shared with the sleepers, which may outlive the queue.
  std::shared_ptr<Notifier> wake(queue, &queue->wake);
  std::optional<MonoTime> sleeping_until;
  while (!queue->over) {
    if (paused_ || !queue->ripe(host.mono())) {
      const MonoTime due = queue->first + queue->subscription.buffering.timeout;
      if (!paused_ && !queue->events.empty() && (!sleeping_until || *sleeping_until != due)) {
        sleeping_until = due;
        tasks_.spawn("telemetry timeout", wake_after(&host, due, wake));
      }
      co_await queue->wake.wait();
      continue;
    }
    // The batch.
    const TelemetryBuffering& limits = queue->subscription.buffering;
    const bool http = queue->subscription.destination.protocol == TelemetryDestination::Protocol::kHttp;
    std::vector<std::string> batch;
    std::size_t bytes = 0;
    if (queue->dropped_events > 0) {
      std::string notice;
      append_envelope(notice, system_.clock.wall(), "platform.logsDropped");
      notice += fmt::format(
          R"({{"droppedBytes":{},"droppedRecords":{},"reason":"Consumer seems to have fallen behind as it has not acknowledged receipt of logs."}}}})",
          std::exchange(queue->dropped_bytes, 0), std::exchange(queue->dropped_events, 0));
      bytes += notice.size();
      batch.push_back(std::move(notice));
    }
    while (!queue->events.empty() && batch.size() < limits.items_max &&
           (batch.empty() || bytes + queue->events.front().size() <= limits.bytes_max)) {
      bytes += queue->events.front().size();
      queue->bytes -= queue->events.front().size();
      batch.push_back(std::move(queue->events.front()));
      queue->events.pop_front();
    }
    queue->first = host.mono();
    if (queue->events.empty()) queue->flush = false;
    std::string body;
    body.reserve(bytes + batch.size() + 2);
    if (http) body += '[';
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (http && i > 0) body += ',';
      body += batch[i];
      if (!http) body += '\n';
    }
    if (http) body += ']';

    queue->sending = true;
    Duration pause = kFirstPause;
    bool delivered = false;
    for (int attempt = 1; attempt <= kAttemptsMax && !queue->over; ++attempt) {
      if (auto sent = co_await transport_(queue->subscription.destination, body); sent) {
        delivered = true;
        break;
      }
      if (attempt == kAttemptsMax || queue->over) break;
      co_await host.sleep_for(pause);
      pause = std::min(2 * pause, kPauseMax);
      while (paused_ && !queue->over) co_await queue->wake.wait();
    }
    queue->sending = false;
    if (!delivered) {
      queue->dropped_events += batch.size();
      queue->dropped_bytes += bytes;
    }
    changed_.notify_all();
  }
}

void Telemetry::flush() {
  for (const auto& queue : queues_) {
    queue->flush = !queue->events.empty();
    queue->wake.notify_all();
  }
}

Async<void> Telemetry::flushed(MonoTime deadline) {
  flush();
  const auto waiting = [this] {
    return std::ranges::any_of(queues_, [](const auto& queue) { return queue->sending || !queue->events.empty(); });
  };
  if (!waiting()) co_return;
  // tasks_ ends before changed_ does.
  std::shared_ptr<Notifier> changed(std::shared_ptr<void>(), &changed_);
  tasks_.spawn("telemetry flush limit", wake_after(&system_.host_clock, deadline, std::move(changed)));
  while (waiting() && system_.host_clock.mono() < deadline) co_await changed_.wait();
}

void Telemetry::pause() { paused_ = true; }

void Telemetry::resume() {
  if (!std::exchange(paused_, false)) return;
  for (const auto& queue : queues_) queue->wake.notify_all();
}

void Telemetry::reset() {
  for (const auto& queue : queues_) {
    queue->over = true;
    queue->wake.notify_all();
  }
  queues_.clear();
  close_subscription();
  changed_.notify_all();
}

Async<void> Telemetry::stop() {
  reset();
  co_await tasks_.stop();
}

}  // namespace lambdad::execution
