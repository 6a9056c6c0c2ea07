#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>

#include "aws/dispatcher.h"
#include "aws/gen/iam.h"
#include "observe/log.h"
#include "services/iam/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::iam {

/// Roles and their policies. Reads come from memory; a change is shown after it is committed. The README says what is
/// not enforced.
/// Ownership: borrows System and the database, opened with migrations(). Threading: the loop only.
class IamService {
 public:
  IamService(System& system, Logger& log, store::Database& database);
  static std::span<const store::Migration> migrations() { return RoleStore::migrations(); }

  /// Reads what is stored. Before the first request.
  Async<Result<void>> start();
  void serve(aws::Dispatcher& dispatcher);

 private:
  template <class T>
  using Reply = Async<aws::Outcome<T>>;
  using Context = const aws::RequestContext*;
  Reply<aws::iam::CreateRoleResponse> create_role(Context context, aws::iam::CreateRoleRequest in);
  Reply<aws::iam::GetRoleResponse> get_role(Context context, aws::iam::GetRoleRequest in);
  Reply<aws::iam::ListRolesResponse> list_roles(Context context, aws::iam::ListRolesRequest in);
  Reply<aws::Unit> delete_role(Context context, aws::iam::DeleteRoleRequest in);
  Reply<aws::Unit> put_role_policy(Context context, aws::iam::PutRolePolicyRequest in);
  Reply<aws::iam::GetRolePolicyResponse> get_role_policy(Context context, aws::iam::GetRolePolicyRequest in);
  Reply<aws::Unit> delete_role_policy(Context context, aws::iam::DeleteRolePolicyRequest in);
  Reply<aws::iam::ListRolePoliciesResponse> list_role_policies(Context context, aws::iam::ListRolePoliciesRequest in);
  Reply<aws::Unit> attach_role_policy(Context context, aws::iam::AttachRolePolicyRequest in);
  Reply<aws::Unit> detach_role_policy(Context context, aws::iam::DetachRolePolicyRequest in);
  Reply<aws::iam::ListAttachedRolePoliciesResponse> list_attached_role_policies(
      Context context, aws::iam::ListAttachedRolePoliciesRequest in);

  /// NoSuchEntity when there is none.
  aws::Outcome<const StoredRole*> find(Context context, const std::string& name) const;
  Async<KeyedMutex::Guard> lock(Context context, const std::string& name);
  Reply<aws::Unit> commit(Context context, StoredRole role);
  aws::Error failure(Context context, const Error& cause);

  // IAM names are unique without regard to case: the key is in lower case.
  using Key = std::pair<std::string, std::string>;  // account, name
  static Key key_of(const std::string& account, const std::string& name);

  System& system_;
  Logger& log_;
  RoleStore store_;
  std::map<Key, StoredRole> roles_;
  KeyedMutex busy_;
};

}  // namespace lambdad::iam
