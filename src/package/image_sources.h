#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "observe/log.h"
#include "package/image_store.h"
#include "system/system.h"

namespace lambdad::package {

/// The registry inside lambdad, as far as image URIs lead to it. Its blobs are those of the ImageStore.
struct EmbeddedRegistry {
  virtual ~EmbeddedRegistry() = default;
  /// Whether `registry` (host or host:port) is this one.
  virtual bool serves(const std::string& registry) const = 0;
  /// The digest that a tag or digest stands for; `account` and `region` are the caller's, for a registry name that says
  /// nothing of them. kNotFound.
  virtual Result<std::string> find(const ImageReference& image, const std::string& account,
                                   const std::string& region) const = 0;
};

/// Where images of functions come from: from an image URI to blobs in the ImageStore. Images of the embedded registry
/// are there already; others are pulled.
///
/// Ownership: borrows System, Logger, the store and the registry. Threading: the loop; transfers run in threads of its
/// own. End: stop() breaks off what runs.
class ImageSources {
 public:
  ImageSources(System& system, Logger& log, ImageStore& store);
  ~ImageSources();
  void set_embedded(const EmbeddedRegistry* registry) { embedded_ = registry; }
  ImageStore& store() { return store_; }
  Async<void> stop();

  struct Resolved {
    std::string digest;        ///< of the manifest for this machine
    std::string resolved_uri;  ///< "registry/repository@sha256:…"
    ImageStore::Ref image;     ///< keeps what was fetched until a row names it
    std::vector<ImageBlobs::Hold> blobs;
  };
  /// Finds the image for this machine and fetches manifest and configuration, not yet the layers. Errors: kInvalid (the
  /// URI, or an image that cannot be run), kNotFound, kDenied, kUnavailable, kTimedOut, kTooLarge, kCorrupt.
  Async<Result<Resolved>> resolve(std::string uri, std::string account, std::string region);
  /// Fetches what is missing of an image that was resolved, then unpacks it. Errors as resolve() and
  /// ImageStore::unpacked().
  Async<Result<ImageStore::Unpacked>> fetch(std::string uri, std::string digest);

 private:
  System& system_;
  Logger& log_;
  ImageStore& store_;
  const EmbeddedRegistry* embedded_ = nullptr;
  std::atomic<bool> stopping_ = false;
  WorkerPool pullers_;
};

}  // namespace lambdad::package
