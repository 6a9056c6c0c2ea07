#include "event_sources/sqs/sqs_queue.h"

#include <algorithm>
#include <charconv>

namespace lambdad::event_sources {

namespace {
constexpr Duration kFactsAge = 5min;
constexpr std::size_t kDeleteBatch = 10;  // Source: SQS API reference, DeleteMessageBatch
constexpr int kDeleteTries = 3;
}  // namespace

const json::Array* SqsQueue::Received::messages() const {
  const json::Value* list = answer.find("Messages");
  return list == nullptr ? nullptr : list->if_array();
}

Async<aws::Outcome<json::Value>> SqsQueue::call(const char* operation, json::Object input) {
  ports::ApiCaller::Call request{.service = "sqs",
                                 .operation = operation,
                                 .account = arn_.account,
                                 .region = arn_.region,
                                 .input = std::move(input)};
  co_return co_await api_.call(std::move(request));
}

Async<aws::Outcome<std::vector<std::int64_t>>> SqsQueue::attributes_of(std::string url,
                                                                       std::vector<std::string> names) {
  json::Array list;
  for (const std::string& name : names) list.emplace_back(name);
  auto answer = co_await call("GetQueueAttributes",
                              json::Object{{"QueueUrl", std::move(url)}, {"AttributeNames", std::move(list)}});
  if (!answer) co_return std::unexpected(std::move(answer).error());
  const json::Value* map = answer->find("Attributes");
  std::vector<std::int64_t> values;
  for (const std::string& name : names) {
    const json::Value* value = map == nullptr ? nullptr : map->find(name);
    const std::string* text = value == nullptr ? nullptr : value->if_string();
    std::int64_t number = -1;
    if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), number);
    if (number < 0) co_return std::unexpected(aws::internal_failure());
    values.push_back(number);
  }
  co_return values;
}

Async<aws::Outcome<SqsQueue::Backlog>> SqsQueue::backlog() {
  if (auto known = co_await refresh(); !known) co_return std::unexpected(std::move(known).error());
  auto values = co_await attributes_of(url_, {"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                                              "ApproximateNumberOfMessagesDelayed"});
  if (!values) co_return std::unexpected(std::move(values).error());
  co_return Backlog{.visible = (*values)[0], .in_flight = (*values)[1], .delayed = (*values)[2]};
}

Async<aws::Outcome<void>> SqsQueue::refresh() {
  if (learnt_at_ && clock_.mono() - *learnt_at_ < kFactsAge) co_return aws::Outcome<void>();
  auto found = co_await call("GetQueueUrl",
                             json::Object{{"QueueName", arn_.resource}, {"QueueOwnerAWSAccountId", arn_.account}});
  if (!found) co_return std::unexpected(std::move(found).error());
  const json::Value* url = found->find("QueueUrl");
  if (url == nullptr || !url->is_string()) co_return std::unexpected(aws::internal_failure());
  std::string known_url = *url->if_string();
  auto attributes = co_await attributes_of(known_url, {"VisibilityTimeout"});
  if (!attributes) co_return std::unexpected(std::move(attributes).error());
  url_ = std::move(known_url);
  visibility_timeout_ = std::chrono::seconds(attributes->front());
  learnt_at_ = clock_.mono();
  co_return aws::Outcome<void>();
}

Async<aws::Outcome<SqsQueue::Received>> SqsQueue::receive(int count, std::chrono::seconds wait,
                                                          std::optional<std::chrono::seconds> visibility_timeout) {
  json::Array all;
  all.emplace_back("All");
  json::Object input;
  input.append("QueueUrl", url_);
  input.append("AttributeNames", json::Value(all));
  input.append("MaxNumberOfMessages", count);
  input.append("MessageAttributeNames", json::Value(std::move(all)));
  if (visibility_timeout) input.append("VisibilityTimeout", visibility_timeout->count());
  input.append("WaitTimeSeconds", wait.count());
  auto answer = co_await call("ReceiveMessage", std::move(input));
  if (!answer) {
    learnt_at_.reset();  // the queue may have been made anew
    co_return std::unexpected(std::move(answer).error());
  }
  co_return Received{std::move(*answer)};
}

Async<SqsQueue::Deleted> SqsQueue::remove(std::vector<std::string> receipt_handles) {
  Deleted result;
  for (std::size_t begin = 0; begin < receipt_handles.size(); begin += kDeleteBatch) {
    const std::size_t end = std::min(begin + kDeleteBatch, receipt_handles.size());
    json::Array entries;
    for (std::size_t i = begin; i < end; ++i) {
      json::Object entry;
      entry.append("Id", std::to_string(i - begin));
      entry.append("ReceiptHandle", std::move(receipt_handles[i]));
      entries.emplace_back(std::move(entry));
    }
    json::Object input;
    input.append("QueueUrl", url_);
    input.append("Entries", json::Value(std::move(entries)));
    std::size_t failed = 0;
    for (int left = kDeleteTries;;) {
      auto answer = co_await call("DeleteMessageBatch", input);
      if (answer) {
        const json::Value* failures = answer->find("Failed");
        const json::Array* list = failures == nullptr ? nullptr : failures->if_array();
        failed = list == nullptr ? 0 : list->size();
        if (failed > 0) {
          const json::Value* message = list->front().find("Message");
          result.reason = message != nullptr && message->is_string() ? *message->if_string() : "refused";
        }
        break;
      }
      result.reason = fmt::format("{}: {}", answer.error().type, answer.error().message);
      if (--left == 0 || answer.error().fault == aws::Fault::kClient) {
        failed = end - begin;
        break;
      }
    }
    result.failed += failed;
    result.deleted += end - begin - failed;
  }
  co_return result;
}

}  // namespace lambdad::event_sources
