#include "sandbox/keeper.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/encoding.h"
#include "base/hash.h"
#include "sandbox/cgroups.h"
#include "sandbox/init.h"
#include "sandbox/outbound.h"
#include "sandbox/protocol.h"
#include "sandbox/rootfs.h"
#include "sandbox/seccomp_filter.h"

namespace lambdad::sandbox {

namespace {

/// Building a sandbox takes a millisecond; one that hangs (a dead network mount) is given up after this.
constexpr std::uint64_t kBuildDeadlineMs = 10'000;
/// How long a start waits for the keeper of an earlier daemon: for one that cleans up, and for one that may not have
/// noticed yet that its daemon was killed.
constexpr int kEndingPatienceMs = 10'000;
constexpr int kServingPatienceMs = 500;
constexpr std::uint32_t kInitProcesses = 1;
constexpr std::size_t kMemoryFiles = 2;  // SandboxCgroup::open_memory_files
/// A spare is made when nothing has happened for this long: whoever creates a sandbox starts a program in it next.
constexpr int kQuietMs = 3;

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::string read_all(const char* path) {
  UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t size; file && (size = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

void remove_tree(const std::string& path) {
  ::nftw(
      path.c_str(), [](const char* name, const struct stat*, int, struct FTW*) { return ::remove(name), 0; }, 16,
      FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
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
    if (auto prepared = prepare(); !prepared) unusable_ = prepared.error();
    while (!stopping_ || !boxes_.empty()) {
      epoll_event events[64];
      const int count = ::epoll_wait(epoll_.get(), events, 64, patience());
      for (int i = 0; i < count; ++i) dispatch(events[i].data.u64);
      tend();
      if (count == 0 && wants_spare()) make_spare();
    }
    if (!template_directory_.empty()) {
      ::umount2(template_directory_.c_str(), MNT_DETACH);
      ::rmdir(template_directory_.c_str());
    }
    return 0;
  }

 private:
  // kSpare has no number yet and waits for its plan.
  enum class State { kSpare, kBuilding, kRunning, kEnding, kRemoving };
  struct Run {
    std::vector<UniqueFd> outputs;  // read ends, while the program is being started
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
    Outbound outbound;           // kInternet
    bool outbound_works = true;  // false until it is ready
    bool built = false;          // init is ready
    std::uint32_t cpu_millis = 0;
    UniqueFd runtime_api, endpoint;  // until handed over
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

  // --- start ---

  Result<void> prepare() {
    const std::string& directory = options_.state_directory;
    LD_TRY_VOID(RealFiles().make_directories(directory));
    LD_TRY_VOID(lock(directory + "/keeper.lock"));
    char resolved[PATH_MAX];
    if (::realpath(directory.c_str(), resolved) == nullptr) return system_error(errno, directory);
    const std::string tag = hex_encode(sha256(resolved)).substr(0, 12);
    cgroups_ = std::make_unique<CgroupDriver>(
        CgroupPlaces::parse(read_all("/proc/self/mountinfo"), read_all("/proc/self/cgroup")), tag,
        directory + "/control-groups");
    remove_tree(directory + "/tmp");
    if (::mkdir((directory + "/tmp").c_str(), 0700) != 0 && errno != EEXIST) {
      return system_error(errno, "making " + directory + "/tmp");
    }
    if (options_.isolation == Isolation::kProcess) return {};
    own_users_ = may_map_any_user();
    LD_TRY_VOID(enter_own_mount_namespace());
    LD_TRY(template_, RootTemplate::make(directory + "/template"));
    template_directory_ = directory + "/template";
    slirp_ = Outbound::find_program();
    if (own_users_) tun_node_ = Outbound::make_tun_node(template_directory_);
    LD_TRY(seccomp_, make_seccomp_program());
    // As root nobody but root may look at us. An ordinary user's keeper stays dumpable: it could not write the user
    // maps of its children otherwise, and to that user's other processes it is no secret.
    if (own_users_) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return {};
  }

  // One keeper per state directory. The lock file's first byte says whether its holder serves ('s') or cleans up ('e').
  Result<void> lock(const std::string& path) {
    lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_) return system_error(errno, "opening " + path);
    for (int waited = 0; ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0; waited += 5) {
      if (errno != EWOULDBLOCK && errno != EINTR) return system_error(errno, "locking " + path);
      char state = 0;
      (void)!::pread(lock_.get(), &state, 1, 0);
      if (waited >= (state == 'e' ? kEndingPatienceMs : kServingPatienceMs)) {
        lock_.reset();
        return fail(Errc::kConflict, "another lambdad works in {}", options_.state_directory);
      }
      timespec pause{0, 5'000'000};
      ::nanosleep(&pause, nullptr);
    }
    mark_lock('s');
    return {};
  }

  void mark_lock(char state) {
    if (lock_) (void)!::pwrite(lock_.get(), &state, 1, 0);
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
        case Op::kStart: start(header, box, (*received)->bytes, message.wants_second_output() ? 2 : 1); break;
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
    mark_lock('e');
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, daemon_.get(), nullptr);
    for (auto next = boxes_.begin(); next != boxes_.end();) end_box(*(next++)->second);
  }

  void send(const Encoder& message, std::span<const int> descriptors) {
    // Waits when the daemon is slow to read; it never waits for us in turn.
    if (!stopping_ && !send_packet(daemon_.get(), message.bytes(), descriptors, 0)) daemon_gone();
  }

  // --- a sandbox's life ---

  Result<void> create(std::uint64_t number, SandboxSpec spec) {
    if (unusable_) return std::unexpected(*unusable_);
    if (options_.isolation == Isolation::kNamespaces && spec.network == NetworkPolicy::kInternet && slirp_.empty()) {
      return fail(Errc::kUnavailable, "internet access for functions needs slirp4netns: apt install slirp4netns");
    }
    if (!name_is_valid(spec.name)) return fail(Errc::kInvalid, "sandbox name '{}'", spec.name);
    for (const auto& [other, box] : by_number_) {
      if (box->name == spec.name) return fail(Errc::kConflict, "there is a sandbox named {}", spec.name);
    }
    const bool namespaces = options_.isolation == Isolation::kNamespaces;
    InitPlan plan;
    plan.network = spec.network;
    if (spec.network == NetworkPolicy::kInternet) plan.closed = closed_networks();
    plan.processes_max = spec.pids_max == 0 ? ~std::uint64_t{0} >> 1 : spec.pids_max;
    UniqueFd runtime_api, endpoint;
    plan.runtime_api_port = spec.runtime_api_port;
    plan.endpoint_port = spec.endpoint_port;
    if (namespaces) {
      LD_TRY(plan.root, template_.plan(spec));
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
    CgroupLimits limits;
    limits.memory_bytes = spec.memory_bytes;
    limits.pids = spec.pids_max == 0 ? 0 : spec.pids_max + kInitProcesses;
    if (namespaces && spec.memory_bytes > 0) {
      // /tmp is memory here and disk on AWS: it comes on top, and init sees to it that nothing else uses it.
      limits.memory_bytes += spec.tmp_bytes;
      plan.memory_bytes = spec.memory_bytes;
      plan.memory_files = box->group.open_memory_files();
    }
    box->cpu_millis = spec.cpu_millis;
    auto prepared = box->group.limit(limits);
    if (prepared && namespaces && spec.network == NetworkPolicy::kInternet) prepared = start_outbound(*box);
    std::vector<int> descriptors;
    for (const PlannedMount& mount : plan.root.mounts) descriptors.push_back(mount.tree.get());
    for (const UniqueFd& file : plan.memory_files) descriptors.push_back(file.get());
    auto told = prepared ? send_packet(box->channel.get(), encode_plan(number, plan).bytes(), descriptors, MSG_DONTWAIT)
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

  bool wants_spare() const {
    if (stopping_ || unusable_ || spares_failed_ || options_.isolation != Isolation::kNamespaces) return false;
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
    LD_TRY(box.group, cgroups_->create(fmt::format("sandbox-{}", box.tag)));
    box.slot = take_slot();
    boxes_.emplace(box.tag, std::move(owned));
    if (auto spawned = spawn_init(box); !spawned) {
      if (box.pid > 0) {
        end_box(box);
      } else {
        box.state = State::kRemoving;
        remove_box(box);
      }
      return std::unexpected(std::move(spawned).error());
    }
    return &box;
  }

  Result<void> start_outbound(Box& box) {
    LD_TRY(box.outbound,
           Outbound::start({.program = slirp_, .tun_node = tun_node_, .init = box.pid, .own_users = own_users_}));
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

  Result<void> spawn_init(Box& box) {
    InitSetting setting;
    setting.isolation = options_.isolation;
    setting.own_users = own_users_;
    setting.seccomp = &seccomp_;
    LD_TRY(setting.group_entries, box.group.open_entries());
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return system_error(errno, "a socket pair");
    box.channel = UniqueFd(pair[0]);
    UniqueFd inside(pair[1]);
    int pidfd = -1;
    clone_args args{};
    args.flags = CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    if (setting.isolation == Isolation::kNamespaces) {
      args.flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
    }
    if (box.group.clone_target() >= 0) {
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = static_cast<std::uint64_t>(box.group.clone_target());
    }
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0) return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
    if (pid == 0) {
      close_all_but(setting, inside.get());
      run_init(setting, inside.get());
    }
    box.pid = static_cast<pid_t>(pid);
    box.pidfd = UniqueFd(pidfd);
    watch(box.channel.get(), box.tag << 2 | kChannel);
    watch(box.pidfd.get(), box.tag << 2 | kInitEnd);
    if (setting.isolation == Isolation::kNamespaces) LD_TRY_VOID(map_users(box));
    // When the machine itself runs out of memory, functions go before the daemon does.
    write_child(box.pid, "oom_score_adj", "500");
    return {};
  }

  // In the child: the descriptors of the keeper and of other sandboxes are none of its business.
  static void close_all_but(const InitSetting& setting, int channel) {
    std::vector<int> kept{channel};
    for (const UniqueFd& entry : setting.group_entries) kept.push_back(entry.get());
    std::sort(kept.begin(), kept.end());
    unsigned from = 3;
    for (const int fd : kept) {
      if (static_cast<unsigned>(fd) > from) ::close_range(from, static_cast<unsigned>(fd) - 1, 0);
      from = static_cast<unsigned>(fd) + 1;
    }
    ::close_range(from, ~0u, 0);
  }

  static bool write_child(pid_t pid, const char* file, const std::string& text) {
    const std::string path = fmt::format("/proc/{}/{}", pid, file);
    UniqueFd opened(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return opened && ::write(opened.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

  Result<void> map_users(const Box& box) const {
    std::string users, groups;
    if (own_users_) {
      const std::uint32_t first = kFirstHostUid + 2 * box.slot;
      users = fmt::format("0 {} 1\n{} {} 1\n", first, kFunctionUid, first + 1);
      groups = fmt::format("0 {} 1\n{} {} 1\n", first, kFunctionGid, first + 1);
    } else {
      users = fmt::format("{} {} 1\n", kFunctionUid, ::geteuid());
      groups = fmt::format("{} {} 1\n", kFunctionGid, ::getegid());
    }
    if (!write_child(box.pid, "uid_map", users) || !write_child(box.pid, "gid_map", groups)) {
      return fail(Errc::kDenied, "mapping users: {}", explain_namespace_failure(errno));
    }
    return {};
  }

  void start(const Header& header, Box* box, const std::string& bytes, int output_count) {
    Outcome refused;
    if (box == nullptr || box->state != State::kRunning) {
      refused = Error{Errc::kClosed, "the sandbox has ended"};
    } else {
      Run run;
      std::vector<UniqueFd> write_ends;
      std::vector<int> descriptors;
      for (int i = 0; i < output_count && !refused; ++i) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) {
          refused = system_error(errno, "an output pipe").error();
          break;
        }
        run.outputs.emplace_back(ends[0]);
        descriptors.push_back(write_ends.emplace_back(ends[1]).get());
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
          const std::vector<UniqueFd> outputs = std::exchange(run->second.outputs, {});
          if (outcome) {
            box.runs.erase(run);
            send(told, {});
          } else {
            std::vector<int> descriptors;
            for (const UniqueFd& output : outputs) descriptors.push_back(output.get());
            send(told, descriptors);
          }
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
    if ((reply.has_cpu_file = box.cpu_millis > 0 && cpu)) handed.push_back(cpu.get());
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
    free_slot(box.slot);
    by_number_.erase(box.number);
    boxes_.erase(box.tag);
  }

  std::uint32_t take_slot() {
    if (free_slots_.empty()) return next_slot_++ % (kHostUids / 2);
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  void free_slot(std::uint32_t slot) { free_slots_.push_back(slot); }

  void describe() {
    Capabilities what;
    if (cgroups_) {
      what.cgroup_mode = cgroups_->mode();
      what.memory_limit = cgroups_->limits_memory();
      what.pids_limit = cgroups_->limits_pids();
      what.cpu_limit = cgroups_->limits_cpu();
      what.freezer = cgroups_->freezes();
      what.missing = cgroups_->missing();
    }
    what.seccomp = !seccomp_.empty();
    if (options_.isolation == Isolation::kProcess) {
      what.internet = true;  // nothing keeps a plain process from it
    } else if (slirp_.empty()) {
      what.internet_hint = "apt install slirp4netns";
    } else if (tun_node_.empty() && ::access("/dev/net/tun", R_OK | W_OK) != 0) {
      what.internet_hint = "let the user of lambdad open /dev/net/tun (modprobe tun; chmod 0666 /dev/net/tun)";
    } else {
      what.internet = true;
    }
    if (unusable_) what.missing.push_back(unusable_->detail);
    Encoder told({Op::kDescribed, 0, 0});
    told.capabilities(what);
    send(told, {});
  }

  UniqueFd daemon_, epoll_, lock_;
  const SandboxFactory::Options options_;
  std::unique_ptr<CgroupDriver> cgroups_;
  RootTemplate template_;
  std::string template_directory_;
  SeccompProgram seccomp_;
  std::string slirp_;     // the program; empty when there is none
  std::string tun_node_;  // see Outbound
  std::optional<Error> unusable_;
  bool own_users_ = false;
  bool stopping_ = false;
  std::map<std::uint64_t, std::unique_ptr<Box>> boxes_;  // by tag
  std::map<std::uint64_t, Box*> by_number_;
  std::uint64_t last_tag_ = 0;
  bool spares_failed_ = false;
  std::vector<std::uint32_t> free_slots_;
  std::uint32_t next_slot_ = 0;
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
