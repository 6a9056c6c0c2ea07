/// The process that makes and keeps sandboxes.
///
/// Forked by SandboxFactory::start_keeper before the daemon has threads; small, single-threaded, and the only one that
/// needs rights: it makes control groups and namespaces, opens mounts, and hands descriptors to the daemon. It trusts
/// the daemon, and takes from an init nothing but "ready", "started" and "exited".
///
///   daemon ──SEQPACKET──▶ keeper ──SEQPACKET──▶ init of each sandbox ──fork, exec──▶ program
///
/// End: when the daemon says stop, or is gone (end of file on the socket). Then all sandboxes are killed, their control
/// groups removed, and it exits. When the keeper itself dies, the kernel kills every init (PR_SET_PDEATHSIG) and with
/// it its pid namespace; empty control groups stay until the next start.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/sandbox.h"

namespace lambdad::sandbox {

/// Users and groups of the host that sandboxes run as when the keeper is root: two of each per sandbox, from a range
/// that systemd documents as unused (https://systemd.io/UIDS-GIDS).
inline constexpr std::uint32_t kFirstHostUid = 1'879'048'192;
inline constexpr std::uint32_t kHostUids = 131'072;

/// Serves `socket` until the daemon stops or is gone; the exit status of the process. Never throws.
int run_keeper(UniqueFd socket, const SandboxFactory::Options& options);

}  // namespace lambdad::sandbox
