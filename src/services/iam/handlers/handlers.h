/// One function per operation, or per operation that users, groups and roles share. Each is called with an input that
/// the model's constraints accept. `iam` and the context outlive the coroutine. Changes hold lock() from looking up to
/// commit().
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "access/gate.h"
#include "aws/dispatcher.h"
#include "aws/gen/iam.h"
#include "base/encoding.h"
#include "services/iam/directory.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::iam {

namespace api = aws::iam;
template <class T>
using Reply = Async<aws::Outcome<T>>;
using Context = const aws::RequestContext*;

/// What handlers work with; owned by IamService.
struct Iam {
  System& system;
  Logger& log;
  Directory& directory;
  KeyedMutex busy;
  bool known_policies_only = false;
};

// --- quotas. Source: IAM User Guide, "IAM and AWS STS quotas"
inline constexpr std::size_t kInlineCharactersMax[] = {2048, 5120, 10240};  ///< of a user, group, role together
inline constexpr std::size_t kPolicyCharactersMax = 6144;
inline constexpr std::size_t kTrustCharactersMax = 2048;
inline constexpr std::size_t kAttachedMax = 10;
inline constexpr std::size_t kVersionsMax = 5;
inline constexpr std::size_t kAccessKeysMax = 2;
inline constexpr std::size_t kGroupsMax = 10;
inline constexpr std::size_t kTagsMax = 50;

// --- common.cc
Async<KeyedMutex::Guard> lock(Iam* iam, Context context);
/// NoSuchEntity when there is none.
aws::Outcome<Directory::EntityPtr> find(const Iam& iam, Context context, Kind kind, const std::string& name);
aws::Outcome<Directory::PolicyPtr> find_policy(const Iam& iam, Context context, const std::string& arn);
/// EntityAlreadyExists when there is one.
aws::Outcome<void> check_new(const Iam& iam, Context context, Kind kind, const std::string& name);
aws::Error failure(const Iam& iam, Context context, const Error& cause);
Reply<aws::Unit> commit(Iam* iam, Context context, Directory::Change change);
Reply<aws::Unit> commit(Iam* iam, Context context, Entity entity);
WallTime now(const Iam& iam);
/// MalformedPolicyDocument in IAM's words.
aws::Outcome<void> check_policy(const std::string& document, policy::Kind kind);
/// Characters that count towards quotas: white space does not.
std::size_t policy_characters(const std::string& document);
/// Attaching `arn` or taking it as a boundary: NoSuchEntity, InvalidInput.
aws::Outcome<void> check_attachable(const Iam& iam, Context context, const std::string& arn);
/// Adds or replaces by key; InvalidInput above kTagsMax.
aws::Outcome<void> add_tags(std::vector<api::Tag>& tags, std::vector<api::Tag> added);
void remove_tags(std::vector<api::Tag>& tags, const std::vector<std::string>& keys);
/// Of a user: the named one, or the caller itself when no name is given.
aws::Outcome<std::string> user_name(Context context, const std::optional<std::string>& name);

/// One page of things in the order they have. Markers are the name of the last item before, in base64.
/// `Response` has is_truncated and marker.
template <class Item, class Name, class Show, class Out, class Request, class Response>
aws::Outcome<void> page(const std::vector<Item>& items, const Request& request, Name name, Show show,
                        std::vector<Out>& out, Response& response) {
  constexpr int kDefault = 100;  // source: IAM API reference, MaxItems
  std::string after;
  if (request.marker) {
    auto text = base64_decode(*request.marker);
    if (!text || text->empty()) return std::unexpected(api::validation_error("Invalid Marker."));
    after = std::move(*text);
  }
  const auto count = static_cast<std::size_t>(request.max_items.value_or(kDefault));
  response.is_truncated = false;
  const Item* last = nullptr;
  for (const Item& item : items) {
    if (!after.empty() && name(item) <= after) continue;
    if (out.size() == count) {
      response.is_truncated = true;
      response.marker = base64_encode(name(*last));
      return {};
    }
    out.push_back(show(item));
    last = &item;
  }
  return {};
}

// --- roles.cc
Reply<api::CreateRoleResponse> create_role(Iam* iam, Context context, api::CreateRoleRequest in);
Reply<api::GetRoleResponse> get_role(Iam* iam, Context context, api::GetRoleRequest in);
Reply<api::ListRolesResponse> list_roles(Iam* iam, Context context, api::ListRolesRequest in);
Reply<aws::Unit> delete_role(Iam* iam, Context context, api::DeleteRoleRequest in);
Reply<api::UpdateRoleResponse> update_role(Iam* iam, Context context, api::UpdateRoleRequest in);
Reply<api::UpdateRoleDescriptionResponse> update_role_description(Iam* iam, Context context,
                                                                  api::UpdateRoleDescriptionRequest in);
Reply<aws::Unit> update_assume_role_policy(Iam* iam, Context context, api::UpdateAssumeRolePolicyRequest in);
Reply<api::ListInstanceProfilesForRoleResponse> list_instance_profiles_for_role(
    Iam* iam, Context context, api::ListInstanceProfilesForRoleRequest in);

// --- users.cc
Reply<api::CreateUserResponse> create_user(Iam* iam, Context context, api::CreateUserRequest in);
Reply<api::GetUserResponse> get_user(Iam* iam, Context context, api::GetUserRequest in);
Reply<api::ListUsersResponse> list_users(Iam* iam, Context context, api::ListUsersRequest in);
Reply<aws::Unit> update_user(Iam* iam, Context context, api::UpdateUserRequest in);
Reply<aws::Unit> delete_user(Iam* iam, Context context, api::DeleteUserRequest in);
Reply<api::CreateAccessKeyResponse> create_access_key(Iam* iam, Context context, api::CreateAccessKeyRequest in);
Reply<api::ListAccessKeysResponse> list_access_keys(Iam* iam, Context context, api::ListAccessKeysRequest in);
Reply<aws::Unit> update_access_key(Iam* iam, Context context, api::UpdateAccessKeyRequest in);
Reply<aws::Unit> delete_access_key(Iam* iam, Context context, api::DeleteAccessKeyRequest in);
Reply<api::GetAccessKeyLastUsedResponse> get_access_key_last_used(Iam* iam, Context context,
                                                                  api::GetAccessKeyLastUsedRequest in);
Reply<api::ListGroupsForUserResponse> list_groups_for_user(Iam* iam, Context context, api::ListGroupsForUserRequest in);

// --- groups.cc
Reply<api::CreateGroupResponse> create_group(Iam* iam, Context context, api::CreateGroupRequest in);
Reply<api::GetGroupResponse> get_group(Iam* iam, Context context, api::GetGroupRequest in);
Reply<api::ListGroupsResponse> list_groups(Iam* iam, Context context, api::ListGroupsRequest in);
Reply<aws::Unit> update_group(Iam* iam, Context context, api::UpdateGroupRequest in);
Reply<aws::Unit> delete_group(Iam* iam, Context context, api::DeleteGroupRequest in);
Reply<aws::Unit> add_user_to_group(Iam* iam, Context context, api::AddUserToGroupRequest in);
Reply<aws::Unit> remove_user_from_group(Iam* iam, Context context, api::RemoveUserFromGroupRequest in);

// --- policies.cc: managed policies
Reply<api::CreatePolicyResponse> create_policy(Iam* iam, Context context, api::CreatePolicyRequest in);
Reply<api::GetPolicyResponse> get_policy(Iam* iam, Context context, api::GetPolicyRequest in);
Reply<api::ListPoliciesResponse> list_policies(Iam* iam, Context context, api::ListPoliciesRequest in);
Reply<aws::Unit> delete_policy(Iam* iam, Context context, api::DeletePolicyRequest in);
Reply<api::CreatePolicyVersionResponse> create_policy_version(Iam* iam, Context context,
                                                              api::CreatePolicyVersionRequest in);
Reply<api::GetPolicyVersionResponse> get_policy_version(Iam* iam, Context context, api::GetPolicyVersionRequest in);
Reply<api::ListPolicyVersionsResponse> list_policy_versions(Iam* iam, Context context,
                                                            api::ListPolicyVersionsRequest in);
Reply<aws::Unit> delete_policy_version(Iam* iam, Context context, api::DeletePolicyVersionRequest in);
Reply<aws::Unit> set_default_policy_version(Iam* iam, Context context, api::SetDefaultPolicyVersionRequest in);
Reply<api::ListEntitiesForPolicyResponse> list_entities_for_policy(Iam* iam, Context context,
                                                                   api::ListEntitiesForPolicyRequest in);
Reply<aws::Unit> tag_policy(Iam* iam, Context context, api::TagPolicyRequest in);
Reply<aws::Unit> untag_policy(Iam* iam, Context context, api::UntagPolicyRequest in);
Reply<api::ListPolicyTagsResponse> list_policy_tags(Iam* iam, Context context, api::ListPolicyTagsRequest in);

}  // namespace lambdad::iam
