#include "execution/log_frames.h"

#include <gmock/gmock.h>

namespace lambdad::execution {
namespace {

using ports::LogFormat;
using ports::LogLevel;
using ::testing::ElementsAre;

std::string frame(std::uint32_t type, std::string_view message, bool timestamp) {
  std::string out;
  const auto number = [&out](std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  number(type, 4);
  number(message.size(), 4);
  if (timestamp) number(1767225600000000, 8);
  out += message;
  return out;
}

std::vector<std::string> cut(std::string_view bytes, std::size_t piece, bool* good = nullptr) {
  LogFrames frames;
  std::vector<std::string> messages;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const bool fine = frames.push(bytes.substr(at, piece), [&](std::string m) { messages.push_back(std::move(m)); });
    if (good != nullptr) *good = fine;
  }
  return messages;
}

TEST(LogFrames, BothMagicsAndEveryLevelCarryWholeMessages) {
  const std::string bytes = frame(0xa55a0001, "old\nlines", false) + frame(0xa55a0003, "new", true) +
                            frame(0xa55a0017, "text error", true) + frame(0xa55a000e, "{}", true) +
                            frame(0xa55a0003, "", true);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    EXPECT_THAT(cut(bytes, piece), ElementsAre("old\nlines", "new", "text error", "{}", ""));
  }
}

TEST(LogFrames, WhatIsNoFrameEndsTheReading) {
  bool good = true;
  EXPECT_THAT(
      cut(frame(0xa55a0003, "a", true) + "plain text that is no frame" + frame(0xa55a0003, "b", true), 5, &good),
      ElementsAre("a"));
  EXPECT_FALSE(good);
  EXPECT_THAT(cut(frame(0xa55b0003, "x", true), 64, &good), ElementsAre());
  EXPECT_FALSE(good);
}

TEST(LogFrames, AMessageThatIsTooLongIsNotWaitedFor) {
  std::string bytes = frame(0xa55a0001, "", false);
  bytes[4] = '\x7f';
  bool good = true;
  cut(bytes, 64, &good);
  EXPECT_FALSE(good);
}

TEST(LogLevels, JsonLinesBelowTheApplicationLevelAreDropped) {
  const ports::LogSettings warn{LogFormat::kJson, LogLevel::kWarn, LogLevel::kInfo};
  EXPECT_FALSE(keeps_line(warn, R"({"level":"info","message":"x"})"));
  EXPECT_TRUE(keeps_line(warn, R"({"level":"ERROR"})"));
  EXPECT_TRUE(keeps_line(warn, R"({"level":"WARNING"})"));
  EXPECT_FALSE(keeps_line(warn, R"({"level":"LOUD"})"));  // counts as INFO
  EXPECT_FALSE(keeps_line(warn, "plain"));
  EXPECT_FALSE(keeps_line(warn, R"({"level":7})"));
  const ports::LogSettings info{LogFormat::kJson, LogLevel::kInfo, LogLevel::kInfo};
  EXPECT_TRUE(keeps_line(info, "plain"));
  EXPECT_FALSE(keeps_line(info, R"({"level":"DEBUG"})"));
  EXPECT_TRUE(keeps_line({}, R"({"level":"TRACE"})"));  // text format
}

}  // namespace
}  // namespace lambdad::execution
