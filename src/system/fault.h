/// Named points at which a test makes the process die or an operation fail.
///
/// Production code marks the steps whose order keeps data safe: `fault::point("store.before_commit")`. Nothing happens
/// there unless the process was started with LAMBDAD_FAULT, or a test holds a `fault::Armed`. The text is a list,
/// parted by commas, of
///
///   POINT:COUNT:ACTION     store.before_commit:3:kill   the third time, the process kills itself (SIGKILL)
///                          store.before_commit:3:fail   the third time, the operation reports an I/O error
///                          store.before_commit:3+:fail  the third time and ever after
///   count                  only counts passages, see counts()
///
/// A text that cannot be read ends the process with status 2: a crash test that does not crash proves nothing.
/// Threading: all calls from any thread. Cost while nothing is armed: one relaxed load.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace lambdad::fault {

namespace internal {
extern std::atomic<bool> armed;
bool reached(std::string_view name);
}  // namespace internal

/// Marks a step. True when the operation must behave as if the kernel had answered with an I/O error; a step that can
/// no longer fail (after a commit, say) ignores the result.
inline bool point(std::string_view name) {
  return internal::armed.load(std::memory_order_relaxed) && internal::reached(name);
}

/// Replaces what is armed for as long as it lives, then disarms. Counting starts at zero. Aborts on text that cannot be
/// read. One at a time.
class Armed {
 public:
  explicit Armed(std::string_view spec);
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
};

/// Reads `spec` as LAMBDAD_FAULT would be, without arming it. kInvalid says what is wrong.
Result<void> validate(std::string_view spec);

/// How often each point was passed since arming.
std::map<std::string, std::uint64_t> counts();

/// Runs before a `kill`, on the thread that reached the point, with the table locked: what a test wants lost with the
/// process (unsynced writes, for instance). nullptr for none.
void before_kill(void (*hook)());

}  // namespace lambdad::fault
