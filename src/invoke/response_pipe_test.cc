#include "invoke/response_pipe.h"

#include <gtest/gtest.h>

#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::invoke {
namespace {

class ResponsePipeTest : public testing::Test {
 protected:
  ~ResponsePipeTest() override { sim_.run(tasks_.stop()); }

  /// What a function does: writes `count` pieces of `size` bytes, as fast as the pipe takes them.
  void start_writing(std::size_t size, int count) { tasks_.spawn("function", write(size, count)); }
  Async<void> write(std::size_t size, int count) {
    pipe_->begin({.content_type = "text/plain", .executed_version = "7"});
    for (int i = 0; i < count; ++i) {
      co_await pipe_->write(std::string(size, static_cast<char>('a' + i % 26)));
      ++written_;
    }
    pipe_->finish({.kind = ports::InvocationOutcome::Kind::kSuccess});
  }

  SimSystem sim_{test_seed()};
  TaskGroup tasks_{sim_.loop()};
  std::shared_ptr<ResponsePipe> pipe_ = std::make_shared<ResponsePipe>(sim_.loop(), sim_.clock());
  std::unique_ptr<ports::ResponseStream> reader_ = ResponsePipe::reader(pipe_);
  int written_ = 0;
};

TEST_F(ResponsePipeTest, TheHeadComesFirstThenThePiecesThenTheOutcome) {
  start_writing(3, 2);
  const ports::ResponseHead* head = sim_.run(reader_->started());
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->content_type, "text/plain");
  EXPECT_EQ(head->executed_version, "7");
  EXPECT_EQ(sim_.run(reader_->next()), "aaa");
  EXPECT_EQ(sim_.run(reader_->next()), "bbb");
  EXPECT_EQ(sim_.run(reader_->next()), std::nullopt);
  EXPECT_TRUE(reader_->outcome().ok());
}

TEST_F(ResponsePipeTest, AWriterWaitsForASlowReader) {
  const std::size_t size = ResponsePipe::kCapacity / 4;
  start_writing(size, 100);
  sim_.settle();
  EXPECT_EQ(written_, 3);  // the fourth is taken and waits
  ASSERT_TRUE(sim_.run(reader_->next()));
  sim_.settle();
  EXPECT_EQ(written_, 4);
  for (int i = 1; i < 100; ++i) ASSERT_TRUE(sim_.run(reader_->next())) << i;
  EXPECT_EQ(sim_.run(reader_->next()), std::nullopt);
  EXPECT_EQ(written_, 100);
}

TEST_F(ResponsePipeTest, AWriterGoesOnWhenTheReaderHasGone) {
  start_writing(ResponsePipe::kCapacity, 5);
  sim_.settle();
  EXPECT_EQ(written_, 0);
  reader_.reset();
  sim_.settle();
  EXPECT_EQ(written_, 5);
}

TEST_F(ResponsePipeTest, AfterTheBurstAPaceHoldsTheWriterBack) {
  pipe_ =
      std::make_shared<ResponsePipe>(sim_.loop(), sim_.clock(), StreamPace{.burst_bytes = 300, .bytes_per_second = 50});
  reader_ = ResponsePipe::reader(pipe_);
  start_writing(100, 6);
  sim_.settle();
  EXPECT_EQ(written_, 3);
  sim_.run_for(1999ms);
  EXPECT_EQ(written_, 3);
  sim_.run_for(1ms);
  EXPECT_EQ(written_, 4);
  sim_.run_for(4s);
  EXPECT_EQ(written_, 6);
}

TEST_F(ResponsePipeTest, AnInvocationThatDoesNotStreamHasOnlyAnOutcome) {
  pipe_->finish({.kind = ports::InvocationOutcome::Kind::kSuccess, .payload = "whole"});
  EXPECT_EQ(sim_.run(reader_->started()), nullptr);
  EXPECT_EQ(sim_.run(reader_->next()), std::nullopt);
  EXPECT_EQ(reader_->outcome().payload, "whole");
}

TEST_F(ResponsePipeTest, WhatWasWrittenBeforeAnErrorIsReadFirst) {
  pipe_->begin({});
  tasks_.spawn("function", pipe_->write("half"));
  sim_.settle();
  pipe_->finish(
      {.kind = ports::InvocationOutcome::Kind::kFunctionError, .payload = "{}", .error_type = "Sandbox.Timedout"});
  EXPECT_NE(sim_.run(reader_->started()), nullptr);
  EXPECT_EQ(sim_.run(reader_->next()), "half");
  EXPECT_EQ(sim_.run(reader_->next()), std::nullopt);
  EXPECT_EQ(reader_->outcome().error_type, "Sandbox.Timedout");
}

}  // namespace
}  // namespace lambdad::invoke
