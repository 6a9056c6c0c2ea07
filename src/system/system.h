/// Everything a component may need from outside, handed to it by constructor.
#pragma once

#include "system/async.h"
#include "system/clock.h"
#include "system/files.h"
#include "system/random.h"

namespace lambdad {

/// Borrowed parts; all outlive every component.
struct System {
  Loop& loop;
  Clock& clock;       ///< AWS's time: may be moved forward by the user
  Clock& host_clock;  ///< the machine's time: deadlines of real work
  Activity& activity;
  Random& random;
  Files& files;
  WorkerPool& workers;
};

}  // namespace lambdad
