/// What a kind of event source (queues, streams, brokers) brings, so that mappings can be made on it and be served.
///
/// The control plane (mapping_service.h) owns identity, states, conflicts and rows and asks the source for the rest; a
/// new kind of source is one more EventSource.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "aws/gen/lambda.h"
#include "event_sources/mappings/mapping.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "ports/targets.h"
#include "system/system.h"

namespace lambdad::event_sources {

/// What every source works with. All of it outlives the sources.
struct SourceContext {
  System& system;
  Logger& log;
  Metrics& metrics;
  ports::FunctionInvoker& invoker;
  ports::FunctionCatalog& catalog;
  ports::ApiCaller& api;
};

/// Records of one mapping since the daemon started, over all its runtimes. Named as the metrics that AWS publishes.
/// Source: Lambda Developer Guide, "Event source mapping metrics".
struct MappingCounts {
  std::uint64_t polled = 0;         ///< PolledEventCount
  std::uint64_t filtered_out = 0;   ///< FilteredOutEventCount
  std::uint64_t invoked = 0;        ///< InvokedEventCount: given to the function, each attempt of a batch once
  std::uint64_t failed_invoke = 0;  ///< FailedInvokeEventCount: of failed and of partially failed batches
  std::uint64_t deleted = 0;        ///< DeletedEventCount
};

/// What a runtime is doing, for people.
struct RuntimeStatus {
  int pollers = 0;
  int busy = 0;             ///< pollers whose batch is with the function
  int pollers_max = 0;      ///< as many may be now: less than the settings allow after throttles and errors
  std::string last_result;  ///< "OK", "PROBLEM: ..."; empty before the first batch
  WallTime last_result_at{};
  std::string problem;  ///< why nothing is received; empty while receiving works
  /// What waits at the source, in the source's own words and numbers. Absent when it could not be asked.
  std::optional<json::Object> lag;
};

/// The pollers of one enabled mapping. A change of the mapping makes a new runtime.
/// Threading: the loop only. End: stop_polling(), then drain(), then it may be destroyed.
class MappingRuntime {
 public:
  virtual ~MappingRuntime() = default;
  virtual void start() = 0;
  /// Ends all receiving at once. Batches that a function is running go on; records that were received and not yet given
  /// to a function stay with the source, unacknowledged.
  virtual Async<void> stop_polling() = 0;
  /// Returns when the batches that were running are settled.
  virtual Async<void> drain() = 0;
  /// Asks the source for its lag. The runtime may be stopped meanwhile, not destroyed.
  virtual Async<RuntimeStatus> status() = 0;
};

/// One kind of source. Threading: the loop only.
class EventSource {
 public:
  virtual ~EventSource() = default;

  /// The service in the source's ARN: "sqs".
  virtual std::string_view service() const = 0;
  /// StateTransitionReason after a user's action: queues and Kafka say "USER_INITIATED", streams "User action".
  virtual std::string_view user_reason() const = 0;

  /// Refuses settings that belong to other sources. Asked before anything else is looked at.
  virtual aws::Outcome<void> refuse_foreign(const aws::lambda::CreateEventSourceMappingRequest& request) const = 0;
  virtual aws::Outcome<void> refuse_foreign(const aws::lambda::UpdateEventSourceMappingRequest& request) const = 0;
  /// Takes the source's settings over, defaults included, and checks how they go together.
  virtual aws::Outcome<void> configure(Mapping& mapping,
                                       const aws::lambda::CreateEventSourceMappingRequest& request) const = 0;
  virtual aws::Outcome<void> reconfigure(Mapping& mapping,
                                         const aws::lambda::UpdateEventSourceMappingRequest& request) const = 0;
  /// Whether the source is there and fits the function.
  virtual Async<aws::Outcome<void>> check_source(Mapping mapping) = 0;
  /// The answer when `existing` already joins this source and this function.
  virtual aws::Error duplicate(const Mapping& existing) const = 0;

  virtual std::unique_ptr<MappingRuntime> make_runtime(const Mapping& mapping,
                                                       std::shared_ptr<MappingCounts> counts) = 0;
};

}  // namespace lambdad::event_sources
