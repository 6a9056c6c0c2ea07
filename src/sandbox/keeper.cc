#include "sandbox/keeper.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>

#include "sandbox/host.h"
#include "sandbox/init.h"
#include "sandbox/outbound.h"
#include "sandbox/protocol.h"
#include "sandbox/spawn.h"
#include "sandbox/state_directory.h"

namespace lambdad::sandbox {

namespace {

/// Building a sandbox takes a millisecond; one that hangs (a dead network mount) is given up after this.
constexpr std::uint64_t kBuildDeadlineMs = 10'000;
constexpr std::uint32_t kInitProcesses = 1;
constexpr std::size_t kMemoryFiles = 2;  // SandboxCgroup::open_memory_files
/// A spare is made when nothing has happened for this long: whoever creates a sandbox starts a program in it next.
constexpr int kQuietMs = 3;

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

bool name_is_valid(std::string_view name) {
  if (name.empty() || name.size() > 100) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

class Keeper {
 public:
  Keeper(UniqueFd socket, const SandboxFactory::Options& options) : daemon_(std::move(socket)), options_(options) {}

  int run() {
    epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    watch(daemon_.get(), kDaemon);
    host_.prepare();
    while (!stopping_ || !boxes_.empty()) {
      epoll_event events[64];
      const int count = ::epoll_wait(epoll_.get(), events, 64, patience());
      for (int i = 0; i < count; ++i) dispatch(events[i].data.u64);
      tend();
      if (count == 0 && wants_spare()) make_spare();
    }
    host_.close();
    return 0;
  }

 private:
  // kSpare has no number yet and waits for its plan.
  enum class State { kSpare, kBuilding, kRunning, kEnding, kRemoving };
  struct Run {
    std::vector<UniqueFd> pipes;  // the daemon's ends, while the program is being started
    std::uint64_t oom_kills_before = 0;
  };
  struct Box {
    std::uint64_t tag = 0;     // our own count
    std::uint64_t number = 0;  // the daemon's; 0 until it has one
    std::string name;
    State state = State::kSpare;
    std::uint32_t slot = 0;
    pid_t pid = -1;
    UniqueFd pidfd, channel;
    SandboxCgroup group;
    Outbound outbound;                       // kInternet
    bool outbound_works = true;              // false until it is ready
    bool built = false;                      // init is ready
    std::optional<SandboxSpec> provisional;  // until it is assigned
    UniqueFd runtime_api, endpoint;          // until handed over
    std::uint16_t runtime_api_port = 0, endpoint_port = 0;
    std::string tmp_directory;  // kProcess
    std::uint64_t build_deadline_ms = 0;
    std::map<std::uint64_t, Run> runs;  // programs that run or are being started
    bool answer_destroyed = false;
    Error failure;  // why building failed
  };
  // The low two bits of an event's number say what of the sandbox it is about.
  enum Source : std::uint64_t { kDaemon = 0, kChannel = 1, kInitEnd = 2, kOutbound = 3 };

  void watch(int fd, std::uint64_t what) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = what;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  // --- events ---

  void dispatch(std::uint64_t what) {
    if (what == kDaemon) {
      serve_daemon();
      return;
    }
    const auto found = boxes_.find(what >> 2);
    if (found == boxes_.end()) return;
    switch (what & 3) {
      case kChannel: serve_init(*found->second); break;
      case kInitEnd: init_ended(*found->second); break;
      case kOutbound: outbound_changed(*found->second); break;
      default: break;
    }
  }

  int patience() const {
    int shortest = wants_spare() ? kQuietMs : -1;
    const std::uint64_t now = now_ms();
    for (const auto& [tag, box] : boxes_) {
      if (box->state == State::kRemoving) return 1;
      if (box->state != State::kBuilding) continue;
      const int left = box->build_deadline_ms > now ? static_cast<int>(box->build_deadline_ms - now) : 0;
      shortest = shortest < 0 ? left : std::min(shortest, left);
    }
    return shortest;
  }

  // What has no event: removing groups the kernel still holds, and deadlines.
  void tend() {
    const std::uint64_t now = now_ms();
    for (auto next = boxes_.begin(); next != boxes_.end();) {
      Box& box = *(next++)->second;
      if (box.state == State::kBuilding && now >= box.build_deadline_ms) {
        box.failure = {Errc::kTimedOut, "building the sandbox took too long"};
        end_box(box);
      } else if (box.state == State::kRemoving) {
        remove_box(box);
      }
    }
  }

  void serve_daemon() {
    for (int budget = 64; budget > 0; --budget) {
      auto received = receive_packet(daemon_.get(), MSG_DONTWAIT);
      if (!received) {
        daemon_gone();
        return;
      }
      if (!*received) return;
      Decoder message((*received)->bytes);
      const Header header = message.header();
      const auto found = by_number_.find(header.sandbox);
      Box* box = found == by_number_.end() ? nullptr : found->second;
      switch (message.failed() ? Op::kStop : header.op) {
        case Op::kCreate: {
          SandboxSpec spec = message.spec();
          if (!message.finish() || box != nullptr) {
            daemon_gone();
            return;
          }
          if (auto made = create(header.sandbox, std::move(spec)); !made) reply_created(header.sandbox, made.error());
          break;
        }
        case Op::kStart: start(header, box, (*received)->bytes, message.pipes()); break;
        case Op::kAssign: {
          const SandboxSpec spec = message.spec();
          if (!message.finish()) {
            daemon_gone();
            return;
          }
          if (auto told = assign(box, spec); !told) {
            Encoder refused({Op::kAssigned, header.sandbox, 0});
            refused.outcome(told.error());
            send(refused, {});
          }
          break;
        }
        case Op::kSignal:
        case Op::kKill:
        case Op::kSocket:
          if (box != nullptr && box->state == State::kRunning) {
            if (header.op == Op::kKill) box->group.thaw();
            forward(*box, (*received)->bytes, {});
          }
          break;
        case Op::kDestroy:
          if (box == nullptr) {
            send(Encoder({Op::kDestroyed, header.sandbox, 0}), {});
          } else {
            box->answer_destroyed = true;
            end_box(*box);
          }
          break;
        case Op::kDescribe: describe(); break;
        case Op::kStop:
        default: daemon_gone(); return;
      }
    }
  }

  void daemon_gone() {
    if (stopping_) return;
    stopping_ = true;
    host_.cleaning_up();
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, daemon_.get(), nullptr);
    for (auto next = boxes_.begin(); next != boxes_.end();) end_box(*(next++)->second);
  }

  void send(const Encoder& message, std::span<const int> descriptors) {
    // Waits when the daemon is slow to read; it never waits for us in turn.
    if (!stopping_ && !send_packet(daemon_.get(), message.bytes(), descriptors, 0)) daemon_gone();
  }

  // --- a sandbox's life ---

  Result<void> create(std::uint64_t number, SandboxSpec spec) {
    if (host_.refusal()) return std::unexpected(*host_.refusal());
    if (host_.namespaces() && spec.network == NetworkPolicy::kInternet && host_.outbound_program().empty()) {
      return fail(Errc::kUnavailable, "internet access for functions needs slirp4netns: apt install slirp4netns");
    }
    if (!name_is_valid(spec.name)) return fail(Errc::kInvalid, "sandbox name '{}'", spec.name);
    if (spec.provisional && (!host_.namespaces() || spec.network == NetworkPolicy::kInternet)) {
      return fail(Errc::kInvalid, "a provisional sandbox without namespaces or with the internet");
    }
    for (const auto& [other, box] : by_number_) {
      if (box->name == spec.name) return fail(Errc::kConflict, "there is a sandbox named {}", spec.name);
    }
    const bool namespaces = host_.namespaces();
    InitPlan plan;
    plan.network = spec.network;
    if (spec.network == NetworkPolicy::kInternet) plan.closed = closed_networks();
    plan.processes_max = spec.pids_max == 0 ? ~std::uint64_t{0} >> 1 : spec.pids_max;
    UniqueFd runtime_api, endpoint;
    plan.runtime_api_port = spec.runtime_api_port;
    plan.endpoint_port = spec.endpoint_port;
    if (namespaces) {
      LD_TRY(plan.root, host_.roots().plan(spec));
      if (plan.root.mounts.size() + kMemoryFiles > kPacketDescriptorsMax) {
        return fail(Errc::kTooLarge, "{} mounts for one sandbox", spec.mounts.size());
      }
    } else {
      if (!spec.root.empty()) {
        return fail(Errc::kDenied, "a root of its own needs the isolation level namespaces");
      }
      plan.runtime_api_port = plan.endpoint_port = 0;
      LD_TRY(runtime_api, listen_on_loopback(plan.runtime_api_port));
      if (spec.network != NetworkPolicy::kNone) {
        LD_TRY(endpoint, listen_on_loopback(plan.endpoint_port));
      }
      plan.mounts = spec.mounts;
      plan.tmp_directory = options_.state_directory + "/tmp/" + spec.name;
      if (::mkdir(plan.tmp_directory.c_str(), 0700) != 0) return system_error(errno, "making " + plan.tmp_directory);
    }
    Box* box = find_spare();
    if (box == nullptr) {
      auto made = spawn();
      if (!made) {
        if (!plan.tmp_directory.empty()) remove_tree(plan.tmp_directory);
        return std::unexpected(std::move(made).error());
      }
      box = *made;
    }
    box->tmp_directory = plan.tmp_directory;
    if (namespaces) {
      plan.memory_bytes = spec.memory_bytes;
      if (spec.memory_bytes > 0 || spec.provisional) plan.memory_files = box->group.open_memory_files();
    }
    auto prepared = box->group.limit(limits_of(spec));
    if (spec.provisional) box->provisional = spec;
    if (prepared && namespaces && spec.network == NetworkPolicy::kInternet) prepared = start_outbound(*box);
    std::vector<int> descriptors;
    for (const PlannedMount& mount : plan.root.mounts) descriptors.push_back(mount.tree.get());
    for (const UniqueFd& file : plan.memory_files) descriptors.push_back(file.get());
    auto told = prepared ? send_packet(box->channel.get(), encode_plan(Op::kGo, number, plan).bytes(), descriptors,
                                       MSG_DONTWAIT)
                         : Result<bool>(std::unexpected(prepared.error()));
    if (!told || !*told) {
      end_box(*box);
      return told ? fail(Errc::kUnavailable, "the init of a sandbox does not listen")
                  : std::unexpected(std::move(told).error());
    }
    box->number = number;
    box->name = std::move(spec.name);
    box->runtime_api = std::move(runtime_api);
    box->endpoint = std::move(endpoint);
    box->runtime_api_port = plan.runtime_api_port;
    box->endpoint_port = plan.endpoint_port;
    box->state = State::kBuilding;
    box->build_deadline_ms = now_ms() + kBuildDeadlineMs;
    by_number_.emplace(number, box);
    return {};
  }

  CgroupLimits limits_of(const SandboxSpec& spec) const {
    CgroupLimits limits;
    limits.memory_bytes = spec.memory_bytes;
    // /tmp is memory here and disk on AWS: it comes on top, and init sees to it that nothing else uses it.
    if (host_.namespaces() && spec.memory_bytes > 0) limits.memory_bytes += spec.tmp_bytes;
    limits.pids = spec.pids_max == 0 ? 0 : spec.pids_max + kInitProcesses;
    return limits;
  }

  // Tells init the rest; it answers.
  Result<void> assign(Box* box, const SandboxSpec& spec) {
    if (box == nullptr || box->state != State::kRunning) return fail(Errc::kClosed, "the sandbox has ended");
    if (!box->provisional) return fail(Errc::kInvalid, "the sandbox {} is not provisional", box->name);
    InitPlan rest;
    LD_TRY(rest.root, RootTemplate::plan_rest(*std::exchange(box->provisional, std::nullopt), spec));
    rest.memory_bytes = spec.memory_bytes;
    LD_TRY_VOID(box->group.limit(limits_of(spec)));
    std::vector<int> descriptors;
    for (const PlannedMount& mount : rest.root.mounts) descriptors.push_back(mount.tree.get());
    box->group.thaw();
    forward(*box, encode_plan(Op::kAssign, box->number, rest).bytes(), descriptors);
    return {};
  }

  bool wants_spare() const {
    if (stopping_ || host_.refusal() || spares_failed_ || !host_.namespaces()) return false;
    std::size_t spares = 0;
    for (const auto& [tag, box] : boxes_) spares += box->state == State::kSpare ? 1 : 0;
    return spares < options_.spares;
  }

  // What fails here fails again in create(), where somebody learns why.
  void make_spare() { spares_failed_ = !spawn(); }

  Box* find_spare() {
    for (const auto& [tag, box] : boxes_) {
      if (box->state == State::kSpare) return box.get();
    }
    return nullptr;
  }

  // A sandbox with namespaces and control groups, whose init waits for its plan.
  Result<Box*> spawn() {
    auto owned = std::make_unique<Box>();
    Box& box = *owned;
    box.tag = ++last_tag_;
    LD_TRY(box.group, host_.cgroups().create(fmt::format("sandbox-{}", box.tag)));
    box.slot = slots_.take();
    boxes_.emplace(box.tag, std::move(owned));
    InitSetting setting{.isolation = options_.isolation,
                        .own_users = host_.own_users(),
                        .seccomp = &host_.seccomp(),
                        .group_entries = {}};
    auto spawned = spawn_init(setting, box.group, box.slot);
    if (!spawned) {
      box.state = State::kRemoving;
      remove_box(box);
      return std::unexpected(std::move(spawned).error());
    }
    box.pid = spawned->pid;
    box.pidfd = std::move(spawned->pidfd);
    box.channel = std::move(spawned->channel);
    watch(box.channel.get(), box.tag << 2 | kChannel);
    watch(box.pidfd.get(), box.tag << 2 | kInitEnd);
    return &box;
  }

  Result<void> start_outbound(Box& box) {
    LD_TRY(box.outbound, Outbound::start({.program = host_.outbound_program(),
                                          .tun_node = host_.tun_node(),
                                          .init = box.pid,
                                          .own_users = host_.own_users()}));
    box.outbound_works = false;
    watch(box.outbound.ready(), box.tag << 2 | kOutbound);
    return {};
  }

  void outbound_changed(Box& box) {
    if (box.state == State::kEnding || box.state == State::kRemoving) return;
    if (box.outbound_works) {
      // Its way out has ended, and with it what was promised to the function.
      end_box(box);
      return;
    }
    // Closing is not enough to end the watch: a child being cloned may hold a copy for a moment.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, box.outbound.ready(), nullptr);
    if (auto works = box.outbound.confirm(); !works) {
      box.failure = works.error();
      end_box(box);
      return;
    }
    box.outbound_works = true;
    watch(box.outbound.pidfd(), box.tag << 2 | kOutbound);
    if (box.built) tell_created(box);
  }

  void start(const Header& header, Box* box, const std::string& bytes, PipeSet pipes) {
    Outcome refused;
    if (box == nullptr || box->state != State::kRunning) {
      refused = Error{Errc::kClosed, "the sandbox has ended"};
    } else {
      Run run;
      std::vector<UniqueFd> its_ends;
      std::vector<int> descriptors;
      for (std::size_t i = 0; i < pipes.count() && !refused; ++i) {
        const bool is_control = pipes.control && i + 1 == pipes.count();
        int ends[2];
        if ((is_control ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : ::pipe2(ends, O_CLOEXEC)) != 0) {
          refused = system_error(errno, "a pipe of a program").error();
          break;
        }
        run.pipes.emplace_back(ends[0]);
        descriptors.push_back(its_ends.emplace_back(ends[1]).get());
      }
      if (!refused) {
        run.oom_kills_before = box->group.oom_kills();
        box->runs.insert_or_assign(header.run, std::move(run));
        box->group.thaw();
        forward(*box, bytes, descriptors);
      }
    }
    if (refused) {
      Encoder message({Op::kStarted, header.sandbox, header.run});
      message.outcome(refused);
      send(message, {});
    }
  }

  // An init that does not read is broken, and with it its sandbox.
  void forward(Box& box, const std::string& bytes, std::span<const int> descriptors) {
    auto sent = send_packet(box.channel.get(), bytes, descriptors, MSG_DONTWAIT);
    if (!sent || !*sent) end_box(box);
  }

  void serve_init(Box& box) {
    while (box.state == State::kSpare || box.state == State::kBuilding || box.state == State::kRunning) {
      auto received = receive_packet(box.channel.get(), MSG_DONTWAIT);
      if (!received) {
        // Its end is told by the pidfd.
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, box.channel.get(), nullptr);
        return;
      }
      if (!*received) return;
      Packet& packet = **received;
      Decoder message(packet.bytes);
      switch (message.header().op) {
        case Op::kReady: ready(box, message, packet.descriptors); break;
        case Op::kStarted: {
          const Outcome outcome = message.outcome();
          const auto run = box.runs.find(message.header().run);
          if (run == box.runs.end()) break;
          Encoder told({Op::kStarted, box.number, run->first});
          told.outcome(outcome);
          const std::vector<UniqueFd> pipes = std::exchange(run->second.pipes, {});
          if (outcome) {
            box.runs.erase(run);
            send(told, {});
          } else {
            std::vector<int> descriptors;
            for (const UniqueFd& pipe : pipes) descriptors.push_back(pipe.get());
            send(told, descriptors);
          }
          break;
        }
        case Op::kAssigned: {
          Encoder told({Op::kAssigned, box.number, 0});
          told.outcome(message.outcome());
          send(told, {});
          break;
        }
        case Op::kExited: tell_exit(box, message.header().run, message.exit()); break;
        case Op::kSocketMade: {
          Encoder told({Op::kSocketMade, box.number, message.header().run});
          told.outcome(message.outcome());
          std::vector<int> descriptors;
          for (const UniqueFd& made : packet.descriptors) descriptors.push_back(made.get());
          send(told, descriptors);
          break;
        }
        default: end_box(box); return;
      }
    }
  }

  void ready(Box& box, Decoder& message, std::vector<UniqueFd>& descriptors) {
    if (Outcome outcome = message.outcome(); outcome) {
      box.failure = *outcome;
      spares_failed_ = spares_failed_ || box.state == State::kSpare;
      end_box(box);
      return;
    }
    if (box.state != State::kBuilding) return;
    if (!descriptors.empty()) box.runtime_api = std::move(descriptors[0]);
    if (descriptors.size() > 1) box.endpoint = std::move(descriptors[1]);
    box.built = true;
    if (box.outbound_works) tell_created(box);
  }

  void tell_created(Box& box) {
    box.state = State::kRunning;
    CreatedReply reply;
    reply.runtime_api_port = box.runtime_api_port;
    reply.endpoint_port = box.endpoint_port;
    UniqueFd peak = box.group.open_peak_file();
    UniqueFd freeze = box.group.open_freeze_file();
    UniqueFd cpu = box.group.open_cpu_file();
    std::vector<int> handed{box.runtime_api.get()};
    if ((reply.has_endpoint = static_cast<bool>(box.endpoint))) handed.push_back(box.endpoint.get());
    if ((reply.has_peak_file = static_cast<bool>(peak))) handed.push_back(peak.get());
    if ((reply.has_freeze_file = static_cast<bool>(freeze))) handed.push_back(freeze.get());
    if ((reply.has_cpu_file = static_cast<bool>(cpu))) handed.push_back(cpu.get());
    reply.freezer_v1 = box.group.freezer_is_v1();
    reply.cpu_v2 = box.group.cpu_is_v2();
    Encoder told({Op::kCreated, box.number, 0});
    told.outcome(std::nullopt);
    told.created(reply);
    send(told, handed);
    box.runtime_api.reset();
    box.endpoint.reset();
  }

  void reply_created(std::uint64_t number, const Error& error) {
    Encoder told({Op::kCreated, number, 0});
    told.outcome(error);
    send(told, {});
  }

  void tell_exit(Box& box, std::uint64_t number, ProcessExit exit) {
    const auto run = box.runs.find(number);
    if (run == box.runs.end()) return;
    exit.out_of_memory |= exit.signal == SIGKILL && box.group.oom_kills() > run->second.oom_kills_before;
    box.runs.erase(run);
    Encoder told({Op::kExited, box.number, number});
    told.exit(exit);
    send(told, {});
  }

  // Kills what is left; the rest follows when init has ended.
  void end_box(Box& box) {
    if (box.state == State::kEnding || box.state == State::kRemoving) return;
    if (box.state == State::kBuilding && box.failure.detail.empty()) {
      box.failure = {Errc::kClosed, "the sandbox was destroyed while being built"};
    }
    if (box.state == State::kBuilding) reply_created(box.number, box.failure);
    box.state = State::kEnding;
    box.outbound.end();
    box.group.thaw();
    if (!box.group.kill_all()) {
      if (options_.isolation == Isolation::kProcess) {
        // Its end of file makes init kill its descendants, then end.
        box.channel.reset();
      } else {
        ::syscall(SYS_pidfd_send_signal, box.pidfd.get(), SIGKILL, nullptr, 0);
      }
    }
  }

  void init_ended(Box& box) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(box.pidfd.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
      return;
    }
    // Words it said before it ended: why it could not be built, or how its program ended.
    if (box.channel) serve_init(box);
    if (box.state == State::kBuilding || box.state == State::kRunning) {
      box.failure = {Errc::kUnavailable, "the init of the sandbox was killed"};
      if (box.state == State::kBuilding) reply_created(box.number, box.failure);
    }
    box.outbound.end();
    while (!box.runs.empty()) tell_exit(box, box.runs.begin()->first, {.exit_code = 0, .signal = SIGKILL});
    box.group.kill_all();
    box.channel.reset();
    box.pidfd.reset();
    box.runtime_api.reset();
    box.endpoint.reset();
    box.state = State::kRemoving;
    remove_box(box);
  }

  void remove_box(Box& box) {
    if (!box.outbound.reap() || !box.group.remove()) return;  // tend() comes back
    if (!box.tmp_directory.empty()) remove_tree(box.tmp_directory);
    if (box.answer_destroyed) send(Encoder({Op::kDestroyed, box.number, 0}), {});
    slots_.give_back(box.slot);
    by_number_.erase(box.number);
    boxes_.erase(box.tag);
  }

  void describe() {
    Encoder told({Op::kDescribed, 0, 0});
    told.capabilities(host_.describe());
    send(told, {});
  }

  UniqueFd daemon_, epoll_;
  const SandboxFactory::Options options_;
  Host host_{options_};
  bool stopping_ = false;
  std::map<std::uint64_t, std::unique_ptr<Box>> boxes_;  // by tag
  std::map<std::uint64_t, Box*> by_number_;
  std::uint64_t last_tag_ = 0;
  bool spares_failed_ = false;
  UserSlots slots_;
};

}  // namespace

int run_keeper(UniqueFd socket, const SandboxFactory::Options& options) {
  try {
    return Keeper(std::move(socket), options).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "lambdad keeper: {}\n", error.what());
    return 1;
  }
}

}  // namespace lambdad::sandbox
