#include "package/unpack.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "system/files.h"

namespace lambdad::package {
namespace {

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;
constexpr mode_t kProgramMode = 0755;

/// Opens `path` below `root` with the kernel's own guarantee that no component is a link or leaves it.
UniqueFd open_beneath(int root, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
}

/// The directory an entry goes into, kept open between entries: archives list a directory's files together.
class ParentDirectory {
 public:
  explicit ParentDirectory(int root) : root_(root) {}

  Result<int> of(std::string_view path) {
    auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return root_;
    std::string parent(path.substr(0, slash));
    if (!open_ || parent != path_) {
      open_ = open_beneath(root_, parent, O_RDONLY | O_DIRECTORY, 0);
      if (!open_) return system_error(errno, fmt::format("opening the directory '{}' of a package", parent));
      path_ = std::move(parent);
    }
    return open_.get();
  }
  static std::string name_in(std::string_view path) {
    auto slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
  }

 private:
  int root_;
  UniqueFd open_;
  std::string path_;
};

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error(errno, fmt::format("writing '{}' of a package", path));
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<UnpackReport> inspect(std::string_view zip, const UnpackLimits& limits) {
  LD_TRY(ZipArchive archive, ZipArchive::open(zip, limits));
  return UnpackReport{.nodes = archive.entries().size(), .bytes = archive.claimed_bytes()};
}

Result<UnpackReport> unpack(std::string_view zip, const std::string& directory, const UnpackLimits& limits) {
  LD_TRY(ZipArchive archive, ZipArchive::open(zip, limits));
  UniqueFd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!root) return system_error(errno, fmt::format("opening {}", directory));

  UnpackReport report{.nodes = archive.entries().size()};
  ParentDirectory parents(root.get());
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.kind == EntryKind::kSymlink) continue;
    LD_TRY(const int parent, parents.of(entry.path));
    const std::string name = ParentDirectory::name_in(entry.path);
    if (entry.kind == EntryKind::kDirectory) {
      if (::mkdirat(parent, name.c_str(), kDirectoryMode) != 0 ||
          ::fchmodat(parent, name.c_str(), kDirectoryMode, 0) != 0) {
        return system_error(errno, fmt::format("making the directory '{}' of a package", entry.path));
      }
      continue;
    }
    const mode_t mode = entry.executable ? kProgramMode : kFileMode;
    UniqueFd file(open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL, mode));
    if (!file) return system_error(errno, fmt::format("creating '{}' of a package", entry.path));
    LD_TRY_VOID(archive.read(entry, [&](std::string_view piece) -> Result<void> {
      report.bytes += piece.size();
      if (report.bytes >= limits.unzipped_bytes_max) {
        return fail(Errc::kTooLarge, "unzipped size is not below {} bytes", limits.unzipped_bytes_max);
      }
      return write_all(file.get(), piece, entry.path);
    }));
    if (::fchmod(file.get(), mode) != 0)
      return system_error(errno, fmt::format("setting the mode of '{}'", entry.path));
  }
  // Links come last, so that nothing above can have been written through one.
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.kind != EntryKind::kSymlink) continue;
    LD_TRY(const int parent, parents.of(entry.path));
    if (::symlinkat(entry.link_target.c_str(), parent, ParentDirectory::name_in(entry.path).c_str()) != 0) {
      return system_error(errno, fmt::format("making the link '{}' of a package", entry.path));
    }
  }
  return report;
}

Result<void> rename_directory(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error(errno, fmt::format("renaming {} to {}", from, to));
  return {};
}

}  // namespace lambdad::package
