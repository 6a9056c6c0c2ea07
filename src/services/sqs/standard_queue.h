/// The core of a standard queue.
#pragma once

#include "services/sqs/queue.h"

namespace lambdad::sqs {

/// Receiving takes the message that has been available longest (ties: the one sent first), so a restart does not change
/// the order.
class StandardQueue final : public Queue {
 public:
  using Queue::Queue;
  ~StandardQueue() override;
  Taken take(WallTime now, const TakeOptions& options) override;
  std::size_t receivable() const override { return counts().visible; }

 private:
  void show(Entry& entry) override;
  void hide(Entry& entry) override;

  AvailabilityOrder ready_;  ///< available_at <= the time of the last step
};

}  // namespace lambdad::sqs
