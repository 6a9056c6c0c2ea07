#include "sandbox/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "sandbox/keeper.h"
#include "sandbox/rootfs.h"

namespace lambdad::sandbox {

namespace {

// In the child: the descriptors of the keeper and of other sandboxes are none of its business.
void close_all_but(const InitSetting& setting, int channel) {
  std::vector<int> kept{channel};
  for (const UniqueFd& entry : setting.group_entries) kept.push_back(entry.get());
  std::sort(kept.begin(), kept.end());
  unsigned from = 3;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > from) ::close_range(from, static_cast<unsigned>(fd) - 1, 0);
    from = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(from, ~0u, 0);
}

bool write_child(pid_t pid, const char* file, const std::string& text) {
  const std::string path = fmt::format("/proc/{}/{}", pid, file);
  UniqueFd opened(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return opened && ::write(opened.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

Result<void> map_users(pid_t pid, bool own_users, std::uint32_t slot) {
  std::string users, groups;
  if (own_users) {
    const std::uint32_t first = kFirstHostUid + 2 * slot;
    users = fmt::format("0 {} 1\n{} {} 1\n", first, kFunctionUid, first + 1);
    groups = fmt::format("0 {} 1\n{} {} 1\n", first, kFunctionGid, first + 1);
  } else {
    users = fmt::format("{} {} 1\n", kFunctionUid, ::geteuid());
    groups = fmt::format("{} {} 1\n", kFunctionGid, ::getegid());
  }
  if (!write_child(pid, "uid_map", users) || !write_child(pid, "gid_map", groups)) {
    return fail(Errc::kDenied, "mapping users: {}", explain_namespace_failure(errno));
  }
  return {};
}

}  // namespace

std::uint32_t UserSlots::take() {
  if (free_.empty()) return next_++ % (kHostUids / 2);
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

Result<SpawnedInit> spawn_init(InitSetting& setting, const SandboxCgroup& group, std::uint32_t slot) {
  LD_TRY(setting.group_entries, group.open_entries());
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return system_error(errno, "a socket pair");
  SpawnedInit made;
  made.channel = UniqueFd(pair[0]);
  UniqueFd inside(pair[1]);
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const bool namespaces = setting.isolation == Isolation::kNamespaces;
  if (namespaces) {
    args.flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
  }
  if (group.clone_target() >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(group.clone_target());
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
  if (pid == 0) {
    close_all_but(setting, inside.get());
    run_init(setting, inside.get());
  }
  made.pid = static_cast<pid_t>(pid);
  made.pidfd = UniqueFd(pidfd);
  if (namespaces) {
    if (auto mapped = map_users(made.pid, setting.own_users, slot); !mapped) {
      // It waits for its plan, and has nothing yet whose end would take time.
      ::syscall(SYS_pidfd_send_signal, made.pidfd.get(), SIGKILL, nullptr, 0);
      ::waitpid(made.pid, nullptr, 0);
      return std::unexpected(std::move(mapped).error());
    }
  }
  // When the machine itself runs out of memory, functions go before the daemon does.
  write_child(made.pid, "oom_score_adj", "500");
  return made;
}

}  // namespace lambdad::sandbox
