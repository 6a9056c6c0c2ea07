#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "invoke/async/event.h"
#include "store/database.h"

namespace lambdad::invoke {

/// Rows of accepted events, their attempts and what is to be delivered because of them, in DATA/async.db. Every write
/// answers after its commit.
///
/// A queued event waits in the lane of its function, ordered by due time; how many there are costs memory nowhere. An
/// event that was given up stays, with its payload and attempts, as a dead letter that can be looked at and replayed,
/// until newer ones need the room. One that a function has processed leaves nothing.
///
/// Errors: kUnavailable while the store cannot commit. Threading: the loop only.
class EventStore {
 public:
  /// Dead letters that are kept; beyond either bound the oldest go.
  struct Retention {
    std::int64_t dead_max = 10'000;
    std::int64_t dead_bytes_max = 256 << 20;
  };
  struct Options {
    store::Durability durability = store::Durability::kFull;
    store::Threads threads = store::Threads::kOwn;
    Retention retention = {};
  };
  static Result<std::unique_ptr<EventStore>> open(Loop& loop, const std::string& path, Options options);

  /// The queued events of one function.
  struct Lane {
    std::int64_t id = 0;
    ports::FunctionRef function;  ///< unqualified
    std::int64_t queued = 0;
    std::optional<WallTime> first_due;  ///< of the queued ones
  };
  struct Loaded {
    std::vector<Lane> lanes;
    std::int64_t lane_last = 0;  ///< highest lane id in use
    std::optional<WallTime> first_delivery;
  };
  /// What an earlier run left. Before the loop runs; blocks for about a second per ten million queued events.
  Result<Loaded> load();

  enum class LaneIs { kKnown, kNew };
  using Inserted = std::move_only_function<void(Result<std::int64_t>)>;
  /// Adds the event, and its lane when that is new, and calls `done` with its row id, on the loop. The event must not
  /// change until then.
  void insert(std::shared_ptr<const Event> event, LaneIs lane, Inserted done);
  /// An attempt that did not end the event: progress, attempts and due time as in `event`, and the attempt itself.
  Async<Result<void>> reschedule(std::shared_ptr<const Event> event, Attempt attempt);
  /// An event's end and what it causes, in one commit. Returns the row ids of the deliveries, in their order.
  Async<Result<std::vector<std::int64_t>>> end(std::shared_ptr<const Ending> ending);

  template <class T>
  struct Due {
    std::vector<T> found;
    bool all = true;               ///< there is nothing more that is due
    std::optional<WallTime> next;  ///< earliest due time after `now`
  };
  /// Up to `limit` events of a lane that are due at `now`, earliest first, but not those in `held`; payloads as long as
  /// they are not more than `payload_bytes_max` together.
  Async<Result<Due<Event>>> due(std::int64_t lane, ports::FunctionRef function, WallTime now,
                                std::unordered_set<std::int64_t> held, std::size_t limit,
                                std::size_t payload_bytes_max);
  Async<Result<std::string>> payload(std::int64_t id);

  Async<Result<Due<Delivery>>> due_deliveries(WallTime now, std::unordered_set<std::int64_t> held, std::size_t limit);
  Async<Result<void>> reschedule_delivery(std::int64_t id, int tries, WallTime due);
  Async<Result<void>> remove_delivery(std::int64_t id);

  // For people.

  /// An event as it is shown: queued, or dead.
  struct Shown {
    Event event;  ///< without its payload
    std::optional<WallTime> ended;
    std::string condition;  ///< of a dead one
  };
  struct Filter {
    std::optional<ports::FunctionRef> function;  ///< unqualified
    enum class State { kAny, kQueued, kDead } state = State::kAny;
    std::int64_t after = 0;  ///< ids above
    std::size_t limit = 100;
  };
  struct Page {
    std::vector<Shown> events;          ///< by id
    std::optional<std::int64_t> after;  ///< where the next page begins
  };
  /// Looks at no more than some thousands of rows; a page may be empty and not the last.
  Async<Result<Page>> list(Filter filter);
  struct Details {
    Shown shown;
    std::vector<Attempt> attempts;
    std::vector<Delivery> deliveries;  ///< still to be made; without bodies
    std::string payload;               ///< at most its first kilobytes
  };
  /// kNotFound.
  Async<Result<Details>> show(std::int64_t id);
  /// Makes a dead event a queued one, as if it had been accepted at `now`. kNotFound: there is no such dead event.
  Async<Result<Event>> revive(std::int64_t id, WallTime now);
  /// Removes a queued or dead event; what is to be delivered because of it stays. kNotFound.
  Async<Result<void>> drop(std::int64_t id);
  std::int64_t dead() const { return dead_; }

  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  EventStore(std::unique_ptr<store::Database> database, Retention retention)
      : database_(std::move(database)), retention_(retention) {}
  std::unique_ptr<store::Database> database_;
  Retention retention_;
  std::int64_t dead_ = 0;  ///< committed
  std::int64_t dead_bytes_ = 0;
};

}  // namespace lambdad::invoke
