#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace lambdad {

struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
};

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
