#include "sandbox/outbound.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "sandbox/network.h"

namespace lambdad::sandbox {

namespace {

constexpr const char* kPrograms[] = {"/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns"};
constexpr const char* kTunDevice = "/dev/net/tun";

// Where the program finds what it inherits.
enum Inherited : int { kNetwork = 3, kReady, kAlive, kUsers, kInheritedEnd };

struct Pipe {
  UniqueFd read, write;
  static Result<Pipe> make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

// In the forked child. What goes wrong is said on stderr, which the keeper reads.
[[noreturn]] void become_program(const Outbound::Options& options, std::array<int, kInheritedEnd> inherited,
                                 int errors) {
  auto give_up = [](const char* what) {
    const std::string text = fmt::format("{}: {}\n", what, std::strerror(errno));
    (void)!::write(2, text.data(), text.size());
    ::_exit(127);
  };
  ::dup2(errors, 2);
  // Above all targets first, so that none is overwritten before it was moved.
  for (int number = kNetwork; number < kInheritedEnd; ++number) {
    int& fd = inherited[static_cast<std::size_t>(number)];
    fd = ::fcntl(fd, F_DUPFD, 64);
    if (fd < 0) give_up("moving descriptors");
  }
  for (int number = kNetwork; number < kInheritedEnd; ++number) {
    if (::dup2(inherited[static_cast<std::size_t>(number)], number) < 0) give_up("moving descriptors");
  }
  ::close_range(kInheritedEnd, ~0u, 0);
  if (options.own_users) {
    if (!options.tun_node.empty()) {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount(options.tun_node.c_str(), kTunDevice, nullptr, MS_BIND, nullptr) != 0) {
        give_up("showing the tap device");
      }
    }
    if (::setns(kUsers, CLONE_NEWUSER) != 0 || ::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 ||
        ::setresuid(0, 0, 0) != 0) {
      give_up("becoming nobody on the host");
    }
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  std::vector<std::string> arguments{"slirp4netns",
                                     "--configure",
                                     "--mtu=65520",
                                     fmt::format("--cidr={}", kSandboxNetworkText),
                                     "--disable-host-loopback",
                                     "--enable-seccomp",
                                     fmt::format("--ready-fd={}", static_cast<int>(kReady)),
                                     fmt::format("--exit-fd={}", static_cast<int>(kAlive)),
                                     "--netns-type=path"};
  arguments.emplace_back(options.own_users ? std::string("--enable-sandbox")
                                           : fmt::format("--userns-path=/proc/self/fd/{}", static_cast<int>(kUsers)));
  arguments.push_back(fmt::format("/proc/self/fd/{}", static_cast<int>(kNetwork)));
  arguments.emplace_back("tap0");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};
  ::execve(options.program.c_str(), argv.data(), environment);
  give_up("starting slirp4netns");
  ::_exit(127);
}

}  // namespace

std::string Outbound::find_program() {
  for (const char* path : kPrograms) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

std::string Outbound::make_tun_node(const std::string& directory) {
  const std::string node = directory + "/tun";
  if (::mknod(node.c_str(), S_IFCHR | 0666, ::makedev(10, 200)) != 0) return {};
  ::chmod(node.c_str(), 0666);  // whatever the umask is
  return node;
}

Result<Outbound> Outbound::start(const Options& options) {
  Outbound made;
  UniqueFd users(::open(fmt::format("/proc/{}/ns/user", options.init).c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd network(::open(fmt::format("/proc/{}/ns/net", options.init).c_str(), O_RDONLY | O_CLOEXEC));
  if (!users || !network) return system_error(errno, "opening the namespaces of a sandbox");
  LD_TRY(Pipe ready, Pipe::make());
  LD_TRY(Pipe alive, Pipe::make());
  made.errors_ = UniqueFd(::memfd_create("slirp4netns", MFD_CLOEXEC));
  if (!made.errors_) return system_error(errno, "starting slirp4netns");
  const pid_t pid = ::fork();
  if (pid < 0) return system_error(errno, "starting slirp4netns");
  if (pid == 0) {
    std::array<int, kInheritedEnd> inherited{};
    inherited[kNetwork] = network.get();
    inherited[kReady] = ready.write.get();
    inherited[kAlive] = alive.read.get();
    inherited[kUsers] = users.get();
    become_program(options, inherited, made.errors_.get());
  }
  made.pid_ = pid;
  made.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  made.ready_ = std::move(ready.read);
  made.alive_ = std::move(alive.write);
  return made;
}

Result<void> Outbound::confirm() {
  char byte = 0;
  const ssize_t size = ::read(ready_.get(), &byte, 1);
  ready_.reset();
  if (size == 1) {
    errors_.reset();
    return {};
  }
  char text[1024];
  const ssize_t length = ::pread(errors_.get(), text, sizeof text, 0);
  std::string said(text, length > 0 ? static_cast<std::size_t>(length) : 0);
  for (char& c : said) {
    if (c == '\n') c = ' ';
  }
  return fail(Errc::kUnavailable, "slirp4netns gives no internet access: {}", said);
}

void Outbound::end() {
  alive_.reset();
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

bool Outbound::reap() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0) return false;
  pid_ = -1;
  pidfd_.reset();
  ready_.reset();
  errors_.reset();
  return true;
}

}  // namespace lambdad::sandbox
