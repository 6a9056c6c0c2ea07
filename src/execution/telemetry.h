#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "execution/extensions_api.h"
#include "http/message.h"
#include "system/async.h"
#include "system/system.h"

namespace lambdad::execution {

/// Buffering of one subscription. Source: Lambda Developer Guide, "Telemetry API reference", buffering: ranges and
/// defaults.
struct TelemetryBuffering {
  std::size_t items_max = 10'000;   ///< 1,000..10,000
  std::size_t bytes_max = 262'144;  ///< 262,144..1,048,576
  Duration timeout = 1000ms;        ///< 25..30,000 ms
};

struct TelemetryDestination {
  enum class Protocol { kHttp, kTcp } protocol = Protocol::kHttp;
  std::uint16_t port = 0;
  std::string path = "/";
  std::string method = "POST";  ///< or PUT, of the Logs API
};

enum class TelemetryStream { kPlatform, kFunction, kExtension };

struct TelemetrySubscription {
  std::string extension;  ///< its name
  bool logs_api = false;
  /// From 2022-12-13 on a JSON function's JSON lines are objects, not strings.
  bool objects = false;
  bool runtime_done = true;  ///< the Logs API knows it from schema 2021-03-18 on
  std::vector<TelemetryStream> streams;
  std::vector<std::string> types;  ///< as the subscriber wrote them
  TelemetryBuffering buffering;
  TelemetryDestination destination;
};

/// What a subscription request says; the error is the refusal (400 ValidationError). Pure.
std::expected<TelemetrySubscription, http::Response> parse_telemetry_subscription(std::string_view body, bool logs_api);

/// Brings one batch to its destination inside the sandbox. Errors: kUnavailable and so on; the batch is tried again.
using TelemetryTransport = std::function<Async<Result<void>>(TelemetryDestination, std::string body)>;

/// The Telemetry API (2022-07-01) and the older Logs API (2020-08-15) of one environment: subscriptions, and the
/// batches on their way to the subscribers.
///
/// An event is buffered until its subscription's buffer holds items_max events or bytes_max bytes, or timeout has
/// passed since the first, or flush(). One batch per subscription is on its way at a time. A batch that cannot be
/// delivered is tried again after 100 ms, 200 ms, ... up to 1 s, five times, then dropped. What waits is bounded by
/// twice bytes_max and items_max; older events go first. Both losses are told by a platform.logsDropped event in the
/// next batch. Nothing is sent while paused (frozen processes cannot answer).
///
/// Ownership: `system` and `changed` outlive it. Threading: the loop only. End: stop().
class Telemetry {
 public:
  Telemetry(System& system, TelemetryTransport transport);
  ~Telemetry();

  static bool serves(std::string_view path);
  /// PUT of a subscription by `caller`.
  http::Response subscribe(const http::Request& request, const ExtensionsApi::Extension& caller);
  /// From the begin of Init on; who subscribes then also gets what was published since, the first 1,000 events of it.
  void open_subscription();
  void close_subscription();
  /// Called for each new subscription.
  std::function<void(const TelemetrySubscription&)> on_subscribe;

  /// Whether somebody listens, or may still come.
  bool wants(TelemetryStream stream) const;
  /// Whether some subscriber of the Logs API listens to the platform: it has events that the other API has not.
  bool wants_logs_api() const;
  struct Event {
    TelemetryStream stream = TelemetryStream::kPlatform;
    std::string_view type;  ///< "platform.start", "function", "extension"
    WallTime time{};
    std::string_view record;          ///< JSON, of platform events
    std::string_view line;            ///< of function and extension events
    bool json_line = false;           ///< the function logs in JSON
    bool logs_api_only = false;       ///< platform.end, platform.fault
    bool telemetry_api_only = false;  ///< what the Logs API does not know
  };
  void publish(const Event& event);

  /// Sends what is buffered now.
  void flush();
  /// Returns when nothing waits any more, or at `deadline` of the host's clock.
  Async<void> flushed(MonoTime deadline);
  void pause();
  void resume();
  /// For new processes: subscriptions and what waits are forgotten.
  void reset();
  Async<void> stop();

 private:
  struct Queue;
  void offer(const std::shared_ptr<Queue>& queue, const Event& event);
  void enqueue(const std::shared_ptr<Queue>& queue, std::string event);
  Async<void> deliver(std::shared_ptr<Queue> queue);

  System& system_;
  TelemetryTransport transport_;
  std::vector<std::shared_ptr<Queue>> queues_;
  Notifier changed_;
  struct Kept;
  std::vector<Kept> backlog_;  ///< while subscription is open
  bool open_ = false;
  bool paused_ = false;
  TaskGroup tasks_;
};

}  // namespace lambdad::execution
