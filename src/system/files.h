#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace lambdad {

/// Owns a descriptor; closes it in the destructor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  int release() noexcept {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset();
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  ///< since the epoch
};

/// Files by path. All calls block; each is safe from any thread. Errors: kNotFound, kConflict (exists), kDenied,
/// kUnavailable (full disk, I/O error), kInternal.
struct Files {
  virtual ~Files() = default;
  virtual Result<std::string> read(const std::string& path) = 0;
  /// Replaces the file in one step: written beside it, synced, renamed, directory synced. Survives power loss whole.
  /// The file can be read by its owner only. After an error the old content is there, except that when the last sync
  /// failed it may be either.
  virtual Result<void> write_durably(const std::string& path, std::string_view bytes) = 0;
  /// With all parents; each new one is synced. Directories that exist are fine; kConflict when a file is in the way.
  virtual Result<void> make_directories(const std::string& path) = 0;
  virtual Result<void> remove(const std::string& path) = 0;       ///< kNotFound when absent
  virtual Result<void> remove_tree(const std::string& path) = 0;  ///< follows no symbolic link; absent is fine
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  ///< names, sorted
  virtual bool exists(const std::string& path) = 0;
  /// Behind all symbolic links; nullopt when it is no regular file.
  virtual std::optional<FileStamp> stamp(const std::string& path) = 0;
  /// Creates the file when absent and holds an exclusive lock on it until the result is destroyed; kConflict when
  /// another process, or another lock of this one, has it.
  virtual Result<UniqueFd> lock(const std::string& path) = 0;
};

class RealFiles final : public Files {
 public:
  Result<std::string> read(const std::string& path) override;
  Result<void> write_durably(const std::string& path, std::string_view bytes) override;
  Result<void> make_directories(const std::string& path) override;
  Result<void> remove(const std::string& path) override;
  Result<void> remove_tree(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  bool exists(const std::string& path) override;
  std::optional<FileStamp> stamp(const std::string& path) override;
  Result<UniqueFd> lock(const std::string& path) override;
};

/// The error of the last failed system call as ours, with `doing` and the path in the detail.
std::unexpected<Error> system_error(int error_number, std::string_view doing);

}  // namespace lambdad
