/// Limits, freezing and accounting by control groups, whichever version the host has.
///
/// "v1": one tree per controller; "v2": one tree for all; "hybrid": limits in v1 trees, while the empty v2 tree beside
/// them still freezes and kills. Everything is made below the group the keeper was started in, in one directory named
/// lambdad-<tag>; the tag is made from the state directory, so that two daemons never touch each other's.
/// Threading: the keeper only. No call throws; what the host refuses is left out and described in words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sandbox/sandbox.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// What of /proc/self/mountinfo and /proc/self/cgroup matters: where this process's own groups are.
struct CgroupPlaces {
  std::string memory, pids, cpu, freezer;  ///< directory of the own group in the v1 tree of that controller; "" if none
  std::string unified;                     ///< the same in the v2 tree
  static CgroupPlaces parse(std::string_view mountinfo, std::string_view self_cgroup);
};

struct CgroupLimits {
  std::uint64_t memory_bytes = 0;  ///< 0: unlimited
  std::uint32_t pids = 0;          ///< 0: unlimited
};

/// What to write to open_cpu_file(): no limit, or `millis` thousandths of a CPU in every period of 20 ms. A shorter
/// period than the kernel's usual 100 ms makes for shorter pauses; 20 ms still gives 128 MB (1.4 ms) more than the
/// kernel's minimum of 1 ms.
std::string cpu_limit_text(bool v2, CpuPhase phase, std::uint32_t millis);

/// The groups of one sandbox. Movable value; remove() is explicit because it may have to be repeated.
class SandboxCgroup {
 public:
  SandboxCgroup() = default;
  /// Sets what holds from now on. Error: the kernel's, with the file.
  Result<void> limit(const CgroupLimits& limits) const;
  /// The v1 groups' lists of processes, open for writing: a process that writes "0" enters. Moving waits for the kernel
  /// (5-20 ms), so the init does it itself while the keeper goes on.
  Result<std::vector<UniqueFd>> open_entries() const;
  /// Directory to give to clone3 with CLONE_INTO_CGROUP; -1 when there is no v2 tree.
  int clone_target() const { return v2_directory_.get(); }
  void thaw() const;
  /// Kills every process in the group; false where only the death of the pid namespace's init can do it (v1).
  bool kill_all() const;
  /// What MemoryUse reads; none when memory cannot be limited here.
  std::vector<UniqueFd> open_memory_files() const;
  /// How often the OOM killer has struck here.
  std::uint64_t oom_kills() const;
  /// Files handed to the daemon, -1 when the host has none; see CreatedReply.
  UniqueFd open_peak_file() const;
  UniqueFd open_freeze_file() const;
  bool freezer_is_v1() const;
  UniqueFd open_cpu_file() const;
  bool cpu_is_v2() const { return v2_cpu_; }
  /// Removes the directories. False while the kernel still has processes in them: call again shortly.
  bool remove();

 private:
  friend class CgroupDriver;
  std::string memory_, pids_, cpu_, freezer_;  // v1 directories
  std::string unified_;                        // v2 directory
  bool v2_memory_ = false, v2_pids_ = false, v2_cpu_ = false;
  UniqueFd v2_directory_;
};

/// What the processes of one group use: their own memory, and that plus files they touched and what /tmp holds.
class MemoryUse {
 public:
  MemoryUse() = default;
  /// `files` from open_memory_files().
  explicit MemoryUse(std::vector<UniqueFd> files) : files_(std::move(files)) {}
  bool known() const { return files_.size() == 2; }
  /// Everything the kernel counts for the group; cheap. 0 when it cannot be read.
  std::uint64_t charged_bytes() const;
  /// Private and shared memory, the files in tmpfs included; what can be written back or read again is left out.
  std::uint64_t held_bytes() const;

 private:
  std::vector<UniqueFd> files_;  // usage, statistics
};

class CgroupDriver {
 public:
  /// Finds out what can be done and makes lambdad-<tag> in each tree. `note_file` keeps the paths, for the sweep of a
  /// later start from another group. Removes what an earlier keeper with this tag left, killing what still runs in it.
  CgroupDriver(const CgroupPlaces& places, std::string tag, std::string note_file);
  ~CgroupDriver();
  CgroupDriver(const CgroupDriver&) = delete;
  CgroupDriver& operator=(const CgroupDriver&) = delete;

  Result<SandboxCgroup> create(const std::string& name);

  bool limits_memory() const { return !memory_.empty() || v2_memory_; }
  bool limits_pids() const { return !pids_.empty() || v2_pids_; }
  bool limits_cpu() const { return !cpu_.empty() || v2_cpu_; }
  bool freezes() const { return !unified_.empty() || !freezer_.empty(); }
  const std::string& mode() const { return mode_; }
  /// One line for each thing the host does not let us do, and what to do about it.
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  /// "" when it cannot be made; the first reason is kept.
  std::string make_base(const std::string& own_group);
  void enable_v2_controllers(const std::string& own_group);
  void sweep();
  void describe_missing(const CgroupPlaces& places);
  std::string tag_, note_file_, mode_ = "none";
  std::string memory_, pids_, cpu_, freezer_, unified_;  // our base directories
  bool v2_memory_ = false, v2_pids_ = false, v2_cpu_ = false;
  std::string refusal_;
  std::vector<std::string> missing_;
};

}  // namespace lambdad::sandbox
