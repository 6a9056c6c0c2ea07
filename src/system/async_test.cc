#include "system/async.h"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/sim.h"

namespace lambdad {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Runs what is ready on the loop.
void turn(Loop& loop) {
  loop.restart();
  loop.poll();
}

/// Runs the loop until no task is left on it.
void run_to_end(Loop& loop) {
  loop.restart();
  loop.run();
}

Async<void> note_when_notified(Notifier& notifier, std::vector<std::string>& log, std::string name) {
  try {
    co_await notifier.wait();
    log.push_back(name);
  } catch (const std::exception& error) {
    log.push_back(name + (is_cancelled(error) ? " cancelled" : " failed"));
    throw;
  }
}

Async<void> stop_group(TaskGroup& group) { co_await group.stop(); }

void stop(Loop& loop, TaskGroup& group) {
  asio::co_spawn(loop, stop_group(group), asio::detached);
  run_to_end(loop);
}

// --- Notifier -------------------------------------------------------------------------------------------------------

TEST(Notifier, WakesAllWhoWaitInTheirOrder) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  for (const char* name : {"a", "b", "c"}) group.spawn(name, note_when_notified(notifier, log, name));
  turn(loop);
  EXPECT_EQ(notifier.waiting(), 3u);
  notifier.notify_all();
  EXPECT_THAT(log, IsEmpty()) << "woken inside notify_all";
  turn(loop);
  EXPECT_THAT(log, ElementsAre("a", "b", "c"));
  EXPECT_EQ(group.size(), 0u);
}

TEST(Notifier, NotifyOneWakesTheFirst) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  group.spawn("a", note_when_notified(notifier, log, "a"));
  group.spawn("b", note_when_notified(notifier, log, "b"));
  turn(loop);
  notifier.notify_one();
  turn(loop);
  EXPECT_THAT(log, ElementsAre("a"));
  notifier.notify_one();
  notifier.notify_one();
  turn(loop);
  EXPECT_THAT(log, ElementsAre("a", "b"));
}

TEST(Notifier, ANotificationBeforeTheWaitIsNotKept) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  notifier.notify_all();
  group.spawn("a", note_when_notified(notifier, log, "a"));
  turn(loop);
  EXPECT_THAT(log, IsEmpty());
  stop(loop, group);
  EXPECT_THAT(log, ElementsAre("a cancelled"));
}

TEST(Notifier, CancelsItsWaitersWhenItIsDestroyed) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  auto notifier = std::make_unique<Notifier>(loop);
  group.spawn("a", note_when_notified(*notifier, log, "a"));
  turn(loop);
  notifier.reset();
  turn(loop);
  EXPECT_THAT(log, ElementsAre("a cancelled"));
}

TEST(Notifier, MayBeDestroyedBeforeAWokenWaiterRuns) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  auto notifier = std::make_unique<Notifier>(loop);
  group.spawn("a", note_when_notified(*notifier, log, "a"));
  turn(loop);
  notifier->notify_all();
  notifier.reset();
  turn(loop);
  EXPECT_THAT(log, ElementsAre("a"));
}

/// Waits on a notifier, then on turns of the loop.
Async<void> outlive(Notifier& notifier, Loop& loop, int& posts_left) {
  co_await notifier.wait();
  while (posts_left-- > 0) co_await asio::post(loop.get_executor(), use_async);
}

// In the next two tests the group is stopped between the wake-up and the turn on which the woken task runs: co_spawn
// begins stop_group at once when it is called on the loop.

TEST(Notifier, ALateCancellationDoesNotTouchTheDestroyedNotifier) {
  Loop loop;
  TaskGroup group(loop);
  auto notifier = std::make_unique<Notifier>(loop);
  int posts_left = 1000;
  group.spawn("a", outlive(*notifier, loop, posts_left));
  turn(loop);
  asio::post(loop, [&] {
    notifier->notify_all();
    notifier.reset();
    asio::co_spawn(loop, stop_group(group), asio::detached);
  });
  run_to_end(loop);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_GT(posts_left, 0) << "was not cancelled";
}

TEST(Notifier, ALateCancellationDoesNotReachAnotherWaiter) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup first(loop);
  std::vector<std::string> log;
  int posts_left = 1000;
  first.spawn("first", outlive(notifier, loop, posts_left));
  turn(loop);
  asio::post(loop, [&] {
    notifier.notify_all();
    // Many, so that one gets the memory of the first waiter.
    for (int i = 0; i < 64; ++i) {
      asio::co_spawn(loop, note_when_notified(notifier, log, "second"), asio::detached);
    }
    EXPECT_EQ(notifier.waiting(), 64u);
    asio::co_spawn(loop, stop_group(first), asio::detached);
    EXPECT_EQ(notifier.waiting(), 64u);
  });
  turn(loop);
  EXPECT_EQ(first.size(), 0u);
  EXPECT_THAT(log, IsEmpty());
  notifier.notify_all();
  run_to_end(loop);
  EXPECT_THAT(log, testing::SizeIs(64));
}

// --- Promise --------------------------------------------------------------------------------------------------------

Async<void> take(Promise<std::string> promise, std::vector<std::string>& log) { log.push_back(co_await promise.get()); }

TEST(Promise, GivesTheFirstValueWhetherSetBeforeOrDuringTheWait) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  Promise<std::string> before(loop), during(loop);
  EXPECT_TRUE(before.set("before"));
  EXPECT_FALSE(before.set("too late"));
  group.spawn("before", take(before, log));
  group.spawn("during", take(during, log));
  turn(loop);
  EXPECT_THAT(log, ElementsAre("before"));
  during.set("during");
  turn(loop);
  EXPECT_THAT(log, ElementsAre("before", "during"));
}

TEST(Promise, MayBeSetAfterItsWaiterWasCancelled) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  Promise<std::string> promise(loop);
  group.spawn("waiter", take(promise, log));
  turn(loop);
  stop(loop, group);
  EXPECT_TRUE(promise.set("nobody"));
  turn(loop);
  EXPECT_THAT(log, IsEmpty());
}

// --- TaskGroup ------------------------------------------------------------------------------------------------------

Async<void> note(std::vector<std::string>& log, std::string name) {
  log.push_back(name);
  co_return;
}

TEST(TaskGroup, BeginsATaskOnALaterTurn) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  asio::post(loop, [&] {
    group.spawn("task", note(log, "task"));
    log.emplace_back("after spawn");
  });
  turn(loop);
  EXPECT_THAT(log, ElementsAre("after spawn", "task"));
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, StopCancelsTasksThatWaitAndTasksThatHaveNotBegun) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  group.spawn("waits", note_when_notified(notifier, log, "waits"));
  turn(loop);
  asio::post(loop, [&] {
    group.spawn("fresh", note(log, "fresh"));
    asio::co_spawn(loop, stop_group(group), asio::detached);
  });
  run_to_end(loop);
  EXPECT_THAT(log, ElementsAre("waits cancelled"));
  EXPECT_EQ(group.size(), 0u);
  group.spawn("refused", note(log, "refused"));
  EXPECT_EQ(group.size(), 0u);
  EXPECT_TRUE(group.stopping());
}

Async<void> clean_up_slowly(Notifier& never, Loop& loop, std::vector<std::string>& log) {
  bool cancelled = false;
  try {
    co_await never.wait();
  } catch (const std::exception& error) {
    cancelled = is_cancelled(error);
  }
  if (!cancelled) co_return;
  co_await asio::this_coro::reset_cancellation_state();
  for (int i = 0; i < 5; ++i) co_await asio::post(loop.get_executor(), use_async);
  log.emplace_back("cleaned up");
}

Async<void> stop_and_note(TaskGroup& group, std::vector<std::string>& log) {
  co_await group.stop();
  log.emplace_back("stopped");
}

TEST(TaskGroup, StopWaitsForTasksThatCleanUp) {
  Loop loop;
  Notifier never(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  group.spawn("slow", clean_up_slowly(never, loop, log));
  turn(loop);
  asio::co_spawn(loop, stop_and_note(group, log), asio::detached);
  run_to_end(loop);
  EXPECT_THAT(log, ElementsAre("cleaned up", "stopped"));
}

Async<void> wake_others_when_cancelled(Notifier& own, Notifier& others) {
  try {
    co_await own.wait();
  } catch (const std::exception&) {
    others.notify_all();
    throw;
  }
}

TEST(TaskGroup, TasksMayEndOneAnotherWhileTheyAreStopped) {
  Loop loop;
  Notifier a(loop), b(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  for (int i = 0; i < 20; ++i) {
    group.spawn("a", wake_others_when_cancelled(a, b));
    group.spawn("b", wake_others_when_cancelled(b, a));
    group.spawn("short", note(log, "short"));
  }
  asio::co_spawn(loop, stop_group(group), asio::detached);
  asio::co_spawn(loop, stop_group(group), asio::detached);
  run_to_end(loop);
  EXPECT_EQ(group.size(), 0u);
}

Async<void> stop_own_group_later(TaskGroup& group, TaskGroup& stopper) {
  stopper.spawn("stop", stop_group(group));
  Notifier never(group.loop());
  co_await never.wait();
}

TEST(TaskGroup, MayBeStoppedOnBehalfOfItsOwnTask) {
  Loop loop;
  TaskGroup group(loop), stopper(loop);
  group.spawn("asks", stop_own_group_later(group, stopper));
  run_to_end(loop);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_EQ(stopper.size(), 0u);
}

Async<void> stop_own_group_at_once(TaskGroup& group, std::vector<std::string>& log) {
  asio::co_spawn(group.loop(), stop_and_note(group, log), asio::detached);
  co_await asio::post(group.loop().get_executor(), use_async);
  log.emplace_back("not reached");
}

TEST(TaskGroup, MayBeStoppedByATaskThatHasNotYetWaited) {
  Loop loop;
  TaskGroup group(loop);
  std::vector<std::string> log;
  group.spawn("stops", stop_own_group_at_once(group, log));
  run_to_end(loop);
  EXPECT_THAT(log, ElementsAre("stopped"));
}

Async<void> drain_and_note(TaskGroup& group, std::vector<std::string>& log) {
  co_await group.drain();
  log.emplace_back("drained");
}

TEST(TaskGroup, DrainWaitsWithoutCancelling) {
  Loop loop;
  Notifier notifier(loop);
  TaskGroup group(loop);
  std::vector<std::string> log;
  group.spawn("a", note_when_notified(notifier, log, "a"));
  asio::co_spawn(loop, drain_and_note(group, log), asio::detached);
  turn(loop);
  EXPECT_THAT(log, IsEmpty());
  notifier.notify_all();
  run_to_end(loop);
  EXPECT_THAT(log, ElementsAre("a", "drained"));
}

Async<void> fail_badly() {
  throw std::runtime_error("the reason");
  co_return;
}

TEST(TaskGroupDeathTest, AnExceptionOfATaskAborts) {
  EXPECT_DEATH(
      {
        Loop loop;
        TaskGroup group(loop);
        group.spawn("bad", fail_badly());
        loop.run();
      },
      "task 'bad' ended with: the reason");
}

TEST(TaskGroupDeathTest, DestroyingItWithRunningTasksAborts) {
  EXPECT_DEATH(
      {
        Loop loop;
        Notifier never(loop);
        std::vector<std::string> log;
        TaskGroup group(loop);
        group.spawn("forgotten", note_when_notified(never, log, "x"));
      },
      "destroyed while 'forgotten' and 0 other tasks run");
}

// --- WorkerPool -----------------------------------------------------------------------------------------------------

TEST(WorkerPool, RunsOnAnotherThreadAndReturnsToTheLoop) {
  SimSystem sim(1, {.worker_threads = 2});
  const auto here = std::this_thread::get_id();
  const auto there = sim.run(sim.workers().run([] { return std::this_thread::get_id(); }));
  EXPECT_NE(there, here);
}

Async<void> square(WorkerPool& pool, int n, int& sum) {
  const auto result = co_await pool.run([n] { return std::make_unique<int>(n * n); });
  sum += *result;
}

TEST(WorkerPool, ServesManyTasksAtOnce) {
  SimSystem sim(1, {.worker_threads = 3});
  TaskGroup group(sim.loop());
  int sum = 0;
  for (int n = 1; n <= 100; ++n) group.spawn("square", square(sim.workers(), n, sum));
  sim.run(group.drain());
  EXPECT_EQ(sum, 338350);
}

TEST(WorkerPool, WithoutThreadsRunsOnTheLoop) {
  SimSystem sim(1);
  EXPECT_EQ(sim.run(sim.workers().run([] { return std::this_thread::get_id(); })), std::this_thread::get_id());
  bool ran = false;
  sim.run(sim.workers().run([&ran] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST(WorkerPool, FinishesWhatWasQueuedWhenItsWaiterIsCancelled) {
  Loop loop;
  std::atomic<int> done{0};
  int sum = 0;
  {
    WorkerPool pool(loop, 1);
    TaskGroup group(loop);
    for (int i = 0; i < 10; ++i) group.spawn("square", square(pool, 3, sum));
    asio::co_spawn(loop, pool.run([&done] { ++done; }), asio::detached);
    turn(loop);
    stop(loop, group);
  }
  turn(loop);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(Offloaded(loop).count(), 0u);
}

}  // namespace
}  // namespace lambdad
