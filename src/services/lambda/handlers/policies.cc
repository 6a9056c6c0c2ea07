// AddPermission, GetPolicy, RemovePermission: one policy per qualifier.
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/policy.h"

namespace lambdad::lambda {
namespace {

std::optional<Policy> policy_of(const Function& function, const std::string& qualifier) {
  auto place = function.policies.find(qualifier);
  return place == function.policies.end() ? std::nullopt : std::optional(place->second);
}

void set_policy(Function& function, const std::string& qualifier, std::optional<Policy> policy) {
  if (policy) {
    function.policies[qualifier] = std::move(*policy);
  } else {
    function.policies.erase(qualifier);
  }
}

aws::Outcome<void> refuse_latest(const ports::FunctionRef& ref) {
  if (ref.qualifier != "$LATEST") return {};
  return std::unexpected(api::invalid_parameter_value("We currently do not support adding policies for $LATEST."));
}

aws::Outcome<Grant> grant_of(api::AddPermissionRequest in, const ports::FunctionRef& ref) {
  if (in.function_url_auth_type && in.action != "lambda:InvokeFunctionUrl") {
    return std::unexpected(
        api::invalid_parameter_value("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"));
  }
  return Grant{.statement_id = std::move(in.statement_id),
               .action = std::move(in.action),
               .principal = std::move(in.principal),
               .resource = ref.arn().str(),
               .source_arn = std::move(in.source_arn),
               .source_account = std::move(in.source_account),
               .event_source_token = std::move(in.event_source_token),
               .principal_org_id = std::move(in.principal_org_id),
               .function_url_auth_type = std::move(in.function_url_auth_type),
               .invoked_via_function_url = in.invoked_via_function_url};
}

}  // namespace

Reply<api::AddPermissionResponse> add_permission(Lambda* lambda, aws::RequestContext* context,
                                                 api::AddPermissionRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (auto latest = refuse_latest(*ref); !latest) co_return std::unexpected(std::move(latest.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto located = lambda->functions.locate(*ref);
  if (!located) {
    const bool alias = !ref->qualifier.empty() && !is_version_number(ref->qualifier);
    co_return std::unexpected(alias ? alias_not_found(*ref) : function_not_found(*ref));
  }
  const std::optional<std::string> revision_id = in.revision_id;
  auto grant = grant_of(std::move(in), *ref);
  if (!grant) co_return std::unexpected(std::move(grant.error()));
  auto statement = make_statement(*grant);
  if (!statement) co_return std::unexpected(std::move(statement.error()));
  Function function = *located->function;
  auto policy = policy_of(function, ref->qualifier);
  if (auto revision = check_policy_revision(policy, revision_id, "GetPolicy"); !revision) {
    co_return std::unexpected(std::move(revision.error()));
  }
  api::AddPermissionResponse out{.statement = json::serialize(*statement)};
  if (auto added = add_statement(policy, std::move(*statement), lambda->functions.new_revision()); !added) {
    co_return std::unexpected(std::move(added.error()));
  }
  set_policy(function, ref->qualifier, std::move(policy));
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetPolicyResponse> get_policy(Lambda* lambda, aws::RequestContext* context, api::GetPolicyRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto located = lambda->functions.locate(*ref);
  const auto policy = located ? policy_of(*located->function, ref->qualifier) : std::nullopt;
  if (!policy) co_return std::unexpected(api::resource_not_found("The resource you requested does not exist."));
  co_return api::GetPolicyResponse{.policy = policy_text(*policy), .revision_id = policy->revision_id};
}

Reply<aws::Unit> remove_permission(Lambda* lambda, aws::RequestContext* context, api::RemovePermissionRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto located = lambda->functions.locate(*ref);
  if (!located) {
    co_return std::unexpected(api::resource_not_found(fmt::format("No policy found for: {}", ref->arn().str())));
  }
  Function function = *located->function;
  auto policy = policy_of(function, ref->qualifier);
  if (!policy) {
    co_return std::unexpected(api::resource_not_found("No policy is associated with the given resource."));
  }
  if (auto revision = check_policy_revision(policy, in.revision_id, "GetPolicy"); !revision) {
    co_return std::unexpected(std::move(revision.error()));
  }
  if (auto removed = remove_statement(policy, in.statement_id, lambda->functions.new_revision()); !removed) {
    co_return std::unexpected(std::move(removed.error()));
  }
  set_policy(function, ref->qualifier, std::move(policy));
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

}  // namespace lambdad::lambda
