#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "observe/log.h"
#include "package/image_blobs.h"
#include "package/image_unpack.h"
#include "package/oci.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::package {

/// The images of all functions and of the embedded registry: their blobs, and for functions the unpacked trees, under
/// `directory`: blobs/ and trees/<hex of the manifest's digest>. An image is named by the digest of its manifest, never
/// of an index.
///
/// What stays is what somebody names: the owners of rows say what they name when they are asked (add_roots), and a Ref
/// keeps an image while somebody works with it. collect_later() removes the rest; it is called by who stops naming
/// something. Trees are not synced, so they are kept across restarts within one boot of the machine only, as those of
/// PackageStore.
///
/// Ownership: borrows System and Logger. Threading: the loop, also the end of a Ref; what blocks runs in
/// System::workers. End: stop() waits for what runs.
class ImageStore {
 public:
  ImageStore(System& system, Logger& log, std::string directory, ImageLimits limits = {});
  ~ImageStore();
  ImageStore(const ImageStore&) = delete;
  ImageStore& operator=(const ImageStore&) = delete;

  /// What an owner of rows names, as digests.
  struct Roots {
    std::set<std::string> images;     ///< manifests whose trees are kept too
    std::set<std::string> manifests;  ///< with everything they refer to
    std::set<std::string> blobs;
    bool everything = false;  ///< an owner cannot say: nothing is removed
  };
  /// Asked on the loop whenever something is to be removed, also after the owner has gone: it then says `everything`.
  void add_roots(std::function<void(Roots&)> roots) { roots_.push_back(std::move(roots)); }

  /// Before anything else: removes what is half made and trees of an earlier boot. When all owners of rows know what
  /// they name, collect_later() removes what an earlier process no longer could.
  Async<Result<void>> start();
  Async<void> stop();

  ImageBlobs& blobs() { return blobs_; }

  struct Held {
    std::string digest;
  };
  using Ref = std::shared_ptr<const Held>;
  /// Keeps image, blobs and tree; does not look whether they are there.
  Ref hold(const std::string& digest);

  struct Image {
    Manifest manifest;
    ImageConfig config;
  };
  /// Reads manifest and configuration from the blobs and judges whether this machine can run the image.
  /// The caller holds it. kNotFound when a blob is missing, kInvalid, kTooLarge, kCorrupt.
  Async<Result<Image>> inspect(std::string digest);

  struct Unpacked {
    Ref image;
    std::string directory;
    ImageConfig config;
    std::vector<std::string> extensions;  ///< programs in its /opt/extensions
  };
  /// The unpacked tree; unpacks on first use, once for all who wait for it. Errors: those of inspect() and of
  /// ImageUnpacker; kNotFound when a layer is missing.
  Async<Result<Unpacked>> unpacked(std::string digest);

  /// Somebody stopped naming something: looks for what can go, soon and once for many calls.
  void collect_later();
  /// Waits until removals that were due have been done.
  Async<void> settle() { co_await tasks_.drain(); }

 private:
  struct State;
  Roots named() const;
  Async<void> collect();
  std::string tree(const std::string& digest) const { return trees_ + "/" + digest_hex(digest); }

  System& system_;
  Logger& log_;
  ImageBlobs blobs_;
  std::string trees_;
  ImageLimits limits_;
  std::vector<std::function<void(Roots&)>> roots_;
  std::shared_ptr<State> state_;
  KeyedMutex busy_;
  bool collecting_ = false;
  TaskGroup tasks_;
};

}  // namespace lambdad::package
