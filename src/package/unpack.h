#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "package/zip_archive.h"

namespace lambdad::package {

struct UnpackReport {
  std::size_t nodes = 0;    ///< files, links, directories
  std::uint64_t bytes = 0;  ///< of files; claimed ones for inspect()
};

/// Judges an archive without writing: whether it is one, and whether unpack() would refuse its table of contents.
/// Data that turns out damaged while it is decompressed is found by unpack() only. Any thread.
/// Errors: kInvalid, kTooLarge, with what is wrong in `detail`.
Result<UnpackReport> inspect(std::string_view zip, const UnpackLimits& limits = {});

/// Writes the archive into `directory`, which must exist and be empty. Directories 0755, files 0644 or 0755, whatever
/// the process's umask; links last. Nothing outside `directory` is ever written, even if somebody changes it meanwhile.
///
/// Not synced. On failure the directory holds part of the package; the caller removes it. Any thread; blocks.
/// Errors: kInvalid, kTooLarge (the archive); kUnavailable, kDenied, kConflict, kInternal (the file system).
Result<UnpackReport> unpack(std::string_view zip, const std::string& directory, const UnpackLimits& limits = {});

/// rename(2) of a directory into its final place. kConflict when something is there.
Result<void> rename_directory(const std::string& from, const std::string& to);

}  // namespace lambdad::package
