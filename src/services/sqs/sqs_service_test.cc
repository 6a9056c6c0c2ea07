// What holds for the service as a whole: restarts, full disks, targets, metrics, protocols.

#include "services/sqs/sqs_service.h"

#include <sys/resource.h>

#include <csignal>

#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

using testing::HasSubstr;

TEST_F(Service, ARestartForgetsNothing) {
  const std::string queue = create("q", {{"VisibilityTimeout", "60"}});
  send(queue, "hidden");
  const auto before = receive(queue);
  send(queue, "delayed", {{"DelaySeconds", 100}});
  send(queue, "ready");
  sim.run_for(10s);
  restart();
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessages"), "1");
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessagesNotVisible"), "1");
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessagesDelayed"), "1");
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"ready"});
  sim.run_for(50s);
  const auto again = receive(queue);
  ASSERT_EQ(bodies(again), std::vector<std::string>{"hidden"});
  EXPECT_EQ(attribute(again.at(0), "ApproximateReceiveCount"), "2");
  EXPECT_EQ(attribute(again.at(0), "ApproximateFirstReceiveTimestamp"),
            attribute(before.at(0), "ApproximateFirstReceiveTimestamp"));
}

TEST_F(Service, AHandleFromBeforeARestartStillDeletes) {
  const std::string queue = create("q");
  send(queue, "m");
  const auto messages = receive(queue);
  restart();
  remove(queue, messages.at(0));
  restart();
  sim.run_for(60s);
  EXPECT_TRUE(receive(queue).empty());
}

/// While one lives, no file of this process can grow: every commit fails.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit full{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(Service, AFullDiskIsNeverAcknowledgedAndChangesNothing) {
  const std::string dead = create("dead");
  const std::string queue = create("q", {{"VisibilityTimeout", "10"}, {"RedrivePolicy", redrive(arn("dead"), 1)}});
  send(queue, "m");
  send(queue, "twice");
  const auto first = receive(queue, {{"MaxNumberOfMessages", 1}});
  {
    FullDisk full;
    EXPECT_THAT(error("SendMessage", Object{{"QueueUrl", queue}, {"MessageBody", "lost"}}),
                HasSubstr("ServiceUnavailable"));
    EXPECT_THAT(error("ReceiveMessage", Object{{"QueueUrl", queue}}), HasSubstr("ServiceUnavailable"));
    EXPECT_THAT(
        error("DeleteMessage", Object{{"QueueUrl", queue}, {"ReceiptHandle", text(first.at(0), "ReceiptHandle")}}),
        HasSubstr("ServiceUnavailable"));
    EXPECT_THAT(error("CreateQueue", Object{{"QueueName", "other"}}), HasSubstr("ServiceUnavailable"));
    EXPECT_THAT(error("PurgeQueue", Object{{"QueueUrl", queue}}), HasSubstr("ServiceUnavailable"));
    sim.run_for(10s);
    EXPECT_THAT(error("ReceiveMessage", Object{{"QueueUrl", queue}, {"MaxNumberOfMessages", 10}}),
                HasSubstr("ServiceUnavailable"));
    EXPECT_FALSE(service->healthy());
  }
  const auto second = receive(queue);
  ASSERT_EQ(bodies(second), std::vector<std::string>{"twice"});
  EXPECT_EQ(attribute(second[0], "ApproximateReceiveCount"), "1");
  EXPECT_EQ(bodies(receive(dead)), std::vector<std::string>{"m"});
  EXPECT_EQ(create("other"), url("other"));
  EXPECT_TRUE(service->healthy());
}

TEST_F(Service, DeliversToAnArn) {
  const std::string queue = create("q", {{"MaximumMessageSize", "1024"}});
  const Arn target = *Arn::parse(arn("q"));
  ports::TargetMessage message{.body = "event",
                               .attributes = {{"RequestID", {"String", "id"}}, {"ErrorCode", {"Number", "200"}}},
                               .trace_header = "Root=1"};
  const auto delivered = sim.run(service->target().deliver(target, message));
  ASSERT_TRUE(delivered) << delivered.error().detail;
  const auto messages = receive(queue);
  ASSERT_EQ(bodies(messages), std::vector<std::string>{"event"});
  EXPECT_EQ(text(*messages[0].find("MessageAttributes")->find("ErrorCode"), "StringValue"), "200");
  EXPECT_EQ(attribute(messages[0], "AWSTraceHeader"), "Root=1");

  const auto code = [&](const std::string& name, ports::TargetMessage m) {
    const auto result = sim.run(service->target().deliver(*Arn::parse(name), m));
    return result ? std::string("delivered") : std::string(to_string(result.error().code));
  };
  EXPECT_EQ(code(arn("nope"), message), to_string(Errc::kNotFound));
  EXPECT_EQ(code("arn:aws:sns:eu-west-1:111122223333:q", message), to_string(Errc::kInvalid));
  EXPECT_EQ(code(arn("q"), {.body = std::string(1025, 'x'), .attributes = {}, .trace_header = ""}),
            to_string(Errc::kTooLarge));
  EXPECT_EQ(code(arn("q"), {.body = std::string(1, '\1'), .attributes = {}, .trace_header = ""}),
            to_string(Errc::kInvalid));
}

TEST_F(Service, ShowsTheMessagesOfAQueueWithoutTouchingThem) {
  const std::string queue = create("q");
  send(queue, "first");
  send(queue, "second", {{"MessageAttributes", Object{{"a", Object{{"DataType", "String"}, {"StringValue", "v"}}}}}});
  send(queue, "later", {{"DelaySeconds", 60}});
  ASSERT_EQ(receive(queue, {{"MaxNumberOfMessages", 1}}).size(), 1u);
  const auto look = [&](std::string target, std::string accept) {
    http::Request page;
    page.method = "GET";
    page.target = std::move(target);
    if (!accept.empty()) page.headers.add("Accept", accept);
    return service->messages_page(std::move(page));
  };
  const auto shown = [&](const std::string& target) {
    const Value page = document(look(target, "application/json").body);
    return *page.find("ReceiveMessageResponse")->find("ReceiveMessageResult")->find("Message");
  };
  const std::string by_url = "/_aws/sqs/messages?QueueUrl=" + queue;
  EXPECT_EQ(text(shown(by_url), "Body"), "second") << "a list of one is its element";
  EXPECT_EQ(text(*shown(by_url).find("MessageAttribute"), "Name"), "a");
  EXPECT_EQ(text(*shown(by_url).find("MessageAttribute")->find("Value"), "StringValue"), "v");
  const std::string by_path = fmt::format("/_aws/sqs/messages/{}/{}/q", kRegion, kAccount);
  EXPECT_EQ(shown(by_path), shown(by_url));
  const Value all = shown(by_path + "?ShowInvisible=True&ShowDelayed=true");
  ASSERT_EQ(all.if_array()->size(), 3u);
  const auto named = [](const Value& message, std::string_view name) -> std::string {
    for (const Value& each : *message.find("Attribute")->if_array()) {
      if (text(each, "Name") == name) return text(each, "Value");
    }
    return "(absent)";
  };
  EXPECT_EQ(named(all.if_array()->at(0), "IsVisible"), "false");
  EXPECT_EQ(named(all.if_array()->at(0), "ApproximateReceiveCount"), "1");
  EXPECT_EQ(named(all.if_array()->at(1), "IsVisible"), "true");
  EXPECT_EQ(named(all.if_array()->at(1), "ApproximateReceiveCount"), "0");
  EXPECT_EQ(named(all.if_array()->at(2), "IsDelayed"), "true");

  EXPECT_THAT(look(by_url, "").body, HasSubstr("<Body>second</Body>"));
  EXPECT_THAT(look(by_url, "").body, HasSubstr("<Name>IsVisible</Name><Value>true</Value>"));
  const auto refused = [&](const std::string& target) {
    const http::Response response = look(target, "application/json");
    return fmt::format("{} {}", response.status,
                       text(*document(response.body).find("ErrorResponse")->find("Error"), "Code"));
  };
  EXPECT_EQ(refused("/_aws/sqs/messages"), "400 AWS.SimpleQueueService.NonExistentQueue");
  EXPECT_EQ(refused("/_aws/sqs/messages?QueueUrl=http://localhost:4566/nonsense"), "404 InvalidAddress");
  EXPECT_EQ(refused(fmt::format("/_aws/sqs/messages/us-east-2/{}/q", kAccount)),
            "400 AWS.SimpleQueueService.NonExistentQueue");

  http::Request call;
  call.method = "POST";
  call.target = "/_aws/sqs/messages";
  call.headers.add("Content-Type", "application/x-amz-json-1.0");
  call.headers.add("X-Amz-Target", "AmazonSQS.ReceiveMessage");
  call.body = json::serialize(Object{{"QueueUrl", queue}});
  EXPECT_EQ(document(service->messages_page(call).body).find("Messages")->if_array()->size(), 1u);
  call.headers.set("X-Amz-Target", "AmazonSQS.SendMessage");
  EXPECT_EQ(service->messages_page(call).status, 400);
  EXPECT_THAT(service->messages_page(call).body, HasSubstr("This endpoint only accepts ReceiveMessage calls"));
  EXPECT_EQ(receive(queue).size(), 1u) << "looking received nothing";
}

TEST_F(Service, CountsWhatItDoes) {
  const std::string queue = create("q");
  send(queue, "a");
  send(queue, "b");
  remove(queue, receive(queue, {{"MaxNumberOfMessages", 1}}).at(0));
  const std::string exposed = metrics.expose();
  EXPECT_THAT(exposed, HasSubstr("lambdad_sqs_messages_sent_total{queue=\"q\"} 2\n"));
  EXPECT_THAT(exposed, HasSubstr("lambdad_sqs_messages_received_total{queue=\"q\"} 1\n"));
  EXPECT_THAT(exposed, HasSubstr("lambdad_sqs_messages_deleted_total{queue=\"q\"} 1\n"));
  EXPECT_THAT(exposed, HasSubstr("lambdad_sqs_messages_visible{queue=\"q\"} 1\n"));
  EXPECT_THAT(exposed, HasSubstr("lambdad_sqs_messages_in_flight{queue=\"q\"} 0\n"));
}

TEST_F(Service, AnswersTheJsonProtocol) {
  create("q");
  auto response = request("AmazonSQS.SendMessage", "application/x-amz-json-1.0",
                          R"({"QueueUrl": "http://x/111122223333/q", "MessageBody": "hello"})");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr(R"("MD5OfMessageBody":"5d41402abc4b2a76b9719d911017c592")"));

  response = request("AmazonSQS.ReceiveMessage", "application/x-amz-json-1.0",
                     R"({"QueueUrl": "http://x/111122223333/nope"})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."})");
  EXPECT_EQ(response.headers.get_or("x-amzn-query-error", ""), "AWS.SimpleQueueService.NonExistentQueue;Sender");
}

TEST_F(Service, AnswersTheQueryProtocol) {
  create("q");
  const char* form = "application/x-www-form-urlencoded";
  auto response =
      request("", form,
              "Action=SendMessage&Version=2012-11-05&QueueUrl=http%3A%2F%2Fx%2F111122223333%2Fq&MessageBody=hello"
              "&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String"
              "&MessageAttribute.1.Value.StringValue=1");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_THAT(response.body, HasSubstr("<MD5OfMessageBody>5d41402abc4b2a76b9719d911017c592</MD5OfMessageBody>"));

  response = request("", form,
                     "Action=ReceiveMessage&Version=2012-11-05&QueueUrl=http%3A%2F%2Fx%2F111122223333%2Fq"
                     "&AttributeName.1=All&MessageAttributeName.1=All");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("<Body>hello</Body>"));
  EXPECT_THAT(response.body, HasSubstr("<Name>ApproximateReceiveCount</Name><Value>1</Value>"));
  EXPECT_THAT(response.body, HasSubstr("<StringValue>1</StringValue>"));

  response =
      request("", form, "Action=ReceiveMessage&Version=2012-11-05&QueueUrl=http%3A%2F%2Fx%2F111122223333%2Fnope");
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"));
  EXPECT_THAT(response.body, HasSubstr("<Message>The specified queue does not exist for this wsdl version.</Message>"));
}

}  // namespace
}  // namespace lambdad::sqs
