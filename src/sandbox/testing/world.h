/// What the tests of this folder share: a loop, a keeper, and a way to run one program to its end.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "gtest/gtest.h"
#include "sandbox/sandbox.h"

namespace lambdad::sandbox::testing {

inline const std::filesystem::path kProbe = LD_SANDBOX_PROBE;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lambdad-sandbox-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Everything a program wrote. Blocks until the last writer is gone.
inline std::string read_all(UniqueFd fd) {
  std::string text;
  char buffer[4096];
  // Taken from the daemon's side it may be non-blocking; the tests want to wait.
  for (ssize_t size; (size = ::read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(size));
  return text;
}

/// Reads up to and including the first newline.
inline std::string read_line(const UniqueFd& fd) {
  std::string line;
  char byte;
  while (::read(fd.get(), &byte, 1) == 1) {
    line.push_back(byte);
    if (byte == '\n') break;
  }
  return line;
}

class World {
 public:
  /// Without spares, so that what a test counts is what it made; `state` empty: in a directory of its own.
  explicit World(Isolation isolation = Isolation::kNamespaces, std::string state = {}, unsigned spares = 0) {
    if (state.empty()) {
      directory.emplace();
      state = directory->path() + "/sandboxes";
    }
    options = {isolation, std::move(state), spares};
    auto keeper = SandboxFactory::start_keeper(options);
    if (!keeper) throw std::runtime_error(keeper.error().detail);
    keeper_pid = keeper->pid;
    factory.emplace(loop, null_logger(), std::move(*keeper), options);
  }
  ~World() {
    run(factory->stop());
    factory.reset();
  }

  template <class T>
  T run(Async<T> task) {
    std::optional<T> result;
    std::exception_ptr failure;
    bool done = false;
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error, T value) {
      failure = error;
      if (!error) result.emplace(std::move(value));
      done = true;
    });
    turn([&] { return done; });
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
  }
  void run(Async<void> task) {
    bool done = false;
    std::exception_ptr failure;
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error) {
      failure = error;
      done = true;
    });
    turn([&] { return done; });
    if (failure) std::rethrow_exception(failure);
  }

  SandboxSpec spec(std::string name = "one") {
    SandboxSpec made;
    made.name = std::move(name);
    made.mounts = {{kProbe.parent_path().string(), "/var/task"}};
    made.memory_bytes = 256u << 20;
    made.tmp_bytes = 16u << 20;
    return made;
  }
  Result<std::unique_ptr<Sandbox>> create(SandboxSpec what) { return run(factory->create(std::move(what))); }

  struct Ran {
    ProcessExit exit;
    std::string output;
  };
  static ProcessSpec probe(std::vector<std::string> arguments) {
    ProcessSpec made;
    made.argv = {"/var/task/" + kProbe.filename().string()};
    made.argv.insert(made.argv.end(), arguments.begin(), arguments.end());
    return made;
  }
  Result<Ran> run_in(Sandbox& sandbox, ProcessSpec what) {
    auto process = run(sandbox.start(std::move(what)));
    if (!process) return std::unexpected(process.error());
    Ran ran;
    UniqueFd output = (*process)->take_output();
    ran.exit = run((*process)->wait_exit());
    ran.output = read_all(std::move(output));
    return ran;
  }
  /// The probe's output; the test fails when it could not run.
  std::string output_of(Sandbox& sandbox, std::vector<std::string> arguments) {
    auto ran = run_in(sandbox, probe(std::move(arguments)));
    if (!ran) {
      ADD_FAILURE() << ran.error().detail;
      return {};
    }
    EXPECT_EQ(ran->exit.signal, 0);
    return ran->output;
  }

  std::optional<TemporaryDirectory> directory;
  SandboxFactory::Options options;
  Loop loop;
  int keeper_pid = -1;
  std::optional<SandboxFactory> factory;

 private:
  template <class F>
  void turn(F done) {
    while (!done()) {
      if (loop.stopped()) loop.restart();
      loop.run_one();
    }
  }
};

}  // namespace lambdad::sandbox::testing
