/// Signatures of messages, made once each and not on the loop.
#pragma once

#include <memory>
#include <string>

#include "services/sns/message.h"
#include "services/sns/signer.h"
#include "services/sns/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::sns {

/// The service's key, made and stored when it is needed first, so that a daemon nobody publishes with starts at once.
///
/// A message that goes to many subscriptions is signed once: the last signatures are kept.
/// Ownership: system and store outlive it. Threading: the loop; the computing is done by the worker pool.
class Signing {
 public:
  /// `signer`: of an earlier run, or null.
  Signing(System& system, Store& store, std::shared_ptr<const Signer> signer)
      : system_(system), store_(store), signer_(std::move(signer)), busy_(system.loop) {}

  /// Errors of the store.
  Async<Result<std::shared_ptr<const Signer>>> signer();
  /// Of the text that the message has for `protocol`.
  Async<Result<std::string>> sign(MessagePtr message, Protocol protocol, std::string subscribe_url);

 private:
  static constexpr std::size_t kKept = 256;
  System& system_;
  Store& store_;
  std::shared_ptr<const Signer> signer_;
  KeyedMutex busy_;
  std::map<std::string, std::string> signatures_;
};

}  // namespace lambdad::sns
