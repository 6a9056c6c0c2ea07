#pragma once

#include "access/gate.h"
#include "access/identities.h"
#include "access/sessions.h"
#include "aws/dispatcher.h"
#include "aws/gen/sts.h"
#include "system/system.h"

namespace lambdad::sts {

/// GetCallerIdentity, AssumeRole, GetSessionToken. Keeps nothing: sessions are in their tokens.
///
/// Whether a caller may assume a role is decided before a handler runs, from the role's trust policy (access/gate.h).
/// Ownership: borrows everything. Threading: the loop only.
class StsService {
 public:
  StsService(System& system, access::Gate& gate, access::Sessions& sessions, access::Identities& identities)
      : system_(system), gate_(gate), sessions_(sessions), identities_(identities) {}

  void serve(aws::Dispatcher& dispatcher);

 private:
  Async<aws::Outcome<aws::sts::GetCallerIdentityResponse>> get_caller_identity(const aws::RequestContext* context);
  Async<aws::Outcome<aws::sts::AssumeRoleResponse>> assume_role(const aws::RequestContext* context,
                                                                aws::sts::AssumeRoleRequest in);
  Async<aws::Outcome<aws::sts::GetSessionTokenResponse>> get_session_token(const aws::RequestContext* context,
                                                                           aws::sts::GetSessionTokenRequest in);
  aws::Outcome<std::vector<std::string>> session_policies(const std::string& account,
                                                          aws::sts::AssumeRoleRequest& in) const;

  System& system_;
  access::Gate& gate_;
  access::Sessions& sessions_;
  access::Identities& identities_;
};

}  // namespace lambdad::sts
