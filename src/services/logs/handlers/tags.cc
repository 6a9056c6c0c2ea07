#include "services/logs/handlers/common.h"
#include "services/logs/limits.h"

namespace lambdad::logs {

namespace api = aws::logs;

namespace {

// Of the resources that can be tagged on AWS, lambdad has log groups.
Outcome<GroupKey> tagged_group(const Call& call, const std::string& arn) {
  if (!arn.starts_with("arn:")) return std::unexpected(api::invalid_parameter("Invalid resourceArn: " + arn));
  return requested_group(call, std::nullopt, arn);
}

Async<Outcome<Unit>> tag(Call call, GroupKey group, Tags tags, bool by_arn) {
  for (const auto& [name, value] : tags) {
    if (name.starts_with("aws:")) {
      co_return std::unexpected(
          api::invalid_parameter("aws: prefixed tag key names are not allowed for external use."));
    }
  }
  co_await call.lines->flushed();
  const auto tagged = co_await call.store->tag_group(std::move(group), std::move(tags));
  if (!tagged) co_return std::unexpected(to_aws_error(call, tagged.error()));
  if (*tagged == Store::Tagged::kNoGroup) co_return std::unexpected(no_such_group());
  if (*tagged == Store::Tagged::kTooMany) {
    const std::string text = fmt::format("A log group can have at most {} tags.", kTagsMax);
    co_return std::unexpected(by_arn ? api::too_many_tags(text) : api::invalid_parameter(text));
  }
  co_return Unit{};
}

Async<Outcome<Tags>> list(Call call, GroupKey group) {
  co_await call.lines->flushed();
  auto tags = co_await call.store->tags(std::move(group));
  if (!tags) co_return std::unexpected(to_aws_error(call, tags.error()));
  if (!*tags) co_return std::unexpected(no_such_group());
  co_return std::move(**tags);
}

}  // namespace

Async<Outcome<Unit>> tag_resource(Call call, api::TagResourceRequest input) {
  auto group = tagged_group(call, input.resource_arn);
  if (!group) co_return std::unexpected(std::move(group).error());
  co_return co_await tag(call, std::move(*group), std::move(input.tags), true);
}

Async<Outcome<Unit>> untag_resource(Call call, api::UntagResourceRequest input) {
  auto group = tagged_group(call, input.resource_arn);
  if (!group) co_return std::unexpected(std::move(group).error());
  co_await call.lines->flushed();
  co_return finish(call, co_await call.store->untag_group(std::move(*group), std::move(input.tag_keys)));
}

Async<Outcome<api::ListTagsForResourceResponse>> list_tags_for_resource(Call call,
                                                                        api::ListTagsForResourceRequest input) {
  auto group = tagged_group(call, input.resource_arn);
  if (!group) co_return std::unexpected(std::move(group).error());
  auto tags = co_await list(call, std::move(*group));
  if (!tags) co_return std::unexpected(std::move(tags).error());
  co_return api::ListTagsForResourceResponse{.tags = std::move(*tags)};
}

Async<Outcome<Unit>> tag_log_group(Call call, api::TagLogGroupRequest input) {
  co_return co_await tag(call, group_key(call, std::move(input.log_group_name)), std::move(input.tags), false);
}

Async<Outcome<Unit>> untag_log_group(Call call, api::UntagLogGroupRequest input) {
  co_await call.lines->flushed();
  co_return finish(
      call, co_await call.store->untag_group(group_key(call, std::move(input.log_group_name)), std::move(input.tags)));
}

Async<Outcome<api::ListTagsLogGroupResponse>> list_tags_log_group(Call call, api::ListTagsLogGroupRequest input) {
  auto tags = co_await list(call, group_key(call, std::move(input.log_group_name)));
  if (!tags) co_return std::unexpected(std::move(tags).error());
  co_return api::ListTagsLogGroupResponse{.tags = std::move(*tags)};
}

}  // namespace lambdad::logs
