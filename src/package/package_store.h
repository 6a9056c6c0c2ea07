#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "observe/log.h"
#include "package/unpack.h"
#include "store/blobs.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::package {

/// The packages of all functions: zips as blobs, unpacked trees in `directory`/<sha256>, both by content.
///
/// Who needs a package holds a Ref; while one exists neither the zip nor the tree goes. Refs say nothing after a
/// restart: what lasts is `in_use`, the owner's answer to "does a stored function name this digest?". A package is
/// removed when no Ref exists and `in_use` says no, looked at when release() was called, or the last Ref went after it.
///
/// Trees are not synced; the zip is. They are therefore kept only across restarts within one boot of the machine
/// (`directory`/.boot_id) and made again from the zip otherwise.
///
/// Ownership: borrows System, Logger and Blobs, which must outlive what System::workers still runs. Threading: the
/// loop, also the end of a Ref; hashing, unzipping and file work run in System::workers. End: stop() waits for what
/// runs and removes nothing afterwards.
class PackageStore {
 public:
  struct Package {
    std::string sha256;      ///< hex
    std::uint64_t size = 0;  ///< of the zip; 0 when taken by digest
    /// Of all files, as the zip's table of contents says; only what examine() returns has it.
    std::uint64_t unzipped = 0;
  };
  using Ref = std::shared_ptr<const Package>;

  PackageStore(System& system, Logger& log, store::Blobs& blobs, std::string directory, UnpackLimits limits = {});
  ~PackageStore();
  PackageStore(const PackageStore&) = delete;
  PackageStore& operator=(const PackageStore&) = delete;

  void set_in_use(std::function<bool(const std::string& sha256)> in_use) { in_use_ = std::move(in_use); }

  /// Before anything else: makes the directory, drops half-made trees, trees of an earlier boot, and trees that
  /// `in_use` does not know.
  Async<Result<void>> start();
  Async<void> stop();

  struct Stored {
    Ref package;
    std::uint64_t unzipped = 0;  ///< bytes of all files, as the zip's table of contents says
  };
  /// Judges the zip, then stores it durably. Errors of inspect(), of Blobs.
  Async<Result<Stored>> put(std::string zip);
  /// Judges and digests only; stores nothing.
  Async<Result<Package>> examine(std::string zip);
  /// Keeps the package from being removed; does not look whether it is there.
  Ref hold(const std::string& sha256);

  struct Unpacked {
    Ref package;
    std::string directory;  ///< absolute as far as the store's own directory was
  };
  /// The unpacked tree; unpacks on first use, once for all who wait for it. kNotFound when there is no such zip.
  Async<Result<Unpacked>> unpacked(std::string sha256);
  /// Several trees laid over one another, later ones on top: the layers of a function, as /opt shows them. Made once
  /// per list, of hard links; named merged_name(), under which it is held, kept and released like a package.
  Async<Result<Unpacked>> merged(std::vector<std::string> sha256s);
  /// Hex, like a digest; of one tree that tree's own digest. `sha256s` must not be empty.
  static std::string merged_name(const std::vector<std::string>& sha256s);
  /// The zip's bytes.
  Async<Result<std::string>> zip(std::string sha256);

  /// Says that a function stopped naming the package: removes it as soon as nobody needs it.
  void release(const std::string& sha256);
  /// Waits until removals that were due have been done.
  Async<void> settle();

 private:
  struct State;
  std::string tree(const std::string& sha256) const { return directory_ + "/" + sha256; }
  Async<void> remove_unneeded(std::string sha256);

  System& system_;
  Logger& log_;
  store::Blobs& blobs_;
  std::string directory_;
  UnpackLimits limits_;
  std::function<bool(const std::string&)> in_use_;
  std::shared_ptr<State> state_;
  KeyedMutex busy_;
  TaskGroup tasks_;
};

}  // namespace lambdad::package
