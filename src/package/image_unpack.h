#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace lambdad::package {

struct ImageLimits {
  /// Of all layers' uncompressed tars together. Source: Lambda Developer Guide, "Lambda quotas", container image code
  /// package size: 10 GB uncompressed, all layers included.
  std::uint64_t unpacked_bytes_max = 10ull * 1024 * 1024 * 1024;
  std::uint64_t nodes_max = 1'000'000;  ///< entries of all layers; our choice
  std::size_t depth_max = 200;          ///< directories inside one another; our choice
};

struct ImageReport {
  std::uint64_t bytes = 0;    ///< of the layers' uncompressed tars
  std::uint64_t nodes = 0;    ///< entries seen
  std::uint64_t dropped = 0;  ///< devices, pipes and sockets
};

/// Makes the file tree of an image from its layers, the lowest first.
///
/// libarchive only reads (tar, uncompressed or in gzip or zstd); everything that is written goes through descriptors
/// that openat2 has resolved inside the tree, where links, absolute ones too, are followed as the image's own programs
/// will see them. So no name, link or order of entries leads outside, and links that point anywhere are harmless.
///
/// Kept: names as bytes (an absolute one means the tree's root), files, directories, symbolic and hard links,
/// permission bits, modification times of files. A later entry replaces an earlier one; a directory stays when the new
/// entry is one too. Whiteouts (`.wh.NAME`, `.wh..wh..opq`) hide what lower layers have and never what their own layer
/// has, wherever in the layer they stand. Dropped: devices, pipes, sockets, owners, set-user-id, set-group-id and
/// sticky bits, extended attributes. The owner may always read and write, so that the tree can be removed again.
/// Refused: "..", names or depths beyond the limits, a hard link to what is not there, a parent that is no directory.
///
/// Not synced. After an error the directory holds part of the image; the caller removes it. One thread; blocks.
/// Errors: kInvalid (the image), kTooLarge, kConflict (the tar is not the one that `diff_id` names), and of the file
/// system kUnavailable, kDenied, kInternal.
class ImageUnpacker {
 public:
  /// `directory` exists and is empty.
  static Result<std::unique_ptr<ImageUnpacker>> open(const std::string& directory, const ImageLimits& limits);
  ~ImageUnpacker();
  ImageUnpacker(const ImageUnpacker&) = delete;
  ImageUnpacker& operator=(const ImageUnpacker&) = delete;

  /// `diff_id`: the digest of the uncompressed tar; empty: not compared.
  Result<void> apply(const std::string& layer_file, const std::string& diff_id);
  /// After the last layer: makes the places that a sandbox mounts over, since nothing can be made in a read-only tree:
  /// /proc, /dev, /tmp as directories, /etc/hosts and /etc/resolv.conf as files.
  Result<ImageReport> finish();

 private:
  class Impl;
  explicit ImageUnpacker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The names of the programs directly in `directory` of an unpacked tree, sorted; links are followed as the image's own
/// programs will see them. Empty when there is no such directory. Blocks.
std::vector<std::string> programs_in(const std::string& tree, const std::string& directory);

}  // namespace lambdad::package
