/// The network of a sandbox, seen from inside its namespace, and what it must not lead to.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// Addresses whose first `bits` are those of `address` (host byte order).
struct Ipv4Network {
  std::uint32_t address = 0;
  std::uint8_t bits = 32;
  bool operator==(const Ipv4Network&) const = default;
};

/// Where a sandbox with internet lives: link-local, so that it cannot hide a network of the host. The numbers are those
/// that slirp4netns gives: .2 is its gateway, .3 its name server, .100 the sandbox.
inline constexpr Ipv4Network kSandboxNetwork{0xa9fe4e00, 24};  // 169.254.78.0/24
inline constexpr const char* kSandboxNetworkText = "169.254.78.0/24";
inline constexpr const char* kSandboxNameServer = "169.254.78.3";

/// What no sandbox reaches though it has the internet: every address this host has now, and the addresses under which
/// clouds hand out the machine's credentials (169.254.0.0/16; Azure's 168.63.129.16; Alibaba's 100.100.100.200).
std::vector<Ipv4Network> closed_networks();

/// Starts the loopback interface of the calling process's network namespace.
Result<void> start_loopback();
/// Makes connections to these fail with EHOSTUNREACH. Needs CAP_NET_ADMIN; who has lost it cannot undo it.
Result<void> close_networks(const std::vector<Ipv4Network>& networks);
/// A listening socket on 127.0.0.1 of the calling process's network; port 0 lets the kernel choose. `port` receives
/// what was bound.
Result<UniqueFd> listen_on_loopback(std::uint16_t& port);

}  // namespace lambdad::sandbox
