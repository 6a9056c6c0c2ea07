#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lambdad::package {

/// Bounds of one package.
struct UnpackLimits {
  /// Sum of all files. Source: Lambda Developer Guide, "Lambda quotas": 250 MB unzipped, 262144000 bytes.
  std::uint64_t unzipped_bytes_max = 262'144'000;
  /// Files, links and directories, also the directories that are only implied. AWS names no number; this one keeps
  /// an archive of empty entries from using up the inodes of the host.
  std::size_t nodes_max = 100'000;
  std::size_t links_max = 10'000;
  std::size_t path_bytes_max = 1024;
  std::size_t component_bytes_max = 255;
};

enum class EntryKind { kFile, kDirectory, kSymlink };

struct ZipEntry {
  std::string path;  ///< relative, components separated by single slashes, no trailing slash
  EntryKind kind = EntryKind::kFile;
  bool executable = false;
  std::uint64_t size = 0;   ///< as the archive claims
  std::uint64_t index = 0;  ///< in the archive
  std::string link_target;  ///< of a symbolic link
};

/// A zip whose table of contents has been read and accepted.
///
/// open() applies every rule that can be judged without decompressing files: the README has the list. Symbolic links
/// are read and resolved against the other entries.
/// Ownership: `bytes` must outlive the archive. Threading: one thread at a time, any; blocks only for memory.
class ZipArchive {
 public:
  /// kInvalid: no zip, or an entry that is refused (named in `detail`); kTooLarge: more than `limits` allow.
  static Result<ZipArchive> open(std::string_view bytes, const UnpackLimits& limits);

  ZipArchive(ZipArchive&&) noexcept;
  ZipArchive& operator=(ZipArchive&&) noexcept;
  ~ZipArchive();

  /// Directories before what is in them; implied ones included.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  std::uint64_t claimed_bytes() const { return claimed_bytes_; }

  /// Streams the bytes of one file to `sink` in pieces of at most 64 KiB; `sink` returns an error to stop. kInvalid
  /// when the data is damaged or its length is not what the table of contents claims.
  template <class Sink>
  Result<void> read(const ZipEntry& entry, Sink sink) const {
    return read_pieces(
        entry, [](void* context, std::string_view piece) { return (*static_cast<Sink*>(context))(piece); }, &sink);
  }

 private:
  struct Handle;
  ZipArchive();
  Result<void> read_table(const UnpackLimits& limits);
  Result<void> read_pieces(const ZipEntry& entry, Result<void> (*sink)(void*, std::string_view), void* context) const;

  std::unique_ptr<Handle> handle_;
  std::vector<ZipEntry> entries_;
  std::uint64_t claimed_bytes_ = 0;
};

/// Whether following the link at `path` with `target` stays inside the tree that `links` (path -> target of every
/// link, this one included) belongs to. Pure; gives up after 40 links, as Linux does,
/// and after 1000 components.
bool link_stays_inside(std::string_view path, std::string_view target,
                       const std::vector<std::pair<std::string, std::string>>& links_sorted_by_path);

/// The normal form of an entry's name, or why it is refused. `.` components vanish; a trailing slash is dropped.
Result<std::string> normalise_entry_name(std::string_view name, const UnpackLimits& limits);

}  // namespace lambdad::package
