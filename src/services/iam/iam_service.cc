#include "services/iam/iam_service.h"

#include "services/iam/handlers/shared.h"

namespace lambdad::iam {

struct IamService::Impl {
  Impl(System& system, Logger& log, store::Database& database, Options options)
      : directory(system, log, database),
        iam{.system = system,
            .log = log,
            .directory = directory,
            .busy = KeyedMutex(system.loop),
            .known_policies_only = options.known_policies_only} {}

  template <class Op, class Handler>
  void serve(aws::Dispatcher& dispatcher, Handler handler) {
    dispatcher.serve<Op>([this, handler](aws::RequestContext& context, typename Op::Input input) {
      return handler(&iam, &context, std::move(input));
    });
  }

  void serve_shared(aws::Dispatcher& dispatcher);

  Directory directory;
  Iam iam;
};

IamService::IamService(System& system, Logger& log, store::Database& database, Options options)
    : impl_(std::make_unique<Impl>(system, log, database, options)) {}

IamService::~IamService() = default;

std::span<const store::Migration> IamService::migrations() { return IamStore::migrations(); }
Async<Result<void>> IamService::start() { return impl_->directory.load(); }
access::Identities& IamService::identities() { return impl_->directory; }

void IamService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  impl_->serve_shared(dispatcher);
  impl_->serve<api::CreateRole>(dispatcher, create_role);
  impl_->serve<api::GetRole>(dispatcher, get_role);
  impl_->serve<api::ListRoles>(dispatcher, list_roles);
  impl_->serve<api::DeleteRole>(dispatcher, delete_role);
  impl_->serve<api::UpdateRole>(dispatcher, update_role);
  impl_->serve<api::UpdateRoleDescription>(dispatcher, update_role_description);
  impl_->serve<api::UpdateAssumeRolePolicy>(dispatcher, update_assume_role_policy);
  impl_->serve<api::ListInstanceProfilesForRole>(dispatcher, list_instance_profiles_for_role);
  impl_->serve<api::CreateUser>(dispatcher, create_user);
  impl_->serve<api::GetUser>(dispatcher, get_user);
  impl_->serve<api::ListUsers>(dispatcher, list_users);
  impl_->serve<api::UpdateUser>(dispatcher, update_user);
  impl_->serve<api::DeleteUser>(dispatcher, delete_user);
  impl_->serve<api::CreateAccessKey>(dispatcher, create_access_key);
  impl_->serve<api::ListAccessKeys>(dispatcher, list_access_keys);
  impl_->serve<api::UpdateAccessKey>(dispatcher, update_access_key);
  impl_->serve<api::DeleteAccessKey>(dispatcher, delete_access_key);
  impl_->serve<api::GetAccessKeyLastUsed>(dispatcher, get_access_key_last_used);
  impl_->serve<api::ListGroupsForUser>(dispatcher, list_groups_for_user);
  impl_->serve<api::CreateGroup>(dispatcher, create_group);
  impl_->serve<api::GetGroup>(dispatcher, get_group);
  impl_->serve<api::ListGroups>(dispatcher, list_groups);
  impl_->serve<api::UpdateGroup>(dispatcher, update_group);
  impl_->serve<api::DeleteGroup>(dispatcher, delete_group);
  impl_->serve<api::AddUserToGroup>(dispatcher, add_user_to_group);
  impl_->serve<api::RemoveUserFromGroup>(dispatcher, remove_user_from_group);
  impl_->serve<api::CreatePolicy>(dispatcher, create_policy);
  impl_->serve<api::GetPolicy>(dispatcher, get_policy);
  impl_->serve<api::ListPolicies>(dispatcher, list_policies);
  impl_->serve<api::DeletePolicy>(dispatcher, delete_policy);
  impl_->serve<api::CreatePolicyVersion>(dispatcher, create_policy_version);
  impl_->serve<api::GetPolicyVersion>(dispatcher, get_policy_version);
  impl_->serve<api::ListPolicyVersions>(dispatcher, list_policy_versions);
  impl_->serve<api::DeletePolicyVersion>(dispatcher, delete_policy_version);
  impl_->serve<api::SetDefaultPolicyVersion>(dispatcher, set_default_policy_version);
  impl_->serve<api::ListEntitiesForPolicy>(dispatcher, list_entities_for_policy);
  impl_->serve<api::TagPolicy>(dispatcher, tag_policy);
  impl_->serve<api::UntagPolicy>(dispatcher, untag_policy);
  impl_->serve<api::ListPolicyTags>(dispatcher, list_policy_tags);
}

void IamService::Impl::serve_shared(aws::Dispatcher& dispatcher) {
  serve<api::PutUserPolicy>(dispatcher, put_policy<Kind::kUser, api::PutUserPolicyRequest>);
  serve<api::PutGroupPolicy>(dispatcher, put_policy<Kind::kGroup, api::PutGroupPolicyRequest>);
  serve<api::PutRolePolicy>(dispatcher, put_policy<Kind::kRole, api::PutRolePolicyRequest>);
  serve<api::GetUserPolicy>(dispatcher,
                            get_policy_of<Kind::kUser, api::GetUserPolicyResponse, api::GetUserPolicyRequest>);
  serve<api::GetGroupPolicy>(dispatcher,
                             get_policy_of<Kind::kGroup, api::GetGroupPolicyResponse, api::GetGroupPolicyRequest>);
  serve<api::GetRolePolicy>(dispatcher,
                            get_policy_of<Kind::kRole, api::GetRolePolicyResponse, api::GetRolePolicyRequest>);
  serve<api::DeleteUserPolicy>(dispatcher, delete_policy_of<Kind::kUser, api::DeleteUserPolicyRequest>);
  serve<api::DeleteGroupPolicy>(dispatcher, delete_policy_of<Kind::kGroup, api::DeleteGroupPolicyRequest>);
  serve<api::DeleteRolePolicy>(dispatcher, delete_policy_of<Kind::kRole, api::DeleteRolePolicyRequest>);
  serve<api::ListUserPolicies>(
      dispatcher, list_policies_of<Kind::kUser, api::ListUserPoliciesResponse, api::ListUserPoliciesRequest>);
  serve<api::ListGroupPolicies>(
      dispatcher, list_policies_of<Kind::kGroup, api::ListGroupPoliciesResponse, api::ListGroupPoliciesRequest>);
  serve<api::ListRolePolicies>(
      dispatcher, list_policies_of<Kind::kRole, api::ListRolePoliciesResponse, api::ListRolePoliciesRequest>);
  serve<api::AttachUserPolicy>(dispatcher, attach_policy<Kind::kUser, api::AttachUserPolicyRequest>);
  serve<api::AttachGroupPolicy>(dispatcher, attach_policy<Kind::kGroup, api::AttachGroupPolicyRequest>);
  serve<api::AttachRolePolicy>(dispatcher, attach_policy<Kind::kRole, api::AttachRolePolicyRequest>);
  serve<api::DetachUserPolicy>(dispatcher, detach_policy<Kind::kUser, api::DetachUserPolicyRequest>);
  serve<api::DetachGroupPolicy>(dispatcher, detach_policy<Kind::kGroup, api::DetachGroupPolicyRequest>);
  serve<api::DetachRolePolicy>(dispatcher, detach_policy<Kind::kRole, api::DetachRolePolicyRequest>);
  serve<api::ListAttachedUserPolicies>(
      dispatcher,
      list_attached_policies<Kind::kUser, api::ListAttachedUserPoliciesResponse, api::ListAttachedUserPoliciesRequest>);
  serve<api::ListAttachedGroupPolicies>(dispatcher,
                                        list_attached_policies<Kind::kGroup, api::ListAttachedGroupPoliciesResponse,
                                                               api::ListAttachedGroupPoliciesRequest>);
  serve<api::ListAttachedRolePolicies>(
      dispatcher,
      list_attached_policies<Kind::kRole, api::ListAttachedRolePoliciesResponse, api::ListAttachedRolePoliciesRequest>);
  serve<api::PutUserPermissionsBoundary>(dispatcher, put_boundary<Kind::kUser, api::PutUserPermissionsBoundaryRequest>);
  serve<api::PutRolePermissionsBoundary>(dispatcher, put_boundary<Kind::kRole, api::PutRolePermissionsBoundaryRequest>);
  serve<api::DeleteUserPermissionsBoundary>(dispatcher,
                                            delete_boundary<Kind::kUser, api::DeleteUserPermissionsBoundaryRequest>);
  serve<api::DeleteRolePermissionsBoundary>(dispatcher,
                                            delete_boundary<Kind::kRole, api::DeleteRolePermissionsBoundaryRequest>);
  serve<api::TagUser>(dispatcher, tag_entity<Kind::kUser, api::TagUserRequest>);
  serve<api::TagRole>(dispatcher, tag_entity<Kind::kRole, api::TagRoleRequest>);
  serve<api::UntagUser>(dispatcher, untag_entity<Kind::kUser, api::UntagUserRequest>);
  serve<api::UntagRole>(dispatcher, untag_entity<Kind::kRole, api::UntagRoleRequest>);
  serve<api::ListUserTags>(dispatcher, list_tags_of<Kind::kUser, api::ListUserTagsResponse, api::ListUserTagsRequest>);
  serve<api::ListRoleTags>(dispatcher, list_tags_of<Kind::kRole, api::ListRoleTagsResponse, api::ListRoleTagsRequest>);
}

}  // namespace lambdad::iam
