#include "services/sns/sns_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "aws/gen/sns.h"
#include "base/encoding.h"
#include "base/json.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::sns {
namespace {

using json::Array;
using json::Object;
using json::Value;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr const char* kAccount = "111122223333";
constexpr const char* kRegion = "eu-west-1";
constexpr const char* kBase = "http://127.0.0.1:4566";

/// Queues that take what is sent, or fail as told.
struct FakeQueues final : ports::ApiCaller {
  explicit FakeQueues(SimSystem& s) : sim(s) {}
  struct Sent {
    std::string queue;
    Value input;
    Duration at;
    std::string body() const { return *input.find("MessageBody")->if_string(); }
  };
  Async<aws::Outcome<Value>> call(Call call) override {
    EXPECT_EQ(call.service, "sqs");
    EXPECT_EQ(call.operation, "SendMessage");
    const std::string url = *call.input.find("QueueUrl")->if_string();
    const std::string name = url.substr(url.rfind('/') + 1);
    attempts.push_back({name, call.input, sim.elapsed()});
    if (const auto failing = failures.find(name); failing != failures.end()) co_return std::unexpected(failing->second);
    sent.push_back({name, std::move(call.input), sim.elapsed()});
    co_return Value(Object{});
  }
  std::vector<Sent> of(const std::string& queue) const {
    std::vector<Sent> found;
    for (const Sent& one : sent) {
      if (one.queue == queue) found.push_back(one);
    }
    return found;
  }
  static aws::Error missing() {
    aws::Error error;
    error.type = "QueueDoesNotExist";
    error.query_code = "AWS.SimpleQueueService.NonExistentQueue";
    error.http_status = 400;
    error.fault = aws::Fault::kClient;
    error.message = "The specified queue does not exist.";
    return error;
  }
  SimSystem& sim;
  std::map<std::string, aws::Error> failures;
  std::vector<Sent> sent;
  std::vector<Sent> attempts;
};

struct FakeFunctions final : ports::FunctionInvoker, ports::FunctionCatalog {
  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest) override { co_return ports::InvocationOutcome{}; }
  Async<Result<void>> enqueue(ports::InvocationRequest request) override {
    if (!accepting) co_return fail(Errc::kUnavailable, "full");
    events.push_back(std::move(request));
    co_return Result<void>{};
  }
  std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> resolve(const ports::FunctionRef& f) override {
    if (f.name == "missing") return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
    return std::make_shared<const ports::FunctionVersion>();
  }
  std::optional<int> reserved_concurrency(const ports::FunctionRef&) override { return std::nullopt; }
  int reserved_concurrency_total(const std::string&, const std::string&) override { return 0; }
  ports::EventInvokeConfig event_invoke_config(const ports::FunctionRef&) override { return {}; }
  void on_change(std::function<void(const ports::FunctionRef&)>) override {}
  bool accepting = true;
  std::vector<ports::InvocationRequest> events;
};

/// The service behind a dispatcher, on virtual time, with real rows.
struct Sns : testing::Test {
  SimSystem sim{test_seed()};
  Metrics metrics;
  FakeQueues queues{sim};
  FakeFunctions functions;
  std::unique_ptr<SnsService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;

  void SetUp() override { start(); }
  void TearDown() override {
    if (service) sim.run(service->stop());
  }
  void start() {
    auto opened = SnsService::open(sim.system(), null_logger(), metrics,
                                   {.directory = sim.directory(),
                                    .durability = store::Durability::kEphemeral,
                                    .invoker = functions,
                                    .catalog = functions,
                                    .api = queues,
                                    .base_url = [] { return std::string(kBase); }});
    ASSERT_TRUE(opened) << opened.error().detail;
    service = std::move(*opened);
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    service->register_operations(*dispatcher);
    service->start();
  }
  void restart() {
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start();
  }
  aws::Outcome<Value> call(const std::string& operation, Value input) {
    aws::RequestContext context;
    context.request_id = "00000000-0000-4000-8000-000000000000";
    context.account = kAccount;
    context.region = kRegion;
    auto caller = std::make_shared<aws::Caller>();
    caller->access_key_id = "test";
    context.caller = std::move(caller);
    context.base_url = kBase;
    return sim.run(dispatcher->call(std::move(context), "sns", operation, std::move(input)));
  }
  Value ok(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    EXPECT_TRUE(outcome) << operation << ": " << outcome.error().type << ": " << outcome.error().message;
    return outcome ? *outcome : Value(Object{});
  }
  /// "Code: message"
  std::string error(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    if (outcome) return "no error: " + json::serialize(*outcome);
    const auto& e = outcome.error();
    return (e.query_code.empty() ? e.type : e.query_code) + ": " + e.message;
  }
  static std::string text(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr || found->if_string() == nullptr ? "(absent)" : *found->if_string();
  }
  std::string arn(const std::string& name) { return fmt::format("arn:aws:sns:{}:{}:{}", kRegion, kAccount, name); }
  std::string queue(const std::string& name) { return fmt::format("arn:aws:sqs:{}:{}:{}", kRegion, kAccount, name); }
  std::string function(const std::string& name) {
    return fmt::format("arn:aws:lambda:{}:{}:function:{}", kRegion, kAccount, name);
  }
  std::string topic(const std::string& name, Object attributes = {}) {
    return text(ok("CreateTopic", Object{{"Name", name}, {"Attributes", attributes}}), "TopicArn");
  }
  std::string fifo_topic(const std::string& name, Object more = {}) {
    more.set("FifoTopic", "true");
    return topic(name, std::move(more));
  }
  std::string subscribe(const std::string& to, const std::string& protocol, const std::string& endpoint,
                        Object attributes = {}) {
    return text(ok("Subscribe", Object{{"TopicArn", to},
                                       {"Protocol", protocol},
                                       {"Endpoint", endpoint},
                                       {"Attributes", attributes},
                                       {"ReturnSubscriptionArn", true}}),
                "SubscriptionArn");
  }
  Value publish(const std::string& to, const std::string& message, Object more = {}) {
    Object input{{"TopicArn", to}, {"Message", message}};
    for (auto& [key, value] : more) input.set(key, value);
    return ok("Publish", input);
  }
  static Object attribute(const char* type, const std::string& value) {
    return Object{{"DataType", type}, {"StringValue", value}};
  }
  Value parsed(const std::string& document) {
    auto value = json::parse(document);
    EXPECT_TRUE(value) << document;
    return value ? *value : Value();
  }
  std::vector<std::string> bodies(const std::string& name) {
    std::vector<std::string> out;
    for (const auto& one : queues.of(name)) out.push_back(one.body());
    return out;
  }
  std::uint64_t metric(const std::string& name, const std::string& of = "t") {
    return metrics.counter(fmt::format("lambdad_sns_{}_total", name), "", {{"topic", of}}).value();
  }
  std::string subscription_attribute(const std::string& of, const std::string& name) {
    return text(*ok("GetSubscriptionAttributes", Object{{"SubscriptionArn", of}}).find("Attributes"), name);
  }
  std::string topic_attribute(const std::string& of, const std::string& name) {
    return text(*ok("GetTopicAttributes", Object{{"TopicArn", of}}).find("Attributes"), name);
  }
};

/// Whether the signature holds under the certificate that is served.
bool verify(const std::string& pem, const std::string& signed_text, const std::string& signature,
            const EVP_MD* digest) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                   BIO_free_all);
  std::unique_ptr<X509, decltype(&X509_free)> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                                          X509_free);
  if (!certificate) return false;
  const std::string bytes = base64_decode(signature).value_or("");
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, X509_get0_pubkey(certificate.get())) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                          reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()) == 1;
}

// --- topics ---------------------------------------------------------------------------------------------------------

TEST_F(Sns, CreateTopicIsIdempotentUntilAttributesOrTagsDiffer) {
  const std::string created = topic("t", {{"DisplayName", "d"}});
  EXPECT_EQ(created, arn("t"));
  EXPECT_EQ(topic("t"), created);
  EXPECT_EQ(topic("t", {{"DisplayName", "d"}}), created);
  EXPECT_EQ(error("CreateTopic", Object{{"Name", "t"}, {"Attributes", Object{{"DisplayName", "e"}}}}),
            "InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with different attributes");
  EXPECT_EQ(error("CreateTopic", Object{{"Name", "t"}, {"Tags", Array{Object{{"Key", "k"}, {"Value", "v"}}}}}),
            "InvalidParameter: Invalid parameter: Tags Reason: Topic already exists with different tags");
  EXPECT_EQ(error("CreateTopic", Object{{"Name", "a b"}}), "InvalidParameter: Invalid parameter: Topic Name");
  EXPECT_THAT(error("CreateTopic", Object{{"Name", "t"}, {"Attributes", Object{{"FifoTopic", "true"}}}}),
              HasSubstr("Fifo Topic names must end with .fifo"));
  EXPECT_EQ(error("CreateTopic", Object{{"Name", "k"}, {"Attributes", Object{{"KmsMasterKeyId", "x"}}}}),
            "NotImplemented: lambdad does not serve the member Attributes.KmsMasterKeyId of sns:CreateTopic.");
  EXPECT_EQ(error("CreateTopic", Object{{"Name", "k"}, {"Attributes", Object{{"Colour", "x"}}}}),
            "InvalidParameter: Invalid parameter: Attributes Reason: Unknown attribute Colour");
}

TEST_F(Sns, ATopicKeepsItsAttributesTagsAndPolicyOverARestart) {
  const std::string t = topic("t");
  ok("SetTopicAttributes", Object{{"TopicArn", t}, {"AttributeName", "DisplayName"}, {"AttributeValue", "shown"}});
  ok("TagResource", Object{{"ResourceArn", t}, {"Tags", Array{Object{{"Key", "k"}, {"Value", "v"}}}}});
  ok("AddPermission", Object{{"TopicArn", t},
                             {"Label", "friends"},
                             {"AWSAccountId", Array{"222233334444"}},
                             {"ActionName", Array{"Publish"}}});
  restart();
  EXPECT_EQ(topic_attribute(t, "DisplayName"), "shown");
  EXPECT_EQ(topic_attribute(t, "Owner"), kAccount);
  const Value policy = parsed(topic_attribute(t, "Policy"));
  ASSERT_THAT(*policy.find("Statement")->if_array(), SizeIs(2));
  EXPECT_EQ(json::serialize((*policy.find("Statement")->if_array())[1]),
            R"({"Sid":"friends","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222233334444:root"},)"
            R"("Action":"SNS:Publish","Resource":"arn:aws:sns:eu-west-1:111122223333:t"})");
  EXPECT_EQ(json::serialize(ok("ListTagsForResource", Object{{"ResourceArn", t}})),
            R"({"Tags":[{"Key":"k","Value":"v"}]})");
  ok("RemovePermission", Object{{"TopicArn", t}, {"Label", "friends"}});
  EXPECT_THAT(topic_attribute(t, "Policy"), testing::Not(HasSubstr("friends")));
}

TEST_F(Sns, WhatIsNotThereIsNotFoundAndWhatIsNoArnIsInvalid) {
  EXPECT_EQ(error("GetTopicAttributes", Object{{"TopicArn", arn("no")}}), "NotFound: Topic does not exist");
  EXPECT_EQ(error("Publish", Object{{"TopicArn", arn("no")}, {"Message", "m"}}), "NotFound: Topic does not exist");
  EXPECT_EQ(error("GetTopicAttributes", Object{{"TopicArn", "no"}}),
            "InvalidParameter: Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1");
  EXPECT_EQ(error("GetSubscriptionAttributes", Object{{"SubscriptionArn", arn("no") + ":x"}}),
            "NotFound: Subscription does not exist");
  ok("DeleteTopic", Object{{"TopicArn", arn("no")}});
  ok("Unsubscribe", Object{{"SubscriptionArn", arn("no") + ":x"}});
}

TEST_F(Sns, ListsArePagedByAHundred) {
  for (int i = 0; i < 101; ++i) topic(fmt::format("t{:03}", i));
  const Value first = ok("ListTopics", Object{});
  EXPECT_THAT(*first.find("Topics")->if_array(), SizeIs(100));
  const Value second = ok("ListTopics", Object{{"NextToken", text(first, "NextToken")}});
  EXPECT_THAT(*second.find("Topics")->if_array(), SizeIs(1));
  EXPECT_EQ(second.find("NextToken"), nullptr);
}

// --- subscriptions --------------------------------------------------------------------------------------------------

TEST_F(Sns, SubscribeRefusesEndpointsThatDoNotFitTheProtocol) {
  const std::string t = topic("t");
  const auto refusal = [&](const char* protocol, const std::string& endpoint, const std::string& of) {
    return error("Subscribe", Object{{"TopicArn", of}, {"Protocol", protocol}, {"Endpoint", endpoint}});
  };
  EXPECT_EQ(refusal("sqs", "q", t), "InvalidParameter: Invalid parameter: SQS endpoint ARN");
  EXPECT_EQ(refusal("lambda", "f", t), "InvalidParameter: Invalid parameter: Lambda endpoint ARN");
  EXPECT_EQ(refusal("http", "https://h/", t),
            "InvalidParameter: Invalid parameter: Endpoint must match the specified protocol");
  EXPECT_EQ(refusal("http", "http://127.0.0.1:4566/_lambdad/clock", t),
            "InvalidParameter: Invalid parameter: Endpoint must match the specified protocol");
  EXPECT_EQ(refusal("email", "nobody", t), "InvalidParameter: Invalid parameter: Email address");
  EXPECT_EQ(refusal("pigeon", "x", t),
            "InvalidParameter: Invalid parameter: Amazon SNS does not support this protocol string: pigeon");
  EXPECT_EQ(refusal("sms", "+4912345", t),
            "NotImplemented: lambdad does not serve the member Protocol=sms of sns:Subscribe.");
  EXPECT_EQ(refusal("sqs", queue("q.fifo"), t),
            "InvalidParameter: Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be "
            "subscribed to standard SNS topics");
  EXPECT_THAT(refusal("lambda", function("f"), fifo_topic("t.fifo")), HasSubstr("Please use FIFO SQS queue"));
}

TEST_F(Sns, SubscribingTwiceGivesTheSameSubscription) {
  const std::string t = topic("t");
  const std::string first = subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  EXPECT_THAT(first, testing::StartsWith(t + ":"));
  EXPECT_EQ(subscribe(t, "sqs", queue("q")), first);
  EXPECT_EQ(error("Subscribe", Object{{"TopicArn", t},
                                      {"Protocol", "sqs"},
                                      {"Endpoint", queue("q")},
                                      {"Attributes", Object{{"RawMessageDelivery", "false"}}}}),
            "InvalidParameter: Invalid parameter: Attributes Reason: Subscription already exists with different "
            "attributes");
  EXPECT_EQ(subscription_attribute(first, "RawMessageDelivery"), "true");
  EXPECT_EQ(subscription_attribute(first, "PendingConfirmation"), "false");
  ok("Unsubscribe", Object{{"SubscriptionArn", first}});
  EXPECT_EQ(topic_attribute(t, "SubscriptionsDeleted"), "1");
  publish(t, "nobody");
  sim.run_for(1s);
  EXPECT_THAT(queues.attempts, IsEmpty());
}

TEST_F(Sns, MailIsConfirmedByItsTokenBeforeItIsDelivered) {
  const std::string t = topic("t");
  const std::string s = subscribe(t, "email", "a@example.com");
  publish(t, "too early");
  sim.run_for(1s);
  const auto mail = [&] {
    http::Request request;
    request.method = "GET";
    request.target = "/_lambdad/mail?to=a%40example.com";
    return *parsed(sim.run(service->mail(std::move(request))).body).find("Messages")->if_array();
  };
  ASSERT_THAT(mail(), SizeIs(1));
  const std::string body = text(mail()[0], "Body");
  const auto token_at = body.find("Token=") + 6;
  const std::string token = body.substr(token_at, body.find('\n', token_at) - token_at);
  EXPECT_EQ(subscription_attribute(s, "PendingConfirmation"), "true");
  EXPECT_EQ(error("ConfirmSubscription", Object{{"TopicArn", t}, {"Token", "x"}}),
            "InvalidParameter: Invalid parameter: Token");
  EXPECT_EQ(text(ok("ConfirmSubscription", Object{{"TopicArn", t}, {"Token", token}}), "SubscriptionArn"), s);
  publish(t, "hello", {{"Subject", "Greetings"}});
  sim.run_for(1s);
  ASSERT_THAT(mail(), SizeIs(2));
  EXPECT_EQ(text(mail()[0], "Subject"), "Greetings");
  EXPECT_THAT(text(mail()[0], "Body"), testing::StartsWith("hello\n"));
}

TEST_F(Sns, ATokenHoldsForThreeDays) {
  const std::string t = topic("t");
  subscribe(t, "email", "a@example.com");
  http::Request request;
  request.method = "GET";
  request.target = "/_lambdad/mail";
  sim.run_for(1s);
  const std::string body =
      text((*parsed(sim.run(service->mail(request)).body).find("Messages")->if_array())[0], "Body");
  const auto token_at = body.find("Token=") + 6;
  const std::string token = body.substr(token_at, body.find('\n', token_at) - token_at);
  sim.run_for(73h);
  EXPECT_EQ(error("ConfirmSubscription", Object{{"TopicArn", t}, {"Token", token}}),
            "InvalidParameter: Invalid parameter: Token");
}

// --- what is delivered ----------------------------------------------------------------------------------------------

TEST_F(Sns, AFunctionGetsOneRecord) {
  const std::string t = topic("t");
  const std::string s = subscribe(t, "lambda", function("f:live"));
  const std::string id =
      text(publish(t, "text",
                   {{"MessageAttributes", Object{{"n", attribute("Number", "1")}, {"s", attribute("String", "x")}}}}),
           "MessageId");
  sim.run_for(1s);
  ASSERT_THAT(functions.events, SizeIs(1));
  EXPECT_EQ(functions.events[0].function.name, "f");
  EXPECT_EQ(functions.events[0].function.qualifier, "live");
  Value event = parsed(functions.events[0].payload);
  Value& sns = *(*event.if_object()->find("Records")->if_array())[0].if_object()->find("Sns");
  EXPECT_THAT(text(sns, "SigningCertUrl"), testing::StartsWith(std::string(kBase) + "/SimpleNotificationService-"));
  sns.if_object()->set("Signature", "S");
  sns.if_object()->set("SigningCertUrl", "C");
  EXPECT_EQ(json::serialize(event),
            R"({"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":")" + s +
                R"(","Sns":{"Type":"Notification","MessageId":")" + id + R"(","TopicArn":")" + t +
                R"(","Subject":null,"Message":"text","Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"1",)"
                R"("Signature":"S","SigningCertUrl":"C","UnsubscribeUrl":")" +
                kBase + "/?Action=Unsubscribe&SubscriptionArn=" + s +
                R"(","MessageAttributes":{"n":{"Type":"Number","Value":"1"},"s":{"Type":"String","Value":"x"}}}}]})");
  EXPECT_EQ(metric("number_of_messages_published"), 1u);
  EXPECT_EQ(metric("number_of_notifications_delivered"), 1u);
}

TEST_F(Sns, AQueueGetsTheNotificationSignedUnderTheServedCertificate) {
  for (const char* version : {"1", "2"}) {
    const std::string name = fmt::format("t{}", version);
    const std::string t = topic(name, {{"SignatureVersion", version}});
    subscribe(t, "sqs", queue(name));
    publish(t, "line\n\"quoted\"", {{"Subject", "sub"}});
    sim.run_for(1s);
    ASSERT_THAT(queues.of(name), SizeIs(1));
    const Value body = parsed(queues.of(name)[0].body());
    std::vector<std::string> keys;
    for (const auto& [key, value] : *body.if_object()) keys.push_back(key);
    EXPECT_THAT(keys, ElementsAre("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp",
                                  "SignatureVersion", "Signature", "SigningCertURL", "UnsubscribeURL"));
    EXPECT_EQ(text(body, "Message"), "line\n\"quoted\"");
    EXPECT_EQ(text(body, "SignatureVersion"), version);
    http::Request request;
    request.method = "GET";
    request.target = text(body, "SigningCertURL").substr(std::string_view(kBase).size());
    const http::Response certificate = sim.run(service->certificate(request));
    ASSERT_EQ(certificate.status, 200);
    const std::string signed_text =
        fmt::format("Message\n{}\nMessageId\n{}\nSubject\nsub\nTimestamp\n{}\nTopicArn\n{}\nType\nNotification\n",
                    text(body, "Message"), text(body, "MessageId"), text(body, "Timestamp"), t);
    const EVP_MD* digest = *version == '2' ? EVP_sha256() : EVP_sha1();
    EXPECT_TRUE(verify(certificate.body, signed_text, text(body, "Signature"), digest));
    EXPECT_FALSE(verify(certificate.body, signed_text + "x", text(body, "Signature"), digest));
  }
}

TEST_F(Sns, RawDeliveryIsTheMessageWithItsAttributes) {
  const std::string t = topic("t");
  subscribe(
      t, "sqs", queue("q"),
      {{"RawMessageDelivery", "true"}, {"RedrivePolicy", Value("{\"deadLetterTargetArn\":\"" + queue("dlq") + "\"}")}});
  publish(
      t, "raw",
      {{"MessageAttributes", Object{{"b", Object{{"DataType", "Binary"}, {"BinaryValue", base64_encode("\x01\x02")}}},
                                    {"s", attribute("String", "x")}}}});
  sim.run_for(1s);
  ASSERT_THAT(queues.of("q"), SizeIs(1));
  EXPECT_EQ(queues.of("q")[0].body(), "raw");
  EXPECT_EQ(json::serialize(*queues.of("q")[0].input.find("MessageAttributes")),
            R"({"b":{"DataType":"Binary","BinaryValue":"AQI="},"s":{"DataType":"String","StringValue":"x"}})");
  // Eleven attributes do not fit into a message of SQS.
  Object many;
  for (int i = 0; i < 11; ++i) many.set(fmt::format("a{}", i), attribute("String", "x"));
  publish(t, "many", {{"MessageAttributes", many}});
  sim.run_for(1s);
  EXPECT_THAT(queues.of("q"), SizeIs(1));
  EXPECT_THAT(queues.of("dlq"), SizeIs(1));
}

TEST_F(Sns, MessageStructureChoosesTheTextByProtocol) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  subscribe(t, "lambda", function("f"));
  publish(t, R"({"default":"d","lambda":"for lambda"})", {{"MessageStructure", "json"}});
  sim.run_for(1s);
  EXPECT_THAT(bodies("q"), ElementsAre("d"));
  ASSERT_THAT(functions.events, SizeIs(1));
  EXPECT_THAT(functions.events[0].payload, HasSubstr(R"("Message":"for lambda")"));
  EXPECT_EQ(error("Publish", Object{{"TopicArn", t}, {"Message", "x"}, {"MessageStructure", "json"}}),
            "InvalidParameter: Invalid parameter: Message Structure - JSON message body failed to parse");
  EXPECT_EQ(error("Publish", Object{{"TopicArn", t}, {"Message", "{}"}, {"MessageStructure", "json"}}),
            "InvalidParameter: Invalid parameter: Message Structure - No default entry in JSON message body");
}

TEST_F(Sns, PublishRefusesWhatAwsRefuses) {
  const std::string t = topic("t");
  const auto refusal = [&](Object more) {
    Object input{{"TopicArn", t}, {"Message", "m"}};
    for (auto& [key, value] : more) input.set(key, value);
    return error("Publish", input);
  };
  EXPECT_EQ(refusal({{"Message", ""}}), "InvalidParameter: Invalid parameter: Empty message");
  EXPECT_EQ(refusal({{"Message", std::string(262145, 'x')}}), "InvalidParameter: Invalid parameter: Message too long");
  EXPECT_EQ(refusal({{"Subject", "two\nlines"}}), "InvalidParameter: Invalid parameter: Subject");
  EXPECT_EQ(refusal({{"Subject", std::string(101, 'x')}}), "InvalidParameter: Invalid parameter: Subject");
  EXPECT_THAT(refusal({{"MessageDeduplicationId", "d"}}), HasSubstr("not valid for this topic type"));
  EXPECT_EQ(
      refusal({{"MessageAttributes", Object{{"a", attribute("Colour", "x")}}}}),
      "ParameterValueInvalid: The message attribute 'a' has an invalid message attribute type, the set of supported "
      "type prefixes is Binary, Number, and String.");
  EXPECT_EQ(refusal({{"MessageAttributes", Object{{"a", attribute("Number", "x")}}}}),
            "ParameterValueInvalid: Could not cast message attribute 'a' value to number.");
  EXPECT_EQ(
      refusal({{"MessageAttributes", Object{{"a", attribute("String", "")}}}}),
      "ParameterValueInvalid: The message attribute 'a' must contain non-empty message attribute value for message "
      "attribute type 'String'.");
  publish(t, std::string(262144, 'x'));
}

TEST_F(Sns, ABatchAnswersEveryEntryByItself) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  const Value answer =
      ok("PublishBatch", Object{{"TopicArn", t},
                                {"PublishBatchRequestEntries",
                                 Array{Object{{"Id", "a"}, {"Message", "1"}}, Object{{"Id", "b"}, {"Message", ""}},
                                       Object{{"Id", "c"}, {"Message", "3"}}}}});
  EXPECT_THAT(*answer.find("Successful")->if_array(), SizeIs(2));
  ASSERT_THAT(*answer.find("Failed")->if_array(), SizeIs(1));
  EXPECT_EQ(json::serialize((*answer.find("Failed")->if_array())[0]),
            R"({"Id":"b","Code":"InvalidParameter","Message":"Invalid parameter: Empty message","SenderFault":true})");
  sim.run_for(1s);
  EXPECT_THAT(bodies("q"), UnorderedElementsAre("1", "3"));
  const auto refusal = [&](Array entries) {
    return error("PublishBatch", Object{{"TopicArn", t}, {"PublishBatchRequestEntries", std::move(entries)}});
  };
  const Value one = Object{{"Id", "a"}, {"Message", "1"}};
  EXPECT_THAT(refusal({}), HasSubstr("EmptyBatchRequest"));
  EXPECT_THAT(refusal(Array(11, one)), HasSubstr("TooManyEntriesInBatchRequest"));
  EXPECT_THAT(refusal(Array(2, one)), HasSubstr("BatchEntryIdsNotDistinct"));
  EXPECT_THAT(refusal({Object{{"Id", "a b"}, {"Message", "1"}}}), HasSubstr("InvalidBatchEntryId"));
  EXPECT_THAT(refusal({Object{{"Id", "a"}, {"Message", std::string(200000, 'x')}},
                       Object{{"Id", "b"}, {"Message", std::string(100000, 'x')}}}),
              HasSubstr("BatchRequestTooLong"));
}

// --- filters --------------------------------------------------------------------------------------------------------

TEST_F(Sns, AttributesAreFiltered) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"),
            {{"RawMessageDelivery", "true"},
             {"FilterPolicy", R"({"store":["a",{"prefix":"b-"}],"price":[{"numeric":[">=",10]}]})"}});
  const auto send = [&](const char* message, Object attributes) {
    publish(t, message, attributes.empty() ? Object{} : Object{{"MessageAttributes", std::move(attributes)}});
  };
  send("in", {{"store", attribute("String", "b-2")}, {"price", attribute("Number", "10.0")}});
  send("cheap", {{"store", attribute("String", "a")}, {"price", attribute("Number", "9")}});
  send("elsewhere", {{"store", attribute("String", "c")}, {"price", attribute("Number", "11")}});
  send("array", {{"store", attribute("String.Array", R"(["x","a"])")}, {"price", attribute("Number", "11")}});
  send("bad array", {{"store", attribute("String.Array", "x")}, {"price", attribute("Number", "11")}});
  send("none", {});
  sim.run_for(1s);
  EXPECT_THAT(bodies("q"), ElementsAre("in", "array"));
  EXPECT_EQ(metric("number_of_notifications_filtered_out"), 4u);
  EXPECT_EQ(metric("number_of_notifications_filtered_out_message_attributes"), 2u);
  EXPECT_EQ(metric("number_of_notifications_filtered_out_invalid_attributes"), 1u);
  EXPECT_EQ(metric("number_of_notifications_filtered_out_no_message_attributes"), 1u);
}

TEST_F(Sns, BodiesAreFiltered) {
  const std::string t = topic("t");
  const std::string s = subscribe(t, "sqs", queue("q"),
                                  {{"RawMessageDelivery", "true"},
                                   {"FilterPolicyScope", "MessageBody"},
                                   {"FilterPolicy", R"({"order":{"state":["paid"]}})"}});
  publish(t, R"({"order":{"state":"paid"}})");
  publish(t, R"({"order":{"state":"open"}})");
  publish(t, "no JSON");
  sim.run_for(1s);
  EXPECT_THAT(queues.of("q"), SizeIs(1));
  EXPECT_EQ(metric("number_of_notifications_filtered_out_message_body"), 1u);
  EXPECT_EQ(metric("number_of_notifications_filtered_out_invalid_message_body"), 1u);
  ok("SetSubscriptionAttributes",
     Object{{"SubscriptionArn", s}, {"AttributeName", "FilterPolicy"}, {"AttributeValue", "{}"}});
  publish(t, "anything");
  sim.run_for(1s);
  EXPECT_THAT(queues.of("q"), SizeIs(2));
}

TEST_F(Sns, BadFilterPoliciesAreRefused) {
  const std::string t = topic("t");
  const auto refusal = [&](const char* policy) {
    return error("Subscribe", Object{{"TopicArn", t},
                                     {"Protocol", "sqs"},
                                     {"Endpoint", queue("q")},
                                     {"Attributes", Object{{"FilterPolicy", policy}}}});
  };
  EXPECT_THAT(refusal("{"), HasSubstr("InvalidParameter: Invalid parameter: FilterPolicy: "));
  EXPECT_THAT(refusal(R"({"a":"b"})"), HasSubstr("InvalidParameter: Invalid parameter: FilterPolicy: "));
  EXPECT_THAT(refusal(R"({"a":[{"prefx":"b"}]})"), HasSubstr("Unrecognized match type prefx"));
  EXPECT_THAT(refusal(R"({"a":{"b":["c"]}})"), HasSubstr("InvalidParameter"));
  EXPECT_THAT(refusal(R"({"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]})"),
              HasSubstr("InvalidParameter"));
}

// --- retries --------------------------------------------------------------------------------------------------------

TEST_F(Sns, AnUnavailableQueueIsRetriedOnAwsSchedule) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  aws::Error down = aws::internal_failure();
  queues.failures["q"] = down;
  publish(t, "m");
  const Duration begun = sim.elapsed();
  sim.run_for(200s);
  std::vector<double> times;
  for (const auto& attempt : queues.attempts) times.push_back(std::round(to_seconds(attempt.at - begun)));
  ASSERT_GT(times.size(), 8u);
  // Four at once, then after one second and after one second more; then growing.
  EXPECT_THAT(std::vector<double>(times.begin(), times.begin() + 6), ElementsAre(0, 0, 0, 0, 1, 2));
  EXPECT_EQ(std::round(times[6] - times[5]), 1);
  for (std::size_t i = 7; i < times.size(); ++i) {
    EXPECT_GE(times[i] - times[i - 1] + 1, times[i - 1] - times[i - 2]) << i;
    EXPECT_LE(times[i] - times[i - 1], 21) << i;
  }
  queues.failures.clear();
  sim.run_for(21s);
  EXPECT_THAT(bodies("q"), ElementsAre("m"));
  sim.run_for(1h);
  EXPECT_THAT(bodies("q"), ElementsAre("m"));
}

TEST_F(Sns, RetriesSurviveARestart) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  queues.failures["q"] = aws::internal_failure();
  for (int i = 0; i < 700; ++i) publish(t, std::to_string(i));
  sim.run_for(60s);
  restart();
  EXPECT_THAT(queues.of("q"), IsEmpty());
  queues.failures.clear();
  sim.run_for(60s);
  std::set<std::string> distinct;
  for (const auto& body : bodies("q")) distinct.insert(body);
  EXPECT_EQ(distinct.size(), 700u);
  EXPECT_EQ(queues.of("q").size(), 700u);
}

TEST_F(Sns, AMissingQueueIsNotRetriedAndGoesToTheDeadLetterQueue) {
  const std::string t = topic("t");
  const std::string s = subscribe(t, "sqs", queue("gone"),
                                  {{"RedrivePolicy", Value("{\"deadLetterTargetArn\":\"" + queue("dlq") + "\"}")}});
  queues.failures["gone"] = FakeQueues::missing();
  publish(t, "m");
  sim.run_for(1h);
  EXPECT_THAT(queues.attempts, SizeIs(2));
  ASSERT_THAT(queues.of("dlq"), SizeIs(1));
  const Value body = parsed(queues.of("dlq")[0].body());
  EXPECT_EQ(text(body, "Message"), "m");
  const Value attributes = *queues.of("dlq")[0].input.find("MessageAttributes");
  EXPECT_EQ(text(*attributes.find("ErrorCode"), "StringValue"), "AWS.SimpleQueueService.NonExistentQueue");
  EXPECT_EQ(text(*attributes.find("ErrorMessage"), "StringValue"), "The specified queue does not exist.");
  EXPECT_NE(attributes.find("RequestID"), nullptr);
  EXPECT_EQ(metric("number_of_notifications_failed"), 1u);
  EXPECT_EQ(metric("number_of_notifications_redriven_to_dlq"), 1u);
}

TEST_F(Sns, AMissingFunctionGoesToTheDeadLetterQueueWhichMayBeDownForAWhile) {
  const std::string t = topic("t");
  subscribe(t, "lambda", function("missing"),
            {{"RedrivePolicy", Value("{\"deadLetterTargetArn\":\"" + queue("dlq") + "\"}")}});
  queues.failures["dlq"] = aws::internal_failure();
  publish(t, "m");
  sim.run_for(30s);
  EXPECT_THAT(queues.of("dlq"), IsEmpty());
  restart();  // why it was given up is stored
  queues.failures.clear();
  sim.run_for(30s);
  ASSERT_THAT(queues.of("dlq"), SizeIs(1));
  EXPECT_EQ(text(*queues.of("dlq")[0].input.find("MessageAttributes")->find("ErrorCode"), "StringValue"),
            "ResourceNotFoundException");
}

TEST_F(Sns, AFailingEndpointDelaysNoOther) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("down"), {{"RawMessageDelivery", "true"}});
  subscribe(t, "sqs", queue("up"), {{"RawMessageDelivery", "true"}});
  queues.failures["down"] = aws::internal_failure();
  for (int i = 0; i < 1000; ++i) publish(t, std::to_string(i));
  sim.settle();
  EXPECT_EQ(queues.of("up").size(), 1000u);
  queues.failures.clear();
  sim.run_for(120s);
  EXPECT_EQ(queues.of("down").size(), 1000u);
}

TEST_F(Sns, WhatWaitsForAnUnsubscribedEndpointIsDropped) {
  const std::string t = topic("t");
  const std::string s = subscribe(t, "sqs", queue("q"));
  queues.failures["q"] = aws::internal_failure();
  for (int i = 0; i < 1200; ++i) publish(t, std::to_string(i));
  ok("Unsubscribe", Object{{"SubscriptionArn", s}});
  queues.failures.clear();
  sim.run_for(1h);
  EXPECT_THAT(queues.of("q"), IsEmpty());
}

// --- FIFO -----------------------------------------------------------------------------------------------------------

TEST_F(Sns, AFifoTopicNumbersAndDeduplicatesAndKeepsTheOrder) {
  const std::string t = fifo_topic("t.fifo");
  subscribe(t, "sqs", queue("q.fifo"), {{"RawMessageDelivery", "true"}});
  EXPECT_EQ(error("Publish", Object{{"TopicArn", t}, {"Message", "m"}}),
            "InvalidParameter: Invalid parameter: The MessageGroupId parameter is required for FIFO topics");
  EXPECT_EQ(error("Publish", Object{{"TopicArn", t}, {"Message", "m"}, {"MessageGroupId", "g"}}),
            "InvalidParameter: Invalid parameter: The topic should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly");
  const auto send = [&](const std::string& message, const std::string& id) {
    return publish(t, message, {{"MessageGroupId", "g"}, {"MessageDeduplicationId", id}});
  };
  const Value first = send("1", "a");
  EXPECT_EQ(text(first, "SequenceNumber"), "10000000000000000001");
  EXPECT_EQ(json::serialize(send("again", "a")), json::serialize(first));
  restart();
  EXPECT_EQ(json::serialize(send("again", "a")), json::serialize(first));
  EXPECT_EQ(text(send("2", "b"), "SequenceNumber"), "10000000000000000002");
  sim.run_for(301s);
  send("3", "a");
  EXPECT_THAT(bodies("q.fifo"), ElementsAre("1", "2", "3"));
  EXPECT_EQ(text(queues.of("q.fifo")[0].input, "MessageGroupId"), "g");
  EXPECT_EQ(text(queues.of("q.fifo")[0].input, "MessageDeduplicationId"), "a");
}

TEST_F(Sns, AFifoTopicDeliversInOrderThroughFailures) {
  const std::string t = fifo_topic("t.fifo", {{"ContentBasedDeduplication", "true"}});
  subscribe(t, "sqs", queue("q.fifo"), {{"RawMessageDelivery", "true"}});
  queues.failures["q.fifo"] = aws::internal_failure();
  std::vector<std::string> expected;
  for (int i = 0; i < 600; ++i) {
    expected.push_back(std::to_string(i));
    publish(t, expected.back(), {{"MessageGroupId", "g"}});
    if (i == 300) sim.run_for(10s);
    if (i == 400) restart();
  }
  queues.failures.clear();
  sim.run_for(60s);
  EXPECT_EQ(bodies("q.fifo"), expected);
}

TEST_F(Sns, TheScopeOfDuplicatesMayBeTheGroup) {
  const std::string t = fifo_topic("t.fifo", {{"FifoThroughputScope", "MessageGroup"}});
  subscribe(t, "sqs", queue("q.fifo"), {{"RawMessageDelivery", "true"}});
  for (const char* group : {"g", "h", "g"}) {
    publish(t, group, {{"MessageGroupId", group}, {"MessageDeduplicationId", "same"}});
  }
  sim.run_for(1s);
  EXPECT_THAT(bodies("q.fifo"), ElementsAre("g", "h"));
}

TEST_F(Sns, AFifoNotificationCarriesItsNumberAndNoSignature) {
  const std::string t = fifo_topic("t.fifo", {{"ContentBasedDeduplication", "true"}});
  subscribe(t, "sqs", queue("q.fifo"));
  publish(t, "m", {{"MessageGroupId", "g"}});
  sim.run_for(1s);
  ASSERT_THAT(queues.of("q.fifo"), SizeIs(1));
  std::vector<std::string> keys;
  for (const auto& [key, value] : *parsed(queues.of("q.fifo")[0].body()).if_object()) keys.push_back(key);
  EXPECT_THAT(keys,
              ElementsAre("Type", "MessageId", "SequenceNumber", "TopicArn", "Message", "Timestamp", "UnsubscribeURL"));
}

// --- from inside ----------------------------------------------------------------------------------------------------

TEST_F(Sns, OthersPublishThroughTheTarget) {
  const std::string t = topic("t");
  subscribe(t, "sqs", queue("q"), {{"RawMessageDelivery", "true"}});
  ports::TargetMessage message;
  message.body = "dead";
  message.attributes["ErrorCode"] = {"Number", "200"};
  message.trace_header = "Root=1-2-3";
  ASSERT_TRUE(sim.run(service->target().deliver(*Arn::parse(t), message)));
  sim.run_for(1s);
  ASSERT_THAT(bodies("q"), ElementsAre("dead"));
  EXPECT_EQ(json::serialize(*queues.of("q")[0].input.find("MessageSystemAttributes")),
            R"({"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1-2-3"}})");
  EXPECT_EQ(sim.run(service->target().deliver(*Arn::parse(arn("no")), message)).error().code, Errc::kNotFound);
  EXPECT_EQ(sim.run(service->target().deliver(*Arn::parse(fifo_topic("t.fifo")), message)).error().code,
            Errc::kInvalid);
  message.body = std::string(262144, 'x');
  EXPECT_EQ(sim.run(service->target().deliver(*Arn::parse(t), message)).error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace lambdad::sns
