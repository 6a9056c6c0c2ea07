#include "services/sqs/move_tasks.h"

#include <algorithm>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "services/sqs/broker.h"

namespace lambdad::sqs {

using Status = MoveTaskRow::Status;

MoveTasks::MoveTasks(Broker& broker) : broker_(broker), group_(broker.system().loop) {}

MoveTasks::TaskPtr MoveTasks::add(MoveTaskRow row) {
  auto task = std::make_shared<Task>(broker_.system().loop);
  task->row = std::move(row);
  tasks_.push_back(task);
  return task;
}

void MoveTasks::restore(MoveTaskRow row) { add(std::move(row)); }

void MoveTasks::start_restored() {
  for (const TaskPtr& task : tasks_) {
    if (task->row.is_active()) group_.spawn("sqs move", run(task));
  }
}

Async<void> MoveTasks::stop() { return group_.stop(); }

bool MoveTasks::has_active(std::string_view source) const {
  return std::ranges::any_of(
      tasks_, [source](const TaskPtr& task) { return task->row.source == source && task->row.is_active(); });
}

std::vector<MoveTaskRow> MoveTasks::list(std::string_view source, int results_max) const {
  std::vector<MoveTaskRow> rows;
  for (auto it = tasks_.rbegin(); it != tasks_.rend() && std::ssize(rows) < results_max; ++it) {
    if ((*it)->row.source == source) rows.push_back((*it)->row);
  }
  return rows;
}

Async<Result<void>> MoveTasks::start(MoveTaskRow row) {
  const auto kept = list(row.source, kMoveTasksListedMax);
  if (std::ssize(kept) == kMoveTasksListedMax) {
    const std::int64_t oldest = kept.back().id;
    LD_CO_TRY_VOID(co_await broker_.store().remove_move_task(oldest));
    std::erase_if(tasks_, [oldest](const TaskPtr& task) { return task->row.id == oldest; });
  }
  LD_CO_TRY_VOID(co_await broker_.store().save_move_task(row));
  group_.spawn("sqs move", run(add(std::move(row))));
  co_return Result<void>{};
}

Async<Result<std::int64_t>> MoveTasks::cancel(std::string source, std::string task_id) {
  const auto it = std::ranges::find_if(tasks_, [&](const TaskPtr& each) {
    return each->row.source == source && each->row.task_id == task_id && each->row.status == Status::kRunning;
  });
  if (it == tasks_.end()) co_return fail(Errc::kNotFound, "there is no running task {}", task_id);
  const TaskPtr task = *it;
  task->row.status = Status::kCancelling;
  task->cancelled.notify_all();
  const std::int64_t moved = task->row.moved;
  LD_CO_TRY_VOID(co_await broker_.store().save_move_task(task->row));
  co_return moved;
}

Async<void> MoveTasks::run(TaskPtr task) {
  MoveTaskRow& row = task->row;
  for (;;) {
    std::size_t step = kMovesPerStepMax;
    if (row.per_second && row.status == Status::kRunning && row.moved < row.to_move) {
      // Ten steps a second, or one for each message when there are fewer.
      step = static_cast<std::size_t>(std::max(1, *row.per_second / 10));
      co_await pause(task, std::chrono::duration_cast<Duration>(1s) * static_cast<int>(step) / *row.per_second);
    }
    Activity::Token activity = broker_.system().activity.begin();
    if (row.status == Status::kCancelling) co_return co_await end(task, std::move(activity), Status::kCancelled);
    if (row.moved >= row.to_move) co_return co_await end(task, std::move(activity), Status::kCompleted);
    const auto source = broker_.find_arn(row.source);
    if (!source)
      co_return co_await end(task, std::move(activity), Status::kFailed, "AWS.SimpleQueueService.NonExistentQueue");

    step = std::min(step, static_cast<std::size_t>(row.to_move - row.moved));
    const auto redriven = co_await broker_.redrive(source, row, step);
    if (!redriven) {
      broker_.log().warn("sqs_move_failed", {{"task", row.task_id}, {"error", redriven.error().detail}});
      activity.release();
      co_await broker_.system().host_clock.sleep_for(1s);
      continue;
    }
    row.moved += static_cast<std::int64_t>(redriven->moved);
    if (!redriven->failure.empty())
      co_return co_await end(task, std::move(activity), Status::kFailed, redriven->failure);
    if (redriven->moved == 0) co_return co_await end(task, std::move(activity), Status::kCompleted);
  }
}

Async<void> MoveTasks::pause(TaskPtr task, Duration duration) {
  using namespace asio::experimental::awaitable_operators;
  if (task->row.status != Status::kRunning) co_return;
  try {
    co_await (sleep(duration) || task->cancelled.wait());
  } catch (const asio::multiple_exceptions&) {
    throw_cancelled();  // both were
  }
}

Async<void> MoveTasks::sleep(Duration duration) { co_await broker_.system().clock.sleep_for(duration); }

Async<void> MoveTasks::end(TaskPtr task, Activity::Token activity, Status status, std::string failure) {
  MoveTaskRow row = task->row;
  row.status = status;
  row.failure = std::move(failure);
  while (true) {
    const auto saved = co_await broker_.store().save_move_task(row);
    if (saved) break;
    broker_.log().warn("sqs_move_failed", {{"task", row.task_id}, {"error", saved.error().detail}});
    activity.release();
    co_await broker_.system().host_clock.sleep_for(1s);
    activity = broker_.system().activity.begin();
  }
  task->row = std::move(row);
}

}  // namespace lambdad::sqs
