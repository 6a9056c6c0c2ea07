#include "services/sqs/fifo_queue.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/sqs/test_support.h"
#include "system/test_seed.h"

namespace lambdad::sqs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Counts = Queue::Counts;

QueuedMessage in_group(RowId row, const std::string& group, WallTime sent_at) {
  auto content = std::make_shared<MessageContent>();
  content->sent_at = sent_at;
  content->body = "m";
  content->extras = std::make_unique<MessageContent::Extras>(MessageContent::Extras{
      .attributes = {}, .trace_header = {}, .group_id = group, .deduplication_id = std::to_string(row)});
  return {.row = row, .content = std::move(content), .available_at = sent_at};
}
std::vector<RowId> rows(const Queue::Taken& taken) {
  std::vector<RowId> result;
  for (const auto& received : taken.received) result.push_back(received.message.row);
  return result;
}
std::vector<RowId> rows(const std::vector<QueuedMessage>& messages) {
  std::vector<RowId> result;
  for (const auto& message : messages) result.push_back(message.row);
  return result;
}
Queue::TakeOptions up_to(int max, Duration visibility = 30s) {
  return {.messages_max = max, .visibility_timeout = visibility};
}

struct Fifo : testing::Test {
  FifoQueue queue{345600s, 0s};
  void add(RowId row, const std::string& group, WallTime now) { queue.add(in_group(row, group, now), now); }
};

TEST_F(Fifo, AGroupIsReceivedInTheOrderOfSendingAndBlockedMeanwhile) {
  for (RowId row = 1; row <= 3; ++row) add(row, "g", at(0s));
  EXPECT_THAT(rows(queue.take(at(0s), up_to(2))), ElementsAre(1, 2));
  EXPECT_THAT(rows(queue.take(at(1s), up_to(10))), IsEmpty());
  ASSERT_TRUE(queue.remove(1));
  EXPECT_THAT(rows(queue.take(at(2s), up_to(10))), IsEmpty()) << "2 is still in flight";
  ASSERT_TRUE(queue.remove(2));
  EXPECT_THAT(rows(queue.take(at(3s), up_to(10))), ElementsAre(3));
}

TEST_F(Fifo, OtherGroupsAreNotBlocked) {
  add(1, "a", at(0s));
  add(2, "a", at(0s));
  add(3, "b", at(0s));
  EXPECT_THAT(rows(queue.take(at(0s), up_to(1))), ElementsAre(1));
  EXPECT_EQ(queue.receivable(), 1u);
  EXPECT_THAT(rows(queue.take(at(0s), up_to(10))), ElementsAre(3));
  EXPECT_EQ(queue.receivable(), 0u);
}

TEST_F(Fifo, AReceiveTakesAllItMayOfOneGroupFirst) {
  add(1, "a", at(0s));
  add(2, "b", at(0s));
  add(3, "a", at(0s));
  add(4, "b", at(0s));
  EXPECT_THAT(rows(queue.take(at(0s), up_to(3))), ElementsAre(1, 3, 2));
}

// Recorded on AWS: three messages received together, the timeout of one extended, those of the others end.
TEST_F(Fifo, AHiddenMessageBlocksWhatComesAfterItAndNothingBefore) {
  const std::vector<std::vector<RowId>> expected{{}, {1}, {1, 2}};
  for (RowId extended = 1; extended <= 3; ++extended) {
    FifoQueue one{345600s, 0s};
    for (RowId row = 1; row <= 3; ++row) one.add(in_group(row, "g", at(0s)), at(0s));
    ASSERT_EQ(one.take(at(0s), up_to(3)).received.size(), 3u);
    ASSERT_TRUE(one.change_visibility(extended, 1, at(100s), at(1s)));
    EXPECT_EQ(rows(one.take(at(31s), up_to(10))), expected[static_cast<std::size_t>(extended - 1)]) << extended;
  }
}

TEST_F(Fifo, DelaysByQueueAndAChangeHoldsForWaitingMessages) {
  queue.set_delay(60s, at(0s));
  add(1, "g", at(0s));
  EXPECT_EQ(queue.counts(), (Counts{.visible = 0, .delayed = 1, .in_flight = 0}));
  EXPECT_EQ(queue.next_transition(), at(60s));
  queue.set_delay(10s, at(5s));
  EXPECT_THAT(rows(queue.take(at(9s), up_to(1))), IsEmpty());
  EXPECT_THAT(rows(queue.take(at(10s), up_to(1))), ElementsAre(1));
  queue.set_delay(900s, at(11s));
  EXPECT_THAT(rows(queue.take(at(40s), up_to(1))), ElementsAre(1)) << "received before: the delay is over";
}

TEST_F(Fifo, AMessageThatLeavesMakesWayInTheSameReceive) {
  add(1, "g", at(0s));
  add(2, "g", at(0s));
  Queue::TakeOptions once = up_to(10);
  once.max_receive_count = 1;
  EXPECT_EQ(queue.take(at(0s), up_to(1)).received.size(), 1u);
  const auto taken = queue.take(at(30s), once);
  EXPECT_THAT(rows(taken.leaving), ElementsAre(1));
  EXPECT_THAT(rows(taken), ElementsAre(2));
}

TEST_F(Fifo, WhileAMessageLeavesOtherReceivesFindItsGroupBlocked) {
  add(1, "g", at(0s));
  add(2, "g", at(0s));
  const auto taken = queue.take(at(0s), {.messages_max = 1, .max_receive_count = 0, .leaving_max = 1});
  EXPECT_THAT(rows(taken.leaving), ElementsAre(1));
  EXPECT_THAT(rows(queue.take(at(0s), up_to(10))), IsEmpty());
  queue.undo(taken);
  EXPECT_THAT(rows(queue.take(at(0s), up_to(10))), ElementsAre(1, 2));
}

TEST_F(Fifo, UndoMakesAReceiveNotHappen) {
  add(1, "g", at(0s));
  add(2, "g", at(0s));
  const auto taken = queue.take(at(0s), up_to(1));
  queue.undo(taken);
  const auto again = queue.take(at(1s), up_to(10));
  EXPECT_THAT(rows(again), ElementsAre(1, 2));
  EXPECT_EQ(again.received[0].message.receive_count, 1u);
}

TEST_F(Fifo, HoldsWhileItsOwnReceiveHidesTheMessage) {
  add(1, "g", at(0s));
  queue.take(at(0s), up_to(1));
  EXPECT_TRUE(queue.holds(1, 1, at(29s)));
  EXPECT_FALSE(queue.holds(1, 2, at(29s)));
  EXPECT_FALSE(queue.holds(1, 1, at(30s)));
  queue.take(at(30s), up_to(1));
  EXPECT_FALSE(queue.holds(1, 1, at(31s)));
  EXPECT_TRUE(queue.holds(1, 2, at(31s)));
}

TEST_F(Fifo, GroupsGoWithTheirLastMessage) {
  add(1, "a", at(0s));
  add(2, "b", at(0s));
  EXPECT_EQ(queue.groups(), 2u);
  queue.take(at(0s), up_to(10));
  queue.remove(1);
  EXPECT_EQ(queue.groups(), 1u);
  EXPECT_THAT(queue.remove_below(10), ElementsAre(2));
  EXPECT_EQ(queue.groups(), 0u);
  EXPECT_EQ(queue.receivable(), 0u);
}

TEST_F(Fifo, FindsAnAttemptForFiveMinutesUnlessSomethingWasDone) {
  const auto attempt = [&](const std::string& id, WallTime now, Duration visibility) {
    const auto taken = queue.take(now, up_to(10, visibility));
    queue.note_attempt(id, taken, now);
    return rows(taken);
  };
  add(1, "g", at(0s));
  add(2, "g", at(0s));
  ASSERT_THAT(attempt("x", at(0s), 400s), ElementsAre(1, 2));
  EXPECT_THAT(rows(queue.find_attempt("x", at(299s))), ElementsAre(1, 2));
  EXPECT_THAT(rows(queue.find_attempt("y", at(299s))), IsEmpty());
  EXPECT_THAT(rows(queue.find_attempt("x", at(300s))), IsEmpty()) << "too old";

  ASSERT_THAT(attempt("timeout", at(400s), 10s), ElementsAre(1, 2));
  EXPECT_THAT(rows(queue.find_attempt("timeout", at(410s))), IsEmpty()) << "visible again";
  ASSERT_THAT(attempt("changed", at(410s), 30s), ElementsAre(1, 2));
  queue.change_visibility(2, 3, at(500s), at(411s));
  EXPECT_THAT(rows(queue.find_attempt("changed", at(412s))), IsEmpty()) << "its visibility was changed";
  queue.change_visibility(1, 3, at(413s), at(412s));
  queue.change_visibility(2, 3, at(413s), at(412s));
  ASSERT_THAT(attempt("deleted", at(413s), 30s), ElementsAre(1, 2));
  queue.remove(1);
  EXPECT_THAT(rows(queue.find_attempt("deleted", at(414s))), IsEmpty()) << "one was deleted";
}

TEST_F(Fifo, AnAttemptThatWasRenewedIsFoundAgain) {
  add(1, "g", at(0s));
  const auto taken = queue.take(at(0s), up_to(1));
  queue.note_attempt("x", taken, at(0s));
  queue.change_visibility(1, 1, at(60s), at(20s));
  EXPECT_THAT(rows(queue.find_attempt("x", at(21s))), IsEmpty());
  queue.renew_attempt("x", at(60s));
  EXPECT_THAT(rows(queue.find_attempt("x", at(59s))), ElementsAre(1));
}

TEST_F(Fifo, RestoresAnAttemptFromItsMessages) {
  for (RowId row = 1; row <= 2; ++row) {
    QueuedMessage message = in_group(row, "g", at(0s));
    message.receive_count = 2;
    message.received_at = at(50s);
    message.available_at = at(90s);
    queue.add(message, at(60s));
  }
  queue.restore_attempt("x", {1, 2});
  EXPECT_THAT(rows(queue.find_attempt("x", at(61s))), ElementsAre(1, 2));
  queue.change_visibility(1, 2, at(95s), at(62s));
  queue.restore_attempt("x", {1, 2});
  EXPECT_THAT(rows(queue.find_attempt("x", at(63s))), IsEmpty()) << "not as the receive left them";
}

// --- against a naive model ------------------------------------------------------------------------------------------

/// The same rules written as scans over one list.
struct Model {
  struct Message {
    RowId row;
    std::string group;
    WallTime sent_at;
    WallTime available_at;
    std::uint32_t count = 0;
  };
  Duration retention;
  std::vector<Message> messages;  // in the order of sending

  void expire(WallTime now) {
    std::erase_if(messages, [&](const Message& m) { return m.sent_at + retention <= now; });
  }
  Message* find(RowId row) {
    auto it = std::find_if(messages.begin(), messages.end(), [&](const Message& m) { return m.row == row; });
    return it == messages.end() ? nullptr : &*it;
  }
  /// Group after group: the one whose first message has been available longest, as far as nothing hidden comes.
  std::pair<std::vector<RowId>, std::vector<RowId>> take(WallTime now, int max, Duration visibility,
                                                         std::uint32_t receives_max) {
    expire(now);
    std::pair<std::vector<RowId>, std::vector<RowId>> result;
    std::vector<const Message*> firsts;
    for (const Message& m : messages) {
      const bool is_first =
          std::none_of(firsts.begin(), firsts.end(), [&](const Message* first) { return first->group == m.group; });
      if (is_first) firsts.push_back(&m);
    }
    std::erase_if(firsts, [now](const Message* m) { return m->available_at > now; });
    std::sort(firsts.begin(), firsts.end(), [](const Message* a, const Message* b) {
      return std::tie(a->available_at, a->row) < std::tie(b->available_at, b->row);
    });
    std::vector<std::string> groups;
    for (const Message* first : firsts) groups.push_back(first->group);
    for (const std::string& group : groups) {
      for (Message& m : messages) {
        if (m.group != group) continue;
        if (m.available_at > now || std::ssize(result.first) == max) break;
        if (m.count >= receives_max) {
          result.second.push_back(m.row);
          continue;
        }
        ++m.count;
        m.available_at = now + visibility;
        result.first.push_back(m.row);
      }
    }
    for (RowId row : result.second) std::erase_if(messages, [&](const Message& m) { return m.row == row; });
    return result;
  }
};

void run_against_model(std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  Model model{.retention = 600s, .messages = {}};
  Duration delay = 0s;
  FifoQueue queue(600s, delay);
  WallTime now = at(0s);
  RowId next = 1;
  for (int step = 0; step < 3000; ++step) {
    now += std::chrono::milliseconds(below(4) == 0 ? below(20000) : below(200));
    model.expire(now);
    queue.advance(now);
    const RowId picked = 1 + static_cast<RowId>(below(static_cast<std::uint64_t>(next)));
    switch (below(9)) {
      case 0:
      case 1:
      case 2: {
        const std::string group(1, static_cast<char>('a' + below(4)));
        model.messages.push_back({next, group, now, now + delay});
        queue.add(in_group(next, group, now), now);
        ++next;
        break;
      }
      case 3:
      case 4: {
        const int max = 1 + static_cast<int>(below(10));
        // A message with a timeout of zero is visible again at the next step, which the model does not tell apart.
        const Duration visibility = std::chrono::seconds(1 + below(40));
        const auto receives_max = static_cast<std::uint32_t>(1 + below(4));
        const auto expected = model.take(now, max, visibility, receives_max);
        const auto taken = queue.take(now, {.messages_max = max,
                                            .visibility_timeout = visibility,
                                            .max_receive_count = receives_max,
                                            .leaving_max = 1000000});
        ASSERT_EQ(rows(taken), expected.first) << "step " << step;
        ASSERT_EQ(rows(taken.leaving), expected.second) << "step " << step;
        for (RowId row : rows(taken.leaving)) ASSERT_TRUE(queue.finish_leaving(row));
        break;
      }
      case 5:  // a receive whose commit failed
        queue.undo(queue.take(now, {.messages_max = 5, .visibility_timeout = 10s, .max_receive_count = 2}));
        break;
      case 6: {
        const bool existed = model.find(picked) != nullptr;
        std::erase_if(model.messages, [&](const auto& m) { return m.row == picked; });
        ASSERT_EQ(queue.remove(picked), existed) << "step " << step;
        break;
      }
      case 7: {
        const auto generation = static_cast<std::uint32_t>(1 + below(3));
        const Duration visibility = below(3) == 0 ? 0s : Duration(std::chrono::seconds(below(60)));
        Model::Message* message = model.find(picked);
        const bool found = message != nullptr && message->count == generation;
        if (found) message->available_at = now + visibility;
        ASSERT_EQ(queue.change_visibility(picked, generation, now + visibility, now), found) << "step " << step;
        break;
      }
      case 8: {
        if (below(20) != 0) break;
        delay = std::chrono::seconds(below(30));
        for (auto& m : model.messages) {
          if (m.count == 0) m.available_at = m.sent_at + delay;
        }
        queue.set_delay(delay, now);
        break;
      }
    }
    ASSERT_EQ(queue.size(), model.messages.size()) << "step " << step;
    const auto visible = std::count_if(model.messages.begin(), model.messages.end(),
                                       [now](const Model::Message& m) { return m.available_at <= now; });
    ASSERT_EQ(queue.counts().visible, static_cast<std::size_t>(visible)) << "step " << step;
  }
}

TEST(FifoQueueModel, BehavesAsTheNaiveModelDoes) {
  const std::uint64_t first = test_seed();
  for (std::uint64_t seed = first; seed < first + 20; ++seed) {
    run_against_model(seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// --- deduplication --------------------------------------------------------------------------------------------------

using Scope = Deduplication::Scope;

TEST(Deduplication, FindsARepetitionForFiveMinutes) {
  Deduplication known;
  EXPECT_EQ(known.find("g", "id", Scope::kQueue, at(0s)), nullptr);
  known.add("g", "id", {.row = 7, .message_id = {}, .sent_at = at(0s)});
  known.settle(7, true);
  ASSERT_NE(known.find("h", "id", Scope::kQueue, at(299s)), nullptr);
  EXPECT_EQ(known.find("h", "id", Scope::kQueue, at(299s))->row, 7);
  EXPECT_EQ(known.find("g", "other", Scope::kQueue, at(299s)), nullptr);
  EXPECT_EQ(known.find("g", "id", Scope::kQueue, at(300s)), nullptr);
  EXPECT_THAT(known.take_expired(at(300s)), ElementsAre(7));
  EXPECT_EQ(known.size(), 0u);
}

TEST(Deduplication, TellsGroupsApartWhenTheScopeSaysSo) {
  Deduplication known;
  known.add("g", "id", {.row = 1, .message_id = {}, .sent_at = at(0s), .is_stored = true});
  EXPECT_EQ(known.find("h", "id", Scope::kMessageGroup, at(1s)), nullptr);
  known.add("h", "id", {.row = 2, .message_id = {}, .sent_at = at(1s), .is_stored = true});
  EXPECT_EQ(known.find("g", "id", Scope::kMessageGroup, at(2s))->row, 1);
  EXPECT_EQ(known.find("h", "id", Scope::kMessageGroup, at(2s))->row, 2);
  // The scope was changed: whatever has the id counts, also when the first of them is too old.
  EXPECT_NE(known.find("i", "id", Scope::kQueue, at(2s)), nullptr);
  EXPECT_EQ(known.find("i", "id", Scope::kQueue, at(300s))->row, 2);
}

TEST(Deduplication, ForgetsWhatWasNotStored) {
  Deduplication known;
  known.add("g", "id", {.row = 1, .message_id = {}, .sent_at = at(0s)});
  EXPECT_FALSE(known.is_stored(1));
  known.settle(1, false);
  EXPECT_EQ(known.find("g", "id", Scope::kQueue, at(1s)), nullptr);
  EXPECT_THAT(known.take_expired(at(1000s)), IsEmpty()) << "it has no row";
}

TEST(Deduplication, ExpiresInOrderAndHandsOutEachRowOnce) {
  Deduplication known;
  for (RowId row = 1; row <= 4; ++row) {
    known.add("g", std::to_string(row), {.row = row, .message_id = {}, .sent_at = at(row * 10s)});
    if (row != 4) known.settle(row, true);
  }
  EXPECT_THAT(known.take_expired(at(320s)), ElementsAre(1, 2));
  EXPECT_THAT(known.take_expired(at(320s)), IsEmpty());
  EXPECT_THAT(known.take_all(), ElementsAre(3, 4));
}

}  // namespace
}  // namespace lambdad::sqs
