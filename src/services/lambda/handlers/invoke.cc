#include "base/encoding.h"
#include "ports/throttle.h"
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {
namespace {

aws::Outcome<std::string> decode_client_context(const std::optional<std::string>& encoded) {
  if (!encoded || encoded->empty()) return std::string();
  if (encoded->size() > kClientContextBytesMax) {
    return std::unexpected(api::invalid_request_content(
        fmt::format("Client context must not be longer than {} bytes of Base64 text.", kClientContextBytesMax)));
  }
  auto decoded = base64_decode(*encoded);
  if (!decoded || !json::validate(*decoded)) {
    return std::unexpected(api::invalid_request_content("Client context must be a valid Base64-encoded JSON object."));
  }
  return *decoded;
}

aws::Outcome<void> check_payload_size(std::size_t size, const std::string& invocation_type) {
  const std::size_t limit = invocation_type == "Event" ? kEventPayloadBytesMax : kSyncPayloadBytesMax;
  if (size <= limit) return {};
  return std::unexpected(api::request_too_large(fmt::format(
      "{} byte payload is too large for the {} invocation type (limit {} bytes)", size, invocation_type, limit)));
}

aws::Outcome<void> check_json(const std::string& payload) {
  if (payload.empty()) return {};
  if (auto valid = json::validate(payload); !valid) {
    return std::unexpected(api::invalid_request_content(fmt::format(
        "Could not parse request body into json: Could not parse payload into json: {}", valid.error().detail)));
  }
  return {};
}

aws::Error resolve_error(ports::FunctionRef function, ports::ResolveFailure failure) {
  switch (failure) {
    case ports::ResolveFailure::kNoSuchFunction:
      // Recorded: Invoke names the version it looked for.
      if (function.qualifier.empty()) function.qualifier = "$LATEST";
      return function_not_found(function);
    case ports::ResolveFailure::kPending:
    case ports::ResolveFailure::kFailed: break;
  }
  return api::resource_conflict(fmt::format(
      "The operation cannot be performed at this time. The function is currently in the following state: {}",
      failure == ports::ResolveFailure::kPending ? "Pending" : "Failed"));
}

aws::Error throttled(ports::ThrottleReason reason) {
  aws::Error error = api::too_many_requests("Rate Exceeded.");
  error.members.set("Reason", ports::to_string(reason));
  // Recorded: this one comes without a Type.
  if (reason == ports::ThrottleReason::kConcurrentInvocationLimit) error.has_type_member = false;
  error.retry_after = "1";
  return error;
}

}  // namespace

// The order of the checks is what clients can see: size, existence, state, JSON, concurrency (reference B.1).
aws::Outcome<ports::InvocationRequest> check_invocation(Lambda& lambda, const aws::RequestContext& context,
                                                        InvocationInput in) {
  auto ref = function_ref(context, in.function_name, in.qualifier);
  if (!ref) return std::unexpected(std::move(ref.error()));
  if (auto size = check_payload_size(in.payload.size(), in.type); !size)
    return std::unexpected(std::move(size.error()));
  if (auto version = lambda.functions.resolve(*ref); !version) {
    return std::unexpected(resolve_error(*ref, version.error()));
  }
  if (auto valid = check_json(in.payload); !valid) return std::unexpected(std::move(valid.error()));
  auto client_context = in.type == "RequestResponse" ? decode_client_context(in.client_context) : std::string();
  if (!client_context) return std::unexpected(std::move(client_context.error()));
  return ports::InvocationRequest{.function = std::move(*ref),
                                  .request_id = context.request_id,
                                  .payload = std::move(in.payload),
                                  .client_context = std::move(*client_context),
                                  .trace_header = context.headers.get_or("X-Amzn-Trace-Id", "")};
}

void answer_trace(const Lambda& lambda, aws::RequestContext& context, ports::InvocationRequest& request) {
  std::string& header = request.trace_header;
  if (!header.contains("Root=")) {
    header = fmt::format("Root=1-{:08x}-{}{}{}", to_epoch_seconds(lambda.system.clock.wall()),
                         lambda.system.random.hex(24), header.empty() ? "" : ";", header);
  }
  context.response_headers.set("X-Amzn-Trace-Id", header);
}

aws::Error invocation_failure(Lambda& lambda, const aws::RequestContext& context, const ports::FunctionRef& function,
                              const ports::InvocationOutcome& outcome) {
  using Kind = ports::InvocationOutcome::Kind;
  switch (outcome.kind) {
    case Kind::kThrottled: return throttled(outcome.throttle_reason);
    case Kind::kNoSuchFunction: return resolve_error(function, ports::ResolveFailure::kNoSuchFunction);
    case Kind::kNotReady: return resolve_error(function, outcome.resolve_failure);
    case Kind::kRecursiveLoop:
      return api::recursive_invocation(
          "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped "
          "your "
          "function's invocation.");
    case Kind::kSystemError:
    case Kind::kFunctionError:
    case Kind::kSuccess: break;
  }
  return service_failure(lambda, context, Error{Errc::kInternal, "invoking: " + outcome.detail});
}

Reply<api::InvocationResponse> invoke(Lambda* lambda, aws::RequestContext* context, api::InvocationRequest in) {
  const std::string type = in.invocation_type.value_or("RequestResponse");
  auto request = check_invocation(*lambda, *context,
                                  {.function_name = std::move(in.function_name),
                                   .qualifier = std::move(in.qualifier),
                                   .type = type,
                                   .payload = std::move(in.payload).value_or(""),
                                   .client_context = std::move(in.client_context)});
  if (!request) co_return std::unexpected(std::move(request.error()));
  answer_trace(*lambda, *context, *request);
  if (type == "DryRun") co_return api::InvocationResponse{.status_code = 204};
  if (lambda->invoker == nullptr) {
    co_return std::unexpected(service_failure(*lambda, *context, Error{Errc::kUnavailable, "no invoker yet"}));
  }
  if (type == "Event") {
    request->plane = ports::Plane::kAsync;
    if (request->payload.empty()) request->payload = "{}";  // what the function, and a dead-letter queue, will see
    auto accepted = co_await lambda->invoker->enqueue(std::move(*request));
    if (!accepted) co_return std::unexpected(service_failure(*lambda, *context, accepted.error()));
    co_return api::InvocationResponse{.status_code = 202};
  }
  const bool want_log_tail = in.log_type.value_or("None") == "Tail";
  request->want_log_tail = want_log_tail;
  const ports::FunctionRef function = request->function;
  auto outcome = co_await lambda->invoker->invoke(std::move(*request));
  if (!outcome.has_answer()) co_return std::unexpected(invocation_failure(*lambda, *context, function, outcome));
  api::InvocationResponse out;
  if (!outcome.ok()) out.function_error = "Unhandled";
  out.status_code = 200;
  out.payload = std::move(outcome.payload);
  out.executed_version = std::move(outcome.executed_version);
  if (want_log_tail) out.log_result = base64_encode(outcome.log_tail);
  co_return out;
}

Reply<api::InvokeAsyncResponse> invoke_async(Lambda* lambda, aws::RequestContext* context, api::InvokeAsyncRequest in) {
  if (in.invoke_args.size() > kInvokeAsyncBytesMax) {
    co_return std::unexpected(api::request_too_large(
        fmt::format("{} byte payload is too large for the Event invocation type (limit {} bytes)",
                    in.invoke_args.size(), kInvokeAsyncBytesMax)));
  }
  api::InvocationRequest event;
  event.function_name = std::move(in.function_name);
  event.invocation_type = "Event";
  event.payload = std::move(in.invoke_args);
  auto accepted = co_await invoke(lambda, context, std::move(event));
  if (!accepted) co_return std::unexpected(std::move(accepted.error()));
  co_return api::InvokeAsyncResponse{.status = 202};
}

}  // namespace lambdad::lambda
