// What a program inside cannot see or do. docs/isolation.md claims only what is shown here.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

#include "sandbox/testing/world.h"

namespace lambdad::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::World;

class IsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = world.create(world.spec());
    ASSERT_TRUE(made) << made.error().detail;
    sandbox = std::move(*made);
  }
  std::string probe(std::vector<std::string> arguments) { return world.output_of(*sandbox, std::move(arguments)); }
  std::string shell(std::string command) {
    auto ran = world.run_in(*sandbox, {.argv = {"/bin/sh", "-c", std::move(command)},
                                       .environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}}});
    EXPECT_TRUE(ran);
    return ran ? ran->output : std::string();
  }
  World world;
  std::unique_ptr<Sandbox> sandbox;
};

TEST_F(IsolationTest, DangerousSystemCallsAreDenied) {
  const std::string said = probe({"syscalls"});
  for (const char* line : {"mount EPERM",
                           "umount2 EPERM",
                           "pivot_root EPERM",
                           "chroot EPERM",
                           "open_tree EPERM",
                           "fsopen EPERM",
                           "mount_setattr EPERM",
                           "unshare EPERM",
                           "setns EPERM",
                           "clone_newuser EPERM",
                           "clone_newnet EPERM",
                           "clone3 ENOSYS",
                           "ptrace EPERM",
                           "process_vm_readv EPERM",
                           "bpf EPERM",
                           "perf_event_open EPERM",
                           "userfaultfd EPERM",
                           "keyctl EPERM",
                           "add_key EPERM",
                           "request_key EPERM",
                           "io_uring_setup ENOSYS",
                           "open_by_handle_at EPERM",
                           "kexec_load EPERM",
                           "init_module EPERM",
                           "finit_module EPERM",
                           "delete_module EPERM",
                           "reboot EPERM",
                           "swapon EPERM",
                           "acct EPERM",
                           "quotactl EPERM",
                           "syslog EPERM",
                           "settimeofday EPERM",
                           "sethostname EPERM",
                           "vsock EAFNOSUPPORT",
                           "packet EAFNOSUPPORT",
                           "alg EAFNOSUPPORT",
                           "raw EPERM",
                           "tiocsti EPERM",
                           "no_new_privs 0",
                           "low_port EACCES",
                           "Seccomp:\t2"}) {
    EXPECT_THAT("\n" + said, HasSubstr(std::string("\n") + line + "\n"));
  }
  // User 0 belongs to the sandbox's init, or does not exist at all when an ordinary user runs the daemon.
  EXPECT_THAT(said, ::testing::AnyOf(HasSubstr("setuid0 EPERM\n"), HasSubstr("setuid0 EINVAL\n")));
  // The sandbox's init can be aimed at but not hit: this program is still here to print what follows.
  EXPECT_THAT(said, HasSubstr("kill_init"));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_THAT(said, HasSubstr(std::string(set) + ":\t0000000000000000\n"));
  }
}

TEST_F(IsolationTest, InitSurvivesSignalsFromInside) {
  shell("kill -9 1; kill -15 1; kill -9 -1; true");
  EXPECT_EQ(shell("echo still here"), "still here\n");
}

TEST_F(IsolationTest, HostFilesAreInvisible) {
  const std::string state = world.options.state_directory;
  for (const char* path :
       {"/etc/shadow", "/etc/gshadow", "/home",    "/boot",     "/sys",     "/sys/fs/cgroup", "/run",
        "/srv",        "/mnt",         "/media",   "/var/lib",  "/var/log", "/dev/shm",       "/dev/mem",
        "/dev/kmsg",   "/dev/pts",     "/dev/net", "/dev/fuse", "/dev/kvm", "/etc/machine-id"}) {
    EXPECT_EQ(probe({"reads", path}), std::string(path) + " ENOENT\n");
  }
  EXPECT_EQ(probe({"reads", state}), state + " ENOENT\n");
  // Only the path to mounted prefixes exists of /root; here there is none.
  EXPECT_EQ(probe({"reads", "/root"}), "/root ENOENT\n");
}

TEST_F(IsolationTest, ProcShowsOnlyTheSandboxAndNothingOfTheKernel) {
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/proc/kmsg"}) {
    // Masked: empty like /dev/null, closed, or not there at all on this kernel.
    EXPECT_THAT(probe({"reads", path}),
                ::testing::AnyOf(std::string(path) + " empty\n", std::string(path) + " ENOENT\n",
                                 std::string(path) + " EACCES\n", std::string(path) + " EPERM\n"));
  }
  for (const char* path : {"/proc/1/root", "/proc/1/environ", "/proc/1/mem", "/proc/1/fd"}) {
    EXPECT_THAT(probe({"reads", path}),
                ::testing::AnyOf(std::string(path) + " ENOENT\n", std::string(path) + " EACCES\n"));
  }
  for (const char* path : {"/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
                           "/proc/sys/net/ipv4/ip_forward", "/proc/sys/user/max_user_namespaces"}) {
    EXPECT_THAT(probe({"writes", path}),
                ::testing::AnyOf(std::string(path) + " EROFS\n", std::string(path) + " EACCES\n"));
  }
  // The shell itself: no process of the host, no init.
  EXPECT_EQ(shell("set -- /proc/[0-9]*; echo $#"), "1\n");
  EXPECT_THAT(shell("cat /proc/self/cgroup"), Not(HasSubstr("lambdad")));
  EXPECT_THAT(shell("cat /proc/self/mountinfo"), Not(HasSubstr("control")));
}

TEST_F(IsolationTest, NothingButTmpCanBeWritten) {
  for (const char* path : {"/x", "/usr/x", "/etc/x", "/etc/passwd", "/opt/x", "/var/task/x", "/var/x", "/dev/x",
                           "/usr/bin/sh", "/bin/x"}) {
    EXPECT_THAT(probe({"writes", path}),
                ::testing::AnyOf(std::string(path) + " EROFS\n", std::string(path) + " EACCES\n"));
  }
  EXPECT_EQ(probe({"writes", "/tmp/x", "/dev/null"}), "/tmp/x 0\n/dev/null 0\n");
}

TEST_F(IsolationTest, ProgramsInTmpMayRunButNotGainRights) {
  EXPECT_EQ(shell("cp /bin/echo /tmp/say && /tmp/say runs"), "runs\n");
  EXPECT_THAT(shell("grep ' /tmp ' /proc/self/mountinfo"), HasSubstr("nosuid,nodev"));
}

TEST_F(IsolationTest, TheUserIsAwsAndTheDirectoriesAreThere) {
  EXPECT_EQ(shell("id -u; id -g; id -un; stat -c %a /tmp; ls -d /var/task /opt; cat /etc/resolv.conf; getent hosts "
                  "localhost | head -1 | grep -c 127.0.0.1"),
            "993\n990\nsbx_user1051\n1777\n/opt\n/var/task\n1\n");
  EXPECT_EQ(probe({"limits"}), "nofile 1024\ncore 0\nmemlock 65536\nuid 993 gid 990 sid_is_self 1\n");
}

TEST_F(IsolationTest, OtherSandboxesAndTheHostsLoopbackAreUnreachable) {
  // A service of the host, and the same ports open in a second sandbox.
  UniqueFd host(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(host.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(host.get(), 1), 0);
  ::getsockname(host.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::string host_port = std::to_string(ntohs(address.sin_port));
  auto spec = world.spec("other");
  spec.runtime_api_port = 9002;
  spec.endpoint_port = 4567;
  auto other = world.create(spec);
  ASSERT_TRUE(other) << other.error().detail;
  EXPECT_EQ(
      probe({"connects", "9001", "9002", "4567", host_port}),
      fmt::format("9001 0\n9002 ECONNREFUSED\n4567 ECONNREFUSED\n{} ECONNREFUSED\noutside ENETUNREACH\n", host_port));
  // And from the host nobody reaches what listens inside.
  UniqueFd visitor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address.sin_port = htons(9002);
  EXPECT_NE(::connect(visitor.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
}

TEST_F(IsolationTest, AFileOfTheHostIsNotReachedThroughALinkInTheFunction) {
  testing::TemporaryDirectory code;
  std::filesystem::permissions(code.path(), std::filesystem::perms(0755));
  std::filesystem::create_symlink("/etc/shadow", code.path() + "/shadow");
  std::filesystem::create_symlink("../../../../../../etc/shadow", code.path() + "/up");
  auto spec = world.spec("links");
  spec.mounts.push_back({code.path(), "/opt"});
  auto made = world.create(spec);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(world.output_of(**made, {"reads", "/opt/shadow", "/opt/up"}), "/opt/shadow ENOENT\n/opt/up ENOENT\n");
}

TEST_F(IsolationTest, AnInterpreterBelowAPrivateDirectoryWorks) {
  testing::TemporaryDirectory home;  // mode 0700, as /root
  const std::string prefix = home.path() + "/.versions/1.0";
  std::filesystem::create_directories(prefix + "/bin");
  std::filesystem::copy_file("/bin/echo", prefix + "/bin/interpreter");
  auto spec = world.spec("prefix");
  spec.mounts.push_back({prefix, prefix});
  auto made = world.create(spec);
  ASSERT_TRUE(made) << made.error().detail;
  auto ran = world.run_in(**made, {.argv = {prefix + "/bin/interpreter", "runs"}, .environment = {}});
  ASSERT_TRUE(ran) << ran.error().detail;
  EXPECT_EQ(ran->output, "runs\n");
  // The parents inside are empty directories of the sandbox, not the host's.
  auto list = world.run_in(**made, {.argv = {"/bin/ls", "-A", home.path()}, .environment = {}});
  ASSERT_TRUE(list);
  EXPECT_EQ(list->output, ".versions\n");
}

TEST_F(IsolationTest, WithoutNetworkOnlyTheRuntimeApiIsReached) {
  auto spec = world.spec("closed");
  spec.network = NetworkPolicy::kNone;
  auto made = world.create(spec);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_FALSE((*made)->take_endpoint_listener());
  const UniqueFd api = (*made)->take_runtime_api_listener();
  EXPECT_EQ(world.output_of(**made, {"connects", "9001", "4566"}), "9001 0\n4566 ECONNREFUSED\noutside ENETUNREACH\n");
}

TEST_F(IsolationTest, InterpretersOfTheHostRun) {
  for (const char* program : {"/usr/bin/python3", "/usr/bin/node", "/usr/bin/java"}) {
    if (::access(program, X_OK) != 0) continue;
    auto ran = world.run_in(*sandbox, {.argv = {program, "--version"}, .environment = {}});
    ASSERT_TRUE(ran) << ran.error().detail;
    EXPECT_EQ(ran->exit.exit_code, 0) << program << ": " << ran->output;
  }
  if (::access("/usr/bin/python3", X_OK) == 0) {
    auto ran = world.run_in(
        *sandbox, {.argv = {"/usr/bin/python3", "-c",
                            "import ssl,socket,threading,subprocess,json\n"
                            "t=threading.Thread(target=lambda: print('thread',flush=True)); t.start(); t.join()\n"
                            "print(subprocess.check_output(['/bin/echo','child']).decode(),end='')\n"
                            "print(len(ssl.create_default_context().get_ca_certs())>0)"},
                   .environment = {}});
    ASSERT_TRUE(ran) << ran.error().detail;
    EXPECT_THAT(ran->output, HasSubstr("thread\nchild\n"));
  }
}

TEST(ProcessIsolation, RunsPlainProcessesWithTmpdirAndPathsOfTheHost) {
  World world(Isolation::kProcess);
  auto sandbox = world.create(world.spec());
  ASSERT_TRUE(sandbox) << sandbox.error().detail;
  EXPECT_NE((*sandbox)->runtime_api_address(), "127.0.0.1:9001");
  auto spec = World::probe({"env"});
  spec.environment = {{"LAMBDA_TASK_ROOT", "/var/task"}, {"PATH", "/bin:/var/task/bin"}};
  auto ran = world.run_in(**sandbox, std::move(spec));
  ASSERT_TRUE(ran) << ran.error().detail;
  const std::string code = testing::kProbe.parent_path().string();
  EXPECT_EQ(ran->output, fmt::format("LAMBDA_TASK_ROOT={0}\nPATH=/bin:{0}/bin\nTMPDIR={1}/tmp/one\n", code,
                                     world.options.state_directory));
  EXPECT_EQ(world.output_of(**sandbox, {"orphan"}), "left\n");
  EXPECT_EQ(world.output_of(**sandbox, {"fds"}), "0\n1\n2\n");
  auto process = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(process) << process.error().detail;
  (*process)->kill();
  EXPECT_EQ(world.run((*process)->wait_exit()).signal, SIGKILL);
  auto left = world.run((*sandbox)->start(World::probe({"pause"})));
  ASSERT_TRUE(left) << left.error().detail;
  UniqueFd output = (*left)->take_output();
  EXPECT_EQ(testing::read_line(output), "ready\n");
  world.run((*sandbox)->destroy());
  EXPECT_EQ(testing::read_all(std::move(output)), "");
  EXPECT_FALSE(std::filesystem::exists(world.options.state_directory + "/tmp/one"));
}

}  // namespace
}  // namespace lambdad::sandbox
