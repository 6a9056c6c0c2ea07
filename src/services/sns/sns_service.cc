#include "services/sns/sns_service.h"

#include "services/sns/handlers/handlers.h"
#include "services/sns/handlers/message_input.h"
#include "services/sns/limits.h"

namespace lambdad::sns {

namespace {

constexpr int kMailShown = 100;
constexpr std::string_view kCertificatePrefix = "/SimpleNotificationService-";

}  // namespace

/// How others publish here: the same checks as a publisher meets, without a request.
class SnsService::TopicTarget final : public ports::Target {
 public:
  explicit TopicTarget(Hub& hub) : hub_(hub) {}

  Async<Result<void>> deliver(Arn target, ports::TargetMessage message) override {
    if (target.service != "sns") co_return fail(Errc::kInvalid, "{} is no topic", target.str());
    const TopicPtr topic = hub_.find_topic(target.str());
    if (!topic) co_return fail(Errc::kNotFound, "there is no topic {}", target.str());
    if (topic->attributes.fifo()) co_return fail(Errc::kInvalid, "{} is a FIFO topic", target.str());
    MessageInput input;
    input.message = std::move(message.body);
    if (!message.attributes.empty()) input.attributes.emplace();
    for (auto& [name, attribute] : message.attributes) {
      api::MessageAttributeValue value;
      value.data_type = std::move(attribute.data_type);
      value.string_value = std::move(attribute.value);
      input.attributes->emplace(name, std::move(value));
    }
    if (const auto size = size_bytes(input); size > kMessageBytesMax) {
      co_return fail(Errc::kTooLarge, "a message of {} bytes for {}", size, target.str());
    }
    auto checked = check_message(*topic, std::move(input));
    if (!checked) co_return fail(Errc::kInvalid, "{}: {}", target.str(), checked.error().message);
    checked->trace_header = std::move(message.trace_header);
    std::vector<Hub::NewMessage> messages;
    messages.push_back(std::move(*checked));
    auto published = co_await hub_.publish(topic, std::move(messages));
    if (!published) co_return std::unexpected(std::move(published.error()));
    co_return Result<void>{};
  }

  Result<void> check(const Arn& target) override {
    const TopicPtr topic = hub_.find_topic(target.str());
    if (!topic) return fail(Errc::kNotFound, "there is no topic {}", target.str());
    if (topic->attributes.fifo()) return fail(Errc::kInvalid, "{} is a FIFO topic", target.str());
    return {};
  }

 private:
  Hub& hub_;
};

SnsService::SnsService(std::unique_ptr<Hub> hub)
    : hub_(std::move(hub)), target_(std::make_unique<TopicTarget>(*hub_)) {}
SnsService::~SnsService() = default;

Result<std::unique_ptr<SnsService>> SnsService::open(System& system, Logger& log, Metrics& metrics, Options options) {
  LD_TRY(auto hub, Hub::open(system, log, metrics,
                             {.directory = std::move(options.directory),
                              .durability = options.durability,
                              .endpoints = {.invoker = options.invoker,
                                            .catalog = options.catalog,
                                            .api = options.api,
                                            .base_url = std::move(options.base_url)}}));
  return std::unique_ptr<SnsService>(new SnsService(std::move(hub)));
}

void SnsService::register_operations(aws::Dispatcher& dispatcher) {
  dispatcher.add(aws::sns::service());
  const auto serve = [&]<class Op>(Async<Outcome<typename Op::Output>> (*handler)(Call, typename Op::Input)) {
    dispatcher.serve<Op>([hub = hub_.get(), handler](aws::RequestContext& context, typename Op::Input input) {
      return handler({hub, &context}, std::move(input));
    });
  };
  serve.operator()<api::CreateTopic>(create_topic);
  serve.operator()<api::DeleteTopic>(delete_topic);
  serve.operator()<api::ListTopics>(list_topics);
  serve.operator()<api::GetTopicAttributes>(get_topic_attributes);
  serve.operator()<api::SetTopicAttributes>(set_topic_attributes);
  serve.operator()<api::AddPermission>(add_permission);
  serve.operator()<api::RemovePermission>(remove_permission);
  serve.operator()<api::TagResource>(tag_resource);
  serve.operator()<api::UntagResource>(untag_resource);
  serve.operator()<api::ListTagsForResource>(list_tags_for_resource);
  serve.operator()<api::Subscribe>(subscribe);
  serve.operator()<api::ConfirmSubscription>(confirm_subscription);
  serve.operator()<api::Unsubscribe>(unsubscribe);
  serve.operator()<api::ListSubscriptions>(list_subscriptions);
  serve.operator()<api::ListSubscriptionsByTopic>(list_subscriptions_by_topic);
  serve.operator()<api::GetSubscriptionAttributes>(get_subscription_attributes);
  serve.operator()<api::SetSubscriptionAttributes>(set_subscription_attributes);
  serve.operator()<api::Publish>(publish);
  serve.operator()<api::PublishBatch>(publish_batch);
}

void SnsService::start() { hub_->start(); }
Async<void> SnsService::stop() { return hub_->stop(); }
ports::Target& SnsService::target() { return *target_; }
std::string SnsService::resource_policy(const Arn& topic) const {
  const TopicPtr found = hub_->find_topic(topic.str());
  return found ? found->attributes.policy() : std::string();
}
bool SnsService::healthy() const { return hub_->healthy(); }

bool SnsService::is_certificate_path(std::string_view path) {
  return path.starts_with(kCertificatePrefix) && path.ends_with(".pem");
}

Async<http::Response> SnsService::certificate(http::Request request) {
  const auto signer = co_await hub_->signing().signer();
  if (!signer) co_return http::Response::text(503, "the key cannot be stored now\n");
  if (request.path() != (*signer)->certificate_path()) co_return http::Response::text(404, "no such certificate\n");
  http::Response response = http::Response::text(200, (*signer)->certificate_pem());
  response.headers.set("Content-Type", "application/x-pem-file");
  co_return response;
}

Async<http::Response> SnsService::mail(http::Request request) {
  if (request.method != "GET" && request.method != "HEAD") {
    http::Response refused = http::Response::text(405, "this page answers GET\n");
    refused.headers.set("Allow", "GET");
    co_return refused;
  }
  const auto parameters = http::parse_form(request.query());
  if (!parameters) co_return http::Response::text(400, "the query is not well-formed\n");
  std::string recipient;
  for (const auto& [name, value] : *parameters) {
    if (name == "to") recipient = value;
  }
  const auto mail = co_await hub_->mail(std::move(recipient), kMailShown);
  if (!mail) co_return http::Response::text(503, "the mail cannot be read now\n");
  json::Array messages;
  for (const Mail& one : *mail) {
    messages.push_back(json::Object{{"SentAt", format_iso8601_ms(one.sent_at)},
                                    {"To", one.recipient},
                                    {"Subject", one.subject},
                                    {"Body", one.body},
                                    {"SubscriptionArn", one.subscription_arn}});
  }
  http::Response response =
      http::Response::json(200, json::serialize_pretty(json::Object{{"Messages", std::move(messages)}}) + "\n");
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

}  // namespace lambdad::sns
