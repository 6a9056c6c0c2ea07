/// The core of a queue: which message may be received when. What both kinds of queue have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/intrusive/set.hpp>

#include "services/sqs/message.h"

namespace lambdad::sqs {

/// Names the row of a message; unique in a data directory, increasing in the order of sending, never used twice. A
/// message that moves to a dead-letter queue gets a new one (its MessageId stays).
using RowId = std::int64_t;

/// A message with its delivery state: what the store keeps and what a queue is filled with.
struct QueuedMessage {
  RowId row = 0;
  MessageContentPtr content;
  WallTime available_at;            ///< not received before: end of the delay or of the visibility timeout
  std::uint32_t receive_count = 0;  ///< ApproximateReceiveCount; also the generation in receipt handles
  std::optional<WallTime> first_received_at;
  std::optional<WallTime> received_at;  ///< last receive: the visibility timeout ends at most 12 h after it
  std::shared_ptr<const std::string> dead_letter_source;  ///< ARN of the queue it came from; null: none
};

/// Messages of one queue and the rules by which they become visible. Which of the visible ones a receive gets, and in
/// which order, is the difference between StandardQueue and FifoQueue.
///
///            add ──▶ delayed ──delay ends──▶ ready ──take──▶ in flight ──remove──▶ gone
///                                             ▲  │              │
///                  timeout ends, or set to 0 ─┴──┼──────────────┘
///                                                └─received too often─▶ leaving ──finish_leaving──▶ gone
///
/// Pure: every step takes the time and does no I/O. Time may stand still between steps but never goes back. A step
/// costs O(log n); what became due since the last step is charged to it once per message.
///
/// Changes are made in two halves where the store is involved: take() hides messages at once, so that two receives
/// never get the same one, and undo() gives them back when the commit failed. Everything else changes the queue only
/// after the commit.
///
/// Messages older than the retention period go at the next step, whatever their state; their rows are handed to the
/// caller by take_expired().
///
/// Memory: about 350 bytes per message beside its body and attributes (see queue_bench).
class Queue {
 public:
  explicit Queue(Duration retention) : retention_(retention) {}
  virtual ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void set_retention(Duration retention) { retention_ = retention; }

  /// `message.row` is not in the queue yet.
  virtual void add(QueuedMessage message, WallTime now);

  struct TakeOptions {
    int messages_max = 1;
    Duration visibility_timeout{};
    /// Receives after which a message leaves instead of being received again; nullopt: never. 0: every message leaves.
    std::optional<std::uint32_t> max_receive_count;
    std::size_t leaving_max = 100;
  };
  /// A message after its receive, and what undo() needs.
  struct Received {
    QueuedMessage message;
    QueuedMessage before;
  };
  struct Taken {
    std::vector<Received> received;
    std::vector<QueuedMessage> leaving;  ///< for another queue; stay hidden until finish_leaving or undo
    bool empty() const { return received.empty() && leaving.empty(); }
  };
  virtual Taken take(WallTime now, const TakeOptions& options) = 0;
  /// Nothing of `taken` was stored: its messages are as before, those that were removed meanwhile stay away.
  void undo(const Taken& taken);
  /// The message is in its dead-letter queue now. False when it was removed here meanwhile.
  bool finish_leaving(RowId row);

  /// Whether a delete with this generation removes the message: it exists and was not received again since.
  bool may_remove(RowId row, std::uint32_t generation) const;
  /// False when there is no such message.
  bool remove(RowId row);

  /// The message a ChangeMessageVisibility with this generation is about; nullptr when it is gone or was received
  /// again. One whose visibility timeout has ended meanwhile is still found (observed on AWS for standard queues).
  const QueuedMessage* find_received(RowId row, std::uint32_t generation) const;
  /// The message of that row, whatever its state; nullptr when it is gone.
  const QueuedMessage* find(RowId row) const;
  /// Hides the message until `available_at`, or shows it at once when that is not after `now`. False as for
  /// find_received.
  bool change_visibility(RowId row, std::uint32_t generation, WallTime available_at, WallTime now);

  /// Removes all messages with a row below `limit`; O(n).
  std::vector<RowId> remove_below(RowId limit);

  /// Makes what is due at `now` ready or expired. Every step above that takes `now` begins with it.
  void advance(WallTime now);
  std::vector<RowId> take_expired() { return std::exchange(expired_, {}); }

  /// So many receives, one after the other, would each get something: whom to wake.
  virtual std::size_t receivable() const = 0;
  /// When the next delayed or hidden message becomes ready.
  std::optional<WallTime> next_transition() const;

  /// As of the last step. In a FIFO queue messages that wait for an earlier one of their group count as visible.
  struct Counts {
    std::size_t visible = 0;
    std::size_t delayed = 0;
    std::size_t in_flight = 0;
    bool operator==(const Counts&) const = default;
  };
  Counts counts() const;
  std::size_t size() const { return messages_.size(); }
  enum class State : std::uint8_t { kReady, kDelayed, kInFlight, kLeaving };
  /// Every message in the order of sending; O(n log n). For people who look into a queue.
  std::vector<std::pair<QueuedMessage, State>> all() const;

 protected:
  template <class Tag>
  using Hook = boost::intrusive::set_base_hook<boost::intrusive::tag<Tag>, boost::intrusive::optimize_size<true>,
                                               boost::intrusive::link_mode<boost::intrusive::normal_link>>;
  struct ByAvailability;
  struct ByAge;
  struct Entry : Hook<ByAvailability>, Hook<ByAge> {
    QueuedMessage message;
    State state = State::kReady;
  };
  struct Earlier {
    bool operator()(const Entry& a, const Entry& b) const {
      if (a.message.available_at != b.message.available_at) return a.message.available_at < b.message.available_at;
      return a.message.row < b.message.row;
    }
  };
  using AvailabilityOrder = boost::intrusive::set<Entry, boost::intrusive::base_hook<Hook<ByAvailability>>,
                                                  boost::intrusive::compare<Earlier>>;

  // What a kind of queue keeps about its messages. A message is announced by enter(), hidden at first; show() and
  // hide() alternate; leave() ends it and finds it hidden.
  virtual void enter(Entry&) {}
  virtual void leave(Entry&) {}
  virtual void show(Entry& entry) = 0;
  virtual void hide(Entry& entry) = 0;

  /// For take(): the entry is ready, and in flight or leaving afterwards.
  Received receive(Entry& entry, WallTime now, Duration visibility_timeout);
  QueuedMessage begin_leaving(Entry& entry);
  static bool must_leave(const Entry& entry, const TakeOptions& options) {
    return options.max_receive_count && entry.message.receive_count >= *options.max_receive_count;
  }
  void place(Entry& entry, State state);
  void unplace(Entry& entry);

  /// Forgets all messages without announcing it; for destructors.
  void abandon();
  std::unordered_map<RowId, Entry> messages_;

 private:
  struct Older {
    bool operator()(const Entry& a, const Entry& b) const {
      if (a.message.content->sent_at != b.message.content->sent_at) {
        return a.message.content->sent_at < b.message.content->sent_at;
      }
      return a.message.row < b.message.row;
    }
  };
  using AgeOrder =
      boost::intrusive::set<Entry, boost::intrusive::base_hook<Hook<ByAge>>, boost::intrusive::compare<Older>>;
  std::size_t& count_of(State state) { return counts_[static_cast<std::size_t>(state)]; }

  Duration retention_;
  AvailabilityOrder waiting_;  ///< delayed and in flight
  AgeOrder by_age_;            ///< all but the leaving ones
  std::array<std::size_t, 4> counts_{};
  std::vector<RowId> expired_;
};

}  // namespace lambdad::sqs
