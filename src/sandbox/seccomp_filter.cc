#include "sandbox/seccomp_filter.h"

#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <memory>

#include <seccomp.h>

#include "system/files.h"

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
                                    "ioctl",
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
constexpr std::uint64_t kNamespaceFlags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                             CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

constexpr int kAllowedFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

constexpr int kFamilies = 64;

// In front of what libseccomp makes, which can say "one of these" of an argument but not "none of these": ioctl
// requests that type into a terminal (TIOCSTI) or paste into a console (TIOCLINUX). The kernel looks at 32 bits of the
// request.
constexpr std::uint32_t kTiocsti = 0x5412, kTioclinux = 0x541c;
constexpr std::uint32_t kRequestOffset =
    offsetof(seccomp_data, args[1]) + (std::endian::native == std::endian::little ? 0 : 4);
constexpr sock_filter kTerminalRequests[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kRequestOffset),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kTiocsti, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kTioclinux, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};

bool add_rules(scmp_filter_ctx context) {
  auto add = [context](const char* name, std::uint32_t action) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return true;
    const int code = ::seccomp_rule_add(context, action, number, 0);
    // A pseudo system call of another architecture has nothing to rule here.
    return code == 0 || code == -EDOM;
  };
  for (const char* name : kDeniedWithEperm) {
    if (!add(name, SCMP_ACT_ERRNO(EPERM))) return false;
  }
  for (const char* name : kAllowed) {
    if (!add(name, SCMP_ACT_ALLOW)) return false;
  }
  std::uint64_t all_namespaces = 0;
  for (const std::uint64_t flag : kNamespaceFlags) {
    all_namespaces |= flag;
    const scmp_arg_cmp has_flag{.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = flag, .datum_b = flag};
    if (::seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &has_flag) != 0) return false;
  }
  const scmp_arg_cmp without{.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = all_namespaces, .datum_b = 0};
  if (::seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &without) != 0) return false;
  for (int family = 0; family < kFamilies; ++family) {
    const bool allowed =
        std::find(std::begin(kAllowedFamilies), std::end(kAllowedFamilies), family) != std::end(kAllowedFamilies);
    // The kernel looks at 32 bits of the family; so does this.
    const scmp_arg_cmp is{
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = static_cast<std::uint64_t>(family)};
    const std::uint32_t action = allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT);
    if (::seccomp_rule_add_array(context, action, SCMP_SYS(socket), 1, &is) != 0) return false;
  }
  return true;
}

}  // namespace

Result<SeccompProgram> make_seccomp_program() {
  std::uint32_t action = SECCOMP_RET_ERRNO;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
    return fail(Errc::kUnavailable, "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)");
  }
  std::unique_ptr<void, void (*)(void*)> context(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), ::seccomp_release);
  if (context == nullptr || ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
      ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0 || !add_rules(context.get())) {
    return fail(Errc::kUnavailable, "libseccomp cannot make a filter for this CPU");
  }
  UniqueFd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory || ::seccomp_export_bpf(context.get(), memory.get()) != 0) {
    return fail(Errc::kUnavailable, "libseccomp cannot write its filter");
  }
  struct stat status{};
  ::fstat(memory.get(), &status);
  SeccompProgram program(static_cast<std::size_t>(status.st_size) / sizeof(sock_filter));
  const std::size_t bytes = program.size() * sizeof(sock_filter);
  if (program.empty() || ::pread(memory.get(), program.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return fail(Errc::kInternal, "reading the filter back");
  }
  program.insert(program.begin(), std::begin(kTerminalRequests), std::end(kTerminalRequests));
  return program;
}

bool load_seccomp_program(const SeccompProgram& program) {
  const sock_fprog filter{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

}  // namespace lambdad::sandbox
