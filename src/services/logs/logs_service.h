/// Amazon CloudWatch Logs: groups, streams and their events. The only header of this folder that others include.
#pragma once

#include <memory>
#include <string>

#include "aws/dispatcher.h"
#include "base/error.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "ports/logs.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::logs {

class Store;
class FunctionLines;
class LiveTail;

/// The service: it keeps what functions print and answers what is registered with the dispatcher.
///
/// PutLogEvents answers after the commit. What functions print is stored up to 200 ms later and is lost when the
/// process dies before; every read first stores what was printed before it, so a reader never misses a line. Times are
/// System::clock.
///
/// Ownership: owns everything of the service; system, log and metrics outlive it, and so does it the dispatcher's
/// handlers. Threading: the loop.
/// End: stop(), after the last request and after functions have stopped printing.
class LogsService {
 public:
  struct Options {
    std::string directory;  ///< logs.db is there
    store::Durability durability = store::Durability::kFull;
    /// Of one log group, as storedBytes counts them; beyond it the oldest events go.
    std::int64_t group_bytes_max = 256LL * 1024 * 1024;
    /// Printed and not stored yet; beyond it lines are dropped.
    std::size_t buffered_bytes_max = 64 * 1024 * 1024;
  };
  /// Errors as the store has them: kCorrupt, kUnavailable, kDenied.
  static Result<std::unique_ptr<LogsService>> open(System& system, Logger& log, Metrics& metrics, Options options);
  ~LogsService();

  /// Adds the model and serves its operations. Once.
  void register_operations(aws::Dispatcher& dispatcher);

  /// Where functions print to.
  ports::FunctionLogSink& sink();

  /// Ends the sessions of StartLiveTail, which otherwise stay open for hours.
  void close_sessions();
  /// False while the store cannot commit.
  bool healthy() const;
  Async<void> stop();

 private:
  LogsService(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store, Options options);
  System& system_;
  Logger& log_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<LiveTail> tail_;
  std::unique_ptr<FunctionLines> lines_;
};

}  // namespace lambdad::logs
