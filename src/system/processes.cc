#include "system/processes.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <climits>

#include "system/files.h"

namespace lambdad {

namespace {
std::int64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
}  // namespace

Result<std::string> RealProcesses::capture(std::vector<std::string> argv, Duration limit) {
  LD_CHECK(!argv.empty());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::kInternal, "pipe for {}", argv[0]);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::vector<char*> raw;
  for (auto& word : argv) raw.push_back(word.data());
  raw.push_back(nullptr);
  char path_variable[] = "PATH=/usr/local/bin:/usr/bin:/bin";
  char* environment[] = {path_variable, nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0].c_str(), &actions, nullptr, raw.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Errc::kNotFound, "cannot start {}: {}", argv[0], std::strerror(error));
  write_end.reset();

  const std::int64_t give_up = monotonic_ms() + std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  std::string output;
  bool timed_out = false;
  for (;;) {
    pollfd waiting{read_end.get(), POLLIN, 0};
    const int left = static_cast<int>(std::max<std::int64_t>(0, give_up - monotonic_ms()));
    const int ready = ::poll(&waiting, 1, left);
    if (ready == 0) {
      timed_out = true;
      ::kill(pid, SIGKILL);
      break;
    }
    char buffer[4096];
    const ssize_t count = ::read(read_end.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (output.size() < 1024 * 1024) output.append(buffer, static_cast<std::size_t>(count));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) return fail(Errc::kTimedOut, "{} did not end in time", argv[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(Errc::kInvalid, "{} failed", argv[0]);
  return output;
}

std::optional<FileStamp> RealProcesses::stamp_executable(const std::string& path) {
  if (::access(path.c_str(), X_OK) != 0) return std::nullopt;
  return RealFiles().stamp(path);
}

std::optional<std::string> RealProcesses::resolve(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return std::nullopt;
  return std::string(resolved);
}

}  // namespace lambdad
