// Managed policies and their versions.
#include <algorithm>
#include <charconv>

#include "services/iam/handlers/shared.h"

namespace lambdad::iam {
namespace {

struct Uses {
  int attached = 0;
  int boundary = 0;
};

Uses uses_of(const Iam& iam, Context context, const std::string& arn) {
  Uses uses;
  for (const Kind kind : {Kind::kUser, Kind::kGroup, Kind::kRole}) {
    for (const Directory::EntityPtr& entity : iam.directory.list(kind, context->account)) {
      if (std::ranges::find(entity->attached_policies, arn) != entity->attached_policies.end()) ++uses.attached;
      if (entity->boundary == arn) ++uses.boundary;
    }
  }
  return uses;
}

api::Policy to_policy(const ManagedPolicy& policy, Uses uses) {
  api::Policy out;
  out.policy_name = policy.name;
  out.policy_id = policy.id;
  out.arn = policy.arn();
  out.path = policy.path;
  out.default_version_id = fmt::format("v{}", policy.default_version);
  out.attachment_count = uses.attached;
  out.permissions_boundary_usage_count = uses.boundary;
  out.is_attachable = true;
  if (!policy.description.empty()) out.description = policy.description;
  out.create_date = policy.created;
  out.update_date = policy.updated;
  if (!policy.tags.empty()) out.tags = policy.tags;
  return out;
}

api::PolicyVersion to_version(const ManagedPolicy& policy, const PolicyVersion& version) {
  return {.document = percent_encode(version.document),
          .version_id = fmt::format("v{}", version.number),
          .is_default_version = version.number == policy.default_version,
          .create_date = version.created};
}

aws::Outcome<void> check_managed(const std::string& document) {
  if (auto good = check_policy(document, policy::Kind::kIdentity); !good) return good;
  if (policy_characters(document) <= kPolicyCharactersMax) return {};
  return std::unexpected(
      api::limit_exceeded(fmt::format("Cannot exceed quota for PolicySize: {}", kPolicyCharactersMax)));
}

aws::Outcome<const PolicyVersion*> find_version(const ManagedPolicy& policy, const std::string& id) {
  int number = 0;
  const auto [end, error] = std::from_chars(id.data() + 1, id.data() + id.size(), number);
  const PolicyVersion* version = error == std::errc() && end == id.data() + id.size() ? policy.find(number) : nullptr;
  if (version != nullptr) return version;
  return std::unexpected(
      api::no_such_entity(fmt::format("Policy {} version {} does not exist or is not attachable.", policy.arn(), id)));
}

/// The policy for a change: AWS's own cannot be changed.
aws::Outcome<ManagedPolicy> own_policy(const Iam& iam, Context context, const std::string& arn) {
  auto found = find_policy(iam, context, arn);
  if (!found) return std::unexpected(std::move(found.error()));
  if ((*found)->account == "aws") {
    return std::unexpected(aws::access_denied("AccessDenied", fmt::format("Policy {} is managed by AWS.", arn)));
  }
  return **found;
}

Reply<aws::Unit> commit_policy(Iam* iam, Context context, ManagedPolicy policy) {
  Directory::Change change;
  change.policies.push_back(std::move(policy));
  return commit(iam, context, std::move(change));
}

}  // namespace

Reply<api::CreatePolicyResponse> create_policy(Iam* iam, Context context, api::CreatePolicyRequest in) {
  if (auto good = check_managed(in.policy_document); !good) co_return std::unexpected(std::move(good.error()));
  auto guard = co_await lock(iam, context);
  for (const Directory::PolicyPtr& each : iam->directory.list_policies(context->account)) {
    if (each->account == context->account && equals_ignoring_case(each->name, in.policy_name)) {
      co_return std::unexpected(api::entity_already_exists(
          fmt::format("A policy called {} already exists. Duplicate names are not allowed.", in.policy_name)));
    }
  }
  const WallTime created = now(*iam);
  ManagedPolicy policy{.account = context->account,
                       .path = in.path.value_or("/"),
                       .name = std::move(in.policy_name),
                       .id = access::random_id(iam->system.random, "ANPA", 21),
                       .description = in.description.value_or(""),
                       .created = created,
                       .updated = created};
  policy.versions.push_back({.number = 1, .document = std::move(in.policy_document), .created = created});
  if (auto tagged = add_tags(policy.tags, std::move(in.tags).value_or(std::vector<api::Tag>())); !tagged) {
    co_return std::unexpected(std::move(tagged.error()));
  }
  api::CreatePolicyResponse out{.policy = to_policy(policy, {})};
  if (auto done = co_await commit_policy(iam, context, std::move(policy)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetPolicyResponse> get_policy(Iam* iam, Context context, api::GetPolicyRequest in) {
  auto policy = find_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  co_return api::GetPolicyResponse{.policy = to_policy(**policy, uses_of(*iam, context, in.policy_arn))};
}

Reply<api::ListPoliciesResponse> list_policies(Iam* iam, Context context, api::ListPoliciesRequest in) {
  std::vector<api::Policy> shown;
  const std::string scope = in.scope.value_or("All");
  for (const Directory::PolicyPtr& policy : iam->directory.list_policies(context->account)) {
    const bool from_aws = policy->account == "aws";
    if ((scope == "AWS" && !from_aws) || (scope == "Local" && from_aws)) continue;
    if (in.path_prefix && !policy->path.starts_with(*in.path_prefix)) continue;
    const Uses uses = uses_of(*iam, context, policy->arn());
    const std::string usage = in.policy_usage_filter.value_or("");
    const int relevant = usage == "PermissionsPolicy"     ? uses.attached
                         : usage == "PermissionsBoundary" ? uses.boundary
                                                          : uses.attached + uses.boundary;
    if ((in.only_attached.value_or(false) || !usage.empty()) && relevant == 0) continue;
    shown.push_back(to_policy(*policy, uses));
    // Source: IAM API reference, ListPolicies.
    shown.back().tags.reset();
    shown.back().description.reset();
  }
  api::ListPoliciesResponse out;
  auto paged = page(
      shown, in, [](const api::Policy& policy) { return to_lower(*policy.policy_name); },
      [](const api::Policy& policy) { return policy; }, out.policies.emplace(), out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

Reply<aws::Unit> delete_policy(Iam* iam, Context context, api::DeletePolicyRequest in) {
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  const Uses uses = uses_of(*iam, context, in.policy_arn);
  if (uses.attached + uses.boundary != 0) {
    co_return std::unexpected(api::delete_conflict("Cannot delete a policy attached to entities."));
  }
  if (policy->versions.size() > 1) {
    co_return std::unexpected(
        api::delete_conflict("This policy has more than one version. Before you delete a policy, you must delete the "
                             "policy's versions. The default version is deleted with the policy."));
  }
  Directory::Change change;
  change.removed_policies.push_back(std::make_shared<const ManagedPolicy>(std::move(*policy)));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<api::CreatePolicyVersionResponse> create_policy_version(Iam* iam, Context context,
                                                              api::CreatePolicyVersionRequest in) {
  if (auto good = check_managed(in.policy_document); !good) co_return std::unexpected(std::move(good.error()));
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  if (policy->versions.size() >= kVersionsMax) {
    co_return std::unexpected(
        api::limit_exceeded("A managed policy can have up to 5 versions. Before you create a new version, you must "
                            "delete an existing version."));
  }
  const int number = policy->next_version++;
  policy->versions.push_back({.number = number, .document = std::move(in.policy_document), .created = now(*iam)});
  if (in.set_as_default.value_or(false)) policy->default_version = number;
  policy->updated = now(*iam);
  api::CreatePolicyVersionResponse out{.policy_version = to_version(*policy, policy->versions.back())};
  out.policy_version->document.reset();  // source: IAM API reference, CreatePolicyVersion
  if (auto done = co_await commit_policy(iam, context, std::move(*policy)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetPolicyVersionResponse> get_policy_version(Iam* iam, Context context, api::GetPolicyVersionRequest in) {
  auto policy = find_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  auto version = find_version(**policy, in.version_id);
  if (!version) co_return std::unexpected(std::move(version.error()));
  co_return api::GetPolicyVersionResponse{.policy_version = to_version(**policy, **version)};
}

Reply<api::ListPolicyVersionsResponse> list_policy_versions(Iam* iam, Context context,
                                                            api::ListPolicyVersionsRequest in) {
  auto policy = find_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  // The newest first: what comes later in the list has the smaller number.
  std::vector<PolicyVersion> versions = (*policy)->versions;
  std::ranges::reverse(versions);
  api::ListPolicyVersionsResponse out;
  auto paged = page(
      versions, in, [](const PolicyVersion& version) { return fmt::format("{:010}", 1'000'000'000 - version.number); },
      [&](const PolicyVersion& version) {
        api::PolicyVersion shown = to_version(**policy, version);
        shown.document.reset();
        return shown;
      },
      out.versions.emplace(), out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

Reply<aws::Unit> delete_policy_version(Iam* iam, Context context, api::DeletePolicyVersionRequest in) {
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  auto version = find_version(*policy, in.version_id);
  if (!version) co_return std::unexpected(std::move(version.error()));
  const int number = (*version)->number;
  if (number == policy->default_version) {
    co_return std::unexpected(api::delete_conflict("Cannot delete the default version of a policy."));
  }
  std::erase_if(policy->versions, [&](const PolicyVersion& each) { return each.number == number; });
  policy->updated = now(*iam);
  co_return co_await commit_policy(iam, context, std::move(*policy));
}

Reply<aws::Unit> set_default_policy_version(Iam* iam, Context context, api::SetDefaultPolicyVersionRequest in) {
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  auto version = find_version(*policy, in.version_id);
  if (!version) co_return std::unexpected(std::move(version.error()));
  policy->default_version = (*version)->number;
  policy->updated = now(*iam);
  co_return co_await commit_policy(iam, context, std::move(*policy));
}

Reply<api::ListEntitiesForPolicyResponse> list_entities_for_policy(Iam* iam, Context context,
                                                                   api::ListEntitiesForPolicyRequest in) {
  // An AWS policy that lambdad does not know may be attached all the same.
  if (!is_aws_policy(in.policy_arn)) {
    auto policy = find_policy(*iam, context, in.policy_arn);
    if (!policy) co_return std::unexpected(std::move(policy.error()));
  }
  const std::string usage = in.policy_usage_filter.value_or("");
  const std::string filter = in.entity_filter.value_or("");
  std::vector<Directory::EntityPtr> entities;
  for (const auto& [kind, name] :
       {std::pair(Kind::kUser, "User"), std::pair(Kind::kGroup, "Group"), std::pair(Kind::kRole, "Role")}) {
    if (!filter.empty() && filter != name) continue;
    for (Directory::EntityPtr& entity : iam->directory.list(kind, context->account)) {
      const bool attached =
          std::ranges::find(entity->attached_policies, in.policy_arn) != entity->attached_policies.end();
      const bool boundary = entity->boundary == in.policy_arn;
      const bool meant = usage == "PermissionsPolicy"     ? attached
                         : usage == "PermissionsBoundary" ? boundary
                                                          : attached || boundary;
      if (meant && entity->path.starts_with(in.path_prefix.value_or("/"))) entities.push_back(std::move(entity));
    }
  }
  const auto name_of = [](const Directory::EntityPtr& entity) {
    return fmt::format("{}/{}", static_cast<int>(entity->kind), to_lower(entity->name));
  };
  api::ListEntitiesForPolicyResponse out;
  std::vector<Directory::EntityPtr> shown;
  auto paged = page(entities, in, name_of, [](const Directory::EntityPtr& entity) { return entity; }, shown, out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  out.policy_users.emplace();
  out.policy_groups.emplace();
  out.policy_roles.emplace();
  for (const Directory::EntityPtr& entity : shown) {
    switch (entity->kind) {
      case Kind::kUser: out.policy_users->push_back({.user_name = entity->name, .user_id = entity->id}); break;
      case Kind::kGroup: out.policy_groups->push_back({.group_name = entity->name, .group_id = entity->id}); break;
      case Kind::kRole: out.policy_roles->push_back({.role_name = entity->name, .role_id = entity->id}); break;
    }
  }
  co_return out;
}

Reply<aws::Unit> tag_policy(Iam* iam, Context context, api::TagPolicyRequest in) {
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  if (auto added = add_tags(policy->tags, std::move(in.tags)); !added) {
    co_return std::unexpected(std::move(added.error()));
  }
  co_return co_await commit_policy(iam, context, std::move(*policy));
}

Reply<aws::Unit> untag_policy(Iam* iam, Context context, api::UntagPolicyRequest in) {
  auto guard = co_await lock(iam, context);
  auto policy = own_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  remove_tags(policy->tags, in.tag_keys);
  co_return co_await commit_policy(iam, context, std::move(*policy));
}

Reply<api::ListPolicyTagsResponse> list_policy_tags(Iam* iam, Context context, api::ListPolicyTagsRequest in) {
  auto policy = find_policy(*iam, context, in.policy_arn);
  if (!policy) co_return std::unexpected(std::move(policy.error()));
  std::vector<api::Tag> tags = (*policy)->tags;
  std::ranges::sort(tags, {}, &api::Tag::key);
  api::ListPolicyTagsResponse out;
  auto paged = page(
      tags, in, [](const api::Tag& tag) { return tag.key; }, [](const api::Tag& tag) { return tag; }, out.tags, out);
  if (!paged) co_return std::unexpected(std::move(paged.error()));
  co_return out;
}

}  // namespace lambdad::iam
