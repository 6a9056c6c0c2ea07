#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "ports/response_stream.h"
#include "system/async.h"

namespace lambdad::execution {

/// Largest response of a function: 6 MiB + 100 bytes. Source: observed, Runtime API error text (November 2025).
inline constexpr std::size_t kResponseBytesMax = 6291556;

/// What the runtime is given by GET /runtime/invocation/next.
struct NextInvocation {
  std::string request_id;
  std::string payload;
  std::int64_t deadline_epoch_ms = 0;
  std::string invoked_function_arn;
  std::string trace_id;
  std::string client_context;
  std::string cognito_identity;
  /// Takes a streamed response as it is written, under this version; null: it is collected.
  std::shared_ptr<ports::ResponseSink> sink;
  std::string executed_version;
};

/// The error type that AWS shows for one that was reported: itself when it is Runtime.* or Function.* in the documented
/// form, or one of the platform's own (Sandbox.*, Extension.*), else `otherwise`. Source: Runtime Interface Emulator,
/// validation of the error type header.
std::string shown_error_type(std::string_view reported, std::string_view otherwise = "Function.Unknown");

/// The Runtime API of one environment: the state machine behind http://127.0.0.1:9001/2018-06-01.
///
/// One invocation at a time. The environment offers an invocation; the runtime fetches it with `next`, answers with
/// `response` or `error`, and calls `next` again, which makes it ready for another. Calling `next` again before
/// answering hands out the same event. A runtime that breaks off is reset() by the environment before a new process
/// starts.
///
/// A response with `Lambda-Runtime-Function-Response-Mode: streaming` goes to the invocation's sink piece by piece,
/// each when the sink has room for it; the error trailers, a body that is cut off and one above 200 MB end it as an
/// error after what has come. Without a sink it is collected, up to the limit of a buffered response. Source: Lambda
/// Developer Guide, "Using the Lambda runtime API"; error bodies as AWS's Runtime Interface Emulator. Threading: the
/// loop only.
class RuntimeApi {
 public:
  enum class State {
    kStarted,    ///< the process runs its initialisation; it has not called next
    kInitError,  ///< it has posted init/error
    kReady,      ///< it waits in next
    kRunning,    ///< it has an invocation and has not answered
    kResponded,  ///< it has answered and not called next again
  };
  /// How the current invocation ended, as the runtime said.
  struct Answer {
    bool is_error = false;
    bool too_large = false;          ///< the runtime was told 413
    bool cut_off = false;            ///< the connection ended inside the response: the process is probably dying
    std::string payload;             ///< without what went to the sink
    std::size_t streamed_bytes = 0;  ///< to the sink, of a response without error
    std::string content_type;        ///< of a streamed response
    std::string error_type;          ///< header Lambda-Runtime-Function-Error-Type, or trailer
  };

  explicit RuntimeApi(Loop& loop);

  /// Whether handle() wants a request with this head before its body has come: a response that is streamed, or that may
  /// be too large to be taken. Cheap: asked for every request.
  static bool wants_arriving_body(const http::Request& head);
  /// Serves one request of the runtime.
  Async<http::Response> handle(http::Request request);

  /// Makes `invocation` the current one; a waiting `next` returns it. The state must be kReady, kResponded or kStarted
  /// (it is then fetched by the first `next`).
  void offer(NextInvocation invocation);
  /// The answer to the current invocation, once; nullopt when there is none yet.
  std::optional<Answer> take_answer();
  /// Body of init/error, kept until reset().
  const std::optional<Answer>& init_error() const { return init_error_; }
  /// Gives the current invocation up (timeout): later answers to it are refused, and a next() waits for reset().
  void abandon();
  /// For a new process: everything forgotten, waiting `next` calls of the old one end.
  void reset();
  State state() const { return state_; }
  /// Woken when the first `next`, init/error or an answer has come.
  Notifier& changed() { return changed_; }
  /// `callback` is called from inside the handler of each `next` that finds no invocation waiting.
  void on_ready(std::function<void()> callback) { on_ready_ = std::move(callback); }

 private:
  Async<http::Response> next();
  bool can_answer(std::string_view request_id) const;
  http::Response respond(http::Request request, std::string_view request_id);
  Async<http::Response> respond_by_pieces(http::Request request, std::string request_id, bool streamed);
  http::Response invalid_response_mode(std::string_view request_id);
  void finish(Answer answer);
  http::Response error(http::Request request, std::string_view request_id);
  http::Response init_error(http::Request request);

  void set_state(State state);

  State state_ = State::kStarted;
  std::uint64_t generation_ = 0;  ///< of the process; a next() of an older one ends
  std::optional<NextInvocation> current_;
  bool answered_ = false;
  bool answering_ = false;     ///< a response is arriving
  std::uint64_t arrival_ = 0;  ///< of the response that is arriving; another number: it is no longer wanted
  bool abandoned_ = false;     ///< until reset(): a next() gets nothing any more
  std::optional<Answer> answer_;
  std::optional<Answer> init_error_;
  std::function<void()> on_ready_;
  Notifier offered_;
  Notifier changed_;
};

}  // namespace lambdad::execution
