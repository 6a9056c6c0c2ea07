#include <charconv>
#include <utility>

#include "base/encoding.h"
#include "services/logs/handlers/common.h"
#include "services/logs/limits.h"

namespace lambdad::logs {

namespace api = aws::logs;

namespace {

// What DescribeLogStreams goes on after: sort time and name, in base64.
std::string encode_place(std::int64_t time, const std::string& name) {
  return base64_encode(fmt::format("{}/{}", time, name));
}
std::optional<std::pair<std::int64_t, std::string>> decode_place(std::string_view token) {
  const auto text = base64_decode(token);
  if (!text) return std::nullopt;
  std::int64_t time = 0;
  const char* const end = text->data() + text->size();
  const auto [at, code] = std::from_chars(text->data(), end, time);
  if (code != std::errc{} || at == end || *at != '/') return std::nullopt;
  return std::pair{time, std::string(at + 1, end)};
}

}  // namespace

Async<Outcome<Unit>> create_log_stream(Call call, api::CreateLogStreamRequest input) {
  co_await call.lines->flushed();
  const auto created =
      co_await call.store->create_stream(group_key(call, input.log_group_name), input.log_stream_name, now_ms(call));
  if (!created) co_return std::unexpected(to_aws_error(call, created.error()));
  switch (*created) {
    case Store::Created::kNoGroup: co_return std::unexpected(no_such_group());
    case Store::Created::kExists:
      co_return std::unexpected(api::resource_already_exists("The specified log stream already exists"));
    case Store::Created::kMade: break;
  }
  co_return Unit{};
}

Async<Outcome<Unit>> delete_log_stream(Call call, api::DeleteLogStreamRequest input) {
  co_await call.lines->flushed();
  co_return finish(call,
                   co_await call.store->delete_stream(group_key(call, input.log_group_name), input.log_stream_name));
}

Async<Outcome<api::DescribeLogStreamsResponse>> describe_log_streams(Call call, api::DescribeLogStreamsRequest input) {
  auto group = requested_group(call, std::move(input.log_group_name), std::move(input.log_group_identifier));
  if (!group) co_return std::unexpected(std::move(group.error()));
  const bool by_time = input.order_by.value_or("LogStreamName") == "LastEventTime";
  if (by_time && input.log_stream_name_prefix) {
    co_return std::unexpected(api::invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix."));
  }
  const int limit = input.limit.value_or(kDescribeMax);
  Store::StreamQuery query{.group = *group,
                           .prefix = input.log_stream_name_prefix.value_or(""),
                           .order = by_time ? Store::StreamQuery::Order::kLastEvent : Store::StreamQuery::Order::kName,
                           .descending = input.descending.value_or(false),
                           .after = std::nullopt,
                           .limit = limit + 1};
  if (input.next_token) {
    query.after = decode_place(*input.next_token);
    if (!query.after) co_return std::unexpected(bad_token());
  }
  co_await call.lines->flushed();
  auto streams = co_await call.store->streams(std::move(query));
  if (!streams) co_return std::unexpected(to_aws_error(call, streams.error()));
  if (!*streams) co_return std::unexpected(no_such_group());

  api::DescribeLogStreamsResponse output;
  output.log_streams.emplace();
  if (static_cast<int>((*streams)->size()) > limit) {
    (*streams)->pop_back();
    output.next_token = encode_place(Store::sort_time((*streams)->back()), (*streams)->back().name);
  }
  for (StreamRow& stream : **streams) {
    api::LogStream shown;
    shown.arn = fmt::format("{}:log-stream:{}", group_arn(*group), stream.name);
    shown.log_stream_name = std::move(stream.name);
    shown.creation_time = stream.created_at;
    shown.first_event_timestamp = stream.first_event;
    shown.last_event_timestamp = stream.last_event;
    shown.last_ingestion_time = stream.last_ingestion;
    shown.stored_bytes = 0;  // AWS counts them only for the group since 2019
    output.log_streams->push_back(std::move(shown));
  }
  co_return output;
}

}  // namespace lambdad::logs
