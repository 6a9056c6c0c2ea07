#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "daemon/options.h"
#include "sandbox/sandbox.h"
#include "system/async.h"

namespace lambdad::daemon {

/// Every part of a running lambdad, made and connected here and nowhere else.
///
/// Threading: made on the thread that runs `loop`. End: stop() must have been awaited before destruction.
class Daemon {
 public:
  /// Makes all parts; `keeper` was started before any thread, and the data directory is locked. Errors say what to do.
  static Result<std::unique_ptr<Daemon>> make(Loop& loop, ServeOptions options,
                                              sandbox::SandboxFactory::KeeperHandle keeper);
  ~Daemon();
  /// Loads what is stored, takes up unfinished work, and listens.
  Async<Result<void>> start();
  /// Requests that run get `grace` to finish; then everything ends in order. What is accepted stays stored.
  Async<void> stop(Duration grace);
  /// "127.0.0.1:4566"
  std::string address() const;
  Logger& log();

 private:
  struct Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);
  Result<void> connect();
  void open_sites_and_pages();
  void add_health_checks();
  std::unique_ptr<Parts> parts_;
};

}  // namespace lambdad::daemon
