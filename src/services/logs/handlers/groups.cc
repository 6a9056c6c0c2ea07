#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "services/logs/handlers/common.h"
#include "services/logs/limits.h"

namespace lambdad::logs {

namespace api = aws::logs;

Async<Outcome<Unit>> create_log_group(Call call, api::CreateLogGroupRequest input) {
  if (input.log_group_class.value_or("STANDARD") != "STANDARD") {
    co_return std::unexpected(aws::not_served("logs", "CreateLogGroup", "logGroupClass=" + *input.log_group_class));
  }
  if (input.deletion_protection_enabled.value_or(false)) {
    co_return std::unexpected(aws::not_served("logs", "CreateLogGroup", "deletionProtectionEnabled=true"));
  }
  if (to_lower(input.log_group_name).starts_with("aws/")) {
    co_return std::unexpected(api::invalid_parameter("Log groups starting with AWS/ are reserved for AWS."));
  }
  // What a function printed before may be about to make the group.
  co_await call.lines->flushed();
  const auto made = co_await call.store->create_group(group_key(call, input.log_group_name),
                                                      std::move(input.tags).value_or(Tags()), now_ms(call));
  if (!made) co_return std::unexpected(to_aws_error(call, made.error()));
  if (!*made) co_return std::unexpected(api::resource_already_exists("The specified log group already exists"));
  co_return Unit{};
}

Async<Outcome<Unit>> delete_log_group(Call call, api::DeleteLogGroupRequest input) {
  co_await call.lines->flushed();
  co_return finish(call, co_await call.store->delete_group(group_key(call, input.log_group_name)));
}

Async<Outcome<Unit>> put_retention_policy(Call call, api::PutRetentionPolicyRequest input) {
  if (std::ranges::find(kRetentionDays, input.retention_in_days) == std::end(kRetentionDays)) {
    co_return std::unexpected(
        api::invalid_parameter(fmt::format("'{}' is not a valid retention period", input.retention_in_days)));
  }
  co_await call.lines->flushed();
  co_return finish(call, co_await call.store->set_retention(group_key(call, input.log_group_name),
                                                            input.retention_in_days, now_ms(call)));
}

Async<Outcome<Unit>> delete_retention_policy(Call call, api::DeleteRetentionPolicyRequest input) {
  co_await call.lines->flushed();
  co_return finish(
      call, co_await call.store->set_retention(group_key(call, input.log_group_name), std::nullopt, now_ms(call)));
}

Async<Outcome<api::DescribeLogGroupsResponse>> describe_log_groups(Call call, api::DescribeLogGroupsRequest input) {
  if (input.log_group_name_prefix && input.log_group_name_pattern) {
    co_return std::unexpected(
        api::invalid_parameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
  }
  api::DescribeLogGroupsResponse output;
  output.log_groups.emplace();
  if (input.log_group_class.value_or("STANDARD") != "STANDARD") co_return output;

  const int limit = input.limit.value_or(kDescribeMax);
  Store::GroupQuery query{.account = call.context->account,
                          .region = call.context->region,
                          .prefix = input.log_group_name_prefix.value_or(""),
                          .substring = input.log_group_name_pattern.value_or(""),
                          .after = "",
                          .limit = limit + 1};
  if (input.next_token) {
    auto after = base64_decode(*input.next_token);
    if (!after || after->empty()) co_return std::unexpected(bad_token());
    query.after = std::move(*after);
  }
  co_await call.lines->flushed();
  auto groups = co_await call.store->groups(std::move(query));
  if (!groups) co_return std::unexpected(to_aws_error(call, groups.error()));
  if (static_cast<int>(groups->size()) > limit) {
    groups->pop_back();
    output.next_token = base64_encode(groups->back().key.name);
  }
  for (GroupRow& group : *groups) {
    api::LogGroup shown;
    shown.log_group_arn = group_arn(group.key);
    shown.arn = *shown.log_group_arn + ":*";
    shown.log_group_name = std::move(group.key.name);
    shown.creation_time = group.created_at;
    shown.retention_in_days = group.retention_days;
    shown.metric_filter_count = 0;
    shown.stored_bytes = group.stored_bytes;
    shown.log_group_class = "STANDARD";
    output.log_groups->push_back(std::move(shown));
  }
  co_return output;
}

}  // namespace lambdad::logs
