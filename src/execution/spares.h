#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "execution/runtimes.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "sandbox/sandbox.h"
#include "system/system.h"

namespace lambdad::execution {

/// Whether the bootstrap of this runtime can wait.
bool can_wait(std::string_view runtime);
/// A process of a managed runtime that loads interpreter and bootstrap, says on its control socket that it is ready,
/// and reads there which function it is. nullopt for a runtime that cannot wait.
std::optional<sandbox::ProcessSpec> make_waiting_program(const std::string& runtime, const Interpreter& interpreter);
/// Whether a process started as `waiting` can become what `program` would have started: the same command, and the same
/// value of every variable that interpreters, the C library and OpenSSL read before the function's code runs.
bool can_become(const sandbox::ProcessSpec& waiting, const sandbox::ProcessSpec& program);
/// What such a process reads: NAME=VALUE of each variable of `program`, each ended by a NUL, and one more NUL.
std::string message_to_waiting(const sandbox::ProcessSpec& program);

/// Spares: processes of managed runtimes started ahead, each in a whole sandbox of its own, that wait to be told which
/// function they are. They are made by exec, as any process of a function is, so that nothing (address layout, hash
/// seeds, random state) is shared by two; and each serves one environment, ever.
///
///   want(), assign() ─▶ made in the background, one at a time ─▶ ready ─▶ assign(): gone to an environment
///                                                                  └─▶ dropped: idle, memory short, it ended, stop()
///
/// None is made before a function of its runtime was wanted, and a runtime whose spare cannot be made or ends by itself
/// gets no other for five minutes. They count neither as concurrency nor against a function's limits.
///
/// Ownership: owns its spares; everything in Deps outlives it. Threading: the loop only. Clock: the host's.
/// End: stop(). Without start() no spare is made.
class SparePool {
 public:
  struct Options {
    unsigned per_runtime = 2;      ///< kept ready for each runtime in use
    Duration idle_limit = 10min;   ///< a runtime nobody has wanted for so long loses its spares
    Duration pause = 25ms;         ///< from taking one to making the next: the function that took it starts meanwhile
    Duration boot_limit = 30s;     ///< one that is not ready by then is given up
    double memory_free_min = 0.1;  ///< of the machine's memory: with less available there are no spares
  };
  struct Deps {
    System& system;
    Logger& log;
    Metrics& metrics;
    std::function<Async<Result<std::unique_ptr<sandbox::Sandbox>>>(sandbox::SandboxSpec)> make_sandbox;
    RuntimeCatalog& runtimes;
    /// The sandbox of a function of this runtime, without what depends on the function.
    std::function<sandbox::SandboxSpec(const std::string& runtime, const Interpreter& interpreter)> sandbox_spec;
  };
  SparePool(Deps deps, Options options);
  ~SparePool();
  void start();
  Async<void> stop();

  /// There is a function of this runtime, or will be soon.
  void want(const std::string& runtime);

  struct Assigned {
    std::unique_ptr<sandbox::Sandbox> sandbox;  ///< as if created with `spec`
    std::unique_ptr<sandbox::Process> process;
    UniqueFd control;  ///< on which the process reads message_to_waiting()
  };
  /// A spare that can become `program` in a sandbox of `spec`, with that sandbox assigned; nullopt when there is none.
  Async<std::optional<Assigned>> assign(std::string runtime, sandbox::SandboxSpec spec, sandbox::ProcessSpec program);

  std::size_t ready(const std::string& runtime) const;

 private:
  struct Spare;
  struct Kind {
    std::vector<std::shared_ptr<Spare>> ready;  // the oldest first
    MonoTime wanted{};
    MonoTime broken_until{};
  };
  Async<void> tend();
  Async<void> make(std::string runtime);
  Async<std::shared_ptr<Spare>> boot(std::string runtime);
  Async<void> watch(std::string runtime, std::shared_ptr<Spare> spare);
  Async<void> drop(std::vector<std::shared_ptr<Spare>> spares);
  std::vector<std::shared_ptr<Spare>> take_superfluous();
  const std::string* next_to_make() const;
  bool memory_is_short() const;
  std::optional<MonoTime> next_look() const;

  Deps deps_;
  const Options options_;
  std::map<std::string, Kind, std::less<>> kinds_;
  MonoTime not_before_{};
  std::uint64_t last_number_ = 0;
  Counter& taken_;
  Counter& missed_;
  Counter& made_;
  Notifier changed_;
  TaskGroup tasks_;
};

}  // namespace lambdad::execution
