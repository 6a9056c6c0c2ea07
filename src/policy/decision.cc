#include "policy/decision.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace lambdad::policy {
namespace {

/// How closely a Principal element names the caller.
enum class Named { kNo, kAccount, kRole, kSelf };

std::string root_arn(std::string_view partition_of, std::string_view account) {
  // The partition of the caller's own ARN: "arn:aws-cn:...".
  const std::size_t end = partition_of.find(':', 4);
  const std::string_view partition =
      partition_of.starts_with("arn:") && end != std::string_view::npos ? partition_of.substr(4, end - 4) : "aws";
  return fmt::format("arn:{}:iam::{}:root", partition, account);
}

Named names(const PrincipalElement& element, const Principal& caller) {
  const auto has = [](const std::vector<std::string>& list, std::string_view text) {
    return std::ranges::find(list, text) != list.end();
  };
  switch (caller.type) {
    case Principal::Type::kService:
      return has(element.service, caller.name) || element.anyone ? Named::kSelf : Named::kNo;
    case Principal::Type::kFederated:
      return has(element.federated, caller.name) || element.anyone_federated || element.anyone ? Named::kSelf
                                                                                               : Named::kNo;
    case Principal::Type::kAnonymous: return element.anyone ? Named::kSelf : Named::kNo;
    case Principal::Type::kRoot:
    case Principal::Type::kUser:
    case Principal::Type::kRoleSession: break;
  }
  if (has(element.aws, caller.arn) && caller.type != Principal::Type::kRoot) return Named::kSelf;
  if (caller.type == Principal::Type::kRoleSession && has(element.aws, caller.role_arn)) return Named::kRole;
  if (element.anyone) return caller.type == Principal::Type::kRoleSession ? Named::kRole : Named::kSelf;
  const bool account = has(element.aws, caller.account) || has(element.aws, root_arn(caller.arn, caller.account));
  if (!account) return Named::kNo;
  return caller.type == Principal::Type::kRoot ? Named::kSelf : Named::kAccount;
}

/// Whether NotPrincipal leaves the caller out: its account, its role and itself must all be listed.
bool spared(const PrincipalElement& element, const Principal& caller) {
  if (element.anyone) return true;
  const auto has = [&](std::string_view text) { return std::ranges::find(element.aws, text) != element.aws.end(); };
  const auto account = [&] { return has(caller.account) || has(root_arn(caller.arn, caller.account)); };
  switch (caller.type) {
    case Principal::Type::kRoot: return account();
    case Principal::Type::kUser: return account() && has(caller.arn);
    case Principal::Type::kRoleSession: return account() && has(caller.role_arn) && has(caller.arn);
    case Principal::Type::kService:
    case Principal::Type::kFederated:
    case Principal::Type::kAnonymous: return names(element, caller) != Named::kNo;
  }
  return false;
}

bool resource_listed(const Statement& statement, const Request& request, bool variables) {
  return std::ranges::any_of(statement.resources, [&](const std::string& text) {
    if (text == "*") return true;
    const auto pattern = variables ? Pattern::expand(text, request.context) : Pattern::plain(text);
    return pattern && pattern->matches_arn(request.resource);
  });
}

struct Matched {
  Named allow = Named::kNo;  ///< the closest; kSelf in policies without principals
  bool deny = false;
};

Matched match(const Document& document, const Request& request) {
  Matched out;
  for (const Statement& statement : document.statements) {
    const bool action = std::ranges::any_of(
        statement.actions, [&](const std::string& pattern) { return action_matches(pattern, request.action); });
    if (action == statement.not_action) continue;
    if (!statement.resources.empty() &&
        resource_listed(statement, request, document.variables) == statement.not_resource) {
      continue;
    }
    Named named = Named::kSelf;
    if (statement.principal) {
      named = !statement.not_principal                          ? names(*statement.principal, request.principal)
              : spared(*statement.principal, request.principal) ? Named::kNo
                                                                : Named::kSelf;
    }
    if (named == Named::kNo) continue;
    if (!std::ranges::all_of(statement.conditions, [&](const Condition& condition) {
          return holds(condition, request.context, document.variables);
        })) {
      continue;
    }
    if (!statement.allow) {
      out.deny = true;
      return out;
    }
    out.allow = std::max(out.allow, named);
  }
  return out;
}

/// Several documents together: any may deny, any may allow.
Matched match(const std::vector<DocumentPtr>& documents, const Request& request) {
  Matched out;
  for (const DocumentPtr& document : documents) {
    const Matched one = match(*document, request);
    out.deny |= one.deny;
    out.allow = std::max(out.allow, one.allow);
  }
  return out;
}

}  // namespace

Decision decide(const Request& request, const Policies& policies) {
  const Principal& caller = request.principal;
  const bool has_identity = caller.type == Principal::Type::kRoot || caller.type == Principal::Type::kUser ||
                            caller.type == Principal::Type::kRoleSession;
  const bool root = caller.type == Principal::Type::kRoot;

  Matched identity = has_identity ? match(policies.identity, request) : Matched{};
  if (root) identity.allow = Named::kSelf;
  const Matched boundary = policies.boundary ? match(*policies.boundary, request) : Matched{.allow = Named::kSelf};
  const Matched session = policies.session.empty() ? Matched{.allow = Named::kSelf} : match(policies.session, request);
  const Matched resource = policies.resource ? match(*policies.resource, request) : Matched{};

  if (identity.deny) return {Reason::kDeniedByIdentity};
  if (resource.deny) return {Reason::kDeniedByResource};
  if (boundary.deny) return {Reason::kDeniedByBoundary};
  if (session.deny) return {Reason::kDeniedBySession};

  const bool resource_allows = resource.allow != Named::kNo;
  if (!has_identity) return {resource_allows ? Reason::kAllowed : Reason::kNotAllowedByResource};

  const bool within_boundary = boundary.allow != Named::kNo;
  const bool within_session = session.allow != Named::kNo;
  const bool same_account = policies.resource_account.empty() || policies.resource_account == caller.account;
  if (same_account) {
    if (resource.allow == Named::kSelf && !root) return {Reason::kAllowed};
    const bool either = identity.allow != Named::kNo || resource.allow == Named::kRole;
    if (!either) return {Reason::kNotAllowedByIdentity};
    if (policies.resource_must_allow && !resource_allows) return {Reason::kNotAllowedByResource};
  } else {
    if (identity.allow == Named::kNo) return {Reason::kNotAllowedByIdentity};
    if (!resource_allows) return {Reason::kNotAllowedByResource};
  }
  if (!within_boundary) return {Reason::kNotAllowedByBoundary};
  if (!within_session) return {Reason::kNotAllowedBySession};
  return {Reason::kAllowed};
}

std::string explain(Reason reason, std::string_view action) {
  switch (reason) {
    case Reason::kDeniedByIdentity: return "with an explicit deny in an identity-based policy";
    case Reason::kDeniedByResource: return "with an explicit deny in a resource-based policy";
    case Reason::kDeniedByBoundary: return "with an explicit deny in a permissions boundary";
    case Reason::kDeniedBySession: return "with an explicit deny in a session policy";
    case Reason::kNotAllowedByIdentity:
      return fmt::format("because no identity-based policy allows the {} action", action);
    case Reason::kNotAllowedByResource:
      return fmt::format("because no resource-based policy allows the {} action", action);
    case Reason::kNotAllowedByBoundary:
      return fmt::format("because no permissions boundary allows the {} action", action);
    case Reason::kNotAllowedBySession: return fmt::format("because no session policy allows the {} action", action);
    case Reason::kAllowed: break;
  }
  LD_CHECK(false, "an allowed request needs no explanation");
}

}  // namespace lambdad::policy
