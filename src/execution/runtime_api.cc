#include "execution/runtime_api.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "execution/api_error.h"

namespace lambdad::execution {

namespace {

constexpr std::string_view kBase = "/2018-06-01/runtime/";
constexpr std::string_view kResponseMode = "Lambda-Runtime-Function-Response-Mode";

http::Response invalid_request_id() { return api_error(400, "InvalidRequestID", "Invalid request ID"); }

http::Response too_large_response(std::size_t limit) {
  return api_error(413, "RequestEntityTooLarge",
                   fmt::format("Exceeded maximum allowed payload size ({} bytes).", limit));
}

RuntimeApi::Answer too_large_answer(std::size_t limit) {
  return {.is_error = true,
          .too_large = true,
          .payload = fmt::format(
              R"({{"errorMessage":"Response payload size exceeded maximum allowed payload size ({} bytes).",)"
              R"("errorType":"Function.ResponseSizeTooLarge"}})",
              limit),
          .error_type = "Function.ResponseSizeTooLarge"};
}

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

std::string shown_error_type(std::string_view reported, std::string_view otherwise) {
  const std::size_t dot = reported.find('.');
  const std::string_view origin = reported.substr(0, dot);
  const std::string_view name = dot == std::string_view::npos ? std::string_view() : reported.substr(dot + 1);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool known = (origin == "Runtime" || origin == "Function" || origin == "Sandbox" || origin == "Extension") &&
                     name.size() >= 2 && name[0] >= 'A' && name[0] <= 'Z' && std::ranges::all_of(name, is_letter);
  return std::string(known ? reported : otherwise);
}

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
    if (action == "response") {
      const auto mode = request.headers.get(kResponseMode);
      if (!mode && !request.body_stream) co_return respond(std::move(request), id);
      if (mode && !equals_ignoring_case(*mode, "streaming")) co_return invalid_response_mode(id);
      co_return co_await respond_by_pieces(std::move(request), id, mode.has_value());
    }
    if (action == "error") co_return error(std::move(request), id);
  }
  co_return api_error(404, "NotFound", "no such resource in the Runtime API");
}

Async<http::Response> RuntimeApi::next() {
  if (state_ == State::kInitError) co_return invalid_transition(name_of(state_), "Ready");
  const std::uint64_t generation = generation_;
  while (abandoned_ && generation == generation_) co_await offered_.wait();
  if (generation != generation_) co_return api_error(410, "Gone", "the environment was reset");
  // Asked again before answering: the same event once more.
  if (state_ != State::kRunning) {
    set_state(State::kReady);
    if (!current_ && on_ready_) on_ready_();
    while ((!current_ || abandoned_) && generation == generation_) co_await offered_.wait();
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

bool RuntimeApi::wants_arriving_body(const http::Request& head) {
  if (!head.target.ends_with("/response")) return false;
  for (const http::Header& field : head.headers) {
    switch (field.name.size()) {
      case kResponseMode.size():
        if (equals_ignoring_case(field.name, kResponseMode)) return true;
        break;
      case std::string_view("Transfer-Encoding").size():
        if (equals_ignoring_case(field.name, "Transfer-Encoding")) return true;
        break;
      case std::string_view("Content-Length").size():
        if (equals_ignoring_case(field.name, "Content-Length")) {
          std::size_t length = 0;
          const char* end = field.value.data() + field.value.size();
          const auto [stop, error] = std::from_chars(field.value.data(), end, length);
          if (error != std::errc() || stop != end || length > kResponseBytesMax) return true;
        }
        break;
      default: break;
    }
  }
  return false;
}

bool RuntimeApi::can_answer(std::string_view request_id) const {
  return current_ && state_ == State::kRunning && !answered_ && !answering_ && current_->request_id == request_id;
}

void RuntimeApi::finish(Answer answer) {
  answer_ = std::move(answer);
  answered_ = true;
  answering_ = false;
  current_.reset();
  set_state(State::kResponded);
}

http::Response RuntimeApi::respond(http::Request request, std::string_view request_id) {
  if (!can_answer(request_id)) return invalid_request_id();
  if (request.body.size() > kResponseBytesMax) {
    finish(too_large_answer(kResponseBytesMax));
    return too_large_response(kResponseBytesMax);
  }
  finish(Answer{.payload = std::move(request.body)});
  return api_accepted();
}

http::Response RuntimeApi::invalid_response_mode(std::string_view request_id) {
  if (!can_answer(request_id)) return invalid_request_id();
  finish(Answer{
      .is_error = true,
      .payload = R"({"errorType":"Runtime.InvalidResponseModeHeader","errorMessage":"Invalid function response mode"})",
      .error_type = "Runtime.InvalidResponseModeHeader"});
  return api_error(400, "InvalidFunctionResponseMode", "Invalid function response mode: only streaming is known");
}

Async<http::Response> RuntimeApi::respond_by_pieces(http::Request request, std::string request_id, bool streamed) {
  if (!can_answer(request_id)) co_return invalid_request_id();
  Answer answer;
  if (streamed) answer.content_type = request.headers.get_or("Content-Type", "");
  const auto sink = streamed ? current_->sink : nullptr;
  const std::size_t limit = sink ? ports::kStreamedResponseBytesMax : kResponseBytesMax;
  if (sink) sink->begin({.content_type = answer.content_type, .executed_version = current_->executed_version});
  answering_ = true;
  const std::uint64_t arrival = ++arrival_;

  http::Headers trailers = std::move(request.trailers);
  std::string piece = std::move(request.body);
  std::size_t total = 0;
  for (;;) {
    const std::size_t room = limit - total;
    const bool too_large = piece.size() > room;
    if (too_large) piece.resize(room);
    total += piece.size();
    if (sink) {
      if (!piece.empty()) co_await sink->write(std::move(piece));
      if (arrival != arrival_) co_return invalid_request_id();
    } else if (answer.payload.empty()) {
      answer.payload = std::move(piece);
    } else {
      answer.payload += piece;
    }
    if (too_large) {
      finish(too_large_answer(limit));
      // The rest of a body that is near the limit is read, so that the connection can be used again.
      std::size_t patience = sink ? 0 : 3 * limit;
      while (request.body_stream && patience > 0) {
        auto ignored = co_await request.body_stream->next();
        if (!ignored || !*ignored) break;
        patience -= std::min(patience, (*ignored)->size());
      }
      co_return too_large_response(limit);
    }
    if (!request.body_stream) break;
    auto next = co_await request.body_stream->next();
    if (arrival != arrival_) co_return invalid_request_id();
    if (!next) {
      finish(Answer{
          .is_error = true,
          .cut_off = true,
          .payload =
              R"({"errorType":"Runtime.TruncatedResponse","errorMessage":"Response was cut off before its end"})",
          .error_type = "Runtime.TruncatedResponse"});
      co_return api_error(400, "TruncatedHTTPRequest", "HTTP request detected as truncated");
    }
    if (!*next) {
      trailers = request.body_stream->trailers();
      break;
    }
    piece = std::move(**next);
  }
  if (sink) answer.streamed_bytes = total;
  // A streamed response that failed half-way says so in its trailers.
  if (const auto type = trailers.get("Lambda-Runtime-Function-Error-Type"); type && !type->empty()) {
    answer.is_error = true;
    answer.streamed_bytes = 0;
    answer.error_type = std::string(*type);
    const auto body = trailers.get("Lambda-Runtime-Function-Error-Body");
    std::string document = body ? base64_decode(*body).value_or("") : "";
    if (!document.empty()) answer.payload = std::move(document);
    answer.content_type.clear();
  }
  finish(std::move(answer));
  co_return api_accepted();
}

http::Response RuntimeApi::error(http::Request request, std::string_view request_id) {
  if (!can_answer(request_id)) return invalid_request_id();
  if (request.body.size() > kResponseBytesMax) return too_large_response(kResponseBytesMax);
  finish(Answer{.is_error = true,
                .payload = std::move(request.body),
                .error_type = request.headers.get_or("Lambda-Runtime-Function-Error-Type", "")});
  return api_accepted();
}

http::Response RuntimeApi::init_error(http::Request request) {
  if (state_ != State::kStarted) return invalid_transition(name_of(state_), "InitError");
  init_error_ = Answer{.is_error = true,
                       .payload = std::move(request.body),
                       .error_type = request.headers.get_or("Lambda-Runtime-Function-Error-Type", "")};
  set_state(State::kInitError);
  return api_accepted();
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
  answering_ = false;
  ++arrival_;
  abandoned_ = true;
}

void RuntimeApi::reset() {
  ++generation_;
  abandon();
  answered_ = false;
  abandoned_ = false;
  answer_.reset();
  init_error_.reset();
  state_ = State::kStarted;
  offered_.notify_all();
}

}  // namespace lambdad::execution
