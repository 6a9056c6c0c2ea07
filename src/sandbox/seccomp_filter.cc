#include "sandbox/seccomp_filter.h"

#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <map>
#include <span>

#include <seccomp.h>

namespace lambdad::sandbox {

namespace {

// Names, not numbers: what an architecture or an older libseccomp does not know is not allowed there.
//
// Everything a program of an ordinary user does; what is on neither list, and what kernels learn in the future, does
// not exist for functions (ENOSYS), and libraries then do without.
constexpr const char* kAllowed[] = {"accept",
                                    "accept4",
                                    "access",
                                    "alarm",
                                    "arch_prctl",
                                    "bind",
                                    "brk",
                                    "cachestat",
                                    "capget",
                                    "capset",
                                    "chdir",
                                    "chmod",
                                    "chown",
                                    "chown32",
                                    "clock_getres",
                                    "clock_getres_time64",
                                    "clock_gettime",
                                    "clock_gettime64",
                                    "clock_nanosleep",
                                    "clock_nanosleep_time64",
                                    "close",
                                    "close_range",
                                    "connect",
                                    "copy_file_range",
                                    "creat",
                                    "dup",
                                    "dup2",
                                    "dup3",
                                    "epoll_create",
                                    "epoll_create1",
                                    "epoll_ctl",
                                    "epoll_ctl_old",
                                    "epoll_pwait",
                                    "epoll_pwait2",
                                    "epoll_wait",
                                    "epoll_wait_old",
                                    "eventfd",
                                    "eventfd2",
                                    "execve",
                                    "execveat",
                                    "exit",
                                    "exit_group",
                                    "faccessat",
                                    "faccessat2",
                                    "fadvise64",
                                    "fadvise64_64",
                                    "fallocate",
                                    "fchdir",
                                    "fchmod",
                                    "fchmodat",
                                    "fchmodat2",
                                    "fchown",
                                    "fchown32",
                                    "fchownat",
                                    "fcntl",
                                    "fcntl64",
                                    "fdatasync",
                                    "fgetxattr",
                                    "flistxattr",
                                    "flock",
                                    "fork",
                                    "fremovexattr",
                                    "fsetxattr",
                                    "fstat",
                                    "fstat64",
                                    "fstatat64",
                                    "fstatfs",
                                    "fstatfs64",
                                    "fsync",
                                    "ftruncate",
                                    "ftruncate64",
                                    "futex",
                                    "futex_requeue",
                                    "futex_time64",
                                    "futex_wait",
                                    "futex_waitv",
                                    "futex_wake",
                                    "futimesat",
                                    "get_mempolicy",
                                    "get_robust_list",
                                    "get_thread_area",
                                    "getcpu",
                                    "getcwd",
                                    "getdents",
                                    "getdents64",
                                    "getegid",
                                    "getegid32",
                                    "geteuid",
                                    "geteuid32",
                                    "getgid",
                                    "getgid32",
                                    "getgroups",
                                    "getgroups32",
                                    "getitimer",
                                    "getpeername",
                                    "getpgid",
                                    "getpgrp",
                                    "getpid",
                                    "getppid",
                                    "getpriority",
                                    "getrandom",
                                    "getresgid",
                                    "getresgid32",
                                    "getresuid",
                                    "getresuid32",
                                    "getrlimit",
                                    "getrusage",
                                    "getsid",
                                    "getsockname",
                                    "getsockopt",
                                    "gettid",
                                    "gettimeofday",
                                    "getuid",
                                    "getuid32",
                                    "getxattr",
                                    "getxattrat",
                                    "inotify_add_watch",
                                    "inotify_init",
                                    "inotify_init1",
                                    "inotify_rm_watch",
                                    "io_cancel",
                                    "io_destroy",
                                    "io_getevents",
                                    "io_pgetevents",
                                    "io_pgetevents_time64",
                                    "io_setup",
                                    "io_submit",
                                    "ioprio_get",
                                    "ioprio_set",
                                    "ipc",
                                    "kill",
                                    "landlock_add_rule",
                                    "landlock_create_ruleset",
                                    "landlock_restrict_self",
                                    "lchown",
                                    "lchown32",
                                    "lgetxattr",
                                    "link",
                                    "linkat",
                                    "listen",
                                    "listxattr",
                                    "listxattrat",
                                    "llistxattr",
                                    "_llseek",
                                    "lremovexattr",
                                    "lseek",
                                    "lsetxattr",
                                    "lstat",
                                    "lstat64",
                                    "madvise",
                                    "map_shadow_stack",
                                    "mbind",
                                    "membarrier",
                                    "memfd_create",
                                    "mincore",
                                    "mkdir",
                                    "mkdirat",
                                    "mknod",
                                    "mknodat",
                                    "mlock",
                                    "mlock2",
                                    "mlockall",
                                    "mmap",
                                    "mmap2",
                                    "mprotect",
                                    "mq_getsetattr",
                                    "mq_notify",
                                    "mq_open",
                                    "mq_timedreceive",
                                    "mq_timedreceive_time64",
                                    "mq_timedsend",
                                    "mq_timedsend_time64",
                                    "mq_unlink",
                                    "mremap",
                                    "mseal",
                                    "msgctl",
                                    "msgget",
                                    "msgrcv",
                                    "msgsnd",
                                    "msync",
                                    "munlock",
                                    "munlockall",
                                    "munmap",
                                    "nanosleep",
                                    "newfstatat",
                                    "_newselect",
                                    "open",
                                    "openat",
                                    "openat2",
                                    "pause",
                                    "personality",
                                    "pidfd_open",
                                    "pidfd_send_signal",
                                    "pipe",
                                    "pipe2",
                                    "pkey_alloc",
                                    "pkey_free",
                                    "pkey_mprotect",
                                    "poll",
                                    "ppoll",
                                    "ppoll_time64",
                                    "prctl",
                                    "pread64",
                                    "preadv",
                                    "preadv2",
                                    "prlimit64",
                                    "process_mrelease",
                                    "pselect6",
                                    "pselect6_time64",
                                    "pwrite64",
                                    "pwritev",
                                    "pwritev2",
                                    "read",
                                    "readahead",
                                    "readlink",
                                    "readlinkat",
                                    "readv",
                                    "recv",
                                    "recvfrom",
                                    "recvmmsg",
                                    "recvmmsg_time64",
                                    "recvmsg",
                                    "remap_file_pages",
                                    "removexattr",
                                    "removexattrat",
                                    "rename",
                                    "renameat",
                                    "renameat2",
                                    "restart_syscall",
                                    "rmdir",
                                    "rseq",
                                    "rt_sigaction",
                                    "rt_sigpending",
                                    "rt_sigprocmask",
                                    "rt_sigqueueinfo",
                                    "rt_sigreturn",
                                    "rt_sigsuspend",
                                    "rt_sigtimedwait",
                                    "rt_sigtimedwait_time64",
                                    "rt_tgsigqueueinfo",
                                    "sched_get_priority_max",
                                    "sched_get_priority_min",
                                    "sched_getaffinity",
                                    "sched_getattr",
                                    "sched_getparam",
                                    "sched_getscheduler",
                                    "sched_rr_get_interval",
                                    "sched_rr_get_interval_time64",
                                    "sched_setaffinity",
                                    "sched_setattr",
                                    "sched_setparam",
                                    "sched_setscheduler",
                                    "sched_yield",
                                    "seccomp",
                                    "select",
                                    "semctl",
                                    "semget",
                                    "semop",
                                    "semtimedop",
                                    "semtimedop_time64",
                                    "send",
                                    "sendfile",
                                    "sendfile64",
                                    "sendmmsg",
                                    "sendmsg",
                                    "sendto",
                                    "set_mempolicy",
                                    "set_mempolicy_home_node",
                                    "set_robust_list",
                                    "set_thread_area",
                                    "set_tid_address",
                                    "setfsgid",
                                    "setfsgid32",
                                    "setfsuid",
                                    "setfsuid32",
                                    "setgid",
                                    "setgid32",
                                    "setgroups",
                                    "setgroups32",
                                    "setitimer",
                                    "setpgid",
                                    "setpriority",
                                    "setregid",
                                    "setregid32",
                                    "setresgid",
                                    "setresgid32",
                                    "setresuid",
                                    "setresuid32",
                                    "setreuid",
                                    "setreuid32",
                                    "setrlimit",
                                    "setsid",
                                    "setsockopt",
                                    "setuid",
                                    "setuid32",
                                    "setxattr",
                                    "setxattrat",
                                    "shmat",
                                    "shmctl",
                                    "shmdt",
                                    "shmget",
                                    "shutdown",
                                    "sigaltstack",
                                    "signalfd",
                                    "signalfd4",
                                    "sigprocmask",
                                    "sigreturn",
                                    "socketcall",
                                    "socketpair",
                                    "splice",
                                    "stat",
                                    "stat64",
                                    "statfs",
                                    "statfs64",
                                    "statx",
                                    "symlink",
                                    "symlinkat",
                                    "sync",
                                    "sync_file_range",
                                    "sync_file_range2",
                                    "syncfs",
                                    "sysinfo",
                                    "tee",
                                    "tgkill",
                                    "time",
                                    "timer_create",
                                    "timer_delete",
                                    "timer_getoverrun",
                                    "timer_gettime",
                                    "timer_gettime64",
                                    "timer_settime",
                                    "timer_settime64",
                                    "timerfd_create",
                                    "timerfd_gettime",
                                    "timerfd_gettime64",
                                    "timerfd_settime",
                                    "timerfd_settime64",
                                    "times",
                                    "tkill",
                                    "truncate",
                                    "truncate64",
                                    "ugetrlimit",
                                    "umask",
                                    "uname",
                                    "unlink",
                                    "unlinkat",
                                    "utime",
                                    "utimensat",
                                    "utimensat_time64",
                                    "utimes",
                                    "vfork",
                                    "wait4",
                                    "waitid",
                                    "waitpid",
                                    "write",
                                    "writev"};

// What programs may ask for and understand a no: EPERM, so that they say so and do not try an older way.
constexpr const char* kDeniedWithEperm[] = {
    // other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    // mounts and namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "mount_setattr",
    "fsopen", "fsmount", "fsconfig", "fspick", "unshare", "setns", "open_by_handle_at", "name_to_handle_at",
    // kernel attack surface
    "bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "fanotify_init", "lookup_dcookie",
    "vmsplice", "move_pages", "migrate_pages", "modify_ldt",
    // the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname", "iopl",
    "ioperm", "vhangup"};

// As clone's first argument. CLONE_NEWTIME shares its bit with the exit signal there and is only reachable by clone3
// and unshare.
constexpr std::uint32_t kNamespaceFlags =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
constexpr std::uint32_t kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
// ioctl requests that type into a terminal (TIOCSTI) or paste into a console (TIOCLINUX).
constexpr std::uint32_t kTerminalRequests[] = {0x5412, 0x541c};

constexpr std::uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); }

sock_filter load(std::size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
sock_filter give(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter jump(std::uint16_t test, std::uint32_t value, std::size_t if_true, std::size_t if_false) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, static_cast<std::uint8_t>(if_true),
                  static_cast<std::uint8_t>(if_false));
}

// The low 32 bits of an argument, which are all the kernel looks at in those that are judged here.
sock_filter load_argument(std::size_t index) {
  return load(offsetof(seccomp_data, args) + 8 * index + (std::endian::native == std::endian::little ? 0 : 4));
}

void append(SeccompProgram& program, const SeccompProgram& more) {
  program.insert(program.end(), more.begin(), more.end());
}

// `number` is judged by `rule`, which ends in an answer; others go on.
void add_rule(SeccompProgram& program, std::uint32_t number, const SeccompProgram& rule) {
  program.push_back(jump(BPF_JEQ, number, 0, rule.size()));
  append(program, rule);
}

// One of `values` in argument `index` gets `listed`, anything else `otherwise`.
SeccompProgram judge_argument(std::size_t index, std::span<const std::uint32_t> values, std::uint32_t listed,
                              std::uint32_t otherwise) {
  SeccompProgram rule{load_argument(index)};
  for (std::size_t left = values.size(); left > 0; --left) {
    rule.push_back(jump(BPF_JEQ, values[values.size() - left], left, 0));
  }
  rule.push_back(give(otherwise));
  rule.push_back(give(listed));
  return rule;
}

// Numbers from `first` up to the next range's get `action`.
struct Range {
  std::uint32_t first = 0;
  std::uint32_t action = 0;
};

// A binary search for the range of the loaded number. A program of few instructions is what counts: the kernel compiles
// it at every start of a program and keeps the answers that depend on the number alone in a table.
SeccompProgram search(std::span<const Range> ranges) {
  if (ranges.size() == 1) return {give(ranges[0].action)};
  const std::size_t middle = ranges.size() / 2;
  const SeccompProgram lower = search(ranges.first(middle));
  LD_CHECK(lower.size() < 256, "a seccomp filter of so many ranges needs longer jumps");
  SeccompProgram program{jump(BPF_JGE, ranges[middle].first, lower.size(), 0)};
  append(program, lower);
  append(program, search(ranges.subspan(middle)));
  return program;
}

// The system calls that are answered by their number alone, in ranges; what is not named does not exist.
std::vector<Range> make_ranges() {
  std::map<std::uint32_t, std::uint32_t> actions;
  auto add = [&actions](const char* name, std::uint32_t action) {
    // Negative: this CPU does not have it, or libseccomp does not know it.
    if (const int number = ::seccomp_syscall_resolve_name(name); number >= 0) {
      actions[static_cast<std::uint32_t>(number)] = action;
    }
  };
  for (const char* name : kAllowed) add(name, SECCOMP_RET_ALLOW);
  for (const char* name : kDeniedWithEperm) add(name, refuse(EPERM));
  std::vector<Range> ranges{{0, refuse(ENOSYS)}};
  auto begin = [&ranges](std::uint32_t first, std::uint32_t action) {
    if (ranges.back().action == action) return;
    if (ranges.back().first == first) {
      ranges.back().action = action;
    } else {
      ranges.push_back({first, action});
    }
  };
  std::uint32_t next = 0;
  for (const auto& [number, action] : actions) {
    if (number != next) begin(next, refuse(ENOSYS));
    begin(number, action);
    next = number + 1;
  }
  begin(next, refuse(ENOSYS));
  return ranges;
}

}  // namespace

Result<SeccompProgram> make_seccomp_program() {
  std::uint32_t action = SECCOMP_RET_ERRNO;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
    return fail(Errc::kUnavailable, "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)");
  }
  SeccompProgram program{load(offsetof(seccomp_data, arch)), jump(BPF_JEQ, ::seccomp_arch_native(), 1, 0),
                         give(SECCOMP_RET_KILL_PROCESS), load(offsetof(seccomp_data, nr))};
#ifdef __x86_64__
  // x32 calls say that they are x86_64's and have this bit.
  append(program, {jump(BPF_JGE, 0x40000000, 0, 1), give(SECCOMP_RET_KILL_PROCESS)});
#endif
  add_rule(program, SYS_ioctl, judge_argument(1, kTerminalRequests, refuse(EPERM), SECCOMP_RET_ALLOW));
  add_rule(program, SYS_socket, judge_argument(0, kFamilies, SECCOMP_RET_ALLOW, refuse(EAFNOSUPPORT)));
  add_rule(program, SYS_clone,
           {load_argument(0), jump(BPF_JSET, kNamespaceFlags, 0, 1), give(refuse(EPERM)), give(SECCOMP_RET_ALLOW)});
  append(program, search(make_ranges()));
  return program;
}

bool load_seccomp_program(const SeccompProgram& program) {
  const sock_fprog filter{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

}  // namespace lambdad::sandbox
