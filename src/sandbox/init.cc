#include "sandbox/init.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>

#include "sandbox/cgroups.h"
#include "sandbox/protocol.h"

namespace lambdad::sandbox {

namespace {

// As AWS sets them, observed January 2026, but for core files: AWS allows 10 GiB, here nobody would collect them.
constexpr rlim_t kOpenFiles = 1024;
constexpr rlim_t kLockedBytes = 64 * 1024;
constexpr rlim_t kProcesses = 742;

// Between two looks at the memory: short enough that a program that takes as much as a core can clear is found soon.
constexpr std::uint64_t kGrowthBytesPerMs = 2 * 1024 * 1024;
constexpr std::uint64_t kLookMsMin = 5, kLookMsMax = 100;

// For starting programs as the function's user, and for ending them.
constexpr std::uint64_t kKeptCapabilities = 1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID;

// What a forked program tells init when it cannot become the program.
struct StartFailure {
  enum Step : int { kWorkingDirectory, kPrivileges, kExec } step;
  int error;
};

void set_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].effective = data[half].permitted = static_cast<std::uint32_t>(kept >> (32 * half));
  }
  ::syscall(SYS_capset, &header, data);
}

// Capabilities that no exec can bring back: the bounding set is emptied too.
void drop_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

void set_limit(int resource, rlim_t value) {
  // Lowered only: an ordinary user cannot raise the hard limit it was given.
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &now);
  const rlim_t bound = std::min(value, now.rlim_max);
  const rlimit limit{bound, bound};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

class Init {
 public:
  Init(const InitSetting& setting, int channel) : setting_(setting), channel_(channel) {}

  [[noreturn]] void run() {
    if (auto ready = set_up(); !ready) {
      answer(Op::kReady, 0, ready.error(), {});
      ::_exit(1);
    }
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    UniqueFd signals(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    {
      std::vector<int> listeners;
      for (const UniqueFd* each : {&runtime_api_, &endpoint_}) {
        if (*each) listeners.push_back(each->get());
      }
      answer(Op::kReady, 0, std::nullopt, listeners);
      runtime_api_.reset();
      endpoint_.reset();
    }
    for (;;) {
      pollfd waiting[2] = {{channel_, POLLIN, 0}, {signals.get(), POLLIN, 0}};
      if (::poll(waiting, 2, watch_memory()) < 0 && errno != EINTR) end();
      if (waiting[1].revents != 0) {
        signalfd_siginfo ignored;
        while (::read(signals.get(), &ignored, sizeof ignored) > 0) continue;
        reap();
      }
      if (waiting[0].revents != 0) serve();
    }
  }

 private:
  // --- building ---

  Result<void> set_up() {
    for (const UniqueFd& entry : setting_.group_entries) {
      if (::write(entry.get(), "0", 1) != 1) return system_error(errno, "entering a control group");
      ::close(entry.get());
    }
    auto go = receive_packet(channel_, 0);
    if (!go || !*go) end();
    Decoder message((*go)->bytes);
    if (message.header().op != Op::kGo) end();
    sandbox_ = message.header().sandbox;
    LD_TRY(plan_, decode_plan(message, std::move((*go)->descriptors)));
    if (setting_.isolation == Isolation::kProcess) {
      // Orphans of the program become our children, so that they can be found and ended.
      ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      return {};
    }
    // The groups known by now: /proc/self/cgroup inside shows them as the root.
    ::unshare(CLONE_NEWCGROUP);
    if (setting_.own_users &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)) {
      return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
    }
    (void)::sethostname("lambda", 6);
    memory_ = MemoryUse(std::move(plan_.memory_files));
    LD_TRY_VOID(make_network());
    LD_TRY_VOID(build_root(plan_.root));
    // Nothing that leads to the host's mounts stays open: not the trees, which are attached, not the keeper's stdio.
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard : {0, 1, 2}) {
      if (!null || ::dup2(null.get(), standard) < 0) return system_error(errno, "closing the keeper's stdio");
    }
    plan_.root.mounts.clear();
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    drop_bounding_set();
    set_capabilities(kKeptCapabilities | (plan_.root.provisional ? 1u << CAP_SYS_ADMIN : 0u));
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ::prctl(PR_SET_NAME, "init", 0, 0, 0);
    // After the last change of user, which would undo it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return {};
  }

  Result<void> make_network() {
    LD_TRY_VOID(start_loopback());
    if (plan_.network == NetworkPolicy::kInternet) {
      LD_TRY_VOID(close_networks(plan_.closed));
    }
    std::uint16_t port = plan_.runtime_api_port;
    LD_TRY(runtime_api_, listen_on_loopback(port));
    if (plan_.network == NetworkPolicy::kNone) return {};
    port = plan_.endpoint_port;
    LD_TRY(endpoint_, listen_on_loopback(port));
    return {};
  }

  // --- serving ---

  void answer(Op op, std::uint64_t run, const Outcome& outcome, const std::vector<int>& descriptors) {
    Encoder message({op, sandbox_, run});
    message.outcome(outcome);
    if (!send_packet(channel_, message.bytes(), descriptors, 0)) end();
  }

  void serve() {
    auto received = receive_packet(channel_, MSG_DONTWAIT);
    if (!received) end();
    if (!*received) return;
    Packet& packet = **received;
    Decoder message(packet.bytes);
    switch (message.header().op) {
      case Op::kStart: {
        const ProcessSpec spec = message.process();
        const std::uint64_t run = message.header().run;
        Outcome outcome;
        const PipeSet pipes{.second_output = spec.second_output, .control = spec.control};
        if (!message.finish() || packet.descriptors.size() != pipes.count()) {
          outcome = Error{Errc::kCorrupt, "a start request that cannot be read"};
        } else if (programs_.size() >= kProgramsMax) {
          outcome = Error{Errc::kConflict, "too many programs run in this sandbox"};
        } else if (auto started = start(spec, {.output = packet.descriptors[0].get(),
                                               .second_output = spec.second_output ? packet.descriptors[1].get() : -1,
                                               .control = spec.control ? packet.descriptors.back().get() : -1});
                   !started) {
          outcome = started.error();
        } else {
          programs_.emplace(*started, run);
        }
        packet.descriptors.clear();  // the program has its own copy of the output
        answer(Op::kStarted, run, outcome, {});
        break;
      }
      case Op::kAssign: answer(Op::kAssigned, 0, assign(message, std::move(packet.descriptors)), {}); break;
      case Op::kSignal:
        if (const int number = static_cast<int>(message.u32()); const pid_t pid = program_of(message.header().run)) {
          ::kill(pid, number);
        }
        break;
      case Op::kKill:
        if (message.header().run == 0) {
          kill_everything();
        } else if (const pid_t pid = program_of(message.header().run)) {
          kill_program(pid);
        }
        break;
      case Op::kSocket: {
        UniqueFd made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        Outcome outcome;
        std::vector<int> descriptors;
        if (made) {
          descriptors.push_back(made.get());
        } else {
          outcome = system_error(errno, "a socket").error();
        }
        answer(Op::kSocketMade, message.header().run, outcome, descriptors);
        break;
      }
      default: break;
    }
  }

  Outcome assign(Decoder& message, std::vector<UniqueFd> descriptors) {
    if (!plan_.root.provisional) return Error{Errc::kInvalid, "the sandbox is not provisional"};
    auto rest = decode_plan(message, std::move(descriptors));
    Result<void> done = rest ? complete_root(rest->root) : Result<void>(std::unexpected(rest.error()));
    // Whatever came of it.
    set_capabilities(kKeptCapabilities);
    plan_.root.provisional = false;
    if (!done) return done.error();
    plan_.memory_bytes = rest->memory_bytes;
    return std::nullopt;
  }

  // Ends programs that use too much together. Milliseconds until it should be looked at again; -1 when it need not be.
  int watch_memory() {
    if (programs_.empty() || out_of_memory_ || plan_.memory_bytes == 0 || !memory_.known()) return -1;
    std::uint64_t used = memory_.charged_bytes();
    if (used > plan_.memory_bytes) {
      struct statfs tmp{};
      ::statfs("/tmp", &tmp);
      const std::uint64_t in_tmp = (tmp.f_blocks - tmp.f_bfree) * static_cast<std::uint64_t>(tmp.f_bsize);
      const std::uint64_t held = memory_.held_bytes();
      used = held > in_tmp ? held - in_tmp : 0;
    }
    if (used > plan_.memory_bytes) {
      out_of_memory_ = true;
      kill_everything();
      return -1;
    }
    const std::uint64_t left = plan_.memory_bytes - used;
    return static_cast<int>(std::clamp<std::uint64_t>(left / kGrowthBytesPerMs, kLookMsMin, kLookMsMax));
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      if (programs_.contains(pid)) program_ended(pid, status);
    }
  }

  pid_t program_of(std::uint64_t run) const {
    for (const auto& [pid, its_run] : programs_) {
      if (its_run == run) return pid;
    }
    return 0;
  }

  void kill_program(pid_t pid) {
    if (programs_.size() == 1) {
      kill_everything();
    } else {
      ::kill(-pid, SIGKILL);  // it leads a session of its own
      ::kill(pid, SIGKILL);
    }
  }

  // With the last program everything they started ends: the next one finds nobody, as after a reset on AWS.
  void program_ended(pid_t program, int status) {
    const std::uint64_t run = programs_.at(program);
    programs_.erase(program);
    while (programs_.empty()) {
      kill_everything();
      int ignored = 0;
      if (::waitpid(-1, &ignored, 0) < 0 && errno == ECHILD) break;
    }
    ProcessExit exit;
    exit.out_of_memory = out_of_memory_ && WIFSIGNALED(status);
    if (programs_.empty()) out_of_memory_ = false;
    if (WIFSIGNALED(status)) {
      exit.signal = WTERMSIG(status);
    } else {
      exit.exit_code = WEXITSTATUS(status);
    }
    Encoder message({Op::kExited, sandbox_, run});
    message.exit(exit);
    if (!send_packet(channel_, message.bytes(), {}, 0)) end();
  }

  void kill_everything() {
    if (setting_.isolation == Isolation::kNamespaces) {
      // Everything in the pid namespace but ourselves, at once: a fork cannot slip through.
      ::kill(-1, SIGKILL);
    } else {
      kill_children_of(::getpid());
    }
  }

  static void kill_children_of(pid_t parent) {
    const std::string path = fmt::format("/proc/{}/task/{}/children", parent, parent);
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string list;
    char buffer[4096];
    for (ssize_t size; file && (size = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
      list.append(buffer, static_cast<std::size_t>(size));
    }
    for (const char *at = list.data(), *last = at + list.size(); at < last;) {
      pid_t child = 0;
      const auto [next, error] = std::from_chars(at, last, child);
      at = next + 1;
      if (error != std::errc{} || child <= 1) continue;
      kill_children_of(child);
      ::kill(child, SIGKILL);
    }
  }

  [[noreturn]] void end() {
    if (setting_.isolation == Isolation::kProcess) kill_everything();
    ::_exit(0);
  }

  // --- starting ---

  // kProcess: the path on the host of a path inside.
  std::string on_host(const std::string& path) const {
    const ReadOnlyMount* best = nullptr;
    for (const ReadOnlyMount& mount : plan_.mounts) {
      const bool below = path == mount.target || path.starts_with(mount.target + "/");
      if (below && (best == nullptr || mount.target.size() > best->target.size())) best = &mount;
    }
    return best == nullptr ? path : best->source + path.substr(best->target.size());
  }

  std::string list_on_host(const std::string& value) const {
    std::string result;
    for (std::size_t begin = 0; begin <= value.size();) {
      const std::size_t end = std::min(value.find(':', begin), value.size());
      if (begin > 0) result += ':';
      result += on_host(value.substr(begin, end - begin));
      begin = end + 1;
    }
    return result;
  }

  // Where argv[0] may lie, in order.
  static std::vector<std::string> places_of(const ProcessSpec& spec) {
    const std::string& program = spec.argv.front();
    if (program.find('/') != std::string::npos) return {program};
    std::string_view path;
    for (const auto& [name, value] : spec.environment) {
      if (name == "PATH") path = value;
    }
    std::vector<std::string> places;
    while (!path.empty()) {
      const std::size_t end = std::min(path.find(':'), path.size());
      const std::string_view directory = path.substr(0, end);
      places.push_back(fmt::format("{}/{}", directory.empty() ? "." : directory, program));
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    return places;
  }

  // Of a program; -1: none.
  struct Pipes {
    int output, second_output, control;
  };

  // The process id of the program.
  Result<pid_t> start(ProcessSpec spec, Pipes pipes) {
    if (spec.argv.empty()) return fail(Errc::kInvalid, "a program without a name");
    if (setting_.isolation == Isolation::kProcess) {
      for (auto& argument : spec.argv) argument = on_host(argument);
      for (auto& [name, value] : spec.environment) value = list_on_host(value);
      spec.environment.emplace_back("TMPDIR", plan_.tmp_directory);
      spec.working_directory = on_host(spec.working_directory);
    }
    std::vector<std::string> programs = places_of(spec);
    std::vector<char*> argv;
    for (auto& argument : spec.argv) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables;
    for (const auto& [name, value] : spec.environment) variables.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (auto& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);

    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return system_error(errno, "starting a program");
    UniqueFd report_read(report[0]), report_write(report[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return system_error(errno, "starting a program");
    if (pid == 0) become(programs, argv, envp, spec.working_directory.c_str(), pipes, report_write.get());
    report_write.reset();
    StartFailure failure{};
    ssize_t size;
    do {
      size = ::read(report_read.get(), &failure, sizeof failure);
    } while (size < 0 && errno == EINTR);
    if (size != sizeof failure) {
      return pid;  // exec has closed the pipe; or the child was killed before, which reap() will tell
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    const char* why = std::strerror(failure.error);
    switch (failure.step) {
      case StartFailure::kWorkingDirectory:
        return fail(failure.error == EACCES ? Errc::kDenied : Errc::kNotFound, "working directory {}: {}",
                    spec.working_directory, why);
      case StartFailure::kPrivileges: return fail(Errc::kInternal, "giving up privileges: {}", why);
      case StartFailure::kExec: break;
    }
    switch (failure.error) {
      case ENOENT:
      case ENOTDIR: return fail(Errc::kNotFound, "{} (or the interpreter it names) does not exist", spec.argv[0]);
      case EACCES:
      case EPERM: return fail(Errc::kDenied, "{} is not executable", spec.argv[0]);
      case ENOEXEC: return fail(Errc::kInvalid, "{} is not a program for this machine", spec.argv[0]);
      case E2BIG: return fail(Errc::kTooLarge, "arguments and environment of {} are too long", spec.argv[0]);
      default: return fail(Errc::kInternal, "starting {}: {}", spec.argv[0], why);
    }
  }

  // In the forked child: becomes the program or says why not. Only system calls from here on.
  [[noreturn]] void become(const std::vector<std::string>& programs, const std::vector<char*>& argv,
                           const std::vector<char*>& envp, const char* directory, Pipes pipes, int report) {
    auto give_up = [report](StartFailure::Step step) {
      const StartFailure failure{step, errno};
      (void)!::write(report, &failure, sizeof failure);
      ::_exit(127);
    };
    ::setsid();
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = ::open("/dev/null", O_RDONLY);
    if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(pipes.output, 1) < 0 || ::dup2(pipes.output, 2) < 0) {
      give_up(StartFailure::kPrivileges);
    }
    set_limit(RLIMIT_NOFILE, kOpenFiles);
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_MEMLOCK, kLockedBytes);
    ::umask(022);
    if (setting_.isolation == Isolation::kProcess) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    } else {
      // Counted per user in this user namespace; without users of its own, init is one of them.
      set_limit(RLIMIT_NPROC, std::min<rlim_t>(kProcesses, plan_.processes_max) + (setting_.own_users ? 0 : 1));
      if (setting_.own_users && (::setresgid(kFunctionGid, kFunctionGid, kFunctionGid) != 0 ||
                                 ::setresuid(kFunctionUid, kFunctionUid, kFunctionUid) != 0)) {
        give_up(StartFailure::kPrivileges);
      }
      set_capabilities(0);
    }
    if (::chdir(directory) != 0) give_up(StartFailure::kWorkingDirectory);
    if (setting_.isolation == Isolation::kNamespaces && setting_.seccomp != nullptr &&
        !load_seccomp_program(*setting_.seccomp)) {
      give_up(StartFailure::kPrivileges);
    }
    if (::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0) give_up(StartFailure::kPrivileges);
    // Copies are not closed. Nothing else of ours is as high: init has a handful of descriptors.
    if ((pipes.second_output >= 0 && ::dup2(pipes.second_output, kSecondOutput) < 0) ||
        (pipes.control >= 0 && ::dup2(pipes.control, kControl) < 0)) {
      give_up(StartFailure::kPrivileges);
    }
    int why = ENOENT;
    for (const std::string& program : programs) {
      ::execve(program.c_str(), argv.data(), envp.data());
      if (errno == ENOENT || errno == ENOTDIR) continue;
      why = errno;
      if (why != EACCES) break;  // one that may not be run does not hide one that may
    }
    errno = why;
    give_up(StartFailure::kExec);
    ::_exit(127);
  }

  const InitSetting& setting_;
  const int channel_;
  std::uint64_t sandbox_ = 0;
  InitPlan plan_;
  UniqueFd runtime_api_, endpoint_;
  std::map<pid_t, std::uint64_t> programs_;  // and their runs
  MemoryUse memory_;
  bool out_of_memory_ = false;  // the programs were ended for it
};

}  // namespace

Encoder encode_plan(Op op, std::uint64_t sandbox, const InitPlan& plan) {
  Encoder message({op, sandbox, 0});
  message.u8(plan.root.provisional ? 1 : 0);
  message.u64(plan.root.tmp_bytes);
  message.u16(plan.runtime_api_port);
  message.u16(plan.endpoint_port);
  message.u64(plan.processes_max);
  message.u8(static_cast<std::uint8_t>(plan.network));
  message.u32(static_cast<std::uint32_t>(plan.closed.size()));
  for (const Ipv4Network& network : plan.closed) {
    message.u32(network.address);
    message.u8(network.bits);
  }
  message.u64(plan.memory_bytes);
  message.text(plan.tmp_directory);
  message.u32(static_cast<std::uint32_t>(plan.root.links.size()));
  for (const auto& [name, to] : plan.root.links) {
    message.text(name);
    message.text(to);
  }
  message.u32(static_cast<std::uint32_t>(plan.mounts.size()));
  for (const ReadOnlyMount& mount : plan.mounts) {
    message.text(mount.source);
    message.text(mount.target);
  }
  message.u32(static_cast<std::uint32_t>(plan.root.mounts.size()));
  for (const PlannedMount& mount : plan.root.mounts) {
    message.text(mount.target);
    message.u8(mount.directory ? 1 : 0);
  }
  return message;
}

Result<InitPlan> decode_plan(Decoder& message, std::vector<UniqueFd> descriptors) {
  InitPlan plan;
  plan.root.provisional = message.u8() != 0;
  plan.root.tmp_bytes = message.u64();
  plan.runtime_api_port = message.u16();
  plan.endpoint_port = message.u16();
  plan.processes_max = message.u64();
  plan.network = static_cast<NetworkPolicy>(message.u8());
  for (std::uint32_t left = message.u32(); left > 0 && !message.failed(); --left) {
    const std::uint32_t address = message.u32();
    plan.closed.push_back({address, message.u8()});
  }
  plan.memory_bytes = message.u64();
  plan.tmp_directory = message.text();
  for (std::uint32_t left = message.u32(); left > 0 && !message.failed(); --left) {
    std::string name = message.text();
    plan.root.links.emplace_back(std::move(name), message.text());
  }
  for (std::uint32_t left = message.u32(); left > 0 && !message.failed(); --left) {
    std::string source = message.text();
    plan.mounts.push_back({std::move(source), message.text()});
  }
  for (std::uint32_t left = message.u32(); left > 0 && !message.failed(); --left) {
    PlannedMount mount;
    mount.target = message.text();
    mount.directory = message.u8() != 0;
    if (plan.root.mounts.size() < descriptors.size()) mount.tree = std::move(descriptors[plan.root.mounts.size()]);
    plan.root.mounts.push_back(std::move(mount));
  }
  if (!message.finish() || plan.root.mounts.size() > descriptors.size()) {
    return fail(Errc::kCorrupt, "a plan for a sandbox that cannot be read");
  }
  for (std::size_t next = plan.root.mounts.size(); next < descriptors.size(); ++next) {
    plan.memory_files.push_back(std::move(descriptors[next]));
  }
  return plan;
}

void run_init(const InitSetting& setting, int channel) { Init(setting, channel).run(); }

}  // namespace lambdad::sandbox
