// AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/handlers/layer_ref.h"
#include "services/lambda/policy.h"

namespace lambdad::lambda {
namespace {

aws::Error layer_version_not_found(const LayerRef& ref) {
  return api::resource_not_found(fmt::format("Layer version {} does not exist.", ref.arn()));
}

Async<aws::Outcome<void>> commit_policy(Lambda* lambda, aws::RequestContext* context, Layer layer, std::int64_t version,
                                        std::optional<Policy> policy) {
  layer.versions.at(version).policy = std::move(policy);
  auto committed = co_await lambda->layers.commit(std::move(layer));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return aws::Outcome<void>();
}

}  // namespace

Reply<api::AddLayerVersionPermissionResponse> add_layer_version_permission(Lambda* lambda, aws::RequestContext* context,
                                                                           api::AddLayerVersionPermissionRequest in) {
  auto ref = layer_version_ref(*context, in.layer_name, in.version_number);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (in.organization_id && in.principal != "*") {
    co_return std::unexpected(api::invalid_parameter_value("OrganizationId can only be given with the principal *."));
  }
  auto guard = co_await lambda->layers.lock(*ref);
  auto layer = lambda->layers.find(*ref);
  const LayerVersion* version = Layers::version(layer, ref->version);
  if (version == nullptr) co_return std::unexpected(layer_version_not_found(*ref));
  std::optional<Policy> policy = version->policy;
  if (auto revision = check_policy_revision(policy, in.revision_id, "GetLayerPolicy"); !revision) {
    co_return std::unexpected(std::move(revision.error()));
  }
  auto statement = make_statement(Grant{.statement_id = std::move(in.statement_id),
                                        .action = std::move(in.action),
                                        .principal = std::move(in.principal),
                                        .resource = ref->arn(),
                                        .principal_org_id = std::move(in.organization_id)});
  if (!statement) co_return std::unexpected(std::move(statement.error()));
  api::AddLayerVersionPermissionResponse out{.statement = json::serialize(*statement),
                                             .revision_id = lambda->functions.new_revision()};
  if (auto added = add_statement(policy, std::move(*statement), *out.revision_id); !added) {
    co_return std::unexpected(std::move(added.error()));
  }
  auto done = co_await commit_policy(lambda, context, *layer, ref->version, std::move(policy));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return out;
}

Reply<api::GetLayerVersionPolicyResponse> get_layer_version_policy(Lambda* lambda, aws::RequestContext* context,
                                                                   api::GetLayerVersionPolicyRequest in) {
  auto ref = layer_version_ref(*context, in.layer_name, in.version_number);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto layer = lambda->layers.find(*ref);
  const LayerVersion* version = Layers::version(layer, ref->version);
  if (version == nullptr) co_return std::unexpected(layer_version_not_found(*ref));
  if (!version->policy) {
    co_return std::unexpected(api::resource_not_found("No policy is associated with the given resource."));
  }
  co_return api::GetLayerVersionPolicyResponse{.policy = policy_text(*version->policy),
                                               .revision_id = version->policy->revision_id};
}

Reply<aws::Unit> remove_layer_version_permission(Lambda* lambda, aws::RequestContext* context,
                                                 api::RemoveLayerVersionPermissionRequest in) {
  auto ref = layer_version_ref(*context, in.layer_name, in.version_number);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->layers.lock(*ref);
  auto layer = lambda->layers.find(*ref);
  const LayerVersion* version = Layers::version(layer, ref->version);
  if (version == nullptr) co_return std::unexpected(layer_version_not_found(*ref));
  std::optional<Policy> policy = version->policy;
  if (!policy) {
    co_return std::unexpected(api::resource_not_found("No policy is associated with the given resource."));
  }
  if (auto revision = check_policy_revision(policy, in.revision_id, "GetLayerPolicy"); !revision) {
    co_return std::unexpected(std::move(revision.error()));
  }
  if (auto removed = remove_statement(policy, in.statement_id, lambda->functions.new_revision()); !removed) {
    co_return std::unexpected(std::move(removed.error()));
  }
  auto done = co_await commit_policy(lambda, context, *layer, ref->version, std::move(policy));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return aws::Unit{};
}

}  // namespace lambdad::lambda
