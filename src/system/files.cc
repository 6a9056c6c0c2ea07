#include "system/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace lambdad {

namespace {

namespace fs = std::filesystem;

Errc code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: return Errc::kNotFound;
    case EEXIST:
    case ENOTEMPTY: return Errc::kConflict;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::kDenied;
    case ETIMEDOUT: return Errc::kTimedOut;
    case EPIPE:
    case ECONNRESET: return Errc::kClosed;
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case ECONNREFUSED: return Errc::kUnavailable;
    default: return Errc::kInternal;
  }
}

std::unexpected<Error> failed(std::string_view call, const std::string& path, int error_number = errno) {
  return system_error(error_number, fmt::format("{} {}", call, path));
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

/// Makes names created in, or moved into, `directory` survive power loss.
Result<void> sync_directory(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("opening", directory);
  if (::fsync(fd.get()) != 0) return failed("syncing", directory);
  return {};
}

Result<void> write_and_sync(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return failed("writing", path);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return failed("syncing", path);
  return {};
}

}  // namespace

std::unexpected<Error> system_error(int error_number, std::string_view doing) {
  return fail(code_of(error_number), "{}: {}", doing, std::generic_category().message(error_number));
}

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void UniqueFd::reset() {
  // Not repeated on EINTR: Linux has closed the descriptor by then.
  if (fd_ >= 0) ::close(release());
}

Result<std::string> RealFiles::read(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed("opening", path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return failed("looking at", path);
  // The size is a hint: it is 0 in /proc, and the file may change meanwhile. One byte more sees the end at once.
  std::string bytes(static_cast<std::size_t>(std::max<off_t>(info.st_size, 0)) + 1, '\0');
  std::size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() + std::max<std::size_t>(bytes.size(), 4096));
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0) {
      if (errno == EINTR) continue;
      return failed("reading", path);
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Result<void> RealFiles::write_durably(const std::string& path, std::string_view bytes) {
  static std::atomic<std::uint64_t> counter{0};
  const std::string directory = parent_of(path);
  const std::string beside = fmt::format("{}/.{}.{}-{}.tmp", directory, fs::path(path).filename().string(), ::getpid(),
                                         counter.fetch_add(1, std::memory_order_relaxed));
  const auto replace = [&]() -> Result<void> {
    // A leftover of this name is from a process of the same id that died: nobody writes it any more.
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return failed("creating", beside);
    LD_TRY_VOID(write_and_sync(fd.get(), beside, bytes));
    if (::rename(beside.c_str(), path.c_str()) != 0) return failed("renaming to", path);
    return {};
  };
  if (auto replaced = replace(); !replaced) {
    ::unlink(beside.c_str());
    return replaced;
  }
  return sync_directory(directory);
}

Result<void> RealFiles::make_directories(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return sync_directory(parent_of(path));
  if (errno == EEXIST) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return failed("looking at", path);
    if (!S_ISDIR(info.st_mode)) return failed("making directory", path, EEXIST);
    return {};
  }
  const std::string parent = parent_of(path);
  if (errno != ENOENT || parent == path || path.empty()) return failed("making directory", path);
  LD_TRY_VOID(make_directories(parent));
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return failed("making directory", path);
  return sync_directory(parent);
}

Result<void> RealFiles::remove(const std::string& path) {
  if (std::remove(path.c_str()) != 0) return failed("removing", path);
  return {};
}

Result<void> RealFiles::remove_tree(const std::string& path) {
  std::error_code code;
  fs::remove_all(path, code);
  if (code) return failed("removing", path, code.value());
  return {};
}

Result<std::vector<std::string>> RealFiles::list(const std::string& directory) {
  std::error_code code;
  std::vector<std::string> names;
  fs::directory_iterator entry(directory, code);
  for (; !code && entry != fs::directory_iterator(); entry.increment(code)) {
    names.push_back(entry->path().filename().string());
  }
  if (code) return failed("listing", directory, code.value());
  std::ranges::sort(names);
  return names;
}

bool RealFiles::exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::optional<FileStamp> RealFiles::stamp(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return FileStamp{static_cast<std::uint64_t>(info.st_size),
                   info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Result<UniqueFd> RealFiles::lock(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return failed("opening", path);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Errc::kConflict, "{} is locked by somebody else", path);
    if (errno != EINTR) return failed("locking", path);
  }
  return fd;
}

}  // namespace lambdad
