/// Making the bare part of a sandbox: a process in namespaces and control groups of its own that waits for its plan.
///
/// The namespaces are what a sandbox costs most of (the network's, 0.2 ms and serialised in the kernel), and nothing of
/// them depends on the function; the keeper makes them ahead.
/// Threading: the keeper only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "sandbox/cgroups.h"
#include "sandbox/init.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// Numbers for pairs of users of the host, one pair per sandbox; a number given back is used again.
class UserSlots {
 public:
  std::uint32_t take();
  void give_back(std::uint32_t slot) { free_.push_back(slot); }

 private:
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

struct SpawnedInit {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd channel;  ///< to run_init
};

/// Clones an init in `group`, with the users of `slot` when `setting.own_users`; fills setting.group_entries. Errors:
/// kDenied, in words for the user, when the host allows no namespaces; kInternal. Nothing is left after an error.
Result<SpawnedInit> spawn_init(InitSetting& setting, const SandboxCgroup& group, std::uint32_t slot);

}  // namespace lambdad::sandbox
