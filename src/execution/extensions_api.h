#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "system/async.h"
#include "system/random.h"

namespace lambdad::execution {

/// Extensions of one environment, external and internal ones together.
/// Source: Lambda Developer Guide, "Lambda Extensions API", quotas.
inline constexpr std::size_t kExtensionsMax = 10;

enum class ShutdownReason { kSpindown, kTimeout, kFailure };
std::string_view name_of(ShutdownReason reason);

/// The Extensions API of one environment: the state machine behind http://127.0.0.1:9001/2020-01-01/extension.
///
///   expect() ─▶ Started ─register─▶ Registered ─next─▶ Ready ─event─▶ Running ─next─▶ Ready …
///                                        └ init/error ─▶ InitError       any ─ exit/error ─▶ ExitError
///
/// External extensions are announced with expect() before their program starts; whoever else registers is an internal
/// one, part of the runtime's process. Registration ends with close_registration(). An extension that subscribed to
/// INVOKE is part of every invocation until it calls next again.
/// Source: Lambda Developer Guide, "Lambda Extensions API"; error types and texts as AWS's Runtime Interface Emulator.
/// Threading: the loop only. `changed` is notified after every change of state.
class ExtensionsApi {
 public:
  enum class State { kStarted, kRegistered, kReady, kRunning, kInitError, kExitError, kExited };
  struct Facts {
    std::string function_name;
    std::string function_version;
    std::string handler;
    std::string account;
  };
  struct Extension {
    std::string name;
    bool external = false;
    std::string id;
    State state = State::kStarted;
    bool on_invoke = false;
    bool on_shutdown = false;
    std::string error_type;     ///< as it said in init/error or exit/error
    std::string event;          ///< body of the event that its next() gets
    std::uint64_t given = 0;    ///< given to it
    std::uint64_t fetched = 0;  ///< and fetched by it
    std::vector<std::string> subscribed() const;
  };
  struct InvokeEvent {
    std::string request_id;
    std::int64_t deadline_epoch_ms = 0;
    std::string invoked_function_arn;
    std::string trace_id;
  };

  ExtensionsApi(Loop& loop, Random& random, Facts facts, Notifier& changed);

  static bool serves(std::string_view path);
  Async<http::Response> handle(http::Request request);
  /// The extension that an API beside this one is called by (header Lambda-Extension-Identifier), or the refusal.
  std::expected<const Extension*, http::Response> caller_of(const http::Request& request) const;

  /// An external extension whose program is about to start; false when there are too many.
  bool expect(std::string name);
  /// Its program has ended.
  void exited(std::string_view name);
  bool all_registered() const;
  /// Every extension waits in next.
  bool all_ready() const;
  void close_registration() { registration_open_ = false; }
  /// Gives the event to every extension that subscribed to INVOKE.
  void invoke(const InvokeEvent& event);
  /// Every extension that got the last INVOKE event has called next again.
  bool invocation_done() const;
  bool any_on_invoke() const;
  /// Gives SHUTDOWN to the external extensions that subscribed to it.
  void shutdown(ShutdownReason reason, std::int64_t deadline_epoch_ms);
  bool any() const { return !extensions_.empty(); }
  bool any_external() const;
  const std::vector<Extension>& all() const { return extensions_; }

  /// The first init/error or exit/error.
  struct Failure {
    std::string type;  ///< "Extension.InitError" or "Extension.ExitError"
    std::string said;  ///< the error type that the extension gave
  };
  const std::optional<Failure>& failure() const { return failure_; }
  /// For new processes: everything forgotten, calls of next that wait end.
  void reset();

 private:
  http::Response enroll(const http::Request& request);
  Async<http::Response> next(std::string id);
  http::Response report(const http::Request& request, bool exit);
  Extension* find(std::string_view id);
  void give(Extension& extension, std::string event);

  Random& random_;
  const Facts facts_;
  Notifier& changed_;
  Notifier given_;
  std::vector<Extension> extensions_;
  std::optional<Failure> failure_;
  bool registration_open_ = true;
  std::uint64_t generation_ = 0;
};

}  // namespace lambdad::execution
