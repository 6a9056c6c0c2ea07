// Sandboxes that are made before it is known what for.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "sandbox/testing/world.h"

namespace lambdad::sandbox {
namespace {

using testing::read_all;
using testing::read_line;
using testing::TemporaryDirectory;
using testing::World;

SandboxSpec provisional_spec() {
  SandboxSpec spec;
  spec.name = "early";
  spec.provisional = true;
  return spec;
}

ProcessSpec shell(std::string script) {
  ProcessSpec spec;
  spec.argv = {"/bin/bash", "-c", std::move(script)};
  spec.working_directory = "/";
  spec.control = true;
  return spec;
}

/// Tells a program to go on.
void say_go(Process& process) {
  UniqueFd control = process.take_control();
  ASSERT_TRUE(control);
  ASSERT_EQ(::send(control.get(), "go\n", 3, MSG_NOSIGNAL), 3);
}

std::uint64_t effective_capabilities(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::stoull(line.substr(7), nullptr, 16);
  }
  return ~std::uint64_t{0};
}

int only_child_of(int pid) {
  std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  int child = -1;
  children >> child;
  int other = -1;
  EXPECT_FALSE(children >> other) << "more than one sandbox";
  return child;
}

class Provisional : public ::testing::Test {
 protected:
  SandboxSpec assigned_spec() {
    std::ofstream(code_.path() + "/app") << "code of f\n";
    std::ofstream(layers_.path() + "/layer") << "layer of f\n";
    for (const auto* directory : {&code_, &layers_}) {
      std::filesystem::permissions(directory->path(), std::filesystem::perms(0755));
    }
    SandboxSpec spec = provisional_spec();
    spec.provisional = false;
    spec.name = "late";
    spec.mounts = {{code_.path(), "/var/task"}, {layers_.path(), "/opt"}};
    spec.memory_bytes = 64u << 20;
    spec.tmp_bytes = 8u << 20;
    return spec;
  }
  std::unique_ptr<Sandbox> make() {
    SandboxSpec spec = provisional_spec();
    spec.name = "early-" + std::to_string(++made_);
    auto made = world_.create(spec);
    if (!made) throw std::runtime_error(made.error().detail);
    return std::move(*made);
  }
  std::unique_ptr<Process> start(Sandbox& sandbox, ProcessSpec spec) {
    auto started = world_.run(sandbox.start(std::move(spec)));
    if (!started) throw std::runtime_error(started.error().detail);
    return std::move(*started);
  }

  int made_ = 0;
  TemporaryDirectory code_, layers_;
  World world_;
};

TEST_F(Provisional, AProgramThatRunsSeesWhatTheSandboxIsAssigned) {
  auto sandbox = make();
  auto process =
      start(*sandbox, shell("ls /var/task /opt | wc -l; stat -f -c '%b %S' /tmp; read x <&61; cd /var/task; cat app; "
                            "cat /opt/layer; ls /var/task /opt; stat -f -c '%b %S' /tmp; touch /tmp/x && echo written; "
                            "touch /var/task/x 2>/dev/null || echo read-only"));
  UniqueFd output = process->take_output();
  read_line(output);
  EXPECT_EQ(read_line(output), "256 4096\n");
  auto assigned = world_.run(sandbox->assign(assigned_spec()));
  ASSERT_TRUE(assigned) << assigned.error().detail;
  say_go(*process);
  EXPECT_EQ(read_all(std::move(output)),
            "code of f\nlayer of f\n/opt:\nlayer\n\n/var/task:\napp\n2048 4096\nwritten\nread-only\n");
  EXPECT_EQ(world_.run(process->wait_exit()).exit_code, 0);
}

// The standing-in directories belong to nobody's function.
TEST_F(Provisional, WithoutLayersOptIsEmpty) {
  auto sandbox = make();
  auto process = start(*sandbox, shell("ls -d /opt/lib /var/task/lib/glibc-hwcaps; read x <&61; ls -a /opt"));
  UniqueFd output = process->take_output();
  EXPECT_EQ(read_line(output), "/opt/lib\n");
  EXPECT_EQ(read_line(output), "/var/task/lib/glibc-hwcaps\n");
  SandboxSpec spec = assigned_spec();
  spec.mounts.pop_back();
  ASSERT_TRUE(world_.run(sandbox->assign(spec)));
  say_go(*process);
  EXPECT_EQ(read_all(std::move(output)), ".\n..\n");
}

TEST_F(Provisional, TheRightToMountIsGoneOnceItIsAssigned) {
  auto sandbox = make();
  const int init = only_child_of(world_.keeper_pid);
  const std::uint64_t started_with = effective_capabilities(init);
  EXPECT_NE(started_with & (1u << CAP_SYS_ADMIN), 0u);
  ASSERT_TRUE(world_.run(sandbox->assign(assigned_spec())));
  EXPECT_EQ(effective_capabilities(init), 1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID);

  auto again = world_.run(sandbox->assign(assigned_spec()));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kInvalid);
}

// Also when what it was assigned cannot be had.
TEST_F(Provisional, ARefusedAssignmentTakesTheRightToMountToo) {
  auto sandbox = make();
  const int init = only_child_of(world_.keeper_pid);
  SandboxSpec spec = assigned_spec();
  spec.mounts[0].source = code_.path() + "/app";  // a file on a directory: init finds out
  auto assigned = world_.run(sandbox->assign(spec));
  ASSERT_FALSE(assigned);
  EXPECT_EQ(effective_capabilities(init), 1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID);
}

TEST_F(Provisional, WhatItWasNotMadeForIsRefused) {
  const auto refusal = [this](auto change) {
    auto sandbox = make();
    SandboxSpec spec = assigned_spec();
    change(spec);
    auto assigned = world_.run(sandbox->assign(spec));
    const Errc code = assigned ? Errc::kInternal : assigned.error().code;
    world_.run(sandbox->destroy());
    return code;
  };
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.network = NetworkPolicy::kNone; }), Errc::kInvalid);
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.endpoint_port = 1; }), Errc::kInvalid);
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.pids_max = 7; }), Errc::kInvalid);
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.links.push_back({"/x", "y"}); }), Errc::kInvalid);
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.mounts[0].target = "/usr"; }), Errc::kInvalid);
  EXPECT_EQ(refusal([](SandboxSpec& spec) { spec.mounts[0].source = "/nowhere/at/all"; }), Errc::kNotFound);

  SandboxSpec internet = provisional_spec();
  internet.network = NetworkPolicy::kInternet;
  EXPECT_FALSE(world_.create(internet));
  auto ordinary = world_.create(world_.spec("ordinary"));
  ASSERT_TRUE(ordinary);
  EXPECT_FALSE(world_.run((*ordinary)->assign(world_.spec("ordinary"))));
}

TEST_F(Provisional, ItsMemoryIsLimitedOnceItIsAssigned) {
  auto capabilities = world_.run(world_.factory->capabilities());
  ASSERT_TRUE(capabilities);
  if (!capabilities->memory_limit) GTEST_SKIP() << "memory cannot be limited here";
  auto sandbox = make();
  // 128 MiB, before and after.
  const std::string fill = "x=$(head -c 67108864 /dev/zero | tr '\\0' x); y=$x$x; echo ${#y};";
  auto process = start(*sandbox, shell(fill + "unset x y; read x <&61;" + fill));
  UniqueFd output = process->take_output();
  EXPECT_EQ(read_line(output), "134217728\n");
  auto other = make();
  auto second = start(*other, shell("read x <&61; " + fill));
  ASSERT_TRUE(world_.run(other->assign(assigned_spec())));
  say_go(*second);
  const ProcessExit exit = world_.run(second->wait_exit());
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_TRUE(exit.out_of_memory);
}

TEST_F(Provisional, TheControlSocketGoesBothWaysAndEndsWithItsOwner) {
  auto sandbox = make();
  auto process = start(*sandbox, shell("echo ready >&61; cat <&61; echo end"));
  {
    UniqueFd control = process->take_control();
    ::fcntl(control.get(), F_SETFL, 0);
    EXPECT_EQ(read_line(control), "ready\n");
    ASSERT_EQ(::send(control.get(), "go\n", 3, MSG_NOSIGNAL), 3);
  }
  EXPECT_EQ(read_all(process->take_output()), "go\nend\n");
}

}  // namespace
}  // namespace lambdad::sandbox
