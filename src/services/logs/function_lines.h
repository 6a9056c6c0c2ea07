#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/logs.h"
#include "services/logs/live_tail.h"
#include "services/logs/store.h"
#include "system/system.h"

namespace lambdad::logs {

/// What functions print, on its way into the store.
///
/// append() puts the line into the current batch, in memory. The batch is written 200 ms of host time after its first
/// line, or once it holds 256 KiB, or when somebody calls flushed(). One batch is on its way at a time; what is printed
/// meanwhile is the next. When the store cannot commit, the batch is kept and tried again every second.
///
/// Rate: a log group has `group_burst_bytes` at once and `group_bytes_per_second` of host time in the long run, so that
/// a function that floods its log does not fill the disk or push others' lines out; what is above is dropped and
/// counted. Bound: batch and write under way hold at most `buffered_bytes_max`; further lines are dropped and counted,
/// and the stream's next written batch ends with an event that says how many. An Activity is held only while a commit
/// is on its way. With nothing to write there is no timer. Ownership: store, tail and System parts outlive it.
/// Threading: the loop. End: stop().
class FunctionLines final : public ports::FunctionLogSink {
 public:
  struct Options {
    std::size_t buffered_bytes_max = 64 * 1024 * 1024;
    std::size_t batch_bytes = 256 * 1024;
    double group_bytes_per_second = 8.0 * 1024 * 1024;
    double group_burst_bytes = 32.0 * 1024 * 1024;
    Duration delay = 200ms;
    Duration retry_delay = 1s;
  };
  FunctionLines(System& system, Logger& log, Metrics& metrics, Store& store, LiveTail& tail, Options options);
  ~FunctionLines() override;

  void append(const ports::FunctionVersion& function, const std::string& stream, WallTime time,
              std::string message) override;

  /// Returns when everything that was appended before the call is stored, or an attempt to store it has failed.
  Async<void> flushed();
  /// flushed(), and nothing is taken any more.
  Async<void> stop();

  std::size_t buffered_bytes() const { return buffered_bytes_; }
  std::uint64_t dropped() const { return dropped_.value(); }

 private:
  /// What a log group may still print; filled up when a batch meets the group first.
  struct Allowance {
    double bytes = 0;
    MonoTime at{};
  };
  std::size_t stream_of(const ports::FunctionVersion& function, const std::string& stream);
  Allowance* allowance_of(const GroupKey& group);
  void write_soon();
  void write_now();
  Async<void> wait_and_write(Duration delay);
  Async<void> write();
  void show_live(const Batch& batch, std::int64_t now);

  System& system_;
  Logger& log_;
  Store& store_;
  LiveTail& tail_;
  const Options options_;

  std::shared_ptr<Batch> batch_;                                 ///< being filled; null when empty
  std::unordered_multimap<std::string, std::size_t> by_stream_;  ///< stream name -> index in batch_
  std::vector<Allowance*> allowance_;                            ///< of the group of each stream in batch_
  std::map<std::string, Allowance> allowances_;                  ///< "account/region/group"; those in use lately
  std::size_t batch_bytes_ = 0;
  std::size_t buffered_bytes_ = 0;  ///< batch and write under way
  std::uint64_t batch_number_ = 1;  ///< of the batch being filled
  std::uint64_t tried_ = 0;         ///< number of the last batch whose write was tried

  std::shared_ptr<const Batch> writing_;  ///< taken and not stored; stays after a failure
  std::uint64_t writing_number_ = 0;
  std::size_t writing_bytes_ = 0;
  bool write_runs_ = false;
  bool timer_runs_ = false;
  bool stopped_ = false;
  Notifier tried_changed_;
  TaskGroup tasks_;

  Counter& events_;
  Counter& dropped_;
};

}  // namespace lambdad::logs
