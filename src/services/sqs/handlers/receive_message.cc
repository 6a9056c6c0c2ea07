#include <algorithm>
#include <array>

#include "services/sqs/handlers/message_input.h"
#include "services/sqs/handlers/message_output.h"

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
    aws::sqs::Message shown = to_message(**queue, message, *wanted);
    shown.receipt_handle = call.broker->handles().seal(
        {.queue = (*queue)->row.id, .row = message.row, .generation = message.receive_count});
    result.messages->push_back(std::move(shown));
  }
  co_return result;
}

}  // namespace lambdad::sqs
