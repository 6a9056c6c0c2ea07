#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ports/logs.h"
#include "system/async.h"
#include "system/clock.h"
#include "system/files.h"

namespace lambdad::execution {

/// What a function prints, and the platform's lines around it, as log events of one log stream.
///
/// The pipe is stdout and stderr of the runtime. Each '\n' ends an event; '\r' counts as part of the text, as on AWS,
/// except that a framework may use it to keep a multi-line message together, so it becomes '\n' inside the event. An
/// event longer than 256 KiB is cut into several. Platform lines and printed lines keep their order, because drain()
/// reads what the runtime wrote before it posted its answer.
/// Source of 256 KiB: CloudWatch Logs quotas, event size.
/// Threading: the loop only. End: stop() before destruction; the destructor closes the pipe.
class FunctionLog {
 public:
  FunctionLog(Loop& loop, Clock& clock, ports::FunctionLogSink& sink, ports::FunctionVersionPtr function,
              std::string stream);
  ~FunctionLog();

  /// Reads `pipe` (non-blocking from here on) until its end; replaces an earlier one.
  void attach(UniqueFd pipe);
  /// Takes everything that is in the pipe now.
  void drain();
  /// Drains, ends an unfinished line, and lets the pipe go.
  void detach();
  /// A printed event that came whole, by the framed descriptor.
  void printed(std::string message);
  /// Asked about each printed event before it goes anywhere; false: it is not written. Unset: everything is.
  std::function<bool(std::string_view)> on_printed;
  /// A line of the platform: START, END, REPORT...
  void platform(std::string line);

  /// Begins collecting the tail of an invocation.
  void begin_tail();
  /// The last 4 KB since begin_tail(). Source: Lambda API reference, Invoke, LogResult.
  std::string take_tail();
  const std::string& stream() const { return stream_; }

 private:
  struct Reader;
  void consume(std::string_view bytes);
  void emit_printed(std::string line);
  void emit(std::string line);

  Loop& loop_;
  Clock& clock_;
  ports::FunctionLogSink& sink_;
  ports::FunctionVersionPtr function_;
  std::string stream_;
  std::string unfinished_;
  std::string tail_;
  bool tailing_ = false;
  std::shared_ptr<Reader> reader_;
};

}  // namespace lambdad::execution
