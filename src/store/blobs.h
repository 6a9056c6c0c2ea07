#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "system/files.h"

namespace lambdad::store {

/// Immutable byte strings named by their SHA-256 (64 lower-case hex digits), in DIR/ab/abcdef….
///
/// put() returns after file and directory are synced, so that a row naming the blob may be committed next. Putting what
/// this process has put before costs one look; what an earlier process left is written once more, because it may have
/// died before the directory was synced. Equal bytes are one blob: who removes it must know that no row names it, also
/// none on its way (so put() and remove() of one name must not overlap).
/// All calls block and are safe from any thread. Errors: those of Files, and as said below.
class Blobs {
 public:
  /// Creates `directory` with the first put().
  Blobs(Files& files, std::string directory);
  /// The name of the blob.
  Result<std::string> put(std::string_view bytes);
  /// kNotFound; kCorrupt when the bytes no longer match the name; kInvalid when `name` is no name of a blob.
  Result<std::string> get(const std::string& name);
  /// Of a valid name; the file may be absent.
  std::string path(const std::string& name) const;
  /// kNotFound when absent; kInvalid as above.
  Result<void> remove(const std::string& name);

 private:
  Files& files_;
  std::string directory_;
  std::mutex mutex_;
  std::unordered_set<std::string> synced_;  // names this process has put; under mutex_; bounded, may forget
};

}  // namespace lambdad::store
