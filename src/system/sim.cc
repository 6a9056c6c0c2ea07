#include "system/sim.h"

#include <stdlib.h>

#include <filesystem>

namespace lambdad {

namespace {
constexpr MonoTime kMonoStart{1h};
constexpr std::uint64_t kTurnsPerMomentMax = 10'000'000;
}  // namespace

// --- SimClock -------------------------------------------------------------------------------------------------------

struct SimClock::Sleeper {
  explicit Sleeper(Loop& loop) : woken(loop) {}
  Notifier woken;
};

SimClock::SimClock(Loop& loop, WallTime start)
    : loop_(loop),
      now_ns_(kMonoStart.time_since_epoch().count()),
      wall_at_zero_(start - kMonoStart.time_since_epoch()) {}
SimClock::~SimClock() = default;

Async<void> SimClock::sleep_until(MonoTime when) {
  if (when <= mono()) {
    co_await asio::post(loop_.get_executor(), use_async);
    co_return;
  }
  Sleeper sleeper(loop_);
  const Key key{when, next_number_++};
  sleepers_.emplace(key, &sleeper);
  struct Leave {
    std::map<Key, Sleeper*>& sleepers;
    Key key;
    ~Leave() { sleepers.erase(key); }
  } leave{sleepers_, key};
  co_await sleeper.woken.wait();
}

std::optional<MonoTime> SimClock::next_timer() const {
  if (sleepers_.empty()) return std::nullopt;
  return sleepers_.begin()->first.first;
}

bool SimClock::wake_next() {
  if (sleepers_.empty()) return false;
  const auto [key, sleeper] = *sleepers_.begin();
  move_to(key.first);
  // Out at once: it must not be found again before its coroutine has run.
  sleepers_.erase(sleepers_.begin());
  sleeper->woken.notify_all();
  return true;
}

void SimClock::move_to(MonoTime when) {
  LD_CHECK(sleepers_.empty() || when <= sleepers_.begin()->first.first, "the time would jump over a sleeper");
  if (when > mono()) now_ns_.store(when.time_since_epoch().count(), std::memory_order_relaxed);
}

// --- SimSystem ------------------------------------------------------------------------------------------------------

SimSystem::SimSystem(std::uint64_t seed, SimOptions options)
    : clock_(loop_, options.start),
      activity_(loop_),
      offloaded_(loop_),
      random_(seed),
      workers_(loop_, options.worker_threads),
      system_{loop_, clock_, clock_, activity_, random_, files_, workers_},
      patience_(options.patience),
      began_(clock_.mono()) {}

SimSystem::~SimSystem() {
  if (!directory_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
}

const std::string& SimSystem::directory() {
  if (directory_.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "lambdad-sim-XXXXXX").string();
    LD_CHECK(::mkdtemp(pattern.data()) != nullptr, "mkdtemp {}", pattern);
    directory_ = pattern;
  }
  return directory_;
}

void SimSystem::settle() {
  const RealClock real(loop_);
  std::uint64_t turns = 0;
  std::optional<MonoTime> give_up;
  for (;;) {
    if (loop_.stopped()) loop_.restart();
    if (loop_.poll_one() > 0) {
      LD_CHECK(++turns < kTurnsPerMomentMax, "the loop ran {} handlers and the time could not move", turns);
      continue;
    }
    if (activity_.count() == 0 && offloaded_.count() == 0) return;
    if (!give_up) give_up = real.mono() + patience_;
    LD_CHECK(real.mono() < *give_up,
             "{} activities and {} pieces of other threads' work did not end in {} s of real time with {} sleepers on "
             "the virtual clock; is an Activity::Token held across a sleep?",
             activity_.count(), offloaded_.count(), to_seconds(patience_), clock_.sleepers());
    if (loop_.stopped()) loop_.restart();
    // Without outstanding work of its own the loop would return at once.
    const auto keep = asio::make_work_guard(loop_);
    loop_.run_one_for(10ms);
  }
}

void SimSystem::run_for(Duration duration) {
  const MonoTime target = clock_.mono() + duration;
  run_until([] { return false; }, duration);
  clock_.move_to(target);
}

bool SimSystem::run_until(const std::function<bool()>& condition, Duration at_most) {
  const MonoTime last = clock_.mono() + at_most;
  for (;;) {
    settle();
    if (condition()) return true;
    const auto next = clock_.next_timer();
    if (!next || *next > last) return false;
    clock_.wake_next();
  }
}

bool SimSystem::run_until_idle(Duration at_most) {
  return run_until([this] { return clock_.sleepers() == 0; }, at_most);
}

}  // namespace lambdad
