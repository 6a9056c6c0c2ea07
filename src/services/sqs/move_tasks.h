/// Message move tasks: what StartMessageMoveTask begins.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqs/store.h"
#include "system/system.h"

namespace lambdad::sqs {

class Broker;

/// Moves the messages that dead-letter queues have when a task starts, on the virtual clock at the rate the task has,
/// or as fast as commits go. Every step is one transaction with the task's progress, so a restart goes on where the
/// last run ended. A task ends when it has moved as many messages as there were, or none is visible any more.
///
/// Of each source queue the last ten tasks are kept, and one at a time is active.
/// Ownership: owned by the broker. Threading: the loop. End: stop().
class MoveTasks {
 public:
  explicit MoveTasks(Broker& broker);

  /// In the order of their ids, then start_restored().
  void restore(MoveTaskRow row);
  void start_restored();
  Async<void> stop();

  bool has_active(std::string_view source) const;
  /// Of one source queue, the newest first.
  std::vector<MoveTaskRow> list(std::string_view source, int results_max) const;
  /// There is no active task of the source: the caller holds the broker's Turn.
  Async<Result<void>> start(MoveTaskRow row);
  /// Returns after the commit how many messages were moved so far; kNotFound when no running task has this id.
  Async<Result<std::int64_t>> cancel(std::string source, std::string task_id);

 private:
  struct Task {
    explicit Task(Loop& loop) : cancelled(loop) {}
    MoveTaskRow row;
    Notifier cancelled;
  };
  using TaskPtr = std::shared_ptr<Task>;

  TaskPtr add(MoveTaskRow row);
  Async<void> run(TaskPtr task);
  Async<void> pause(TaskPtr task, Duration duration);
  Async<void> sleep(Duration duration);
  /// `activity` is held while something can be done.
  Async<void> end(TaskPtr task, Activity::Token activity, MoveTaskRow::Status status, std::string failure = {});

  Broker& broker_;
  std::list<TaskPtr> tasks_;  ///< oldest first
  TaskGroup group_;
};

}  // namespace lambdad::sqs
