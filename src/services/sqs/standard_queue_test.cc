#include "services/sqs/standard_queue.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/sqs/test_support.h"

namespace lambdad::sqs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Counts = Queue::Counts;

std::vector<RowId> rows(const Queue::Taken& taken) {
  std::vector<RowId> result;
  for (const auto& received : taken.received) result.push_back(received.message.row);
  return result;
}
std::vector<RowId> leaving(const Queue::Taken& taken) {
  std::vector<RowId> result;
  for (const auto& message : taken.leaving) result.push_back(message.row);
  return result;
}
Queue::TakeOptions one(Duration visibility = 30s) { return {.messages_max = 1, .visibility_timeout = visibility}; }
Queue::TakeOptions ten(Duration visibility = 30s) { return {.messages_max = 10, .visibility_timeout = visibility}; }

struct Standard : testing::Test {
  StandardQueue queue{345600s};
};

TEST_F(Standard, IsReceivedInTheOrderOfSending) {
  for (RowId row = 1; row <= 3; ++row) queue.add(test_message(row, at(0s)), at(0s));
  EXPECT_THAT(rows(queue.take(at(1s), ten())), ElementsAre(1, 2, 3));
}

TEST_F(Standard, GivesNoMoreThanAskedFor) {
  for (RowId row = 1; row <= 3; ++row) queue.add(test_message(row, at(0s)), at(0s));
  EXPECT_THAT(rows(queue.take(at(0s), one())), ElementsAre(1));
  EXPECT_THAT(rows(queue.take(at(0s), one())), ElementsAre(2));
}

TEST_F(Standard, HidesAReceivedMessageUntilItsVisibilityTimeoutEnds) {
  queue.add(test_message(1, at(0s)), at(0s));
  EXPECT_THAT(rows(queue.take(at(0s), one(30s))), ElementsAre(1));
  EXPECT_EQ(queue.next_transition(), at(30s));
  EXPECT_THAT(rows(queue.take(at(30s) - 1ns, one())), IsEmpty());
  EXPECT_THAT(rows(queue.take(at(30s), one())), ElementsAre(1));
}

TEST_F(Standard, ReturnsAMessageReceivedWithTimeoutZeroAtOnceButOnlyOncePerReceive) {
  queue.add(test_message(1, at(0s)), at(0s));
  EXPECT_THAT(rows(queue.take(at(5s), ten(0s))), ElementsAre(1));
  EXPECT_THAT(rows(queue.take(at(5s), ten(0s))), ElementsAre(1));
}

TEST_F(Standard, CountsReceivesAndKeepsTheTimeOfTheFirst) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(1s), one(10s));
  const auto taken = queue.take(at(20s), one(10s));
  ASSERT_THAT(rows(taken), ElementsAre(1));
  EXPECT_EQ(taken.received[0].message.receive_count, 2u);
  EXPECT_EQ(taken.received[0].message.first_received_at, at(1s));
  EXPECT_EQ(taken.received[0].message.received_at, at(20s));
}

TEST_F(Standard, ReturningMessagesQueueUpBehindThoseAvailableLonger) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(30s));
  queue.add(test_message(2, at(10s)), at(10s));
  EXPECT_THAT(rows(queue.take(at(31s), ten())), ElementsAre(2, 1));
}

TEST_F(Standard, DelaysAMessage) {
  queue.add(test_message(1, at(0s), 5s), at(0s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 0, .delayed = 1, .in_flight = 0}));
  EXPECT_THAT(rows(queue.take(at(5s) - 1ns, one())), IsEmpty());
  EXPECT_THAT(rows(queue.take(at(5s), one())), ElementsAre(1));
}

TEST_F(Standard, CountsVisibleDelayedAndInFlight) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.add(test_message(2, at(0s)), at(0s));
  queue.add(test_message(3, at(0s), 60s), at(0s));
  queue.take(at(0s), one(30s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 1, .delayed = 1, .in_flight = 1}));
  queue.advance(at(30s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 2, .delayed = 1, .in_flight = 0}));
  queue.advance(at(60s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 3, .delayed = 0, .in_flight = 0}));
}

TEST_F(Standard, MayRemoveWithTheLastHandleOnly) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(10s));
  EXPECT_TRUE(queue.may_remove(1, 1));
  queue.advance(at(11s));
  EXPECT_TRUE(queue.may_remove(1, 1)) << "its timeout has ended, but nobody received it since";
  queue.take(at(11s), one(10s));
  EXPECT_FALSE(queue.may_remove(1, 1));
  EXPECT_TRUE(queue.may_remove(1, 2));
  EXPECT_FALSE(queue.may_remove(7, 1));
}

TEST_F(Standard, ForgetsARemovedMessageInEveryState) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.add(test_message(2, at(0s)), at(0s));
  queue.add(test_message(3, at(0s), 5s), at(0s));
  queue.take(at(0s), one(10s));
  EXPECT_TRUE(queue.remove(1));
  EXPECT_TRUE(queue.remove(2));
  EXPECT_TRUE(queue.remove(3));
  EXPECT_FALSE(queue.remove(3));
  EXPECT_EQ(queue.counts(), Counts{});
  EXPECT_EQ(queue.next_transition(), std::nullopt);
  EXPECT_THAT(rows(queue.take(at(100s), ten())), IsEmpty());
}

TEST_F(Standard, ChangeVisibilityExtendsAndEndsATimeout) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(10s));
  EXPECT_TRUE(queue.change_visibility(1, 1, at(100s), at(5s)));
  EXPECT_THAT(rows(queue.take(at(99s), one())), IsEmpty());
  EXPECT_TRUE(queue.change_visibility(1, 1, at(99s), at(99s)));
  EXPECT_THAT(rows(queue.take(at(99s), one())), ElementsAre(1));
}

TEST_F(Standard, ChangeVisibilityStillHidesAMessageWhoseTimeoutHasEnded) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(10s));
  EXPECT_TRUE(queue.change_visibility(1, 1, at(50s), at(20s)));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 0, .delayed = 0, .in_flight = 1}));
  EXPECT_THAT(rows(queue.take(at(49s), one())), IsEmpty());
}

TEST_F(Standard, ChangeVisibilityRefusesAnOldHandle) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(10s));
  queue.take(at(10s), one(10s));
  EXPECT_FALSE(queue.change_visibility(1, 1, at(50s), at(11s)));
  EXPECT_FALSE(queue.change_visibility(9, 1, at(50s), at(11s)));
  EXPECT_TRUE(queue.change_visibility(1, 2, at(50s), at(11s)));
}

TEST_F(Standard, LetsAMessageLeaveOnTheReceiveThatWouldExceedTheMaximum) {
  queue.add(test_message(1, at(0s)), at(0s));
  auto options = one(10s);
  options.max_receive_count = 2;
  EXPECT_THAT(rows(queue.take(at(0s), options)), ElementsAre(1));
  EXPECT_THAT(rows(queue.take(at(10s), options)), ElementsAre(1));
  const auto taken = queue.take(at(20s), options);
  EXPECT_THAT(rows(taken), IsEmpty());
  EXPECT_THAT(leaving(taken), ElementsAre(1));
  EXPECT_EQ(taken.leaving[0].receive_count, 2u);
  EXPECT_THAT(leaving(queue.take(at(20s), options)), IsEmpty()) << "it leaves once";
  EXPECT_TRUE(queue.finish_leaving(1));
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(Standard, ReceivesTheMessagesBehindOneThatLeaves) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(0s));
  queue.add(test_message(2, at(1s)), at(1s));
  auto options = ten();
  options.max_receive_count = 1;
  const auto taken = queue.take(at(2s), options);
  EXPECT_THAT(rows(taken), ElementsAre(2));
  EXPECT_THAT(leaving(taken), ElementsAre(1));
}

TEST_F(Standard, BoundsTheMessagesThatLeaveInOneStep) {
  for (RowId row = 1; row <= 5; ++row) queue.add(test_message(row, at(0s)), at(0s));
  queue.take(at(0s), ten(0s));
  auto options = ten();
  options.max_receive_count = 1;
  options.leaving_max = 3;
  EXPECT_THAT(leaving(queue.take(at(1s), options)), ElementsAre(1, 2, 3));
  EXPECT_THAT(leaving(queue.take(at(1s), options)), ElementsAre(4, 5));
}

TEST_F(Standard, UndoMakesAReceiveNotHappen) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.add(test_message(2, at(0s)), at(0s));
  queue.undo(queue.take(at(1s), one(30s)));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 2, .delayed = 0, .in_flight = 0}));
  const auto taken = queue.take(at(2s), one());
  ASSERT_THAT(rows(taken), ElementsAre(1)) << "it keeps its place";
  EXPECT_EQ(taken.received[0].message.receive_count, 1u);
  EXPECT_EQ(taken.received[0].message.first_received_at, at(2s));
}

TEST_F(Standard, UndoGivesBackWhatWasLeaving) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.take(at(0s), one(0s));
  auto options = one();
  options.max_receive_count = 1;
  const auto taken = queue.take(at(1s), options);
  ASSERT_THAT(leaving(taken), ElementsAre(1));
  queue.undo(taken);
  EXPECT_THAT(leaving(queue.take(at(1s), options)), ElementsAre(1));
}

TEST_F(Standard, UndoLeavesAloneWhatWasRemovedMeanwhile) {
  queue.add(test_message(1, at(0s)), at(0s));
  const auto taken = queue.take(at(1s), one());
  queue.remove(1);
  queue.undo(taken);
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(Standard, ExpiresMessagesOfEveryStateAfterTheRetentionPeriod) {
  queue.set_retention(60s);
  queue.add(test_message(1, at(0s)), at(0s));
  queue.add(test_message(2, at(0s)), at(0s));
  queue.add(test_message(3, at(0s), 900s), at(0s));
  queue.add(test_message(4, at(1s)), at(1s));
  queue.take(at(1s), one(500s));
  queue.advance(at(60s) - 1ns);
  EXPECT_THAT(queue.take_expired(), IsEmpty());
  queue.advance(at(60s));
  EXPECT_THAT(queue.take_expired(), ElementsAre(1, 2, 3));
  EXPECT_THAT(rows(queue.take(at(60s), ten())), ElementsAre(4));
}

TEST_F(Standard, AppliesAChangedRetentionToMessagesItHas) {
  queue.add(test_message(1, at(0s)), at(0s));
  queue.set_retention(60s);
  EXPECT_THAT(rows(queue.take(at(61s), one())), IsEmpty());
  EXPECT_THAT(queue.take_expired(), ElementsAre(1));
}

TEST_F(Standard, PurgeRemovesWhatWasSentBefore) {
  for (RowId row = 1; row <= 4; ++row) queue.add(test_message(row, at(0s)), at(0s));
  queue.take(at(0s), one());
  EXPECT_THAT(queue.remove_below(4), testing::UnorderedElementsAre(1, 2, 3));
  EXPECT_THAT(rows(queue.take(at(0s), ten())), ElementsAre(4));
}

TEST_F(Standard, TakesUpMessagesOfAnEarlierRunInTheStateTheyHad) {
  auto hidden = test_message(1, at(0s));
  hidden.receive_count = 3;
  hidden.first_received_at = at(1s);
  hidden.received_at = at(10s);
  hidden.available_at = at(40s);
  queue.add(hidden, at(20s));
  queue.add(test_message(2, at(0s), 60s), at(20s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 0, .delayed = 1, .in_flight = 1}));
  const auto taken = queue.take(at(40s), one());
  ASSERT_THAT(rows(taken), ElementsAre(1));
  EXPECT_EQ(taken.received[0].message.receive_count, 4u);
}

// --- fair queues ----------------------------------------------------------------------------------------------------

QueuedMessage in_group(RowId row, const std::string& group, WallTime sent_at) {
  QueuedMessage message = test_message(row, sent_at);
  auto content = std::make_shared<MessageContent>(message.content->moved(sent_at));
  content->extras = std::make_unique<MessageContent::Extras>(
      MessageContent::Extras{.attributes = {}, .trace_header = {}, .group_id = group, .deduplication_id = {}});
  message.content = std::move(content);
  return message;
}

TEST_F(Standard, ServesTheGroupWithTheFewestMessagesInFlightFirst) {
  for (RowId row = 1; row <= 20; ++row) queue.add(in_group(row, "noisy", at(0s)), at(0s));
  EXPECT_EQ(queue.take(at(0s), ten()).received.size(), 10u);
  queue.add(in_group(21, "quiet", at(1s)), at(1s));
  queue.add(in_group(22, "quiet", at(1s)), at(1s));
  EXPECT_THAT(rows(queue.take(at(1s), one())), ElementsAre(21));
  EXPECT_THAT(rows(queue.take(at(1s), one())), ElementsAre(22));
  EXPECT_THAT(rows(queue.take(at(1s), one())), ElementsAre(11)) << "nobody else waits";
  for (RowId row = 1; row <= 11; ++row) queue.remove(row);
  queue.add(in_group(23, "quiet", at(2s)), at(2s));
  EXPECT_THAT(rows(queue.take(at(2s), one())), ElementsAre(12)) << "quiet has two in flight, noisy none";
}

TEST_F(Standard, MessagesWithoutAGroupAreNotPutBehind) {
  queue.add(in_group(1, "g", at(0s)), at(0s));
  queue.add(in_group(2, "g", at(0s)), at(0s));
  queue.add(test_message(3, at(1s)), at(1s));
  EXPECT_THAT(rows(queue.take(at(1s), ten())), ElementsAre(1, 3, 2));
}

TEST_F(Standard, GroupsForgetWhatReturnsAndGoWithTheirLastMessage) {
  queue.add(in_group(1, "g", at(0s)), at(0s));
  queue.add(in_group(2, "g", at(0s)), at(0s));
  queue.add(in_group(3, "h", at(1s)), at(1s));
  EXPECT_THAT(rows(queue.take(at(1s), one(30s))), ElementsAre(1));
  queue.undo(queue.take(at(1s), ten()));
  EXPECT_THAT(rows(queue.take(at(31s), ten())), ElementsAre(2, 3, 1)) << "1 is in flight no longer";
  for (RowId row = 1; row <= 3; ++row) queue.remove(row);
  EXPECT_EQ(queue.groups(), 0u);
}

// --- against a naive model ------------------------------------------------------------------------------------------

/// The same rules written as scans over one list.
struct Model {
  struct Message {
    RowId row;
    WallTime sent_at;
    WallTime available_at;
    std::uint32_t count = 0;
    bool received = false;
  };
  Duration retention;
  std::vector<Message> messages;

  void expire(WallTime now) {
    std::erase_if(messages, [&](const Message& m) { return m.sent_at + retention <= now; });
  }
  Message* find(RowId row) {
    auto it = std::find_if(messages.begin(), messages.end(), [&](const Message& m) { return m.row == row; });
    return it == messages.end() ? nullptr : &*it;
  }
  std::pair<std::vector<RowId>, std::vector<RowId>> take(WallTime now, int max, Duration visibility,
                                                         std::uint32_t receives_max) {
    expire(now);
    std::pair<std::vector<RowId>, std::vector<RowId>> result;
    std::vector<Message*> ready;
    for (Message& m : messages) {
      if (m.available_at <= now) ready.push_back(&m);
    }
    std::sort(ready.begin(), ready.end(), [](const Message* a, const Message* b) {
      return std::tie(a->available_at, a->row) < std::tie(b->available_at, b->row);
    });
    for (Message* m : ready) {
      if (std::ssize(result.first) == max) break;
      if (m->count >= receives_max) {
        result.second.push_back(m->row);
        continue;
      }
      ++m->count;
      m->received = true;
      m->available_at = now + visibility;
      result.first.push_back(m->row);
    }
    for (RowId row : result.second) std::erase_if(messages, [&](const Message& m) { return m.row == row; });
    return result;
  }
  Counts counts(WallTime now) const {
    Counts counts;
    for (const Message& m : messages) {
      ++(m.available_at <= now ? counts.visible : m.received ? counts.in_flight : counts.delayed);
    }
    return counts;
  }
};

void run_against_model(std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  Model model{.retention = 600s, .messages = {}};
  StandardQueue queue(600s);
  WallTime now = at(0s);
  RowId next = 1;
  for (int step = 0; step < 3000; ++step) {
    now += std::chrono::milliseconds(below(4) == 0 ? below(20000) : below(200));
    const auto pick = [&]() -> RowId { return 1 + static_cast<RowId>(below(static_cast<std::uint64_t>(next))); };
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {
        const Duration delay = below(3) == 0 ? std::chrono::seconds(below(60)) : 0s;
        model.expire(now);
        model.messages.push_back({next, now, now + delay});
        queue.add(test_message(next, now, delay), now);
        ++next;
        break;
      }
      case 3:
      case 4: {
        const int max = 1 + static_cast<int>(below(10));
        const Duration visibility = std::chrono::seconds(below(40));
        const auto receives_max = static_cast<std::uint32_t>(1 + below(4));
        const auto expected = model.take(now, max, visibility, receives_max);
        const auto taken = queue.take(now, {.messages_max = max,
                                            .visibility_timeout = visibility,
                                            .max_receive_count = receives_max,
                                            .leaving_max = 1000000});
        ASSERT_EQ(rows(taken), expected.first) << "step " << step;
        ASSERT_EQ(leaving(taken), expected.second) << "step " << step;
        for (RowId row : leaving(taken)) ASSERT_TRUE(queue.finish_leaving(row));
        break;
      }
      case 5: {
        // A receive whose commit failed.
        queue.advance(now);
        model.expire(now);
        queue.undo(queue.take(now, {.messages_max = 5, .visibility_timeout = 10s, .max_receive_count = 2}));
        break;
      }
      case 6: {
        const RowId row = pick();
        model.expire(now);
        queue.advance(now);
        const bool existed = model.find(row) != nullptr;
        std::erase_if(model.messages, [&](const auto& m) { return m.row == row; });
        ASSERT_EQ(queue.remove(row), existed) << "step " << step;
        break;
      }
      case 7: {
        const RowId row = pick();
        model.expire(now);
        const auto generation = static_cast<std::uint32_t>(1 + below(3));
        const Duration visibility = below(3) == 0 ? 0s : Duration(std::chrono::seconds(below(60)));
        Model::Message* message = model.find(row);
        const bool found = message != nullptr && message->count == generation;
        if (found) message->available_at = now + visibility;
        ASSERT_EQ(queue.change_visibility(row, generation, now + visibility, now), found) << "step " << step;
        break;
      }
    }
    queue.advance(now);
    model.expire(now);
    ASSERT_EQ(queue.counts(), model.counts(now)) << "step " << step;
    ASSERT_EQ(queue.size(), model.messages.size());
  }
}

TEST(StandardQueueModel, BehavesAsTheNaiveModelDoes) {
  const char* chosen = std::getenv("LAMBDAD_SEED");
  if (chosen != nullptr) return run_against_model(std::strtoull(chosen, nullptr, 10));
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    run_against_model(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace lambdad::sqs
