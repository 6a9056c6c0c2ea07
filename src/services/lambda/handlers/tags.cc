// TagResource, UntagResource, ListTags: of functions, and of what the daemon connected besides (ports/tags.h).
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/settings.h"

namespace lambdad::lambda {
namespace {

aws::Outcome<ports::FunctionRef> tagged_function(const aws::RequestContext& context, const std::string& resource) {
  const auto arn = FunctionArn::parse(resource);
  if (!arn) {
    return std::unexpected(aws::not_served("lambda", context.operation, "Resource that is no function"));
  }
  if (!arn->qualifier.empty()) {
    return std::unexpected(api::invalid_parameter_value(
        "Tags on function aliases and versions are not supported. Please specify a function ARN."));
  }
  return function_ref(context, resource);
}

/// Stores the function with other tags, which is a new revision (recorded).
Reply<aws::Unit> commit_tags(Lambda* lambda, aws::RequestContext* context, Function function) {
  function.revision_id = lambda->functions.new_revision();
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

bool kept_elsewhere(const Lambda& lambda, const std::string& resource) {
  return lambda.tagged != nullptr && lambda.tagged->owns(resource);
}

Reply<aws::Unit> change_elsewhere(Lambda* lambda, std::string resource, ports::TaggedResources::Tags set,
                                  std::vector<std::string> remove) {
  auto changed = co_await lambda->tagged->change_tags(std::move(resource), std::move(set), std::move(remove));
  if (!changed) co_return std::unexpected(std::move(changed.error()));
  co_return aws::Unit{};
}

}  // namespace

Reply<aws::Unit> tag_resource(Lambda* lambda, aws::RequestContext* context, api::TagResourceRequest in) {
  if (kept_elsewhere(*lambda, in.resource)) {
    co_return co_await change_elsewhere(lambda, std::move(in.resource), std::move(in.tags), {});
  }
  auto ref = tagged_function(*context, in.resource);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (in.tags.empty()) {
    co_return std::unexpected(api::invalid_parameter_value("An error occurred and the request cannot be processed."));
  }
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  for (auto& [key, value] : in.tags) function.tags[key] = std::move(value);
  if (auto count = check_tags(function.tags); !count) co_return std::unexpected(std::move(count.error()));
  co_return co_await commit_tags(lambda, context, std::move(function));
}

Reply<aws::Unit> untag_resource(Lambda* lambda, aws::RequestContext* context, api::UntagResourceRequest in) {
  if (kept_elsewhere(*lambda, in.resource)) {
    co_return co_await change_elsewhere(lambda, std::move(in.resource), {}, std::move(in.tag_keys));
  }
  auto ref = tagged_function(*context, in.resource);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  for (const std::string& key : in.tag_keys) function.tags.erase(key);
  co_return co_await commit_tags(lambda, context, std::move(function));
}

Reply<api::ListTagsResponse> list_tags(Lambda* lambda, aws::RequestContext* context, api::ListTagsRequest in) {
  if (kept_elsewhere(*lambda, in.resource)) {
    auto tags = lambda->tagged->tags(in.resource);
    if (!tags) co_return std::unexpected(std::move(tags.error()));
    co_return api::ListTagsResponse{.tags = std::move(*tags)};
  }
  auto ref = tagged_function(*context, in.resource);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_return api::ListTagsResponse{.tags = (*found)->tags};
}

}  // namespace lambdad::lambda
