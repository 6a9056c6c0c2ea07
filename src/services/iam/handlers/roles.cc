#include "services/iam/handlers/shared.h"

namespace lambdad::iam {
namespace {

aws::Outcome<void> check_trust(const std::string& document) {
  if (auto good = check_policy(document, policy::Kind::kTrust); !good) return good;
  if (policy_characters(document) <= kTrustCharactersMax) return {};
  return std::unexpected(
      api::limit_exceeded(fmt::format("Cannot exceed quota for ACLSizePerRole: {}", kTrustCharactersMax)));
}

}  // namespace

Reply<api::CreateRoleResponse> create_role(Iam* iam, Context context, api::CreateRoleRequest in) {
  if (auto good = check_trust(in.assume_role_policy_document); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  if (in.permissions_boundary) {
    if (auto good = check_attachable(*iam, context, *in.permissions_boundary); !good) {
      co_return std::unexpected(std::move(good.error()));
    }
  }
  auto guard = co_await lock(iam, context);
  if (auto good = check_new(*iam, context, Kind::kRole, in.role_name); !good) {
    co_return std::unexpected(std::move(good.error()));
  }
  Entity role{.kind = Kind::kRole,
              .account = context->account,
              .path = in.path.value_or("/"),
              .name = std::move(in.role_name),
              .id = access::random_id(iam->system.random, "AROA", 21),
              .created = now(*iam),
              .boundary = in.permissions_boundary.value_or(""),
              .trust_policy = std::move(in.assume_role_policy_document),
              .description = in.description.value_or(""),
              .max_session_seconds = in.max_session_duration.value_or(3600)};
  if (auto tagged = add_tags(role.tags, std::move(in.tags).value_or(std::vector<api::Tag>())); !tagged) {
    co_return std::unexpected(std::move(tagged.error()));
  }
  api::CreateRoleResponse out{.role = to_role(role)};
  if (auto done = co_await commit(iam, context, std::move(role)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetRoleResponse> get_role(Iam* iam, Context context, api::GetRoleRequest in) {
  auto role = find(*iam, context, Kind::kRole, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  co_return api::GetRoleResponse{.role = to_role(**role)};
}

Reply<api::ListRolesResponse> list_roles(Iam* iam, Context context, api::ListRolesRequest in) {
  api::ListRolesResponse out;
  auto listed = list_entities(
      *iam, context, Kind::kRole, in,
      [](const Entity& role) {
        api::Role shown = to_role(role);
        // Source: IAM API reference, ListRoles.
        shown.tags.reset();
        shown.permissions_boundary.reset();
        return shown;
      },
      out.roles, out);
  if (!listed) co_return std::unexpected(std::move(listed.error()));
  co_return out;
}

Reply<aws::Unit> delete_role(Iam* iam, Context context, api::DeleteRoleRequest in) {
  auto guard = co_await lock(iam, context);
  auto role = find(*iam, context, Kind::kRole, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  if (auto bare = check_no_policies(**role); !bare) co_return std::unexpected(std::move(bare.error()));
  Directory::Change change;
  change.removed.push_back(std::move(*role));
  co_return co_await commit(iam, context, std::move(change));
}

Reply<api::UpdateRoleResponse> update_role(Iam* iam, Context context, api::UpdateRoleRequest in) {
  auto done = co_await change_entity<Kind::kRole>(
      iam, context, std::move(in), [](Entity& role, api::UpdateRoleRequest& given) -> aws::Outcome<bool> {
        if (given.description) role.description = std::move(*given.description);
        if (given.max_session_duration) role.max_session_seconds = *given.max_session_duration;
        return true;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return api::UpdateRoleResponse{};
}

Reply<api::UpdateRoleDescriptionResponse> update_role_description(Iam* iam, Context context,
                                                                  api::UpdateRoleDescriptionRequest in) {
  const std::string name = in.role_name;
  auto done = co_await change_entity<Kind::kRole>(
      iam, context, std::move(in), [](Entity& role, api::UpdateRoleDescriptionRequest& given) -> aws::Outcome<bool> {
        role.description = std::move(given.description);
        return true;
      });
  if (!done) co_return std::unexpected(std::move(done.error()));
  auto role = find(*iam, context, Kind::kRole, name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  co_return api::UpdateRoleDescriptionResponse{.role = to_role(**role)};
}

Reply<aws::Unit> update_assume_role_policy(Iam* iam, Context context, api::UpdateAssumeRolePolicyRequest in) {
  if (auto good = check_trust(in.policy_document); !good) co_return std::unexpected(std::move(good.error()));
  co_return co_await change_entity<Kind::kRole>(
      iam, context, std::move(in), [](Entity& role, api::UpdateAssumeRolePolicyRequest& given) -> aws::Outcome<bool> {
        role.trust_policy = std::move(given.policy_document);
        return true;
      });
}

// There are no instance profiles: nothing here runs instances.
Reply<api::ListInstanceProfilesForRoleResponse> list_instance_profiles_for_role(
    Iam* iam, Context context, api::ListInstanceProfilesForRoleRequest in) {
  auto role = find(*iam, context, Kind::kRole, in.role_name);
  if (!role) co_return std::unexpected(std::move(role.error()));
  api::ListInstanceProfilesForRoleResponse out;
  out.is_truncated = false;
  co_return out;
}

}  // namespace lambdad::iam
