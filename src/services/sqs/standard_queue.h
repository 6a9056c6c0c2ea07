/// The core of a standard queue.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "services/sqs/queue.h"

namespace lambdad::sqs {

/// Receiving takes the message that has been available longest (ties: the one sent first), so a restart does not change
/// the order.
///
/// Messages with a MessageGroupId make it a fair queue: the group with the fewest messages in flight is served first,
/// so that a group with a backlog does not make the others wait. Messages without a group are never put behind. Source:
/// SQS Developer Guide, "Amazon SQS fair queues"; that AWS compares messages in flight is documented, how is not.
class StandardQueue final : public Queue {
 public:
  using Queue::Queue;
  ~StandardQueue() override;
  void add(QueuedMessage message, WallTime now) override;
  Taken take(WallTime now, const TakeOptions& options) override;
  std::size_t receivable() const override { return counts().visible; }
  std::size_t groups() const { return groups_.size(); }

 private:
  using Key = std::tuple<std::size_t, WallTime, RowId>;  // in flight, of the first ready message
  struct Group {
    AvailabilityOrder ready;
    std::set<RowId> in_flight;
    std::size_t messages = 0;
    std::optional<Key> key;  ///< under which it stands in `turns_`; nullopt: nothing is ready
  };

  void enter(Entry& entry) override;
  void leave(Entry& entry) override;
  void show(Entry& entry) override;
  void hide(Entry& entry) override;
  /// Null when the message has no group.
  Group* group_of(const Entry& entry);
  void refresh(Group& group);
  Entry* next();

  AvailabilityOrder ready_;  ///< of messages without a group: available_at <= the time of the last step
  std::map<std::string, Group, std::less<>> groups_;
  std::map<Key, Group*> turns_;
};

}  // namespace lambdad::sqs
