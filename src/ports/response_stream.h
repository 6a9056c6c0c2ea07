/// The response of a function while the function still writes it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ports/functions.h"
#include "system/async.h"

namespace lambdad::ports {

/// Largest streamed response. Source: Lambda quotas, "Function response streaming payload" (200 MB).
inline constexpr std::size_t kStreamedResponseBytesMax = 200 * 1024 * 1024;

/// What is known of a streamed response before its first byte.
struct ResponseHead {
  std::string content_type;      ///< as the runtime posted it; empty: it said none
  std::string executed_version;  ///< "$LATEST" or a number
};

/// Where a function's streamed response goes. Given along with an InvocationRequest; never called again once that
/// invocation's outcome is known. A function that does not stream never calls it: its response is the outcome's
/// payload. Threading: the loop only.
struct ResponseSink {
  virtual ~ResponseSink() = default;
  /// The function has begun to respond. Once, before the first write().
  virtual void begin(ResponseHead head) = 0;
  /// Takes `bytes` and returns when more are wanted: a slow reader slows the function down. At once when nobody reads
  /// any more; the bytes are gone then, and the function goes on.
  virtual Async<void> write(std::string bytes) = 0;
};

/// One reader's end of an invocation. Destroying it before the end does not stop the function; what it still writes is
/// thrown away. Threading: the loop only; one coroutine at a time.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  /// Waits until the function begins a streamed response, or the invocation is over without one: null then.
  virtual Async<const ResponseHead*> started() = 0;
  /// The next bytes, never empty; nullopt when the invocation is over.
  virtual Async<std::optional<std::string>> next() = 0;
  /// Once started() was null or next() nullopt. `payload` holds what was not streamed: the whole response of a function
  /// that does not stream, or the document of an error, also of one after the first bytes. May be moved from.
  virtual InvocationOutcome& outcome() = 0;
};

/// Runs functions whose response is read while it is written. Threading: the loop only.
struct StreamInvoker {
  virtual ~StreamInvoker() = default;
  /// Begins the invocation and returns at once; it goes on whatever becomes of the stream. As FunctionInvoker::invoke()
  /// otherwise. `request.sink` is set by the invoker.
  virtual std::unique_ptr<ResponseStream> invoke_streaming(InvocationRequest request) = 0;
};

}  // namespace lambdad::ports
