#include "sandbox/state_directory.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace lambdad::sandbox {

namespace {
constexpr int kEndingPatienceMs = 10'000;
constexpr int kServingPatienceMs = 500;
}  // namespace

void remove_tree(const std::string& path) {
  ::nftw(
      path.c_str(), [](const char* name, const struct stat*, int, struct FTW*) { return ::remove(name), 0; }, 16,
      FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

Result<StateLock> StateLock::take(const std::string& directory) {
  StateLock lock;
  const std::string path = directory + "/keeper.lock";
  lock.file_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.file_) return system_error(errno, "opening " + path);
  for (int waited = 0; ::flock(lock.file_.get(), LOCK_EX | LOCK_NB) != 0; waited += 5) {
    if (errno != EWOULDBLOCK && errno != EINTR) return system_error(errno, "locking " + path);
    char state = 0;
    (void)!::pread(lock.file_.get(), &state, 1, 0);
    if (waited >= (state == 'e' ? kEndingPatienceMs : kServingPatienceMs)) {
      return fail(Errc::kConflict, "another lambdad works in {}", directory);
    }
    timespec pause{0, 5'000'000};
    ::nanosleep(&pause, nullptr);
  }
  lock.mark('s');
  return lock;
}

void StateLock::cleaning_up() { mark('e'); }

void StateLock::mark(char state) {
  if (file_) (void)!::pwrite(file_.get(), &state, 1, 0);
}

}  // namespace lambdad::sandbox
