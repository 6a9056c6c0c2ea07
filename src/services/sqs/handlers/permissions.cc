// AddPermission and RemovePermission: statements of the Policy attribute.

#include "services/sqs/handlers/common.h"
#include "services/sqs/policy.h"

namespace lambdad::sqs {

namespace {

/// Gives the queue another policy, inside a Turn.
Async<Outcome<Unit>> set_policy(Call call, LiveQueuePtr queue, std::string policy) {
  auto attributes = queue->attributes.with({{"Policy", std::move(policy)}}, QueueAttributes::Occasion::kSet);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  if (auto done = co_await call.broker->set_attributes(queue, std::move(*attributes)); !done) {
    co_return std::unexpected(to_aws_error(call, done.error()));
  }
  co_return Unit{};
}

Async<Outcome<Unit>> add_step(Call call, aws::sqs::AddPermissionRequest input) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  auto policy = with_permission((*queue)->attributes.policy(), (*queue)->arn(),
                                {.label = std::move(input.label),
                                 .accounts = std::move(input.aws_account_ids),
                                 .actions = std::move(input.actions)});
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  co_return co_await set_policy(call, *queue, std::move(*policy));
}

Async<Outcome<Unit>> remove_step(Call call, aws::sqs::RemovePermissionRequest input) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  auto policy = without_permission((*queue)->attributes.policy(), input.label);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  co_return co_await set_policy(call, *queue, std::move(*policy));
}

}  // namespace

Async<Outcome<Unit>> add_permission(Call call, aws::sqs::AddPermissionRequest input) {
  return as_step(call, "sqs permission", std::move(input), add_step);
}
Async<Outcome<Unit>> remove_permission(Call call, aws::sqs::RemovePermissionRequest input) {
  return as_step(call, "sqs permission", std::move(input), remove_step);
}

}  // namespace lambdad::sqs
