/// What the keeper finds and prepares once, for all sandboxes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "sandbox/cgroups.h"
#include "sandbox/rootfs.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/state_directory.h"

namespace lambdad::sandbox {

/// The keeper's directory, control groups, the common part of every root, the system call filter, and the way out.
/// Ownership: owns them; what it made on the host goes with close(). Threading: the keeper only.
class Host {
 public:
  explicit Host(const SandboxFactory::Options& options) : options_(options) {}
  /// Once, before any sandbox: changes this process's namespaces and whether others may look at it. When it fails no
  /// sandbox can be made, for the reason in refusal().
  void prepare();
  const std::optional<Error>& refusal() const { return refusal_; }
  /// Newcomers wait from now on for the end of this keeper.
  void cleaning_up() { lock_.cleaning_up(); }
  void close();

  bool namespaces() const { return options_.isolation == Isolation::kNamespaces; }
  /// Sandboxes have users of their own on the host.
  bool own_users() const { return own_users_; }
  /// There after prepare() without a refusal.
  CgroupDriver& cgroups() const { return *cgroups_; }
  RootTemplate& roots() { return roots_; }
  const SeccompProgram& seccomp() const { return seccomp_; }
  /// slirp4netns; empty when there is none.
  const std::string& outbound_program() const { return slirp_; }
  const std::string& tun_node() const { return tun_node_; }  ///< see Outbound
  Capabilities describe() const;

 private:
  Result<void> try_prepare();

  const SandboxFactory::Options& options_;
  StateLock lock_;
  std::unique_ptr<CgroupDriver> cgroups_;
  RootTemplate roots_;
  std::string template_directory_;
  SeccompProgram seccomp_;
  std::string slirp_, tun_node_;
  bool own_users_ = false;
  std::optional<Error> refusal_;
};

}  // namespace lambdad::sandbox
