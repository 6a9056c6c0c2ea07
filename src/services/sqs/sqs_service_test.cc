#include "services/sqs/sqs_service.h"

#include <sys/resource.h>

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/gen/sqs.h"
#include "base/encoding.h"
#include "base/hash.h"
#include "base/json.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::sqs {
namespace {

using json::Array;
using json::Object;
using json::Value;
using testing::HasSubstr;

constexpr const char* kAccount = "111122223333";
constexpr const char* kRegion = "eu-west-1";

Value document(std::string_view text) {
  auto parsed = json::parse(text);
  LD_CHECK(parsed.has_value(), "{}", text);
  return *parsed;
}

/// The service behind a dispatcher, on virtual time.
struct Service : testing::Test {
  SimSystem sim{test_seed()};
  Metrics metrics;
  std::unique_ptr<SqsService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;
  TaskGroup group{sim.loop()};

  void SetUp() override { start(); }
  void TearDown() override {
    sim.run(group.stop());
    if (service) sim.run(service->stop());
  }
  void start() {
    auto opened = SqsService::open(sim.system(), null_logger(), metrics,
                                   {.directory = sim.directory(), .durability = store::Durability::kEphemeral});
    ASSERT_TRUE(opened) << opened.error().detail;
    service = std::move(*opened);
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    service->register_operations(*dispatcher);
  }
  void restart() {
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start();
  }

  aws::RequestContext context() {
    aws::RequestContext context;
    context.request_id = "00000000-0000-4000-8000-000000000000";
    context.account = kAccount;
    context.region = kRegion;
    context.base_url = "http://127.0.0.1:4566";
    return context;
  }
  Async<aws::Outcome<Value>> calling(std::string operation, Value input) {
    return dispatcher->call(context(), "sqs", std::move(operation), std::move(input));
  }
  aws::Outcome<Value> call(const std::string& operation, Value input) {
    return sim.run(calling(operation, std::move(input)));
  }
  Value ok(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    EXPECT_TRUE(outcome) << operation << ": " << outcome.error().type << ": " << outcome.error().message;
    return outcome ? *outcome : Value(Object{});
  }
  /// "Type: message" of the error.
  std::string error(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    if (outcome) return "no error: " + json::serialize(*outcome);
    return outcome.error().type + ": " + outcome.error().message;
  }

  std::string url(const std::string& name) { return fmt::format("http://127.0.0.1:4566/{}/{}", kAccount, name); }
  std::string arn(const std::string& name) { return fmt::format("arn:aws:sqs:{}:{}:{}", kRegion, kAccount, name); }
  std::string create(const std::string& name, Object attributes = {}) {
    Value result = ok("CreateQueue", Object{{"QueueName", name}, {"Attributes", attributes}});
    return result.find("QueueUrl") == nullptr ? "" : *result.find("QueueUrl")->if_string();
  }
  Value send(const std::string& queue, const std::string& body, Object more = {}) {
    Object input{{"QueueUrl", queue}, {"MessageBody", body}};
    for (auto& [key, value] : more) input.set(key, value);
    return ok("SendMessage", input);
  }
  static std::vector<Value> messages_of(const Value& result) {
    const Value* messages = result.find("Messages");
    return messages == nullptr ? std::vector<Value>{} : *messages->if_array();
  }
  std::vector<Value> receive(const std::string& queue, Object more = {}) {
    Object input{{"QueueUrl", queue},
                 {"MaxNumberOfMessages", 10},
                 {"AttributeNames", Array{"All"}},
                 {"MessageAttributeNames", Array{"All"}}};
    for (auto& [key, value] : more) input.set(key, value);
    return messages_of(ok("ReceiveMessage", input));
  }
  std::vector<std::string> bodies(const std::vector<Value>& messages) {
    std::vector<std::string> texts;
    for (const Value& message : messages) texts.push_back(*message.find("Body")->if_string());
    return texts;
  }
  static std::string text(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr || found->if_string() == nullptr ? "(absent)" : *found->if_string();
  }
  static std::string attribute(const Value& message, std::string_view name) {
    const Value* all = message.find("Attributes");
    return all == nullptr ? "(absent)" : text(*all, name);
  }
  std::string queue_attribute(const std::string& queue, const std::string& name) {
    return attribute(ok("GetQueueAttributes", Object{{"QueueUrl", queue}, {"AttributeNames", Array{name}}}), name);
  }
  Value remove(const std::string& queue, const Value& message) {
    return ok("DeleteMessage", Object{{"QueueUrl", queue}, {"ReceiptHandle", text(message, "ReceiptHandle")}});
  }

  /// One HTTP request through the dispatcher.
  http::Response request(std::string target_header, std::string content_type, std::string body) {
    http::Request request;
    request.method = "POST";
    request.target = "/";
    request.headers.add("Host", "127.0.0.1:4566");
    request.headers.add("Content-Type", content_type);
    if (!target_header.empty()) request.headers.add("X-Amz-Target", target_header);
    request.headers.add("X-Amz-Date", "20260101T000000Z");
    request.headers.add("Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/{}/sqs/aws4_request, "
                                                     "SignedHeaders=host, Signature=00",
                                                     kAccount, kRegion));
    request.body = std::move(body);
    return sim.run(dispatcher->handle(std::move(request)));
  }
};

// --- messages -------------------------------------------------------------------------------------------------------

TEST_F(Service, SendsReceivesAndDeletesAMessage) {
  const std::string queue = create("q");
  EXPECT_EQ(queue, url("q"));
  const Value sent = send(queue, "hello");
  EXPECT_EQ(text(sent, "MD5OfMessageBody"), "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(sent.find("MD5OfMessageAttributes"), nullptr);

  const auto messages = receive(queue);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(text(messages[0], "Body"), "hello");
  EXPECT_EQ(text(messages[0], "MessageId"), text(sent, "MessageId"));
  EXPECT_EQ(text(messages[0], "MD5OfBody"), "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(attribute(messages[0], "ApproximateReceiveCount"), "1");
  EXPECT_EQ(attribute(messages[0], "SentTimestamp"), std::to_string(to_epoch_ms(sim.wall())));
  EXPECT_EQ(attribute(messages[0], "ApproximateFirstReceiveTimestamp"), std::to_string(to_epoch_ms(sim.wall())));
  EXPECT_EQ(attribute(messages[0], "SenderId"), kAccount);

  remove(queue, messages[0]);
  sim.run_for(31s);
  EXPECT_TRUE(receive(queue).empty());
}

TEST_F(Service, AnswersAnEmptyReceiveWithoutAMessagesMember) {
  const std::string queue = create("q");
  EXPECT_EQ(json::serialize(ok("ReceiveMessage", Object{{"QueueUrl", queue}})), "{}");
}

TEST_F(Service, AMessageNotDeletedReturnsAfterItsVisibilityTimeoutWithANewHandle) {
  const std::string queue = create("q", {{"VisibilityTimeout", "30"}});
  send(queue, "m");
  const auto first = receive(queue);
  ASSERT_EQ(first.size(), 1u);
  sim.run_for(30s - 1ns);
  EXPECT_TRUE(receive(queue).empty());
  sim.run_for(1ns);
  const auto second = receive(queue);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(attribute(second[0], "ApproximateReceiveCount"), "2");
  EXPECT_EQ(attribute(second[0], "ApproximateFirstReceiveTimestamp"),
            attribute(first[0], "ApproximateFirstReceiveTimestamp"));
  EXPECT_NE(text(second[0], "ReceiptHandle"), text(first[0], "ReceiptHandle"));

  remove(queue, first[0]);  // an old handle: accepted, and without effect
  sim.run_for(30s);
  EXPECT_EQ(receive(queue).size(), 1u);
}

TEST_F(Service, DelaysByMessageOrByQueue) {
  const std::string queue = create("q", {{"DelaySeconds", "10"}});
  send(queue, "by queue");
  send(queue, "by message", {{"DelaySeconds", 5}});
  send(queue, "not at all", {{"DelaySeconds", 0}});
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"not at all"});
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessagesDelayed"), "2");
  sim.run_for(5s);
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"by message"});
  sim.run_for(5s);
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"by queue"});
}

TEST_F(Service, ReturnsAttributesWithTheDigestsThatSdksCheck) {
  const std::string queue = create("q");
  const Value sent = ok("SendMessage", document(R"({"QueueUrl": ")" + queue + R"(", "MessageBody": "b",
      "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "rush"},
                            "blob": {"DataType": "Binary", "BinaryValue": "AAEC"},
                            "n": {"DataType": "Number.int", "StringValue": "42"}},
      "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}})"));
  // hashlib.md5 over the documented encoding of the three attributes.
  std::string encoded;
  const auto put = [&encoded](std::string_view bytes) {
    encoded += std::string("\0\0\0", 3) + static_cast<char>(bytes.size());
    encoded += bytes;
  };
  put("blob"), put("Binary"), encoded += '\2', put(std::string_view("\0\1\2", 3));
  put("kind"), put("String"), encoded += '\1', put("rush");
  put("n"), put("Number.int"), encoded += '\1', put("42");
  EXPECT_EQ(text(sent, "MD5OfMessageAttributes"), hex_encode(md5(encoded)));
  EXPECT_NE(text(sent, "MD5OfMessageSystemAttributes"), "(absent)");

  const auto messages = receive(queue);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(text(messages[0], "MD5OfMessageAttributes"), hex_encode(md5(encoded)));
  EXPECT_EQ(attribute(messages[0], "AWSTraceHeader"), "Root=1-2-3");
  const Value* shown = messages[0].find("MessageAttributes");
  ASSERT_NE(shown, nullptr);
  EXPECT_EQ(text(*shown->find("blob"), "BinaryValue"), "AAEC");
  EXPECT_EQ(text(*shown->find("n"), "StringValue"), "42");
  EXPECT_EQ(text(*shown->find("n"), "DataType"), "Number.int");
}

TEST_F(Service, ShowsOnlyTheAttributesAskedFor) {
  const std::string queue = create("q", {{"VisibilityTimeout", "0"}});
  ok("SendMessage", document(R"({"QueueUrl": ")" + queue + R"(", "MessageBody": "b", "MessageAttributes": {
      "a.one": {"DataType": "String", "StringValue": "1"}, "a.two": {"DataType": "String", "StringValue": "2"},
      "b": {"DataType": "String", "StringValue": "3"}}})"));
  const auto names = [&](Array wanted) {
    const auto messages =
        messages_of(ok("ReceiveMessage", Object{{"QueueUrl", queue}, {"MessageAttributeNames", std::move(wanted)}}));
    std::string joined;
    const Value* shown = messages.at(0).find("MessageAttributes");
    if (shown == nullptr) return joined;
    for (const auto& [name, value] : *shown->if_object()) joined += name + " ";
    return joined;
  };
  EXPECT_EQ(names({}), "");
  EXPECT_EQ(names({"b"}), "b ");
  EXPECT_EQ(names({"a.*"}), "a.one a.two ");
  EXPECT_EQ(names({"All"}), "a.one a.two b ");
  EXPECT_EQ(names({".*"}), "a.one a.two b ");

  const auto messages = messages_of(
      ok("ReceiveMessage", Object{{"QueueUrl", queue}, {"MessageSystemAttributeNames", Array{"SentTimestamp"}}}));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].find("Attributes")->if_object()->size(), 1u);
  EXPECT_EQ(error("ReceiveMessage", Object{{"QueueUrl", queue}, {"AttributeNames", Array{"Nope"}}}),
            "InvalidAttributeName: Unknown Attribute Nope.");
}

TEST_F(Service, ChangesTheVisibilityOfAMessage) {
  const std::string queue = create("q");
  send(queue, "m");
  const auto messages = receive(queue);
  const std::string handle = text(messages.at(0), "ReceiptHandle");
  const auto change = [&](int seconds) {
    return Object{{"QueueUrl", queue}, {"ReceiptHandle", handle}, {"VisibilityTimeout", seconds}};
  };
  ok("ChangeMessageVisibility", change(100));
  sim.run_for(99s);
  EXPECT_TRUE(receive(queue).empty());
  EXPECT_EQ(error("ChangeMessageVisibility", change(43200)),
            "InvalidParameterValueException: Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total "
            "VisibilityTimeout for the message is beyond the limit [43200 seconds]");
  ok("ChangeMessageVisibility", change(0));
  EXPECT_EQ(receive(queue).size(), 1u);
  EXPECT_THAT(error("ChangeMessageVisibility", change(10)),
              HasSubstr("Message does not exist or is not available for visibility timeout change."));
}

TEST_F(Service, RefusesReceiptHandlesItDidNotGive) {
  const std::string queue = create("q");
  const std::string other = create("other");
  send(other, "m");
  const std::string foreign = text(receive(other).at(0), "ReceiptHandle");
  for (const std::string& handle : {std::string("nonsense"), foreign}) {
    EXPECT_EQ(
        error("DeleteMessage", Object{{"QueueUrl", queue}, {"ReceiptHandle", handle}}),
        fmt::format("ReceiptHandleIsInvalid: The input receipt handle \"{}\" is not a valid receipt handle.", handle));
  }
}

TEST_F(Service, RefusesMessagesThatAwsRefuses) {
  const std::string queue = create("q", {{"MaximumMessageSize", "1024"}});
  const auto sending = [&](const std::string& more) {
    return error("SendMessage", document(R"({"QueueUrl": ")" + queue + R"(", )" + more + "}"));
  };
  EXPECT_EQ(sending(R"("MessageBody": "")"),
            "MissingRequiredParameterException: The request must contain the parameter MessageBody.");
  EXPECT_EQ(sending(R"("MessageBody": "a\u0000b")"),
            "InvalidMessageContents: Invalid binary character '#x0' was found in the message body, the set of allowed "
            "characters is #x9 | #xA | #xD | [#x20 to #xD7FF] | [#xE000 to #xFFFD] | [#x10000 to #x10FFFF]");
  EXPECT_EQ(sending(R"("MessageBody": "\uFFFE")").substr(0, 63),
            "InvalidMessageContents: Invalid binary character '#xFFFE' was f");
  EXPECT_EQ(
      sending(R"("MessageBody": "x", "DelaySeconds": 901)"),
      "InvalidParameterValueException: Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be "
      ">= 0 and <= 900.");
  EXPECT_EQ(
      sending(R"("MessageBody": ")" + std::string(1025, 'x') + '"'),
      "InvalidParameterValueException: One or more parameters are invalid. Reason: Message must be shorter than 1024 "
      "bytes.");
  const auto with = [&](const std::string& attribute) {
    return sending(R"("MessageBody": "x", "MessageAttributes": {)" + attribute + "}");
  };
  EXPECT_THAT(with(R"("a": {"DataType": "String", "StringValue": ""})"),
              HasSubstr("must contain a non-empty value of type 'String'"));
  EXPECT_THAT(with(R"("a": {"DataType": "Text", "StringValue": "x"})"),
              HasSubstr("supported type prefixes: Binary, Number, String"));
  EXPECT_THAT(with(R"("a": {"DataType": "Number", "StringValue": "x"})"), HasSubstr("Can't cast the value"));
  EXPECT_THAT(with(R"("a b": {"DataType": "String", "StringValue": "x"})"),
              HasSubstr("attributes name can only contain"));
  EXPECT_THAT(with(R"("aws.x": {"DataType": "String", "StringValue": "x"})"), HasSubstr("reserved for internal use"));
  std::string eleven;
  for (int i = 0; i < 11; ++i) {
    eleven += fmt::format(R"({}"a{}": {{"DataType": "String", "StringValue": "x"}})", i == 0 ? "" : ",", i);
  }
  EXPECT_EQ(with(eleven),
            "InvalidParameterValueException: Number of message attributes [11] exceeds the allowed maximum [10].");
  EXPECT_THAT(sending(R"("MessageBody": "x", "MessageDeduplicationId": "d")"),
              HasSubstr("The request include parameter that is not valid for this queue type."));
  EXPECT_TRUE(receive(queue).empty()) << "nothing of all that was accepted";
}

TEST_F(Service, KeepsTheMessageGroupOfAStandardQueue) {
  const std::string queue = create("q");
  send(queue, "m", {{"MessageGroupId", "tenant-1"}});
  EXPECT_EQ(attribute(receive(queue).at(0), "MessageGroupId"), "tenant-1");
}

TEST_F(Service, RefusesReceivesOutOfRange) {
  const std::string queue = create("q");
  EXPECT_EQ(error("ReceiveMessage", Object{{"QueueUrl", queue}, {"MaxNumberOfMessages", 11}}),
            "InvalidParameterValueException: Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be "
            "between 1 and 10, if provided.");
  EXPECT_EQ(
      error("ReceiveMessage", Object{{"QueueUrl", queue}, {"WaitTimeSeconds", 21}}),
      "InvalidParameterValueException: Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and "
      "<= 20, if provided.");
}

// --- batches --------------------------------------------------------------------------------------------------------

TEST_F(Service, SendsAndDeletesABatchAndSaysWhichEntriesFailed) {
  const std::string queue = create("q");
  const Value sent = ok("SendMessageBatch", document(R"({"QueueUrl": ")" + queue + R"(", "Entries": [
      {"Id": "a", "MessageBody": "one"}, {"Id": "b", "MessageBody": "bad", "DelaySeconds": 1000},
      {"Id": "c", "MessageBody": "two"}]})"));
  ASSERT_EQ(sent.find("Successful")->if_array()->size(), 2u);
  ASSERT_EQ(sent.find("Failed")->if_array()->size(), 1u);
  const Value& failed = sent.find("Failed")->if_array()->at(0);
  EXPECT_EQ(text(failed, "Id"), "b");
  EXPECT_EQ(text(failed, "Code"), "InvalidParameterValue");
  EXPECT_EQ(*failed.find("SenderFault"), Value(true));

  const auto messages = receive(queue);
  EXPECT_EQ(bodies(messages), (std::vector<std::string>{"one", "two"}));
  const Value removed =
      ok("DeleteMessageBatch",
         Object{{"QueueUrl", queue},
                {"Entries", Array{Object{{"Id", "x"}, {"ReceiptHandle", text(messages.at(0), "ReceiptHandle")}},
                                  Object{{"Id", "y"}, {"ReceiptHandle", "nonsense"}}}}});
  EXPECT_EQ(removed.find("Successful")->if_array()->size(), 1u);
  EXPECT_EQ(text(removed.find("Failed")->if_array()->at(0), "Code"), "ReceiptHandleIsInvalid");
  sim.run_for(30s);
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"two"});
}

TEST_F(Service, ChangesVisibilityInABatch) {
  const std::string queue = create("q");
  send(queue, "m");
  const std::string handle = text(receive(queue).at(0), "ReceiptHandle");
  const Value changed =
      ok("ChangeMessageVisibilityBatch",
         Object{{"QueueUrl", queue},
                {"Entries", Array{Object{{"Id", "x"}, {"ReceiptHandle", handle}, {"VisibilityTimeout", 0}},
                                  Object{{"Id", "y"}, {"ReceiptHandle", handle}, {"VisibilityTimeout", -1}}}}});
  EXPECT_EQ(changed.find("Successful")->if_array()->size(), 1u);
  EXPECT_EQ(changed.find("Failed")->if_array()->size(), 1u);
  EXPECT_EQ(receive(queue).size(), 1u);
}

TEST_F(Service, RefusesBatchesThatAwsRefuses) {
  const std::string queue = create("q");
  const auto batch = [&](const std::vector<std::string>& ids, std::size_t body_size = 1) {
    Array entries;
    for (const auto& id : ids) entries.push_back(Object{{"Id", id}, {"MessageBody", std::string(body_size, 'x')}});
    return error("SendMessageBatch", Object{{"QueueUrl", queue}, {"Entries", entries}});
  };
  EXPECT_EQ(batch({}), "EmptyBatchRequest: There should be at least one SendMessageBatchRequestEntry in the request.");
  EXPECT_EQ(batch({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}),
            "TooManyEntriesInBatchRequest: Maximum number of entries per request are 10. You have sent 11.");
  EXPECT_EQ(batch({"a", "b", "a"}), "BatchEntryIdsNotDistinct: Id a repeated.");
  EXPECT_EQ(
      batch({"a b"}),
      "InvalidBatchEntryId: A batch entry id can only contain alphanumeric characters, hyphens and underscores. It "
      "can be at most 80 letters long.");
  EXPECT_EQ(batch({"a", "b"}, 524289),
            "BatchRequestTooLong: Batch requests cannot be longer than 1048576 bytes. You have sent 1048578 bytes.");
}

// --- long polls -----------------------------------------------------------------------------------------------------

struct LongPoll : Service {
  struct Poll {
    std::optional<std::vector<Value>> messages;
    Duration ended{};
  };
  std::shared_ptr<Poll> poll(const std::string& queue, int seconds = 20) {
    auto poll = std::make_shared<Poll>();
    group.spawn("poll", [](LongPoll* test, std::string url, int wait, std::shared_ptr<Poll> result) -> Async<void> {
      auto answer = co_await test->calling(
          "ReceiveMessage", Object{{"QueueUrl", url}, {"WaitTimeSeconds", wait}, {"MaxNumberOfMessages", 10}});
      result->messages = answer ? messages_of(*answer) : std::vector<Value>{};
      result->ended = test->sim.elapsed();
    }(this, queue, seconds, poll));
    sim.settle();
    return poll;
  }
};

TEST_F(LongPoll, AnswersEmptyWhenItsTimeIsOver) {
  const std::string queue = create("q");
  auto waiting = poll(queue, 7);
  sim.run_for(7s - 1ns);
  EXPECT_FALSE(waiting->messages);
  EXPECT_EQ(sim.activity().count(), 0u) << "a parked poll is no activity";
  sim.run_for(1ns);
  ASSERT_TRUE(waiting->messages);
  EXPECT_TRUE(waiting->messages->empty());
}

TEST_F(LongPoll, AnswersAsSoonAsAMessageArrives) {
  const std::string queue = create("q");
  auto waiting = poll(queue);
  sim.run_for(3s);
  const Duration sent_at = sim.elapsed();
  send(queue, "m");
  sim.settle();
  ASSERT_TRUE(waiting->messages);
  EXPECT_EQ(bodies(*waiting->messages), std::vector<std::string>{"m"});
  EXPECT_EQ(waiting->ended, sent_at);
}

TEST_F(LongPoll, AnswersWhenADelayEnds) {
  const std::string queue = create("q");
  const Duration sent_at = sim.elapsed();
  send(queue, "m", {{"DelaySeconds", 4}});
  auto waiting = poll(queue);
  sim.run_for(10s);
  ASSERT_TRUE(waiting->messages);
  EXPECT_EQ(waiting->messages->size(), 1u);
  EXPECT_EQ(waiting->ended, sent_at + 4s);
}

TEST_F(LongPoll, AnswersWhenAVisibilityTimeoutEndsOrIsSetToZero) {
  const std::string queue = create("q", {{"VisibilityTimeout", "6"}});
  send(queue, "m");
  const Duration received_at = sim.elapsed();
  receive(queue);
  auto first = poll(queue);
  sim.run_for(6s);
  ASSERT_TRUE(first->messages);
  ASSERT_EQ(first->messages->size(), 1u);
  EXPECT_EQ(first->ended, received_at + 6s);

  auto second = poll(queue);
  ok("ChangeMessageVisibility", Object{{"QueueUrl", queue},
                                       {"VisibilityTimeout", 0},
                                       {"ReceiptHandle", text(first->messages->at(0), "ReceiptHandle")}});
  sim.settle();
  ASSERT_TRUE(second->messages);
  EXPECT_EQ(second->messages->size(), 1u);
}

TEST_F(LongPoll, GivesEachMessageToOnePoll) {
  const std::string queue = create("q");
  std::vector<std::shared_ptr<Poll>> polls;
  for (int i = 0; i < 5; ++i) polls.push_back(poll(queue));
  send(queue, "one");
  sim.run_for(1s);
  send(queue, "two");
  sim.run_for(20s);
  std::vector<std::string> got;
  for (const auto& one : polls) {
    ASSERT_TRUE(one->messages);
    for (const auto& body : bodies(*one->messages)) got.push_back(body);
  }
  EXPECT_THAT(got, testing::UnorderedElementsAre("one", "two"));
}

TEST_F(LongPoll, EndsWithAnErrorWhenTheQueueIsDeletedAndEmptyWhenTheServiceStops) {
  const std::string gone = create("gone");
  const std::string queue = create("q");
  std::optional<std::string> failure;
  group.spawn("poll", [](LongPoll* test, std::string url, std::optional<std::string>* result) -> Async<void> {
    auto answer = co_await test->calling("ReceiveMessage", Object{{"QueueUrl", url}, {"WaitTimeSeconds", 20}});
    *result = answer ? "no error" : answer.error().type;
  }(this, gone, &failure));
  auto waiting = poll(queue);
  ok("DeleteQueue", Object{{"QueueUrl", gone}});
  sim.settle();
  EXPECT_EQ(failure, "QueueDoesNotExist");
  sim.run(service->stop());
  sim.settle();
  ASSERT_TRUE(waiting->messages);
  EXPECT_TRUE(waiting->messages->empty());
  service.reset();
}

TEST_F(LongPoll, ACancelledPollTakesNoMessageWithIt) {
  const std::string queue = create("q");
  TaskGroup cancelled(sim.loop());
  cancelled.spawn("poll", [](LongPoll* test, std::string url) -> Async<void> {
    co_await test->calling("ReceiveMessage", Object{{"QueueUrl", url}, {"WaitTimeSeconds", 20}});
  }(this, queue));
  sim.settle();
  sim.run(cancelled.stop());
  send(queue, "m");
  EXPECT_EQ(receive(queue).size(), 1u);
}

TEST_F(LongPoll, APollCancelledAtAnyMomentLosesNoMessage) {
  const std::string dead = create("dead");
  const std::string policy = fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":1}})", arn("dead"));
  const std::string queue = create("q", {{"VisibilityTimeout", "5"}, {"RedrivePolicy", policy}});
  for (int turns = 0; turns < 40; ++turns) {
    const std::string body = fmt::format("m{}", turns);
    send(queue, body);
    if (turns % 2 == 1) receive(queue);  // half of them leave for the dead-letter queue when the poll comes
    TaskGroup cancelled(sim.loop());
    cancelled.spawn("poll", [](LongPoll* test, std::string url) -> Async<void> {
      co_await test->calling("ReceiveMessage", Object{{"QueueUrl", url}, {"WaitTimeSeconds", 20}});
    }(this, queue));
    if (turns % 2 == 1) sim.run_for(5s - 1ns);
    if (turns % 2 == 1) sim.clock().wake_next();
    for (int i = 0; i < turns; ++i) sim.loop().poll_one();
    sim.run(cancelled.stop());
    sim.run_for(5s);
    std::vector<std::string> found = bodies(receive(queue));
    sim.run_for(5s);
    receive(queue);
    const auto in_dead = receive(dead);
    for (const Value& message : in_dead) remove(dead, message);
    ASSERT_EQ(bodies(in_dead), std::vector<std::string>{body}) << "cancelled after " << turns << " turns";
  }
}

TEST_F(LongPoll, TakesItsDefaultFromTheQueue) {
  const std::string queue = create("q", {{"ReceiveMessageWaitTimeSeconds", "5"}});
  const Duration asked = sim.elapsed();
  ok("ReceiveMessage", Object{{"QueueUrl", queue}});
  EXPECT_EQ(sim.elapsed() - asked, 5s);
}

// --- redrive --------------------------------------------------------------------------------------------------------

std::string redrive(const std::string& arn, int count) {
  return fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":{}}})", arn, count);
}

TEST_F(Service, MovesAMessageToTheDeadLetterQueueOnTheReceiveThatWouldExceedTheMaximum) {
  const std::string dead = create("dead");
  const std::string queue = create("q", {{"VisibilityTimeout", "1"}, {"RedrivePolicy", redrive(arn("dead"), 2)}});
  const Value sent =
      send(queue, "m", {{"MessageAttributes", document(R"({"a": {"DataType": "String", "StringValue": "1"}})")}});
  const std::string sent_timestamp = std::to_string(to_epoch_ms(sim.wall()));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(receive(queue).size(), 1u);
    sim.run_for(1s);
  }
  EXPECT_TRUE(receive(dead).empty());
  EXPECT_TRUE(receive(queue).empty());
  const auto moved = receive(dead, {{"VisibilityTimeout", 0}});
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(text(moved[0], "MessageId"), text(sent, "MessageId"));
  EXPECT_EQ(attribute(moved[0], "ApproximateReceiveCount"), "3");
  EXPECT_EQ(attribute(moved[0], "SentTimestamp"), sent_timestamp);
  EXPECT_EQ(attribute(moved[0], "DeadLetterQueueSourceArn"), arn("q"));
  EXPECT_EQ(text(*moved[0].find("MessageAttributes")->find("a"), "StringValue"), "1");
  restart();
  EXPECT_EQ(attribute(receive(dead).at(0), "ApproximateReceiveCount"), "4");
  EXPECT_TRUE(receive(queue).empty());
}

TEST_F(Service, ListsTheSourcesOfADeadLetterQueue) {
  const std::string dead = create("dead");
  create("a", {{"RedrivePolicy", redrive(arn("dead"), 2)}});
  create("b", {{"RedrivePolicy", redrive(arn("dead"), 2)}});
  create("c");
  EXPECT_EQ(json::serialize(ok("ListDeadLetterSourceQueues", Object{{"QueueUrl", dead}})),
            fmt::format(R"({{"queueUrls":["{}","{}"]}})", url("a"), url("b")));
}

TEST_F(Service, ChecksRedrivePolicies) {
  create("dead", {{"RedriveAllowPolicy",
                   fmt::format(R"({{"redrivePermission":"byQueue","sourceQueueArns":["{}"]}})", arn("friend"))}});
  const auto creating = [&](const std::string& name, const std::string& policy) {
    return error("CreateQueue", Object{{"QueueName", name}, {"Attributes", Object{{"RedrivePolicy", policy}}}});
  };
  EXPECT_THAT(creating("q", "nonsense"), HasSubstr("Redrive policy is not a valid JSON map."));
  EXPECT_THAT(creating("q", redrive(arn("nowhere"), 1)), HasSubstr("Dead letter target does not exist."));
  EXPECT_THAT(creating("q", redrive(arn("dead"), 1001)),
              HasSubstr("Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive."));
  EXPECT_THAT(creating("q", redrive(arn("dead"), 1)), HasSubstr("redrive allow policy"));
  EXPECT_THAT(creating("friend", redrive(arn("dead"), 1)), HasSubstr("no error"));
}

// --- queues ---------------------------------------------------------------------------------------------------------

TEST_F(Service, CreatingAQueueAgainWithTheSameAttributesAnswersItsUrl) {
  create("q", {{"VisibilityTimeout", "10"}});
  EXPECT_EQ(create("q", {{"VisibilityTimeout", "10"}, {"DelaySeconds", "0"}}), url("q"));
  EXPECT_EQ(create("q"), url("q"));
  EXPECT_EQ(error("CreateQueue", Object{{"QueueName", "q"}, {"Attributes", Object{{"VisibilityTimeout", "11"}}}}),
            "QueueNameExists: A queue already exists with the same name and a different value for attribute "
            "VisibilityTimeout");
}

TEST_F(Service, RefusesQueuesThatAwsRefuses) {
  const auto creating = [&](const std::string& name, Object attributes) {
    return error("CreateQueue", Object{{"QueueName", name}, {"Attributes", std::move(attributes)}});
  };
  EXPECT_EQ(
      creating("a/b", {}),
      "InvalidParameterValueException: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in "
      "length");
  EXPECT_EQ(creating("q", {{"VisibilityTimeout", "43201"}}),
            "InvalidAttributeValue: Invalid value for the parameter VisibilityTimeout.");
  EXPECT_EQ(creating("q", {{"Nope", "1"}}), "InvalidAttributeName: Unknown Attribute Nope.");
  EXPECT_EQ(creating("q", {{"FifoQueue", "false"}}), "InvalidAttributeName: Unknown Attribute FifoQueue.");
}

TEST_F(Service, ShowsAndSetsAttributes) {
  const std::string queue = create("q");
  const Value all = ok("GetQueueAttributes", Object{{"QueueUrl", queue}, {"AttributeNames", Array{"All"}}});
  const std::string now = std::to_string(to_epoch_seconds(sim.wall()));
  const std::map<std::string, std::string> expected = {{"ApproximateNumberOfMessages", "0"},
                                                       {"ApproximateNumberOfMessagesDelayed", "0"},
                                                       {"ApproximateNumberOfMessagesNotVisible", "0"},
                                                       {"CreatedTimestamp", now},
                                                       {"DelaySeconds", "0"},
                                                       {"LastModifiedTimestamp", now},
                                                       {"MaximumMessageSize", "1048576"},
                                                       {"MessageRetentionPeriod", "345600"},
                                                       {"QueueArn", arn("q")},
                                                       {"ReceiveMessageWaitTimeSeconds", "0"},
                                                       {"SqsManagedSseEnabled", "true"},
                                                       {"VisibilityTimeout", "30"}};
  std::map<std::string, std::string> shown;
  for (const auto& [name, value] : *all.find("Attributes")->if_object()) shown[name] = *value.if_string();
  EXPECT_EQ(shown, expected);

  sim.run_for(10s);
  ok("SetQueueAttributes", Object{{"QueueUrl", queue}, {"Attributes", Object{{"VisibilityTimeout", "5"}}}});
  EXPECT_EQ(queue_attribute(queue, "VisibilityTimeout"), "5");
  EXPECT_EQ(queue_attribute(queue, "LastModifiedTimestamp"), std::to_string(to_epoch_seconds(sim.wall())));
  EXPECT_EQ(error("GetQueueAttributes", Object{{"QueueUrl", queue}, {"AttributeNames", Array{"Nope"}}}),
            "InvalidAttributeName: Unknown Attribute Nope.");
  EXPECT_EQ(json::serialize(ok("GetQueueAttributes", Object{{"QueueUrl", queue}})), "{}");
}

TEST_F(Service, FindsAQueueByUrlOnAnyHostAndByName) {
  create("q");
  send("https://sqs.eu-west-1.amazonaws.com/111122223333/q", "a");
  send("http://localhost:4566/queue/eu-west-1/111122223333/q", "b");
  EXPECT_EQ(receive(url("q")).size(), 2u);
  EXPECT_EQ(text(ok("GetQueueUrl", Object{{"QueueName", "q"}}), "QueueUrl"), url("q"));
  EXPECT_EQ(error("GetQueueUrl", Object{{"QueueName", "nope"}}),
            "QueueDoesNotExist: The specified queue does not exist.");
  EXPECT_EQ(error("SendMessage", Object{{"QueueUrl", "q"}, {"MessageBody", "x"}}),
            "InvalidAddress: The address q is not valid for this endpoint.");
}

TEST_F(Service, ListsQueuesByPrefixAndInPages) {
  for (const char* name : {"b1", "a1", "a3", "a2"}) create(name);
  const Value page = ok("ListQueues", Object{{"QueueNamePrefix", "a"}, {"MaxResults", 2}});
  EXPECT_EQ(json::serialize(*page.find("QueueUrls")), fmt::format(R"(["{}","{}"])", url("a1"), url("a2")));
  const Value rest =
      ok("ListQueues", Object{{"QueueNamePrefix", "a"}, {"MaxResults", 2}, {"NextToken", text(page, "NextToken")}});
  EXPECT_EQ(json::serialize(rest), fmt::format(R"({{"QueueUrls":["{}"]}})", url("a3")));
  EXPECT_EQ(json::serialize(ok("ListQueues", Object{{"QueueNamePrefix", "z"}})), "{}");
}

TEST_F(Service, ADeletedQueueIsGoneAndItsNameBlockedForSixtySeconds) {
  const std::string queue = create("q");
  send(queue, "m");
  ok("DeleteQueue", Object{{"QueueUrl", queue}});
  EXPECT_EQ(error("ReceiveMessage", Object{{"QueueUrl", queue}}),
            "QueueDoesNotExist: The specified queue does not exist.");
  sim.run_for(59s);
  restart();
  EXPECT_EQ(
      error("CreateQueue", Object{{"QueueName", "q"}}),
      "QueueDeletedRecently: You must wait 60 seconds after deleting a queue before you can create another with the "
      "same name.");
  sim.run_for(1s);
  create("q");
  EXPECT_TRUE(receive(queue).empty());
}

TEST_F(Service, PurgesOnceIn60Seconds) {
  const std::string queue = create("q");
  send(queue, "a");
  send(queue, "b");
  receive(queue, {{"MaxNumberOfMessages", 1}});
  ok("PurgeQueue", Object{{"QueueUrl", queue}});
  EXPECT_EQ(error("PurgeQueue", Object{{"QueueUrl", queue}}),
            "PurgeQueueInProgress: Only one PurgeQueue operation on q is allowed every 60 seconds.");
  send(queue, "after");
  restart();
  sim.run_for(60s);
  EXPECT_EQ(bodies(receive(queue)), std::vector<std::string>{"after"});
  ok("PurgeQueue", Object{{"QueueUrl", queue}});
}

TEST_F(Service, TagsAQueue) {
  const std::string queue = create("q");
  EXPECT_EQ(json::serialize(ok("ListQueueTags", Object{{"QueueUrl", queue}})), "{}");
  ok("TagQueue", document(R"({"QueueUrl": ")" + queue + R"(", "Tags": {"a": "1", "b": "2"}})"));
  ok("TagQueue", document(R"({"QueueUrl": ")" + queue + R"(", "Tags": {"b": "3"}})"));
  ok("UntagQueue", document(R"({"QueueUrl": ")" + queue + R"(", "TagKeys": ["a"]})"));
  restart();
  EXPECT_EQ(json::serialize(ok("ListQueueTags", Object{{"QueueUrl", queue}})), R"({"Tags":{"b":"3"}})");
}

TEST_F(Service, ExpiresMessagesAfterTheRetentionPeriod) {
  const std::string queue = create("q", {{"MessageRetentionPeriod", "60"}});
  send(queue, "m");
  sim.run_for(60s);
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessages"), "0");
  EXPECT_TRUE(receive(queue).empty());
}

// --- restart, targets, metrics, protocols ---------------------------------------------------------------------------

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
