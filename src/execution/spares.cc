#include "execution/spares.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

#include "execution/process_spec.h"
#include "system/either.h"

namespace lambdad::execution {

namespace {

/// A runtime whose spare could not be made is left alone for so long.
constexpr Duration kBrokenFor = 5min;
/// How often the machine's memory is looked at while there are spares.
constexpr Duration kMemoryLook = 10s;

// Told by the bootstraps, see runtimes/README.md.
constexpr const char* kWaitsVariable = "_LAMBDAD_SPARE";
// Makes room in /proc/self/environ for the function's variables, of which AWS allows 4 KiB.
constexpr const char* kRoomVariable = "_LAMBDAD_ROOM";
constexpr std::size_t kRoomBytes = 12 * 1024;
constexpr char kReady = 'R';
/// Well below what a socket takes at once.
constexpr std::size_t kMessageBytesMax = 64 * 1024;

// Variables that count before the function's code runs. Those of the AWS SDKs, proxies and the like are read later.
constexpr std::array<std::string_view, 16> kEarlyPrefixes{"PYTHON", "NODE_", "RUBY",    "GEM_",   "BUNDLE", "LD_",
                                                          "LC_",    "LANG",  "MALLOC_", "GLIBC",  "GCONV_", "OPENSSL_",
                                                          "SSL_",   "UV_",   "ICU_",    "LOCPATH"};
constexpr std::array<std::string_view, 4> kEarly{"TZ", "TZDIR", "NLSPATH", "AWS_EXECUTION_ENV"};

bool counts_early(std::string_view name) {
  return std::ranges::any_of(kEarlyPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); }) ||
         std::ranges::find(kEarly, name) != kEarly.end();
}

using Variables = std::vector<std::pair<std::string, std::string>>;

Variables early_variables(const Variables& all) {
  Variables early;
  std::ranges::copy_if(all, std::back_inserter(early), [](const auto& each) { return counts_early(each.first); });
  std::ranges::sort(early);
  return early;
}

}  // namespace

bool can_wait(std::string_view runtime) {
  const std::string_view family = runtime_family(runtime);
  return family == "python" || family == "nodejs" || family == "ruby";
}

std::optional<sandbox::ProcessSpec> make_waiting_program(const std::string& runtime, const Interpreter& interpreter) {
  if (!can_wait(runtime)) return std::nullopt;
  ports::FunctionVersion nobody;
  nobody.runtime = runtime;
  auto program = make_process_spec(nobody, interpreter, EnvironmentFacts{});
  if (!program) return std::nullopt;
  program->environment.emplace_back(kWaitsVariable, std::to_string(sandbox::kControl));
  program->environment.emplace_back(kRoomVariable, std::string(kRoomBytes, 'x'));
  program->control = true;
  return *program;
}

bool can_become(const sandbox::ProcessSpec& waiting, const sandbox::ProcessSpec& program) {
  return waiting.argv == program.argv && waiting.working_directory == program.working_directory &&
         waiting.second_output == program.second_output &&
         early_variables(waiting.environment) == early_variables(program.environment) &&
         message_to_waiting(program).size() <= kMessageBytesMax;
}

std::string message_to_waiting(const sandbox::ProcessSpec& program) {
  std::string message;
  for (const auto& [name, value] : program.environment) {
    message += name;
    message += '=';
    message += value;
    message += '\0';
  }
  message += '\0';
  return message;
}

struct SparePool::Spare {
  std::unique_ptr<sandbox::Sandbox> sandbox;
  std::unique_ptr<sandbox::Process> process;
  sandbox::ProcessSpec program;
  // Readable when it is ready, and again only when it has ended.
  std::optional<asio::posix::basic_stream_descriptor<Executor>> control;

  /// False when it has ended.
  static Async<bool> readable(std::shared_ptr<Spare> self) {
    boost::system::error_code code;
    co_await self->control->async_wait(asio::posix::descriptor_base::wait_read, asio::redirect_error(use_async, code));
    char byte = 0;
    co_return !code && ::read(self->control->native_handle(), &byte, 1) == 1 && byte == kReady;
  }
};

SparePool::SparePool(Deps deps, Options options)
    : deps_(std::move(deps)),
      options_(options),
      taken_(deps_.metrics.counter("lambdad_spares_taken_total", "Environments that began with a spare.")),
      missed_(deps_.metrics.counter("lambdad_spares_missed_total",
                                    "Environments that could have begun with a spare, had there been one.")),
      made_(deps_.metrics.counter("lambdad_spares_made_total", "Spares that became ready.")),
      changed_(deps_.system.loop),
      tasks_(deps_.system.loop) {
  deps_.metrics.on_scrape([this] {
    for (const auto& [runtime, kind] : kinds_) {
      deps_.metrics.gauge("lambdad_spares_ready", "Spares that wait for a function.", {{"runtime", runtime}})
          .set(static_cast<double>(kind.ready.size()));
    }
  });
}

SparePool::~SparePool() = default;

void SparePool::start() {
  if (options_.per_runtime > 0) tasks_.spawn("spares", tend());
}

Async<void> SparePool::stop() {
  co_await tasks_.stop();
  std::vector<std::shared_ptr<Spare>> left;
  for (auto& [runtime, kind] : kinds_) {
    for (auto& spare : std::exchange(kind.ready, {})) left.push_back(std::move(spare));
  }
  co_await drop(std::move(left));
}

void SparePool::want(const std::string& runtime) {
  if (options_.per_runtime == 0 || !can_wait(runtime)) return;
  kinds_[runtime].wanted = deps_.system.host_clock.mono();
  changed_.notify_all();
}

std::size_t SparePool::ready(const std::string& runtime) const {
  const auto kind = kinds_.find(runtime);
  return kind == kinds_.end() ? 0 : kind->second.ready.size();
}

// --- taking ---------------------------------------------------------------------------------------------------------

Async<std::optional<SparePool::Assigned>> SparePool::assign(std::string runtime, sandbox::SandboxSpec spec,
                                                            sandbox::ProcessSpec program) {
  if (options_.per_runtime == 0 || !can_wait(runtime)) co_return std::nullopt;
  want(runtime);
  auto& ready = kinds_[runtime].ready;
  if (ready.empty()) {
    missed_.add();
    co_return std::nullopt;
  }
  if (!can_become(ready.front()->program, program)) co_return std::nullopt;
  const std::shared_ptr<Spare> spare = ready.front();
  ready.erase(ready.begin());
  not_before_ = deps_.system.host_clock.mono() + options_.pause;
  changed_.notify_all();
  spare->control->cancel();  // ends watch()
  auto assigned = co_await spare->sandbox->assign(std::move(spec));
  if (!assigned) {
    deps_.log.warn("spare_not_assigned", {{"runtime", runtime}, {"reason", assigned.error().detail}});
    co_await drop({spare});
    co_return std::nullopt;
  }
  taken_.add();
  co_return Assigned{std::move(spare->sandbox), std::move(spare->process), UniqueFd(spare->control->release())};
}

// --- making ---------------------------------------------------------------------------------------------------------

Async<void> SparePool::tend() {
  for (;;) {
    if (auto superfluous = take_superfluous(); !superfluous.empty()) {
      co_await drop(std::move(superfluous));
      continue;
    }
    const MonoTime now = deps_.system.host_clock.mono();
    const std::string* runtime = next_to_make();
    if (runtime != nullptr && now >= not_before_) {
      co_await make(*runtime);
    } else if (runtime != nullptr) {
      co_await deps_.system.host_clock.sleep_until(not_before_);
    } else if (const auto look = next_look()) {
      co_await wait_until(changed_, deps_.system.host_clock, *look);
    } else {
      co_await changed_.wait();
    }
  }
}

// The runtime with the fewest, that has too few.
const std::string* SparePool::next_to_make() const {
  const MonoTime now = deps_.system.host_clock.mono();
  const std::string* next = nullptr;
  std::size_t fewest = options_.per_runtime;
  for (const auto& [runtime, kind] : kinds_) {
    if (now >= kind.broken_until && now < kind.wanted + options_.idle_limit && kind.ready.size() < fewest) {
      fewest = kind.ready.size();
      next = &runtime;
    }
  }
  return next != nullptr && memory_is_short() ? nullptr : next;
}

// When something is due that nobody tells.
std::optional<MonoTime> SparePool::next_look() const {
  const MonoTime now = deps_.system.host_clock.mono();
  std::optional<MonoTime> next;
  for (const auto& [runtime, kind] : kinds_) {
    const bool wanted = now < kind.wanted + options_.idle_limit;
    if (!wanted && kind.ready.empty()) continue;
    MonoTime due = now + kMemoryLook;
    if (wanted) due = std::min(due, kind.wanted + options_.idle_limit);
    next = next ? std::min(*next, due) : due;
  }
  return next;
}

bool SparePool::memory_is_short() const {
  const auto text = deps_.system.files.read("/proc/meminfo");
  if (!text) return false;
  const auto kibibytes = [&](std::string_view name) {
    const std::size_t at = text->find(name);
    std::uint64_t value = 0;
    if (at == std::string::npos) return value;
    const std::size_t digits = text->find_first_of("0123456789", at + name.size());
    if (digits != std::string::npos) std::from_chars(text->data() + digits, text->data() + text->size(), value);
    return value;
  };
  const std::uint64_t total = kibibytes("MemTotal:"), available = kibibytes("MemAvailable:");
  return static_cast<double>(available) < static_cast<double>(total) * options_.memory_free_min;
}

std::vector<std::shared_ptr<SparePool::Spare>> SparePool::take_superfluous() {
  const MonoTime now = deps_.system.host_clock.mono();
  std::vector<std::shared_ptr<Spare>> superfluous;
  const bool any = std::ranges::any_of(kinds_, [](const auto& each) { return !each.second.ready.empty(); });
  const bool memory_short = any && memory_is_short();
  for (auto& [runtime, kind] : kinds_) {
    if (!memory_short && now < kind.wanted + options_.idle_limit) continue;
    for (auto& spare : std::exchange(kind.ready, {})) superfluous.push_back(std::move(spare));
  }
  return superfluous;
}

Async<void> SparePool::drop(std::vector<std::shared_ptr<Spare>> spares) {
  for (const auto& spare : spares) {
    if (spare->control) spare->control->cancel();
    spare->process.reset();
    if (spare->sandbox) co_await spare->sandbox->destroy();
  }
}

Async<void> SparePool::make(std::string runtime) {
  std::shared_ptr<Spare> spare = co_await boot(runtime);
  Kind& kind = kinds_[runtime];
  if (spare == nullptr) {
    kind.broken_until = deps_.system.host_clock.mono() + kBrokenFor;
    co_return;
  }
  made_.add();
  tasks_.spawn("spare", watch(runtime, spare));
  kind.ready.push_back(std::move(spare));
}

// Null when there can be none; why is logged.
Async<std::shared_ptr<SparePool::Spare>> SparePool::boot(std::string runtime) {
  const auto failed = [&](std::string_view why) {
    deps_.log.warn("spare_failed", {{"runtime", runtime}, {"reason", why}});
    return nullptr;
  };
  auto interpreter = deps_.runtimes.find(runtime);
  if (!interpreter) co_return nullptr;
  auto program = make_waiting_program(runtime, *interpreter);
  if (!program) co_return nullptr;
  sandbox::SandboxSpec spec = deps_.sandbox_spec(runtime, *interpreter);
  spec.name = fmt::format("spare-{}", ++last_number_);
  spec.provisional = true;
  auto made = co_await deps_.make_sandbox(std::move(spec));
  if (!made) co_return failed(made.error().detail);
  auto spare = std::make_shared<Spare>();
  spare->sandbox = std::move(*made);
  spare->program = std::move(*program);
  auto started = co_await spare->sandbox->start(spare->program);
  if (!started) co_return failed(started.error().detail);
  spare->process = std::move(*started);
  UniqueFd control = spare->process->take_control();
  if (!control) co_return failed("no control socket");
  spare->control.emplace(deps_.system.loop.get_executor(), control.release());
  bool ready = false;
  const auto wait_ready = [](std::shared_ptr<Spare> waited, bool* is_ready) -> Async<void> {
    *is_ready = co_await Spare::readable(std::move(waited));
  };
  co_await either(wait_ready(spare, &ready),
                  deps_.system.host_clock.sleep_until(deps_.system.host_clock.mono() + options_.boot_limit));
  if (!ready) {
    co_await drop({spare});
    co_return failed("the bootstrap does not say that it is ready");
  }
  co_return spare;
}

// Ends when the spare is taken, dropped, or has ended by itself.
Async<void> SparePool::watch(std::string runtime, std::shared_ptr<Spare> spare) {
  co_await Spare::readable(spare);
  Kind& kind = kinds_[runtime];
  if (std::erase(kind.ready, spare) == 0) co_return;
  deps_.log.warn("spare_ended", {{"runtime", runtime}});
  kind.broken_until = deps_.system.host_clock.mono() + kBrokenFor;
  co_await drop({std::move(spare)});
}

}  // namespace lambdad::execution
