#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/multiple_exceptions.hpp>

#include "system/async.h"
#include "system/clock.h"

namespace lambdad {

/// Returns when `a` or `b` has ended well; the other is cancelled. Throws cancellation when neither has.
inline Async<void> either(Async<void> a, Async<void> b) {
  using namespace asio::experimental::awaitable_operators;
  bool neither = false;
  try {
    co_await (std::move(a) || std::move(b));
  } catch (const asio::multiple_exceptions&) {
    neither = true;
  }
  if (neither) throw_cancelled();
}

/// Waits until `changed` is notified or `clock` shows `when`, whichever comes first.
inline Async<void> wait_until(Notifier& changed, Clock& clock, MonoTime when) {
  return either(changed.wait(), clock.sleep_until(when));
}

}  // namespace lambdad
