#include "sandbox/host.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <climits>

#include "base/encoding.h"
#include "base/hash.h"
#include "sandbox/outbound.h"

namespace lambdad::sandbox {

namespace {

std::string read_all(const char* path) {
  UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t size; file && (size = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

}  // namespace

void Host::prepare() {
  if (auto prepared = try_prepare(); !prepared) refusal_ = prepared.error();
}

Result<void> Host::try_prepare() {
  const std::string& directory = options_.state_directory;
  LD_TRY_VOID(RealFiles().make_directories(directory));
  LD_TRY(lock_, StateLock::take(directory));
  char resolved[PATH_MAX];
  if (::realpath(directory.c_str(), resolved) == nullptr) return system_error(errno, directory);
  const std::string tag = hex_encode(sha256(resolved)).substr(0, 12);
  cgroups_ = std::make_unique<CgroupDriver>(
      CgroupPlaces::parse(read_all("/proc/self/mountinfo"), read_all("/proc/self/cgroup")), tag,
      directory + "/control-groups");
  remove_tree(directory + "/tmp");
  if (::mkdir((directory + "/tmp").c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(errno, "making " + directory + "/tmp");
  }
  if (!namespaces()) return {};
  own_users_ = may_map_any_user();
  LD_TRY_VOID(enter_own_mount_namespace());
  LD_TRY(roots_, RootTemplate::make(directory + "/template"));
  template_directory_ = directory + "/template";
  slirp_ = Outbound::find_program();
  if (own_users_) tun_node_ = Outbound::make_tun_node(template_directory_);
  LD_TRY(seccomp_, make_seccomp_program());
  // As root nobody but root may look at us. An ordinary user's keeper stays dumpable: it could not write the user maps
  // of its children otherwise, and to that user's other processes it is no secret.
  if (own_users_) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

void Host::close() {
  if (template_directory_.empty()) return;
  ::umount2(template_directory_.c_str(), MNT_DETACH);
  ::rmdir(template_directory_.c_str());
}

Capabilities Host::describe() const {
  Capabilities what;
  if (cgroups_) {
    what.cgroup_mode = cgroups_->mode();
    what.memory_limit = cgroups_->limits_memory();
    what.pids_limit = cgroups_->limits_pids();
    what.cpu_limit = cgroups_->limits_cpu();
    what.freezer = cgroups_->freezes();
    what.missing = cgroups_->missing();
  }
  what.seccomp = !seccomp_.empty();
  if (!namespaces()) {
    what.internet = true;  // nothing keeps a plain process from it
  } else if (slirp_.empty()) {
    what.internet_hint = "apt install slirp4netns";
  } else if (tun_node_.empty() && ::access("/dev/net/tun", R_OK | W_OK) != 0) {
    what.internet_hint = "let the user of lambdad open /dev/net/tun (modprobe tun; chmod 0666 /dev/net/tun)";
  } else {
    what.internet = true;
  }
  if (refusal_) what.missing.push_back(refusal_->detail);
  return what;
}

}  // namespace lambdad::sandbox
