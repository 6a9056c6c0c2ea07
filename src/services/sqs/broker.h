/// The running service: queues in memory, their rows, and whoever waits for a message.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "aws/error.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "services/sqs/fifo_queue.h"
#include "services/sqs/queue_attributes.h"
#include "services/sqs/receipt_handle.h"
#include "services/sqs/store.h"
#include "system/system.h"

namespace lambdad::sqs {

class MoveTasks;
struct Waiter;

/// A queue with all that belongs to it while the service runs.
struct LiveQueue {
  LiveQueue(QueueRow r, QueueAttributes a, Metrics& metrics);
  std::string arn() const;

  QueueRow row;
  QueueAttributes attributes;
  const std::unique_ptr<Queue> owned;
  Queue& messages;
  FifoQueue* const fifo;  ///< the same queue; null when it is a standard one
  bool deleted = false;   ///< whoever holds it across a wait finds it gone
  Counter& sent;
  Counter& received;
  Counter& removed;

  std::list<Waiter*> waiters;     ///< long polls, the longest waiting first
  std::optional<WallTime> alarm;  ///< when the broker looks at it again; only with waiters
};
using LiveQueuePtr = std::shared_ptr<LiveQueue>;

/// Joins the pure queues with the store and the clock.
///
/// Every step that stores something runs to its end in a task of the broker, even when its caller is cancelled: memory
/// and rows do not drift apart when a client hangs up. What a step makes visible is visible after its commit.
///
/// Long polls park without a timer of their own. One task sleeps, on the virtual clock, until the earliest of: a parked
/// poll's deadline, and the next message that becomes ready in a queue somebody waits at. A parked poll holds no
/// Activity; it gets one at the moment it is woken.
///
/// Rows nobody needs any more (expired, purged, of deleted queues) are removed in the background.
///
/// Ownership: owns store and queues; the parts of System, log and metrics outlive it. Threading: the loop.
/// End: stop() lets steps under way finish; destroying a broker that was not stopped aborts once its tasks have begun.
class Broker {
 public:
  struct Options {
    std::string directory;
    store::Durability durability = store::Durability::kFull;
  };
  /// Opens DIRECTORY/sqs.db and loads all queues. Blocks.
  static Result<std::unique_ptr<Broker>> open(System& system, Logger& log, Metrics& metrics, Options options);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// Parked polls answer empty, steps under way end, the store closes.
  Async<void> stop();

  /// AWS's time. Unlike the clock's wall time it never goes back while the service runs.
  WallTime now();

  // --- queues -------------------------------------------------------------------------------------------------------

  LiveQueuePtr find(const std::string& account, const std::string& region, const std::string& name) const;
  LiveQueuePtr find_arn(std::string_view arn) const;
  /// The first queue of that name in any region of the account.
  LiveQueuePtr find_anywhere(const std::string& account, const std::string& name) const;
  /// Queues of one account and region whose name is greater than `after`, in order of name.
  std::vector<LiveQueuePtr> list(const std::string& account, const std::string& region, const std::string& after) const;
  std::optional<WallTime> deleted_at(const std::string& account, const std::string& region,
                                     const std::string& name) const;

  /// Changes of queues happen one at a time: whoever changes one holds a Turn from reading it to the answer.
  class Turn {
   public:
    explicit Turn(Broker& broker) : broker_(&broker) {}
    Turn(Turn&& other) noexcept : broker_(std::exchange(other.broker_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    Broker* broker_;
  };
  Async<Turn> take_turn();

  // Each with a Turn held, inside finish().
  Async<Result<LiveQueuePtr>> create(std::string account, std::string region, std::string name,
                                     QueueAttributes attributes, AttributeMap tags);
  Async<Result<void>> set_attributes(LiveQueuePtr queue, QueueAttributes attributes);
  Async<Result<void>> set_tags(LiveQueuePtr queue, AttributeMap tags);
  Async<Result<void>> remove(LiveQueuePtr queue);
  Async<Result<void>> purge(LiveQueuePtr queue);

  // --- messages -----------------------------------------------------------------------------------------------------

  struct NewMessage {
    MessageContentPtr content;
    Duration delay{};
  };
  /// What the sender to a FIFO queue learns of a message: of the first one, when this is a repetition.
  struct Accepted {
    RowId row = 0;
    Uuid message_id;
  };
  /// All or none. The answer has an element for each message on FIFO queues, and none on standard queues. kNotFound
  /// when the queue is deleted meanwhile; kUnavailable: nothing was accepted.
  Async<Result<std::vector<Accepted>>> send(LiveQueuePtr queue, std::vector<NewMessage> messages);

  struct ReceiveOptions {
    int messages_max = 1;
    Duration visibility_timeout{};
    Duration wait{};  ///< how long to wait for a first message
    /// ReceiveRequestAttemptId, on FIFO queues: the messages of an earlier receive with this id are returned again when
    /// nothing was done with them, hidden for `visibility_timeout` from now on.
    std::string attempt = {};
  };
  /// Empty when none came in time. Moves messages that were received too often to the dead-letter queue on the way.
  /// kThrottled: too many in flight in a standard queue, and no time to wait.
  Async<Result<std::vector<QueuedMessage>>> receive(LiveQueuePtr queue, ReceiveOptions options);

  /// Removes those of `rows` whose generation is the last one; the others are left alone.
  Async<Result<void>> remove_messages(LiveQueuePtr queue, std::vector<ReceiptHandle> handles);
  /// `attempt`: the receive whose visibility timeouts all begin anew.
  Async<Result<void>> change_visibility(LiveQueuePtr queue, std::vector<Store::Visibility> changes,
                                        std::string attempt = {});

  struct Redriven {
    std::size_t moved = 0;
    std::string failure;  ///< why the task cannot go on, as ListMessageMoveTasks says it; empty: it can
  };
  /// One step of a move task: at most `messages_max` visible messages of `source` become new messages of the task's
  /// destination, or of the queues they came from. The task is stored with it, its `moved` increased.
  Async<Result<Redriven>> redrive(LiveQueuePtr source, MoveTaskRow task, std::size_t messages_max);
  MoveTasks& move_tasks() { return *move_tasks_; }
  Store& store() { return *store_; }

  Queue::Counts counts(LiveQueue& queue);
  Uuid new_message_id();
  const ReceiptHandles& handles() const { return *handles_; }
  bool healthy() const { return store_->healthy(); }
  /// 503, for clients to try again.
  static aws::Error unavailable();
  System& system() const { return system_; }
  Logger& log() const { return log_; }

  /// Runs `step` to its end whatever happens to the caller. T is a Result or an aws::Outcome.
  template <class T>
  Async<T> finish(const char* name, Async<T> step) {
    const Activity::Token activity = system_.activity.begin();
    co_return co_await begin(name, std::move(step)).get();
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // account, region, name

  Broker(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store);
  Result<void> load();
  LiveQueuePtr adopt(QueueRow row, QueueAttributes attributes);
  Async<Result<void>> update(LiveQueuePtr queue, QueueRow row);

  /// As finish(), begun when this returns: for callers that have changed something and must not be cancelled between.
  template <class T>
  Promise<T> begin(const char* name, Async<T> step) {
    Promise<T> promise(system_.loop);
    if (steps_.stopping()) {
      promise.set(stopped<T>());
    } else {
      // An Activity of its own: the caller and his may go away.
      steps_.spawn(name, run_step(std::move(step), promise, system_.activity.begin()));
    }
    return promise;
  }
  template <class T>
  static Async<void> run_step(Async<T> step, Promise<T> promise, [[maybe_unused]] Activity::Token activity) {
    auto result = co_await std::move(step);
    promise.set(std::move(result));
  }
  template <class T>
  static T stopped() {
    if constexpr (std::is_same_v<typename T::error_type, Error>) {
      return fail(Errc::kClosed, "the service is stopping");
    } else {
      return std::unexpected(unavailable());
    }
  }

  /// A step of messages, from the call of the store to what its commit changes in memory. Its caller may go away, so it
  /// holds an Activity of its own, and stop() waits for it.
  template <class T>
  struct Step {
    Promise<T> result;
    std::shared_ptr<Activity::Token> activity;
    Async<T> get() const { return result.get(); }
  };
  template <class T>
  Step<T> begin_step() {
    ++commits_under_way_;
    return {Promise<T>(system_.loop), std::make_shared<Activity::Token>(system_.activity.begin())};
  }
  template <class T>
  void end_step(const Step<T>& step, T result) {
    step.result.set(std::move(result));
    step.activity->release();
    if (--commits_under_way_ == 0 && stopping_) commits_done_.notify_all();
  }
  Result<void> add_stored(LiveQueue& queue, std::vector<QueuedMessage> messages);
  Step<Result<std::vector<QueuedMessage>>> begin_receive(LiveQueuePtr queue, LiveQueuePtr dead_letter_queue,
                                                         std::unique_ptr<Queue::Taken> taken, WallTime at,
                                                         ReceiveOptions options);
  void finish_moves(LiveQueue& queue, LiveQueue& dead_letter_queue, std::vector<Store::Move> moves);

  /// What follows every change of a queue: due messages become ready, waiters for them wake, the alarm is set.
  void settle(LiveQueue& queue);
  void set_alarm(LiveQueue& queue);
  Async<Activity::Token> park(LiveQueuePtr queue, WallTime deadline);
  void unlink(Waiter& waiter);
  void wake(Waiter& waiter);
  std::optional<WallTime> earliest() const;
  void note_earlier(WallTime when);
  Async<void> run_timer();
  Async<void> sleep_until(WallTime when);
  void reclaim(std::vector<RowId> rows);
  void reclaim_deduplications(std::vector<RowId> rows);
  Async<void> run_reclaim();
  void update_gauges();

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  std::unique_ptr<Store> store_;
  std::optional<ReceiptHandles> handles_;
  std::unique_ptr<MoveTasks> move_tasks_;
  std::map<Key, LiveQueuePtr> queues_;
  std::map<Key, WallTime> deleted_;
  std::shared_ptr<Broker*> self_;  ///< for callbacks that outlive the broker

  MonoTime anchor_mono_;
  WallTime anchor_wall_;

  bool changing_ = false;  ///< somebody has the Turn
  Notifier turn_free_;

  std::map<std::pair<WallTime, QueueId>, LiveQueue*> alarms_;
  std::map<std::pair<WallTime, std::uint64_t>, Waiter*> deadlines_;
  std::uint64_t next_waiter_ = 0;
  WallTime armed_for_ = WallTime::max();  ///< the timer task sleeps until then
  Notifier timer_changed_;
  Activity::Token timer_activity_;

  std::vector<RowId> dead_;
  std::vector<RowId> dead_deduplications_;
  Notifier dead_added_;

  std::size_t commits_under_way_ = 0;  ///< steps of messages
  Notifier commits_done_;

  bool stopping_ = false;
  TaskGroup steps_;
  TaskGroup background_;
};

}  // namespace lambdad::sqs
