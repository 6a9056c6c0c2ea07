#include <utility>

#include "aws/event_stream.h"
#include "services/logs/handlers/common.h"

namespace lambdad::logs {

namespace api = aws::logs;

namespace {

/// A session as events: sessionStart, then a sessionUpdate every second, SessionTimeoutException at the end.
class TailEvents {
 public:
  TailEvents(std::shared_ptr<LiveTail::Session> session, api::LiveTailSessionStart start)
      : session_(std::move(session)), start_(std::move(start)) {}

  static Async<Result<std::optional<aws::Event>>> next(std::shared_ptr<TailEvents> self) {
    co_return co_await self->next_event();
  }

 private:
  Async<std::optional<aws::Event>> next_event() {
    if (start_) co_return aws::make_event("sessionStart", *std::exchange(start_, std::nullopt));
    if (session_ == nullptr) co_return std::nullopt;
    auto update = co_await session_->next();
    if (!update) {
      session_.reset();
      if (update.error().code != Errc::kTimedOut) co_return std::nullopt;
      co_return aws::make_event("SessionTimeoutException",
                                api::SessionTimeoutException{.message = "The Live Tail session has timed out."});
    }
    api::LiveTailSessionUpdate out{.session_metadata = api::LiveTailSessionMetadata{.sampled = update->sampled},
                                   .session_results = std::vector<api::LiveTailSessionLogEvent>()};
    for (LiveTail::Event& event : update->events) {
      out.session_results->push_back({.log_stream_name = std::move(event.stream),
                                      .log_group_identifier = group_arn(event.group),
                                      .message = std::move(event.message),
                                      .timestamp = event.timestamp,
                                      .ingestion_time = event.ingested});
    }
    co_return aws::make_event("sessionUpdate", std::move(out));
  }

  std::shared_ptr<LiveTail::Session> session_;  // null once it has ended
  std::optional<api::LiveTailSessionStart> start_;
};

}  // namespace

Async<Outcome<api::StartLiveTailResponse>> start_live_tail(Call call, api::StartLiveTailRequest input) {
  const bool by_stream = input.log_stream_names || input.log_stream_name_prefixes;
  if (input.log_stream_names && input.log_stream_name_prefixes) {
    co_return std::unexpected(
        api::invalid_parameter("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters."));
  }
  if (by_stream && input.log_group_identifiers.size() > 1) {
    co_return std::unexpected(api::invalid_parameter(
        "logStreamNames and logStreamNamePrefixes can only be specified with a single log group."));
  }
  LiveTail::Filter filter{.groups = {},
                          .streams = input.log_stream_names.value_or(std::vector<std::string>()),
                          .stream_prefixes = input.log_stream_name_prefixes.value_or(std::vector<std::string>()),
                          .pattern = {}};
  auto pattern = FilterPattern::parse(input.log_event_filter_pattern.value_or(""));
  if (!pattern) co_return std::unexpected(std::move(pattern.error()));
  filter.pattern = std::move(*pattern);
  for (const std::string& identifier : input.log_group_identifiers) {
    if (!identifier.starts_with("arn:")) {
      co_return std::unexpected(api::invalid_parameter("Each logGroupIdentifier must be the ARN of a log group."));
    }
    auto key = requested_group(call, std::nullopt, identifier);
    if (!key) co_return std::unexpected(std::move(key.error()));
    filter.groups.push_back(std::move(*key));
  }
  // What was printed before the session began is not part of it.
  co_await call.lines->flushed();
  for (const GroupKey& key : filter.groups) {
    const auto group = co_await call.store->group(key);
    if (!group) co_return std::unexpected(to_aws_error(call, group.error()));
    if (!*group) co_return std::unexpected(no_such_group());
  }
  auto session = call.tail->open(std::move(filter));
  if (!session) {
    co_return std::unexpected(api::limit_exceeded(
        fmt::format("The limit of {} concurrent Live Tail sessions has been reached.", kTailSessionsMax)));
  }
  api::LiveTailSessionStart start{.request_id = call.context->request_id,
                                  .session_id = call.system->random.uuid_v4(),
                                  .log_group_identifiers = std::move(input.log_group_identifiers),
                                  .log_stream_names = std::move(input.log_stream_names),
                                  .log_stream_name_prefixes = std::move(input.log_stream_name_prefixes),
                                  .log_event_filter_pattern = std::move(input.log_event_filter_pattern)};
  auto events = std::make_shared<TailEvents>(std::move(*session), std::move(start));
  call.context->events = [events] { return TailEvents::next(events); };
  co_return api::StartLiveTailResponse{};
}

}  // namespace lambdad::logs
