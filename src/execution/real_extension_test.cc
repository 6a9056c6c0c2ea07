// An external extension as a real program in a real sandbox, beside a real runtime.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "execution/sandbox_environment.h"
#include "system/processes.h"

namespace lambdad::execution {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr const char* kBootstrap = R"(#!/usr/bin/python3
import os, signal, sys, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def leave(number, frame):
    print("runtime leaves", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
while True:
    event = urllib.request.urlopen(base + "next")
    id = event.headers["Lambda-Runtime-Aws-Request-Id"]
    body = event.read()
    if body == b'"crash"':
        sys.exit(4)
    os.write(1, b"runtime works\n")
    urllib.request.urlopen(urllib.request.Request(base + id + "/response", method="POST", data=body))
)";

constexpr const char* kExtension = R"(#!/usr/bin/python3
import json, os, sys, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def call(path, data=None, **headers):
    sent = {"Lambda-Extension-" + name.capitalize(): value for name, value in headers.items()}
    return urllib.request.urlopen(urllib.request.Request(base + path, data=data, headers=sent))
id = call("register", b'{"events":["INVOKE","SHUTDOWN"]}', name="watcher").headers["Lambda-Extension-Identifier"]
while True:
    event = json.load(call("event/next", identifier=id))
    print("extension", event["eventType"], event.get("shutdownReason"), flush=True)
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
)";

struct Lines final : ports::FunctionLogSink {
  std::vector<std::string> all;
  void append(const ports::FunctionVersion&, const std::string&, WallTime, std::string message) override {
    all.push_back(std::move(message));
  }
};

class RealExtension : public ::testing::Test {
 protected:
  RealExtension() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lambdad-extension-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    std::filesystem::permissions(directory_, std::filesystem::perms(0755));
    write("task/bootstrap", kBootstrap);
    write("opt/extensions/watcher", kExtension);
    options_.state_directory = directory_ + "/sandboxes";
    options_.spares = 0;
    auto keeper = sandbox::SandboxFactory::start_keeper(options_);
    LD_CHECK(keeper, "{}", keeper.error().detail);
    factory_.emplace(loop_, null_logger(), std::move(*keeper), options_);
  }
  ~RealExtension() override {
    if (environment_) run(environment_->shutdown());
    environment_.reset();
    run(factory_->stop());
    std::filesystem::remove_all(directory_);
  }
  void write(const std::string& name, const char* text) {
    const std::filesystem::path path = directory_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms(0755));
  }
  template <class T>
  T run(Async<T> task) {
    std::optional<T> result;
    asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr error, T value) {
      LD_CHECK(error == nullptr, "a task threw");
      result.emplace(std::move(value));
    });
    turn([&] { return result.has_value(); });
    return std::move(*result);
  }
  void run(Async<void> task) {
    bool done = false;
    asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr error) {
      LD_CHECK(error == nullptr, "a task threw");
      done = true;
    });
    turn([&] { return done; });
  }
  template <class Done>
  void turn(Done done) {
    while (!done()) {
      if (loop_.stopped()) loop_.restart();
      loop_.run_one();
    }
  }
  void make() {
    auto version = std::make_shared<ports::FunctionVersion>();
    version->account = "111122223333";
    version->region = "eu-west-1";
    version->name = "f";
    version->version = "$LATEST";
    version->runtime = "provided.al2023";
    version->handler = "h";
    version->log_group = "/aws/lambda/f";
    version->timeout = 20s;
    EnvironmentDeps deps{
        .system = system_,
        .log = null_logger(),
        .logs = lines_,
        .make_sandbox = [this](sandbox::SandboxSpec spec) { return factory_->create(std::move(spec)); },
        .runtimes = runtimes_,
        .code_directory = [this](ports::FunctionVersionPtr) { return code(directory_); },
        .aws_endpoint = [](http::Request) -> Async<http::Response> { co_return http::Response::text(200, ""); },
        .traces = {},
        .endpoint_port = [] { return std::uint16_t{4566}; },
    };
    auto made = run(SandboxEnvironment::create(std::move(deps), version));
    ASSERT_TRUE(made) << made.error().detail;
    environment_ = *made;
    run(environment_->initialise());
  }
  static Async<Result<CodeDirectory>> code(std::string directory) {
    co_return CodeDirectory{.path = directory + "/task", .opt_path = directory + "/opt", .hold = {}};
  }
  ports::InvocationOutcome invoke(std::string payload) {
    ports::InvocationRequest request;
    request.function = {"111122223333", "eu-west-1", "f", ""};
    request.request_id = "8f2d1a6e-3c0b-4f6e-9a57-1f0c5d2e7b90";
    request.payload = std::move(payload);
    request.want_log_tail = true;  // so that the extension's part is over, too
    return run(environment_->invoke(std::move(request)));
  }
  void wait_until_available() {
    Notifier available(loop_);
    environment_->on_available([&available] { available.notify_all(); });
    run(until_available(environment_.get(), &available));
    environment_->on_available({});
  }
  static Async<void> until_available(SandboxEnvironment* environment, Notifier* available) {
    while (!environment->available()) co_await available->wait();
  }

  std::string directory_;
  sandbox::SandboxFactory::Options options_;
  Loop loop_;
  RealClock clock_{loop_};
  Activity activity_{loop_};
  KernelRandom random_;
  RealFiles files_;
  WorkerPool workers_{loop_, 0};
  System system_{loop_, clock_, clock_, activity_, random_, files_, workers_};
  std::optional<sandbox::SandboxFactory> factory_;
  Lines lines_;
  RealProcesses processes_;
  RuntimeCatalog runtimes_{files_, processes_, {}};
  std::shared_ptr<SandboxEnvironment> environment_;
};

TEST_F(RealExtension, SeesInvocationsAndItsEndAndTheRuntimeGetsSigterm) {
  make();
  EXPECT_THAT(lines_.all, Contains("EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"));
  const auto outcome = invoke("1");
  EXPECT_EQ(outcome.payload, "1");
  EXPECT_THAT(lines_.all, Contains("extension INVOKE None"));
  EXPECT_THAT(lines_.all, Contains("runtime works"));
  run(environment_->shutdown());
  environment_.reset();
  EXPECT_THAT(lines_.all, Contains("runtime leaves"));
  EXPECT_THAT(lines_.all, Contains("extension SHUTDOWN spindown"));
}

TEST_F(RealExtension, HearsOfACrashAndIsStartedAgain) {
  make();
  EXPECT_THAT(invoke(R"("crash")").payload, HasSubstr("Runtime exited with error: exit status 4"));
  wait_until_available();
  EXPECT_THAT(lines_.all, Contains("extension SHUTDOWN failure"));
  EXPECT_EQ(invoke("2").payload, "2");
  EXPECT_EQ(std::ranges::count(lines_.all, "extension INVOKE None"), 2);
}

}  // namespace
}  // namespace lambdad::execution
