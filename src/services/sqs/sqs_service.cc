#include "services/sqs/sqs_service.h"

#include <utility>

#include "base/encoding.h"
#include "services/sqs/broker.h"
#include "services/sqs/handlers/handlers.h"
#include "services/sqs/handlers/message_input.h"
#include "services/sqs/handlers/messages_page.h"

namespace lambdad::sqs {

/// How others deliver here: the same checks as a sender meets, without a request.
class SqsService::QueueTarget final : public ports::Target {
 public:
  explicit QueueTarget(Broker& broker) : broker_(broker) {}

  Async<Result<void>> deliver(Arn target, ports::TargetMessage message) override {
    if (target.service != "sqs") co_return fail(Errc::kInvalid, "{} is no queue", target.str());
    const LiveQueuePtr queue = broker_.find(target.account, target.region, target.resource);
    if (!queue) co_return fail(Errc::kNotFound, "there is no queue {}", target.str());

    MessageAttributes sized;
    MessageInput input{.body = std::move(message.body),
                       .delay_seconds = std::nullopt,
                       .attributes = std::nullopt,
                       .system_attributes = std::nullopt,
                       .deduplication_id = std::nullopt,
                       .group_id = std::nullopt};
    if (!message.group_id.empty()) input.group_id = std::move(message.group_id);
    if (!message.deduplication_id.empty()) input.deduplication_id = std::move(message.deduplication_id);
    if (!message.attributes.empty()) input.attributes.emplace();
    for (auto& [name, attribute] : message.attributes) {
      sized.emplace(name, MessageAttribute{attribute.data_type, attribute.value});
      aws::sqs::MessageAttributeValue value;
      value.data_type = std::move(attribute.data_type);
      value.string_value = std::move(attribute.value);
      input.attributes->emplace(name, std::move(value));
    }
    if (!message.trace_header.empty()) {
      aws::sqs::MessageSystemAttributeValue value;
      value.data_type = "String";
      value.string_value = std::move(message.trace_header);
      input.system_attributes.emplace().emplace("AWSTraceHeader", std::move(value));
    }
    if (const auto size = message_size_bytes(input.body, sized); size > queue->attributes.maximum_message_size()) {
      co_return fail(Errc::kTooLarge, "a message of {} bytes for {}", size, target.str());
    }
    aws::RequestContext context;
    context.account = target.account;
    context.region = target.region;
    auto checked = check_message({&broker_, &context}, *queue, std::move(input));
    if (!checked) co_return fail(Errc::kInvalid, "{}: {}", target.str(), checked.error().message);
    std::vector<Broker::NewMessage> messages;
    messages.push_back(std::move(checked->message));
    LD_CO_TRY_VOID(co_await broker_.send(queue, std::move(messages)));
    co_return Result<void>{};
  }

  Result<void> check(const Arn& target) override {
    if (broker_.find(target.account, target.region, target.resource)) return {};
    return fail(Errc::kNotFound, "there is no queue {}", target.str());
  }

 private:
  Broker& broker_;
};

SqsService::SqsService(std::unique_ptr<Broker> broker)
    : broker_(std::move(broker)),
      target_(std::make_unique<QueueTarget>(*broker_)),
      messages_page_(std::make_unique<MessagesPage>(*broker_)) {}
SqsService::~SqsService() = default;

Result<std::unique_ptr<SqsService>> SqsService::open(System& system, Logger& log, Metrics& metrics, Options options) {
  LD_TRY(auto broker, Broker::open(system, log, metrics,
                                   {.directory = std::move(options.directory), .durability = options.durability}));
  return std::unique_ptr<SqsService>(new SqsService(std::move(broker)));
}

void SqsService::register_operations(aws::Dispatcher& dispatcher) {
  dispatcher.add(aws::sqs::service());
  const auto serve = [&]<class Op>(Async<Outcome<typename Op::Output>> (*handler)(Call, typename Op::Input)) {
    dispatcher.serve<Op>([broker = broker_.get(), handler](aws::RequestContext& context, typename Op::Input input) {
      return handler({broker, &context}, std::move(input));
    });
  };
  namespace api = aws::sqs;
  serve.operator()<api::CreateQueue>(create_queue);
  serve.operator()<api::DeleteQueue>(delete_queue);
  serve.operator()<api::ListQueues>(list_queues);
  serve.operator()<api::GetQueueUrl>(get_queue_url);
  serve.operator()<api::GetQueueAttributes>(get_queue_attributes);
  serve.operator()<api::SetQueueAttributes>(set_queue_attributes);
  serve.operator()<api::PurgeQueue>(purge_queue);
  serve.operator()<api::TagQueue>(tag_queue);
  serve.operator()<api::UntagQueue>(untag_queue);
  serve.operator()<api::ListQueueTags>(list_queue_tags);
  serve.operator()<api::ListDeadLetterSourceQueues>(list_dead_letter_source_queues);
  serve.operator()<api::AddPermission>(add_permission);
  serve.operator()<api::RemovePermission>(remove_permission);
  serve.operator()<api::StartMessageMoveTask>(start_message_move_task);
  serve.operator()<api::CancelMessageMoveTask>(cancel_message_move_task);
  serve.operator()<api::ListMessageMoveTasks>(list_message_move_tasks);
  serve.operator()<api::SendMessage>(send_message);
  serve.operator()<api::SendMessageBatch>(send_message_batch);
  serve.operator()<api::ReceiveMessage>(receive_message);
  serve.operator()<api::DeleteMessage>(delete_message);
  serve.operator()<api::DeleteMessageBatch>(delete_message_batch);
  serve.operator()<api::ChangeMessageVisibility>(change_message_visibility);
  serve.operator()<api::ChangeMessageVisibilityBatch>(change_message_visibility_batch);
}

http::Response SqsService::messages_page(http::Request request) const {
  return messages_page_->handle(std::move(request));
}
ports::Target& SqsService::target() { return *target_; }
std::string SqsService::resource_policy(const Arn& queue) const {
  const LiveQueuePtr found = broker_->find_arn(queue.str());
  return found ? found->attributes.policy() : std::string();
}
bool SqsService::healthy() const { return broker_->healthy(); }
Async<void> SqsService::stop() { return broker_->stop(); }

}  // namespace lambdad::sqs
