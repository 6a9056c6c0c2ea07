#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "event_sources/mappings/record_filter.h"
#include "event_sources/mappings/source.h"
#include "event_sources/sqs/sqs_queue.h"

namespace lambdad::event_sources {

/// How many pollers a mapping may have. A poller receives one batch, has a function run it, and settles it; so their
/// number is the number of concurrent invocations.
struct SqsPollerLimits {
  /// Most pollers of a mapping that says nothing of its concurrency. AWS: 1250; here bounded by what one node can run.
  /// A mapping with MaximumConcurrency or ProvisionedPollerConfig has as many as it says.
  int pollers_max = 64;
  /// At once when there is a backlog. Source: Lambda Developer Guide, "Configuring scaling behavior for SQS".
  int pollers_at_backlog = 5;
  /// Between two further ones while all are busy: 300 in a minute, source as above.
  Duration growth_interval = 200ms;
  /// Kept when long polls come back empty. AWS keeps 2; one long poll at a time gathers the messages of a quiet queue
  /// in one batch and is all that an idle mapping costs.
  int pollers_idle = 1;
  /// Of provisioned mode: between two further ones, 1,000 in a minute; and concurrent invocations of one of AWS's
  /// pollers, which counts as so many of ours. Source: Lambda Developer Guide, "Using provisioned mode with an Amazon
  /// SQS event source mapping".
  Duration provisioned_growth_interval = 60ms;
  int provisioned_concurrency = 10;
};

/// Where a message's payload stands in its record.
inline constexpr const char* kSqsPayloadKey = "body";

/// What a mapping on a queue is set to.
struct SqsSettings {
  std::string mapping_uuid;
  Arn queue;
  bool fifo = false;
  ports::FunctionRef function;
  int batch_size = 10;
  Duration window{};
  bool report_batch_item_failures = false;
  std::optional<int> maximum_concurrency;
  struct Provisioned {
    int minimum = 0;
    int maximum = 0;
  };
  std::optional<Provisioned> provisioned;
  std::optional<RecordFilter> filter;

  static SqsSettings of(const Mapping& mapping);
};

/// The pollers of one enabled mapping on a queue.
///
///            ┌──────────────── one poller ────────────────┐
///   queue ─▶ collect: long polls, filter, until BatchSize, │ ─▶ invoke ─▶ success: delete (all, or all but reported)
///            window or 6 MB                                │        ├─▶ throttled: again, while the messages are ours
///            └─────────────────────────────────────────────┘        └─▶ failed: nothing; they come back by themselves
///
/// Collecting is cancelled by stop_polling(); a batch that was given to process() goes on to its end in a task of its
/// own. A batch of a function that fails is neither repeated nor released: its messages return when their visibility
/// timeout ends, in whatever company.
///
/// The window opens when the poller's previous invocation ended, or with the first message when that window has passed.
/// What does not fit into an event begins the next batch; of a FIFO queue it comes back with its visibility timeout.
///
/// Messages that the filter does not want are deleted as soon as they were received; they fill no batch.
///
/// Number of pollers: one while the queue is quiet; `pollers_at_backlog` as soon as a batch was full; one more per
/// `growth_interval` while all are busy; back to `pollers_idle` as long polls come back empty. Throttles and, unless
/// ReportBatchItemFailures is set, function errors halve what is allowed; every success allows one more. In provisioned
/// mode MinimumPollers are kept, and the most is MaximumPollers times `provisioned_concurrency`.
///
/// Time: waits are on AWS's clock, errors of the queue's API are repeated on the machine's. A parked long poll and a
/// window hold no Activity; settling does.
/// Ownership: borrows the context. Threading: the loop only. End: see MappingRuntime.
class SqsRuntime final : public MappingRuntime {
 public:
  SqsRuntime(SourceContext context, SqsSettings settings, SqsPollerLimits limits,
             std::shared_ptr<MappingCounts> counts);
  ~SqsRuntime() override;
  void start() override;
  Async<void> stop_polling() override;
  Async<void> drain() override;
  Async<RuntimeStatus> status() override;

  int pollers() const { return pollers_; }

 private:
  struct Batch {
    explicit Batch(Loop& loop) : answered(loop), settled(loop) {}
    std::vector<SqsRecord> records;
    std::size_t text_bytes = 0;
    std::optional<MonoTime> expires;  ///< when the first message becomes visible again
    bool full = false;                ///< nothing more may be added
    Promise<bool> answered;           ///< the function is done with it: its poller may receive again
    Promise<bool> settled;            ///< and its messages are deleted or left to come back
  };
  using BatchPtr = std::shared_ptr<Batch>;
  struct Waiting {  // received, and did not fit
    SqsRecord record;
    MonoTime expires;
  };
  class Counted;  // a poller as part of pollers_

  Counter& counter(std::string_view name, std::string_view help);
  void add_poller();
  void scale(bool backlog);
  int pollers_max() const;
  int pollers_idle() const;
  int free_pollers() const { return pollers_ - busy_; }
  Async<void> grow();
  Async<void> run_poller(std::unique_ptr<Counted> counted);
  /// nullptr: this poller is not needed any more.
  Async<BatchPtr> collect(std::optional<MonoTime> window_end);
  /// The number of messages that came.
  Async<aws::Outcome<std::size_t>> receive(BatchPtr batch, std::chrono::seconds wait);
  bool add(Batch& batch, SqsRecord& record, MonoTime expires);
  Async<void> remove_unwanted(std::vector<std::string> receipt_handles, Activity::Token token);
  void take_waiting(Batch& batch);
  Async<void> process(BatchPtr batch, Activity::Token token);
  Async<void> settle(BatchPtr batch, std::string response);
  void back_off();
  void note(std::string result);

  SourceContext context_;
  SqsSettings settings_;
  SqsPollerLimits limits_;
  SqsQueue queue_;
  SqsRecordStyle style_;
  /// What happens to records, counted for the mapping and for all.
  struct Count {
    Counter& metric;
    std::uint64_t& own;
    void add(std::uint64_t n) {
      metric.add(n);
      own += n;
    }
  };
  std::shared_ptr<MappingCounts> counts_;
  Count polled_;
  Count filtered_out_;
  Count invoked_;
  Count failed_;
  Count deleted_;
  Gauge& pollers_gauge_;

  std::deque<Waiting> waiting_;
  int pollers_ = 0;
  int busy_ = 0;  ///< pollers whose batch is being processed
  int allowed_;   ///< 1..the mapping's maximum; falls with errors
  bool growing_ = false;
  bool stopping_ = false;
  std::string last_result_;
  WallTime last_result_at_{};
  std::string problem_;
  Notifier stop_asked_;
  TaskGroup polling_;
  TaskGroup batches_;
};

}  // namespace lambdad::event_sources
