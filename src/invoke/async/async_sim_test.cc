/// The asynchronous plane under faults, on virtual time, from one seed per run.
///
/// Workload: events for a few functions with settings of their own, whose attempts succeed, fail, are throttled or hit
/// errors of the platform as the seed has it. Faults: the process dies between any two steps that others can see (a
/// change on disk, the begin and end of an attempt, a delivery before and after its effect), with or without the power
/// that kept unsynced writes; the disk is full or fails for a while; targets are unreachable or take a message and
/// fail to say so; a restart finds another time of day.
///
/// Checker: every accepted event ends exactly once in one of {succeeded, given up for a reason that AWS names}, and
/// every destination and dead-letter queue has been told so; attempts and ends are those that the reference model below
/// allows, never early, and not late unless something was wrong; a repetition has a crash (or a lost answer) before it.
///
/// LAMBDAD_SIM_SEEDS=N runs N seeds (1,000 without), LAMBDAD_SIM_SEED=S the one.
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/json.h"
#include "invoke/async/async_plane.h"
#include "store/sim_disk_testing.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

using Kind = ports::InvocationOutcome::Kind;

// --- the reference model --------------------------------------------------------------------------------------------
// Written from the rules, not from the code: reference "Asynchronous invocation", retry policy.

struct ModelState {
  int runs = 0;
  int throttled_in_a_row = 0;
  WallTime due;
  auto operator<=>(const ModelState&) const = default;
};

struct ModelEnd {
  std::string condition;  ///< "Success" or as AWS names it
  int runs = 0;
  auto operator<=>(const ModelEnd&) const = default;
};

struct ModelStep {
  std::optional<ModelState> again;
  std::optional<ModelEnd> end;
};

struct FunctionSettings {
  int retries = 2;
  Duration age = 6h;
  std::string on_success, on_failure, dead_letter;
};

// What follows from an attempt that ended at `now`.
ModelStep model_after(ModelState state, Kind outcome, const FunctionSettings& settings, WallTime accepted,
                      bool reserved_is_zero, WallTime now) {
  const auto next = [&](Duration pause) -> ModelStep {
    if (now + pause - accepted > settings.age) return {.end = ModelEnd{"EventAgeExceeded", state.runs}};
    state.due = now + pause;
    return {.again = state};
  };
  if (outcome == Kind::kThrottled || outcome == Kind::kSystemError) {
    Duration pause = 1s;
    for (int i = 0; i < state.throttled_in_a_row && pause < 300s; ++i) pause *= 2;
    ++state.throttled_in_a_row;
    return next(std::min<Duration>(pause, 300s));
  }
  ++state.runs;
  if (outcome == Kind::kSuccess) return {.end = ModelEnd{"Success", state.runs}};
  state.throttled_in_a_row = 0;
  if (reserved_is_zero) return {.end = ModelEnd{"ZeroReservedConcurrency", state.runs}};
  if (state.runs > settings.retries) return {.end = ModelEnd{"RetriesExhausted", state.runs}};
  return next(state.runs == 1 ? 60s : 120s);
}

// --- the simulated world --------------------------------------------------------------------------------------------

/// AWS's clock, whose time of day may differ after a restart.
struct ShiftedClock final : Clock {
  explicit ShiftedClock(SimClock& c) : inner(c) {}
  MonoTime mono() const override { return inner.mono(); }
  WallTime wall() const override { return inner.wall() + shift; }
  Async<void> sleep_until(MonoTime when) override { return inner.sleep_until(when); }
  SimClock& inner;
  Duration shift{};
};

struct Span {
  MonoTime from, to;
};

/// What the checker must see.
enum class Defect {
  kNone,
  kNoSync,           ///< the store acknowledges what is not on disk
  kOneRetryMore,     ///< events are attempted more often than configured
  kEarlyRetries,     ///< retries come a second too early
  kForgetfulTarget,  ///< deliveries are sometimes counted as made and are not
};

class World {
 public:
  explicit World(std::uint64_t seed, Defect defect = Defect::kNone)
      : random_(seed), sim_(seed), clock_(sim_.clock()), workload_(sim_.loop()), defect_(defect) {
    roomy_ = random_.below(2) == 0;
    if (!roomy_) {
      limits_.lanes = {.running_max = 4,
                       .running_hard_max = 8,
                       .running_per_function_max = 2,
                       .head_max = 1 + random_.below(4),
                       .events_in_memory_max = 6,
                       .payload_memory_max = 4000};
      limits_.outbox = {.running_max = 2, .head_max = 2, .head_bytes_max = 4000};
    }
    make_functions();
    disk_.before_change = [this](std::string_view what) { return on_change(what); };
  }

  /// Empty when everything is as it must be.
  std::vector<std::string> run() {
    open();
    const Duration length = std::chrono::seconds(60 + random_.below(3600));
    const std::size_t events = 5 + random_.below(40);
    for (std::size_t i = 0; i < events; ++i) {
      workload_.spawn("send", send(static_cast<int>(i), random_duration(length)));
    }
    for (std::size_t i = random_.below(3); i > 0; --i)
      workload_.spawn("disk trouble", disk_trouble(random_duration(length)));
    for (std::size_t i = random_.below(2); i > 0; --i) workload_.spawn("zero", zero_reserved(random_duration(length)));
    crashes_left_ = static_cast<int>(random_.below(5));
    arm_crash();
    const MonoTime end = sim_.now() + length + 30min;
    while (plane_ && sim_.now() < end) {
      sim_.run_until([this] { return dead_; }, end - sim_.now());
      if (!dead_) break;
      restart();
    }
    if (!plane_) {
      sim_.run(workload_.stop());
      return flaws_;
    }
    // No more faults; whatever waits, and however long, ends now.
    crashes_left_ = 0;
    crash_at_.reset();
    targets_fail_ = false;
    sim_.run(workload_.drain());
    sim_.run_for(40h);
    if (plane_->size() != 0) flaw("{} events have not ended", plane_->size());
    read_dead();
    close();
    check();
    return flaws_;
  }

  std::size_t attempts() const { return attempts_made_; }
  int lives() const { return life_; }
  std::size_t delivered() const { return deliveries_made_; }

 private:
  struct AttemptSeen {
    WallTime begin;
    std::optional<WallTime> end;  ///< absent: the process died meanwhile
    MonoTime mono;
    Kind outcome = Kind::kSuccess;
    int life = 0;
    bool reserved_is_zero = false;  ///< at its end
  };
  struct DeliverySeen {
    std::string target, body, condition;  ///< condition: of a record; empty for a dead letter
    int count = 0;
    std::string error_code;
    int life = 0;
    bool answer_lost = false;
  };
  struct Sent {
    std::string function;
    std::string payload;
    WallTime at;
    MonoTime mono;
    int life = 0;
    enum class Answer { kAccepted, kRefused, kUnknown } answer = Answer::kUnknown;
    std::vector<AttemptSeen> attempts;
    std::vector<DeliverySeen> deliveries;
  };
  struct Dead {
    std::string condition;
    int runs = 0;
    WallTime ended;
  };

  // --- what the plane talks to ---

  struct Catalog final : ports::FunctionCatalog {
    explicit Catalog(World& w) : world(w) {}
    std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& f) override {
      ports::FunctionVersion version;
      version.name = f.name;
      version.dead_letter_arn = world.functions_.at(f.name).dead_letter;
      return std::make_shared<const ports::FunctionVersion>(std::move(version));
    }
    std::optional<int> reserved_concurrency(const ports::FunctionRef& f) override {
      return world.zero_.contains(f.name) ? std::optional(0) : std::nullopt;
    }
    int reserved_concurrency_total(const std::string&, const std::string&) override { return 0; }
    ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef& f) override {
      const FunctionSettings& settings = world.functions_.at(f.name);
      const int more = world.defect_ == Defect::kOneRetryMore ? 1 : 0;
      return {settings.retries + more, settings.age, settings.on_success, settings.on_failure};
    }
    void on_change(std::function<void(const ports::FunctionRef&)>) override {}
    World& world;
  };

  struct Invoker final : ports::FunctionInvoker {
    explicit Invoker(World& w) : world(w) {}
    Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override {
      const int life = world.life_;
      world.step();
      if (world.dead_) co_return ports::InvocationOutcome{};
      Sent& sent = world.sent_.at(request.request_id);
      if (world.zero_.contains(sent.function)) world.flaw("{} runs with no concurrency at all", request.request_id);
      if (request.payload != sent.payload) world.flaw("{} runs with another payload", request.request_id);
      const std::size_t index = sent.attempts.size();
      sent.attempts.push_back({.begin = world.clock_.wall(), .mono = world.sim_.now(), .life = life});
      ++world.attempts_made_;
      const Kind kind = world.next_outcome();
      const bool ran = kind == Kind::kSuccess || kind == Kind::kFunctionError;
      co_await world.sim_.clock().sleep_for(ran ? world.random_duration(20s) : Duration::zero());
      if (world.life_ == life) world.step();
      if (world.dead_ || world.life_ != life) co_return ports::InvocationOutcome{};
      AttemptSeen& attempt = world.sent_.at(request.request_id).attempts[index];
      attempt.end = world.clock_.wall() + (world.defect_ == Defect::kEarlyRetries ? Duration(1s) : Duration::zero());
      attempt.outcome = kind;
      attempt.reserved_is_zero = world.zero_.contains(request.function.name);
      ports::InvocationOutcome outcome;
      outcome.kind = kind;
      outcome.executed_version = "$LATEST";
      outcome.payload = kind == Kind::kFunctionError ? R"({"errorMessage":"no"})" : "\"done\"";
      co_return outcome;
    }
    Async<Result<void>> enqueue(ports::InvocationRequest) override { co_return Result<void>(); }
    World& world;
  };

  struct Target final : ports::Target {
    explicit Target(World& w) : world(w) {}
    Async<Result<void>> deliver(Arn target, ports::TargetMessage message) override {
      world.step();
      if (world.dead_) co_return fail(Errc::kUnavailable, "dead");
      const std::uint64_t fate = world.targets_fail_ ? world.random_.below(8) : 7;
      if (fate == 0) co_return fail(Errc::kUnavailable, "not now");
      if (world.defect_ != Defect::kForgetfulTarget || fate != 2) world.take(target.str(), message, fate == 1);
      world.step();
      if (world.dead_ || fate == 1) co_return fail(Errc::kUnavailable, "the answer is lost");
      co_return Result<void>();
    }
    World& world;
  };

  void take(const std::string& target, const ports::TargetMessage& message, bool answer_lost) {
    DeliverySeen seen{.target = target, .body = message.body, .life = life_, .answer_lost = answer_lost};
    std::string request_id;
    if (message.record) {
      const auto document = json::parse(message.body);
      if (!document) return flaw("a record is no JSON: {}", message.body);
      const json::Value& context = *document->find("requestContext");
      request_id = *context.find("requestId")->if_string();
      seen.condition = *context.find("condition")->if_string();
      seen.count = static_cast<int>(*context.find("approximateInvokeCount")->as_int64());
      if (json::serialize(*document->find("requestPayload")) != sent_.at(request_id).payload) {
        flaw("the record of {} has another payload", request_id);
      }
    } else {
      request_id = message.attributes.at("RequestID").value;
      seen.error_code = message.attributes.at("ErrorCode").value;
      if (message.body != sent_.at(request_id).payload) flaw("the dead letter of {} has another payload", request_id);
    }
    sent_.at(request_id).deliveries.push_back(std::move(seen));
    ++deliveries_made_;
  }

  // --- faults ---

  // Something that others can see happens now; the process may be dead before it.
  void step() {
    if (dead_ || !crash_at_ || ++steps_ < *crash_at_) return;
    dead_ = true;
  }
  void arm_crash() {
    crash_at_.reset();
    if (crashes_left_ <= 0) return;
    --crashes_left_;
    steps_ = 0;
    crash_at_ = 1 + random_.below(400);
  }
  store::SimDisk::Answer on_change(std::string_view what) {
    using Answer = store::SimDisk::Answer;
    step();
    if (dead_) return Answer::kError;
    if (disk_full_ && (what == "write" || what == "truncate")) return Answer::kFull;
    if (sync_fails_ && what == "sync") return Answer::kError;
    return Answer::kGo;
  }
  Async<void> disk_trouble(Duration after) {
    co_await sim_.clock().sleep_for(after);
    bool& kind = random_.below(2) == 0 ? disk_full_ : sync_fails_;
    kind = true;
    const MonoTime from = sim_.now();
    co_await sim_.clock().sleep_for(random_duration(5min));
    kind = false;
    // What waits for the disk looks again after ten seconds at the latest.
    troubles_.push_back({from, sim_.now() + 11s});
  }
  Async<void> zero_reserved(Duration after) {
    co_await sim_.clock().sleep_for(after);
    const std::string name = fmt::format("f{}", random_.below(functions_.size()));
    zero_.insert(name);
    zero_spans_.push_back({sim_.now(), sim_.now()});
    const std::size_t mine = zero_spans_.size() - 1;
    co_await sim_.clock().sleep_for(random_duration(10min));
    zero_.erase(name);
    zero_spans_[mine].to = sim_.now();
  }

  // --- life and death ---

  void open() {
    for (;;) {
      auto store = EventStore::open(
          sim_.loop(), "/async.db",
          {.durability = defect_ == Defect::kNoSync ? store::Durability::kEphemeral : store::Durability::kFull,
           .threads = store::Threads::kLoop,
           .retention = {}});
      if (store) {
        plane_ = std::make_unique<AsyncPlane>(system_, null_logger(), metrics_, std::move(*store), invoker_, catalog_,
                                              target_, limits_);
        if (auto started = plane_->start(); started) return;
        close();
      }
      if (dead_) {
        die();
      } else if (!disk_full_ && !sync_fails_) {
        return flaw("the store cannot be opened: {}", store ? "events cannot be loaded" : store.error().detail);
      } else {
        // A full disk; somebody starts it again.
        sim_.run_for(10s);
      }
    }
  }
  void close() {
    sim_.run(plane_->stop());
    plane_.reset();
    sim_.settle();
  }
  void die() {
    if (random_.below(2) == 0) disk_.lose_power(random_);
    ++life_;
    const MonoTime from = sim_.now();
    sim_.run_for(random_duration(random_.below(8) == 0 ? Duration(8h) : Duration(2min)));
    if (random_.below(4) == 0) clock_.shift += random_duration(2h) - Duration(1h);
    troubles_.push_back({from, sim_.now() + 11s});
    dead_ = false;
    arm_crash();
  }
  void restart() {
    close();
    die();
    open();
  }

  // --- workload ---

  void make_functions() {
    const std::size_t count = 1 + random_.below(4);
    for (std::size_t i = 0; i < count; ++i) {
      FunctionSettings settings;
      settings.retries = static_cast<int>(random_.below(3));
      constexpr Duration kAges[] = {60s, 90s, 200s, 1h, 6h};
      settings.age = kAges[random_.below(std::size(kAges))];
      const auto arn = [&](const char* what) {
        return random_.below(2) == 0 ? std::string() : fmt::format("arn:aws:sqs:eu-west-1:111122223333:{}-{}", what, i);
      };
      settings.on_success = arn("success");
      settings.on_failure = arn("failure");
      settings.dead_letter = arn("dlq");
      functions_.emplace(fmt::format("f{}", i), settings);
    }
  }
  Kind next_outcome() {
    const std::uint64_t draw = random_.below(10);
    if (draw < 4) return Kind::kSuccess;
    if (draw < 8) return Kind::kFunctionError;
    return draw == 8 ? Kind::kThrottled : Kind::kSystemError;
  }
  Async<void> send(int number, Duration after) {
    co_await sim_.clock().sleep_for(after);
    if (!plane_ || dead_) co_return;  // nobody listens
    const std::string id = fmt::format("e{}", number);
    Sent& sent = sent_[id];
    sent.function = fmt::format("f{}", random_.below(functions_.size()));
    sent.payload = fmt::format(R"({{"n":{},"s":"{}"}})", number,
                               std::string(random_.below(4) == 0 ? 2500 : random_.below(20), 'x'));
    sent.at = from_epoch_ms(to_epoch_ms(clock_.wall()));
    sent.mono = sim_.now();
    sent.life = life_;
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", sent.function, ""};
    request.request_id = id;
    request.payload = sent.payload;
    auto accepted = co_await plane_->accept(std::move(request));
    Sent& now = sent_.at(id);
    if (dead_ || life_ != now.life) co_return;  // the caller never hears of it
    now.answer = accepted ? Sent::Answer::kAccepted : Sent::Answer::kRefused;
  }
  Duration random_duration(Duration below) {
    return std::chrono::milliseconds(random_.below(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(below).count())));
  }

  // --- the checker ---

  template <class... Args>
  void flaw(fmt::format_string<Args...> format, Args&&... args) {
    flaws_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void read_dead() {
    EventStore::Filter filter{.state = EventStore::Filter::State::kDead};
    auto page = sim_.run(plane_->list(filter));
    LD_CHECK(page.has_value(), "{}", page.error().detail);
    for (const auto& shown : page->events) {
      if (!dead_events_.emplace(shown.event.request_id, Dead{shown.condition, shown.event.progress.runs, *shown.ended})
               .second) {
        flaw("{} is there twice", shown.event.request_id);
      }
    }
  }

  bool troubled(MonoTime from, MonoTime to) const {
    return std::ranges::any_of(troubles_, [&](const Span& span) { return span.from <= to && from <= span.to; });
  }

  void check() {
    for (const auto& [id, sent] : sent_) {
      const bool traces = !sent.attempts.empty() || !sent.deliveries.empty() || dead_events_.contains(id);
      // Nothing was promised, and nothing came of it. An accepted event of which nothing is seen is lost.
      if (sent.answer != Sent::Answer::kAccepted && !traces) continue;
      check_event(id, sent);
    }
  }

  void check_event(const std::string& id, const Sent& sent) {
    const FunctionSettings& settings = functions_.at(sent.function);
    std::set<ModelState> states{{.due = sent.at}};
    std::set<ModelEnd> ends;
    int life = sent.life;
    MonoTime before = sent.mono;
    for (std::size_t i = 0; i < sent.attempts.size(); ++i) {
      const AttemptSeen& attempt = sent.attempts[i];
      // What had ended may only go on after a crash, which `states` then holds.
      std::set<ModelState> possible;
      for (const ModelState& state : states) {
        if (attempt.begin < state.due) continue;
        if (attempt.begin - sent.at > settings.age) continue;
        const bool undisturbed = roomy_ && life == attempt.life && !troubled(before, attempt.mono);
        if (undisturbed && attempt.begin - state.due > 5ms) continue;
        possible.insert(state);
      }
      if (possible.empty()) {
        return flaw("{}: attempt {} at {} is not one that the model allows{}", id, i + 1,
                    format_iso8601_ms(attempt.begin), story(sent));
      }
      states.clear();
      ends.clear();
      const int next_life = i + 1 < sent.attempts.size() ? sent.attempts[i + 1].life : life_;
      const bool died_after = next_life != attempt.life;
      for (const ModelState& state : possible) {
        if (died_after) states.insert(state);  // what came of the attempt may not have been stored
        if (!attempt.end) continue;
        const ModelStep step =
            model_after(state, attempt.outcome, settings, sent.at, attempt.reserved_is_zero, *attempt.end);
        if (step.again) states.insert(*step.again);
        if (step.end) ends.insert(*step.end);
      }
      life = attempt.life;
      before = attempt.mono;
    }
    const auto dead = dead_events_.find(id);
    if (dead != dead_events_.end()) {
      // Given up when it was due, without another attempt.
      for (const ModelState& state : states) {
        if (dead->second.ended < state.due) continue;
        if (dead->second.ended - sent.at > settings.age) ends.insert({"EventAgeExceeded", state.runs});
        if (!zero_spans_.empty()) ends.insert({"ZeroReservedConcurrency", state.runs});
      }
    }
    const ModelEnd end =
        dead == dead_events_.end() ? ModelEnd{"Success", -1} : ModelEnd{dead->second.condition, dead->second.runs};
    const bool known = std::ranges::any_of(ends, [&](const ModelEnd& each) {
      return each.condition == end.condition && (end.runs < 0 || each.runs == end.runs);
    });
    if (!known) {
      return flaw("{} ended as {} after {} runs, which the model does not allow{}", id, end.condition, end.runs,
                  story(sent));
    }
    check_deliveries(id, sent, settings, end);
  }

  void check_deliveries(const std::string& id, const Sent& sent, const FunctionSettings& settings,
                        const ModelEnd& end) {
    const bool success = end.condition == "Success";
    std::map<std::string, int> expected;
    if (success && !settings.on_success.empty()) expected[settings.on_success] = 0;
    if (!success && !settings.on_failure.empty()) expected[settings.on_failure] = 0;
    if (!success && !settings.dead_letter.empty()) expected[settings.dead_letter] = 0;
    std::map<std::string, const DeliverySeen*> last;
    for (const DeliverySeen& seen : sent.deliveries) {
      const auto place = expected.find(seen.target);
      if (place == expected.end()) {
        flaw("{} ended as {} and was delivered to {}{}", id, end.condition, seen.target, story(sent));
        continue;
      }
      const bool is_record = !seen.condition.empty();
      if (is_record && (seen.condition != end.condition || (end.runs >= 0 && seen.count != end.runs))) {
        flaw("{}: the record says {} after {} runs, the end was {} after {}", id, seen.condition, seen.count,
             end.condition, end.runs);
      }
      if (place->second++ > 0) {
        const DeliverySeen& earlier = *last[seen.target];
        if (earlier.life == seen.life && !earlier.answer_lost) {
          flaw("{} was delivered to {} again for no reason{}", id, seen.target, story(sent));
        }
      }
      last[seen.target] = &seen;
    }
    for (const auto& [target, count] : expected) {
      if (count == 0) flaw("{} ended as {} and {} was not told{}", id, end.condition, target, story(sent));
    }
  }

  std::string story(const Sent& sent) const {
    std::string out = fmt::format("\n  {} sent {} life {} answer {}", sent.function, format_iso8601_ms(sent.at),
                                  sent.life, static_cast<int>(sent.answer));
    const FunctionSettings& settings = functions_.at(sent.function);
    out += fmt::format(" retries {} age {} s", settings.retries, to_seconds(settings.age));
    for (const AttemptSeen& attempt : sent.attempts) {
      out += fmt::format("\n  attempt {} - {} life {} outcome {}", format_iso8601_ms(attempt.begin),
                         attempt.end ? format_iso8601_ms(*attempt.end) : "died", attempt.life,
                         static_cast<int>(attempt.outcome));
    }
    for (const DeliverySeen& seen : sent.deliveries) {
      out += fmt::format("\n  delivered {} {} {} life {}", seen.target, seen.condition, seen.count, seen.life);
    }
    return out;
  }

  SeededRandom random_;
  SimSystem sim_;
  store::SimDisk disk_;
  ShiftedClock clock_;
  System system_{sim_.loop(), clock_, clock_, sim_.activity(), sim_.random(), sim_.files(), sim_.workers()};
  TaskGroup workload_;
  Metrics metrics_;
  Catalog catalog_{*this};
  Invoker invoker_{*this};
  Target target_{*this};
  AsyncPlane::Limits limits_;
  std::unique_ptr<AsyncPlane> plane_;

  const Defect defect_;
  bool roomy_ = false;
  bool dead_ = false;
  int life_ = 0;
  int crashes_left_ = 0;
  std::optional<std::uint64_t> crash_at_;
  std::uint64_t steps_ = 0;
  bool disk_full_ = false;
  bool sync_fails_ = false;
  bool targets_fail_ = true;
  std::vector<Span> troubles_;
  std::set<std::string> zero_;
  std::vector<Span> zero_spans_;
  std::map<std::string, FunctionSettings> functions_;
  std::map<std::string, Sent> sent_;
  std::map<std::string, Dead> dead_events_;
  std::size_t attempts_made_ = 0;
  std::size_t deliveries_made_ = 0;
  std::vector<std::string> flaws_;
};

std::uint64_t number_in_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(AsyncSimulation, EveryAcceptedEventEndsExactlyOnceWhateverFails) {
  const bool one = std::getenv("LAMBDAD_SIM_SEED") != nullptr;
  const std::uint64_t first = one ? number_in_environment("LAMBDAD_SIM_SEED", 0) : test_seed();
  const std::uint64_t count = one ? 1 : number_in_environment("LAMBDAD_SIM_SEEDS", 1000);
  std::size_t attempts = 0, delivered = 0, crashes = 0;
  for (std::uint64_t seed = first; seed != first + count; ++seed) {
    World world(seed);
    const auto flaws = world.run();
    attempts += world.attempts();
    delivered += world.delivered();
    crashes += static_cast<std::size_t>(world.lives());
    for (const auto& flaw : flaws) ADD_FAILURE() << "LAMBDAD_SIM_SEED=" << seed << ": " << flaw;
    if (!flaws.empty()) return;
  }
  // A simulation in which nothing happens shows nothing.
  if (!one) {
    EXPECT_GT(attempts, count * 10);
    EXPECT_GT(delivered, count * 5);
    EXPECT_GT(crashes, count);
  }
  fmt::print("{} seeds: {} attempts, {} deliveries, {} crashes\n", count, attempts, delivered, crashes);
}

// A checker that sees nothing would pass everything.
TEST(AsyncSimulation, TheCheckerSeesDefects) {
  for (const Defect defect :
       {Defect::kNoSync, Defect::kOneRetryMore, Defect::kEarlyRetries, Defect::kForgetfulTarget}) {
    bool seen = false;
    for (std::uint64_t seed = test_seed(); !seen && seed != test_seed() + 200; ++seed) {
      seen = !World(seed, defect).run().empty();
    }
    EXPECT_TRUE(seen) << "defect " << static_cast<int>(defect) << " is not seen";
  }
}

}  // namespace
}  // namespace lambdad::invoke
