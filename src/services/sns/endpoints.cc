#include "services/sns/endpoints.h"

#include <charconv>

#include "base/encoding.h"
#include "services/sns/limits.h"

namespace lambdad::sns {

namespace {

Attempt delivered() { return {}; }
Attempt failed(std::string code, std::string message) {
  return {Attempt::Kind::kFailed, {std::move(code), std::move(message)}};
}
Attempt refused(std::string code, std::string message) {
  return {Attempt::Kind::kRefused, {std::move(code), std::move(message)}};
}

http::ClientLimits client_limits() {
  http::ClientLimits limits;
  limits.body_bytes_max = 1024 * 1024;
  limits.connect_timeout = 5s;
  limits.total_timeout = kHttpTimeout;
  return limits;
}

std::string_view mail_subject(const Message& message) {
  return message.subject ? std::string_view(*message.subject) : "AWS Notification Message";
}

}  // namespace

std::optional<EndpointUrl> EndpointUrl::parse(std::string_view text) {
  EndpointUrl url;
  if (text.starts_with("https://")) {
    url.tls = true;
  } else if (!text.starts_with("http://")) {
    return std::nullopt;
  }
  text.remove_prefix(url.tls ? 8 : 7);
  if (const auto fragment = text.find('#'); fragment != text.npos) text = text.substr(0, fragment);
  const auto authority_end = text.find_first_of("/?");
  std::string_view authority = text.substr(0, authority_end);
  url.target = authority_end == text.npos ? "/" : std::string(text.substr(authority_end));
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  if (const auto at = authority.rfind('@'); at != authority.npos) {
    const auto user = percent_decode(authority.substr(0, at));
    if (!user) return std::nullopt;
    url.authorization = "Basic " + base64_encode(user->find(':') == user->npos ? *user + ":" : *user);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == authority.npos) return std::nullopt;
    url.host = std::string(authority.substr(1, end - 1));
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return std::nullopt;
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const auto colon = authority.find(':');
    url.host = std::string(authority.substr(0, colon));
    if (colon != authority.npos) port = authority.substr(colon + 1);
  }
  url.port = url.tls ? 443 : 80;
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port == 0) return std::nullopt;
  }
  const auto is_bad = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f;
  };
  if (url.host.empty() || std::ranges::any_of(url.host, is_bad) || std::ranges::any_of(url.target, is_bad)) {
    return std::nullopt;
  }
  // A publisher must not steer the daemon through its own pages.
  if (url.target.starts_with("/_lambdad") || url.target.starts_with("/_localstack")) return std::nullopt;
  return url;
}

Endpoints::Endpoints(System& system, Store& store, Signing& signing, Options options)
    : system_(system),
      store_(store),
      signing_(signing),
      options_(std::move(options)),
      client_(system.loop, system.host_clock, client_limits(), {}, http::is_safe_address) {}

Async<Result<Envelope>> Endpoints::envelope(SubscriptionPtr subscription, MessagePtr message) {
  const std::string base = options_.base_url();
  Envelope envelope;
  envelope.text = message->text_for(subscription->protocol);
  if (message->type == Message::Type::kSubscriptionConfirmation) {
    envelope.subscribe_url =
        fmt::format("{}/?Action=ConfirmSubscription&TopicArn={}&Token={}", base, message->topic_arn, message->token);
  } else {
    envelope.unsubscribe_url = fmt::format("{}/?Action=Unsubscribe&SubscriptionArn={}", base, subscription->arn);
  }
  if (!message->is_fifo()) {
    LD_CO_TRY(auto signer, co_await signing_.signer());
    envelope.certificate_url = base + signer->certificate_path();
    LD_CO_TRY(envelope.signature, co_await signing_.sign(message, subscription->protocol, envelope.subscribe_url));
  }
  co_return envelope;
}

Async<Attempt> Endpoints::deliver(SubscriptionPtr subscription, MessagePtr message) {
  switch (subscription->protocol) {
    case Protocol::kLambda: return to_function(std::move(subscription), std::move(message));
    case Protocol::kSqs: return to_queue(std::move(subscription), std::move(message));
    case Protocol::kHttp:
    case Protocol::kHttps: return to_http(std::move(subscription), std::move(message));
    case Protocol::kEmail:
    case Protocol::kEmailJson: break;
  }
  return to_mail(std::move(subscription), std::move(message));
}

Async<Attempt> Endpoints::to_function(SubscriptionPtr subscription, MessagePtr message) {
  const auto arn = FunctionArn::parse(subscription->row.endpoint);
  if (!arn) co_return refused("InvalidParameter", "the endpoint is no function");
  ports::InvocationRequest request;
  request.function = {arn->account, arn->region, arn->name, arn->qualifier};
  if (const auto resolved = options_.catalog.resolve(request.function); !resolved) {
    if (resolved.error() == ports::ResolveFailure::kNoSuchFunction) {
      co_return refused("ResourceNotFoundException", fmt::format("Function not found: {}", subscription->row.endpoint));
    }
    co_return failed("ResourceConflictException", "the function is not active");
  }
  auto envelope = co_await this->envelope(subscription, message);
  if (!envelope) co_return failed("InternalError", envelope.error().detail);
  request.payload = lambda_event(*message, *envelope, subscription->arn);
  request.request_id = system_.random.uuid_v4();
  request.trace_header = message->trace_header;
  request.plane = ports::Plane::kAsync;
  const auto accepted = co_await options_.invoker.enqueue(std::move(request));
  if (accepted) co_return delivered();
  switch (accepted.error().code) {
    case Errc::kTooLarge: co_return refused("RequestEntityTooLargeException", accepted.error().detail);
    case Errc::kNotFound: co_return refused("ResourceNotFoundException", accepted.error().detail);
    case Errc::kDenied: co_return refused("AccessDeniedException", accepted.error().detail);
    case Errc::kInvalid: co_return refused("InvalidRequestContentException", accepted.error().detail);
    case Errc::kConflict:
    case Errc::kThrottled:
    case Errc::kTimedOut:
    case Errc::kUnavailable:
    case Errc::kClosed:
    case Errc::kCorrupt:
    case Errc::kInternal: break;
  }
  co_return failed("ServiceException", accepted.error().detail);
}

Async<Attempt> Endpoints::send(Arn queue, MessagePtr message, std::string body, MessageAttributes attributes) {
  json::Object input;
  input.append("QueueUrl", fmt::format("/{}/{}", queue.account, queue.resource));
  input.append("MessageBody", std::move(body));
  if (!attributes.empty()) {
    json::Object out;
    for (auto& [name, attribute] : attributes) {
      json::Object value{{"DataType", attribute.type}};
      if (attribute.is_binary()) {
        value.append("BinaryValue", base64_encode(attribute.value));
      } else {
        value.append("StringValue", std::move(attribute.value));
      }
      out.append(name, std::move(value));
    }
    input.append("MessageAttributes", std::move(out));
  }
  if (!message->trace_header.empty()) {
    input.append(
        "MessageSystemAttributes",
        json::Object{{"AWSTraceHeader", json::Object{{"DataType", "String"}, {"StringValue", message->trace_header}}}});
  }
  if (!message->group_id.empty()) input.append("MessageGroupId", message->group_id);
  if (queue.resource.ends_with(".fifo")) input.append("MessageDeduplicationId", message->deduplication_id);
  auto sent = co_await options_.api.call({.service = "sqs",
                                          .operation = "SendMessage",
                                          .account = queue.account,
                                          .region = queue.region,
                                          .input = json::Value(std::move(input))});
  if (sent) co_return delivered();
  const aws::Error& error = sent.error();
  const std::string& code = error.query_code.empty() ? error.type : error.query_code;
  const bool later = (error.fault == aws::Fault::kServer && error.http_status != 501) || error.http_status == 429 ||
                     code.find("Throttled") != std::string::npos || error.type == "OverLimit";
  co_return later ? failed(code, error.message) : refused(code, error.message);
}

Async<Attempt> Endpoints::to_queue(SubscriptionPtr subscription, MessagePtr message) {
  const auto queue = Arn::parse(subscription->row.endpoint);
  if (!queue) co_return refused("InvalidParameter", "the endpoint is no queue");
  if (subscription->attributes.raw()) {
    if (message->attributes.size() > kRawAttributesMax) {
      co_return refused("InvalidParameterValue", fmt::format("a raw message has {} attributes; {} are allowed",
                                                             message->attributes.size(), kRawAttributesMax));
    }
    co_return co_await send(*queue, message, message->text_for(subscription->protocol), message->attributes);
  }
  auto envelope = co_await this->envelope(subscription, message);
  if (!envelope) co_return failed("InternalError", envelope.error().detail);
  co_return co_await send(*queue, message, notification_document(*message, *envelope), {});
}

Async<Attempt> Endpoints::dead_letter(SubscriptionPtr subscription, MessagePtr message, Failure failure) {
  const auto queue = subscription->attributes.dead_letter_queue();
  if (!queue) co_return refused("NoDeadLetterQueue", "there is no dead-letter queue any more");
  std::string body;
  if (subscription->attributes.raw()) {
    body = message->text_for(subscription->protocol);
  } else {
    auto envelope = co_await this->envelope(subscription, message);
    if (!envelope) co_return failed("InternalError", envelope.error().detail);
    body = notification_document(*message, *envelope);
  }
  MessageAttributes attributes;
  attributes.emplace("RequestID", MessageAttribute{"String", system_.random.uuid_v4()});
  attributes.emplace("ErrorCode", MessageAttribute{"String", failure.code.empty() ? "InternalError" : failure.code});
  attributes.emplace("ErrorMessage",
                     MessageAttribute{"String", failure.message.empty() ? failure.code : failure.message});
  co_return co_await send(*queue, message, std::move(body), std::move(attributes));
}

Async<Attempt> Endpoints::to_http(SubscriptionPtr subscription, MessagePtr message) {
  const auto url = EndpointUrl::parse(subscription->row.endpoint);
  if (!url) co_return refused("InvalidParameter", "the endpoint is no URL");
  const bool confirmation = message->type == Message::Type::kSubscriptionConfirmation;
  const bool raw = subscription->attributes.raw() && !confirmation;
  const TopicPtr topic = subscription->topic.lock();
  const EffectivePolicy policy = EffectivePolicy::of(topic ? topic->attributes.delivery_policy() : std::nullopt,
                                                     subscription->attributes.delivery_policy());
  http::Request request;
  request.method = "POST";
  request.target = url->target;
  request.headers.add("x-amz-sns-message-type", confirmation ? "SubscriptionConfirmation" : "Notification");
  request.headers.add("x-amz-sns-message-id", message->id);
  request.headers.add("x-amz-sns-topic-arn", message->topic_arn);
  if (!confirmation) request.headers.add("x-amz-sns-subscription-arn", subscription->arn);
  if (raw) request.headers.add("x-amz-sns-rawdelivery", "true");
  request.headers.add("Content-Type", policy.content_type);
  request.headers.add("User-Agent", "Amazon Simple Notification Service Agent");
  request.headers.add("Accept-Encoding", "identity");
  if (!url->authorization.empty()) request.headers.add("Authorization", url->authorization);
  if (!message->trace_header.empty()) request.headers.add("X-Amzn-Trace-Id", message->trace_header);
  if (raw) {
    request.body = message->text_for(subscription->protocol);
  } else {
    auto envelope = co_await this->envelope(subscription, message);
    if (!envelope) co_return failed("InternalError", envelope.error().detail);
    request.body = notification_document(*message, *envelope);
  }
  const auto response = co_await client_.send(url->host, url->port, std::move(request),
                                              url->tls ? http::Tls::kVerified : http::Tls::kNone);
  if (!response) {
    const Errc code = response.error().code;
    if (code == Errc::kInvalid || code == Errc::kDenied) co_return refused("EndpointRefused", response.error().detail);
    co_return failed(code == Errc::kTimedOut ? "Timeout" : "ConnectionError", response.error().detail);
  }
  const int status = response->status;
  if (status >= 200 && status < 300) co_return delivered();
  std::string why = fmt::format("the endpoint answered {}", status);
  if (status >= 400 && status < 500 && status != 429) co_return refused(std::to_string(status), std::move(why));
  co_return failed(std::to_string(status), std::move(why));
}

Async<Attempt> Endpoints::to_mail(SubscriptionPtr subscription, MessagePtr message) {
  auto envelope = co_await this->envelope(subscription, message);
  if (!envelope) co_return failed("InternalError", envelope.error().detail);
  const bool confirmation = message->type == Message::Type::kSubscriptionConfirmation;
  Mail mail{
      .sent_at = system_.clock.wall(),
      .recipient = subscription->row.endpoint,
      .subject = confirmation ? "AWS Notification - Subscription Confirmation" : std::string(mail_subject(*message)),
      .body = {},
      .subscription_arn = subscription->arn};
  if (subscription->protocol == Protocol::kEmailJson) {
    mail.body = notification_document(*message, *envelope);
  } else if (confirmation) {
    mail.body =
        fmt::format("You have chosen to subscribe to the topic:\n{}\n\nTo confirm this subscription, visit:\n{}\n",
                    message->topic_arn, envelope->subscribe_url);
  } else {
    mail.body = fmt::format("{}\n\n--\nTo stop receiving notifications from this topic, visit:\n{}\n", envelope->text,
                            envelope->unsubscribe_url);
  }
  const auto stored = co_await store_.add_mail(std::move(mail));
  if (!stored) co_return failed("InternalError", stored.error().detail);
  co_return delivered();
}

}  // namespace lambdad::sns
