// Operations on queues, their attributes and tags, dead-letter queues.

#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

using testing::HasSubstr;

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

// Recorded on AWS.
TEST_F(Service, ShowsOneKindOfEncryptionAtATime) {
  const std::string queue = create("q", {{"KmsMasterKeyId", "key"}, {"KmsDataKeyReusePeriodSeconds", "6000"}});
  const auto set = [&](Object attributes) {
    return Object{{"QueueUrl", queue}, {"Attributes", std::move(attributes)}};
  };
  EXPECT_EQ(queue_attribute(queue, "KmsMasterKeyId"), "key");
  EXPECT_EQ(queue_attribute(queue, "KmsDataKeyReusePeriodSeconds"), "6000");
  EXPECT_EQ(queue_attribute(queue, "SqsManagedSseEnabled"), "false");
  EXPECT_EQ(error("SetQueueAttributes", set({{"SqsManagedSseEnabled", "true"}})),
            "InvalidAttributeName: You can use one type of server-side encryption (SSE) at one time. You can either "
            "enable KMS SSE or SQS SSE.");
  ok("SetQueueAttributes", set({{"KmsMasterKeyId", ""}}));
  EXPECT_EQ(queue_attribute(queue, "SqsManagedSseEnabled"), "false");
  EXPECT_EQ(queue_attribute(queue, "KmsDataKeyReusePeriodSeconds"), "(absent)");
  ok("SetQueueAttributes", set({{"SqsManagedSseEnabled", "true"}}));
  EXPECT_EQ(queue_attribute(queue, "SqsManagedSseEnabled"), "true");
  ok("SetQueueAttributes", set({{"KmsMasterKeyId", "other"}}));
  EXPECT_EQ(queue_attribute(queue, "SqsManagedSseEnabled"), "false");
  EXPECT_EQ(error("SetQueueAttributes", set({{"KmsDataKeyReusePeriodSeconds", "59"}})),
            "InvalidAttributeValue: Invalid value for the parameter KmsDataKeyReusePeriodSeconds.");
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

}  // namespace
}  // namespace lambdad::sqs
