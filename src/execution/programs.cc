#include "execution/programs.h"

#include <sys/socket.h>

#include <algorithm>
#include <filesystem>

namespace lambdad::execution {

std::vector<std::string> find_external_extensions(const std::vector<sandbox::ReadOnlyMount>& mounts) {
  std::vector<std::string> names;
  for (const sandbox::ReadOnlyMount& mount : mounts) {
    std::string directory;
    if (mount.target == "/opt") directory = mount.source + "/extensions";
    if (mount.target == "/opt/extensions") directory = mount.source;
    if (directory.empty()) continue;
    std::error_code error;
    std::filesystem::directory_iterator entry(directory, error);  // lint-allow(files): Files does not tell modes
    for (; !error && entry != std::filesystem::end(entry); entry.increment(error)) {
      std::error_code unreadable;
      const auto status = entry->status(unreadable);
      using std::filesystem::perms;
      const bool executable =
          (status.permissions() & (perms::owner_exec | perms::group_exec | perms::others_exec)) != perms::none;
      if (!unreadable && std::filesystem::is_regular_file(status) && executable) {
        names.push_back(entry->path().filename().string());
      }
    }
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

Programs::Programs(Deps deps) : deps_(std::move(deps)), tasks_(deps_.system.loop) {}

void Programs::begin() {
  LD_CHECK(!running(), "programs are started while others run");
  fault_.reset();
  runtime_exit_.reset();
}

void Programs::set_fault(Fault fault) {
  if (!fault_) fault_ = std::move(fault);
  deps_.changed.notify_all();
}

Async<bool> Programs::start_extension(std::string name, sandbox::ProcessSpec spec) {
  if (!deps_.extensions.expect(name)) {
    set_fault({"Extension.LaunchError", fmt::format("Extension limit ({}) reached", kExtensionsMax)});
    co_return false;
  }
  const std::string path = spec.argv.at(0);
  auto started = co_await deps_.sandbox.start(std::move(spec));
  if (!started) {
    deps_.log.debug("extension_start_failed", {{"extension", name}, {"reason", started.error().detail}});
    set_fault(extension_start_fault(path, started.error()));
    co_return false;
  }
  ExtensionProgram program{name, std::move(*started), deps_.make_extension_log()};
  program.log->attach(program.process->take_output());
  tasks_.spawn("extension process", watch_extension(program.process));
  extensions_.push_back(std::move(program));
  co_return true;
}

Async<bool> Programs::start_runtime(std::string_view family, sandbox::ProcessSpec spec) {
  const std::string of_family(family);
  const std::string program = spec.argv.at(0);
  auto started = co_await deps_.sandbox.start(std::move(spec));
  if (!started) {
    deps_.log.debug("runtime_start_failed", {{"reason", started.error().detail}});
    set_fault(runtime_start_fault(of_family, program, started.error()));
    co_return false;
  }
  run(std::move(*started));
  co_return true;
}

void Programs::adopt_runtime(SparePool::Assigned spare, const sandbox::ProcessSpec& spec) {
  const std::string message = message_to_waiting(spec);
  // The socket is empty and takes it whole. Otherwise the process has ended, or ends because it was not told
  // everything.
  const bool told = ::send(spare.control.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
                    static_cast<ssize_t>(message.size());
  spare.control.reset();
  if (!told) spare.process->kill();
  run(std::move(spare.process));
}

void Programs::run(std::unique_ptr<sandbox::Process> runtime) {
  runtime_ = std::move(runtime);
  frozen_ = false;
  deps_.function_log.attach(runtime_->take_output());
  if (UniqueFd second = runtime_->take_second_output()) {
    frames_ = std::make_unique<LogFrameReader>(deps_.system.loop, std::move(second), [this](std::string message) {
      deps_.function_log.printed(std::move(message));
    });
  }
  tasks_.spawn("runtime process", watch_runtime(runtime_));
}

Async<void> Programs::watch_runtime(std::shared_ptr<sandbox::Process> process) {
  const sandbox::ProcessExit exit = co_await process->wait_exit();
  if (process != runtime_) co_return;
  runtime_exit_ = exit;
  frames_.reset();
  deps_.function_log.detach();
  if (!ending_) {
    set_fault(runtime_exit_fault(exit));
    if (on_death) on_death();
  }
  deps_.changed.notify_all();
}

Async<void> Programs::watch_extension(std::shared_ptr<sandbox::Process> process) {
  const sandbox::ProcessExit exit = co_await process->wait_exit();
  const auto place = std::ranges::find(extensions_, process, &ExtensionProgram::process);
  if (place == extensions_.end()) co_return;
  place->log->detach();
  deps_.extensions.exited(place->name);
  if (!ending_) {
    const auto& said = deps_.extensions.failure();
    set_fault(said ? Fault{said->type, said->said} : extension_exit_fault(exit));
  }
  extensions_.erase(place);
  if (!ending_ && on_death) on_death();
  deps_.changed.notify_all();
}

void Programs::drain() {
  if (frames_) frames_->drain();
  deps_.function_log.drain();
}

void Programs::freeze() {
  if (frozen_ || !running()) return;
  deps_.sandbox.freeze();
  deps_.telemetry.pause();
  frozen_ = true;
}

void Programs::thaw() {
  if (!std::exchange(frozen_, false)) return;
  deps_.sandbox.thaw();
  deps_.telemetry.resume();
}

Async<void> Programs::wake_at(MonoTime when) {
  co_await deps_.system.host_clock.sleep_until(when);
  deps_.changed.notify_all();
}

Async<void> Programs::wait_until(std::function<bool()> condition, MonoTime deadline) {
  if (condition()) co_return;
  tasks_.spawn("shutdown deadline", wake_at(deadline));
  while (!condition() && deps_.system.host_clock.mono() < deadline) co_await deps_.changed.wait();
}

Async<void> Programs::end(ShutdownReason reason) {
  ending_ = true;
  thaw();
  const MonoTime begin = deps_.system.host_clock.mono();
  const bool external = !extensions_.empty();
  const bool gentle = external || deps_.extensions.any();
  if (gentle) {
    deps_.telemetry.flush();
    if (runtime_runs()) {
      runtime_->terminate();
      co_await wait_until([this] { return !runtime_runs(); },
                          begin + (external ? kShutdownRuntimeShare : kShutdownInternal));
    }
  }
  if (runtime_runs()) runtime_->kill();
  if (external) {
    const MonoTime deadline = begin + kShutdownExternal;
    deps_.extensions.shutdown(reason,
                              to_epoch_ms(deps_.system.clock.wall() + (deadline - deps_.system.host_clock.mono())));
    for (const ExtensionProgram& program : extensions_) {
      const auto& all = deps_.extensions.all();
      const auto known = std::ranges::find_if(
          all, [&](const ExtensionsApi::Extension& e) { return e.external && e.name == program.name; });
      if (known == all.end() || !known->on_shutdown) program.process->kill();
    }
    deps_.telemetry.flush();
    co_await wait_until([this] { return extensions_.empty(); }, deadline);
  }
  if (!extensions_.empty()) deps_.sandbox.kill_all();
  while (runtime_runs() || !extensions_.empty()) co_await deps_.changed.wait();
  if (runtime_) drain();
  frames_.reset();
  deps_.function_log.detach();
  runtime_.reset();
  deps_.telemetry.reset();
  ending_ = false;
}

Async<void> Programs::stop() { co_await tasks_.stop(); }

}  // namespace lambdad::execution
