#include "aws/event_stream.h"
#include "base/encoding.h"
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {
namespace {

// A response that was not streamed is sent in chunks of this size.
constexpr std::size_t kChunkBytes = 256 * 1024;

/// An invocation as events: its bytes as PayloadChunk, then InvokeComplete.
class InvocationEvents {
 public:
  enum class LogTail { kNone, kWanted };
  InvocationEvents(std::unique_ptr<ports::ResponseStream> stream, LogTail log_tail)
      : stream_(std::move(stream)), log_tail_(log_tail) {}

  static Async<Result<std::optional<aws::Event>>> next(std::shared_ptr<InvocationEvents> self) {
    co_return co_await self->next_event();
  }

 private:
  static aws::Event chunk(std::string bytes) {
    return aws::make_event("PayloadChunk", api::InvokeResponseStreamUpdate{.payload = std::move(bytes)});
  }

  Async<std::optional<aws::Event>> next_event() {
    if (stream_ == nullptr) co_return std::nullopt;
    if (auto bytes = co_await stream_->next()) co_return chunk(std::move(*bytes));
    ports::InvocationOutcome& outcome = stream_->outcome();
    // What was not streamed.
    if (outcome.ok() && sent_ < outcome.payload.size()) {
      std::string bytes = outcome.payload.substr(sent_, kChunkBytes);
      sent_ += bytes.size();
      co_return chunk(std::move(bytes));
    }
    api::InvokeWithResponseStreamCompleteEvent complete;
    if (!outcome.ok()) {
      complete.error_code = outcome.has_answer() ? outcome.error_type : "ServiceException";
      complete.error_details = std::move(outcome.payload);
    }
    if (log_tail_ == LogTail::kWanted) complete.log_result = base64_encode(outcome.log_tail);
    stream_.reset();
    co_return aws::make_event("InvokeComplete", std::move(complete));
  }

  std::unique_ptr<ports::ResponseStream> stream_;  // null once everything was said
  const LogTail log_tail_;
  std::size_t sent_ = 0;  // of the outcome's payload
};

}  // namespace

Reply<api::InvokeWithResponseStreamResponse> invoke_with_response_stream(Lambda* lambda, aws::RequestContext* context,
                                                                         api::InvokeWithResponseStreamRequest in) {
  const std::string type = in.invocation_type.value_or("RequestResponse");
  auto request = check_invocation(*lambda, *context,
                                  {.function_name = std::move(in.function_name),
                                   .qualifier = std::move(in.qualifier),
                                   .type = type,
                                   .payload = std::move(in.payload).value_or(""),
                                   .client_context = std::move(in.client_context)});
  if (!request) co_return std::unexpected(std::move(request.error()));
  answer_trace(*lambda, *context, *request);
  if (type == "DryRun") co_return api::InvokeWithResponseStreamResponse{.status_code = 204};
  if (lambda->stream_invoker == nullptr) {
    co_return std::unexpected(service_failure(*lambda, *context, Error{Errc::kUnavailable, "no invoker yet"}));
  }
  const auto log_tail =
      in.log_type.value_or("None") == "Tail" ? InvocationEvents::LogTail::kWanted : InvocationEvents::LogTail::kNone;
  request->want_log_tail = log_tail == InvocationEvents::LogTail::kWanted;
  const ports::FunctionRef function = request->function;
  auto stream = lambda->stream_invoker->invoke_streaming(std::move(*request));
  const ports::ResponseHead* head = co_await stream->started();
  if (head == nullptr && !stream->outcome().has_answer()) {
    co_return std::unexpected(invocation_failure(*lambda, *context, function, stream->outcome()));
  }
  api::InvokeWithResponseStreamResponse out;
  out.status_code = 200;
  out.executed_version = head != nullptr ? head->executed_version : stream->outcome().executed_version;
  auto events = std::make_shared<InvocationEvents>(std::move(stream), log_tail);
  context->events = [events] { return InvocationEvents::next(events); };
  co_return out;
}

}  // namespace lambdad::lambda
