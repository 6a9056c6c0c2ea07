#include "execution/runtime_api.h"

#include "base/encoding.h"
#include "base/json.h"

namespace lambdad::execution {

namespace {

constexpr std::string_view kBase = "/2018-06-01/runtime/";

http::Response api_error(int status, std::string_view type, std::string_view message) {
  json::Object body;
  body.append("errorMessage", json::Value(message));
  body.append("errorType", json::Value(type));
  return http::Response::json(status, json::serialize(json::Value(std::move(body))));
}

http::Response accepted() { return http::Response::json(202, "{\"status\":\"OK\"}\n"); }

http::Response invalid_transition(std::string_view from, std::string_view to) {
  return api_error(
      403, "InvalidStateTransition",
      fmt::format("State transition from {} to {} failed for runtime. Error: State transition is not allowed", from,
                  to));
}

std::string_view name_of(RuntimeApi::State state) {
  switch (state) {
    case RuntimeApi::State::kStarted: return "RuntimeStarted";
    case RuntimeApi::State::kInitError: return "RuntimeInitError";
    case RuntimeApi::State::kReady: return "RuntimeReady";
    case RuntimeApi::State::kRunning: return "RuntimeRunning";
    case RuntimeApi::State::kResponded: return "RuntimeResponseSent";
  }
  return "Unknown";
}

}  // namespace

RuntimeApi::RuntimeApi(Loop& loop) : offered_(loop), changed_(loop) {}

void RuntimeApi::set_state(State state) {
  const State before = std::exchange(state_, state);
  // Nobody waits for the rest, and each waking costs a turn of the loop.
  if (state == State::kResponded || state == State::kInitError || before == State::kStarted) changed_.notify_all();
}

Async<http::Response> RuntimeApi::handle(http::Request request) {
  std::string_view path = request.path();
  if (path == "/ping" && request.method == "GET") co_return http::Response::text(200, "pong");
  if (!path.starts_with(kBase)) co_return api_error(404, "NotFound", "no such resource in the Runtime API");
  path.remove_prefix(kBase.size());
  const bool is_post = request.method == "POST";

  if (path == "invocation/next") {
    if (request.method != "GET") co_return api_error(405, "MethodNotAllowed", "use GET");
    co_return co_await next();
  }
  if (path == "init/error" && is_post) co_return init_error(std::move(request));
  if (path == "restore/next" || path == "restore/error") {
    co_return api_error(403, "InvalidStateTransition", "this environment was not restored from a snapshot");
  }
  constexpr std::string_view kInvocation = "invocation/";
  if (path.starts_with(kInvocation) && is_post) {
    path.remove_prefix(kInvocation.size());
    const std::size_t slash = path.find('/');
    const std::string id(path.substr(0, slash));
    const std::string action(slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1));
    if (action == "response") co_return respond(std::move(request), id);
    if (action == "error") co_return error(std::move(request), id);
  }
  co_return api_error(404, "NotFound", "no such resource in the Runtime API");
}

Async<http::Response> RuntimeApi::next() {
  if (state_ == State::kInitError) co_return invalid_transition(name_of(state_), "Ready");
  const std::uint64_t generation = generation_;
  // Asked again before answering: the same event once more.
  if (state_ != State::kRunning) {
    set_state(State::kReady);
    if (!current_ && on_ready_) on_ready_();
    while (!current_ && generation == generation_) co_await offered_.wait();
    if (generation != generation_) co_return api_error(410, "Gone", "the environment was reset");
    set_state(State::kRunning);
  }
  const NextInvocation& invocation = *current_;
  http::Response response;
  response.headers.add("Content-Type", "application/json");
  response.headers.add("Lambda-Runtime-Aws-Request-Id", invocation.request_id);
  response.headers.add("Lambda-Runtime-Deadline-Ms", std::to_string(invocation.deadline_epoch_ms));
  response.headers.add("Lambda-Runtime-Invoked-Function-Arn", invocation.invoked_function_arn);
  if (!invocation.trace_id.empty()) response.headers.add("Lambda-Runtime-Trace-Id", invocation.trace_id);
  if (!invocation.client_context.empty()) {
    response.headers.add("Lambda-Runtime-Client-Context", invocation.client_context);
  }
  if (!invocation.cognito_identity.empty()) {
    response.headers.add("Lambda-Runtime-Cognito-Identity", invocation.cognito_identity);
  }
  response.body = invocation.payload;
  co_return response;
}

http::Response RuntimeApi::respond(http::Request request, std::string_view request_id) {
  if (!current_ || state_ != State::kRunning || answered_ || current_->request_id != request_id) {
    return api_error(400, "InvalidRequestID", "Invalid request ID");
  }
  if (const auto mode = request.headers.get("Lambda-Runtime-Function-Response-Mode");
      mode && !equals_ignoring_case(*mode, "streaming")) {
    return api_error(400, "InvalidFunctionResponseMode", "Invalid function response mode: only streaming is known");
  }
  Answer answer;
  http::Response response = accepted();
  // A streamed response that failed half-way says so in its trailers; a buffered caller sees the error.
  const auto trailer_type = request.trailers.get("Lambda-Runtime-Function-Error-Type");
  if (request.body.size() > kResponseBytesMax) {
    answer.is_error = true;
    answer.too_large = true;
    answer.error_type = "Function.ResponseSizeTooLarge";
    answer.payload =
        fmt::format(R"({{"errorMessage":"Response payload size exceeded maximum allowed payload size ({} bytes).",)"
                    R"("errorType":"Function.ResponseSizeTooLarge"}})",
                    kResponseBytesMax);
    response = api_error(413, "RequestEntityTooLarge",
                         fmt::format("Exceeded maximum allowed payload size ({} bytes).", kResponseBytesMax));
  } else if (trailer_type && !trailer_type->empty()) {
    answer.is_error = true;
    answer.error_type = std::string(*trailer_type);
    const auto body = request.trailers.get("Lambda-Runtime-Function-Error-Body");
    answer.payload = body ? base64_decode(*body).value_or("") : "";
    if (answer.payload.empty()) answer.payload = std::move(request.body);
  } else {
    answer.payload = std::move(request.body);
  }
  answer_ = std::move(answer);
  answered_ = true;
  current_.reset();
  set_state(State::kResponded);
  return response;
}

http::Response RuntimeApi::error(http::Request request, std::string_view request_id) {
  if (!current_ || state_ != State::kRunning || answered_ || current_->request_id != request_id) {
    return api_error(400, "InvalidRequestID", "Invalid request ID");
  }
  if (request.body.size() > kResponseBytesMax) {
    return api_error(413, "RequestEntityTooLarge",
                     fmt::format("Exceeded maximum allowed payload size ({} bytes).", kResponseBytesMax));
  }
  answer_ = Answer{.is_error = true,
                   .payload = std::move(request.body),
                   .error_type = request.headers.get_or("Lambda-Runtime-Function-Error-Type", "")};
  answered_ = true;
  current_.reset();
  set_state(State::kResponded);
  return accepted();
}

http::Response RuntimeApi::init_error(http::Request request) {
  if (state_ != State::kStarted) return invalid_transition(name_of(state_), "InitError");
  init_error_ = Answer{.is_error = true,
                       .payload = std::move(request.body),
                       .error_type = request.headers.get_or("Lambda-Runtime-Function-Error-Type", "")};
  set_state(State::kInitError);
  return accepted();
}

void RuntimeApi::offer(NextInvocation invocation) {
  LD_CHECK(!current_, "an invocation is offered while {} runs", current_->request_id);
  LD_CHECK(state_ != State::kRunning && state_ != State::kInitError, "offered in state {}", name_of(state_));
  current_ = std::move(invocation);
  answered_ = false;
  answer_.reset();
  offered_.notify_one();
}

std::optional<RuntimeApi::Answer> RuntimeApi::take_answer() { return std::exchange(answer_, std::nullopt); }

void RuntimeApi::abandon() {
  current_.reset();
  answered_ = true;
}

void RuntimeApi::reset() {
  ++generation_;
  current_.reset();
  answered_ = false;
  answer_.reset();
  init_error_.reset();
  state_ = State::kStarted;
  offered_.notify_all();
}

}  // namespace lambdad::execution
