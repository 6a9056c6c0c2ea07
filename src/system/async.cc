#include "system/async.h"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/system_error.hpp>

namespace lambdad {

void throw_cancelled() { throw boost::system::system_error(asio::error::operation_aborted); }

bool is_cancelled(const std::exception& error) {
  const auto* system = dynamic_cast<const boost::system::system_error*>(&error);
  return system != nullptr && system->code() == asio::error::operation_aborted;
}

// --- the loop and its waiters ---------------------------------------------------------------------------------------

namespace detail {

namespace {
void release(Waiter* waiter) {
  if (--waiter->references == 0) delete waiter;
}
}  // namespace

void WaiterList::push_back(Waiter* waiter) {
  waiter->previous = last_;
  waiter->next = nullptr;
  (last_ != nullptr ? last_->next : first_) = waiter;
  last_ = waiter;
  ++size_;
}

void WaiterList::remove(Waiter* waiter) {
  (waiter->previous != nullptr ? waiter->previous->next : first_) = waiter->next;
  (waiter->next != nullptr ? waiter->next->previous : last_) = waiter->previous;
  --size_;
}

WokenList::~WokenList() {
  // The loop is gone; ending a coroutine may wake others.
  while (!waiters.empty()) {
    Waiter* waiter = waiters.front();
    waiters.remove(waiter);
    release(waiter);
  }
}

}  // namespace detail

void Loop::resume_later(detail::Waiter* waiter) {
  waiters.push_back(waiter);
  if (std::exchange(turn_posted, true)) return;
  asio::post(*this, [this] { resume_woken(); });
}

void Loop::resume_woken() {
  turn_posted = false;
  // Those who are woken by them come in a later turn.
  for (std::size_t count = waiters.size(); count > 0; --count) {
    detail::Waiter* waiter = waiters.front();
    waiters.remove(waiter);
    const std::unique_ptr<detail::Waiter, void (*)(detail::Waiter*)> kept(waiter, detail::release);
    waiter->resume(waiter->code);
  }
}

// --- Notifier -------------------------------------------------------------------------------------------------------

template <class Handler>
struct Notifier::WaiterOf final : detail::Waiter {
  explicit WaiterOf(Handler h) : handler(std::move(h)) {}
  void resume(boost::system::error_code error) override {
    // Out of the waiter first: a cancellation slot may keep that for long.
    auto resumed = std::move(handler);
    std::move(resumed)(error);
  }
  Handler handler;
};

// The slot keeps this handler until the coroutine's next cancellable wait, longer than the notifier may live; the
// waiter knows whether there is still something to cancel.
class Notifier::Cancel {
 public:
  explicit Cancel(detail::Waiter* waiter) : waiter_(waiter) { ++waiter_->references; }
  Cancel(Cancel&& other) noexcept : waiter_(std::exchange(other.waiter_, nullptr)) {}
  Cancel& operator=(Cancel&&) = delete;
  ~Cancel() {
    if (waiter_ != nullptr) detail::release(waiter_);
  }
  void operator()(asio::cancellation_type) {
    if (waiter_->owner != nullptr) wake(waiter_, asio::error::operation_aborted);
  }

 private:
  detail::Waiter* waiter_;
};

// Takes the waiter out of the list and has its coroutine resumed by the loop, never from inside the caller.
void Notifier::wake(detail::Waiter* waiter, boost::system::error_code code) {
  Notifier& owner = *std::exchange(waiter->owner, nullptr);
  owner.waiters_.remove(waiter);
  waiter->code = code;
  owner.loop_.resume_later(waiter);
}

Notifier::~Notifier() {
  while (!waiters_.empty()) wake(waiters_.front(), asio::error::operation_aborted);
}

Async<void> Notifier::wait() {
  auto initiate = [this](auto handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto* waiter = new WaiterOf<decltype(handler)>(std::move(handler));  // owned by the lists it is in
    waiter->owner = this;
    waiters_.push_back(waiter);
    if (slot.is_connected()) auto(slot).template emplace<Cancel>(waiter);
  };
  return asio::async_initiate<const asio::use_awaitable_t<Executor>, void(boost::system::error_code)>(
      std::move(initiate), use_async);
}

void Notifier::notify_all() {
  // Only those who wait now: a resumed waiter runs later and may wait again.
  while (!waiters_.empty()) wake(waiters_.front(), {});
}

void Notifier::notify_one() {
  if (!waiters_.empty()) wake(waiters_.front(), {});
}

// --- Offloaded ------------------------------------------------------------------------------------------------------

namespace {
struct OffloadedCount final : asio::execution_context::service {
  static inline asio::execution_context::id id;
  explicit OffloadedCount(asio::execution_context& context) : service(context) {}
  void shutdown() override {}
  std::atomic<std::size_t> count{0};
};
}  // namespace

Offloaded::Offloaded(Loop& loop) : count_(&asio::use_service<OffloadedCount>(loop).count) {}

// --- TaskGroup ------------------------------------------------------------------------------------------------------

struct TaskGroup::State {
  explicit State(Loop& l) : loop(l), emptied(l) {}
  struct Task {
    const char* name;
    asio::cancellation_signal cancel;
    std::list<std::shared_ptr<Task>>::iterator place;
  };
  Loop& loop;
  Notifier emptied;
  std::list<std::shared_ptr<Task>> tasks;
  bool stopping = false;
};

namespace {
// The first wait keeps the task from running inside spawn(). It also keeps asio::co_spawn from throwing out of the loop
// when a task is cancelled before it first waited: co_spawn then posts, unguarded, on the cancelled coroutine.
Async<void> begin_later(Executor executor, Async<void> task) {
  co_await asio::post(executor, use_async);
  co_await std::move(task);
}

[[noreturn]] void task_failed(const char* name, const char* what) {
  LD_CHECK(false, "task '{}' ended with: {}", name, what);
  std::abort();
}
}  // namespace

TaskGroup::TaskGroup(Loop& loop) : state_(std::make_shared<State>(loop)) {}

TaskGroup::~TaskGroup() {
  LD_CHECK(state_->tasks.empty(), "a TaskGroup is destroyed while '{}' and {} other tasks run",
           state_->tasks.front()->name, state_->tasks.size() - 1);
}

void TaskGroup::spawn(const char* name, Async<void> task) {
  if (state_->stopping) return;
  auto running = std::make_shared<State::Task>();
  running->name = name;
  running->place = state_->tasks.insert(state_->tasks.end(), running);
  auto finished = [state = state_, running](std::exception_ptr error) {
    if (error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        if (!is_cancelled(e)) task_failed(running->name, e.what());
      } catch (...) {
        task_failed(running->name, "something that is no std::exception");
      }
    }
    state->tasks.erase(running->place);
    if (state->tasks.empty()) state->emptied.notify_all();
  };
  asio::co_spawn(state_->loop, begin_later(state_->loop.get_executor(), std::move(task)),
                 asio::bind_cancellation_slot(running->cancel.slot(), std::move(finished)));
}

Async<void> TaskGroup::stop() {
  auto state = state_;
  state->stopping = true;
  while (!state->tasks.empty()) {
    // Over a copy that shares ownership: a cancellation may end its own task, or others, before emit() returns.
    const std::vector<std::shared_ptr<State::Task>> running(state->tasks.begin(), state->tasks.end());
    for (const auto& task : running) task->cancel.emit(asio::cancellation_type::all);
    if (!state->tasks.empty()) co_await state->emptied.wait();
  }
}

Async<void> TaskGroup::drain() {
  auto state = state_;
  while (!state->tasks.empty()) co_await state->emptied.wait();
}

std::size_t TaskGroup::size() const { return state_->tasks.size(); }
bool TaskGroup::stopping() const { return state_->stopping; }
Loop& TaskGroup::loop() const { return state_->loop; }

// --- WorkerPool -----------------------------------------------------------------------------------------------------

struct WorkerPool::Impl {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::move_only_function<void()>> jobs;
  bool closing = false;
  std::vector<std::thread> threads;
};

WorkerPool::WorkerPool(Loop& loop, unsigned threads) : loop_(loop), offloaded_(loop), impl_(std::make_unique<Impl>()) {
  for (unsigned i = 0; i < threads; ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] {
      for (;;) {
        std::unique_lock lock(impl->mutex);
        impl->changed.wait(lock, [impl] { return impl->closing || !impl->jobs.empty(); });
        if (impl->jobs.empty()) return;
        auto job = std::move(impl->jobs.front());
        impl->jobs.pop_front();
        lock.unlock();
        job();
      }
    });
  }
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
  }
  impl_->changed.notify_all();
  for (auto& thread : impl_->threads) thread.join();
}

void WorkerPool::submit(std::move_only_function<void()> job) {
  if (impl_->threads.empty()) {
    asio::post(loop_, std::move(job));
    return;
  }
  {
    std::lock_guard lock(impl_->mutex);
    impl_->jobs.push_back(std::move(job));
  }
  impl_->changed.notify_one();
}

}  // namespace lambdad
