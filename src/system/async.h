/// Coroutines on one loop.
///
/// lambdad's state is owned by one strand: the thread that runs the daemon's io_context ("the loop"). Everything that
/// is not said to be thread-safe is called there. Blocking work (SQLite commits, unzipping) runs in threads of its own
/// and comes back with asio::post. Between two co_awaits nothing else runs; after one the world may have changed.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/error.h"

namespace lambdad {

namespace asio = boost::asio;

class Notifier;

using Executor = asio::io_context::executor_type;

namespace detail {
/// A coroutine that waits for a Notifier, or has been woken and not resumed yet. Made with one reference, which goes
/// along from the notifier to the loop's list; a cancellation slot may hold another.
struct Waiter {
  virtual ~Waiter() = default;
  virtual void resume(boost::system::error_code code) = 0;  ///< once; ends with the coroutine's next wait

  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  Notifier* owner = nullptr;  ///< null once woken: a late cancellation finds nothing to do
  boost::system::error_code code;
  unsigned references = 1;
};

/// A list of waiters in their order, which are its own.
class WaiterList {
 public:
  bool empty() const { return first_ == nullptr; }
  std::size_t size() const { return size_; }
  Waiter* front() const { return first_; }
  void push_back(Waiter* waiter);
  void remove(Waiter* waiter);

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::size_t size_ = 0;
};

/// Woken waiters, until the turn of the loop that resumes them: one handler for all.
struct WokenList {
  ~WokenList();
  WaiterList waiters;
  bool turn_posted = false;
};
}  // namespace detail

/// The loop. One thread at a time runs it; any thread may post to it.
class Loop : private detail::WokenList, public asio::io_context {  // in this order: ending handlers may wake waiters
 public:
  /// The hint lets what the loop posts to itself go without a lock.
  Loop() : io_context(1) {}

 private:
  friend class Notifier;
  void resume_later(detail::Waiter* waiter);
  void resume_woken();
};

/// What a coroutine returns. Lazy: runs when awaited, on the loop. Cancellation arrives as boost::system::system_error
/// with operation_aborted, thrown from the co_await that was waiting; let it pass.
template <class T>
using Async = asio::awaitable<T, Executor>;

/// Completion token of Asio operations inside an Async: `co_await socket.async_read_some(buffer, use_async)`.
inline constexpr asio::use_awaitable_t<Executor> use_async;

/// Thrown out of waits when the group that owns the task is stopping.
[[noreturn]] void throw_cancelled();
bool is_cancelled(const std::exception& error);

/// Wakes coroutines that wait for a condition to change. A level, not a queue: `notify_all` wakes whoever waits now.
///
///   while (queue.empty()) co_await changed.wait();
///
/// A woken coroutine runs on a later turn of the loop, in the order of waiting. When it is cancelled before that turn,
/// its wake-up is lost: use notify_one only where somebody else looks at the condition again.
/// Ownership: the loop outlives it. It should outlive its waiters; its destructor wakes the rest with cancellation.
/// Threading: the loop only.
class Notifier {
 public:
  explicit Notifier(Loop& loop) : loop_(loop) {}
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  Async<void> wait();
  void notify_all();
  void notify_one();
  std::size_t waiting() const { return waiters_.size(); }

 private:
  template <class Handler>
  struct WaiterOf;
  class Cancel;
  static void wake(detail::Waiter* waiter, boost::system::error_code code);
  Loop& loop_;
  detail::WaiterList waiters_;
};

/// Counts the pieces of a loop's work that other threads hold: given to a WorkerPool or to the store, and not yet back.
/// Moving virtual time waits until it is zero. Every handle of one loop shares one count.
///
/// Whoever hands work to a thread begins a token, sends it along and lets the handler that brings the result back to
/// the loop destroy it there. Threading: begin() and count() on the loop; a Token may be destroyed anywhere. The loop
/// outlives all tokens.
class Offloaded {
 public:
  explicit Offloaded(Loop& loop);
  class Token {
   public:
    explicit Token(std::atomic<std::size_t>* count) : count_(count) { count_->fetch_add(1, std::memory_order_relaxed); }
    Token(Token&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Token& operator=(Token&&) = delete;
    ~Token() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_acq_rel);
    }

   private:
    std::atomic<std::size_t>* count_;
  };
  [[nodiscard]] Token begin() const { return Token(count_); }
  std::size_t count() const { return count_->load(std::memory_order_acquire); }

 private:
  std::atomic<std::size_t>* count_;
};

/// A value that one side sets once and the other side waits for. set() may be called before or during the wait.
/// Threading: the loop only; another thread posts a handler to the loop that calls set().
template <class T>
class Promise {
 public:
  explicit Promise(Loop& loop) : state_(std::make_shared<State>(loop)) {}
  /// The first value wins; later ones are ignored. True when this one was first.
  bool set(T value) const {
    if (state_->value) return false;
    state_->value.emplace(std::move(value));
    state_->ready.notify_all();
    return true;
  }
  bool is_set() const { return state_->value.has_value(); }
  /// May be awaited by one waiter; moves the value out.
  Async<T> get() const {
    auto state = state_;
    while (!state->value) co_await state->ready.wait();
    co_return std::move(*state->value);
  }

 private:
  struct State {
    explicit State(Loop& loop) : ready(loop) {}
    Notifier ready;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_;
};

/// Owns running tasks. Nothing in lambdad runs detached: a component has a group, and its stop() stops the group.
///
/// A task begins on a later turn of the loop, never inside spawn(). Its exception other than cancellation is a bug and
/// aborts. stop() asks every task to end by cancellation (their pending wait throws, and so does every later one) and
/// returns when all have; spawn() after that is refused and drops the task.
/// Threading: the loop only. End: destroying a group with running tasks aborts; stop() it first, from a coroutine that
/// is not itself one of its tasks.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// `name` appears in the abort message and in the count of running tasks.
  void spawn(const char* name, Async<void> task);
  /// Cancels all tasks and waits for them.
  Async<void> stop();
  /// Waits until no task runs, without cancelling.
  Async<void> drain();
  std::size_t size() const;
  bool stopping() const;
  Loop& loop() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Runs `work` on a thread of a small pool and comes back to the loop with its result. For what blocks: unzipping,
/// hashing of large files. `work` owns what it uses, must not touch anything of the loop and must not throw; it runs to
/// its end even when the waiting coroutine is cancelled.
/// Threading: run() on the loop; the loop outlives the pool.
class WorkerPool {
 public:
  /// With no threads, work runs on the loop itself, on a later turn: the deterministic pool of simulations.
  WorkerPool(Loop& loop, unsigned threads);
  ~WorkerPool();  // finishes what was queued
  template <class F>
  auto run(F work) -> Async<std::invoke_result_t<F&>> {
    using R = std::invoke_result_t<F&>;
    using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
    Promise<Stored> promise(loop_);
    submit([&loop = loop_, token = offloaded_.begin(), promise, work = std::move(work)]() mutable {
      // The promise goes back to the loop whole, so that its last copy never dies on this thread.
      auto bring_back = [&](Stored value) {
        asio::post(loop, [token = std::move(token), promise = std::move(promise), value = std::move(value)]() mutable {
          promise.set(std::move(value));
        });
      };
      if constexpr (std::is_void_v<R>) {
        work();
        bring_back({});
      } else {
        bring_back(work());
      }
    });
    if constexpr (std::is_void_v<R>) {
      co_await promise.get();
    } else {
      co_return co_await promise.get();
    }
  }

 private:
  void submit(std::move_only_function<void()> job);
  struct Impl;
  Loop& loop_;
  Offloaded offloaded_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdad
