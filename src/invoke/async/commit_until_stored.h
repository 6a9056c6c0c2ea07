#pragma once

#include <algorithm>

#include "observe/log.h"
#include "system/system.h"

namespace lambdad::invoke {

/// What a task has that must not forget what it did because the disk was full.
struct Worker {
  System& system;
  Logger& log;
  bool stopping = false;
};

/// Repeats `commit()`, an Async<Result<T>>, until it succeeds: after 100 ms, then longer, up to 10 s of real time (the
/// disk does not follow AWS's clock). `busy` is not held meanwhile. An error only when the worker is stopping: what was
/// to be stored is as before, and the next start decides again.
template <class Commit>
auto commit_until_stored(const Worker* worker, Activity::Token* busy, const char* what, Commit commit)
    -> decltype(commit()) {
  for (Duration pause = std::chrono::milliseconds(100);;
       pause = std::min<Duration>(pause * 2, std::chrono::seconds(10))) {
    auto committed = co_await commit();
    if (committed) co_return committed;
    worker->log.error("async_commit_failed", {{"what", what}, {"reason", committed.error().detail}});
    if (worker->stopping) co_return committed;
    busy->release();
    co_await worker->system.host_clock.sleep_for(pause);
    *busy = worker->system.activity.begin();
  }
}

}  // namespace lambdad::invoke
