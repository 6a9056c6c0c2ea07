/// A sandbox whose programs are coroutines of the test, so that an environment lives on simulated time.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sandbox/sandbox.h"
#include "system/system.h"

namespace lambdad::execution::testing {

/// One program. It ends when its coroutine returns an exit, or by a signal.
struct FakeProgram {
  explicit FakeProgram(Loop& loop) : exited(loop), terminated(loop), tasks(loop) {}
  sandbox::ProcessSpec spec;
  Notifier exited;
  Notifier terminated;  ///< notified by SIGTERM
  bool got_sigterm = false;
  std::optional<sandbox::ProcessExit> exit;
  UniqueFd output_write;
  UniqueFd control, control_outside;  ///< its end, and the other until it is taken
  TaskGroup tasks;

  void print(std::string_view text) { (void)!::write(output_write.get(), text.data(), text.size()); }
  void end(sandbox::ProcessExit how) {
    if (exit) return;
    exit = how;
    output_write.reset();
    control.reset();
    exited.notify_all();
  }
};
using FakeProgramPtr = std::shared_ptr<FakeProgram>;

/// What runs in the sandboxes of a test, and what happened to them.
struct FakeWorld {
  using Body = std::function<Async<sandbox::ProcessExit>(FakeProgramPtr)>;
  System& system;
  std::map<std::string, Body> programs;  ///< by argv[0]; others cannot be started
  std::vector<std::string> history;      ///< "start /var/task/bootstrap", "kill ...", "terminate ...", "freeze"
  std::uint64_t memory_peak = 20 << 20;
  bool assignable = true;         ///< whether Sandbox::assign() succeeds
  TaskGroup reaper{system.loop};  ///< ends the coroutines of killed programs; drain() it at the end
};

class FakeProcess final : public sandbox::Process {
 public:
  FakeProcess(FakeWorld& world, FakeProgramPtr program, UniqueFd output)
      : world_(world), program_(std::move(program)), output_(std::move(output)) {}
  ~FakeProcess() override { kill(); }
  UniqueFd take_output() override { return std::move(output_); }
  UniqueFd take_second_output() override { return {}; }
  UniqueFd take_control() override { return std::move(program_->control_outside); }
  Async<sandbox::ProcessExit> wait_exit() override { return wait(program_); }
  bool running() const override { return !program_->exit; }
  void terminate() override {
    world_.history.push_back("terminate " + program_->spec.argv[0]);
    program_->got_sigterm = true;
    program_->terminated.notify_all();
  }
  void kill() override {
    if (program_->exit) return;
    world_.history.push_back("kill " + program_->spec.argv[0]);
    kill_program(world_, program_);
  }
  static void kill_program(FakeWorld& world, const FakeProgramPtr& program) {
    if (program->exit) return;
    program->end({.exit_code = 0, .signal = SIGKILL});
    world.reaper.spawn("fake reaper", reap(program));
  }
  static Async<void> reap(FakeProgramPtr program) { co_await program->tasks.stop(); }

 private:
  static Async<sandbox::ProcessExit> wait(FakeProgramPtr program) {
    while (!program->exit) co_await program->exited.wait();
    co_return *program->exit;
  }
  FakeWorld& world_;
  FakeProgramPtr program_;
  UniqueFd output_;
};

class FakeSandbox final : public sandbox::Sandbox {
 public:
  explicit FakeSandbox(FakeWorld& world) : world_(world) {}
  UniqueFd take_runtime_api_listener() override { return listener(); }
  UniqueFd take_endpoint_listener() override { return listener(); }
  std::string runtime_api_address() const override { return "127.0.0.1:9001"; }
  std::string endpoint_address() const override { return "127.0.0.1:4566"; }
  Async<Result<std::unique_ptr<sandbox::Process>>> start(sandbox::ProcessSpec spec) override {
    return start_in(this, std::move(spec));
  }
  Async<Result<void>> assign(sandbox::SandboxSpec spec) override { return assign_it(this, std::move(spec)); }
  void kill_all() override {
    world_.history.emplace_back("kill all");
    for (const auto& program : programs_) FakeProcess::kill_program(world_, program);
  }
  Async<Result<UniqueFd>> make_socket() override { return no_socket(); }
  void freeze() override { world_.history.emplace_back("freeze"); }
  void thaw() override { world_.history.emplace_back("thaw"); }
  void set_cpu_phase(sandbox::CpuPhase) override {}
  std::uint64_t memory_peak_bytes() const override { return world_.memory_peak; }
  Async<void> destroy() override { return destroy_it(this); }

 private:
  static Async<Result<std::unique_ptr<sandbox::Process>>> start_in(FakeSandbox* self, sandbox::ProcessSpec spec) {
    const auto found = self->world_.programs.find(spec.argv.at(0));
    if (found == self->world_.programs.end()) co_return fail(Errc::kNotFound, "{}", spec.argv[0]);
    self->world_.history.push_back("start " + spec.argv[0]);
    int ends[2];
    LD_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
    auto program = std::make_shared<FakeProgram>(self->world_.system.loop);
    program->spec = std::move(spec);
    program->output_write = UniqueFd(ends[1]);
    if (program->spec.control) {
      int pair[2];
      LD_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
      program->control = UniqueFd(pair[0]);
      program->control_outside = UniqueFd(pair[1]);
    }
    program->tasks.spawn("fake program", run(&self->world_, found->second, program));
    self->programs_.push_back(program);
    co_return std::make_unique<FakeProcess>(self->world_, program, UniqueFd(ends[0]));
  }
  static Async<void> run(FakeWorld* world, FakeWorld::Body body, FakeProgramPtr program) {
    const sandbox::ProcessExit exit = co_await body(program);
    program->end(exit);
    world->reaper.spawn("fake reaper", FakeProcess::reap(program));
  }
  static Async<Result<void>> assign_it(FakeSandbox* self, sandbox::SandboxSpec spec) {
    self->world_.history.push_back("assign " + spec.name);
    if (!self->world_.assignable) co_return fail(Errc::kUnavailable, "not assignable");
    co_return Result<void>();
  }
  static Async<Result<UniqueFd>> no_socket() { co_return fail(Errc::kUnavailable, "no network"); }
  static Async<void> destroy_it(FakeSandbox* self) {
    for (const auto& program : self->programs_) FakeProcess::kill_program(self->world_, program);
    co_await self->world_.reaper.drain();
    self->programs_.clear();
  }
  static UniqueFd listener() {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    LD_CHECK(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                 ::listen(socket.get(), 4) == 0,
             "listening");
    return socket;
  }
  FakeWorld& world_;
  std::vector<FakeProgramPtr> programs_;
};

}  // namespace lambdad::execution::testing
