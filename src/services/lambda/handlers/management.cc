// Put- and GetRuntimeManagementConfig, Put- and GetFunctionRecursionConfig
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {
namespace {

/// Runtime management belongs to versions: what an alias names is its version's.
aws::Outcome<std::string> managed_version(Lambda& lambda, const ports::FunctionRef& ref) {
  auto located = locate(lambda, ref);
  if (!located) return std::unexpected(std::move(located.error()));
  return located->version == nullptr ? std::string("$LATEST") : std::to_string(located->version->number);
}

}  // namespace

Reply<api::PutRuntimeManagementConfigResponse> put_runtime_management_config(
    Lambda* lambda, aws::RequestContext* context, api::PutRuntimeManagementConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto version = managed_version(*lambda, *ref);
  if (!version) co_return std::unexpected(std::move(version.error()));
  Function function = *lambda->functions.find(*ref);
  const bool manual = in.update_runtime_on == "Manual";
  if (manual != in.runtime_version_arn.has_value()) {
    co_return std::unexpected(api::invalid_parameter_value(
        manual ? "RuntimeVersionArn must be provided when UpdateRuntimeOn is Manual."
               : "RuntimeVersionArn can only be provided when UpdateRuntimeOn is Manual."));
  }
  if (manual) {
    // One build of each runtime is on this host: no other can be asked for.
    const VersionPtr published = function.version(*version);
    const std::string& runtime = published != nullptr ? published->settings.runtime : function.current.runtime;
    if (*in.runtime_version_arn != runtime_version_arn(function.region, runtime)) {
      co_return std::unexpected(api::invalid_parameter_value(
          fmt::format("Runtime version {} is not on this machine. It has {} for {}.", *in.runtime_version_arn,
                      runtime_version_arn(function.region, runtime), runtime)));
    }
  }
  function.runtime_management[*version] =
      RuntimeManagement{.update_on = in.update_runtime_on, .runtime_version_arn = in.runtime_version_arn.value_or("")};
  api::PutRuntimeManagementConfigResponse out;
  out.update_runtime_on = in.update_runtime_on;
  out.function_arn = function.arn(*version).str();
  out.runtime_version_arn = in.runtime_version_arn;
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return out;
}

Reply<api::GetRuntimeManagementConfigResponse> get_runtime_management_config(
    Lambda* lambda, aws::RequestContext* context, api::GetRuntimeManagementConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto version = managed_version(*lambda, *ref);
  if (!version) co_return std::unexpected(std::move(version.error()));
  auto function = lambda->functions.find(*ref);
  auto place = function->runtime_management.find(*version);
  const RuntimeManagement management =
      place == function->runtime_management.end() ? RuntimeManagement() : place->second;
  api::GetRuntimeManagementConfigResponse out;
  out.update_runtime_on = management.update_on;
  out.function_arn = function->arn(*version).str();
  if (!management.runtime_version_arn.empty()) out.runtime_version_arn = management.runtime_version_arn;
  co_return out;
}

Reply<api::PutFunctionRecursionConfigResponse> put_function_recursion_config(
    Lambda* lambda, aws::RequestContext* context, api::PutFunctionRecursionConfigRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  function.recursive_loop = in.recursive_loop;
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return api::PutFunctionRecursionConfigResponse{.recursive_loop = in.recursive_loop};
}

Reply<api::GetFunctionRecursionConfigResponse> get_function_recursion_config(
    Lambda* lambda, aws::RequestContext* context, api::GetFunctionRecursionConfigRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_return api::GetFunctionRecursionConfigResponse{.recursive_loop = (*found)->recursive_loop};
}

}  // namespace lambdad::lambda
