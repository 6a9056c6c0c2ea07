/// Deliveries on their way: who is tried when.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "observe/log.h"
#include "observe/metrics.h"
#include "services/sns/endpoints.h"
#include "services/sns/live.h"
#include "services/sns/store.h"
#include "system/system.h"

namespace lambdad::sns {

/// Every subscription with something to deliver has a lane. The store holds all deliveries; a lane holds the next few
/// hundred in memory and reads on when they become less, so that a backlog costs disk and no memory.
///
///   publish ─commit─▶ ready ──attempt──▶ delivered: the rows go
///              ▲        ▲  └─ failed ──▶ due later, in the store ─┐
///              │        └────────── read when due ◀───────────────┘
///              └ dead-letter queue ◀── refused, or retries used up
///
/// Fairness: lanes take turns, one delivery each, within a bound of deliveries under way; HTTP has a bound of its own,
/// and a lane whose last attempt failed has one delivery under way, so that slow and dead endpoints delay no function
/// and no queue. A lane of a FIFO topic delivers in the order of publishing, one after the other; a failed delivery
/// blocks those behind it until it succeeds or is given up.
///
/// A delivery is over when its commit is: a crash between the endpoint's answer and that commit delivers twice.
/// Times are System::clock; an attempt holds an Activity, a waiting one does not.
///
/// Ownership: borrows everything. Threading: the loop only. End: stop().
class Deliveries {
 public:
  Deliveries(System& system, Logger& log, Metrics& metrics, Store& store, Endpoints& endpoints);
  ~Deliveries();

  /// Takes up what the last run left; `find` is null for a subscription that is gone.
  void start(const std::vector<Store::Loaded::Waiting>& waiting,
             const std::function<SubscriptionPtr(SubscriptionId)>& find);
  /// A committed delivery.
  void add(const SubscriptionPtr& subscription, const MessagePtr& message, WallTime due);
  /// The subscription is gone: what waits is dropped, its rows are removed in the background.
  void forget(SubscriptionId subscription);
  /// Deliveries to functions and queues that are under way end; those to HTTP are broken off. What is left stays
  /// stored.
  Async<void> stop();

 private:
  struct Item {
    MessagePtr message;
    int attempts = 0;
    std::optional<Failure> failure;  ///< given up: on its way to the dead-letter queue
  };
  struct Lane {
    SubscriptionPtr subscription;
    bool fifo = false;
    std::size_t pool = 0;
    std::deque<Item> ready;
    std::set<RowId> held;  ///< ready, under way, or with a commit under way: not to be read again
    std::size_t under_way = 0;
    bool failing = false;
    bool queued = false;  ///< in runnable_
    bool loading = false;
    bool forgotten = false;
    std::optional<WallTime> stored_due;  ///< of the earliest delivery that is only in the store
    RowId last_row = 0;                  ///< FIFO: of the last delivery that was ready
    WallTime blocked_until{};            ///< FIFO retries, and throttling
    WallTime alarm{};                    ///< zero: none
  };
  using LanePtr = std::shared_ptr<Lane>;
  struct Pool {
    std::deque<LanePtr> runnable;
    std::size_t under_way = 0;
    std::size_t under_way_max = 0;
  };

  LanePtr lane_of(const SubscriptionPtr& subscription);
  /// After every change of a lane: reads on, queues it, sets its alarm, or lets it go.
  void review(const LanePtr& lane);
  void dispatch();
  std::size_t allowance(const Lane& lane) const;
  void set_alarm(const LanePtr& lane, std::optional<WallTime> when);
  void begin(const LanePtr& lane);
  Async<void> attempt(LanePtr lane, Item item, Activity::Token activity);
  void finish(const LanePtr& lane, Item item, Attempt attempt);
  void retry(const LanePtr& lane, Item item, Duration delay);
  void give_up(const LanePtr& lane, Item item, Failure why);
  void settle(const LanePtr& lane, RowId message);
  Async<void> settle_again(LanePtr lane, RowId message);
  Async<void> load(LanePtr lane, Activity::Token activity);
  Async<void> run_timer();
  Async<void> run_reclaim();
  template <class F>
  Store::Done after_commit(F then);

  System& system_;
  Logger& log_;
  Store& store_;
  Endpoints& endpoints_;
  std::map<SubscriptionId, LanePtr> lanes_;
  std::array<Pool, 2> pools_;  ///< functions, queues and mail; HTTP
  std::map<std::pair<WallTime, SubscriptionId>, LanePtr> alarms_;
  WallTime armed_for_ = WallTime::max();
  Notifier timer_changed_;
  std::vector<SubscriptionId> gone_;
  Notifier gone_added_;
  std::size_t commits_under_way_ = 0;
  Notifier commits_done_;
  bool stopping_ = false;
  TaskGroup inside_;   ///< attempts that end by themselves
  TaskGroup outside_;  ///< attempts that wait for others, and upkeep
};

}  // namespace lambdad::sns
