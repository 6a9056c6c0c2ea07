// Spares: which function one can become, when one is made and when it goes. On simulated time.
#include "execution/spares.h"

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "execution/process_spec.h"
#include "execution/sandbox_environment.h"
#include "execution/testing/fake_sandbox.h"
#include "system/processes.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using testing::FakeProgramPtr;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kPython = "/usr/bin/python3.11";
const Interpreter kInterpreter{.path = kPython, .version = "3.11.2", .prefix = "", .stands_in = false};

// A host with Python 3.11 and Node.js 20.
struct Host final : Processes {
  Result<std::string> capture(std::vector<std::string> argv, Duration) override {
    return argv[0] == kPython ? "Python 3.11.2" : "v20.20.2";
  }
  std::optional<FileStamp> stamp_executable(const std::string& path) override {
    if (path != kPython && path != "/usr/bin/node") return std::nullopt;
    return FileStamp{};
  }
  std::optional<std::string> resolve(const std::string& path) override { return path; }
};

ports::FunctionVersion function(std::map<std::string, std::string> environment = {}) {
  ports::FunctionVersion version;
  version.account = "111122223333";
  version.region = "eu-west-1";
  version.name = "f";
  version.version = "7";
  version.runtime = "python3.11";
  version.handler = "app.handler";
  version.environment = std::move(environment);
  return version;
}

sandbox::ProcessSpec program(std::map<std::string, std::string> environment = {}) {
  auto made = make_process_spec(function(std::move(environment)), kInterpreter,
                                {.log_stream = "stream",
                                 .runtime_api = "127.0.0.1:9001",
                                 .aws_endpoint = "http://127.0.0.1:4566",
                                 .access_key_id = "111122223333",
                                 .secret_access_key = "secret",
                                 .session_token = "token"});
  LD_CHECK(made, "{}", made.error().detail);
  return *made;
}

TEST(WaitingProgram, CanBecomeAFunctionThatDiffersInWhatIsReadLater) {
  const auto waiting = make_waiting_program("python3.11", kInterpreter);
  ASSERT_TRUE(waiting);
  EXPECT_TRUE(can_become(*waiting, program()));
  EXPECT_TRUE(can_become(*waiting, program({{"TABLE", "orders"}, {"PATH", "/opt/bin"}, {"HTTPS_PROXY", "http://p"}})));
}

TEST(WaitingProgram, CannotBecomeOneWhoseVariablesCountBeforeItsCodeRuns) {
  const auto waiting = make_waiting_program("python3.11", kInterpreter);
  ASSERT_TRUE(waiting);
  for (const char* name :
       {"PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "MALLOC_ARENA_MAX",
        "GLIBC_TUNABLES", "NODE_OPTIONS", "OPENSSL_CONF", "SSL_CERT_FILE", "RUBYOPT"}) {
    EXPECT_FALSE(can_become(*waiting, program({{name, "/opt/x"}}))) << name;
  }
  EXPECT_FALSE(can_become(*waiting, program({{"AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrapper"}})));
  EXPECT_FALSE(can_become(*waiting, program({{"LARGE", std::string(70'000, 'x')}})));
  const auto other = make_waiting_program("python3.12", {.path = kPython, .version = "3.11.2"});
  ASSERT_TRUE(other);
  EXPECT_FALSE(can_become(*other, program()));  // AWS_EXECUTION_ENV
}

TEST(WaitingProgram, OnlyRuntimesWithABootstrapThatWaitsHaveOne) {
  EXPECT_TRUE(make_waiting_program("nodejs20.x", {.path = "/usr/bin/node", .version = "20.20.2"}));
  EXPECT_FALSE(make_waiting_program("java17", {.path = "/usr/bin/java", .version = "17"}));
  EXPECT_FALSE(make_waiting_program("provided.al2023", {}));
}

TEST(WaitingProgram, KnowsNothingOfAFunction) {
  const auto waiting = make_waiting_program("python3.11", kInterpreter);
  ASSERT_TRUE(waiting);
  for (const auto& [name, value] : waiting->environment) {
    if (name.starts_with("AWS_") && name != "AWS_EXECUTION_ENV" && name != "AWS_XRAY_CONTEXT_MISSING" &&
        name != "AWS_LAMBDA_INITIALIZATION_TYPE" && name != "AWS_LAMBDA_FUNCTION_MEMORY_SIZE") {
      EXPECT_THAT(value, IsEmpty()) << name;
    }
  }
}

TEST(WaitingProgram, IsToldEveryVariable) {
  sandbox::ProcessSpec spec;
  spec.environment = {{"A", "1=2"}, {"B", ""}};
  EXPECT_EQ(message_to_waiting(spec), std::string("A=1=2\0B=\0\0", 10));
}

class SparesTest : public ::testing::Test {
 protected:
  SparesTest() {
    world_.programs[kPython] = [this](FakeProgramPtr p) { return wait(this, std::move(p)); };
  }
  ~SparesTest() override {
    if (pool_) sim_.run(pool_->stop());
    sim_.run(world_.reaper.drain());
  }

  SparePool& pool() {
    if (!pool_) {
      pool_.emplace(
          SparePool::Deps{
              .system = sim_.system(),
              .log = null_logger(),
              .metrics = metrics_,
              .make_sandbox = [this](sandbox::SandboxSpec spec) { return make_sandbox(this, std::move(spec)); },
              .runtimes = runtimes_,
              .sandbox_spec = [](const std::string&, const Interpreter&) { return sandbox::SandboxSpec{}; }},
          options_);
      pool_->start();
    }
    return *pool_;
  }
  static Async<Result<std::unique_ptr<sandbox::Sandbox>>> make_sandbox(SparesTest* self, sandbox::SandboxSpec spec) {
    EXPECT_TRUE(spec.provisional);
    ++self->sandboxes_;
    if (!self->sandboxes_can_be_made_) co_return fail(Errc::kUnavailable, "none");
    co_return std::make_unique<testing::FakeSandbox>(self->world_);
  }
  // The bootstrap.
  static Async<sandbox::ProcessExit> wait(SparesTest* self, FakeProgramPtr waiting) {
    self->waiting_.push_back(waiting);
    if (self->boot_takes_ > 0s) co_await self->sim_.clock().sleep_for(self->boot_takes_);
    (void)!::write(waiting->control.get(), "R", 1);
    Notifier never(self->sim_.loop());
    co_await never.wait();
    co_return sandbox::ProcessExit{};
  }
  std::optional<SparePool::Assigned> assign(std::map<std::string, std::string> environment = {}) {
    sandbox::SandboxSpec spec;
    spec.name = "env";
    return sim_.run(pool().assign("python3.11", spec, program(std::move(environment))));
  }
  std::size_t ready() { return pool().ready("python3.11"); }
  std::uint64_t count(const char* name) { return metrics_.counter(name, "").value(); }

  SimSystem sim_{test_seed()};
  testing::FakeWorld world_{.system = sim_.system(), .programs = {}, .history = {}};
  Metrics metrics_;
  Host host_;
  RuntimeCatalog runtimes_{sim_.files(), host_, {.directory = "/runtimes", .cache_file = "/nowhere/cache"}};
  SparePool::Options options_{.memory_free_min = 0};
  int sandboxes_ = 0;
  bool sandboxes_can_be_made_ = true;
  Duration boot_takes_ = 20ms;
  std::vector<FakeProgramPtr> waiting_;
  std::optional<SparePool> pool_;
};

TEST_F(SparesTest, NoneIsMadeBeforeARuntimeIsWanted) {
  pool();
  sim_.run_for(1h);
  EXPECT_EQ(sandboxes_, 0);
  pool().want("provided.al2023");
  pool().want("java17");
  sim_.run_for(1h);
  EXPECT_EQ(sandboxes_, 0);
}

TEST_F(SparesTest, AreMadeOneAfterTheOtherUntilThereAreEnough) {
  options_.per_runtime = 3;
  pool().want("python3.11");
  sim_.run_for(10ms);
  EXPECT_EQ(sandboxes_, 1);
  sim_.run_for(1min);
  EXPECT_EQ(ready(), 3u);
  EXPECT_EQ(sandboxes_, 3);
}

TEST_F(SparesTest, ATakenOneIsAssignedAndToldAndReplaced) {
  pool().want("python3.11");
  sim_.run_for(1min);
  ASSERT_EQ(ready(), 2u);
  auto spare = assign();
  ASSERT_TRUE(spare);
  EXPECT_THAT(world_.history, ::testing::Contains("assign env"));
  EXPECT_TRUE(spare->process->running());
  // The other end is what the oldest program holds.
  ASSERT_EQ(::write(spare->control.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(waiting_[0]->control.get(), &byte, 1), 1);
  EXPECT_EQ(ready(), 1u);
  sim_.run_for(10ms);
  EXPECT_EQ(sandboxes_, 2);  // the function that took it comes first
  sim_.run_for(1s);
  EXPECT_EQ(ready(), 2u);
  EXPECT_EQ(count("lambdad_spares_taken_total"), 1u);
}

TEST_F(SparesTest, WhatCannotBeServedGetsNone) {
  EXPECT_FALSE(assign());  // none there yet
  EXPECT_EQ(count("lambdad_spares_missed_total"), 1u);
  sim_.run_for(1min);
  EXPECT_FALSE(assign({{"PYTHONPATH", "/opt/lib"}}));
  EXPECT_EQ(ready(), 2u);
  EXPECT_EQ(count("lambdad_spares_missed_total"), 1u);
}

TEST_F(SparesTest, OneThatCannotBeAssignedIsDestroyed) {
  pool().want("python3.11");
  sim_.run_for(1min);
  world_.assignable = false;
  EXPECT_FALSE(assign());
  EXPECT_TRUE(waiting_[0]->exit);
}

TEST_F(SparesTest, IdleOnesGoAndComeBackWithTheNextUse) {
  pool().want("python3.11");
  sim_.run_for(9min);
  EXPECT_EQ(ready(), 2u);
  sim_.run_for(2min);
  EXPECT_EQ(ready(), 0u);
  EXPECT_TRUE(waiting_[0]->exit);
  const int made = sandboxes_;
  sim_.run_for(1h);
  EXPECT_EQ(sandboxes_, made);
  EXPECT_FALSE(assign());
  sim_.run_for(1min);
  EXPECT_EQ(ready(), 2u);
}

TEST_F(SparesTest, ThereAreNoneWhileMemoryIsShort) {
  options_.memory_free_min = 1.1;  // no machine has that
  pool().want("python3.11");
  sim_.run_for(1h);
  EXPECT_EQ(sandboxes_, 0);
}

TEST_F(SparesTest, ARuntimeWhoseSpareFailsIsLeftAloneForAWhile) {
  sandboxes_can_be_made_ = false;
  pool().want("python3.11");
  sim_.run_for(4min);
  EXPECT_EQ(sandboxes_, 1);
  sandboxes_can_be_made_ = true;
  sim_.run_for(2min);
  EXPECT_EQ(ready(), 2u);
}

TEST_F(SparesTest, OneThatDoesNotBecomeReadyIsGivenUp) {
  boot_takes_ = 1h;
  pool().want("python3.11");
  sim_.run_for(1min);
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(sandboxes_, 1);
  ASSERT_EQ(waiting_.size(), 1u);
  EXPECT_TRUE(waiting_[0]->exit);
}

TEST_F(SparesTest, OneThatEndsByItselfIsNotGivenToAnybody) {
  pool().want("python3.11");
  sim_.run_for(1min);
  testing::FakeProcess::kill_program(world_, waiting_[0]);
  sim_.run_for(1s);
  EXPECT_EQ(ready(), 1u);
  EXPECT_TRUE(assign());
}

TEST_F(SparesTest, ZeroSwitchesThemOff) {
  options_.per_runtime = 0;
  pool().want("python3.11");
  EXPECT_FALSE(assign());
  sim_.run_for(1h);
  EXPECT_EQ(sandboxes_, 0);
}

// --- environments ---------------------------------------------------------------------------------------------------

struct NoLines final : ports::FunctionLogSink {
  void append(const ports::FunctionVersion&, const std::string&, WallTime, std::string) override {}
};

class EnvironmentWithSpare : public SparesTest {
 protected:
  EnvironmentWithSpare() {
    world_.programs[kPython] = [this](FakeProgramPtr p) { return python(this, std::move(p)); };
  }
  ~EnvironmentWithSpare() override {
    if (environment_) sim_.run(environment_->shutdown());
  }

  void create() {
    pool().want("python3.11");
    sim_.run_for(1min);
    EnvironmentDeps deps{
        .system = sim_.system(),
        .log = null_logger(),
        .logs = lines_,
        .make_sandbox = [this](sandbox::SandboxSpec spec) { return make_ordinary(this, std::move(spec)); },
        .runtimes = runtimes_,
        .code_directory = [this](ports::FunctionVersionPtr) { return code(this); },
        .aws_endpoint = [](http::Request) -> Async<http::Response> { co_return http::Response::text(200, ""); },
        .traces = {},
        .endpoint_port = [] { return std::uint16_t{4566}; },
        .spares = &pool(),
    };
    auto version = std::make_shared<ports::FunctionVersion>(function());
    version->log_group = "/aws/lambda/f";
    auto made = sim_.run(SandboxEnvironment::create(std::move(deps), version));
    LD_CHECK(made, "{}", made.error().detail);
    environment_ = *made;
  }
  static Async<Result<std::unique_ptr<sandbox::Sandbox>>> make_ordinary(EnvironmentWithSpare* self,
                                                                        sandbox::SandboxSpec) {
    ++self->ordinary_;
    co_return std::make_unique<testing::FakeSandbox>(self->world_);
  }
  static Async<Result<CodeDirectory>> code(EnvironmentWithSpare* self) {
    co_return CodeDirectory{.path = self->sim_.directory(), .opt_path = {}, .hold = {}};
  }
  // Waits when it is started as a spare, then serves invocations.
  static Async<sandbox::ProcessExit> python(EnvironmentWithSpare* self, FakeProgramPtr program) {
    self->waiting_.push_back(program);
    if (program->control) {
      (void)!::write(program->control.get(), "R", 1);
      ::fcntl(program->control.get(), F_SETFL, O_NONBLOCK);
      for (ssize_t size = -1; size != 0;) {
        char buffer[4096];
        size = ::read(program->control.get(), buffer, sizeof buffer);
        if (size > 0) self->told_.append(buffer, static_cast<std::size_t>(size));
        if (size < 0) co_await self->sim_.clock().sleep_for(1ms);
      }
    }
    for (;;) {
      http::Request next;
      next.method = "GET";
      next.target = "/2018-06-01/runtime/invocation/next";
      const http::Response event = co_await self->environment_->serve(std::move(next));
      http::Request answer;
      answer.method = "POST";
      answer.target = fmt::format("/2018-06-01/runtime/invocation/{}/response",
                                  event.headers.get_or("Lambda-Runtime-Aws-Request-Id", ""));
      answer.body = event.body;
      co_await self->environment_->serve(std::move(answer));
    }
  }
  std::string invoke() {
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", "f", ""};
    request.request_id = "8f2d1a6e-3c0b-4f6e-9a57-1f0c5d2e7b90";
    request.payload = R"({"n":1})";
    return sim_.run(environment_->invoke(std::move(request))).payload;
  }

  NoLines lines_;
  int ordinary_ = 0;  ///< sandboxes made for the environment
  std::string told_;
  std::shared_ptr<SandboxEnvironment> environment_;
};

TEST_F(EnvironmentWithSpare, ItsRuntimeIsTheSpareThatWasToldItsVariables) {
  create();
  EXPECT_EQ(ordinary_, 0);
  EXPECT_THAT(told_, IsEmpty());
  sim_.run(environment_->initialise());
  EXPECT_TRUE(environment_->initialised());
  EXPECT_THAT(told_, HasSubstr(std::string("AWS_LAMBDA_FUNCTION_NAME=f\0", 27)));
  EXPECT_EQ(invoke(), R"({"n":1})");
}

TEST_F(EnvironmentWithSpare, OneThatEndedMeanwhileIsReplacedByAProcessInItsSandbox) {
  create();
  testing::FakeProcess::kill_program(world_, waiting_[0]);
  sim_.run(environment_->initialise());
  EXPECT_EQ(ordinary_, 0);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(invoke(), R"({"n":1})");
}

TEST_F(EnvironmentWithSpare, WithoutAFittingOneItHasASandboxOfItsOwn) {
  world_.assignable = false;
  create();
  EXPECT_EQ(ordinary_, 1);
  EXPECT_EQ(invoke(), R"({"n":1})");
}

}  // namespace
}  // namespace lambdad::execution
