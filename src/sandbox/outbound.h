/// The way out of a sandbox with NetworkPolicy::kInternet: a slirp4netns process that takes packets from a tap device
/// inside and sends them on as an ordinary program of the host would.
///
/// slirp4netns refuses the host's loopback; closed_networks() are closed inside. It reads what a hostile function
/// sends, so it has nothing to give: with lambdad as root it is the sandbox's user 0, which is nobody on the host, has
/// no capabilities there and sees /etc and /run only; under an ordinary user it is that user. Its own seccomp filter
/// holds in both. One process of about 3 MB per sandbox, about 10 ms; sandboxes of the other policies have none.
/// Threading: the keeper only.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"
#include "system/files.h"

namespace lambdad::sandbox {

class Outbound {
 public:
  /// Path of the program, fixed places only; empty when it is not installed.
  static std::string find_program();
  /// A device node for tap devices that every user may open, in `directory`, which must allow devices: on some hosts
  /// /dev/net/tun is root's alone. Empty when it cannot be made; then /dev/net/tun itself must do.
  static std::string make_tun_node(const std::string& directory);

  struct Options {
    std::string program;
    std::string tun_node;
    pid_t init = -1;         ///< whose user and network namespaces it serves
    bool own_users = false;  ///< those namespaces have a user 0 that is nobody on the host
  };
  /// Starts it. It is ready when ready() is readable and confirm() says so.
  static Result<Outbound> start(const Options& options);

  Outbound() = default;
  /// Readable when it serves, or has ended.
  int ready() const { return ready_.get(); }
  /// After ready(): an error says why it does not serve, in its own words.
  Result<void> confirm();
  int pidfd() const { return pidfd_.get(); }
  /// Tells it to end; then reap() until it is true.
  void end();
  /// True when no process is left. Does not wait.
  bool reap();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd ready_;   // it writes one byte
  UniqueFd alive_;   // it ends when this closes: also when the keeper dies
  UniqueFd errors_;  // its stderr
};

}  // namespace lambdad::sandbox
