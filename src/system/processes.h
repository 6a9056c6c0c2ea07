#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "system/files.h"

namespace lambdad {

/// Small programs of the host, run to their end. Never forks: posix_spawn, so that a daemon with much memory is not
/// held up. Functions do not run through this; they live in sandboxes.
struct Processes {
  virtual ~Processes() = default;
  /// Standard output of `argv` with an empty environment but PATH; blocks up to `limit`. kTimedOut, kNotFound,
  /// kInvalid when the exit status is not 0.
  virtual Result<std::string> capture(std::vector<std::string> argv, Duration limit) = 0;
  /// Size and modification time behind all symbolic links; nullopt when it is no executable file.
  virtual std::optional<FileStamp> stamp_executable(const std::string& path) = 0;
  /// The path behind all symbolic links.
  virtual std::optional<std::string> resolve(const std::string& path) = 0;
};

class RealProcesses final : public Processes {
 public:
  Result<std::string> capture(std::vector<std::string> argv, Duration limit) override;
  std::optional<FileStamp> stamp_executable(const std::string& path) override;
  std::optional<std::string> resolve(const std::string& path) override;
};

}  // namespace lambdad
