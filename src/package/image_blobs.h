#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "system/files.h"

namespace lambdad::package {

/// The bytes of images by content: manifests, configurations and layers, as files `directory`/sha256/<hex>.
///
/// Unlike store::Blobs it never holds a blob in memory: layers have gigabytes and come in pieces. A file is named only
/// after its digest was computed and it was synced; who names a blob in a row may commit the row next.
/// Removal is by sweep(): whoever is about to name a blob takes a Hold first and looks whether it is there afterwards,
/// so a sweep that began earlier cannot take it away in between.
/// Threading: any thread; calls block. Errors: those of Files, and as said below.
class ImageBlobs {
  struct Held {
    std::mutex mutex;
    std::map<std::string, int> counts;  // by digest
  };

 public:
  /// Creates the directories with start().
  ImageBlobs(Files& files, std::string directory);

  /// Makes the directories and removes what was half written when an earlier process ended.
  Result<void> start();

  /// Keeps one digest from sweep() while it exists. Movable; may outlive the blobs.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept = default;
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { release(); }

   private:
    friend class ImageBlobs;
    Hold(std::shared_ptr<Held> held, std::string digest);
    void release();
    std::shared_ptr<Held> held_;
    std::string digest_;
  };
  Hold hold(const std::string& digest) { return Hold(held_, digest); }

  struct Stored {
    std::string digest;
    std::uint64_t size = 0;
    Hold hold;
  };
  /// A blob that is being written. One thread at a time. Destroyed without finish(): nothing stays.
  class Writer {
   public:
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    Result<void> append(std::string_view bytes);
    std::uint64_t size() const { return size_; }
    /// Where the bytes lie until finish(): for who only wants them on disk for a while.
    const std::string& path() const { return path_; }
    /// Names and syncs it. kConflict when `expected` is given and the bytes have another digest: nothing stays.
    Result<Stored> finish(const std::string& expected = {});

   private:
    friend class ImageBlobs;
    Writer(ImageBlobs& blobs, UniqueFd file, std::string path);
    ImageBlobs& blobs_;
    UniqueFd file_;
    std::string path_;
    Sha256 hash_;
    std::uint64_t size_ = 0;
  };
  Result<std::unique_ptr<Writer>> begin();
  Result<Stored> put(std::string_view bytes);

  /// kNotFound.
  Result<std::uint64_t> size(const std::string& digest) const;
  bool has(const std::string& digest) const { return size(digest).has_value(); }
  /// The whole of a small blob, compared with its digest. kNotFound, kTooLarge, kCorrupt.
  Result<std::string> read(const std::string& digest, std::size_t bytes_max) const;
  /// Up to `count` bytes from `offset`; empty at the end. Not compared with the digest.
  Result<std::string> read_at(const std::string& digest, std::uint64_t offset, std::size_t count) const;
  /// Of a valid digest; the file may be absent.
  std::string path(const std::string& digest) const;

  /// Removes every blob that is neither in `keep` nor held. Returns how many went.
  Result<std::size_t> sweep(const std::set<std::string>& keep);

 private:
  Files& files_;
  std::string directory_;
  std::shared_ptr<Held> held_ = std::make_shared<Held>();
};

}  // namespace lambdad::package
