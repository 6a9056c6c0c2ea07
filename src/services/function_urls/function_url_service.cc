#include "services/function_urls/function_url_service.h"

#include "aws/sigv4.h"
#include "base/encoding.h"
#include "http/body_decoder.h"
#include "services/function_urls/cors.h"
#include "services/function_urls/url_response.h"

namespace lambdad::function_urls {

namespace {

using Kind = ports::InvocationOutcome::Kind;

// Largest event. Source: Lambda quotas, invocation payload of synchronous requests (6 MB).
constexpr std::size_t kEventBytesMax = 6'291'456;

http::Response problem(int status, std::string_view type, json::Value message) {
  json::Object body;
  body.append("Message", std::move(message));
  auto response = http::Response::json(status, json::serialize(json::Value(std::move(body))));
  response.headers.set("x-amzn-ErrorType", type);
  return response;
}

http::Response unknown_url() { return problem(403, "AccessDeniedException", nullptr); }

http::Response forbidden() {
  return problem(403, "AccessDeniedException",
                 "Forbidden. For troubleshooting Function URL authorization issues, see: "
                 "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html");
}

// Recorded: plain words under application/json.
http::Response bad_gateway() { return http::Response::json(502, "Internal Server Error"); }

/// The answer to an invocation without a response of the function.
http::Response no_answer(const ports::InvocationOutcome& outcome) {
  switch (outcome.kind) {
    case Kind::kFunctionError: return bad_gateway();
    case Kind::kThrottled: {
      auto response = problem(429, "TooManyRequestsException", "Rate Exceeded.");
      response.headers.set("Retry-After", "1");
      return response;
    }
    case Kind::kNoSuchFunction: return forbidden();
    case Kind::kNotReady: return problem(503, "ServiceUnavailableException", "The function is not ready yet.");
    case Kind::kRecursiveLoop:
      return problem(400, "RecursiveInvocationException", "The function was invoked in a recursive loop.");
    case Kind::kSystemError:
    case Kind::kSuccess: break;
  }
  return problem(500, "ServiceException", "Internal server error");
}

/// The bytes of a streamed response behind its head.
class StreamedBody {
 public:
  StreamedBody(std::unique_ptr<ports::ResponseStream> stream, std::string first)
      : stream_(std::move(stream)), first_(std::move(first)) {}

  static Async<Result<std::optional<std::string>>> next(std::shared_ptr<StreamedBody> self) {
    if (!self->first_.empty()) co_return std::exchange(self->first_, {});
    if (auto piece = co_await self->stream_->next()) co_return std::move(*piece);
    // A response that broke off must not look whole.
    if (!self->stream_->outcome().ok()) co_return fail(Errc::kClosed, "the function failed inside its response");
    co_return std::nullopt;
  }

 private:
  std::unique_ptr<ports::ResponseStream> stream_;
  std::string first_;
};

void send_streamed(http::Response& response, std::unique_ptr<ports::ResponseStream> stream, std::string first) {
  auto body = std::make_shared<StreamedBody>(std::move(stream), std::move(first));
  response.stream = [body] { return StreamedBody::next(body); };
}

/// A whole response of a function that streams, as far as it says what it is.
Result<http::Response> interpret_collected(ports::InvocationOutcome outcome) {
  if (outcome.content_type.empty() || equals_ignoring_case(outcome.content_type, "application/json")) {
    return interpret(outcome.payload);
  }
  http::Response response;
  if (!has_prelude(outcome.content_type)) {
    response.headers.add("content-type", outcome.content_type);
    response.body = std::move(outcome.payload);
    return response;
  }
  PreludeParser prelude;
  const std::size_t used = prelude.push(outcome.payload);
  if (prelude.state() != PreludeParser::State::kComplete) return fail(Errc::kInvalid, "the prelude");
  response = prelude.take();
  response.body = outcome.payload.substr(used);
  return response;
}

}  // namespace

FunctionUrlService::FunctionUrlService(System& system, Logger& log, Metrics& metrics, Options options,
                                       ports::FunctionCatalog& catalog, ports::FunctionInvoker& invoker,
                                       ports::StreamInvoker& stream_invoker)
    : system_(system),
      log_(log),
      metrics_(metrics),
      options_(std::move(options)),
      catalog_(catalog),
      invoker_(invoker),
      stream_invoker_(stream_invoker),
      busy_(system.loop),
      tasks_(system.loop) {
  catalog_.on_change([this](const ports::FunctionRef& function) {
    if (store_ != nullptr && !tasks_.stopping() && !function_exists(function)) drop_all(function);
  });
}

FunctionUrlService::~FunctionUrlService() = default;

Async<Result<void>> FunctionUrlService::start() {
  LD_CO_TRY(store_, UrlStore::open(system_.loop, options_.data_directory + "/function_urls.db", options_.durability));
  LD_CO_TRY(auto stored, store_->load());
  for (UrlConfig& config : stored) {
    if (function_exists(config.function)) {
      show(std::move(config));
    } else {
      // The function went just before the process did.
      LD_CO_TRY_VOID(co_await store_->remove(config.id));
    }
  }
  co_return Result<void>();
}

Async<void> FunctionUrlService::stop() {
  co_await tasks_.stop();
  if (store_) store_->close();
}

std::expected<std::optional<Caller>, http::Response> FunctionUrlService::admit(const http::Request& request,
                                                                               const UrlConfig& config) const {
  std::optional<aws::sigv4::Signature> signature;
  if (config.auth_type == AuthType::kAwsIam) {
    auto parsed = aws::sigv4::parse(request);
    if (!parsed || !*parsed || (*parsed)->service != "lambda" || (*parsed)->region != config.function.region) {
      return std::unexpected(forbidden());
    }
    signature = std::move(**parsed);
  }
  aws::CallerPtr caller;
  if (options_.admit) {
    auto admitted = options_.admit(request, signature ? &*signature : nullptr, config.function);
    if (!admitted) {
      // That permission is missing is said in the words of function URLs; what is wrong with a signature in its own.
      const bool permission = admitted.error().type == "AccessDeniedException";
      return std::unexpected(permission ? forbidden() : problem(403, admitted.error().type, admitted.error().message));
    }
    caller = std::move(*admitted);
  }
  if (!signature) return std::nullopt;
  if (caller) {
    return Caller{.access_key = signature->access_key_id,
                  .account = caller->principal.account,
                  .user_arn = caller->principal.arn,
                  .user_id = caller->user_id};
  }
  const std::string account = aws::sigv4::account_of(signature->access_key_id).value_or(options_.default_account);
  return Caller{.access_key = signature->access_key_id,
                .account = account,
                .user_arn = fmt::format("arn:aws:iam::{}:root", account),
                .user_id = account};
}

std::string FunctionUrlService::new_trace_header() {
  return fmt::format("Root=1-{:08x}-{}", to_epoch_seconds(system_.clock.wall()), system_.random.hex(24));
}

Async<http::Response> FunctionUrlService::handle(http::Request request) {
  auto host = parse_url_host(request.headers.get("Host").value_or(""));
  const auto place = host ? by_id_.find(host->id) : by_id_.end();
  if (place == by_id_.end() || place->second->function.region != host->region) co_return unknown_url();
  const ConfigPtr config = place->second;
  const std::string origin = request.headers.get_or("Origin", "");
  if (config->cors) {
    if (auto preflight = answer_preflight(*config->cors, request)) co_return std::move(*preflight);
  }
  http::Response response = co_await serve(config, std::move(*host), std::move(request));
  if (config->cors) apply_cors(*config->cors, origin.empty() ? std::nullopt : std::optional(origin), response);
  metrics_
      .counter("lambdad_function_url_requests_total", "Requests to function URLs, by status.",
               {{"function", config->function.name}, {"status", fmt::to_string(response.status)}})
      .add();
  co_return response;
}

Async<http::Response> FunctionUrlService::serve(ConfigPtr config, UrlHost host, http::Request request) {
  EventFacts facts{.host = std::move(host), .request_id = system_.random.uuid_v4(), .now = system_.clock.wall()};
  facts.trace_header = request.headers.get_or("X-Amzn-Trace-Id", "");
  if (facts.trace_header.empty()) facts.trace_header = new_trace_header();
  http::Response response;
  auto admitted = admit(request, *config);
  if (admitted) facts.caller = std::move(*admitted);
  if (!admitted) {
    response = std::move(admitted.error());
  } else if (!target_exists(config->function)) {
    response = forbidden();
  } else {
    std::string event = json::serialize(make_event(request, facts));
    request = {};
    if (event.size() > kEventBytesMax) {
      response = problem(
          413, "RequestEntityTooLargeException",
          fmt::format("Request must be smaller than {} bytes for the InvokeFunction operation", kEventBytesMax));
    } else {
      ports::InvocationRequest invocation{.function = config->function,
                                          .request_id = facts.request_id,
                                          .payload = std::move(event),
                                          .trace_header = facts.trace_header};
      response = config->streams() ? co_await run_streaming(std::move(invocation))
                                   : co_await run_buffered(std::move(invocation));
    }
  }
  response.headers.set("x-amzn-RequestId", facts.request_id);
  response.headers.set("X-Amzn-Trace-Id", facts.trace_header);
  co_return response;
}

Async<http::Response> FunctionUrlService::run_buffered(ports::InvocationRequest request) {
  auto outcome = co_await invoker_.invoke(std::move(request));
  if (!outcome.ok()) co_return no_answer(outcome);
  auto response = interpret_collected(std::move(outcome));
  co_return response ? std::move(*response) : bad_gateway();
}

Async<http::Response> FunctionUrlService::run_streaming(ports::InvocationRequest request) {
  auto stream = stream_invoker_.invoke_streaming(std::move(request));
  const ports::ResponseHead* head = co_await stream->started();
  http::Response response;
  if (head == nullptr) {
    ports::InvocationOutcome& outcome = stream->outcome();
    if (!outcome.ok()) co_return no_answer(outcome);
    // Of a function that does not stream the bytes are passed on as they are.
    response.headers.add("content-type", "application/octet-stream");
    response.body = std::move(outcome.payload);
    co_return response;
  }
  if (!has_prelude(head->content_type)) {
    response.headers.add("content-type", !head->content_type.empty() && http::is_header_value(head->content_type)
                                             ? std::string_view(head->content_type)
                                             : "application/octet-stream");
    send_streamed(response, std::move(stream), {});
    co_return response;
  }
  PreludeParser prelude;
  std::string rest;
  while (prelude.state() == PreludeParser::State::kMore) {
    auto piece = co_await stream->next();
    if (!piece) co_return bad_gateway();
    rest = piece->substr(prelude.push(*piece));
  }
  if (prelude.state() == PreludeParser::State::kMalformed) co_return bad_gateway();
  response = prelude.take();
  send_streamed(response, std::move(stream), std::move(rest));
  co_return response;
}

}  // namespace lambdad::function_urls
