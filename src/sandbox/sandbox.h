#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "observe/log.h"
#include "system/async.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// What separates a function from the host and from other functions. docs/isolation.md says what each protects against.
enum class Isolation {
  kProcess,     ///< ordinary processes: debugging only
  kNamespaces,  ///< user, mount, pid, ipc, uts, net namespaces; read-only root; seccomp; cgroup limits where possible
};

/// What a function reaches over the network, besides its Runtime API. With kNamespaces every sandbox has a network
/// namespace of its own; kProcess cannot hold anybody to it.
enum class NetworkPolicy {
  kNone,          ///< nothing
  kEndpointOnly,  ///< the AWS endpoint
  kInternet,  ///< the AWS endpoint, and other machines through a slirp4netns process; never this host: see outbound.h
};

/// A directory of the host shown read-only inside.
struct ReadOnlyMount {
  std::string source;
  std::string target;
  bool operator==(const ReadOnlyMount&) const = default;
};

/// A symbolic link inside, made when nothing stands at `path`.
struct LinkInside {
  std::string path;  ///< absolute, as are mount targets
  std::string to;
  bool operator==(const LinkInside&) const = default;
};

struct SandboxSpec {
  std::string name;  ///< for logs: [a-z0-9-], at most 100, unique
  /// The whole root, read-only, instead of one made of the host's /usr; empty: the host's. It must have the
  /// directories /proc, /dev and /tmp, the files /etc/hosts and /etc/resolv.conf, and every mount's target; `links` are
  /// not made. kNamespaces only.
  std::string root;
  std::vector<ReadOnlyMount> mounts;  ///< /var/task, /var/runtime, /opt, interpreter prefixes
  std::vector<LinkInside> links;
  std::uint64_t memory_bytes = 0;  ///< 0: unlimited. What /tmp holds does not count
  std::uint64_t tmp_bytes = 0;     ///< size of /tmp; one file per 16 KiB
  std::uint32_t pids_max = 1024;
  std::uint32_t cpu_millis = 0;  ///< share of one CPU in 1/1000, held to from CpuPhase::kInvoke on; 0: unlimited
  NetworkPolicy network = NetworkPolicy::kEndpointOnly;
  std::uint16_t runtime_api_port = 9001;  ///< on 127.0.0.1 inside
  std::uint16_t endpoint_port = 4566;     ///< on 127.0.0.1 inside
  /// Made before it is known what for: programs may start in it, and Sandbox::assign() says the rest. Until then /tmp
  /// has 1 MiB, nothing is limited, and /var/task and /opt are empty but for the directories in which the dynamic
  /// linker looks for libraries: it remembers which are missing for as long as a program runs. Not with kInternet.
  bool provisional = false;
};

/// The descriptor of a program's second output, when it has one. Source: observed value of _LAMBDA_TELEMETRY_LOG_FD.
inline constexpr int kSecondOutput = 62;
/// The descriptor of a program's control socket, when it has one.
inline constexpr int kControl = 61;

struct ProcessSpec {
  /// argv[0] is the path inside the sandbox, from `working_directory` when relative; without a slash it is looked for
  /// in the PATH of `environment`.
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory = "/var/task";
  bool second_output = false;  ///< a pipe at descriptor kSecondOutput, read with Process::take_second_output()
  bool control = false;        ///< a stream socket at descriptor kControl, connected to Process::take_control()
};

/// Programs in one sandbox at a time: a runtime and ten extensions, and some room.
inline constexpr std::size_t kProgramsMax = 16;

struct ProcessExit {
  int exit_code = 0;  ///< valid when signal == 0
  int signal = 0;
  bool out_of_memory = false;  ///< ended because the sandbox used more than `memory_bytes`
};

/// AWS lets Init use whole CPUs and holds invocations to the share of the memory size.
/// Source: Lambda Developer Guide, "Configure Lambda function memory": 1,769 MB are one vCPU.
enum class CpuPhase { kInit, kInvoke };

/// One program running in a sandbox. Destroying it kills it as kill() does.
/// Threading: the loop only.
class Process {
 public:
  virtual ~Process() = default;
  /// Read end of the pipe that is stdout and stderr. Once.
  virtual UniqueFd take_output() = 0;
  /// Read end of the pipe at kSecondOutput; empty when it was not asked for. Once.
  virtual UniqueFd take_second_output() = 0;
  /// The other end of the program's control socket, not blocking; empty when it was not asked for. Once.
  virtual UniqueFd take_control() = 0;
  /// Returns when the program has ended and has been reaped. May be awaited by several.
  virtual Async<ProcessExit> wait_exit() = 0;
  virtual bool running() const = 0;
  /// SIGTERM to the program's process.
  virtual void terminate() = 0;
  /// SIGKILL to the program and its process group; to every process of the sandbox when no other program runs in it.
  virtual void kill() = 0;
};

/// An isolated place with its own /tmp, network and limits, in which programs run: a runtime, and extensions beside it.
/// When the last of them has ended, everything they started ends too. Survives that, so that new ones can be started
/// with /tmp kept.
/// Threading: the loop only. Destroying it kills what runs and removes everything it had on the host.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  /// Listening sockets inside. Each once; the Runtime API and the AWS endpoint are served on them by the daemon.
  virtual UniqueFd take_runtime_api_listener() = 0;
  /// Invalid with NetworkPolicy::kNone.
  virtual UniqueFd take_endpoint_listener() = 0;
  /// "127.0.0.1:9001" as seen from inside.
  virtual std::string runtime_api_address() const = 0;
  virtual std::string endpoint_address() const = 0;
  /// kNotFound when argv[0] does not exist inside, kDenied when it is not executable, kConflict when kProgramsMax run.
  virtual Async<Result<std::unique_ptr<Process>>> start(ProcessSpec spec) = 0;
  /// Of a provisional sandbox, once: puts the rest of `spec` in place, then takes from the sandbox the right to change
  /// mounts. `spec` is as the one it was made with but for the name, further mounts on /var/task and /opt, memory, /tmp
  /// and CPU. Programs that run see it all at once, but must leave their working directory and come back to it. Errors:
  /// kInvalid for a spec that is more different, or a sandbox that is not provisional; kNotFound, kClosed. After one it
  /// is only good for destroy().
  virtual Async<Result<void>> assign(SandboxSpec spec) = 0;
  /// SIGKILL to every process inside; how the programs end is told by their Process.
  virtual void kill_all() = 0;
  /// A TCP socket of the sandbox's network, not connected and not blocking, for talking to a server inside.
  virtual Async<Result<UniqueFd>> make_socket() = 0;
  /// Stops and resumes all processes between invocations; no-op where the host cannot.
  virtual void freeze() = 0;
  virtual void thaw() = 0;
  /// Whether the CPU share holds; a new sandbox is in kInit. No-op where the host cannot.
  virtual void set_cpu_phase(CpuPhase phase) = 0;
  /// High-water mark of memory, what /tmp holds included, but never more than `memory_bytes`; 0 when the host cannot
  /// say.
  virtual std::uint64_t memory_peak_bytes() const = 0;
  /// Removes the sandbox and waits until nothing of it is left.
  virtual Async<void> destroy() = 0;
};

/// What this host can enforce, for the start-up log and `lambdad doctor`.
struct Capabilities {
  bool namespaces = false;
  bool seccomp = false;
  bool memory_limit = false;
  bool pids_limit = false;
  bool cpu_limit = false;
  bool freezer = false;
  bool internet = false;             ///< NetworkPolicy::kInternet can be had
  std::string internet_hint;         ///< what to do when not
  std::string cgroup_mode;           ///< "v1", "v2", "hybrid", "none"
  std::vector<std::string> missing;  ///< in words, with what to do
};

/// Makes sandboxes through the keeper process.
///
/// start_keeper() must be called in main() before any thread exists; it forks. When the daemon dies, the keeper kills
/// every sandbox and exits; leftovers of an earlier daemon on the same state directory are removed at start.
/// Threading: the loop only. End: stop() destroys all sandboxes and ends the keeper.
class SandboxFactory {
 public:
  struct Options {
    Isolation isolation = Isolation::kNamespaces;
    std::string state_directory;  ///< for roots and /tmp of sandboxes: DATA/sandboxes
    /// Bare sandboxes (namespaces and control groups, nothing of a function) kept ready, so that create() does not
    /// wait for the kernel to make them. Refilled while nothing else is asked for.
    unsigned spares = 2;
  };
  /// Opaque: the keeper's end of a socket pair and its pid.
  struct KeeperHandle {
    UniqueFd socket;
    int pid = -1;
  };
  static Result<KeeperHandle> start_keeper(const Options& options);

  SandboxFactory(Loop& loop, Logger& log, KeeperHandle keeper, Options options);
  ~SandboxFactory();
  Async<Result<std::unique_ptr<Sandbox>>> create(SandboxSpec spec);
  Async<Result<Capabilities>> capabilities();
  Async<void> stop();

  struct Impl;  ///< in sandbox.cc

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace lambdad::sandbox
