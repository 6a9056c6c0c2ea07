#include <algorithm>

#include "base/arn.h"
#include "services/iam/handlers/handlers.h"

namespace lambdad::iam {

Async<KeyedMutex::Guard> lock(Iam* iam, Context context) { return iam->busy.acquire(context->account); }

aws::Outcome<Directory::EntityPtr> find(const Iam& iam, Context context, Kind kind, const std::string& name) {
  if (auto found = iam.directory.find(kind, context->account, name)) return found;
  return std::unexpected(
      api::no_such_entity(fmt::format("The {} with name {} cannot be found.", to_string(kind), name)));
}

aws::Outcome<Directory::PolicyPtr> find_policy(const Iam& iam, Context context, const std::string& arn) {
  if (auto found = iam.directory.find_policy(context->account, arn)) return found;
  return std::unexpected(api::no_such_entity(fmt::format("Policy {} was not found.", arn)));
}

aws::Outcome<void> check_new(const Iam& iam, Context context, Kind kind, const std::string& name) {
  if (!iam.directory.find(kind, context->account, name)) return {};
  const std::string_view what = kind == Kind::kUser ? "User" : kind == Kind::kGroup ? "Group" : "Role";
  return std::unexpected(api::entity_already_exists(fmt::format("{} with name {} already exists.", what, name)));
}

aws::Error failure(const Iam& iam, Context context, const Error& cause) {
  iam.log.error("iam_request_failed", {{"operation", context->operation},
                                       {"request_id", context->request_id},
                                       {"code", to_string(cause.code)},
                                       {"error", cause.detail}});
  return api::service_failure("The request processing has failed because of an unknown error.");
}

Reply<aws::Unit> commit(Iam* iam, Context context, Directory::Change change) {
  if (auto done = co_await iam->directory.commit(std::move(change)); !done) {
    co_return std::unexpected(failure(*iam, context, done.error()));
  }
  co_return aws::Unit{};
}

Reply<aws::Unit> commit(Iam* iam, Context context, Entity entity) {
  Directory::Change change;
  change.entities.push_back(std::move(entity));
  co_return co_await commit(iam, context, std::move(change));
}

WallTime now(const Iam& iam) { return std::chrono::floor<std::chrono::seconds>(iam.system.clock.wall()); }

aws::Outcome<void> check_policy(const std::string& document, policy::Kind kind) {
  auto read = policy::parse(document, kind);
  if (read) return {};
  return std::unexpected(api::malformed_policy_document(std::move(read.error().message)));
}

std::size_t policy_characters(const std::string& document) {
  return static_cast<std::size_t>(
      std::ranges::count_if(document, [](char c) { return c != ' ' && c != '\n' && c != '\t' && c != '\r'; }));
}

aws::Outcome<void> check_attachable(const Iam& iam, Context context, const std::string& arn) {
  const auto parsed = Arn::parse(arn);
  if (!parsed || parsed->service != "iam" || !parsed->resource.starts_with("policy/")) {
    return std::unexpected(api::invalid_input(fmt::format("ARN {} is not valid.", arn)));
  }
  if (iam.directory.find_policy(context->account, arn)) return {};
  // AWS has a thousand policies of its own. One that lambdad does not know grants nothing: good enough only where
  // nothing is enforced.
  if (is_aws_policy(arn) && !iam.known_policies_only) return {};
  return std::unexpected(api::no_such_entity(fmt::format("Policy {} does not exist or is not attachable.", arn)));
}

aws::Outcome<void> add_tags(std::vector<api::Tag>& tags, std::vector<api::Tag> added) {
  for (api::Tag& tag : added) {
    const auto place = std::ranges::find(tags, tag.key, &api::Tag::key);
    if (place == tags.end()) {
      tags.push_back(std::move(tag));
    } else {
      place->value = std::move(tag.value);
    }
  }
  if (tags.size() <= kTagsMax) return {};
  return std::unexpected(
      api::limit_exceeded(fmt::format("The number of tags has reached the maximum limit of {}.", kTagsMax)));
}

void remove_tags(std::vector<api::Tag>& tags, const std::vector<std::string>& keys) {
  std::erase_if(tags, [&](const api::Tag& tag) { return std::ranges::find(keys, tag.key) != keys.end(); });
}

aws::Outcome<std::string> user_name(Context context, const std::optional<std::string>& name) {
  if (name && !name->empty()) return *name;
  if (context->caller && !context->caller->user_name.empty()) return context->caller->user_name;
  return std::unexpected(api::validation_error("Must specify userName when calling with non-User credentials"));
}

}  // namespace lambdad::iam
