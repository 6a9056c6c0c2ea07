#pragma once

#include <functional>
#include <memory>

#include "ports/functions.h"
#include "system/async.h"

namespace lambdad::execution {

/// One execution environment of one function version, as the scheduler sees it.
///
///        create          invoke                answer             next
///   ()  ───────▶  cold ─────────▶  running ─────────────▶ settling ──────▶ ready ─▶ (invoke)
///                  ▲  initialise() ───────────────────────────────────────▶ ▲
///                  └── timeout, exit, init error: the process is killed; /tmp stays; next invoke starts anew
///
/// Threading: the loop only. One invocation at a time. End: shutdown() must have been awaited before destruction.
class Environment {
 public:
  virtual ~Environment() = default;

  /// Runs Init ahead of the first invocation, with its own limit of 10 s. When it fails or is too slow the
  /// environment stays cold and the invocation repeats Init under the function's timeout ("suppressed init"), so that
  /// its caller gets the reason.
  virtual Async<void> initialise() = 0;
  /// Runs the function once. Success or function error; a system error when no process can be started for a reason
  /// that is not the function's. Only when available().
  virtual Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) = 0;

  /// Whether invoke() may be called: cold, or the runtime waits for an invocation.
  virtual bool available() const = 0;
  /// Whether Init has succeeded in the process that lives: an invocation would begin at once.
  virtual bool initialised() const = 0;
  /// The answer is given, and the environment is coming back by itself: the runtime will ask for the next invocation
  /// within microseconds, usually; extensions finish their part; or a reset is under way.
  virtual bool settling() const = 0;
  /// `callback` is called whenever available() becomes true after an invocation has ended (or its runtime has). It must
  /// not await or destroy anything; what it calls for happens on a later turn of the loop.
  virtual void on_available(std::function<void()> callback) = 0;
  /// Stops the processes until the next invocation.
  virtual void freeze() = 0;
  /// The Shutdown phase, reason spindown: at most 2 s, and 2 s more for extensions that still work on an invocation.
  virtual Async<void> shutdown() = 0;
  virtual const ports::FunctionVersionPtr& function() const = 0;
};

/// Makes the sandbox of a new, cold environment. Errors: kNotFound (no interpreter), kUnavailable, kDenied.
using EnvironmentFactory =
    std::function<Async<Result<std::shared_ptr<Environment>>>(ports::FunctionVersionPtr function)>;

}  // namespace lambdad::execution
