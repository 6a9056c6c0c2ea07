#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace lambdad::package {

/// Lays unpacked trees over one another in `directory`, which must exist and be empty: later ones win, directories are
/// joined. Files and symbolic links become hard links, so nothing is copied and the page cache is shared; all trees
/// must be on one file system. No symbolic link is followed, and nothing outside `directory` is written.
///
/// Not synced. On failure the directory holds part of the result; the caller removes it. Any thread; blocks.
/// Errors: kNotFound (a tree is not there), kUnavailable, kDenied, kInternal.
Result<void> merge_trees(const std::vector<std::string>& trees, const std::string& directory);

}  // namespace lambdad::package
