#include <set>

#include "services/sns/handlers/common.h"
#include "services/sns/handlers/message_input.h"

namespace lambdad::sns {

namespace {

Outcome<void> check_batch_ids(const std::vector<api::PublishBatchRequestEntry>& entries) {
  if (entries.empty()) {
    return std::unexpected(api::empty_batch_request("The batch request doesn't contain any entries."));
  }
  if (entries.size() > kBatchEntriesMax) {
    return std::unexpected(
        api::too_many_entries_in_batch_request("The batch request contains more entries than permissible."));
  }
  std::set<std::string_view> seen;
  for (const auto& entry : entries) {
    const bool well_formed =
        !entry.id.empty() && entry.id.size() <= kBatchEntryIdLengthMax && std::ranges::all_of(entry.id, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        });
    if (!well_formed) {
      return std::unexpected(api::invalid_batch_entry_id(
          "The Id of a batch entry in a batch request doesn't abide by the specification."));
    }
    if (!seen.insert(entry.id).second) {
      return std::unexpected(
          api::batch_entry_ids_not_distinct("Two or more batch entries in the request have the same Id."));
    }
  }
  return {};
}

std::optional<std::string> sequence_of(Hub::Receipt& receipt) {
  return receipt.sequence_number.empty() ? std::nullopt : std::optional(std::move(receipt.sequence_number));
}

}  // namespace

Async<Outcome<api::PublishResponse>> publish(Call call, api::PublishInput input) {
  if (input.topic_arn && input.target_arn) {
    co_return std::unexpected(invalid_parameter("Invalid parameter: Only one of TopicArn or TargetArn is allowed"));
  }
  if (!input.topic_arn && !input.target_arn) {
    co_return std::unexpected(invalid_parameter("TopicArn or TargetArn Reason: no value for required parameter"));
  }
  const std::string arn = input.topic_arn ? *input.topic_arn : *input.target_arn;
  if (!input.topic_arn && arn.find(":endpoint/") != std::string::npos) {
    co_return std::unexpected(aws::not_served("sns", "Publish", "TargetArn of a mobile endpoint"));
  }
  const auto topic = find_topic(call, arn, input.topic_arn ? "TopicArn" : "TargetArn");
  if (!topic) co_return std::unexpected(topic.error());
  MessageInput given{.message = std::move(input.message),
                     .subject = std::move(input.subject),
                     .structure = std::move(input.message_structure),
                     .attributes = std::move(input.message_attributes),
                     .deduplication_id = std::move(input.message_deduplication_id),
                     .group_id = std::move(input.message_group_id)};
  if (size_bytes(given) > kMessageBytesMax) co_return std::unexpected(invalid_parameter("Message too long"));
  auto checked = check_message(**topic, std::move(given));
  if (!checked) co_return std::unexpected(std::move(checked.error()));
  checked->trace_header = call.context->headers.get_or("X-Amzn-Trace-Id", "");
  std::vector<Hub::NewMessage> messages;
  messages.push_back(std::move(*checked));
  auto published = co_await call.hub->publish(*topic, std::move(messages));
  if (!published) co_return std::unexpected(to_aws_error(call, published.error()));
  co_return api::PublishResponse{.message_id = std::move(published->front().message_id),
                                 .sequence_number = sequence_of(published->front())};
}

Async<Outcome<api::PublishBatchResponse>> publish_batch(Call call, api::PublishBatchInput input) {
  const auto topic = find_topic(call, input.topic_arn);
  if (!topic) co_return std::unexpected(topic.error());
  if (auto ids = check_batch_ids(input.publish_batch_request_entries); !ids) {
    co_return std::unexpected(std::move(ids.error()));
  }
  std::size_t size = 0;
  std::vector<std::pair<std::string, MessageInput>> given;
  for (auto& entry : input.publish_batch_request_entries) {
    given.emplace_back(std::move(entry.id), MessageInput{.message = std::move(entry.message),
                                                         .subject = std::move(entry.subject),
                                                         .structure = std::move(entry.message_structure),
                                                         .attributes = std::move(entry.message_attributes),
                                                         .deduplication_id = std::move(entry.message_deduplication_id),
                                                         .group_id = std::move(entry.message_group_id)});
    size += size_bytes(given.back().second);
  }
  if (size > kMessageBytesMax) {
    co_return std::unexpected(
        api::batch_request_too_long("The length of all the messages put together is more than the limit."));
  }
  api::PublishBatchResponse out;
  out.successful.emplace();
  out.failed.emplace();
  std::vector<std::string> ids;
  std::vector<Hub::NewMessage> messages;
  for (auto& [id, entry] : given) {
    auto checked = check_message(**topic, std::move(entry));
    if (!checked) {
      const aws::Error& error = checked.error();
      out.failed->push_back({.id = id,
                             .code = error.query_code.empty() ? error.type : error.query_code,
                             .message = error.message,
                             .sender_fault = true});
      continue;
    }
    checked->trace_header = call.context->headers.get_or("X-Amzn-Trace-Id", "");
    ids.push_back(id);
    messages.push_back(std::move(*checked));
  }
  if (messages.empty()) co_return out;
  auto published = co_await call.hub->publish(*topic, std::move(messages));
  if (!published) co_return std::unexpected(to_aws_error(call, published.error()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    out.successful->push_back({.id = std::move(ids[i]),
                               .message_id = std::move((*published)[i].message_id),
                               .sequence_number = sequence_of((*published)[i])});
  }
  co_return out;
}

}  // namespace lambdad::sns
