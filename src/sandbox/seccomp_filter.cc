#include "sandbox/seccomp_filter.h"

#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <seccomp.h>

#include "system/files.h"

namespace lambdad::sandbox {

namespace {

// Names, not numbers: what an architecture or an older libseccomp does not know is skipped there.
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
    "ioperm", "vhangup", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "vm86", "vm86old"};
constexpr const char* kDeniedWithEnosys[] = {"io_uring_setup", "io_uring_enter", "io_uring_register", "clone3"};

// As clone's first argument. CLONE_NEWTIME shares its bit with the exit signal there and is only reachable by clone3
// and unshare.
constexpr std::uint64_t kNamespaceFlags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                             CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

constexpr int kAllowedFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

constexpr std::uint64_t kTiocsti = 0x5412;    // types into a terminal
constexpr std::uint64_t kTioclinux = 0x541c;  // pastes into a console

bool add_rules(scmp_filter_ctx context) {
  auto deny = [context](const char* name, int error) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return true;
    const int code = ::seccomp_rule_add(context, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), number, 0);
    // A pseudo system call of another architecture has nothing to deny here.
    return code == 0 || code == -EDOM;
  };
  for (const char* name : kDeniedWithEperm) {
    if (!deny(name, EPERM)) return false;
  }
  for (const char* name : kDeniedWithEnosys) {
    if (!deny(name, ENOSYS)) return false;
  }
  for (const std::uint64_t flag : kNamespaceFlags) {
    const scmp_arg_cmp has_flag{.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = flag, .datum_b = flag};
    if (::seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &has_flag) != 0) return false;
  }
  for (const std::uint64_t request : {kTiocsti, kTioclinux}) {
    // The kernel looks at 32 bits of the request; so does this.
    const scmp_arg_cmp is_request{.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = request};
    if (::seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, &is_request) != 0) return false;
  }
  for (int family = 0; family < 64; ++family) {
    if (std::find(std::begin(kAllowedFamilies), std::end(kAllowedFamilies), family) != std::end(kAllowedFamilies)) {
      continue;
    }
    const scmp_arg_cmp is{
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = static_cast<std::uint64_t>(family)};
    if (::seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, &is) != 0) return false;
  }
  return true;
}

}  // namespace

Result<SeccompProgram> make_seccomp_program() {
  std::uint32_t action = SECCOMP_RET_ERRNO;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
    return fail(Errc::kUnavailable, "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)");
  }
  std::unique_ptr<void, void (*)(void*)> context(::seccomp_init(SCMP_ACT_ALLOW), ::seccomp_release);
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
  return program;
}

bool load_seccomp_program(const SeccompProgram& program) {
  const sock_fprog filter{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

}  // namespace lambdad::sandbox
