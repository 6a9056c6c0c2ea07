// Code signing configurations, and which functions name one.
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/images.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

/// Signatures are not checked here, so a policy that would refuse unsigned code cannot be kept.
aws::Outcome<void> check_policies(const std::optional<api::CodeSigningPolicies>& policies, std::string_view operation) {
  if (!policies || policies->untrusted_artifact_on_deployment.value_or("Warn") == "Warn") return {};
  return std::unexpected(
      aws::not_served("lambda", operation, "CodeSigningPolicies.UntrustedArtifactOnDeployment=Enforce"));
}

aws::Outcome<CodeSigningConfigs::ConfigPtr> find_config(Lambda& lambda, const std::string& arn) {
  auto config = lambda.code_signing.find(arn);
  if (config != nullptr) return config;
  return std::unexpected(
      api::resource_not_found(fmt::format("The Lambda code signing configuration {} can not be found.", arn)));
}

/// Of the configuration's own account and region.
template <class Each>
void for_functions_with(const Lambda& lambda, const CodeSigningConfig& config, const std::string& after, Each each) {
  constexpr std::size_t kStep = 1000;
  std::string last = after;
  for (;;) {
    auto functions = lambda.functions.list(config.account, config.region, last, kStep);
    for (const auto& function : functions) {
      if (function->code_signing_config == config.arn() && !each(*function)) return;
    }
    if (functions.size() < kStep) return;
    last = functions.back()->name;
  }
}

}  // namespace

aws::Error code_signing_config_not_found(std::string_view arn) {
  return api::code_signing_config_not_found(
      fmt::format("The Lambda code signing configuration {} can not be found.", arn));
}

Reply<api::CreateCodeSigningConfigResponse> create_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::CreateCodeSigningConfigRequest in) {
  if (auto policies = check_policies(in.code_signing_policies, context->operation); !policies) {
    co_return std::unexpected(std::move(policies.error()));
  }
  CodeSigningConfig config{.account = context->account,
                           .region = context->region,
                           .id = "csc-" + lambda->system.random.hex(17),
                           .description = in.description.value_or(""),
                           .publishers = std::move(in.allowed_publishers.signing_profile_version_arns),
                           .last_modified = lambda->system.clock.wall()};
  api::CreateCodeSigningConfigResponse out{.code_signing_config = to_api(config)};
  auto committed = co_await lambda->code_signing.commit(std::move(config));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return out;
}

Reply<api::GetCodeSigningConfigResponse> get_code_signing_config(Lambda* lambda, aws::RequestContext*,
                                                                 api::GetCodeSigningConfigRequest in) {
  auto config = find_config(*lambda, in.code_signing_config_arn);
  if (!config) co_return std::unexpected(std::move(config.error()));
  co_return api::GetCodeSigningConfigResponse{.code_signing_config = to_api(**config)};
}

Reply<api::UpdateCodeSigningConfigResponse> update_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::UpdateCodeSigningConfigRequest in) {
  if (auto policies = check_policies(in.code_signing_policies, context->operation); !policies) {
    co_return std::unexpected(std::move(policies.error()));
  }
  auto guard = co_await lambda->code_signing.lock(in.code_signing_config_arn);
  auto found = find_config(*lambda, in.code_signing_config_arn);
  if (!found) co_return std::unexpected(std::move(found.error()));
  CodeSigningConfig config = **found;
  if (in.description) config.description = std::move(*in.description);
  if (in.allowed_publishers) config.publishers = std::move(in.allowed_publishers->signing_profile_version_arns);
  config.last_modified = lambda->system.clock.wall();
  api::UpdateCodeSigningConfigResponse out{.code_signing_config = to_api(config)};
  auto committed = co_await lambda->code_signing.commit(std::move(config));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return out;
}

Reply<api::DeleteCodeSigningConfigResponse> delete_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::DeleteCodeSigningConfigRequest in) {
  auto guard = co_await lambda->code_signing.lock(in.code_signing_config_arn);
  auto found = find_config(*lambda, in.code_signing_config_arn);
  if (!found) co_return std::unexpected(std::move(found.error()));
  bool used = false;
  for_functions_with(*lambda, **found, "", [&](const Function&) {
    used = true;
    return false;
  });
  if (used) {
    co_return std::unexpected(api::resource_conflict(
        fmt::format("The code signing configuration {} is in use by functions.", in.code_signing_config_arn)));
  }
  auto erased = co_await lambda->code_signing.erase(*found);
  if (!erased) co_return std::unexpected(service_failure(*lambda, *context, erased.error()));
  co_return api::DeleteCodeSigningConfigResponse{};
}

Reply<api::ListCodeSigningConfigsResponse> list_code_signing_configs(Lambda* lambda, aws::RequestContext* context,
                                                                     api::ListCodeSigningConfigsRequest in) {
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  const std::size_t size = page_size(in.max_items, kFunctionsPerPageMax);
  Page<api::CodeSigningConfig> page(size);
  for (const auto& config : lambda->code_signing.list(context->account, context->region, *after, size + 1)) {
    if (!page.add(to_api(*config), config->arn())) break;
  }
  api::ListCodeSigningConfigsResponse out;
  out.next_marker = page.next_marker();
  out.code_signing_configs = page.take_items();
  co_return out;
}

Reply<api::ListFunctionsByCodeSigningConfigResponse> list_functions_by_code_signing_config(
    Lambda* lambda, aws::RequestContext*, api::ListFunctionsByCodeSigningConfigRequest in) {
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  auto config = find_config(*lambda, in.code_signing_config_arn);
  if (!config) co_return std::unexpected(std::move(config.error()));
  Page<std::string> page(page_size(in.max_items, kFunctionsPerPageMax));
  for_functions_with(*lambda, **config, *after,
                     [&](const Function& function) { return page.add(function.arn().str(), function.name); });
  api::ListFunctionsByCodeSigningConfigResponse out;
  out.next_marker = page.next_marker();
  out.function_arns = page.take_items();
  co_return out;
}

Reply<api::PutFunctionCodeSigningConfigResponse> put_function_code_signing_config(
    Lambda* lambda, aws::RequestContext* context, api::PutFunctionCodeSigningConfigRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto config_guard = co_await lambda->code_signing.lock(in.code_signing_config_arn);
  if (lambda->code_signing.find(in.code_signing_config_arn) == nullptr) {
    co_return std::unexpected(code_signing_config_not_found(in.code_signing_config_arn));
  }
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (auto signable = check_signable((*found)->current); !signable) {
    co_return std::unexpected(std::move(signable.error()));
  }
  Function function = **found;
  function.code_signing_config = in.code_signing_config_arn;
  api::PutFunctionCodeSigningConfigResponse out{.code_signing_config_arn = in.code_signing_config_arn,
                                                .function_name = function.name};
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetFunctionCodeSigningConfigResponse> get_function_code_signing_config(
    Lambda* lambda, aws::RequestContext* context, api::GetFunctionCodeSigningConfigRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  const Function& function = **found;
  if (function.code_signing_config.empty()) co_return api::GetFunctionCodeSigningConfigResponse{};  // recorded
  co_return api::GetFunctionCodeSigningConfigResponse{.code_signing_config_arn = function.code_signing_config,
                                                      .function_name = function.name};
}

Reply<aws::Unit> delete_function_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                     api::DeleteFunctionCodeSigningConfigRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if ((*found)->code_signing_config.empty()) co_return aws::Unit{};
  Function function = **found;
  function.code_signing_config.clear();
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

}  // namespace lambdad::lambda
