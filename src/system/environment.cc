#include "system/environment.h"

#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include <climits>

namespace lambdad {

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = ::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::string home_directory() {
  if (auto home = environment_variable("HOME"); home && home->starts_with('/')) return *home;
  if (const passwd* entry = ::getpwuid(::getuid()); entry != nullptr && entry->pw_dir != nullptr) return entry->pw_dir;
  return "";
}

bool is_superuser() { return ::geteuid() == 0; }

std::string absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  char current[PATH_MAX];
  if (::getcwd(current, sizeof current) == nullptr) return path;
  return std::string(current) + "/" + path;
}

std::string program_directory() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return ".";
  const std::string program(path, static_cast<std::size_t>(length));
  return program.substr(0, program.rfind('/'));
}

std::optional<std::string> make_temporary_directory(const std::string& prefix) {
  std::string pattern = environment_variable("TMPDIR").value_or("/tmp") + "/" + prefix + "XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return std::nullopt;
  return pattern;
}

unsigned long raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace lambdad
