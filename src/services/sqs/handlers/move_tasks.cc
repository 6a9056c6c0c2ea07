// StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks.

#include "services/sqs/move_tasks.h"

#include <algorithm>

#include "base/arn.h"
#include "base/encoding.h"
#include "base/json.h"
#include "services/sqs/handlers/common.h"

namespace lambdad::sqs {

namespace {

aws::Error no_such_resource(std::string_view parameter) {
  return aws::sqs::resource_not_found(
      fmt::format("The resource that you specified for the {} parameter doesn't exist.", parameter));
}

/// The queue of an ARN, in the request's account and Region.
Outcome<LiveQueuePtr> find_own(const Call& call, const std::string& arn, std::string_view parameter) {
  auto queue = call.broker->find_arn(arn);
  if (!queue || queue->row.account != call.context->account || queue->row.region != call.context->region) {
    return std::unexpected(no_such_resource(parameter));
  }
  return queue;
}

bool is_dead_letter_queue(const Call& call, const LiveQueue& queue) {
  const std::string arn = queue.arn();
  return std::ranges::any_of(call.broker->list(queue.row.account, queue.row.region, ""),
                             [&arn](const LiveQueuePtr& other) {
                               const auto& policy = other->attributes.redrive_policy();
                               return policy && policy->dead_letter_arn == arn;
                             });
}

/// What a task's handle says; as AWS's, base64 of a JSON document.
struct TaskHandle {
  std::string task_id;
  std::string source;
};
std::string seal_handle(const MoveTaskRow& task) {
  return base64_encode(json::serialize(json::Object{{"taskId", task.task_id}, {"sourceArn", task.source}}));
}
Outcome<TaskHandle> open_handle(const std::string& text) {
  const auto bad = [] {
    return std::unexpected(aws::sqs::invalid_parameter_value("Value for parameter TaskHandle is invalid."));
  };
  const auto bytes = base64_decode(text);
  if (!bytes) return bad();
  const auto document = json::parse(*bytes);
  if (!document || document->if_object() == nullptr) return bad();
  const json::Value* task_id = document->find("taskId");
  const json::Value* source = document->find("sourceArn");
  if (task_id == nullptr || task_id->if_string() == nullptr) return bad();
  if (source == nullptr || source->if_string() == nullptr) return bad();
  return TaskHandle{.task_id = *task_id->if_string(), .source = *source->if_string()};
}

Async<Outcome<aws::sqs::StartMessageMoveTaskResult>> start_step(Call call,
                                                                aws::sqs::StartMessageMoveTaskRequest input) {
  const auto turn = co_await call.broker->take_turn();
  const auto source = find_own(call, input.source_arn, "SourceArn");
  if (!source) co_return std::unexpected(source.error());
  if (!is_dead_letter_queue(call, **source)) {
    co_return std::unexpected(
        aws::sqs::invalid_parameter_value("Source queue must be configured as a Dead Letter Queue."));
  }
  if (input.destination_arn) {
    const auto destination = find_own(call, *input.destination_arn, "DestinationArn");
    if (!destination) co_return std::unexpected(destination.error());
    if ((*destination)->attributes.is_fifo() != (*source)->attributes.is_fifo()) {
      co_return std::unexpected(
          aws::sqs::invalid_parameter_value("The source and the destination must be queues of the same type."));
    }
    if (*destination == *source) {
      co_return std::unexpected(
          aws::sqs::invalid_parameter_value("The source and the destination must be different queues."));
    }
  }
  const auto rate = checked_int(input.max_number_of_messages_per_second, 1, 1, kMovesPerSecondMax,
                                "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.");
  if (!rate) co_return std::unexpected(rate.error());
  if (call.broker->move_tasks().has_active(input.source_arn)) {
    co_return std::unexpected(aws::sqs::invalid_parameter_value(
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."));
  }

  MoveTaskRow row{.id = call.broker->store().next_id(),
                  .task_id = call.broker->new_message_id().text(),
                  .source = std::move(input.source_arn),
                  .destination = std::move(input.destination_arn),
                  .per_second = input.max_number_of_messages_per_second,
                  .failure = {},
                  .started_at = call.broker->now(),
                  .to_move = static_cast<std::int64_t>(call.broker->counts(**source).visible)};
  const std::string handle = seal_handle(row);
  if (auto started = co_await call.broker->move_tasks().start(std::move(row)); !started) {
    co_return std::unexpected(to_aws_error(call, started.error()));
  }
  co_return aws::sqs::StartMessageMoveTaskResult{.task_handle = handle};
}

Async<Outcome<aws::sqs::CancelMessageMoveTaskResult>> cancel_step(Call call,
                                                                  aws::sqs::CancelMessageMoveTaskRequest input) {
  const auto handle = open_handle(input.task_handle);
  if (!handle) co_return std::unexpected(handle.error());
  if (auto source = find_own(call, handle->source, "SourceArn"); !source) {
    co_return std::unexpected(std::move(source.error()));
  }
  const auto moved = co_await call.broker->move_tasks().cancel(handle->source, handle->task_id);
  if (!moved && moved.error().code == Errc::kNotFound) {
    co_return std::unexpected(aws::sqs::resource_not_found("Task does not exist."));
  }
  if (!moved) co_return std::unexpected(to_aws_error(call, moved.error()));
  co_return aws::sqs::CancelMessageMoveTaskResult{.approximate_number_of_messages_moved = *moved};
}

}  // namespace

Async<Outcome<aws::sqs::StartMessageMoveTaskResult>> start_message_move_task(
    Call call, aws::sqs::StartMessageMoveTaskRequest input) {
  return as_step(call, "sqs start move", std::move(input), start_step);
}

Async<Outcome<aws::sqs::CancelMessageMoveTaskResult>> cancel_message_move_task(
    Call call, aws::sqs::CancelMessageMoveTaskRequest input) {
  return as_step(call, "sqs cancel move", std::move(input), cancel_step);
}

Async<Outcome<aws::sqs::ListMessageMoveTasksResult>> list_message_move_tasks(
    Call call, aws::sqs::ListMessageMoveTasksRequest input) {
  if (auto source = find_own(call, input.source_arn, "SourceArn"); !source) {
    co_return std::unexpected(std::move(source.error()));
  }
  const auto count =
      checked_int(input.max_results, 1, 1, kMoveTasksListedMax, "MaxResults", "Must be between 1 and 10, if provided.");
  if (!count) co_return std::unexpected(count.error());
  aws::sqs::ListMessageMoveTasksResult result;
  result.results.emplace();
  for (MoveTaskRow& task : call.broker->move_tasks().list(input.source_arn, *count)) {
    aws::sqs::ListMessageMoveTasksResultEntry entry;
    if (task.status == MoveTaskRow::Status::kRunning) entry.task_handle = seal_handle(task);
    entry.status = std::string(status_text(task.status));
    entry.source_arn = std::move(task.source);
    entry.destination_arn = std::move(task.destination);
    entry.max_number_of_messages_per_second = task.per_second;
    entry.approximate_number_of_messages_moved = task.moved;
    entry.approximate_number_of_messages_to_move = task.to_move;
    if (!task.failure.empty()) entry.failure_reason = std::move(task.failure);
    entry.started_timestamp = to_epoch_ms(task.started_at);
    result.results->push_back(std::move(entry));
  }
  co_return result;
}

}  // namespace lambdad::sqs
