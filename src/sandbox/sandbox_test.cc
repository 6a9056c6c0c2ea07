// The life of sandboxes and programs: start, output, exit, kill, freeze, limits, and that nothing stays behind.
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <fstream>
#include <set>

#include <gmock/gmock.h>

#include "sandbox/testing/world.h"

namespace lambdad::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_all;
using testing::read_line;
using testing::World;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t open_descriptors(const std::string& process) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + process + "/fd")) ++count;
  return count;
}

// Children of a process, zombies included.
std::set<int> children_of(int pid) {
  std::set<int> found;
  std::istringstream list(read_file(fmt::format("/proc/{}/task/{}/children", pid, pid)));
  for (int child; list >> child;) found.insert(child);
  return found;
}

// Control groups anywhere on this host that carry the tag of this world's state directory.
std::vector<std::string> groups_of(World& world) {
  std::vector<std::string> found;
  std::istringstream note(read_file(world.options.state_directory + "/control-groups"));
  for (std::string base; std::getline(note, base);) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(base, gone)) {
      if (entry.is_directory()) found.push_back(entry.path().string());
    }
  }
  return found;
}

#define SKIP_WITHOUT(flag, words)                                                               \
  do {                                                                                          \
    auto ld_found = world.run(world.factory->capabilities());                                   \
    ASSERT_TRUE(ld_found) << ld_found.error().detail;                                           \
    if (!ld_found->flag) GTEST_SKIP() << words << " is not possible on this host as this user"; \
  } while (false)

TEST(Sandbox, RunsAProgramAndTellsItsExitCode) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, World::probe({"exit", "7"}));
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->exit.exit_code, 7);
  EXPECT_EQ(ran->exit.signal, 0);
  EXPECT_FALSE(ran->exit.out_of_memory);
}

TEST(Sandbox, TellsTheSignalThatEndedAProgram) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, World::probe({"signal", std::to_string(SIGSEGV)}));
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->exit.signal, SIGSEGV);
}

TEST(Sandbox, CarriesStdoutAndStderrOnOnePipe) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, {.argv = {"/bin/sh", "-c", "echo out; echo err >&2; pwd"}, .environment = {}});
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->output, "out\nerr\n/var/task\n");
}

TEST(Sandbox, FindsAProgramWithoutASlashInThePathOfItsEnvironment) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, {.argv = {"sh", "-c", "echo $0"}, .environment = {{"PATH", "/nowhere:/bin"}}});
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->output, "sh\n");
  auto missing = world.run_in(**sandbox, {.argv = {"sh"}, .environment = {{"PATH", "/nowhere"}}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
}

TEST(Sandbox, ShowsARootOfItsOwnAndNothingOfTheHost) {
  World world;
  testing::TemporaryDirectory image;
  std::filesystem::permissions(image.path(), std::filesystem::perms(0755));
  for (const char* name : {"proc", "dev", "tmp", "etc", "app"}) {
    std::filesystem::create_directories(image.path() + "/" + name);
  }
  for (const char* name : {"etc/hosts", "etc/resolv.conf"}) std::ofstream(image.path() + "/" + name);
  std::filesystem::copy(testing::kProbe, image.path() + "/app/probe");
  auto spec = world.spec();
  spec.mounts.clear();
  spec.root = image.path();
  auto sandbox = world.create(std::move(spec));
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto output_of = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/app/probe");
    auto ran = world.run_in(**sandbox, {.argv = arguments, .environment = {}, .working_directory = "/app"});
    return ran ? ran->output : ran.error().detail;
  };
  EXPECT_EQ(output_of({"reads", "/app/probe", "/etc/passwd", "/usr/bin", "/proc/self/status", "/dev/null", "/home"}),
            "/app/probe 0\n/etc/passwd ENOENT\n/usr/bin ENOENT\n/proc/self/status 0\n/dev/null empty\n/home ENOENT\n");
  EXPECT_EQ(output_of({"writes", "/app/x", "/x", "/etc/hosts", "/tmp/x"}),
            "/app/x EROFS\n/x EROFS\n/etc/hosts EACCES\n/tmp/x 0\n");
  EXPECT_FALSE(std::filesystem::exists(image.path() + "/tmp/x"));
}

TEST(Sandbox, GivesTheEnvironmentExactlyAsAsked) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto spec = World::probe({"env"});
  spec.environment = {{"B", "2 = two"}, {"A", ""}, {"PATH", "/x"}};
  auto ran = world.run_in(**sandbox, std::move(spec));
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->output, "B=2 = two\nA=\nPATH=/x\n");
}

TEST(Sandbox, SaysWhyAProgramCannotStart) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto start = [&](ProcessSpec spec) { return world.run((*sandbox)->start(std::move(spec))); };
  auto missing = start({.argv = {"/var/task/none"}, .environment = {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  auto directory = start({.argv = {"/usr/bin"}, .environment = {}});
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().code, Errc::kDenied);
  auto nowhere = start({.argv = {"/bin/sh"}, .environment = {}, .working_directory = "/nowhere"});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::kNotFound);
  auto newline = start({.argv = {"/bin/sh"}, .environment = {{"A=B", "c"}}});
  ASSERT_FALSE(newline);
  EXPECT_EQ(newline.error().code, Errc::kInvalid);
  auto large = start({.argv = {"/bin/sh", std::string(200'000, 'x')}, .environment = {}});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kTooLarge);
  // None of these has used the sandbox up.
  EXPECT_TRUE(world.run_in(**sandbox, World::probe({"exit", "0"})));
}

TEST(Sandbox, RefusesASpecItCannotHonour) {
  World world;
  auto refused = [&](auto change) {
    auto spec = world.spec();
    change(spec);
    auto made = world.create(spec);
    return made ? std::optional<Errc>() : made.error().code;
  };
  EXPECT_EQ(refused([](auto& s) { s.name = "../up"; }), Errc::kInvalid);
  EXPECT_EQ(refused([](auto& s) { s.name = ""; }), Errc::kInvalid);
  EXPECT_EQ(refused([](auto& s) { s.mounts.push_back({"/usr/share", "/opt/../etc"}); }), Errc::kInvalid);
  EXPECT_EQ(refused([](auto& s) { s.mounts.push_back({"/usr/share", "/proc/self"}); }), Errc::kInvalid);
  EXPECT_EQ(refused([](auto& s) { s.mounts.push_back({"/usr/share", "relative"}); }), Errc::kInvalid);
  EXPECT_EQ(refused([](auto& s) { s.mounts.push_back({"/no/such/directory", "/opt"}); }), Errc::kNotFound);
  auto first = world.create(world.spec("same"));
  ASSERT_TRUE(first);
  EXPECT_EQ(refused([](auto& s) { s.name = "same"; }), Errc::kConflict);
  const bool groups = world.run(world.factory->capabilities())->cgroup_mode != "none";
  EXPECT_EQ(groups_of(world).empty(), !groups);
  world.run((*first)->destroy());
  EXPECT_THAT(groups_of(world), ElementsAre());
}

TEST(Sandbox, KillEndsAProgramAndTheNextOneFindsTmpAsItWas) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(
      {.argv = {"/bin/sh", "-c", "echo kept > /tmp/state; sleep 1000 & echo ready; wait"}, .environment = {}}));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output();
  EXPECT_EQ(read_line(output), "ready\n");
  EXPECT_TRUE((*process)->running());
  (*process)->kill();
  const ProcessExit exit = world.run((*process)->wait_exit());
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_FALSE(exit.out_of_memory);
  EXPECT_FALSE((*process)->running());
  EXPECT_EQ(read_all(std::move(output)), "");  // the sleeping child is gone too: end of file
  auto next = world.run_in(**sandbox, {.argv = {"/bin/cat", "/tmp/state"}, .environment = {}});
  ASSERT_TRUE(next) << next.error().detail;
  EXPECT_EQ(next->output, "kept\n");
}

TEST(Sandbox, ProgramsRunBesideOneAnotherAndEndAlone) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto start = [&](const char* script) {
    return world.run((*sandbox)->start({.argv = {"/bin/sh", "-c", script}, .environment = {}}));
  };
  auto first = start("sleep 1000 & echo first; wait");
  ASSERT_TRUE(first) << first.error().detail;
  auto second = start("trap 'exit 5' TERM; echo second; while :; do sleep 0.01; done");
  ASSERT_TRUE(second) << second.error().detail;
  UniqueFd first_output = (*first)->take_output(), second_output = (*second)->take_output();
  EXPECT_EQ(read_line(first_output), "first\n");
  EXPECT_EQ(read_line(second_output), "second\n");
  (*first)->kill();
  EXPECT_EQ(world.run((*first)->wait_exit()).signal, SIGKILL);
  EXPECT_EQ(read_all(std::move(first_output)), "");  // its child is gone with it
  EXPECT_TRUE((*second)->running());
  (*second)->terminate();
  EXPECT_EQ(world.run((*second)->wait_exit()).exit_code, 5);
  auto third = start("echo third; sleep 1000"), fourth = start("echo fourth; sleep 1000");
  ASSERT_TRUE(third && fourth);
  (*sandbox)->kill_all();
  EXPECT_EQ(world.run((*third)->wait_exit()).signal, SIGKILL);
  EXPECT_EQ(world.run((*fourth)->wait_exit()).signal, SIGKILL);
}

TEST(Sandbox, SixteenProgramsAreTheMost) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  std::vector<std::unique_ptr<Process>> running;
  for (std::size_t i = 0; i < kProgramsMax; ++i) {
    auto one = world.run((*sandbox)->start(World::probe({"pause"})));
    ASSERT_TRUE(one) << one.error().detail;
    running.push_back(std::move(*one));
  }
  auto more = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::kConflict);
}

TEST(Sandbox, ASocketOfItsNetworkReachesAServerInside) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto server = world.run((*sandbox)->start(
      {.argv = {"/usr/bin/python3", "-c",
                "import socket\ns = socket.create_server((socket.gethostbyname('sandbox.localdomain'), 8080))\n"
                "print('listening', flush=True)\nprint(s.accept()[0].recv(100).decode(), flush=True)"},
       .environment = {}}));
  ASSERT_TRUE(server) << server.error().detail;
  UniqueFd output = (*server)->take_output();
  ASSERT_EQ(read_line(output), "listening\n");
  auto socket = world.run((*sandbox)->make_socket());
  ASSERT_TRUE(socket) << socket.error().detail;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8080);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket->get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    pollfd waiting{socket->get(), POLLOUT, 0};
    ASSERT_EQ(::poll(&waiting, 1, 5000), 1);
  }
  ASSERT_EQ(::write(socket->get(), "hello", 5), 5);
  EXPECT_EQ(read_line(output), "hello\n");
}

TEST(Sandbox, ASecondOutputIsAtDescriptor62AndItsOwnPipe) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  ProcessSpec spec{.argv = {"/bin/bash", "-c", "echo one; echo two >&62; ls /proc/self/fd | tr '\\n' ' '"},
                   .environment = {},
                   .second_output = true};
  auto process = world.run((*sandbox)->start(std::move(spec)));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output(), second = (*process)->take_second_output();
  ASSERT_TRUE(second);
  world.run((*process)->wait_exit());
  EXPECT_EQ(read_all(std::move(second)), "two\n");
  EXPECT_EQ(read_all(std::move(output)), "one\n0 1 2 3 62 ");
}

TEST(Sandbox, TerminateSendsSigtermToTheProgramOnly) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(
      {.argv = {"/bin/sh", "-c", "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.01; done"},
       .environment = {}}));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output();
  EXPECT_EQ(read_line(output), "ready\n");
  (*process)->terminate();
  EXPECT_EQ(world.run((*process)->wait_exit()).exit_code, 3);
  EXPECT_EQ(read_all(std::move(output)), "term\n");
}

TEST(Sandbox, WhatAProgramLeavesRunningEndsWithIt) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  // The orphan holds the output open; read_all would wait for ever if it lived on.
  EXPECT_EQ(world.output_of(**sandbox, {"orphan"}), "left\n");
}

TEST(Sandbox, DestroyingTheProcessKillsTheProgram) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output();
  EXPECT_EQ(read_line(output), "ready\n");
  auto ended = (*process)->wait_exit();
  process->reset();
  EXPECT_EQ(world.run(std::move(ended)).signal, SIGKILL);
  EXPECT_EQ(read_all(std::move(output)), "");
}

TEST(Sandbox, AFrozenProgramDoesNotRunAndCanBeThawed) {
  World world;
  SKIP_WITHOUT(freezer, "freezing");
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(
      {.argv = {"/bin/sh", "-c", "echo ready; while :; do sleep 0.001; echo tick; done"}, .environment = {}}));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output();
  EXPECT_EQ(read_line(output), "ready\n");
  (*sandbox)->freeze();
  // What was on its way, then silence.
  pollfd readable{output.get(), POLLIN, 0};
  char buffer[4096];
  int quiet = 0;
  for (int reads = 0; reads < 50 && quiet < 2; ++reads) {
    if (::poll(&readable, 1, 50) == 0) {
      ++quiet;
    } else {
      quiet = 0;
      ASSERT_GT(::read(output.get(), buffer, sizeof buffer), 0);
    }
  }
  EXPECT_EQ(quiet, 2) << "it went on ticking every millisecond";
  (*sandbox)->thaw();
  EXPECT_EQ(::poll(&readable, 1, 10'000), 1);
}

TEST(Sandbox, AFrozenProgramCanBeKilledAndTheSandboxUsedAgain) {
  World world;
  SKIP_WITHOUT(freezer, "freezing");
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  (*sandbox)->freeze();
  (*process)->kill();
  EXPECT_EQ(world.run((*process)->wait_exit()).signal, SIGKILL);
  auto next = world.run_in(**sandbox, World::probe({"exit", "5"}));
  ASSERT_TRUE(next) << next.error().detail;
  EXPECT_EQ(next->exit.exit_code, 5);
}

TEST(Sandbox, AFrozenSandboxCanBeDestroyed) {
  World world;
  SKIP_WITHOUT(freezer, "freezing");
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  (*sandbox)->freeze();
  world.run((*sandbox)->destroy());
  EXPECT_EQ(world.run((*process)->wait_exit()).signal, SIGKILL);
  EXPECT_TRUE(children_of(world.keeper_pid).empty());
}

TEST(Sandbox, MemoryBeyondTheLimitEndsTheProgramAsOutOfMemory) {
  World world;
  SKIP_WITHOUT(memory_limit, "limiting memory");
  auto spec = world.spec();
  spec.memory_bytes = 48u << 20;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, World::probe({"memory", "200"}));
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->exit.signal, SIGKILL);
  EXPECT_TRUE(ran->exit.out_of_memory);
  EXPECT_GE((*sandbox)->memory_peak_bytes(), spec.memory_bytes);
  EXPECT_LE((*sandbox)->memory_peak_bytes(), spec.memory_bytes + spec.tmp_bytes);
  // The sandbox outlives it, and an ordinary kill afterwards is not taken for a second one.
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  (*process)->kill();
  EXPECT_FALSE(world.run((*process)->wait_exit()).out_of_memory);
}

TEST(Sandbox, TheRoomOfTmpIsNotMemoryForTheProgram) {
  World world;
  SKIP_WITHOUT(memory_limit, "limiting memory");
  auto spec = world.spec();
  spec.memory_bytes = 64u << 20;
  spec.tmp_bytes = 512u << 20;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto ran = world.run_in(**sandbox, World::probe({"holds", "150", "60000"}));
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->exit.signal, SIGKILL);
  EXPECT_TRUE(ran->exit.out_of_memory);
  auto next = world.run_in(**sandbox, World::probe({"holds", "40", "300"}));
  ASSERT_TRUE(next) << next.error().detail;
  EXPECT_EQ(next->output, "used\n");
}

TEST(Sandbox, WhatTmpHoldsIsNotTheProgramsMemory) {
  World world;
  auto spec = world.spec();
  spec.memory_bytes = 64u << 20;
  spec.tmp_bytes = 200u << 20;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_EQ(world.output_of(**sandbox, {"fill"}), "200 ENOSPC\n");
  EXPECT_EQ(world.output_of(**sandbox, {"holds", "40", "300"}), "used\n");
}

TEST(Sandbox, MemoryWithinTheLimitIsThere) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_EQ(world.output_of(**sandbox, {"memory", "100"}), "used\n");
}

TEST(Sandbox, AForkBombStopsAtTheLimit) {
  World world;
  auto spec = world.spec();
  spec.pids_max = 40;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  // The program itself is one of the 40.
  EXPECT_EQ(world.output_of(**sandbox, {"forks"}), "39 EAGAIN\n");
}

TEST(Sandbox, TmpHoldsWhatWasAskedAndNoMore) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_EQ(world.output_of(**sandbox, {"fill"}), "16 ENOSPC\n");
}

TEST(Sandbox, EmptyFilesInTmpAreBounded) {
  World world;
  auto spec = world.spec();
  spec.tmp_bytes = 32u << 20;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  // One per 16 KiB; /tmp itself is one.
  EXPECT_EQ(world.output_of(**sandbox, {"floods"}), "2047 ENOSPC\n");
}

TEST(Sandbox, InvocationsGetTheirShareOfACpuAndInitIsNotHeldToIt) {
  World world;
  SKIP_WITHOUT(cpu_limit, "limiting the CPU");
  auto spec = world.spec();
  spec.cpu_millis = 100;
  auto sandbox = world.create(spec);
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto throttled = [&] {
    for (const std::string& group : groups_of(world)) {
      const std::string text = read_file(group + "/cpu.stat");
      const std::size_t at = text.find("nr_throttled ");
      if (at != std::string::npos) return std::stoi(text.substr(at + 13));
    }
    return -1;
  };
  world.output_of(**sandbox, {"spins", "0.3"});
  EXPECT_EQ(throttled(), 0);
  (*sandbox)->set_cpu_phase(CpuPhase::kInvoke);
  // Upper bounds only: a busy machine gives less. One period may be used up before the first measurement.
  EXPECT_LE(std::stoi(world.output_of(**sandbox, {"spins", "0.5"})), 15);
  EXPECT_GT(throttled(), 0);
  (*sandbox)->set_cpu_phase(CpuPhase::kInit);
  const int before = throttled();
  world.output_of(**sandbox, {"spins", "0.3"});
  EXPECT_LE(throttled(), before + 1);
}

TEST(Sandbox, ServesItsListenersToTheDaemonOnly) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_EQ((*sandbox)->runtime_api_address(), "127.0.0.1:9001");
  EXPECT_EQ((*sandbox)->endpoint_address(), "127.0.0.1:4566");
  UniqueFd api = (*sandbox)->take_runtime_api_listener();
  UniqueFd endpoint = (*sandbox)->take_endpoint_listener();
  ASSERT_TRUE(api);
  ASSERT_TRUE(endpoint);
  EXPECT_THAT(world.output_of(**sandbox, {"connects", "9001", "4566"}), HasSubstr("9001 0\n4566 0\n"));
  for (const UniqueFd* listener : {&api, &endpoint}) {
    UniqueFd accepted(::accept(listener->get(), nullptr, nullptr));
    EXPECT_TRUE(accepted);
  }
}

TEST(Sandbox, KeepsNothingOpenButStdinStdoutAndStderr) {
  World world;
  UniqueFd leaked(::open("/etc/hostname", O_RDONLY));  // not close-on-exec: as a careless library would
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_EQ(world.output_of(**sandbox, {"fds"}), "0\n1\n2\n");
}

TEST(Sandbox, AThousandSandboxesLeaveNothingBehind) {
  World world(Isolation::kNamespaces, {}, 2);
  const std::string keeper = std::to_string(world.keeper_pid);
  // KiB of memory, wherever else it is seen: spares share what the keeper had when it made them.
  auto memory_of = [](const std::string& process) {
    const std::string text = read_file("/proc/" + process + "/smaps_rollup");
    const std::size_t at = text.find("Anonymous:");
    return at == std::string::npos ? 0 : std::stol(text.substr(at + 10));
  };
  auto mounts_of = [](const std::string& process) {
    const std::string text = read_file("/proc/" + process + "/mountinfo");
    return std::count(text.begin(), text.end(), '\n');
  };
  // The spares, and nothing else.
  auto quiet = [&] { return children_of(world.keeper_pid).size() == 2; };
  auto wait_until_quiet = [&] {
    for (int tries = 0; tries < 4000 && !quiet(); ++tries) ::usleep(5000);
    return quiet();
  };
  struct State {
    std::size_t our_descriptors, keepers_descriptors, groups;
    long mounts, keepers_mounts;
    bool operator==(const State&) const = default;
  };
  auto look = [&] {
    return State{open_descriptors("self"), open_descriptors(keeper), groups_of(world).size(), mounts_of("self"),
                 mounts_of(keeper)};
  };
  auto fifty = [&](int round) {
    std::vector<std::unique_ptr<Sandbox>> made;
    for (int i = 0; i < 50; ++i) {
      auto sandbox = world.create(world.spec(fmt::format("f-{}-{}", round, i)));
      ASSERT_TRUE(sandbox) << sandbox.error().detail;
      if (i % 2 == 0) {
        auto process = world.run((*sandbox)->start(World::probe({i % 4 == 0 ? "pause" : "env"})));
        ASSERT_TRUE(process) << process.error().detail;
      }
      made.push_back(std::move(*sandbox));
    }
    // Half by destroy(), half by the destructor.
    for (std::size_t i = 0; i < 25; ++i) world.run(made[i]->destroy());
  };
  ASSERT_TRUE(wait_until_quiet());
  fifty(0);
  // When all are gone, the answer to one more destroy() comes after theirs.
  auto settle = [&] {
    ASSERT_TRUE(wait_until_quiet());
    auto last = world.create(world.spec("last"));
    ASSERT_TRUE(last) << last.error().detail;
    world.run((*last)->destroy());
    ASSERT_TRUE(wait_until_quiet());
  };
  settle();
  // A spare that is made while another sandbox ends makes two children as well: wait until nothing changes any more.
  State before = look();
  for (int same = 0, tries = 0; same < 10 && tries < 400; ++tries) {
    ::usleep(20'000);
    const State now = look();
    same = quiet() && now == before ? same + 1 : 0;
    before = now;
  }
  [[maybe_unused]] const long keepers_memory = memory_of(keeper);
  for (int round = 1; round <= 19; ++round) fifty(round);
  settle();
  for (int tries = 0; tries < 400 && !(look() == before); ++tries) ::usleep(20'000);
  EXPECT_EQ(before, look());
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)  // which keeps what was freed
  EXPECT_LE(memory_of(keeper), keepers_memory + 1024);
#endif
}

TEST(Sandbox, ManyAtOnceAreIndependent) {
  World world;
  std::vector<std::unique_ptr<Sandbox>> all;
  for (int i = 0; i < 30; ++i) {
    auto made = world.create(world.spec(fmt::format("n-{}", i)));
    ASSERT_TRUE(made) << made.error().detail;
    all.push_back(std::move(*made));
  }
  for (int i = 0; i < 30; ++i) {
    auto ran = world.run_in(*all[static_cast<std::size_t>(i)],
                            {.argv = {"/bin/sh", "-c", fmt::format("ls /tmp | wc -l; touch /tmp/{}", i)},
                             .environment = {{"PATH", "/usr/bin"}}});
    ASSERT_TRUE(ran) << ran.error().detail;
    EXPECT_EQ(ran->output, "0\n");
  }
}

TEST(Keeper, EndsEverythingWhenTheDaemonIsKilled) {
  testing::TemporaryDirectory directory;
  const std::string state = directory.path() + "/sandboxes";
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    ::close(report[0]);
    World world(Isolation::kNamespaces, state);
    std::vector<std::unique_ptr<Sandbox>> kept;
    std::vector<std::unique_ptr<Process>> running;
    for (int i = 0; i < 3; ++i) {
      auto made = world.create(world.spec(fmt::format("f-{}", i)));
      if (!made) ::_exit(1);
      auto process = world.run((*made)->start(World::probe({"pause"})));
      if (!process) ::_exit(2);
      if (i == 0) (*made)->freeze();
      kept.push_back(std::move(*made));
      running.push_back(std::move(*process));
    }
    (void)!::write(report[1], &world.keeper_pid, sizeof world.keeper_pid);
    for (;;) ::pause();
  }
  ::close(report[1]);
  UniqueFd from_daemon(report[0]);
  int keeper = 0;
  ASSERT_EQ(::read(from_daemon.get(), &keeper, sizeof keeper), static_cast<ssize_t>(sizeof keeper));
  const std::set<int> inits = children_of(keeper);
  ASSERT_EQ(inits.size(), 3u);
  std::set<int> programs;
  for (int init : inits) programs.merge(children_of(init));
  ASSERT_EQ(programs.size(), 3u);
  std::vector<std::string> bases;
  {
    std::istringstream note(read_file(state + "/control-groups"));
    for (std::string base; std::getline(note, base);) bases.push_back(base);
  }

  ::kill(daemon, SIGKILL);
  ::waitpid(daemon, nullptr, 0);
  // A new keeper on the same directory waits until the old one has finished: no clock needed.
  {
    World next(Isolation::kNamespaces, state);
    auto made = next.create(next.spec());
    ASSERT_TRUE(made) << made.error().detail;
    for (int pid : programs) EXPECT_NE(::kill(pid, 0), 0) << "program " << pid << " lives on";
    for (int pid : inits) EXPECT_NE(::kill(pid, 0), 0) << "init " << pid << " lives on";
    next.run((*made)->destroy());
    EXPECT_THAT(groups_of(next), ElementsAre());
  }
  for (const auto& base : bases) EXPECT_FALSE(std::filesystem::exists(base)) << base;
  EXPECT_EQ(read_file("/proc/self/mountinfo").find(directory.path()), std::string::npos);
}

TEST(Keeper, ItsDeathEndsEverySandboxAndIsTold) {
  World world;
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  UniqueFd output = (*process)->take_output();
  EXPECT_EQ(read_line(output), "ready\n");
  ::kill(world.keeper_pid, SIGKILL);
  EXPECT_EQ(world.run((*process)->wait_exit()).signal, SIGKILL);
  EXPECT_EQ(read_all(std::move(output)), "");  // ends only when the program has
  world.run((*sandbox)->destroy());
  auto refused = world.create(world.spec("late"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
  // What a killed keeper could not remove, the next one on the same directory does.
  const std::vector<std::string> left = groups_of(world);
  World next(Isolation::kNamespaces, world.options.state_directory);
  auto made = next.create(next.spec());
  ASSERT_TRUE(made) << made.error().detail;
  for (const auto& group : left) {
    if (!group.ends_with("/sandbox-1")) EXPECT_FALSE(std::filesystem::exists(group)) << group;
  }
  next.run((*made)->destroy());
  EXPECT_THAT(groups_of(next), ElementsAre());
}

TEST(Keeper, SparesAreUsedRefilledAndGoneInTheEnd) {
  testing::TemporaryDirectory directory;
  std::vector<std::string> bases;
  int keeper = 0;
  {
    World world(Isolation::kNamespaces, directory.path() + "/sandboxes", 3);
    keeper = world.keeper_pid;
    for (int i = 0; i < 12; ++i) {
      auto sandbox = world.create(world.spec(fmt::format("n-{}", i)));
      ASSERT_TRUE(sandbox) << sandbox.error().detail;
      // Limits hold for a spare as for a new one.
      EXPECT_EQ(world.output_of(**sandbox, {"fill"}), "16 ENOSPC\n");
      world.run((*sandbox)->destroy());
      // Others, of another kind, in between.
      auto spec = world.spec("closed");
      spec.network = NetworkPolicy::kNone;
      auto other = world.create(spec);
      ASSERT_TRUE(other) << other.error().detail;
      world.run((*other)->destroy());
    }
    // Waits without asking for anything, as an idle daemon does.
    for (int tries = 0; tries < 1000 && children_of(keeper).size() < 3; ++tries) ::usleep(5000);
    EXPECT_EQ(children_of(keeper).size(), 3u);
    std::istringstream note(read_file(world.options.state_directory + "/control-groups"));
    for (std::string base; std::getline(note, base);) bases.push_back(base);
  }
  for (const auto& base : bases) EXPECT_FALSE(std::filesystem::exists(base)) << base;
}

TEST(Keeper, ASecondOneOnTheSameDirectoryIsRefusedAndHarmsNobody) {
  World first;
  auto sandbox = first.create(first.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  auto process = first.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  {
    World second(Isolation::kNamespaces, first.options.state_directory);
    auto refused = second.create(second.spec());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kConflict);
  }
  EXPECT_TRUE((*process)->running());
  (*process)->kill();
  EXPECT_EQ(first.run((*process)->wait_exit()).signal, SIGKILL);
}

TEST(Capabilities, SayWhatHoldsHere) {
  World world;
  auto found = world.run(world.factory->capabilities());
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_TRUE(found->namespaces);
  EXPECT_TRUE(found->seccomp);
  if (!found->memory_limit) EXPECT_FALSE(found->missing.empty());
  for (const auto& line : found->missing) std::printf("missing: %s\n", line.c_str());
}

}  // namespace
}  // namespace lambdad::sandbox
