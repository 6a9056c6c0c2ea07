#include "services/sqs/handlers/message_output.h"

#include <algorithm>

#include "base/encoding.h"
#include "services/sqs/handlers/message_input.h"

namespace lambdad::sqs {

bool Wanted::has_user(std::string_view name) const {
  return std::ranges::any_of(user, [name](std::string_view pattern) {
    if (pattern == "All" || pattern == "*") return true;
    if (pattern.ends_with(".*")) return name.starts_with(pattern.substr(0, pattern.size() - 2));
    return pattern == name;
  });
}

aws::sqs::Message to_message(const LiveQueue& queue, const QueuedMessage& received, const Wanted& wanted) {
  const MessageContent& content = *received.content;
  aws::sqs::Message message;
  message.message_id = content.message_id.text();
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
    show("ApproximateFirstReceiveTimestamp",
         received.first_received_at ? std::to_string(to_epoch_ms(*received.first_received_at)) : "0");
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

}  // namespace lambdad::sqs
