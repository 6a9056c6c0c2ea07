// FIFO queues through the operations.

#include "base/encoding.h"
#include "base/hash.h"
#include "services/sqs/service_test_support.h"
#include "system/fault.h"

namespace lambdad::sqs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

struct FifoService : Service {
  Object group(const std::string& name, Object more = {}) {
    more.set("MessageGroupId", name);
    return more;
  }
  std::string created_error(const std::string& name, Object attributes) {
    return error("CreateQueue", Object{{"QueueName", name}, {"Attributes", std::move(attributes)}});
  }
};

TEST_F(FifoService, IsCreatedByNameAndAttributeAndShowsItsDefaults) {
  const std::string queue = create("q.fifo", {{"FifoQueue", "true"}});
  const Value all = ok("GetQueueAttributes", Object{{"QueueUrl", queue}, {"AttributeNames", Array{"All"}}});
  EXPECT_EQ(attribute(all, "FifoQueue"), "true");
  EXPECT_EQ(attribute(all, "ContentBasedDeduplication"), "false");
  EXPECT_EQ(attribute(all, "DeduplicationScope"), "queue");
  EXPECT_EQ(attribute(all, "FifoThroughputLimit"), "perQueue");
  EXPECT_EQ(create("q.fifo", {{"FifoQueue", "true"}}), queue);

  EXPECT_THAT(created_error("q", {{"FifoQueue", "true"}}),
              HasSubstr("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                        "must end with .fifo suffix and be 1 to 80 in length."));
  EXPECT_THAT(created_error(".fifo", {{"FifoQueue", "true"}}), HasSubstr("must end with .fifo suffix"));
  EXPECT_THAT(created_error(std::string(76, 'q') + ".fifo", {{"FifoQueue", "true"}}), HasSubstr("1 to 80"));
  EXPECT_THAT(created_error("p.fifo", {}), HasSubstr("Can only include alphanumeric characters"));
  EXPECT_EQ(created_error("p.fifo", {{"FifoQueue", "false"}}).substr(0, 30), "InvalidParameterValueException");
  EXPECT_EQ(created_error("s", {{"DeduplicationScope", "queue"}}),
            "InvalidAttributeValue: You can specify the DeduplicationScope only when FifoQueue is set to true.");
  EXPECT_EQ(created_error("s", {{"ContentBasedDeduplication", "true"}}),
            "InvalidAttributeName: Unknown Attribute ContentBasedDeduplication.");
  EXPECT_EQ(created_error("p.fifo", {{"FifoQueue", "true"}, {"DeduplicationScope", "all"}}),
            "InvalidAttributeValue: Invalid value for the parameter DeduplicationScope.");
  EXPECT_EQ(created_error("p.fifo", {{"FifoQueue", "true"}, {"FifoThroughputLimit", "perMessageGroupId"}}),
            "InvalidAttributeValue: The perMessageGroupId value is allowed only when the value for DeduplicationScope "
            "is messageGroup.");
  const auto set = [&](const std::string& url, Object attributes) {
    return error("SetQueueAttributes", Object{{"QueueUrl", url}, {"Attributes", std::move(attributes)}});
  };
  EXPECT_EQ(set(queue, {{"FifoQueue", "false"}}),
            "InvalidAttributeValue: Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not "
            "supported.");
  ok("SetQueueAttributes", Object{{"QueueUrl", queue},
                                  {"Attributes", Object{{"FifoThroughputLimit", "perMessageGroupId"},
                                                        {"DeduplicationScope", "messageGroup"}}}});
  EXPECT_EQ(queue_attribute(queue, "FifoThroughputLimit"), "perMessageGroupId");
  EXPECT_THAT(set(queue, {{"DeduplicationScope", "queue"}}), HasSubstr("The perMessageGroupId value is allowed only"));
}

TEST_F(FifoService, KeepsTheOrderOfAGroupAndShowsItsAttributes) {
  const std::string queue = create_fifo("q.fifo");
  const Value first = send_to_group(queue, "g", "1", {{"MessageDeduplicationId", "d1"}});
  const Value second = send_to_group(queue, "g", "2");
  EXPECT_THAT(text(first, "SequenceNumber"), MatchesRegex("[1-9][0-9]{19}"));
  EXPECT_LT(text(first, "SequenceNumber"), text(second, "SequenceNumber"));
  const auto messages = receive(queue);
  ASSERT_THAT(bodies(messages), ElementsAre("1", "2"));
  EXPECT_EQ(attribute(messages[0], "MessageGroupId"), "g");
  EXPECT_EQ(attribute(messages[0], "MessageDeduplicationId"), "d1");
  EXPECT_EQ(attribute(messages[1], "MessageDeduplicationId"), hex_encode(sha256("2")));
  EXPECT_EQ(attribute(messages[0], "SequenceNumber"), text(first, "SequenceNumber"));
  send_to_group(queue, "g", "3");
  send_to_group(queue, "h", "other");
  EXPECT_THAT(bodies(receive(queue)), ElementsAre("other"));
  remove(queue, messages[0]);
  remove(queue, messages[1]);
  EXPECT_THAT(bodies(receive(queue)), ElementsAre("3"));
}

TEST_F(FifoService, RefusesWhatAFifoQueueRefuses) {
  const std::string queue = create("q.fifo", {{"FifoQueue", "true"}});
  const auto sending = [&](Object more) {
    more.set("QueueUrl", queue);
    more.set("MessageBody", "m");
    return error("SendMessage", more);
  };
  EXPECT_EQ(sending({{"MessageDeduplicationId", "d"}}),
            "MissingRequiredParameterException: The request must contain the parameter MessageGroupId.");
  EXPECT_EQ(sending(group("g")),
            "InvalidParameterValueException: The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly");
  EXPECT_EQ(
      sending(group("g", {{"MessageDeduplicationId", "d"}, {"DelaySeconds", 2}})),
      "InvalidParameterValueException: Value 2 for parameter DelaySeconds is invalid. Reason: The request include "
      "parameter that is not valid for this queue type.");
  EXPECT_EQ(
      sending(group("", {{"MessageDeduplicationId", "d"}})),
      "InvalidParameterValueException: Value  for parameter MessageGroupId is invalid. Reason: MessageGroupId can "
      "only include alphanumeric and punctuation characters. 1 to 128 in length.");
  EXPECT_EQ(sending(group("g", {{"MessageDeduplicationId", "a b"}})),
            "InvalidParameterValueException: Value a b for parameter MessageDeduplicationId is invalid. Reason: "
            "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.");
  send(queue, "m", group("g", {{"MessageDeduplicationId", "d"}, {"DelaySeconds", 0}}));
  EXPECT_EQ(error("ReceiveMessage", Object{{"QueueUrl", queue}, {"ReceiveRequestAttemptId", "a b"}}).substr(0, 30),
            "InvalidParameterValueException");
  // Recorded on AWS: a batch is refused as a whole.
  const auto batch = [&](Object second) {
    second.set("Id", "2");
    second.set("MessageBody", "m");
    Object first = group("g", {{"Id", "1"}, {"MessageBody", "m"}, {"MessageDeduplicationId", "d2"}});
    return error("SendMessageBatch", Object{{"QueueUrl", queue}, {"Entries", Array{first, second}}});
  };
  EXPECT_EQ(batch({{"MessageDeduplicationId", "d3"}}),
            "InvalidParameterValueException: The request must contain the parameter MessageGroupId.");
  EXPECT_THAT(batch(group("g")), HasSubstr("The queue should either have ContentBasedDeduplication enabled"));
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessages"), "1");
}

TEST_F(FifoService, AcceptsAMessageOnceInFiveMinutesWhateverBecameOfIt) {
  const std::string queue = create_fifo("q.fifo");
  const Value first = send_to_group(queue, "g", "m");
  remove(queue, receive(queue).at(0));
  sim.run_for(299s);
  const Value again = send_to_group(queue, "other-group", "m");
  EXPECT_EQ(text(again, "MessageId"), text(first, "MessageId"));
  EXPECT_EQ(text(again, "SequenceNumber"), text(first, "SequenceNumber"));
  EXPECT_THAT(receive(queue), IsEmpty());
  restart();
  EXPECT_EQ(text(send_to_group(queue, "g", "m"), "MessageId"), text(first, "MessageId"));
  sim.run_for(2s);
  EXPECT_NE(text(send_to_group(queue, "g", "m"), "MessageId"), text(first, "MessageId"));
  EXPECT_THAT(bodies(receive(queue)), ElementsAre("m"));
}

TEST_F(FifoService, DeduplicatesInsideABatchAndByGroupWhereTheScopeSaysSo) {
  const std::string queue =
      create_fifo("q.fifo", {{"DeduplicationScope", "messageGroup"}, {"FifoThroughputLimit", "perMessageGroupId"}});
  const auto entry = [&](const char* id, const char* in) -> Value {
    return Object{{"Id", id}, {"MessageBody", "m"}, {"MessageGroupId", in}};
  };
  const Value sent =
      ok("SendMessageBatch",
         Object{{"QueueUrl", queue}, {"Entries", Array{entry("1", "g"), entry("2", "h"), entry("3", "g")}}});
  const Array& successful = *sent.find("Successful")->if_array();
  ASSERT_EQ(successful.size(), 3u);
  EXPECT_EQ(text(successful[0], "MessageId"), text(successful[2], "MessageId"));
  EXPECT_EQ(text(successful[0], "SequenceNumber"), text(successful[2], "SequenceNumber"));
  EXPECT_NE(text(successful[0], "MessageId"), text(successful[1], "MessageId"));
  EXPECT_EQ(receive(queue).size(), 2u);
}

TEST_F(FifoService, ARepetitionOfWhatWasNotStoredIsNotAcknowledged) {
  const std::string queue = create_fifo("q.fifo");
  const auto sending = [&] {
    return calling("SendMessage", Object{{"QueueUrl", queue}, {"MessageBody", "m"}, {"MessageGroupId", "g"}});
  };
  {
    const fault::Armed failing("store.before_commit:1:fail");
    std::vector<aws::Outcome<Value>> outcomes;
    for (int i = 0; i < 2; ++i) {
      tasks.spawn("send", [](Async<aws::Outcome<Value>> task, std::vector<aws::Outcome<Value>>* out) -> Async<void> {
        out->push_back(co_await std::move(task));
      }(sending(), &outcomes));
    }
    sim.run(tasks.drain());
    ASSERT_EQ(outcomes.size(), 2u);
    // However the two fell into commits, what was acknowledged is there.
    const auto acknowledged = std::ranges::count_if(outcomes, [](const auto& outcome) { return outcome.has_value(); });
    EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessages"), acknowledged == 0 ? "0" : "1");
    EXPECT_LT(acknowledged, 2);
  }
  EXPECT_TRUE(sim.run(sending()));
  EXPECT_EQ(receive(queue).size(), 1u);
}

TEST_F(FifoService, AnAttemptGivesTheSameMessagesAndHandlesAgain) {
  const std::string queue = create_fifo("q.fifo", {{"VisibilityTimeout", "30"}});
  send_to_group(queue, "g", "1");
  send_to_group(queue, "g", "2");
  const Object attempt{{"ReceiveRequestAttemptId", "a1"}};
  const auto first = receive(queue, attempt);
  ASSERT_EQ(first.size(), 2u);
  sim.run_for(20s);
  EXPECT_EQ(receive(queue, attempt), first) << "also the receipt handles and counts";
  sim.run_for(20s);  // the timeout began anew
  restart();
  EXPECT_EQ(receive(queue, attempt), first) << "after a restart";
  EXPECT_THAT(receive(queue, {{"ReceiveRequestAttemptId", "a2"}}), IsEmpty());
  remove(queue, first[0]);
  EXPECT_THAT(receive(queue, attempt), IsEmpty()) << "one was deleted";
  sim.run_for(30s);
  EXPECT_THAT(bodies(receive(queue, attempt)), ElementsAre("2"));
}

TEST_F(FifoService, AHandleEndsWithItsVisibilityTimeout) {
  const std::string queue = create_fifo("q.fifo");
  send_to_group(queue, "g", "m");
  const Value message = receive(queue, {{"VisibilityTimeout", 10}}).at(0);
  const std::string handle = text(message, "ReceiptHandle");
  sim.run_for(10s);
  const Object input{{"QueueUrl", queue}, {"ReceiptHandle", handle}};
  EXPECT_EQ(error("DeleteMessage", input),
            fmt::format("InvalidParameterValueException: Value {} for parameter ReceiptHandle is invalid. Reason: The "
                        "receipt handle has expired.",
                        handle));
  Object change = input;
  change.set("VisibilityTimeout", 5);
  EXPECT_THAT(error("ChangeMessageVisibility", change),
              HasSubstr("Reason: Message does not exist or is not available for visibility timeout change."));
  const Value batch =
      ok("DeleteMessageBatch",
         Object{{"QueueUrl", queue}, {"Entries", Array{Object{{"Id", "1"}, {"ReceiptHandle", handle}}}}});
  EXPECT_EQ(batch.find("Failed")->if_array()->size(), 1u);
  const Value again = receive(queue).at(0);
  remove(queue, again);
  remove(queue, again);  // gone: deleting once more is no error
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessagesNotVisible"), "0");
}

TEST_F(FifoService, AChangedDelayHoldsForWaitingMessagesAlsoAfterARestart) {
  const std::string queue = create_fifo("q.fifo", {{"DelaySeconds", "100"}});
  send_to_group(queue, "g", "m");
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessagesDelayed"), "1");
  ok("SetQueueAttributes", Object{{"QueueUrl", queue}, {"Attributes", Object{{"DelaySeconds", "10"}}}});
  restart();
  sim.run_for(9s);
  EXPECT_THAT(receive(queue), IsEmpty());
  sim.run_for(1s);
  EXPECT_THAT(bodies(receive(queue)), ElementsAre("m"));
}

TEST_F(FifoService, ADeadLetterQueueIsOfTheSameTypeAndItsMessagesBeginANewLife) {
  create("standard");
  EXPECT_THAT(
      created_error("q.fifo", {{"FifoQueue", "true"},
                               {"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":1}})",
                                                             arn("standard"))}}),
      HasSubstr("Reason: Dead-letter queue must be same type of queue as the source."));
  const std::string dead = create_fifo("dead.fifo", {{"MessageRetentionPeriod", "100"}});
  const std::string queue = create_fifo(
      "q.fifo",
      {{"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":1}})", arn("dead.fifo"))}});
  const Value sent = send_to_group(queue, "g", "1");
  send_to_group(queue, "g", "2");
  EXPECT_THAT(bodies(receive(queue, {{"MaxNumberOfMessages", 1}, {"VisibilityTimeout", 90}})), ElementsAre("1"));
  sim.run_for(90s);
  EXPECT_THAT(bodies(receive(queue)), ElementsAre("2")) << "1 has made way";
  restart();
  sim.run_for(99s);
  const auto moved = receive(dead);
  ASSERT_THAT(bodies(moved), ElementsAre("1")) << "the retention period began with the move";
  EXPECT_EQ(text(moved[0], "MessageId"), text(sent, "MessageId"));
  EXPECT_EQ(attribute(moved[0], "ApproximateReceiveCount"), "2");
  EXPECT_EQ(attribute(moved[0], "MessageGroupId"), "g");
  EXPECT_EQ(attribute(moved[0], "DeadLetterQueueSourceArn"), arn("q.fifo"));
}

TEST_F(FifoService, LongPollsOfOneBlockedGroupWaitWithoutWakingEachOther) {
  const std::string queue = create_fifo("q.fifo");
  send_to_group(queue, "g", "1");
  send_to_group(queue, "g", "2");
  const Value first = receive(queue, {{"MaxNumberOfMessages", 1}}).at(0);
  std::vector<std::size_t> answers;
  for (int i = 0; i < 3; ++i) {
    tasks.spawn("poll", [](Async<aws::Outcome<Value>> task, std::vector<std::size_t>* out) -> Async<void> {
      const auto outcome = co_await std::move(task);
      out->push_back(outcome ? messages_of(*outcome).size() : 99);
    }(calling("ReceiveMessage", Object{{"QueueUrl", queue}, {"WaitTimeSeconds", 20}}), &answers));
  }
  sim.run_for(5s);  // a ping-pong of wake-ups would never let this moment pass
  EXPECT_THAT(answers, IsEmpty());
  remove(queue, first);
  sim.run_for(1s);
  EXPECT_THAT(answers, ElementsAre(1));
  sim.run_for(20s);
  EXPECT_THAT(answers, ElementsAre(1, 0, 0));
}

TEST_F(FifoService, TargetsGiveGroupAndDeduplicationId) {
  const std::string queue = create_fifo("q.fifo");
  const auto target = *Arn::parse(arn("q.fifo"));
  const auto deliver = [&](std::string group, std::string id) {
    ports::TargetMessage message{.body = "m", .attributes = {}, .trace_header = {}};
    message.group_id = std::move(group);
    message.deduplication_id = std::move(id);
    return sim.run(service->target().deliver(target, std::move(message)));
  };
  EXPECT_EQ(deliver("", "").error().code, Errc::kInvalid);
  EXPECT_TRUE(deliver("g", "1"));
  EXPECT_TRUE(deliver("g", "1"));
  EXPECT_TRUE(deliver("g", "2"));
  EXPECT_EQ(receive(queue).size(), 2u);
}

}  // namespace
}  // namespace lambdad::sqs
