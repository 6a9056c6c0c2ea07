#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "invoke/async/commit_until_stored.h"
#include "invoke/async/event_store.h"
#include "invoke/async/window.h"
#include "observe/metrics.h"
#include "ports/targets.h"

namespace lambdad::invoke {

/// Makes the deliveries that ended events have caused: records to destinations, events to dead-letter queues.
///
/// A delivery is a row, committed with the end of its event and removed after the target's own commit; a crash in
/// between delivers once more. A target that cannot take it for the moment is tried again after 1 s, 2 s, 4 s ... up to
/// 5 minutes of AWS's time, for about six hours of trying. One that is gone, refuses, or stays away loses the delivery,
/// counted (lambdad_destination_delivery_failures_total, lambdad_dead_letter_errors_total) and logged, as AWS does. As
/// with events, only the head of what is due is in memory.
///
/// Ownership: owns its tasks; borrows the rest. Threading: the loop only.
/// End: stop() lets deliveries that are being made finish; the others stay in the store.
class Outbox {
 public:
  struct Limits {
    std::size_t running_max = 64;
    std::size_t head_max = 512;             ///< deliveries that wait in memory
    std::size_t head_bytes_max = 64 << 20;  ///< of their bodies
  };
  Outbox(System& system, Logger& log, Metrics& metrics, EventStore& store, ports::Target& target, Limits limits);
  ~Outbox();

  /// `first_due`: of the deliveries that an earlier run left.
  void start(std::optional<WallTime> first_due);
  /// Rows that were committed just now, with their ids.
  void add(std::vector<Delivery> deliveries);
  Async<void> stop();

 private:
  using DeliveryPtr = std::shared_ptr<Delivery>;
  void take_up(DeliveryPtr delivery);
  void dispatch();
  void read_on_if_low();
  Async<void> read_on();
  Async<void> deliver(DeliveryPtr delivery);
  void count_failure(const Delivery& delivery, const std::string& why);
  Async<void> watch_due();

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  EventStore& store_;
  ports::Target& target_;
  Limits limits_;
  Worker worker_;
  Counter& retries_;

  Window window_;
  std::deque<DeliveryPtr> ready_;
  std::size_t ready_bytes_ = 0;
  std::size_t running_ = 0;
  Notifier due_changed_;
  TaskGroup running_tasks_;
  TaskGroup upkeep_;
};

}  // namespace lambdad::invoke
