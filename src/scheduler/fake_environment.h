/// An environment for tests of the scheduler: behaves like a runtime, without a sandbox.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "execution/environment.h"
#include "system/clock.h"

namespace lambdad::scheduler {

/// What the environments of one test do and what happened to them.
struct FakeRuntime {
  Duration init{};    ///< time Init takes
  Duration work{};    ///< time an invocation takes
  Duration settle{};  ///< time between the answer and the next `next`
  int made = 0;
  int shut_down = 0;
  int frozen = 0;
  int invocations = 0;
  int running = 0;
  int running_max = 0;
  int ahead = 0;  ///< invocations in environments of provisioned concurrency
  bool fail_to_make = false;
  bool fail_init = false;
  std::vector<std::weak_ptr<execution::Environment>> environments;  ///< in the order they were made
  bool crash = false;                                               ///< invocations end the process
};

class FakeEnvironment final : public execution::Environment, public std::enable_shared_from_this<FakeEnvironment> {
 public:
  FakeEnvironment(Loop& loop, Clock& clock, FakeRuntime& runtime, ports::FunctionVersionPtr function, int number)
      : clock_(clock), runtime_(runtime), function_(std::move(function)), number_(number), tasks_(loop) {}

  Async<void> initialise() override {
    state_ = State::kBusy;
    co_await clock_.sleep_for(runtime_.init);
    initialised_ = !runtime_.fail_init;
    state_ = State::kReady;
  }

  /// Answers with the number of this environment.
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest) override {
    LD_CHECK(available(), "invoked while not available");
    state_ = State::kBusy;
    ++runtime_.invocations;
    runtime_.running_max = std::max(runtime_.running_max, ++runtime_.running);
    co_await clock_.sleep_for(runtime_.work);
    --runtime_.running;
    initialised_ = !runtime_.crash;
    if (function_->initialization_type != "on-demand") ++runtime_.ahead;
    ports::InvocationOutcome outcome;
    outcome.kind = ports::InvocationOutcome::Kind::kSuccess;
    outcome.payload = std::to_string(number_);
    if (runtime_.settle > Duration::zero()) {
      state_ = State::kSettling;
      tasks_.spawn("fake settle", become_ready());
    } else {
      state_ = State::kReady;
    }
    co_return outcome;
  }

  bool initialised() const override { return initialised_; }
  bool available() const override { return state_ == State::kReady; }
  bool settling() const override { return state_ == State::kSettling; }
  void on_available(std::function<void()> callback) override { on_available_ = std::move(callback); }
  /// The process ends by itself, between invocations.
  void end() {
    initialised_ = false;
    if (on_available_) on_available_();
  }
  void freeze() override { ++runtime_.frozen; }
  Async<void> shutdown() override {
    ++runtime_.shut_down;
    co_await tasks_.stop();
  }
  const ports::FunctionVersionPtr& function() const override { return function_; }

 private:
  enum class State { kReady, kBusy, kSettling };
  Async<void> become_ready() {
    co_await clock_.sleep_for(runtime_.settle);
    state_ = State::kReady;
    if (on_available_) on_available_();
  }
  Clock& clock_;
  FakeRuntime& runtime_;
  ports::FunctionVersionPtr function_;
  int number_;
  State state_ = State::kReady;
  bool initialised_ = false;
  std::function<void()> on_available_;
  TaskGroup tasks_;
};

/// Makes FakeEnvironments numbered from 1; `runtime` and `clock` outlive them.
inline execution::EnvironmentFactory fake_factory(Loop& loop, Clock& clock, FakeRuntime& runtime) {
  return [&loop, &clock,
          &runtime](ports::FunctionVersionPtr function) -> Async<Result<std::shared_ptr<execution::Environment>>> {
    if (runtime.fail_to_make) co_return fail(Errc::kUnavailable, "no room");
    ++runtime.made;
    auto made = std::make_shared<FakeEnvironment>(loop, clock, runtime, std::move(function), runtime.made);
    runtime.environments.push_back(made);
    co_return made;
  };
}

}  // namespace lambdad::scheduler
