/// The keeper's directory on the host, which belongs to one keeper at a time.
#pragma once

#include <string>

#include "base/error.h"
#include "system/files.h"

namespace lambdad::sandbox {

/// Removes a tree of files without leaving its file system or following links. What cannot be removed stays.
void remove_tree(const std::string& path);

/// The lock of a state directory. Its file's first byte says whether the holder serves ('s') or cleans up ('e'), which
/// decides how long a newcomer waits for it.
class StateLock {
 public:
  StateLock() = default;
  /// Waits for a keeper that cleans up, and shortly for one that may not have noticed that its daemon was killed.
  /// kConflict: another lambdad works there.
  static Result<StateLock> take(const std::string& directory);
  /// From now on newcomers wait until this process has ended.
  void cleaning_up();

 private:
  void mark(char state);
  UniqueFd file_;
};

}  // namespace lambdad::sandbox
