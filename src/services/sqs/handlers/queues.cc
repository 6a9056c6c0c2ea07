// Operations on queues themselves. Those that change one run as a step of the broker, one at a time.

#include <algorithm>
#include <utility>

#include "base/arn.h"
#include "services/sqs/handlers/common.h"

namespace lambdad::sqs {

namespace {

/// `stem`: without the suffix of FIFO queues.
bool is_queue_name(std::string_view name, std::string_view stem) {
  return !stem.empty() && name.size() <= kQueueNameLengthMax && std::ranges::all_of(stem, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// Whether `attributes` may name their dead-letter queue: it exists, in the same account and region, and allows it.
/// Source of the first text: observed; the second is ours, AWS's is not known.
Outcome<void> check_redrive(const Call& call, const QueueAttributes& attributes, const AttributeMap& changes,
                            const std::string& account, const std::string& name) {
  const auto& policy = attributes.redrive_policy();
  const auto given = changes.find("RedrivePolicy");
  if (!policy || given == changes.end()) return {};
  const auto refuse = [&](std::string_view reason) -> Outcome<void> {
    return std::unexpected(bad_value(given->second, "RedrivePolicy", reason));
  };
  const LiveQueuePtr target = call.broker->find_arn(policy->dead_letter_arn);
  if (!target || target->row.account != account || target->row.region != call.context->region) {
    return refuse("Dead letter target does not exist.");
  }
  if (target->attributes.is_fifo() != attributes.is_fifo()) {
    return refuse("Dead-letter queue must be same type of queue as the source.");
  }
  const std::string source =
      Arn{.service = "sqs", .region = call.context->region, .account = account, .resource = name}.str();
  if (!target->attributes.redrive_allow_policy().allows(source)) {
    return refuse("The dead letter queue's redrive allow policy does not permit this source queue.");
  }
  return {};
}

Outcome<void> check_tags(const AttributeMap& tags) {
  if (tags.size() > kTagsMax) {
    return std::unexpected(aws::sqs::invalid_parameter_value(
        fmt::format("Too many tags added for queue. Maximum {} tags are allowed.", kTagsMax)));
  }
  for (const auto& [key, value] : tags) {
    if (key.empty() || key.size() > kTagKeyLengthMax) {
      return std::unexpected(
          aws::sqs::invalid_parameter_value("Tag keys must be between 1 and 128 characters in length."));
    }
    if (value.size() > kTagValueLengthMax) {
      return std::unexpected(
          aws::sqs::invalid_parameter_value("Tag values must be between 0 and 256 characters in length."));
    }
  }
  return {};
}

Async<Outcome<aws::sqs::CreateQueueResult>> create_step(Call call, aws::sqs::CreateQueueRequest input) {
  const auto turn = co_await call.broker->take_turn();
  const aws::RequestContext& context = *call.context;
  const AttributeMap wanted = input.attributes.value_or(AttributeMap{});
  const auto fifo = wanted.find("FifoQueue");
  std::string_view stem = input.queue_name;
  if (fifo != wanted.end() && fifo->second == "true") {
    if (!stem.ends_with(kFifoSuffix) || !is_queue_name(stem, stem.substr(0, stem.size() - kFifoSuffix.size()))) {
      co_return std::unexpected(aws::sqs::invalid_parameter_value(
          "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with "
          ".fifo suffix and be 1 to 80 in length."));
    }
  } else if (!is_queue_name(stem, stem)) {
    co_return std::unexpected(aws::sqs::invalid_parameter_value(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"));
  }
  auto attributes = QueueAttributes{}.with(wanted, QueueAttributes::Occasion::kCreate);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));

  if (const auto existing = call.broker->find(context.account, context.region, input.queue_name)) {
    if (const auto difference = existing->attributes.first_difference(wanted)) {
      co_return std::unexpected(aws::sqs::queue_name_exists(fmt::format(
          "A queue already exists with the same name and a different value for attribute {}", *difference)));
    }
    co_return aws::sqs::CreateQueueResult{.queue_url = queue_url(context, *existing)};
  }
  if (const auto deleted = call.broker->deleted_at(context.account, context.region, input.queue_name);
      deleted && call.broker->now() < *deleted + kNameBlockedAfterDelete) {
    co_return std::unexpected(aws::sqs::queue_deleted_recently(
        "You must wait 60 seconds after deleting a queue before you can create another with the same name."));
  }
  const AttributeMap tags = input.tags.value_or(AttributeMap{});
  if (auto checked = check_tags(tags); !checked) co_return std::unexpected(std::move(checked.error()));
  if (auto checked = check_redrive(call, *attributes, wanted, context.account, input.queue_name); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  auto queue =
      co_await call.broker->create(context.account, context.region, input.queue_name, std::move(*attributes), tags);
  if (!queue) co_return std::unexpected(to_aws_error(call, queue.error()));
  co_return aws::sqs::CreateQueueResult{.queue_url = queue_url(context, **queue)};
}

Async<Outcome<Unit>> delete_step(Call call, aws::sqs::DeleteQueueRequest input) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  if (auto done = co_await call.broker->remove(*queue); !done) {
    co_return std::unexpected(to_aws_error(call, done.error()));
  }
  co_return Unit{};
}

Async<Outcome<Unit>> set_attributes_step(Call call, aws::sqs::SetQueueAttributesRequest input) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  auto attributes = (*queue)->attributes.with(input.attributes, QueueAttributes::Occasion::kSet);
  if (!attributes) co_return std::unexpected(std::move(attributes.error()));
  if (auto checked = check_redrive(call, *attributes, input.attributes, (*queue)->row.account, (*queue)->row.name);
      !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  if (auto done = co_await call.broker->set_attributes(*queue, std::move(*attributes)); !done) {
    co_return std::unexpected(to_aws_error(call, done.error()));
  }
  co_return Unit{};
}

Async<Outcome<Unit>> purge_step(Call call, aws::sqs::PurgeQueueRequest input) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  const auto& last = (*queue)->row.purged_at;
  if (last && call.broker->now() < *last + kPurgeInterval) {
    co_return std::unexpected(aws::sqs::purge_queue_in_progress(
        fmt::format("Only one PurgeQueue operation on {} is allowed every 60 seconds.", (*queue)->row.name)));
  }
  if (auto done = co_await call.broker->purge(*queue); !done) {
    co_return std::unexpected(to_aws_error(call, done.error()));
  }
  co_return Unit{};
}

/// Adds `added` to the queue's tags and removes those named `removed`.
Async<Outcome<Unit>> tags_step(Call call, std::string url, AttributeMap added, std::vector<std::string> removed) {
  const auto turn = co_await call.broker->take_turn();
  auto queue = find_queue(call, url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  AttributeMap tags = (*queue)->row.tags;
  for (const std::string& key : removed) tags.erase(key);
  for (auto& [key, value] : added) tags.insert_or_assign(key, std::move(value));
  if (auto checked = check_tags(tags); !checked) co_return std::unexpected(std::move(checked.error()));
  if (auto done = co_await call.broker->set_tags(*queue, std::move(tags)); !done) {
    co_return std::unexpected(to_aws_error(call, done.error()));
  }
  co_return Unit{};
}

struct TagChange {
  std::string queue_url;
  AttributeMap added;
  std::vector<std::string> removed;
};
Async<Outcome<Unit>> change_tags(Call call, TagChange change) {
  return tags_step(call, std::move(change.queue_url), std::move(change.added), std::move(change.removed));
}

}  // namespace

Async<Outcome<aws::sqs::CreateQueueResult>> create_queue(Call call, aws::sqs::CreateQueueRequest input) {
  return as_step(call, "sqs create", std::move(input), create_step);
}
Async<Outcome<Unit>> delete_queue(Call call, aws::sqs::DeleteQueueRequest input) {
  return as_step(call, "sqs delete queue", std::move(input), delete_step);
}
Async<Outcome<Unit>> set_queue_attributes(Call call, aws::sqs::SetQueueAttributesRequest input) {
  return as_step(call, "sqs attributes", std::move(input), set_attributes_step);
}
Async<Outcome<Unit>> purge_queue(Call call, aws::sqs::PurgeQueueRequest input) {
  return as_step(call, "sqs purge", std::move(input), purge_step);
}
Async<Outcome<Unit>> tag_queue(Call call, aws::sqs::TagQueueRequest input) {
  return as_step(call, "sqs tags", TagChange{std::move(input.queue_url), std::move(input.tags), {}}, change_tags);
}
Async<Outcome<Unit>> untag_queue(Call call, aws::sqs::UntagQueueRequest input) {
  return as_step(call, "sqs tags", TagChange{std::move(input.queue_url), {}, std::move(input.tag_keys)}, change_tags);
}

Async<Outcome<aws::sqs::ListQueueTagsResult>> list_queue_tags(Call call, aws::sqs::ListQueueTagsRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  aws::sqs::ListQueueTagsResult result;
  if (!(*queue)->row.tags.empty()) result.tags = (*queue)->row.tags;
  co_return result;
}

Async<Outcome<aws::sqs::ListQueuesResult>> list_queues(Call call, aws::sqs::ListQueuesRequest input) {
  const std::string prefix = input.queue_name_prefix.value_or("");
  auto page = list_page(call, call.context->account, input.next_token, input.max_results,
                        [&prefix](const LiveQueue& queue) { return queue.row.name.starts_with(prefix); });
  if (!page) co_return std::unexpected(std::move(page.error()));
  aws::sqs::ListQueuesResult result{.queue_urls = std::nullopt, .next_token = std::move(page->next_token)};
  if (!page->queues.empty()) result.queue_urls.emplace();
  for (const LiveQueuePtr& queue : page->queues) result.queue_urls->push_back(queue_url(*call.context, *queue));
  co_return result;
}

Async<Outcome<aws::sqs::ListDeadLetterSourceQueuesResult>> list_dead_letter_source_queues(
    Call call, aws::sqs::ListDeadLetterSourceQueuesRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  const std::string arn = (*queue)->arn();
  auto page =
      list_page(call, (*queue)->row.account, input.next_token, input.max_results, [&arn](const LiveQueue& other) {
        const auto& policy = other.attributes.redrive_policy();
        return policy && policy->dead_letter_arn == arn;
      });
  if (!page) co_return std::unexpected(std::move(page.error()));
  aws::sqs::ListDeadLetterSourceQueuesResult result{.queue_urls = {}, .next_token = std::move(page->next_token)};
  for (const LiveQueuePtr& source : page->queues) result.queue_urls.push_back(queue_url(*call.context, *source));
  co_return result;
}

Async<Outcome<aws::sqs::GetQueueUrlResult>> get_queue_url(Call call, aws::sqs::GetQueueUrlRequest input) {
  const std::string& account =
      input.queue_owner_aws_account_id ? *input.queue_owner_aws_account_id : call.context->account;
  const auto queue = call.broker->find(account, call.context->region, input.queue_name);
  if (!queue) co_return std::unexpected(no_such_queue(*call.context));
  co_return aws::sqs::GetQueueUrlResult{.queue_url = queue_url(*call.context, *queue)};
}

Async<Outcome<aws::sqs::GetQueueAttributesResult>> get_queue_attributes(Call call,
                                                                        aws::sqs::GetQueueAttributesRequest input) {
  auto found = find_queue(call, input.queue_url);
  if (!found) co_return std::unexpected(std::move(found.error()));
  LiveQueue& queue = **found;
  aws::sqs::GetQueueAttributesResult result;
  if (!input.attribute_names || input.attribute_names->empty()) co_return result;
  for (const std::string& name : *input.attribute_names) {
    if (!QueueAttributes::is_known(name)) {
      co_return std::unexpected(aws::sqs::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
    }
  }
  AttributeMap all = queue.attributes.shown();
  const Queue::Counts counts = call.broker->counts(queue);
  all["QueueArn"] = queue.arn();
  all["ApproximateNumberOfMessages"] = std::to_string(counts.visible);
  all["ApproximateNumberOfMessagesNotVisible"] = std::to_string(counts.in_flight);
  all["ApproximateNumberOfMessagesDelayed"] = std::to_string(counts.delayed);
  all["CreatedTimestamp"] = std::to_string(to_epoch_seconds(queue.row.created_at));
  all["LastModifiedTimestamp"] = std::to_string(to_epoch_seconds(queue.row.modified_at));
  const auto& names = *input.attribute_names;
  if (std::ranges::find(names, "All") == names.end()) {
    std::erase_if(all, [&](const auto& entry) { return std::ranges::find(names, entry.first) == names.end(); });
  }
  if (!all.empty()) result.attributes = std::move(all);
  co_return result;
}

}  // namespace lambdad::sqs
