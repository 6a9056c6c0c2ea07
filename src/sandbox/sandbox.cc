#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

#include "sandbox/cgroups.h"
#include "sandbox/keeper.h"
#include "sandbox/protocol.h"

extern "C" char* program_invocation_name;

namespace lambdad::sandbox {

namespace {

/// How long the keeper may take to kill and remove everything before it is killed itself.
constexpr std::chrono::seconds kStopPatience{15};

/// One program, shared by its Process and by what waits for it.
struct RunState {
  RunState(Loop& loop, std::uint64_t n) : number(n), changed(loop) {}
  const std::uint64_t number;
  Notifier changed;
  std::optional<Outcome> started;
  std::optional<ProcessExit> exit;
  UniqueFd output, second_output, control;
  PipeSet pipes;
};

/// A socket that was asked for.
struct SocketRequest {
  explicit SocketRequest(Loop& loop) : changed(loop) {}
  Notifier changed;
  std::optional<Outcome> outcome;
  UniqueFd socket;
};

struct BoxState {
  BoxState(Loop& loop, std::uint64_t n, std::string given_name)
      : number(n), name(std::move(given_name)), changed(loop) {}
  const std::uint64_t number;
  const std::string name;
  Notifier changed;
  std::optional<Outcome> created, assigned;
  bool gone = false;  // nothing of it is left, or the keeper is
  bool destroy_requested = false;
  bool assigning = false;  // assign() was called
  CreatedReply reply;
  UniqueFd runtime_api, endpoint, peak_file, freeze_file, cpu_file;
  std::uint32_t cpu_millis = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t last_run = 0;
  std::map<std::uint64_t, std::shared_ptr<RunState>> runs;  // that have not ended
  std::map<std::uint64_t, std::shared_ptr<SocketRequest>> sockets;
};

// Everything of the forked keeper that comes from the daemon and must not stay.
void become_keeper_process(int socket) {
  // Descriptors the daemon had open; the socket becomes 3.
  if (socket != 3) {
    ::dup3(socket, 3, O_CLOEXEC);
    socket = 3;
  }
  ::close_range(4, ~0u, 0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, 0);
    ::dup2(null, 1);
    ::close(null);
  }
  // A ^C at the terminal and a service manager's SIGTERM are for the daemon, which then tells us to stop.
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(022);
  (void)::chdir("/");
  // The title in ps: over the daemon's own arguments, when they are where the kernel says.
  constexpr std::string_view kTitle = "lambdad-keeper";
  ::prctl(PR_SET_NAME, kTitle.data(), 0, 0, 0);
  UniqueFd file(::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
  char arguments[4096];
  const ssize_t size = file ? ::read(file.get(), arguments, sizeof arguments) : 0;
  if (size > static_cast<ssize_t>(kTitle.size()) && std::strcmp(program_invocation_name, arguments) == 0) {
    char* const first = program_invocation_name;
    // The arguments lie one after the other; the first may be shorter than the title only if others follow.
    std::memset(first, 0, static_cast<std::size_t>(size));
    std::memcpy(first, kTitle.data(), kTitle.size());
  }
}

}  // namespace

struct SandboxFactory::Impl : std::enable_shared_from_this<SandboxFactory::Impl> {
  using Socket = asio::posix::basic_stream_descriptor<Executor>;
  using Timer =
      asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

  Impl(Loop& l, Logger& lg, KeeperHandle keeper, Options o)
      : loop(l),
        log(lg),
        socket(l.get_executor(), keeper.socket.release()),
        pid(keeper.pid),
        options(std::move(o)),
        writable(l),
        described_changed(l),
        ended_changed(l),
        tasks(l) {
    socket.non_blocking(true);
  }

  // --- to the keeper ---

  void send(const Encoder& message) {
    if (ended) return;
    queue.push_back(message.bytes());
    if (queue.size() == 1) flush();
    if (!queue.empty()) writable.notify_all();
  }

  void flush() {
    while (!queue.empty()) {
      auto sent = send_packet(socket.native_handle(), queue.front(), {}, MSG_DONTWAIT);
      if (sent && !*sent) return;
      if (!sent && sent.error().code != Errc::kClosed)
        log.error("keeper_send_failed", {{"error", sent.error().detail}});
      queue.pop_front();
    }
  }

  static Async<void> write_loop(std::shared_ptr<Impl> self) {
    for (;;) {
      while (self->queue.empty()) co_await self->writable.wait();
      boost::system::error_code code;
      co_await self->socket.async_wait(Socket::wait_write, asio::redirect_error(use_async, code));
      if (code) co_return;
      self->flush();
    }
  }

  // --- from the keeper ---

  static Async<void> read_loop(std::shared_ptr<Impl> self) {
    for (;;) {
      auto received = receive_packet(self->socket.native_handle(), MSG_DONTWAIT);
      if (!received) {
        self->keeper_ended(received.error());
        co_return;
      }
      if (*received) {
        self->handle(**received);
        continue;
      }
      boost::system::error_code code;
      co_await self->socket.async_wait(Socket::wait_read, asio::redirect_error(use_async, code));
      if (code) co_return;
    }
  }

  void handle(Packet& packet) {
    Decoder message(packet.bytes);
    const Header header = message.header();
    if (!message.failed() && header.op == Op::kDescribed) {
      described = message.capabilities();
      described_changed.notify_all();
      return;
    }
    const auto found = boxes.find(header.sandbox);
    if (message.failed() || found == boxes.end()) return;
    BoxState& box = *found->second;
    const auto its_run = box.runs.find(header.run);
    const std::shared_ptr<RunState> run = its_run == box.runs.end() ? nullptr : its_run->second;
    switch (header.op) {
      case Op::kCreated: {
        Outcome outcome = message.outcome();
        if (!outcome) {
          box.reply = message.created();
          std::vector<UniqueFd*> handed{&box.runtime_api};
          if (box.reply.has_endpoint) handed.push_back(&box.endpoint);
          if (box.reply.has_peak_file) handed.push_back(&box.peak_file);
          if (box.reply.has_freeze_file) handed.push_back(&box.freeze_file);
          if (box.reply.has_cpu_file) handed.push_back(&box.cpu_file);
          if (!message.finish() || packet.descriptors.size() != handed.size()) {
            outcome = Error{Errc::kCorrupt, "the keeper's answer cannot be read"};
          } else {
            for (std::size_t i = 0; i < handed.size(); ++i) *handed[i] = std::move(packet.descriptors[i]);
          }
        }
        if (!box.created) box.created = std::move(outcome);
        box.changed.notify_all();
        break;
      }
      case Op::kStarted:
        if (run == nullptr) break;
        run->started = message.outcome();
        if (!*run->started && packet.descriptors.size() == run->pipes.count()) {
          run->output = std::move(packet.descriptors[0]);
          if (run->pipes.second_output) run->second_output = std::move(packet.descriptors[1]);
          if (run->pipes.control) run->control = std::move(packet.descriptors.back());
        }
        run->changed.notify_all();
        break;
      case Op::kExited:
        if (run == nullptr) break;
        run->exit = message.exit();
        box.runs.erase(its_run);
        run->changed.notify_all();
        break;
      case Op::kSocketMade:
        if (const auto asked = box.sockets.find(header.run); asked != box.sockets.end()) {
          const auto request = asked->second;
          box.sockets.erase(asked);
          request->outcome = message.outcome();
          if (packet.descriptors.size() == 1) request->socket = std::move(packet.descriptors[0]);
          request->changed.notify_all();
        }
        break;
      case Op::kAssigned:
        if (!box.assigned) box.assigned = message.outcome();
        box.changed.notify_all();
        break;
      case Op::kDestroyed: {
        const auto kept = found->second;
        boxes.erase(found);
        end_box(*kept);
        break;
      }
      default: break;
    }
  }

  // Whatever waits for the sandbox learns that it is over.
  static void end_box(BoxState& box) {
    box.gone = true;
    if (!box.created) box.created = Error{Errc::kUnavailable, "the keeper has ended"};
    if (!box.assigned) box.assigned = Error{Errc::kClosed, "the sandbox has ended"};
    box.changed.notify_all();
    for (const auto& [number, run] : std::exchange(box.runs, {})) {
      if (!run->started) run->started = Error{Errc::kClosed, "the sandbox has ended"};
      if (!run->exit) run->exit = ProcessExit{.exit_code = 0, .signal = SIGKILL};
      run->changed.notify_all();
    }
    for (const auto& [number, request] : std::exchange(box.sockets, {})) {
      request->outcome = Error{Errc::kClosed, "the sandbox has ended"};
      request->changed.notify_all();
    }
  }

  void keeper_ended(const Error& why) {
    ended = true;
    if (!stopping) log.error("keeper_ended", {{"error", why.detail}, {"sandboxes", boxes.size()}});
    queue.clear();
    auto all = std::exchange(boxes, {});
    for (auto& [number, box] : all) end_box(*box);
    described_changed.notify_all();
    ended_changed.notify_all();
  }

  void request_destroy(BoxState& box) {
    box.runtime_api.reset();
    box.endpoint.reset();
    if (box.gone || std::exchange(box.destroy_requested, true)) return;
    send(Encoder({Op::kDestroy, box.number, 0}));
  }

  Loop& loop;
  Logger& log;
  Socket socket;
  const int pid;
  const Options options;
  std::deque<std::string> queue;
  Notifier writable, described_changed, ended_changed;
  std::optional<Capabilities> described;
  std::map<std::uint64_t, std::shared_ptr<BoxState>> boxes;
  std::uint64_t last_box = 0;
  bool ended = false;  // the keeper is gone
  bool stopping = false;
  bool reaped = false;
  TaskGroup tasks;
};

namespace {

using Impl = SandboxFactory::Impl;

class KeptProcess final : public Process {
 public:
  KeptProcess(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box, std::shared_ptr<RunState> run)
      : impl_(std::move(impl)), box_(std::move(box)), run_(std::move(run)) {}
  ~KeptProcess() override { kill(); }

  UniqueFd take_output() override { return std::move(run_->output); }
  UniqueFd take_second_output() override { return std::move(run_->second_output); }
  UniqueFd take_control() override {
    if (run_->control) ::fcntl(run_->control.get(), F_SETFL, O_NONBLOCK);
    return std::move(run_->control);
  }
  Async<ProcessExit> wait_exit() override { return wait(run_); }
  bool running() const override { return !run_->exit; }

  void terminate() override {
    if (run_->exit) return;
    Encoder message({Op::kSignal, box_->number, run_->number});
    message.u32(SIGTERM);
    impl_->send(message);
  }
  void kill() override {
    if (!run_->exit) impl_->send(Encoder({Op::kKill, box_->number, run_->number}));
  }

 private:
  static Async<ProcessExit> wait(std::shared_ptr<RunState> run) {
    while (!run->exit) co_await run->changed.wait();
    co_return *run->exit;
  }

  std::shared_ptr<Impl> impl_;
  std::shared_ptr<BoxState> box_;
  std::shared_ptr<RunState> run_;
};

class KeptSandbox final : public Sandbox {
 public:
  KeptSandbox(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box)
      : impl_(std::move(impl)), box_(std::move(box)) {}
  ~KeptSandbox() override { impl_->request_destroy(*box_); }

  UniqueFd take_runtime_api_listener() override { return std::move(box_->runtime_api); }
  UniqueFd take_endpoint_listener() override { return std::move(box_->endpoint); }
  std::string runtime_api_address() const override { return address(box_->reply.runtime_api_port); }
  std::string endpoint_address() const override { return address(box_->reply.endpoint_port); }

  Async<Result<std::unique_ptr<Process>>> start(ProcessSpec spec) override {
    return start_in(impl_, box_, std::move(spec));
  }

  Async<Result<void>> assign(SandboxSpec spec) override { return assign_box(impl_, box_, std::move(spec)); }

  void kill_all() override {
    if (!box_->gone) impl_->send(Encoder({Op::kKill, box_->number, 0}));
  }
  Async<Result<UniqueFd>> make_socket() override { return socket_in(impl_, box_); }

  void freeze() override { write_freezer(true); }
  void thaw() override { write_freezer(false); }

  void set_cpu_phase(CpuPhase phase) override {
    if (!box_->cpu_file || box_->cpu_millis == 0 || phase == cpu_phase_) return;
    cpu_phase_ = phase;
    const std::string text = cpu_limit_text(box_->reply.cpu_v2, phase, box_->cpu_millis);
    // Fails only when the sandbox has just ended.
    (void)!::pwrite(box_->cpu_file.get(), text.data(), text.size(), 0);
  }

  std::uint64_t memory_peak_bytes() const override {
    if (!box_->peak_file) return 0;
    char text[32] = {};
    if (::pread(box_->peak_file.get(), text, sizeof text - 1, 0) <= 0) return 0;
    const std::uint64_t peak = std::strtoull(text, nullptr, 10);
    return box_->memory_bytes > 0 ? std::min(peak, box_->memory_bytes) : peak;
  }

  Async<void> destroy() override { return destroy_box(impl_, box_); }

 private:
  static std::string address(std::uint16_t port) { return fmt::format("127.0.0.1:{}", port); }

  static Async<Result<std::unique_ptr<Process>>> start_in(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box,
                                                          ProcessSpec spec) {
    if (box->gone || box->destroy_requested) co_return fail(Errc::kClosed, "sandbox {} has ended", box->name);
    if (box->runs.size() >= kProgramsMax) {
      co_return fail(Errc::kConflict, "{} programs run in sandbox {}", box->runs.size(), box->name);
    }
    if (spec.argv.empty()) co_return fail(Errc::kInvalid, "a program without a name");
    for (const auto& text : spec.argv) {
      if (text.find('\0') != std::string::npos) co_return fail(Errc::kInvalid, "a NUL in an argument");
    }
    for (const auto& [name, value] : spec.environment) {
      if (name.empty() || name.find('=') != std::string::npos || (name + value).find('\0') != std::string::npos) {
        co_return fail(Errc::kInvalid, "environment variable name or value");
      }
    }
    auto run = std::make_shared<RunState>(impl->loop, ++box->last_run);
    run->pipes = {.second_output = spec.second_output, .control = spec.control};
    Encoder message({Op::kStart, box->number, run->number});
    message.process(spec);
    if (message.bytes().size() > kPacketBytesMax) {
      co_return fail(Errc::kTooLarge, "arguments and environment are {} bytes; {} are allowed", message.bytes().size(),
                     kPacketBytesMax);
    }
    box->runs.emplace(run->number, run);
    // Owned from here on: when the caller is cancelled below, the program does not stay behind.
    auto process = std::make_unique<KeptProcess>(impl, box, run);
    impl->send(message);
    while (!run->started) co_await run->changed.wait();
    if (Outcome failed = *run->started; failed) {
      run->exit = ProcessExit{.exit_code = 127, .signal = 0};
      box->runs.erase(run->number);
      co_return std::unexpected(std::move(*failed));
    }
    co_return process;
  }

  static Async<Result<void>> assign_box(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box, SandboxSpec spec) {
    if (box->gone || box->destroy_requested) co_return fail(Errc::kClosed, "sandbox {} has ended", box->name);
    if (std::exchange(box->assigning, true))
      co_return fail(Errc::kInvalid, "sandbox {} was assigned before", box->name);
    Encoder message({Op::kAssign, box->number, 0});
    message.spec(spec);
    if (message.bytes().size() > kPacketBytesMax) co_return fail(Errc::kTooLarge, "too many mounts for a sandbox");
    impl->send(message);
    while (!box->assigned) co_await box->changed.wait();
    if (Outcome failed = *box->assigned; failed) co_return std::unexpected(std::move(*failed));
    box->cpu_millis = spec.cpu_millis;
    box->memory_bytes = spec.memory_bytes;
    impl->log.debug("sandbox_assigned", {{"sandbox", box->name}, {"now", spec.name}});
    co_return Result<void>();
  }

  static Async<Result<UniqueFd>> socket_in(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box) {
    if (box->gone || box->destroy_requested) co_return fail(Errc::kClosed, "sandbox {} has ended", box->name);
    auto request = std::make_shared<SocketRequest>(impl->loop);
    const std::uint64_t number = ++box->last_run;
    box->sockets.emplace(number, request);
    impl->send(Encoder({Op::kSocket, box->number, number}));
    while (!request->outcome) co_await request->changed.wait();
    if (Outcome failed = *request->outcome; failed) co_return std::unexpected(std::move(*failed));
    if (!request->socket) co_return fail(Errc::kCorrupt, "the keeper's answer cannot be read");
    co_return std::move(request->socket);
  }

  static Async<void> destroy_box(std::shared_ptr<Impl> impl, std::shared_ptr<BoxState> box) {
    impl->request_destroy(*box);
    while (!box->gone) co_await box->changed.wait();
  }

  void write_freezer(bool frozen) {
    if (!box_->freeze_file) return;
    const std::string_view text = box_->reply.freezer_v1 ? (frozen ? "FROZEN" : "THAWED") : (frozen ? "1" : "0");
    // Fails only when the sandbox has just ended.
    (void)!::pwrite(box_->freeze_file.get(), text.data(), text.size(), 0);
  }

  std::shared_ptr<Impl> impl_;
  std::shared_ptr<BoxState> box_;
  CpuPhase cpu_phase_ = CpuPhase::kInit;
};

}  // namespace

Result<SandboxFactory::KeeperHandle> SandboxFactory::start_keeper(const Options& options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return system_error(errno, "a socket pair");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error(errno, "starting the keeper");
  if (pid == 0) {
    ours.reset();
    become_keeper_process(theirs.release());
    ::_exit(run_keeper(UniqueFd(3), options));
  }
  return KeeperHandle{std::move(ours), pid};
}

SandboxFactory::SandboxFactory(Loop& loop, Logger& log, KeeperHandle keeper, Options options)
    : impl_(std::make_shared<Impl>(loop, log, std::move(keeper), std::move(options))) {
  impl_->tasks.spawn("keeper_reader", Impl::read_loop(impl_));
  impl_->tasks.spawn("keeper_writer", Impl::write_loop(impl_));
}

SandboxFactory::~SandboxFactory() { LD_CHECK(impl_->reaped, "a SandboxFactory is destroyed without stop()"); }

Async<Result<std::unique_ptr<Sandbox>>> SandboxFactory::create(SandboxSpec spec) {
  auto impl = impl_;
  if (impl->ended || impl->stopping) co_return fail(Errc::kUnavailable, "the keeper of sandboxes has ended");
  auto box = std::make_shared<BoxState>(impl->loop, ++impl->last_box, spec.name);
  box->cpu_millis = spec.cpu_millis;
  box->memory_bytes = spec.memory_bytes;
  Encoder message({Op::kCreate, box->number, 0});
  message.spec(spec);
  if (message.bytes().size() > kPacketBytesMax) co_return fail(Errc::kTooLarge, "too many mounts for a sandbox");
  impl->boxes.emplace(box->number, box);
  // Owned from here on: when the caller is cancelled below, the sandbox is destroyed.
  auto made = std::make_unique<KeptSandbox>(impl, box);
  impl->send(message);
  while (!box->created) co_await box->changed.wait();
  if (Outcome failed = *box->created; failed) {
    // The keeper has nothing of it, or removes it by itself.
    co_return std::unexpected(std::move(*failed));
  }
  impl->log.debug("sandbox_created", {{"sandbox", box->name}});
  co_return made;
}

Async<Result<Capabilities>> SandboxFactory::capabilities() {
  auto impl = impl_;
  // What can be made is found out by making one.
  SandboxSpec trial;
  trial.name = fmt::format("trial-{}", impl->last_box + 1);
  trial.tmp_bytes = 1 << 20;
  auto made = co_await create(std::move(trial));
  Outcome refused;
  if (made) {
    co_await (*made)->destroy();
  } else {
    refused = made.error();
  }
  impl->described.reset();
  impl->send(Encoder({Op::kDescribe, 0, 0}));
  while (!impl->described && !impl->ended) co_await impl->described_changed.wait();
  if (!impl->described) co_return fail(Errc::kUnavailable, "the keeper of sandboxes has ended");
  Capabilities found = *impl->described;
  found.namespaces = !refused && impl->options.isolation == Isolation::kNamespaces;
  found.seccomp = found.seccomp && found.namespaces;
  if (refused && std::find(found.missing.begin(), found.missing.end(), refused->detail) == found.missing.end()) {
    found.missing.push_back(refused->detail);
  }
  if (impl->options.isolation == Isolation::kProcess) {
    found.missing.emplace_back("functions are not isolated: --isolation process is for debugging only");
  }
  co_return found;
}

Async<void> SandboxFactory::stop() {
  auto impl = impl_;
  if (impl->reaped) co_return;
  impl->stopping = true;
  impl->send(Encoder({Op::kStop, 0, 0}));
  Impl::Timer patience(impl->loop.get_executor(), kStopPatience);
  patience.async_wait([pid = impl->pid](boost::system::error_code code) {
    if (!code) ::kill(pid, SIGKILL);
  });
  while (!impl->ended) co_await impl->ended_changed.wait();
  patience.cancel();
  // End of file came from its exit: this waits for microseconds.
  ::waitpid(impl->pid, nullptr, 0);
  impl->reaped = true;
  co_await impl->tasks.stop();
}

}  // namespace lambdad::sandbox
