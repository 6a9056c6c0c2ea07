#include "daemon/remote_api_caller.h"

#include <charconv>

namespace lambdad::daemon {

namespace {

constexpr std::string_view kHttp = "http://";

aws::Error unreachable(const RemoteEndpoint& endpoint, std::string_view why) {
  aws::Error error = aws::internal_failure();
  error.message = fmt::format("{} does not answer: {}", endpoint.authority(), why);
  return error;
}

const std::string* text_member(const json::Value& document, std::string_view name) {
  const json::Value* value = document.find(name);
  return value == nullptr ? nullptr : value->if_string();
}

// "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"
aws::Error error_of(const http::Response& response) {
  aws::Error error = aws::internal_failure();
  error.http_status = response.status;
  error.fault = response.status < 500 ? aws::Fault::kClient : aws::Fault::kServer;
  if (const auto document = json::parse(response.body)) {
    if (const std::string* type = text_member(*document, "__type")) error.type = type->substr(type->rfind('#') + 1);
    for (const char* name : {"message", "Message"}) {
      if (const std::string* message = text_member(*document, name)) error.message = *message;
    }
  }
  if (const auto code = response.headers.get("x-amzn-query-error")) {
    error.query_code = std::string(code->substr(0, code->find(';')));
  }
  return error;
}

}  // namespace

Result<RemoteEndpoint> RemoteEndpoint::parse(std::string_view text) {
  if (text.starts_with("https://")) {
    return fail(Errc::kInvalid, "'{}': endpoints with TLS are not served yet; use http://HOST:PORT", text);
  }
  std::string_view rest = text;
  if (!rest.starts_with(kHttp)) return fail(Errc::kInvalid, "'{}' is not http://HOST:PORT", text);
  rest.remove_prefix(kHttp.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  RemoteEndpoint endpoint;
  if (colon != std::string_view::npos) {
    const std::string_view digits = rest.substr(colon + 1);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
    if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size()) endpoint.port = 0;
  }
  if (endpoint.port == 0 || colon == 0) return fail(Errc::kInvalid, "'{}' is not http://HOST:PORT", text);
  endpoint.host = std::string(rest.substr(0, colon));
  return endpoint;
}

RemoteApiCaller::RemoteApiCaller(System& system, ports::ApiCaller& local,
                                 std::map<std::string, RemoteEndpoint> endpoints,
                                 std::optional<aws::sigv4::Credentials> credentials)
    : system_(system),
      local_(local),
      endpoints_(std::move(endpoints)),
      credentials_(std::move(credentials)),
      client_(system.loop, system.host_clock) {}

Async<aws::Outcome<json::Value>> RemoteApiCaller::call(Call call) {
  const auto endpoint = endpoints_.find(call.account);
  if (endpoint == endpoints_.end()) return local_.call(std::move(call));
  return send(endpoint->second, std::move(call));
}

Async<aws::Outcome<json::Value>> RemoteApiCaller::send(RemoteEndpoint endpoint, Call call) {
  if (call.service != "sqs") {
    co_return std::unexpected(aws::not_served(call.service, call.operation, "calls to another endpoint"));
  }
  http::Request request;
  request.method = "POST";
  request.target = "/";
  request.headers.set("Host", endpoint.authority());
  request.headers.set("Content-Type", "application/x-amz-json-1.0");
  request.headers.set("X-Amz-Target", "AmazonSQS." + call.operation);
  request.body = json::serialize(call.input);
  const aws::sigv4::Credentials by_account{
      .access_key_id = call.account, .secret_access_key = "lambdad", .session_token = {}};
  // The time of the world outside: users may have moved ours.
  aws::sigv4::sign(request, credentials_.value_or(by_account), call.region, "sqs", system_.host_clock.wall());
  auto response = co_await client_.send(endpoint.host, endpoint.port, std::move(request));
  if (!response) co_return std::unexpected(unreachable(endpoint, response.error().detail));
  if (response->status != 200) co_return std::unexpected(error_of(*response));
  if (response->body.empty()) co_return json::Value(json::Object{});
  auto document = json::parse(response->body);
  if (!document) co_return std::unexpected(unreachable(endpoint, document.error().detail));
  co_return std::move(*document);
}

}  // namespace lambdad::daemon
