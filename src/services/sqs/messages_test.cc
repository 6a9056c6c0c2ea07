// Sending, receiving, deleting, changing visibility: single messages and batches.

#include "base/encoding.h"
#include "base/hash.h"
#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

using testing::HasSubstr;

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

// Recorded on AWS, digests included.
TEST_F(Service, SelectsUserAttributesByNameAndPrefix) {
  const std::string queue = create("q");
  const auto text_value = [](const char* value) -> Value {
    return Object{{"DataType", "String"}, {"StringValue", value}};
  };
  send(queue, "msg",
       {{"MessageAttributes",
         Object{{"Help.Me", text_value("Me")}, {"Hello", text_value("There")}, {"General", text_value("Kenobi")}}}});
  const auto digest = [&](Array names) {
    return text(receive(queue, {{"MessageAttributeNames", std::move(names)}, {"VisibilityTimeout", 0}}).at(0),
                "MD5OfMessageAttributes");
  };
  EXPECT_EQ(digest({}), "(absent)");
  for (const char* all : {"All", "*", ".*"}) EXPECT_EQ(digest({all}), "4c360f3fdafd970e05fae2f149d997f5") << all;
  EXPECT_EQ(digest({"Foo", "Help"}), "(absent)");
  EXPECT_EQ(digest({"Hello", "General"}), "fca026605781cb4126a1e9044df24232");
  EXPECT_EQ(digest({"Hello", "Foo"}), "a311262e065454b75da111d535b8dacd");
  EXPECT_EQ(digest({"Hel.*"}), "83fee93c1bcd8b9a5a923ffacdc636c7");
  EXPECT_EQ(digest({"AWS."}), "(absent)");
  EXPECT_EQ(digest({".."}), "(absent)");
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

}  // namespace
}  // namespace lambdad::sqs
