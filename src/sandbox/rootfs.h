/// The file system a function sees.
///
/// /            tmpfs, read-only once built; everything below is read-only unless said otherwise
/// /usr         the host's; /bin, /sbin, /lib* likewise, or the same symbolic links as on the host
/// /etc         made by us (passwd, group, hosts, resolv.conf, nsswitch.conf) plus a few of the host's: see kHostEtc
/// /dev         null, zero, full, random, urandom and the links fd, stdin, stdout, stderr; no /dev/shm, as on AWS
/// /proc        of the sandbox's own processes, other users' hidden, the host-wide files masked
/// /tmp         tmpfs of the size asked for, writable, programs may run from it
/// /var/task, /opt and the mounts of the spec
///
/// With a root of its own (SandboxSpec::root) that tree is / as it is, read-only, with /proc, /dev, /tmp, /etc/hosts,
/// /etc/resolv.conf and the spec's mounts over it; nothing of the host's files is in it.
///
/// There is no /sys. The keeper, which may look into private directories of the host, opens each tree as a detached
/// mount; init, which may not, attaches them. So an interpreter under /root works though /root itself is closed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "sandbox/sandbox.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// The user a function runs as. Source: observed on AWS: uid=993(sbx_user1051) gid=990 groups=990.
inline constexpr uid_t kFunctionUid = 993;
inline constexpr gid_t kFunctionGid = 990;

/// A mount not yet attached anywhere. Read-only, nosuid and nodev already hold.
struct PlannedMount {
  UniqueFd tree;
  std::string target;
  bool directory = true;
};

struct RootPlan {
  std::vector<PlannedMount> mounts;                        ///< parents before children; the first may be "/" itself
  std::vector<std::pair<std::string, std::string>> links;  ///< path below /, what it points to
  std::uint64_t tmp_bytes = 0;
  bool provisional = false;  ///< see SandboxSpec
};

/// Gives the calling process a mount namespace of its own that follows the host's mounts but shows it none. Without
/// the right to do that, makes a user namespace first, in which the process keeps its own user and group numbers.
/// Error: kDenied, in words for the user, when the host allows neither.
Result<void> enter_own_mount_namespace();
/// Whether this process may give sandboxes user numbers of their own (root with the whole range mapped).
bool may_map_any_user();
/// Why namespaces fail here and what to do about it.
std::string explain_namespace_failure(int error_number);

/// What all sandboxes share of their root: /etc and /dev, kept in a tmpfs that only the keeper sees.
class RootTemplate {
 public:
  /// `directory` is where the tmpfs goes; made if absent. Needs enter_own_mount_namespace().
  static Result<RootTemplate> make(const std::string& directory);
  /// Opens everything a sandbox needs. Errors: kNotFound when a source does not exist, kDenied, kInvalid for a target
  /// that is not absolute, contains "..", or lies in /proc or /dev.
  Result<RootPlan> plan(const SandboxSpec& spec);
  /// The same for what assign() adds to a provisional sandbox: mounts and the size of /tmp.
  static Result<RootPlan> plan_rest(const SandboxSpec& provisional, const SandboxSpec& spec);

 private:
  struct Shared {
    std::string source;  // on the host
    std::string place;   // in the template
    dev_t device = 0;
    ino_t inode = 0;
  };
  Result<void> show(Shared& shared);
  std::string directory_;
  std::vector<Shared> shared_;
};

/// In the new namespaces, with all capabilities in them: builds the root, enters it and leaves the host's behind.
Result<void> build_root(const RootPlan& plan);
/// In a provisional root, later: shows the mounts of `rest` and gives /tmp its size. Programs may run.
Result<void> complete_root(const RootPlan& rest);

}  // namespace lambdad::sandbox
