#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "package/oci.h"

namespace lambdad::package {

/// Reads from a container registry over the distribution API (v2), for one image at a time.
///
/// HTTPS with the system's certificates; plain HTTP only for registries on the loopback, as Docker does. Anonymous: a
/// registry that wants a Bearer token is asked for an anonymous one, any other wish for credentials is kDenied.
/// Redirects are followed (layers usually lie elsewhere) and never from HTTPS to HTTP; the token stays with its host.
/// Nothing received is trusted: manifests are compared with the digest asked for, blobs by who stores them.
/// Threading: one thread at a time; calls block until done, a stalled transfer for half a minute, or `cancelled`.
/// Errors: kNotFound, kDenied, kUnavailable (no connection, 5xx, 429), kTimedOut, kTooLarge, kCorrupt, kClosed
/// (cancelled).
class RegistryClient {
 public:
  /// `cancelled` outlives the client.
  RegistryClient(std::string registry, std::string repository, const std::atomic<bool>& cancelled);
  ~RegistryClient();
  RegistryClient(const RegistryClient&) = delete;
  RegistryClient& operator=(const RegistryClient&) = delete;

  struct Document {
    std::string bytes;
    std::string media_type;
    std::string digest;
  };
  /// `reference`: a tag or a digest.
  Result<Document> manifest(const std::string& reference);
  /// Hands the bytes of a blob to `sink` piece by piece; at most `size` of them. An error of `sink` ends the transfer.
  Result<void> blob(const std::string& digest, std::uint64_t size,
                    const std::function<Result<void>(std::string_view)>& sink);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad::package
