/// Process 1 of a sandbox: builds the sandbox from inside, then starts, signals and reaps on request of the keeper.
///
/// While a program runs it also looks, 10 to 200 times a second, at how much memory the sandbox uses: /tmp is memory to
/// the kernel and disk on AWS, so the kernel's limit is the memory size and /tmp together, and what a program takes of
/// its own beyond the memory size is found and ended here. Frozen with its program, it costs nothing between
/// invocations.
///
/// In a provisional sandbox it keeps the right to mount until it has been told what the sandbox is for; no code of a
/// function is there before that.
///
/// It does nothing else: no files, one socket. Programs cannot reach it: they are other users (or, under an
/// ordinary user, without the right to trace), it is not dumpable, and the kernel drops signals to process 1 that
/// come from inside. When the keeper is gone it ends, and the kernel ends the rest of the pid namespace with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/network.h"
#include "sandbox/protocol.h"
#include "sandbox/rootfs.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp_filter.h"

namespace lambdad::sandbox {

/// What init knows when it is made. It then enters the control groups and waits to be told what to become.
struct InitSetting {
  Isolation isolation = Isolation::kNamespaces;
  bool own_users = false;  ///< user 0 and kFunctionUid are mapped to different users of the host
  const SeccompProgram* seccomp = nullptr;
  std::vector<UniqueFd> group_entries;  ///< SandboxCgroup::open_entries
};

/// What it is told with kGo; the trees of `root.mounts` and then `memory_files` travel as descriptors. With kAssign, of
/// a provisional sandbox, only the further mounts, tmp_bytes and memory_bytes count.
struct InitPlan {
  RootPlan root;
  NetworkPolicy network = NetworkPolicy::kEndpointOnly;
  std::vector<Ipv4Network> closed;     ///< kInternet: networks that stay unreachable
  std::uint64_t memory_bytes = 0;      ///< more than this, files in /tmp not counted, ends the program; 0: whatever
  std::vector<UniqueFd> memory_files;  ///< SandboxCgroup::open_memory_files; may be none
  std::uint16_t runtime_api_port = 0;
  std::uint16_t endpoint_port = 0;
  std::uint64_t processes_max = 0;
  std::vector<ReadOnlyMount> mounts;  ///< kProcess: paths below a target mean the source
  std::string tmp_directory;          ///< kProcess: TMPDIR
};

/// The kGo or kAssign packet of `sandbox`, without its descriptors, and back.
Encoder encode_plan(Op op, std::uint64_t sandbox, const InitPlan& plan);
Result<InitPlan> decode_plan(Decoder& message, std::vector<UniqueFd> descriptors);

/// Runs in the child that clone3 made, on the keeper's heap as it was; never returns.
[[noreturn]] void run_init(const InitSetting& setting, int channel);

}  // namespace lambdad::sandbox
