#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "ports/response_stream.h"
#include "system/async.h"
#include "system/clock.h"

namespace lambdad::invoke {

/// How fast a function may write a streamed response: `burst_bytes` at once, then `bytes_per_second`, in real time.
struct StreamPace {
  std::uint64_t burst_bytes = 6 * 1024 * 1024;
  std::uint64_t bytes_per_second = 2 * 1024 * 1024;
};
/// AWS's. Source: Lambda Developer Guide, "Bandwidth limits for response streaming" (6 MB, then 2 MB/s).
inline constexpr StreamPace kAwsStreamPace;

/// Bytes between a function that writes its response and the one who reads it.
///
/// Holds at most kCapacity and one more piece: write() takes its bytes, and returns when less than the capacity is
/// waiting and the pace allows more, or nobody reads. finish() ends it; what was written before is read first.
/// Ownership: shared by the invocation, as its sink, and the reader. Threading: the loop only.
class ResponsePipe final : public ports::ResponseSink {
 public:
  static constexpr std::size_t kCapacity = 64 * 1024;

  /// Without a pace only the reader holds the function back. `host_clock` outlives the pipe.
  ResponsePipe(Loop& loop, Clock& host_clock, std::optional<StreamPace> pace = std::nullopt)
      : host_clock_(host_clock), pace_(pace), readable_(loop), writable_(loop) {}

  void begin(ports::ResponseHead head) override;
  Async<void> write(std::string bytes) override;
  /// The invocation is over. Once.
  void finish(ports::InvocationOutcome outcome);

  /// The reader's end. One for each pipe; the pipe lives at least as long.
  static std::unique_ptr<ports::ResponseStream> reader(std::shared_ptr<ResponsePipe> pipe);

 private:
  class Reader;

  Clock& host_clock_;
  const std::optional<StreamPace> pace_;
  MonoTime began_{};
  std::uint64_t written_ = 0;
  std::optional<ports::ResponseHead> head_;
  std::deque<std::string> pieces_;
  std::size_t waiting_bytes_ = 0;
  std::optional<ports::InvocationOutcome> outcome_;
  bool abandoned_ = false;  ///< the reader has gone
  Notifier readable_;
  Notifier writable_;
};

}  // namespace lambdad::invoke
