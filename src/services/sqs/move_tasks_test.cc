#include "base/encoding.h"
#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// Queues "q" and "p" with the dead-letter queue "dead".
struct MoveTask : Service {
  std::string dead;
  std::string queue;
  void SetUp() override {
    Service::SetUp();
    dead = create("dead");
    queue = create_source("q");
  }
  std::string create_source(const std::string& name) {
    return create(
        name, {{"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":1}})", arn("dead"))}});
  }
  /// Lets messages of `source` die.
  void kill(const std::string& source, int count) {
    for (int i = 0; i < count; ++i) send(source, fmt::format("m{}", i));
    for (int got = 0; got < count;) got += static_cast<int>(receive(source, {{"VisibilityTimeout", 0}}).size());
    EXPECT_THAT(receive(source), IsEmpty());
  }
  Object start(Object more = {}) {
    more.set("SourceArn", arn("dead"));
    return more;
  }
  Value task() {
    const Value listed = ok("ListMessageMoveTasks", Object{{"SourceArn", arn("dead")}});
    const Array& results = *listed.find("Results")->if_array();
    LD_CHECK(results.size() == 1, "{}", json::serialize(listed));
    return results[0];
  }
  static std::string number(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr ? "(absent)" : json::serialize(*found);
  }
};

TEST_F(MoveTask, MovesTheMessagesThatWereThereBackWhereTheyCameFrom) {
  const std::string other = create_source("p");
  kill(queue, 250);
  kill(other, 2);
  const std::string handle = text(ok("StartMessageMoveTask", start()), "TaskHandle");
  EXPECT_EQ(document(*base64_decode(handle)).find("sourceArn")->if_string()->substr(0, 8), "arn:aws:");
  sim.run_for(1s);
  const Value done = task();
  EXPECT_EQ(text(done, "Status"), "COMPLETED");
  EXPECT_EQ(number(done, "ApproximateNumberOfMessagesMoved"), "252");
  EXPECT_EQ(number(done, "ApproximateNumberOfMessagesToMove"), "252");
  EXPECT_EQ(text(done, "TaskHandle"), "(absent)");
  EXPECT_EQ(text(done, "DestinationArn"), "(absent)");
  EXPECT_EQ(queue_attribute(dead, "ApproximateNumberOfMessages"), "0");
  EXPECT_EQ(queue_attribute(queue, "ApproximateNumberOfMessages"), "250");
  const auto back = receive(other);
  EXPECT_THAT(bodies(back), UnorderedElementsAre("m0", "m1"));
  EXPECT_EQ(attribute(back[0], "ApproximateReceiveCount"), "1") << "they are new messages";
  EXPECT_EQ(attribute(back[0], "DeadLetterQueueSourceArn"), "(absent)");
}

TEST_F(MoveTask, KeepsItsRateOnVirtualTimeAndCanBeCancelled) {
  create("elsewhere");
  kill(queue, 10);
  const std::string handle = text(
      ok("StartMessageMoveTask", start({{"DestinationArn", arn("elsewhere")}, {"MaxNumberOfMessagesPerSecond", 1}})),
      "TaskHandle");
  const Value running = task();
  EXPECT_EQ(text(running, "Status"), "RUNNING");
  EXPECT_EQ(text(running, "TaskHandle"), handle);
  EXPECT_EQ(text(running, "DestinationArn"), arn("elsewhere"));
  EXPECT_EQ(number(running, "MaxNumberOfMessagesPerSecond"), "1");
  EXPECT_EQ(number(running, "ApproximateNumberOfMessagesMoved"), "0");
  EXPECT_EQ(error("StartMessageMoveTask", start()),
            "InvalidParameterValueException: There is already a task running. Only one active task is allowed for a "
            "source queue arn at a given time.");
  sim.run_for(3500ms);
  EXPECT_EQ(number(task(), "ApproximateNumberOfMessagesMoved"), "3");
  restart();  // goes on where it was
  sim.run_for(1s);
  EXPECT_EQ(number(task(), "ApproximateNumberOfMessagesMoved"), "4");
  EXPECT_EQ(number(ok("CancelMessageMoveTask", Object{{"TaskHandle", handle}}), "ApproximateNumberOfMessagesMoved"),
            "4");
  sim.run_for(10s);
  EXPECT_EQ(text(task(), "Status"), "CANCELLED");
  EXPECT_EQ(number(task(), "ApproximateNumberOfMessagesMoved"), "4");
  EXPECT_EQ(queue_attribute(dead, "ApproximateNumberOfMessages"), "6");
  EXPECT_EQ(error("CancelMessageMoveTask", Object{{"TaskHandle", handle}}),
            "ResourceNotFoundException: Task does not exist.");
}

TEST_F(MoveTask, LeavesMessagesInFlightAndThoseThatComeLater) {
  kill(queue, 3);
  ASSERT_EQ(receive(dead, {{"MaxNumberOfMessages", 1}, {"VisibilityTimeout", 600}}).size(), 1u);
  ok("StartMessageMoveTask", start({{"MaxNumberOfMessagesPerSecond", 1}}));
  kill(queue, 2);
  sim.run_for(30s);
  EXPECT_EQ(text(task(), "Status"), "COMPLETED");
  EXPECT_EQ(number(task(), "ApproximateNumberOfMessagesMoved"), "2");
  EXPECT_EQ(queue_attribute(dead, "ApproximateNumberOfMessages"), "2");
  EXPECT_EQ(queue_attribute(dead, "ApproximateNumberOfMessagesNotVisible"), "1");
}

TEST_F(MoveTask, FailsWhenADestinationIsGoneOrUnknown) {
  const std::string elsewhere = create("elsewhere");
  kill(queue, 4);
  ok("StartMessageMoveTask", start({{"DestinationArn", arn("elsewhere")}, {"MaxNumberOfMessagesPerSecond", 1}}));
  sim.run_for(1500ms);
  ok("DeleteQueue", Object{{"QueueUrl", elsewhere}});
  sim.run_for(10s);
  EXPECT_EQ(text(task(), "Status"), "FAILED");
  EXPECT_EQ(text(task(), "FailureReason"), "AWS.SimpleQueueService.NonExistentQueue");
  EXPECT_EQ(number(task(), "ApproximateNumberOfMessagesMoved"), "1");
  EXPECT_EQ(queue_attribute(dead, "ApproximateNumberOfMessages"), "3");

  ok("PurgeQueue", Object{{"QueueUrl", dead}});
  send(dead, "sent to the dead-letter queue itself");
  ok("StartMessageMoveTask", start());
  sim.run_for(1s);
  EXPECT_EQ(text(task(), "FailureReason"), "CouldNotDetermineMessageSource");
  EXPECT_EQ(receive(dead).size(), 1u);
}

TEST_F(MoveTask, ListsTheLastTenNewestFirst) {
  for (int i = 0; i < 12; ++i) {
    kill(queue, i);
    ok("StartMessageMoveTask", start());
    sim.run_for(1s);
    for (const Value& message : receive(queue)) remove(queue, message);
    for (const Value& message : receive(queue)) remove(queue, message);
  }
  restart();
  const Value listed = ok("ListMessageMoveTasks", Object{{"SourceArn", arn("dead")}, {"MaxResults", 10}});
  std::vector<std::string> moved;
  for (const Value& each : *listed.find("Results")->if_array()) {
    moved.push_back(number(each, "ApproximateNumberOfMessagesMoved"));
  }
  EXPECT_THAT(moved, ElementsAre("11", "10", "9", "8", "7", "6", "5", "4", "3", "2"));
}

TEST_F(MoveTask, MovesAGroupInItsOrder) {
  const std::string dead_fifo = create_fifo("dead.fifo");
  const std::string fifo = create_fifo(
      "q.fifo",
      {{"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":1}})", arn("dead.fifo"))}});
  for (int i = 0; i < 5; ++i) send_to_group(fifo, "g", fmt::format("m{}", i));
  ASSERT_EQ(receive(fifo, {{"VisibilityTimeout", 0}}).size(), 5u);
  EXPECT_THAT(receive(fifo), IsEmpty());
  ok("StartMessageMoveTask", Object{{"SourceArn", arn("dead.fifo")}, {"MaxNumberOfMessagesPerSecond", 20}});
  sim.run_for(1s);
  EXPECT_THAT(bodies(receive(fifo)), ElementsAre("m0", "m1", "m2", "m3", "m4"))
      << "moved within five minutes of their first sending, and not taken for repetitions";
}

TEST_F(MoveTask, RefusesWhatAwsRefuses) {
  EXPECT_EQ(error("StartMessageMoveTask", Object{{"SourceArn", arn("q")}}),
            "InvalidParameterValueException: Source queue must be configured as a Dead Letter Queue.");
  EXPECT_EQ(error("StartMessageMoveTask", Object{{"SourceArn", arn("nope")}}),
            "ResourceNotFoundException: The resource that you specified for the SourceArn parameter doesn't exist.");
  EXPECT_EQ(
      error("StartMessageMoveTask", start({{"DestinationArn", arn("nope")}})),
      "ResourceNotFoundException: The resource that you specified for the DestinationArn parameter doesn't exist.");
  EXPECT_EQ(error("StartMessageMoveTask", start({{"MaxNumberOfMessagesPerSecond", 501}})),
            "InvalidParameterValueException: Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: "
            "Must be between 1 and 500, if provided.");
  create_fifo("d.fifo");
  EXPECT_EQ(error("StartMessageMoveTask", start({{"DestinationArn", arn("d.fifo")}})).substr(0, 30),
            "InvalidParameterValueException");
  EXPECT_EQ(error("CancelMessageMoveTask", Object{{"TaskHandle", "foobared"}}),
            "InvalidParameterValueException: Value for parameter TaskHandle is invalid.");
  const auto handle = [](const std::string& source) {
    return base64_encode(json::serialize(Object{{"taskId", "t"}, {"sourceArn", source}}));
  };
  EXPECT_EQ(error("CancelMessageMoveTask", Object{{"TaskHandle", handle(arn("nope"))}}),
            "ResourceNotFoundException: The resource that you specified for the SourceArn parameter doesn't exist.");
  EXPECT_EQ(error("CancelMessageMoveTask", Object{{"TaskHandle", handle(arn("dead"))}}),
            "ResourceNotFoundException: Task does not exist.");
  EXPECT_EQ(error("ListMessageMoveTasks", Object{{"SourceArn", arn("dead")}, {"MaxResults", 11}}).substr(0, 30),
            "InvalidParameterValueException");
}

}  // namespace
}  // namespace lambdad::sqs
