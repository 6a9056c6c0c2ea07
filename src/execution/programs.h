#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "execution/extensions_api.h"
#include "execution/failures.h"
#include "execution/function_log.h"
#include "execution/log_frames.h"
#include "execution/spares.h"
#include "execution/telemetry.h"
#include "observe/log.h"
#include "sandbox/sandbox.h"
#include "system/system.h"

namespace lambdad::execution {

/// Budgets of the Shutdown phase. Source: Lambda Developer Guide, "Lambda runtime environment lifecycle", Shutdown
/// phase; the runtime's share as observed and as AWS's Runtime Interface Emulator.
inline constexpr Duration kShutdownInternal = 500ms;      ///< only internal extensions: the runtime gets SIGTERM
inline constexpr Duration kShutdownExternal = 2000ms;     ///< with an external extension
inline constexpr Duration kShutdownRuntimeShare = 300ms;  ///< of kShutdownExternal, for the runtime

/// External extensions of an environment with these mounts: names of the executable files directly in /opt/extensions,
/// sorted.
std::vector<std::string> find_external_extensions(const std::vector<sandbox::ReadOnlyMount>& mounts);

/// The programs of one environment: the runtime and the external extensions, what they print, and how they end.
///
/// The first thing that goes wrong is the fault; it stays until the next start. end() runs the Shutdown phase:
///
/// | extensions | runtime | extensions' programs |
/// | --- | --- | --- |
/// | none | SIGKILL | |
/// | internal only | SIGTERM, SIGKILL after 500 ms | |
/// | external | SIGTERM, SIGKILL after 300 ms | SHUTDOWN event to subscribers, SIGKILL to others; SIGKILL 2 s after the
/// begin |
///
/// Ownership: owns processes and pipes; everything in Deps outlives it. Threading: the loop only. End: end(), then
/// stop().
class Programs {
 public:
  struct Deps {
    System& system;
    Logger& log;
    sandbox::Sandbox& sandbox;
    ExtensionsApi& extensions;
    FunctionLog& function_log;
    Telemetry& telemetry;
    Notifier& changed;  ///< notified whenever a program ends or a fault appears
    /// A log for what one extension prints.
    std::function<std::unique_ptr<FunctionLog>()> make_extension_log;
  };
  explicit Programs(Deps deps);

  /// Forgets the fault of what ran before. Nothing may run.
  void begin();
  /// Starts /opt/extensions/`name`; false with a fault when it cannot be.
  Async<bool> start_extension(std::string name, sandbox::ProcessSpec spec);
  Async<bool> start_runtime(std::string_view family, sandbox::ProcessSpec spec);
  /// The same with a process that waits in the sandbox to become the runtime.
  void adopt_runtime(SparePool::Assigned spare, const sandbox::ProcessSpec& spec);
  Async<void> end(ShutdownReason reason);

  bool running() const { return runtime_ != nullptr || !extensions_.empty(); }
  bool runtime_runs() const { return runtime_ != nullptr && !runtime_exit_; }
  /// How the runtime has ended, if it has; kept until begin().
  const std::optional<sandbox::ProcessExit>& runtime_exit() const { return runtime_exit_; }
  const std::optional<Fault>& fault() const { return fault_; }
  void set_fault(Fault fault);
  /// Called when a program has ended by itself.
  std::function<void()> on_death;

  /// Takes everything that was printed until now.
  void drain();
  /// Stopped by the freezer; end() and thaw() resume.
  void freeze();
  void thaw();
  bool frozen() const { return frozen_; }
  Async<void> stop();

 private:
  struct ExtensionProgram {
    std::string name;
    std::shared_ptr<sandbox::Process> process;
    std::unique_ptr<FunctionLog> log;
  };
  void run(std::unique_ptr<sandbox::Process> runtime);
  Async<void> watch_runtime(std::shared_ptr<sandbox::Process> process);
  Async<void> watch_extension(std::shared_ptr<sandbox::Process> process);
  Async<void> wake_at(MonoTime when);
  Async<void> wait_until(std::function<bool()> condition, MonoTime deadline);

  Deps deps_;
  std::shared_ptr<sandbox::Process> runtime_;
  std::optional<sandbox::ProcessExit> runtime_exit_;
  std::unique_ptr<LogFrameReader> frames_;
  std::vector<ExtensionProgram> extensions_;  ///< that run
  std::optional<Fault> fault_;
  bool ending_ = false;
  bool frozen_ = false;
  TaskGroup tasks_;
};

}  // namespace lambdad::execution
