#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "invoke/response_pipe.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/functions.h"
#include "ports/response_stream.h"
#include "scheduler/concurrency.h"
#include "scheduler/scheduler.h"
#include "system/system.h"

namespace lambdad::invoke {

/// Runs functions: resolve the version, take a unit of concurrency, run, record. Every plane goes through here, so
/// throttling, metrics and logs exist once. Holds an Activity token while a function runs.
///
/// Ownership: borrows everything. Threading: the loop only. End: stop(), once nothing begins invocations any more.
class Invoker final : public ports::FunctionInvoker, public ports::StreamInvoker {
 public:
  /// Accepts an event durably; given by the asynchronous plane.
  using Enqueue = std::function<Async<Result<void>>(ports::InvocationRequest)>;

  Invoker(System& system, Logger& log, Metrics& metrics, ports::FunctionCatalog& catalog,
          scheduler::ConcurrencyLedger& ledger, scheduler::Scheduler& scheduler);
  ~Invoker() override;

  Async<ports::InvocationOutcome> invoke(ports::InvocationRequest request) override;
  Async<Result<void>> enqueue(ports::InvocationRequest request) override;
  std::unique_ptr<ports::ResponseStream> invoke_streaming(ports::InvocationRequest request) override;
  /// Waits for the streamed invocations that run.
  Async<void> stop() { co_await streamed_.stop(); }
  /// Of streamed responses that begin from now on; nullopt: as fast as they are read.
  void set_stream_pace(std::optional<StreamPace> pace) { stream_pace_ = pace; }
  void set_enqueue(Enqueue enqueue) { enqueue_ = std::move(enqueue); }

 private:
  struct FunctionMetrics;  // looked up by labels once per function, not once per invocation
  FunctionMetrics& metrics_of(const ports::FunctionRef& function);
  scheduler::Quota quota_of(const ports::FunctionRef& function, const ports::FunctionVersion& version) const;
  void count_provisioned(const ports::FunctionRef& function, bool provisioned);
  Async<void> run_streamed(ports::InvocationRequest request, std::shared_ptr<ResponsePipe> pipe);
  void record(const ports::FunctionRef& function, const ports::InvocationOutcome& outcome, Duration took);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  ports::FunctionCatalog& catalog_;
  scheduler::ConcurrencyLedger& ledger_;
  scheduler::Scheduler& scheduler_;
  Enqueue enqueue_;
  std::unordered_map<std::string, std::unique_ptr<FunctionMetrics>> function_metrics_;  ///< by name
  std::optional<StreamPace> stream_pace_;
  TaskGroup streamed_;
};

}  // namespace lambdad::invoke
