/// Deciding a request from all policies that bear on it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/document.h"
#include "policy/pattern.h"

namespace lambdad::policy {

/// Who asks.
struct Principal {
  enum class Type { kAnonymous, kRoot, kUser, kRoleSession, kService, kFederated };
  Type type = Type::kAnonymous;
  std::string account;   ///< 12 digits; empty for kAnonymous, kService and kFederated
  std::string arn;       ///< of the root, the user or the session
  std::string role_arn;  ///< of a role session
  std::string name;      ///< kService: "s3.amazonaws.com"; kFederated: the provider, as policies name it
};

struct Request {
  const Principal& principal;
  std::string_view action;    ///< "lambda:InvokeFunction"
  std::string_view resource;  ///< an ARN, or "*" for actions on none
  const Context& context;
};

/// What bears on a request. Null pointers and empty lists: there is none.
struct Policies {
  std::vector<DocumentPtr> identity;  ///< of the user and its groups, or of the role
  DocumentPtr boundary;
  std::vector<DocumentPtr> session;  ///< given when the session was made; together they limit it
  DocumentPtr resource;
  std::string resource_account;  ///< owner of the resource; empty: the caller's own
  /// Whether the resource's policy must speak, as a role's trust policy must, also to callers of its own account.
  bool resource_must_allow = false;
};

enum class Reason {
  kAllowed,
  kDeniedByIdentity,  ///< an explicit Deny
  kDeniedByResource,
  kDeniedByBoundary,
  kDeniedBySession,
  kNotAllowedByIdentity,  ///< nothing allows it
  kNotAllowedByResource,
  kNotAllowedByBoundary,
  kNotAllowedBySession,
};
struct Decision {
  Reason reason = Reason::kNotAllowedByIdentity;
  bool allowed() const { return reason == Reason::kAllowed; }
};

/// Pure. An explicit Deny anywhere wins. Then, within one account, either side allows: identity policies, as far as
/// boundary and session policies allow too; or the resource's policy,
///   - naming the session or the user itself: boundary and session policies do not weigh;
///   - naming a session's role, or "*": boundary and session policies must allow as well;
///   - naming the account: that only lets identity policies decide.
/// Across accounts both sides must allow. The root of an account needs no identity policy. Services, federated and
/// anonymous callers have none: only the resource's policy counts.
/// Source: IAM User Guide, "Policy evaluation logic". That "*" is taken like the role, not the session, is our choice.
Decision decide(const Request& request, const Policies& policies);

/// "because no identity-based policy allows the A action", "with an explicit deny in a resource-based policy"; what
/// AWS's AccessDenied message ends with. Not for kAllowed.
std::string explain(Reason reason, std::string_view action);

}  // namespace lambdad::policy
