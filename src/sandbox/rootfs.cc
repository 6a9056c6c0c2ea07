#include "sandbox/rootfs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <span>

#include "sandbox/keeper.h"
#include "sandbox/network.h"

namespace lambdad::sandbox {

namespace {

constexpr std::uint64_t kProtected = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// Configuration that programs of the distribution cannot do without. What the host does not have is left out. The
// private keys in /etc/ssl/private stay closed: the function's user is nobody to them.
constexpr const char* kHostEtc[] = {"ld.so.cache",
                                    "ld.so.conf",
                                    "ld.so.conf.d",
                                    "ssl",
                                    "pki",
                                    "ca-certificates",
                                    "crypto-policies",
                                    "alternatives",
                                    "protocols",
                                    "services",
                                    "mime.types",
                                    "locale.alias",
                                    "java-11-openjdk",
                                    "java-17-openjdk",
                                    "java-21-openjdk",
                                    "java-25-openjdk",
                                    "java",
                                    "python3",
                                    "python3.11",
                                    "python3.12",
                                    "python3.13",
                                    "python3.14",
                                    "perl"};

constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom"};

// Host-wide files of /proc: about the kernel or other processes' keys, and nothing a runtime reads.
constexpr const char* kMaskedProcFiles[] = {"kcore",      "keys",          "key-users",     "kallsyms",    "timer_list",
                                            "kmsg",       "sysrq-trigger", "latency_stats", "sched_debug", "config.gz",
                                            "modules",    "iomem",         "ioports",       "vmallocinfo", "slabinfo",
                                            "kpagecount", "kpageflags",    "kpagecgroup"};
constexpr const char* kMaskedProcDirectories[] = {"acpi", "scsi", "asound", "driver"};
constexpr const char* kReadOnlyProcDirectories[] = {"sys", "bus", "fs", "irq", "tty"};

// As ext4 does by default. Files in a tmpfs are kernel memory, empty ones too.
constexpr std::uint64_t kTmpBytesPerFile = 16 * 1024;
constexpr std::uint64_t kProvisionalTmpBytes = 1024 * 1024;

// Where the dynamic linker looks for libraries, below what a function brings. It looks into these directories' own
// subdirectories for kinds of processors, too.
constexpr const char* kProvisionalPlaces[] = {"var/task", "opt"};
constexpr const char* kLibraryDirectories[] = {"var/task", "var/task/lib", "opt/lib"};

std::string etc_passwd() {
  return fmt::format(
      "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:{}:{}::/home/sbx_user1051:/sbin/nologin\n"
      "nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
      kFunctionUid, kFunctionGid);
}
std::string etc_group() { return fmt::format("root:x:0:\nsbx_user1051:x:{}:\nnogroup:x:65534:\n", kFunctionGid); }
constexpr const char* kEtcHosts = "127.0.0.1 localhost localhost.localdomain sandbox.localdomain sandbox\n";
constexpr const char* kEtcNsswitch =
    "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

Result<void> write_file(const std::string& path, std::string_view text) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return system_error(errno, "making " + path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return system_error(errno, "writing " + path);
  }
  return {};
}

Result<void> write_proc(const char* path, std::string_view text) {
  UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file) return system_error(errno, path);
  if (::write(file.get(), text.data(), text.size()) < 0) return system_error(errno, path);
  return {};
}

// A private copy of a tree of mounts, read-only.
Result<UniqueFd> copy_tree(int at, const std::string& path, std::uint64_t attributes) {
  UniqueFd tree(::open_tree(at, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) return system_error(errno, "opening " + path + " for a sandbox");
  mount_attr attr{.attr_set = attributes, .attr_clr = 0, .propagation = MS_PRIVATE, .userns_fd = 0};
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) {
    return system_error(errno, "making " + path + " read-only for a sandbox");
  }
  return tree;
}

Result<void> attach_tree(const UniqueFd& tree, int at, const char* target) {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*target == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0u);
  if (::move_mount(tree.get(), "", at, target, flags) != 0)
    return system_error(errno, fmt::format("mounting {}", target));
  return {};
}

bool target_allowed(const std::string& target) {
  if (target.size() < 2 || target.front() != '/') return false;
  const std::string closed = target + "/";
  if (closed.find("/../") != std::string::npos || closed.find("/./") != std::string::npos) return false;
  return !closed.starts_with("/proc/") && !closed.starts_with("/dev/");
}

int open_in_root(int root, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

// The place for a mount, made with its parents where it is missing. Links are followed within the new root only.
Result<UniqueFd> make_mount_point(int root, const std::string& target, bool directory) {
  if (UniqueFd there(open_in_root(root, target, 0)); there) return there;
  UniqueFd parent(open_in_root(root, "/", O_DIRECTORY));
  for (std::size_t begin = 1; begin < target.size();) {
    const std::size_t end = std::min(target.find('/', begin), target.size());
    if (end > begin) {
      const std::string name = target.substr(begin, end - begin);
      const bool last = end >= target.size();
      UniqueFd next(open_in_root(root, target.substr(0, end), 0));
      if (!next) {
        if (!last || directory) {
          if (::mkdirat(parent.get(), name.c_str(), 0755) != 0) return system_error(errno, "making " + target);
        } else {
          UniqueFd file(::openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
          if (!file) return system_error(errno, "making " + target);
        }
        next = UniqueFd(open_in_root(root, target.substr(0, end), 0));
        if (!next) return system_error(errno, "making " + target);
      }
      parent = std::move(next);
    }
    begin = end + 1;
  }
  return parent;
}

Result<void> mount_proc() {
  ::mkdir("proc", 0555);
  if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible") != 0 &&
      ::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return fail(
        Errc::kDenied,
        "mounting /proc in a sandbox: {}. In a container whose own /proc is partly hidden, functions cannot "
        "have theirs: start the container with an unmasked /proc (docker: --security-opt systempaths=unconfined)",
        std::strerror(errno));
  }
  for (const char* name : kMaskedProcFiles) {
    const std::string path = std::string("proc/") + name;
    if (::access(path.c_str(), F_OK) != 0) continue;
    LD_TRY(UniqueFd mask, copy_tree(AT_FDCWD, "dev/null", MOUNT_ATTR_RDONLY));
    LD_TRY_VOID(attach_tree(mask, AT_FDCWD, path.c_str()));
  }
  for (const char* name : kMaskedProcDirectories) {
    const std::string path = std::string("proc/") + name;
    if (::access(path.c_str(), F_OK) != 0) continue;
    if (::mount("tmpfs", path.c_str(), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2") !=
        0) {
      return system_error(errno, "masking " + path);
    }
  }
  for (const char* name : kReadOnlyProcDirectories) {
    const std::string path = std::string("proc/") + name;
    if (::access(path.c_str(), F_OK) != 0) continue;
    LD_TRY(UniqueFd tree, copy_tree(AT_FDCWD, path, kProtected | MOUNT_ATTR_NOEXEC));
    LD_TRY_VOID(attach_tree(tree, AT_FDCWD, path.c_str()));
  }
  return {};
}

std::string read_small(const char* path) {
  UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  const ssize_t size = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

std::string explain_namespace_failure(int error_number) {
  std::string text = fmt::format("functions cannot be isolated on this host: {}.", std::strerror(error_number));
  if (read_small("/proc/sys/user/max_user_namespaces").starts_with("0\n")) {
    text += " User namespaces are switched off: sysctl user.max_user_namespaces=15000.";
  } else if (read_small("/proc/sys/kernel/unprivileged_userns_clone").starts_with("0")) {
    text += " User namespaces are kept for root: run lambdad as root, or sysctl kernel.unprivileged_userns_clone=1.";
  } else if (read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").starts_with("1")) {
    text +=
        " AppArmor restricts user namespaces: run lambdad as root, give it a profile with `userns,`, or sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0.";
  } else if (error_number == ENOSYS || error_number == EINVAL) {
    text += " The kernel is too old or built without namespaces: 5.14 or newer is needed.";
  } else {
    text +=
        " In a container, its seccomp profile must allow clone, unshare, mount, open_tree, move_mount and "
        "mount_setattr (docker: --privileged, or --security-opt seccomp=unconfined --cap-add SYS_ADMIN).";
  }
  return text + " With `--isolation process` functions run without isolation, for debugging only.";
}

bool may_map_any_user() {
  if (::geteuid() != 0) return false;
  const std::string map = read_small("/proc/self/uid_map");
  for (std::size_t begin = 0; begin < map.size();) {
    const std::size_t end = std::min(map.find('\n', begin), map.size());
    unsigned long inside = 0, outside = 0, count = 0;
    if (std::sscanf(map.substr(begin, end - begin).c_str(), "%lu %lu %lu", &inside, &outside, &count) == 3 &&
        inside <= kFirstHostUid && kFirstHostUid + kHostUids <= inside + count) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

Result<void> enter_own_mount_namespace() {
  if (!may_map_any_user() || ::unshare(CLONE_NEWNS) != 0) {
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
    LD_TRY_VOID(write_proc("/proc/self/setgroups", "deny"));
    LD_TRY_VOID(write_proc("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid)));
    LD_TRY_VOID(write_proc("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid)));
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
  }
  return {};
}

// --- RootTemplate ---------------------------------------------------------------------------------------------------

Result<void> RootTemplate::show(Shared& shared) {
  struct stat status{};
  if (::stat(shared.source.c_str(), &status) != 0) return system_error(errno, shared.source);
  if (shared.inode != 0 && status.st_ino == shared.inode && status.st_dev == shared.device) return {};
  if (shared.inode != 0) ::umount2(shared.place.c_str(), MNT_DETACH);
  LD_TRY(UniqueFd tree, copy_tree(AT_FDCWD, shared.source, kProtected));
  LD_TRY_VOID(attach_tree(tree, AT_FDCWD, shared.place.c_str()));
  shared.device = status.st_dev;
  shared.inode = status.st_ino;
  return {};
}

Result<RootTemplate> RootTemplate::make(const std::string& directory) {
  RootTemplate made;
  made.directory_ = directory;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return system_error(errno, "making " + directory);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID, "mode=0755,size=1m") != 0) {
    return fail(Errc::kDenied, "{}", explain_namespace_failure(errno));
  }
  const std::string etc = directory + "/etc";
  const std::string dev = directory + "/dev";
  for (const std::string& path : {etc, dev}) {
    if (::mkdir(path.c_str(), 0755) != 0) return system_error(errno, "making " + path);
  }
  for (const auto& [name, text] : {std::pair<const char*, std::string>{"passwd", etc_passwd()},
                                   {"group", etc_group()},
                                   {"hosts", kEtcHosts},
                                   {"nsswitch.conf", kEtcNsswitch},
                                   {"resolv.conf", ""}}) {
    LD_TRY_VOID(write_file(etc + "/" + name, text));
  }
  // Shown in place of the empty one where there is a name server.
  LD_TRY_VOID(write_file(directory + "/resolv.conf", fmt::format("nameserver {}\n", kSandboxNameServer)));
  for (const char* name : {"localtime", "os-release"}) {
    // Links into /usr on every distribution; a copied file would be shown as one of the shared ones.
    char link[PATH_MAX];
    const ssize_t size = ::readlink((std::string("/etc/") + name).c_str(), link, sizeof link - 1);
    if (size <= 0) continue;
    link[size] = '\0';
    if (std::string_view(link).find("usr/") < 4) (void)::symlink(link, (etc + "/" + name).c_str());
  }
  (void)::symlink("/proc/mounts", (etc + "/mtab").c_str());
  auto share = [&made](const std::string& source, const std::string& place) -> Result<void> {
    struct stat status{};
    if (::stat(source.c_str(), &status) != 0) return {};
    if (S_ISDIR(status.st_mode)) {
      if (::mkdir(place.c_str(), 0755) != 0) return system_error(errno, "making " + place);
    } else {
      LD_TRY_VOID(write_file(place, ""));
    }
    made.shared_.push_back({.source = source, .place = place});
    return made.show(made.shared_.back());
  };
  for (const char* name : kHostEtc) LD_TRY_VOID(share(std::string("/etc/") + name, etc + "/" + name));
  for (const char* name : kDevices) {
    const std::string place = dev + "/" + name;
    LD_TRY_VOID(write_file(place, ""));
    // Not nodev: these are the devices. A read-only mount does not stop writing to a device.
    LD_TRY(UniqueFd tree, copy_tree(AT_FDCWD, std::string("/dev/") + name, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
    LD_TRY_VOID(attach_tree(tree, AT_FDCWD, place.c_str()));
  }
  for (auto [name, to] : {std::pair{"fd", "/proc/self/fd"}, std::pair{"stdin", "/proc/self/fd/0"},
                          std::pair{"stdout", "/proc/self/fd/1"}, std::pair{"stderr", "/proc/self/fd/2"}}) {
    (void)::symlink(to, (dev + "/" + name).c_str());
  }
  return made;
}

namespace {

Result<void> add_mount(RootPlan& plan, const std::string& source, const std::string& target, std::uint64_t attributes) {
  LD_TRY(UniqueFd tree, copy_tree(AT_FDCWD, source, attributes));
  struct stat status{};
  if (::fstat(tree.get(), &status) != 0) return system_error(errno, source);
  if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
    return fail(Errc::kInvalid, "{} is neither a directory nor a file", source);
  }
  plan.mounts.push_back({std::move(tree), target, S_ISDIR(status.st_mode)});
  return {};
}

Result<void> add_mounts(RootPlan& plan, std::vector<ReadOnlyMount> mounts) {
  std::sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  for (const ReadOnlyMount& mount : mounts) {
    if (!target_allowed(mount.target) || !mount.source.starts_with("/")) {
      return fail(Errc::kInvalid, "mount of {} at {}", mount.source, mount.target);
    }
    LD_TRY_VOID(add_mount(plan, mount.source, mount.target, kProtected));
  }
  return {};
}

}  // namespace

Result<RootPlan> RootTemplate::plan_rest(const SandboxSpec& provisional, const SandboxSpec& spec) {
  const bool as_made = spec.links == provisional.links && spec.pids_max == provisional.pids_max &&
                       spec.network == provisional.network && spec.runtime_api_port == provisional.runtime_api_port &&
                       spec.endpoint_port == provisional.endpoint_port;
  std::vector<ReadOnlyMount> further = spec.mounts;
  for (const ReadOnlyMount& mount : provisional.mounts) {
    if (std::erase(further, mount) != 1) return fail(Errc::kInvalid, "a mount at {} is missing", mount.target);
  }
  const bool at_known_places = std::ranges::all_of(
      further, [](const ReadOnlyMount& mount) { return mount.target == "/var/task" || mount.target == "/opt"; });
  if (!as_made || !at_known_places) {
    return fail(Errc::kInvalid, "sandbox {} was made for something else than {}", provisional.name, spec.name);
  }
  RootPlan rest;
  rest.tmp_bytes = spec.tmp_bytes;
  LD_TRY_VOID(add_mounts(rest, std::move(further)));
  return rest;
}

Result<RootPlan> RootTemplate::plan(const SandboxSpec& spec) {
  RootPlan plan;
  plan.provisional = spec.provisional;
  plan.tmp_bytes = spec.provisional ? kProvisionalTmpBytes : spec.tmp_bytes;
  auto add = [&plan](const std::string& source, const std::string& target, std::uint64_t attributes) {
    return add_mount(plan, source, target, attributes);
  };
  const bool own_root = !spec.root.empty();
  if (own_root) {
    if (!spec.root.starts_with("/")) return fail(Errc::kInvalid, "root at {}", spec.root);
    LD_TRY_VOID(add(spec.root, "/", kProtected));
  }
  for (const char* name : {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
    if (own_root) break;
    const std::string path = std::string("/") + name;
    char link[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), link, sizeof link);
    if (size > 0) {
      plan.links.emplace_back(name, std::string(link, static_cast<std::size_t>(size)));
    } else if (::access(path.c_str(), F_OK) == 0) {
      LD_TRY_VOID(add(path, path, kProtected));
    }
  }
  // A package upgrade replaces files such as ld.so.cache; an old mount would go on showing the old one.
  for (Shared& shared : shared_) {
    if (auto shown = show(shared); !shown && shown.error().code != Errc::kNotFound) {
      return std::unexpected(std::move(shown).error());
    }
  }
  if (own_root) {
    for (const char* name : {"/etc/hosts", "/etc/resolv.conf"}) LD_TRY_VOID(add(directory_ + name, name, kProtected));
  } else {
    LD_TRY_VOID(add(directory_ + "/etc", "/etc", kProtected));
  }
  LD_TRY_VOID(add(directory_ + "/dev", "/dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  if (spec.network == NetworkPolicy::kInternet) {
    LD_TRY_VOID(add(directory_ + "/resolv.conf", "/etc/resolv.conf", kProtected));
  }
  LD_TRY_VOID(add_mounts(plan, spec.mounts));
  for (const LinkInside& link : spec.links) {
    if (own_root) break;
    if (!target_allowed(link.path) || link.path.ends_with('/')) {
      return fail(Errc::kInvalid, "link at {}", link.path);
    }
    plan.links.emplace_back(link.path.substr(1), link.to);
  }
  return plan;
}

// --- inside ---------------------------------------------------------------------------------------------------------

namespace {

Result<void> step(int result, const char* what) {
  if (result == 0) return {};
  return fail(Errc::kDenied, "{}: {}", what, explain_namespace_failure(errno));
}

std::string tmp_size(std::uint64_t bytes) {
  return fmt::format("size={},nr_inodes={}", std::max<std::uint64_t>(bytes, 4096),
                     std::max<std::uint64_t>(bytes / kTmpBytesPerFile, 1024));
}

Result<void> attach_mounts(std::span<const PlannedMount> mounts, int root) {
  for (const PlannedMount& mount : mounts) {
    LD_TRY(UniqueFd place, make_mount_point(root, mount.target, mount.directory));
    if (auto attached = attach_tree(mount.tree, place.get(), ""); !attached) {
      return fail_with(attached.error(), mount.target);
    }
  }
  return {};
}

// Directories that stand for what a function may bring, so that the dynamic linker of a program started now does not
// note that there are none. In the new root.
Result<void> stand_in_for_libraries() {
  for (const char* place : kProvisionalPlaces) {
    LD_TRY_VOID(
        step(::mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"), "a provisional root"));
  }
  std::vector<std::string> kinds{"glibc-hwcaps"};
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4"}) kinds.push_back(kinds[0] + "/" + level);
  // Those of glibc before 2.37; every one may be missing.
  std::vector<std::string> legacy{""};
  for (const char* part : {"tls/", "haswell/", "avx512_1/", "x86_64/"}) {
    for (std::size_t i = 0, known = legacy.size(); i < known; ++i) legacy.push_back(legacy[i] + part);
  }
  std::sort(legacy.begin(), legacy.end());  // parents first
  kinds.insert(kinds.end(), legacy.begin() + 1, legacy.end());
  for (const char* directory : kLibraryDirectories) {
    ::mkdir(directory, 0755);
    // What fails here costs a function the libraries that it has for certain processors only.
    for (const std::string& kind : kinds) ::mkdir(fmt::format("{}/{}", directory, kind).c_str(), 0755);
  }
  return {};
}

}  // namespace

Result<void> build_root(const RootPlan& plan) {
  LD_TRY_VOID(step(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "leaving the host's mounts"));
  const bool own_root = !plan.mounts.empty() && plan.mounts.front().target == "/";
  // Any directory everybody may enter does: the mount is moved to / below.
  if (own_root) {
    LD_TRY_VOID(attach_tree(plan.mounts.front().tree, AT_FDCWD, "/tmp"));
  } else {
    LD_TRY_VOID(step(::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"), "making a root"));
  }
  LD_TRY_VOID(step(::chdir("/tmp"), "entering the new root"));
  UniqueFd root(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const auto& [name, to] : plan.links) {
    const std::size_t slash = name.rfind('/');
    UniqueFd parent(::dup(root.get()));
    if (slash != std::string::npos) {
      LD_TRY(parent, make_mount_point(root.get(), "/" + name.substr(0, slash), true));
    }
    const std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
    if (::symlinkat(to.c_str(), parent.get(), last.c_str()) != 0 && errno != EEXIST) {
      LD_TRY_VOID(step(-1, "making links in the root"));
    }
  }
  for (const char* path : {"/var/task", "/opt", "/tmp"}) {
    if (!own_root) LD_TRY_VOID(make_mount_point(root.get(), path, true));
  }
  // Before the mounts, so that one may lie below it: an interpreter somebody unpacked in /tmp.
  const std::string tmp_options = "mode=1777," + tmp_size(plan.tmp_bytes);
  LD_TRY_VOID(step(::mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, tmp_options.c_str()), "making /tmp"));
  LD_TRY_VOID(attach_mounts(std::span(plan.mounts).subspan(own_root ? 1 : 0), root.get()));
  if (plan.provisional) LD_TRY_VOID(stand_in_for_libraries());
  LD_TRY_VOID(mount_proc());
  LD_TRY_VOID(step(static_cast<int>(::syscall(SYS_pivot_root, ".", ".")), "changing the root"));
  LD_TRY_VOID(step(::umount2(".", MNT_DETACH), "leaving the host's root"));
  LD_TRY_VOID(step(::chdir("/"), "entering the root"));
  mount_attr read_only{.attr_set = MOUNT_ATTR_RDONLY, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
  return step(::mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof read_only), "making the root read-only");
}

Result<void> complete_root(const RootPlan& rest) {
  UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const char* place : kProvisionalPlaces) {
    LD_TRY_VOID(step(::umount2((std::string("/") + place).c_str(), MNT_DETACH), "leaving a provisional root"));
  }
  LD_TRY_VOID(attach_mounts(rest.mounts, root.get()));
  return step(::mount(nullptr, "/tmp", nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, tmp_size(rest.tmp_bytes).c_str()),
              "sizing /tmp");
}

}  // namespace lambdad::sandbox
