#include "package/merge.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "system/files.h"

namespace lambdad::package {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<UniqueFd> open_directory(int parent, const char* name) {
  UniqueFd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return system_error(errno, fmt::format("opening the directory '{}'", name));
  return fd;
}

/// Names in an open directory, without "." and "..".
Result<std::vector<std::string>> names_in(int directory) {
  UniqueFd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return system_error(errno, "opening a directory");
  std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy.get()));
  if (!stream) return system_error(errno, "reading a directory");
  copy.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return system_error(errno, "reading a directory");
  return names;
}

Result<bool> is_directory(int parent, const std::string& name) {
  struct stat status{};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return system_error(errno, fmt::format("looking at '{}'", name));
  }
  return S_ISDIR(status.st_mode);
}

/// Packages nest no deeper than their paths are long, which unpacking has bounded.
Result<void> remove_entry(int parent, const std::string& name) {
  LD_TRY(const bool directory, is_directory(parent, name));
  if (directory) {
    LD_TRY(const UniqueFd inside, open_directory(parent, name.c_str()));
    LD_TRY(const auto names, names_in(inside.get()));
    for (const std::string& each : names) LD_TRY_VOID(remove_entry(inside.get(), each));
  }
  if (::unlinkat(parent, name.c_str(), directory ? AT_REMOVEDIR : 0) != 0) {
    return system_error(errno, fmt::format("replacing '{}'", name));
  }
  return {};
}

Result<UniqueFd> make_directory(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0755) != 0) {
    if (errno != EEXIST) return system_error(errno, fmt::format("making the directory '{}'", name));
    LD_TRY(const bool directory, is_directory(parent, name));
    if (!directory) {
      LD_TRY_VOID(remove_entry(parent, name));
      if (::mkdirat(parent, name.c_str(), 0755) != 0) return system_error(errno, fmt::format("making '{}'", name));
    }
  }
  LD_TRY(UniqueFd made, open_directory(parent, name.c_str()));
  if (::fchmod(made.get(), 0755) != 0) return system_error(errno, fmt::format("making '{}' readable", name));
  return made;
}

Result<void> lay_over(int from, int to) {
  LD_TRY(const auto names, names_in(from));
  for (const std::string& name : names) {
    LD_TRY(const bool directory, is_directory(from, name));
    if (directory) {
      LD_TRY(const UniqueFd inside, open_directory(from, name.c_str()));
      LD_TRY(const UniqueFd made, make_directory(to, name));
      LD_TRY_VOID(lay_over(inside.get(), made.get()));
      continue;
    }
    if (::linkat(from, name.c_str(), to, name.c_str(), 0) == 0) continue;
    if (errno != EEXIST) return system_error(errno, fmt::format("linking '{}'", name));
    LD_TRY_VOID(remove_entry(to, name));
    if (::linkat(from, name.c_str(), to, name.c_str(), 0) != 0) {
      return system_error(errno, fmt::format("linking '{}'", name));
    }
  }
  return {};
}

}  // namespace

Result<void> merge_trees(const std::vector<std::string>& trees, const std::string& directory) {
  LD_TRY(const UniqueFd to, open_directory(AT_FDCWD, directory.c_str()));
  if (::fchmod(to.get(), 0755) != 0) return system_error(errno, "making the merged directory readable");
  for (const std::string& tree : trees) {
    LD_TRY(const UniqueFd from, open_directory(AT_FDCWD, tree.c_str()));
    LD_TRY_VOID(lay_over(from.get(), to.get()));
  }
  return {};
}

}  // namespace lambdad::package
