#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "services/sqs/handlers/message_input.h"

namespace lambdad::sqs {

namespace {

constexpr std::array<std::string_view, 10> kSystemAttributeNames = {"All",
                                                                    "SenderId",
                                                                    "SentTimestamp",
                                                                    "ApproximateReceiveCount",
                                                                    "ApproximateFirstReceiveTimestamp",
                                                                    "SequenceNumber",
                                                                    "MessageDeduplicationId",
                                                                    "MessageGroupId",
                                                                    "AWSTraceHeader",
                                                                    "DeadLetterQueueSourceArn"};

/// Which system attributes and user attributes the receiver wants to see.
struct Wanted {
  std::set<std::string, std::less<>> system;
  std::vector<std::string> user;

  bool has_system(std::string_view name) const { return system.contains("All") || system.contains(name); }
  bool has_user(std::string_view name) const {
    return std::ranges::any_of(user, [name](std::string_view pattern) {
      if (pattern == "All" || pattern == ".*") return true;
      if (pattern.ends_with(".*")) return name.starts_with(pattern.substr(0, pattern.size() - 1));
      return pattern == name;
    });
  }
};

Outcome<Wanted> check_wanted(const aws::sqs::ReceiveMessageRequest& input) {
  Wanted wanted;
  for (const auto* names : {&input.attribute_names, &input.message_system_attribute_names}) {
    if (!*names) continue;
    for (const std::string& name : **names) {
      if (std::ranges::find(kSystemAttributeNames, name) == kSystemAttributeNames.end()) {
        return std::unexpected(aws::sqs::invalid_attribute_name(fmt::format("Unknown Attribute {}.", name)));
      }
      wanted.system.insert(name);
    }
  }
  if (input.message_attribute_names) wanted.user = *input.message_attribute_names;
  return wanted;
}

aws::sqs::Message to_message(const Call& call, const LiveQueue& queue, const QueuedMessage& received,
                             const Wanted& wanted) {
  const MessageContent& content = *received.content;
  aws::sqs::Message message;
  message.message_id = content.message_id.text();
  message.receipt_handle =
      call.broker->handles().seal({.queue = queue.row.id, .row = received.row, .generation = received.receive_count});
  message.md5_of_body = hex_encode(std::string_view(reinterpret_cast<const char*>(content.md5_of_body.data()), 16));
  message.body = content.body;

  std::map<std::string, std::string> system;
  const auto show = [&](const char* name, std::string value) {
    if (wanted.has_system(name)) system.emplace(name, std::move(value));
  };
  if (!wanted.system.empty()) {
    show("SenderId", content.sender_id);
    show("SentTimestamp", std::to_string(to_epoch_ms(content.sent_at)));
    show("ApproximateReceiveCount", std::to_string(received.receive_count));
    show("ApproximateFirstReceiveTimestamp", std::to_string(to_epoch_ms(*received.first_received_at)));
    if (content.extras && !content.extras->trace_header.empty()) show("AWSTraceHeader", content.extras->trace_header);
    if (content.extras && !content.extras->group_id.empty()) show("MessageGroupId", content.extras->group_id);
    if (queue.fifo != nullptr) {
      show("MessageDeduplicationId", content.extras->deduplication_id);
      show("SequenceNumber", sequence_number(received.row));
    }
    if (received.dead_letter_source) show("DeadLetterQueueSourceArn", *received.dead_letter_source);
  }
  if (!system.empty()) message.attributes = std::move(system);

  MessageAttributes shown;
  std::map<std::string, aws::sqs::MessageAttributeValue> values;
  for (const auto& [name, attribute] : content.attributes()) {
    if (!wanted.has_user(name)) continue;
    shown.emplace(name, attribute);
    aws::sqs::MessageAttributeValue value;
    value.data_type = attribute.data_type;
    (attribute.is_binary() ? value.binary_value : value.string_value) = attribute.value;
    values.emplace(name, std::move(value));
  }
  if (!shown.empty()) {
    // Over what is shown, because that is what the SDKs can check.
    message.md5_of_message_attributes = md5_of_attributes(shown);
    message.message_attributes = std::move(values);
  }
  return message;
}

}  // namespace

Async<Outcome<aws::sqs::ReceiveMessageResult>> receive_message(Call call, aws::sqs::ReceiveMessageRequest input) {
  auto queue = find_queue(call, input.queue_url);
  if (!queue) co_return std::unexpected(std::move(queue.error()));
  const QueueAttributes& attributes = (*queue)->attributes;
  const auto count = checked_int(input.max_number_of_messages, 1, 1, kReceiveMessagesMax, "MaxNumberOfMessages",
                                 "Must be between 1 and 10, if provided.");
  if (!count) co_return std::unexpected(count.error());
  const auto wait = checked_int(input.wait_time_seconds, static_cast<int>(attributes.wait_time() / 1s), 0, kWaitTimeMax,
                                "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.");
  if (!wait) co_return std::unexpected(wait.error());
  const auto visibility =
      checked_int(input.visibility_timeout, static_cast<int>(attributes.visibility_timeout() / 1s), 0,
                  kVisibilityTimeoutMax, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.");
  if (!visibility) co_return std::unexpected(visibility.error());
  if (input.receive_request_attempt_id && (*queue)->fifo == nullptr) {
    co_return std::unexpected(bad_value(*input.receive_request_attempt_id, "ReceiveRequestAttemptId",
                                        "The request include parameter that is not valid for this queue type."));
  }
  const std::string attempt = input.receive_request_attempt_id.value_or("");
  if (input.receive_request_attempt_id && !is_group_id(attempt)) {
    co_return std::unexpected(bad_value(
        attempt, "ReceiveRequestAttemptId",
        "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length."));
  }
  const auto wanted = check_wanted(input);
  if (!wanted) co_return std::unexpected(wanted.error());

  const auto received = co_await call.broker->receive(*queue, {.messages_max = *count,
                                                               .visibility_timeout = std::chrono::seconds(*visibility),
                                                               .wait = std::chrono::seconds(*wait),
                                                               .attempt = attempt});
  if (!received) co_return std::unexpected(to_aws_error(call, received.error()));
  aws::sqs::ReceiveMessageResult result;
  if (received->empty()) co_return result;  // without a Messages member, as AWS answers
  result.messages.emplace();
  for (const QueuedMessage& message : *received) {
    result.messages->push_back(to_message(call, **queue, message, *wanted));
  }
  co_return result;
}

}  // namespace lambdad::sqs
