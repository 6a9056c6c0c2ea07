#include "services/logs/live_tail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::logs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const GroupKey kGroup{"111122223333", "eu-west-1", "/aws/lambda/f"};
const GroupKey kOther{"111122223333", "eu-west-1", "/aws/lambda/g"};

struct LiveTailTest : testing::Test {
  SimSystem sim{test_seed()};
  LiveTail tail{sim.system()};

  void TearDown() override { sim.run(tail.stop()); }

  static LiveTail::Filter filter(std::string_view pattern = "") {
    return {.groups = {kGroup}, .streams = {}, .stream_prefixes = {}, .pattern = *FilterPattern::parse(pattern)};
  }
  void ingest(const std::vector<std::string>& messages, const GroupKey& group = kGroup,
              const std::string& stream = "s") {
    std::vector<NewEvent> events;
    for (const std::string& message : messages) events.push_back({1000, message});
    tail.ingested(group, stream, events, 2000);
  }
  LiveTail::Update next(LiveTail::Session& session) {
    auto update = sim.run(session.next());
    EXPECT_TRUE(update) << update.error().detail;
    return update.value_or(LiveTail::Update());
  }
  static std::vector<std::string> messages(const LiveTail::Update& update) {
    std::vector<std::string> all;
    for (const LiveTail::Event& event : update.events) all.push_back(event.message);
    return all;
  }
};

TEST_F(LiveTailTest, EverySecondThereIsAnUpdateWithWhatCameIn) {
  const auto session = *tail.open(filter());
  ingest({"a", "b"});
  sim.run_for(1s);
  ingest({"c"});
  EXPECT_THAT(messages(next(*session)), ElementsAre("a", "b"));
  const auto second = next(*session);
  ASSERT_THAT(messages(second), ElementsAre("c"));
  EXPECT_EQ(second.events[0].timestamp, 1000);
  EXPECT_EQ(second.events[0].ingested, 2000);
  EXPECT_EQ(second.events[0].stream, "s");
  EXPECT_THAT(messages(next(*session)), IsEmpty());
}

TEST_F(LiveTailTest, TakesWhatItsFilterNames) {
  auto by_stream = filter();
  by_stream.streams = {"s", "t"};
  auto by_prefix = filter("x -y");
  by_prefix.stream_prefixes = {"2026/"};
  const auto one = *tail.open(by_stream), two = *tail.open(by_prefix);
  EXPECT_TRUE(tail.watches(kGroup));
  EXPECT_FALSE(tail.watches(kOther));
  ingest({"x1"});
  ingest({"x2", "y", "xy"}, kGroup, "2026/01");
  ingest({"x3"}, kOther);
  EXPECT_THAT(messages(next(*one)), ElementsAre("x1"));
  EXPECT_THAT(messages(next(*two)), ElementsAre("x2"));
}

TEST_F(LiveTailTest, MoreThanFiveHundredEventsAreSampled) {
  const auto session = *tail.open(filter());
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i) many.push_back(fmt::format("{:04}", i));
  ingest(std::vector<std::string>(many.begin(), many.begin() + 500));
  const auto all = next(*session);
  EXPECT_FALSE(all.sampled);
  EXPECT_EQ(all.events.size(), 500u);
  ingest(many);
  const auto some = next(*session);
  EXPECT_TRUE(some.sampled);
  EXPECT_EQ(some.events.size(), 500u);
  const auto shown = messages(some);
  EXPECT_TRUE(std::ranges::is_sorted(shown));
  EXPECT_GT(shown.back(), "4000") << "events of the whole second have a chance";
  EXPECT_LT(shown.front(), "1000");
}

TEST_F(LiveTailTest, AnUpdateIsBoundedInBytesToo) {
  const auto session = *tail.open(filter());
  ingest(std::vector<std::string>(40, std::string(256 * 1024, 'x')));
  const auto update = next(*session);
  EXPECT_TRUE(update.sampled);
  EXPECT_EQ(update.events.size(), 16u);
}

TEST_F(LiveTailTest, ASlowClientLosesTheOldestUpdates) {
  const auto session = *tail.open(filter());
  for (int i = 0; i < 15; ++i) {
    ingest({std::to_string(i)});
    sim.run_for(1s);
  }
  EXPECT_THAT(messages(next(*session)), ElementsAre("5"));
}

TEST_F(LiveTailTest, ASessionTimesOutAfterThreeHours) {
  const auto session = *tail.open(filter());
  sim.run_for(kTailSessionTime);
  for (std::size_t i = 0; i < kTailUpdatesMax; ++i) next(*session);
  const auto end = sim.run(session->next());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::kTimedOut);
}

TEST_F(LiveTailTest, AnAccountHasFifteenSessionsAtATime) {
  std::vector<std::shared_ptr<LiveTail::Session>> sessions;
  for (std::size_t i = 0; i < kTailSessionsMax; ++i) sessions.push_back(*tail.open(filter()));
  EXPECT_EQ(tail.open(filter()).error().code, Errc::kThrottled);
  auto elsewhere = filter();
  elsewhere.groups = {{kGroup.account, "us-east-1", kGroup.name}};
  EXPECT_TRUE(tail.open(elsewhere));
  sessions.pop_back();
  EXPECT_TRUE(tail.open(filter()));
}

TEST_F(LiveTailTest, ClosingEndsSessionsAndNobodyKeepsTheTimer) {
  const auto session = *tail.open(filter());
  tail.close_sessions();
  EXPECT_EQ(sim.run(session->next()).error().code, Errc::kClosed);
  EXPECT_EQ(sim.run((*tail.open(filter()))->next()).error().code, Errc::kClosed);
}

TEST_F(LiveTailTest, WithoutASessionThereIsNoTimer) {
  tail.open(filter())->reset();
  EXPECT_FALSE(tail.watches(kGroup));
  sim.run_for(2s);
  EXPECT_EQ(sim.clock().sleepers(), 0u);
  const auto session = *tail.open(filter());
  ingest({"again"});
  EXPECT_THAT(messages(next(*session)), ElementsAre("again"));
}

}  // namespace
}  // namespace lambdad::logs
