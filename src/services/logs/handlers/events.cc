#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "services/logs/handlers/common.h"
#include "services/logs/limits.h"

namespace lambdad::logs {

namespace api = aws::logs;

namespace {

std::int64_t in_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

Outcome<void> check_batch(const std::vector<api::InputLogEvent>& events) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::int64_t size = static_cast<std::int64_t>(events[i].message.size()) + kEventOverheadBytes;
    if (size > kEventBytesMax) {
      return std::unexpected(api::invalid_parameter(
          fmt::format("Log event too large: {} bytes exceeds limit of {}", size, kEventBytesMax)));
    }
    total += size;
    if (i > 0 && events[i].timestamp < events[i - 1].timestamp) {
      return std::unexpected(
          api::invalid_parameter("Log events in a single PutLogEvents request must be in chronological order."));
    }
  }
  if (total > kBatchBytesMax) {
    return std::unexpected(
        api::invalid_parameter(fmt::format("Upload too large: {} bytes exceeds limit of {}", total, kBatchBytesMax)));
  }
  if (events.back().timestamp - events.front().timestamp > in_ms(kBatchSpanMax)) {
    return std::unexpected(api::invalid_parameter(
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."));
  }
  return {};
}

}  // namespace

Async<Outcome<api::PutLogEventsResponse>> put_log_events(Call call, api::PutLogEventsRequest input) {
  if (auto checked = check_batch(input.log_events); !checked) co_return std::unexpected(std::move(checked.error()));
  co_await call.lines->flushed();
  const GroupKey key = group_key(call, input.log_group_name);
  const auto group = co_await call.store->group(key);
  if (!group) co_return std::unexpected(to_aws_error(call, group.error()));
  if (!*group) co_return std::unexpected(no_such_group());

  // In order, so what is rejected lies at the ends.
  const std::int64_t now = now_ms(call);
  const auto index_of = [&](std::int64_t timestamp) {
    return static_cast<std::int32_t>(
        std::ranges::lower_bound(input.log_events, timestamp, {}, &api::InputLogEvent::timestamp) -
        input.log_events.begin());
  };
  const auto count = static_cast<std::int32_t>(input.log_events.size());
  const std::int32_t too_old_end = index_of(now - in_ms(kEventAgeMax));
  const std::int32_t expired_end =
      (*group)->retention_days ? index_of(now - in_ms(*(*group)->retention_days * 24h)) : 0;
  const std::int32_t too_new_start = index_of(now + in_ms(kEventAheadMax) + 1);

  api::PutLogEventsResponse output;
  if (too_old_end > 0 || expired_end > 0 || too_new_start < count) {
    auto& rejected = output.rejected_log_events_info.emplace();
    if (too_old_end > 0) rejected.too_old_log_event_end_index = too_old_end;
    if (expired_end > 0) rejected.expired_log_event_end_index = expired_end;
    if (too_new_start < count) rejected.too_new_log_event_start_index = too_new_start;
  }
  // Entities are for a console that is not here: said, as AWS says it of a group that cannot have one.
  if (input.entity) output.rejected_entity_info = api::RejectedEntityInfo{.error_type = "UnsupportedLogGroupType"};

  std::vector<NewEvent> events;
  for (std::int32_t i = std::max(too_old_end, expired_end); i < too_new_start; ++i) {
    api::InputLogEvent& event = input.log_events[static_cast<std::size_t>(i)];
    events.push_back({event.timestamp, std::move(event.message)});
  }
  std::vector<NewEvent> watched;
  if (call.tail->watches(key)) watched = events;
  const auto stored = co_await call.store->put(key, input.log_stream_name, std::move(events), now);
  if (stored == Store::Missing::kNothing) call.tail->ingested(key, input.log_stream_name, watched, now);
  if (auto done = finish(call, stored); !done) co_return std::unexpected(std::move(done.error()));
  co_return output;
}

Async<Outcome<api::GetLogEventsResponse>> get_log_events(Call call, api::GetLogEventsRequest input) {
  auto group = requested_group(call, std::move(input.log_group_name), std::move(input.log_group_identifier));
  if (!group) co_return std::unexpected(std::move(group.error()));
  std::optional<StreamToken> token;
  if (input.next_token && !(token = StreamToken::parse(*input.next_token))) co_return std::unexpected(bad_token());

  Store::EventQuery query{.group = *group,
                          .streams = {input.log_stream_name},
                          .stream_prefix = "",
                          .first = input.start_time.value_or(0),
                          // endTime itself is not included.
                          .last = input.end_time ? *input.end_time - 1 : INT64_MAX,
                          .from = std::nullopt,
                          .backward = !input.start_from_head.value_or(false),
                          .pattern = {},
                          .limit = input.limit.value_or(kAnswerEventsMax),
                          .now = now_ms(call)};
  if (token) {
    query.backward = token->direction == StreamToken::Direction::kBackward;
    query.from = token->position;
  }
  co_await call.lines->flushed();
  auto page = co_await call.store->events(std::move(query));
  if (!page) co_return std::unexpected(to_aws_error(call, page.error()));
  if (auto there = found(page->missing); !there) co_return std::unexpected(std::move(there.error()));

  api::GetLogEventsResponse output;
  output.events.emplace();
  // Without events both tokens mean the place where one was looked for. The same token again says that this is the end.
  StreamToken forward{StreamToken::Direction::kForward, token ? token->position : Position{}};
  StreamToken backward{StreamToken::Direction::kBackward, token ? token->position : Position{}};
  if (!page->events.empty()) {
    forward.position = page->events.back().position;
    backward.position = page->events.front().position;
  } else if (token && token->direction == StreamToken::Direction::kForward) {
    ++backward.position.id;  // so that going back shows the event that this token stood at
  } else if (token && forward.position.id > 0) {
    --forward.position.id;
  }
  output.next_forward_token = forward.str();
  output.next_backward_token = backward.str();
  for (EventRow& event : page->events) {
    output.events->push_back(
        {.timestamp = event.position.timestamp, .message = std::move(event.message), .ingestion_time = event.ingested});
  }
  co_return output;
}

Async<Outcome<api::FilterLogEventsResponse>> filter_log_events(Call call, api::FilterLogEventsRequest input) {
  auto group = requested_group(call, std::move(input.log_group_name), std::move(input.log_group_identifier));
  if (!group) co_return std::unexpected(std::move(group.error()));
  if (input.log_stream_names && input.log_stream_name_prefix) {
    co_return std::unexpected(
        api::invalid_parameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters."));
  }
  auto pattern = FilterPattern::parse(input.filter_pattern.value_or(""));
  if (!pattern) co_return std::unexpected(std::move(pattern.error()));

  Store::EventQuery query{.group = *group,
                          .streams = input.log_stream_names.value_or(std::vector<std::string>{}),
                          .stream_prefix = input.log_stream_name_prefix.value_or(""),
                          .first = input.start_time.value_or(0),
                          .last = input.end_time.value_or(INT64_MAX),
                          .from = std::nullopt,
                          .backward = false,
                          .pattern = std::move(*pattern),
                          .limit = input.limit.value_or(kAnswerEventsMax),
                          .now = now_ms(call)};
  if (input.next_token) {
    const auto place = base64_decode(*input.next_token);
    if (place) query.from = parse_digits(*place);
    if (!query.from) co_return std::unexpected(bad_token());
  }
  co_await call.lines->flushed();
  auto page = co_await call.store->events(std::move(query));
  if (!page) co_return std::unexpected(to_aws_error(call, page.error()));
  if (auto there = found(page->missing); !there) co_return std::unexpected(std::move(there.error()));

  api::FilterLogEventsResponse output;
  output.events.emplace();
  output.searched_log_streams.emplace();  // always empty since 2020
  if (page->stopped_at) output.next_token = base64_encode(to_digits(*page->stopped_at));
  for (EventRow& event : page->events) {
    output.events->push_back({.log_stream_name = std::move(event.stream),
                              .timestamp = event.position.timestamp,
                              .message = std::move(event.message),
                              .ingestion_time = event.ingested,
                              .event_id = to_digits(event.position)});
  }
  co_return output;
}

}  // namespace lambdad::logs
