// What a sandbox with internet reaches, and what it does not. The "internet" is a second network namespace behind a
// veth pair; this process moves to a network namespace of its own, so the machine's network is left alone.
#include "sandbox/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>

#include <gmock/gmock.h>

#include "sandbox/outbound.h"
#include "sandbox/testing/world.h"

namespace lambdad::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::World;

UniqueFd listen_on(const char* host, std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), 8) != 0) {
    return {};
  }
  return socket;
}

int shell(const std::string& command) { return std::system(command.c_str()); }

class InternetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Outbound::find_program().empty()) GTEST_SKIP() << "slirp4netns is not installed";
    own_ = UniqueFd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "a network to test with can only root make";
    ASSERT_EQ(::pipe2(outside_alive_, O_CLOEXEC), 0);
    outside_ = ::fork();
    if (outside_ == 0) {
      ::unshare(CLONE_NEWNET);
      (void)!::write(outside_alive_[1], "x", 1);
      for (;;) ::pause();
    }
    char byte;
    ASSERT_EQ(::read(outside_alive_[0], &byte, 1), 1);
    ASSERT_EQ(shell(fmt::format("ip link set lo up && ip link add inner type veth peer name outer netns {0} &&"
                                "ip addr add 198.51.100.1/24 dev inner && ip link set inner up &&"
                                "nsenter -t {0} -n sh -c 'ip addr add 198.51.100.2/24 dev outer &&"
                                "ip addr add 169.254.169.254/16 dev outer && ip link set outer up' &&"
                                "ip route add default via 198.51.100.2",
                                outside_)),
              0);
    world_.emplace();
    auto spec = world_->spec("outbound");
    spec.network = NetworkPolicy::kInternet;
    auto made = world_->create(spec);
    ASSERT_TRUE(made) << made.error().detail;
    sandbox_ = std::move(*made);
  }
  void TearDown() override {
    sandbox_.reset();
    world_.reset();
    if (outside_ > 0) {
      ::kill(outside_, SIGKILL);
      ::waitpid(outside_, nullptr, 0);
    }
    if (own_) ::setns(own_.get(), CLONE_NEWNET);
  }
  // A listener in the "internet".
  UniqueFd listen_outside(const char* host, std::uint16_t port) {
    UniqueFd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    UniqueFd there(::open(fmt::format("/proc/{}/ns/net", outside_).c_str(), O_RDONLY | O_CLOEXEC));
    ::setns(there.get(), CLONE_NEWNET);
    UniqueFd listener = listen_on(host, port);
    ::setns(here.get(), CLONE_NEWNET);
    return listener;
  }
  std::string probe(std::vector<std::string> arguments) { return world_->output_of(*sandbox_, std::move(arguments)); }

  UniqueFd own_;
  int outside_alive_[2] = {-1, -1};
  pid_t outside_ = -1;
  std::optional<World> world_;
  std::unique_ptr<Sandbox> sandbox_;
};

TEST_F(InternetTest, ReachesOtherMachinesAndItsPlantedSockets) {
  UniqueFd web = listen_outside("198.51.100.2", 80);
  ASSERT_TRUE(web);
  EXPECT_THAT(probe({"reaches", "198.51.100.2:80", "198.51.100.2:81"}),
              ::testing::AllOf(HasSubstr("198.51.100.2:80 0\n"), HasSubstr("198.51.100.2:81 ECONNREFUSED\n")));
  EXPECT_THAT(probe({"connects", "9001", "4566"}), HasSubstr("9001 0\n4566 0\n"));
}

TEST_F(InternetTest, NeverReachesThisHostNorTheMachinesCredentials) {
  UniqueFd metadata = listen_outside("169.254.169.254", 80);
  UniqueFd loopback = listen_on("127.0.0.1", 8080);
  UniqueFd public_address = listen_on("198.51.100.1", 8080);
  ASSERT_TRUE(metadata && loopback && public_address);
  const std::string said = probe({"reaches", "169.254.169.254:80", "198.51.100.1:8080", "169.254.78.2:8080",
                                  "127.0.0.1:8080", "168.63.129.16:80", "100.100.100.200:80"});
  // Neither as the routes say nor by naming the device.
  EXPECT_THAT(said, Not(HasSubstr(" 0\n"))) << said;
  EXPECT_THAT(said, ::testing::AllOf(HasSubstr("169.254.169.254:80 EHOSTUNREACH\n"),
                                     HasSubstr("198.51.100.1:8080 EHOSTUNREACH\n"),
                                     HasSubstr("168.63.129.16:80 EHOSTUNREACH\n")));
}

TEST_F(InternetTest, NeverReachesAnotherSandboxNorAbstractSockets) {
  auto spec = world_->spec("other");
  spec.network = NetworkPolicy::kInternet;
  spec.runtime_api_port = 9002;
  auto other = world_->create(spec);
  ASSERT_TRUE(other) << other.error().detail;
  EXPECT_THAT(probe({"connects", "9002"}), HasSubstr("9002 ECONNREFUSED\n"));
  EXPECT_THAT(probe({"reaches", "169.254.78.100:9002"}), Not(HasSubstr(" 0\n")));
  UniqueFd abstract(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, "lambdad-test", 12);
  ASSERT_EQ(::bind(abstract.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t) + 13), 0);
  ASSERT_EQ(::listen(abstract.get(), 1), 0);
  EXPECT_EQ(probe({"abstracts", "lambdad-test"}), "lambdad-test ECONNREFUSED\n");
}

TEST_F(InternetTest, AsksForNamesThroughItsOwnNameServer) {
  auto shown = world_->run_in(*sandbox_, {.argv = {"/bin/cat", "/etc/resolv.conf"}, .environment = {}});
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->output, "nameserver 169.254.78.3\n");
}

TEST_F(InternetTest, ItsHelperHasNoRightsOnTheHostAndEndsWithTheSandbox) {
  auto helpers = [&] {
    std::vector<std::string> found;
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", world_->keeper_pid));
    for (std::string pid; children >> pid;) {
      std::string name;
      std::getline(std::ifstream("/proc/" + pid + "/comm") >> std::ws, name);
      if (name == "slirp4netns") found.push_back(pid);
    }
    return found;
  };
  ASSERT_EQ(helpers().size(), 1u);
  std::string status;
  std::getline(std::ifstream("/proc/" + helpers()[0] + "/status"), status, '\0');
  EXPECT_THAT(status, Not(HasSubstr("Uid:\t0\t")));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  // The right to bind ports below 1024 in the sandbox's own user namespace, which has none of the host's ports.
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000400"));
  world_->run(sandbox_->destroy());
  EXPECT_TRUE(helpers().empty());
}

// With spares: making one forks the keeper just when the helper says that it is ready.
TEST_F(InternetTest, StaysWhenOtherSandboxesAreMade) {
  sandbox_.reset();
  world_.reset();
  world_.emplace(Isolation::kNamespaces, std::string(), 3);
  for (int i = 0; i < 25; ++i) {
    auto spec = world_->spec(fmt::format("outbound-{}", i));
    spec.network = NetworkPolicy::kInternet;
    auto made = world_->create(spec);
    ASSERT_TRUE(made) << made.error().detail;
    auto ran = world_->run_in(**made, World::probe({"exit", "3"}));
    ASSERT_TRUE(ran) << i << ": " << ran.error().detail;
    EXPECT_EQ(ran->exit.exit_code, 3);
  }
}

TEST_F(InternetTest, TheEndOfItsHelperEndsTheSandbox) {
  auto process = world_->run(sandbox_->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  ASSERT_EQ(shell(fmt::format("kill -9 $(pgrep -P {} -x slirp4netns)", world_->keeper_pid)), 0);
  EXPECT_EQ(world_->run((*process)->wait_exit()).signal, SIGKILL);
}

TEST(ClosedNetworks, HoldTheCredentialAddresses) {
  const auto closed = closed_networks();
  EXPECT_THAT(closed, ::testing::Contains(Ipv4Network{0xa9fe0000, 16}));
  for (const Ipv4Network& network : closed) EXPECT_NE(network.address >> 24, 127u);
}

}  // namespace
}  // namespace lambdad::sandbox
