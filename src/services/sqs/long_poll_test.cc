#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

struct LongPoll : Service {
  struct Poll {
    std::optional<std::vector<Value>> messages;
    Duration ended{};
  };
  std::shared_ptr<Poll> poll(const std::string& queue, int seconds = 20) {
    auto poll = std::make_shared<Poll>();
    tasks.spawn("poll", [](LongPoll* test, std::string url, int wait, std::shared_ptr<Poll> result) -> Async<void> {
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
  tasks.spawn("poll", [](LongPoll* test, std::string url, std::optional<std::string>* result) -> Async<void> {
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

}  // namespace
}  // namespace lambdad::sqs
