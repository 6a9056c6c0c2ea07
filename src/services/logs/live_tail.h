#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "services/logs/filter_pattern.h"
#include "services/logs/store.h"
#include "system/system.h"

namespace lambdad::logs {

/// Limits of Live Tail. Source: CloudWatch Logs API reference, StartLiveTail; "CloudWatch Logs quotas".
inline constexpr std::size_t kTailEventsMax = 500;      ///< of one update, which comes every second
inline constexpr std::size_t kTailUpdatesMax = 10;      ///< that wait for a slow client
inline constexpr std::size_t kTailSessionsMax = 15;     ///< of an account and region at a time
inline constexpr Duration kTailSessionTime = 3h;        ///< then it times out
inline constexpr std::size_t kTailBytesMax = 4u << 20;  ///< of one update's messages; our own

/// The sessions of StartLiveTail: what is ingested while they are open.
///
/// Every second of host time each session gets an update with the events that were ingested since the last one and that
/// its filter takes, in the order of ingestion; none is an update too. When there are more than the limits allow it is
/// a random sample of them. Updates wait for the client; beyond kTailUpdatesMax the oldest goes. Without a session
/// there is no timer, and ingested() returns at once.
///
/// Ownership: owns nothing of a session but its place in the list: it ends when nobody holds it. System outlives
/// everything. Threading: the loop. End: stop().
class LiveTail {
 public:
  struct Filter {
    std::vector<GroupKey> groups;
    std::vector<std::string> streams;          ///< empty: all
    std::vector<std::string> stream_prefixes;  ///< empty: all
    FilterPattern pattern;
    bool takes(const GroupKey& group, const std::string& stream) const;
  };
  struct Event {
    GroupKey group;
    std::string stream;
    std::string message;
    std::int64_t timestamp = 0;
    std::int64_t ingested = 0;
  };
  struct Update {
    std::vector<Event> events;
    bool sampled = false;
  };

  class Session {
   public:
    /// Waits for the next update. kTimedOut once the session has been open for kTailSessionTime, kClosed once the
    /// service ends, both after the updates that wait. The caller keeps the session until this has returned.
    Async<Result<Update>> next();
    Session(System& system, Filter filter);

   private:
    friend class LiveTail;
    void offer(const GroupKey& group, const std::string& stream, const NewEvent& event, std::int64_t now);
    void end_of_second();

    System& system_;
    const Filter filter_;
    const MonoTime opened_;
    Update gathered_;  ///< since the last update
    std::size_t gathered_bytes_ = 0;
    std::uint64_t matched_ = 0;  ///< events that would have been in it
    std::deque<Update> waiting_;
    bool closed_ = false;
    Notifier changed_;
  };

  explicit LiveTail(System& system) : system_(system), tasks_(system.loop) {}

  /// kThrottled when the account of the first group has kTailSessionsMax in its region; `filter` has a group.
  Result<std::shared_ptr<Session>> open(Filter filter);
  /// Whether some session may take events of this group.
  bool watches(const GroupKey& group) const;
  /// Says that these events of a stream have been stored. `events` as a reader would see them.
  void ingested(const GroupKey& group, const std::string& stream, std::span<const NewEvent> events, std::int64_t now);

  /// Ends every session, also those that will be opened.
  void close_sessions();
  Async<void> stop();

 private:
  Async<void> run();
  /// Those that somebody still holds.
  std::vector<std::shared_ptr<Session>> sessions() const;

  System& system_;
  std::vector<std::weak_ptr<Session>> sessions_;
  bool runs_ = false;
  bool closed_ = false;
  TaskGroup tasks_;
};

}  // namespace lambdad::logs
