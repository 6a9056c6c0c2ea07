#include "invoke/response_pipe.h"

namespace lambdad::invoke {

class ResponsePipe::Reader final : public ports::ResponseStream {
 public:
  explicit Reader(std::shared_ptr<ResponsePipe> pipe) : pipe_(std::move(pipe)) {}
  ~Reader() override {
    pipe_->abandoned_ = true;
    pipe_->pieces_.clear();
    pipe_->writable_.notify_all();
  }

  Async<const ports::ResponseHead*> started() override {
    while (!pipe_->head_ && !pipe_->outcome_) co_await pipe_->readable_.wait();
    co_return pipe_->head_ ? &*pipe_->head_ : nullptr;
  }

  Async<std::optional<std::string>> next() override {
    while (pipe_->pieces_.empty() && !pipe_->outcome_) co_await pipe_->readable_.wait();
    if (pipe_->pieces_.empty()) co_return std::nullopt;
    std::string piece = std::move(pipe_->pieces_.front());
    pipe_->pieces_.pop_front();
    pipe_->waiting_bytes_ -= piece.size();
    if (pipe_->waiting_bytes_ < kCapacity) pipe_->writable_.notify_all();
    co_return piece;
  }

  ports::InvocationOutcome& outcome() override {
    LD_CHECK(pipe_->outcome_.has_value(), "the outcome of an invocation that runs");
    return *pipe_->outcome_;
  }

 private:
  std::shared_ptr<ResponsePipe> pipe_;
};

void ResponsePipe::begin(ports::ResponseHead head) {
  head_ = std::move(head);
  began_ = host_clock_.mono();
  readable_.notify_all();
}

Async<void> ResponsePipe::write(std::string bytes) {
  if (abandoned_ || outcome_ || bytes.empty()) co_return;  // nobody will read it
  waiting_bytes_ += bytes.size();
  written_ += bytes.size();
  pieces_.push_back(std::move(bytes));
  readable_.notify_all();
  while (waiting_bytes_ >= kCapacity && !abandoned_) co_await writable_.wait();
  if (!pace_ || written_ <= pace_->burst_bytes || abandoned_) co_return;
  const double seconds =
      static_cast<double>(written_ - pace_->burst_bytes) / static_cast<double>(pace_->bytes_per_second);
  const MonoTime due = began_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  if (due > host_clock_.mono()) co_await host_clock_.sleep_until(due);
}

void ResponsePipe::finish(ports::InvocationOutcome outcome) {
  LD_CHECK(!outcome_, "an invocation ends twice");
  outcome_ = std::move(outcome);
  readable_.notify_all();
}

std::unique_ptr<ports::ResponseStream> ResponsePipe::reader(std::shared_ptr<ResponsePipe> pipe) {
  return std::make_unique<Reader>(std::move(pipe));
}

}  // namespace lambdad::invoke
