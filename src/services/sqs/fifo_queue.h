/// The core of a FIFO queue: order and exclusion within message groups.
#pragma once

#include <map>
#include <set>
#include <string>

#include "services/sqs/deduplication.h"
#include "services/sqs/queue.h"

namespace lambdad::sqs {

/// Messages of a group are received in the order in which they were sent. The position of a hidden message (delayed, in
/// flight, leaving) blocks what comes after it in its group, not what comes before it and not other groups: of three
/// messages whose third is hidden, the first two can be received.
///
/// A receive takes as much as it may from one group before it goes on with the next; groups take turns by how long
/// their first message has been available (ties: the one sent first).
///
/// The delay is the queue's alone, and a change of it also holds for messages that wait for their first receive.
/// Sources: SQS Developer Guide, "FIFO queue delivery logic" and "Delay queues"; the blocking by position is observed.
class FifoQueue final : public Queue {
 public:
  FifoQueue(Duration retention, Duration delay) : Queue(retention), delay_(delay) {}

  /// Available when the queue's delay has passed since it was sent, unless it has been received before.
  void add(QueuedMessage message, WallTime now) override;
  void set_delay(Duration delay, WallTime now);
  Taken take(WallTime now, const TakeOptions& options) override;
  std::size_t receivable() const override { return open_groups_.size(); }
  std::size_t groups() const { return groups_.size(); }

  /// Whether the receive of this generation still hides the message. What FIFO queues ask of a receipt handle.
  bool holds(RowId row, std::uint32_t generation, WallTime now);

  // --- ReceiveRequestAttemptId: a receive that can be asked for again

  /// Remembers, for kDeduplicationInterval, what was received under `attempt`.
  void note_attempt(const std::string& attempt, const Taken& taken, WallTime now);
  /// After a restart, with all messages of the receive; they are in the queue.
  void restore_attempt(const std::string& attempt, const std::vector<RowId>& rows);
  /// The messages of the receive that had this attempt id, none of which was deleted, made visible, given another
  /// timeout or received again since; empty: there is no such receive.
  std::vector<QueuedMessage> find_attempt(const std::string& attempt, WallTime now);
  /// The visibility timeouts of find_attempt()'s messages were changed to end then.
  void renew_attempt(const std::string& attempt, WallTime available_at);

  Deduplication deduplication;

 private:
  struct Group {
    std::map<RowId, Entry*> messages;
    std::set<RowId> hidden;
    bool open = false;               ///< its first message is ready: in open_groups_ under `key`
    std::pair<WallTime, RowId> key;  ///< of its first message
    bool may_begin() const {
      return !messages.empty() && (hidden.empty() || *hidden.begin() != messages.begin()->first);
    }
  };
  struct Attempt {
    struct Message {
      RowId row;
      std::uint32_t generation;
    };
    std::vector<Message> messages;
    WallTime received_at;
    WallTime available_at;
  };

  void enter(Entry& entry) override;
  void leave(Entry& entry) override;
  void show(Entry& entry) override;
  void hide(Entry& entry) override;
  Group& group_of(const Entry& entry);
  void refresh(Group& group);
  void forget_old_attempts(WallTime now);

  Duration delay_;
  std::map<std::string, Group, std::less<>> groups_;
  std::map<std::pair<WallTime, RowId>, Group*> open_groups_;
  std::map<std::string, Attempt> attempts_;
  std::multimap<WallTime, std::string> attempt_ages_;
};

}  // namespace lambdad::sqs
