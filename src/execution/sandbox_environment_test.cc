// The life of an environment on simulated time: Init, Invoke, extensions, reset, Shutdown, and every line it writes.
#include "execution/sandbox_environment.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "base/json.h"
#include "execution/testing/fake_sandbox.h"
#include "system/processes.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::execution {
namespace {

using ::testing::ElementsAre;
using testing::FakeProgramPtr;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

struct Lines final : ports::FunctionLogSink {
  std::vector<std::string> all;
  void append(const ports::FunctionVersion&, const std::string&, WallTime, std::string message) override {
    all.push_back(std::move(message));
  }
};

constexpr const char* kRuntime = "/var/task/bootstrap";
const std::string kId = "8f2d1a6e-3c0b-4f6e-9a57-1f0c5d2e7b90";

class EnvironmentTest : public ::testing::Test {
 protected:
  EnvironmentTest() {
    auto version = std::make_shared<ports::FunctionVersion>();
    version->account = "111122223333";
    version->region = "eu-west-1";
    version->name = "f";
    version->version = "$LATEST";
    version->runtime = "provided.al2023";
    version->handler = "app.handler";
    version->log_group = "/aws/lambda/f";
    version->timeout = 3s;
    function_ = version;
  }
  ~EnvironmentTest() override {
    if (environment_) sim_.run(environment_->shutdown());
  }

  // --- the function ---

  void add_extension(const std::string& name, testing::FakeWorld::Body body) {
    const std::string directory = sim_.directory() + "/opt/extensions";
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/" + name) << "#!/bin/sh\n";
    std::filesystem::permissions(directory + "/" + name, std::filesystem::perms::all);
    world_.programs["/opt/extensions/" + name] = std::move(body);
    has_opt_ = true;
  }
  void runtime(testing::FakeWorld::Body body) { world_.programs[kRuntime] = std::move(body); }

  SandboxEnvironment& environment() {
    if (!environment_) {
      EnvironmentDeps deps{
          .system = sim_.system(),
          .log = null_logger(),
          .logs = lines_,
          .make_sandbox = [this](sandbox::SandboxSpec) { return make_sandbox(this); },
          .runtimes = runtimes_,
          .code_directory = [this](ports::FunctionVersionPtr) { return code(this); },
          .aws_endpoint = [](http::Request) -> Async<http::Response> { co_return http::Response::text(200, ""); },
          .traces = {},
          .endpoint_port = [] { return std::uint16_t{4566}; },
      };
      auto made = sim_.run(SandboxEnvironment::create(std::move(deps), function_));
      LD_CHECK(made, "{}", made.error().detail);
      environment_ = *made;
    }
    return *environment_;
  }
  static Async<Result<std::unique_ptr<sandbox::Sandbox>>> make_sandbox(EnvironmentTest* self) {
    co_return std::make_unique<testing::FakeSandbox>(self->world_);
  }
  static Async<Result<CodeDirectory>> code(EnvironmentTest* self) {
    co_return CodeDirectory{
        .path = self->sim_.directory(), .opt_path = self->has_opt_ ? self->sim_.directory() + "/opt" : "", .hold = {}};
  }

  ports::InvocationOutcome invoke(bool want_log_tail = false) {
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", "f", ""};
    request.request_id = kId;
    request.payload = R"({"n":1})";
    request.trace_header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
    request.want_log_tail = want_log_tail;
    return sim_.run(environment().invoke(std::move(request)));
  }
  /// Lines written since the last call, with the figures that vary replaced.
  std::vector<std::string> lines() { return std::exchange(lines_.all, {}); }

  // --- what programs do ---

  Async<http::Response> call(std::string method, std::string target, std::string body = "",
                             http::Headers headers = {}) {
    return call_of(environment_.get(), std::move(method), std::move(target), std::move(body), std::move(headers));
  }
  static Async<http::Response> call_of(SandboxEnvironment* environment, std::string method, std::string target,
                                       std::string body, http::Headers headers) {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = std::move(headers);
    co_return co_await environment->serve(std::move(request));
  }
  Async<http::Response> next() { return call("GET", "/2018-06-01/runtime/invocation/next"); }
  Async<http::Response> respond(std::string id, std::string body) {
    return call("POST", "/2018-06-01/runtime/invocation/" + std::move(id) + "/response", std::move(body));
  }
  /// A runtime that needs `init` to start and answers each event with itself after `work`.
  testing::FakeWorld::Body echo(Duration init = 0ms, Duration work = 0ms) {
    return [this, init, work](FakeProgramPtr program) { return echo_body(this, program, init, work); };
  }
  static Async<sandbox::ProcessExit> echo_body(EnvironmentTest* self, FakeProgramPtr, Duration init, Duration work) {
    Clock& clock = self->sim_.clock();
    co_await clock.sleep_for(init);
    for (;;) {
      const http::Response event = co_await self->next();
      if (event.status != 200) co_await self->forever();
      co_await clock.sleep_for(work);
      co_await self->respond(event.headers.get_or("Lambda-Runtime-Aws-Request-Id", ""), event.body);
    }
  }
  /// Registers for `events`, then serves each with `on_event(self, event)`.
  using OnEvent = std::function<Async<void>(json::Value)>;
  testing::FakeWorld::Body extension(std::string name, std::string events, OnEvent on_event = {}) {
    return [this, name, events, on_event](FakeProgramPtr program) {
      return extension_body(this, program, name, events, on_event);
    };
  }
  static Async<sandbox::ProcessExit> extension_body(EnvironmentTest* self, FakeProgramPtr, std::string name,
                                                    std::string events, OnEvent on_event) {
    const http::Response registered =
        co_await self->call("POST", "/2020-01-01/extension/register", fmt::format(R"({{"events":[{}]}})", events),
                            {{"Lambda-Extension-Name", name}});
    EXPECT_EQ(registered.status, 200) << registered.body;
    const std::string id = registered.headers.get_or("Lambda-Extension-Identifier", "");
    self->ids_[name] = id;
    for (;;) {
      const http::Response event =
          co_await self->call("GET", "/2020-01-01/extension/event/next", "", {{"Lambda-Extension-Identifier", id}});
      if (event.status != 200) co_await self->forever();
      self->events_.push_back(name + " " + event.body);
      const json::Value parsed = *json::parse(event.body);
      if (on_event) co_await on_event(parsed);
      if (*parsed.find("eventType")->if_string() == "SHUTDOWN") co_return sandbox::ProcessExit{};
    }
  }
  Async<void> forever() { return forever_on(&sim_.loop()); }
  static Async<void> forever_on(Loop* loop) {
    Notifier never(*loop);
    co_await never.wait();
  }

  SimSystem sim_{test_seed()};
  testing::FakeWorld world_{.system = sim_.system(), .programs = {}, .history = {}};
  Lines lines_;
  RealProcesses processes_;
  RuntimeCatalog runtimes_{sim_.files(), processes_, {}};
  ports::FunctionVersionPtr function_;
  bool has_opt_ = false;
  std::shared_ptr<SandboxEnvironment> environment_;
  std::map<std::string, std::string> ids_;
  std::vector<std::string> events_;
};

TEST_F(EnvironmentTest, InitAheadOfAnInvocationIsReportedAndBilledWithIt) {
  runtime(echo(110ms, 3ms));
  sim_.run(environment().initialise());
  EXPECT_THAT(lines(), ElementsAre("INIT_START Runtime Version: provided.al2023\tRuntime Version ARN: "
                                   "arn:aws:lambda:eu-west-1::runtime:lambdad"));
  const auto outcome = invoke();
  EXPECT_EQ(outcome.kind, ports::InvocationOutcome::Kind::kSuccess);
  EXPECT_EQ(outcome.payload, R"({"n":1})");
  EXPECT_THAT(lines(), ElementsAre("START RequestId: " + kId + " Version: $LATEST", "END RequestId: " + kId,
                                   "REPORT RequestId: " + kId +
                                       "\tDuration: 3.00 ms\tBilled Duration: 113 ms\tMemory Size: 128 MB\tMax Memory "
                                       "Used: 20 MB\tInit Duration: 110.00 ms\t"));
  invoke();
  EXPECT_THAT(lines(), ElementsAre("START RequestId: " + kId + " Version: $LATEST", "END RequestId: " + kId,
                                   "REPORT RequestId: " + kId +
                                       "\tDuration: 3.00 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory "
                                       "Used: 20 MB\t"));
}

TEST_F(EnvironmentTest, WithoutExtensionsTheRuntimeIsKilledAtOnce) {
  runtime(echo());
  sim_.run(environment().initialise());
  const MonoTime before = sim_.now();
  sim_.run(environment().shutdown());
  EXPECT_EQ(sim_.now(), before);
  EXPECT_THAT(world_.history, ElementsAre("start /var/task/bootstrap", "kill /var/task/bootstrap"));
  environment_.reset();
}

TEST_F(EnvironmentTest, ASlowInitIsRepeatedInsideTheInvocationUnderItsTimeout) {
  runtime(echo(11s));
  sim_.run(environment().initialise());
  EXPECT_TRUE(environment().available());
  EXPECT_EQ(lines().back(), "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout");
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload, R"({"errorType":"Sandbox.Timedout","errorMessage":"RequestId: )" + kId +
                                 R"( Error: Task timed out after 3.00 seconds"})");
  EXPECT_THAT(
      lines(),
      ElementsAre("START RequestId: " + kId + " Version: $LATEST",
                  "INIT_START Runtime Version: provided.al2023\tRuntime Version ARN: "
                  "arn:aws:lambda:eu-west-1::runtime:lambdad",
                  "INIT_REPORT Init Duration: 3000.00 ms\tPhase: invoke\tStatus: timeout", "END RequestId: " + kId,
                  "REPORT RequestId: " + kId +
                      "\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: "
                      "20 MB\tStatus: timeout"));
}

// --- how invocations fail -------------------------------------------------------------------------------------------

class FailureTest : public EnvironmentTest {
 protected:
  /// Runs an invocation whose runtime fetches the event and ends as `exit`.
  ports::InvocationOutcome exit_in_handler(sandbox::ProcessExit exit) {
    runtime([this, exit](FakeProgramPtr) { return fetch_and_exit(this, exit); });
    return invoke();
  }
  static Async<sandbox::ProcessExit> fetch_and_exit(EnvironmentTest* self, sandbox::ProcessExit exit) {
    co_await static_cast<FailureTest*>(self)->next();
    co_return exit;
  }
  ports::InvocationOutcome exit_in_init(sandbox::ProcessExit exit) {
    runtime([exit](FakeProgramPtr) { return just_exit(exit); });
    return invoke();
  }
  static Async<sandbox::ProcessExit> just_exit(sandbox::ProcessExit exit) { co_return exit; }
  static Async<sandbox::ProcessExit> report_init_error(EnvironmentTest* self) {
    co_await static_cast<FailureTest*>(self)->call(
        "POST", "/2018-06-01/runtime/init/error", R"({"errorMessage":"no","errorType":"Runtime.ImportModuleError"})",
        {{"Lambda-Runtime-Function-Error-Type", "Runtime.ImportModuleError"}});
    co_return sandbox::ProcessExit{.exit_code = 1};
  }
};

TEST_F(FailureTest, EveryEndOfTheRuntimeHasItsPayloadAndItsReport) {
  struct Case {
    sandbox::ProcessExit exit;
    std::string type, what;
  };
  const Case cases[] = {
      {{}, "Runtime.ExitError", "Runtime exited without providing a reason"},
      {{.exit_code = 1}, "Runtime.ExitError", "Runtime exited with error: exit status 1"},
      {{.exit_code = 127}, "Runtime.ExitError", "Runtime exited with error: exit status 127"},
      {{.signal = SIGKILL}, "Runtime.ExitError", "Runtime exited with error: signal: killed"},
      {{.signal = SIGSEGV}, "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"},
      {{.signal = SIGKILL, .out_of_memory = true}, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"},
  };
  for (const bool in_init : {false, true}) {
    for (const Case& c : cases) {
      const auto outcome = in_init ? exit_in_init(c.exit) : exit_in_handler(c.exit);
      EXPECT_EQ(outcome.kind, ports::InvocationOutcome::Kind::kFunctionError);
      EXPECT_EQ(outcome.payload,
                fmt::format(R"({{"errorType":"{}","errorMessage":"RequestId: {} Error: {}"}})", c.type, kId, c.what));
      EXPECT_THAT(lines().back(), HasSubstr("Max Memory Used: 20 MB\tStatus: error\tError Type: " + c.type));
    }
  }
}

TEST_F(FailureTest, AMissingBootstrapIsNamed) {
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload, R"({"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: )" + kId +
                                 R"( Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"})");
}

TEST_F(FailureTest, AnInitErrorIsPassedToTheInvokerAsTheRuntimeSaidIt) {
  runtime([this](FakeProgramPtr) { return report_init_error(this); });
  sim_.run(environment().initialise());
  EXPECT_THAT(lines().back(), MatchesRegex("INIT_REPORT Init Duration: .* ms\tPhase: init\tStatus: error\tError Type: "
                                           "Runtime.ImportModuleError"));
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload, R"({"errorMessage":"no","errorType":"Runtime.ImportModuleError"})");
  EXPECT_THAT(lines().back(), HasSubstr("Status: error\tError Type: Runtime.ImportModuleError"));
}

// --- extensions ------------------------------------------------------------------------------------------------------

class ExtensionTest : public EnvironmentTest {
 protected:
  static Async<void> sleep(EnvironmentTest* self, Duration time) {
    co_await static_cast<ExtensionTest*>(self)->sim_.clock().sleep_for(time);
  }
  /// Works for `time` on each INVOKE.
  OnEvent busy_for(Duration time) {
    return [this, time](json::Value event) {
      return sleep(this, *event.find("eventType")->if_string() == "INVOKE" ? time : Duration::zero());
    };
  }
  static Async<sandbox::ProcessExit> register_and_exit(EnvironmentTest* self, std::string name, Duration after,
                                                       sandbox::ProcessExit exit) {
    auto* test = static_cast<ExtensionTest*>(self);
    const http::Response registered = co_await test->call(
        "POST", "/2020-01-01/extension/register", R"({"events":["INVOKE"]})", {{"Lambda-Extension-Name", name}});
    const std::string id = registered.headers.get_or("Lambda-Extension-Identifier", "");
    co_await test->call("GET", "/2020-01-01/extension/event/next", "", {{"Lambda-Extension-Identifier", id}});
    co_await test->sim_.clock().sleep_for(after);
    co_return exit;
  }
  static Async<sandbox::ProcessExit> fail_init(EnvironmentTest* self, std::string name) {
    auto* test = static_cast<ExtensionTest*>(self);
    const http::Response registered =
        co_await test->call("POST", "/2020-01-01/extension/register", "{}", {{"Lambda-Extension-Name", name}});
    co_await test->call("POST", "/2020-01-01/extension/init/error", "{}",
                        {{"Lambda-Extension-Identifier", registered.headers.get_or("Lambda-Extension-Identifier", "")},
                         {"Lambda-Extension-Function-Error-Type", "Extension.NoConfiguration"}});
    co_return sandbox::ProcessExit{.exit_code = 1};
  }
  /// A runtime with an internal extension, which leaves on SIGTERM after `leaving`.
  static Async<sandbox::ProcessExit> runtime_with_internal(EnvironmentTest* self, FakeProgramPtr program,
                                                           Duration leaving) {
    auto* test = static_cast<ExtensionTest*>(self);
    const http::Response registered = co_await test->call(
        "POST", "/2020-01-01/extension/register", R"({"events":["INVOKE"]})", {{"Lambda-Extension-Name", "inside"}});
    EXPECT_EQ(registered.status, 200);
    program->tasks.spawn("internal extension",
                         poll(test, registered.headers.get_or("Lambda-Extension-Identifier", "")));
    program->tasks.spawn("runtime loop", run_echo(test, program));
    while (!program->got_sigterm) co_await program->terminated.wait();
    co_await test->sim_.clock().sleep_for(leaving);
    co_return sandbox::ProcessExit{};
  }
  static Async<void> poll(ExtensionTest* test, std::string id) {
    for (;;) {
      const http::Response event =
          co_await test->call("GET", "/2020-01-01/extension/event/next", "", {{"Lambda-Extension-Identifier", id}});
      if (event.status != 200) co_return;
      test->events_.push_back("inside " + event.body);
    }
  }
  static Async<void> run_echo(ExtensionTest* test, FakeProgramPtr program) { co_await test->echo()(program); }
};

TEST_F(ExtensionTest, ExternalOnesStartFirstAndTakePartInInvocations) {
  runtime(echo(20ms, 3ms));
  add_extension("watcher", extension("watcher", R"("INVOKE","SHUTDOWN")"));
  sim_.run(environment().initialise());
  EXPECT_THAT(world_.history, ElementsAre("start /opt/extensions/watcher", "start /var/task/bootstrap"));
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("INIT_START"),
                                   "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"));
  const auto deadline = to_epoch_ms(sim_.wall() + 3s);
  EXPECT_TRUE(invoke().ok());
  EXPECT_THAT(events_,
              ElementsAre(fmt::format(
                  R"(watcher {{"eventType":"INVOKE","deadlineMs":{},"requestId":"{}","invokedFunctionArn":)"
                  R"("arn:aws:lambda:eu-west-1:111122223333:function:f","tracing":{{"type":"X-Amzn-Trace-Id","value":)"
                  R"("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"}}}})",
                  deadline, kId)));
}

TEST_F(ExtensionTest, TheCallerHasItsAnswerBeforeTheExtensionIsDone) {
  runtime(echo(0ms, 3ms));
  add_extension("slow", extension("slow", R"("INVOKE")", busy_for(500ms)));
  sim_.run(environment().initialise());
  lines();
  const MonoTime begin = sim_.now();
  EXPECT_TRUE(invoke().ok());
  EXPECT_EQ(sim_.now() - begin, 3ms);
  EXPECT_FALSE(environment().available());
  EXPECT_TRUE(environment().settling());
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("START")));
  sim_.run_for(500ms);
  EXPECT_TRUE(environment().available());
  EXPECT_FALSE(environment().settling());
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("END"), HasSubstr("Duration: 500.00 ms\tBilled Duration: 500 ms")));
}

TEST_F(ExtensionTest, TheLogTailWaitsForTheReport) {
  runtime(echo(0ms, 3ms));
  add_extension("slow", extension("slow", R"("INVOKE")", busy_for(500ms)));
  sim_.run(environment().initialise());
  const auto outcome = invoke(true);
  EXPECT_THAT(outcome.log_tail, HasSubstr("REPORT RequestId: " + kId + "\tDuration: 500.00 ms"));
}

TEST_F(ExtensionTest, OneThatOverrunsTheTimeoutResetsTheEnvironmentAfterASuccessfulAnswer) {
  runtime(echo(0ms, 3ms));
  add_extension("stuck", extension("stuck", R"("INVOKE","SHUTDOWN")", busy_for(1h)));
  sim_.run(environment().initialise());
  lines();
  EXPECT_TRUE(invoke().ok());
  sim_.run_for(3s);
  EXPECT_THAT(lines().back(), ::testing::AllOf(HasSubstr("\tDuration: 3000.00 ms"), HasSubstr("\tStatus: timeout")));
  EXPECT_FALSE(environment().available());
  sim_.run_for(2s);  // the Shutdown phase of an extension that does not listen
  EXPECT_TRUE(environment().available());
  EXPECT_EQ(world_.history.back(), "kill all");
}

TEST_F(ExtensionTest, OneThatCrashesFailsTheInvocationAndIsStartedAnew) {
  runtime(echo(0ms, 100ms));
  add_extension("crash", [this](FakeProgramPtr) { return register_and_exit(this, "crash", 10ms, {.exit_code = 3}); });
  sim_.run(environment().initialise());
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload,
            R"({"errorType":"Extension.Crash","errorMessage":"RequestId: )" + kId + R"( Error: exit code 3"})");
  sim_.run_for(3s);
  ASSERT_TRUE(environment().available());
  EXPECT_THAT(lines().back(), HasSubstr("Status: error\tError Type: Extension.Crash"));
  world_.history.clear();
  invoke();
  EXPECT_EQ(world_.history.front(), "start /opt/extensions/crash");
}

TEST_F(ExtensionTest, OneThatFailsToInitialiseFailsTheInvocation) {
  runtime(echo());
  add_extension("broken", [this](FakeProgramPtr) { return fail_init(this, "broken"); });
  sim_.run(environment().initialise());
  EXPECT_THAT(lines().back(), HasSubstr("Phase: init\tStatus: error\tError Type: Extension.InitError"));
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload, R"({"errorType":"Extension.InitError","errorMessage":"RequestId: )" + kId +
                                 R"( Error: Extension.NoConfiguration"})");
}

TEST_F(ExtensionTest, OneThatCannotBeStartedFailsTheInvocation) {
  runtime(echo());
  add_extension("odd", {});
  world_.programs.erase("/opt/extensions/odd");
  const auto outcome = invoke();
  EXPECT_EQ(outcome.payload, R"({"errorType":"Extension.LaunchError","errorMessage":"RequestId: )" + kId +
                                 R"( Error: fork/exec /opt/extensions/odd: no such file or directory"})");
}

TEST_F(ExtensionTest, AFileThatIsNotExecutableIsNoExtension) {
  runtime(echo());
  add_extension("notes", {});
  std::filesystem::permissions(sim_.directory() + "/opt/extensions/notes", std::filesystem::perms::owner_read);
  world_.programs.erase("/opt/extensions/notes");
  EXPECT_TRUE(invoke().ok());
}

TEST_F(ExtensionTest, ShutdownTellsExternalOnesAndGivesTheRuntime300Milliseconds) {
  runtime(echo());
  add_extension("good", extension("good", R"("SHUTDOWN")"));
  add_extension("silent", extension("silent", ""));
  sim_.run(environment().initialise());
  const MonoTime before = sim_.now();
  const auto deadline = to_epoch_ms(sim_.wall() + 2s);
  world_.history.clear();
  sim_.run(environment().shutdown());
  EXPECT_EQ(sim_.now() - before, 300ms);  // the runtime ignores SIGTERM, the extensions are quick
  EXPECT_THAT(world_.history,
              ElementsAre("terminate /var/task/bootstrap", "kill /var/task/bootstrap", "kill /opt/extensions/silent"));
  EXPECT_THAT(events_,
              ElementsAre(fmt::format(R"(good {{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":{}}})",
                                      deadline)));
  environment_.reset();
}

TEST_F(ExtensionTest, ShutdownOfOneThatDoesNotListenTakesTwoSeconds) {
  runtime(echo());
  add_extension("stuck", extension("stuck", R"("SHUTDOWN")", [this](json::Value) { return sleep(this, 1h); }));
  sim_.run(environment().initialise());
  const MonoTime before = sim_.now();
  sim_.run(environment().shutdown());
  EXPECT_EQ(sim_.now() - before, 2s);
  environment_.reset();
}

TEST_F(ExtensionTest, WithInternalOnesOnlyTheRuntimeHas500Milliseconds) {
  for (const Duration leaving : {Duration(100ms), Duration(1h)}) {
    runtime([this, leaving](FakeProgramPtr program) { return runtime_with_internal(this, program, leaving); });
    sim_.run(environment().initialise());
    ASSERT_TRUE(invoke().ok());
    sim_.settle();
    ASSERT_TRUE(environment().available());
    const MonoTime before = sim_.now();
    world_.history.clear();
    sim_.run(environment().shutdown());
    EXPECT_EQ(sim_.now() - before, std::min(leaving, Duration(500ms)));
    EXPECT_EQ(world_.history.front(), "terminate /var/task/bootstrap");
    environment_.reset();
  }
}

TEST_F(ExtensionTest, ATimeoutTellsExtensionsTheReason) {
  runtime(echo(0ms, 1h));
  add_extension("good", extension("good", R"("SHUTDOWN")"));
  sim_.run(environment().initialise());
  EXPECT_THAT(invoke().payload, HasSubstr("Sandbox.Timedout"));
  sim_.run_for(1s);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_THAT(events_[0], HasSubstr(R"("shutdownReason":"timeout")"));
  EXPECT_TRUE(environment().available());
}

// --- the JSON format -------------------------------------------------------------------------------------------------

TEST_F(EnvironmentTest, TheJsonFormatWritesRecordsAndFiltersByLevel) {
  auto version = std::make_shared<ports::FunctionVersion>(*function_);
  version->log_settings = {ports::LogFormat::kJson, ports::LogLevel::kWarn, ports::LogLevel::kInfo};
  function_ = version;
  runtime([this](FakeProgramPtr program) {
    program->print("plain\n{\"level\":\"DEBUG\",\"message\":\"no\"}\n{\"level\":\"ERROR\",\"message\":\"yes\"}\n");
    return echo(10ms, 3ms)(program);
  });
  sim_.run(environment().initialise());
  invoke();
  EXPECT_THAT(
      lines(),
      ElementsAre(
          MatchesRegex(
              R"(\{"time":"2026-01-01T00:00:00.000Z","type":"platform.initStart","record":\{"initializationType":"on-demand","phase":"init","runtimeVersion":"provided.al2023","runtimeVersionArn":"[^"]*","functionName":"f","functionVersion":"\$LATEST","instanceId":"[0-9a-f]*","instanceMaxMemory":134217728\}\})"),
          R"({"level":"ERROR","message":"yes"})",
          R"({"time":"2026-01-01T00:00:00.010Z","type":"platform.start","record":{"requestId":")" + kId +
              R"(","version":"$LATEST","tracing":{"spanId":"53995c3f42cd8ad8","type":"X-Amzn-Trace-Id","value":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"}}})",
          R"({"time":"2026-01-01T00:00:00.013Z","type":"platform.report","record":{"requestId":")" + kId +
              R"(","metrics":{"durationMs":3,"billedDurationMs":13,"memorySizeMB":128,"maxMemoryUsedMB":20,"initDurationMs":10},"status":"success","tracing":{"spanId":"53995c3f42cd8ad8","type":"X-Amzn-Trace-Id","value":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"}}})"));
}

}  // namespace
}  // namespace lambdad::execution
