/// One function per operation. Each is called with an input that the model's constraints accept, checks what the model
/// cannot say, asks Functions, and answers. `lambda` and the context outlive the coroutine.
#pragma once

#include "aws/dispatcher.h"
#include "aws/gen/lambda.h"
#include "ports/objects.h"
#include "ports/response_stream.h"
#include "ports/tags.h"
#include "ports/targets.h"
#include "services/lambda/code_signing.h"
#include "services/lambda/function_name.h"
#include "services/lambda/functions.h"
#include "services/lambda/layers.h"
#include "services/lambda/runtimes.h"

namespace lambdad::lambda {

/// What handlers work with; owned by LambdaService.
struct Lambda {
  System& system;
  Logger& log;
  Functions& functions;
  Layers& layers;
  CodeSigningConfigs& code_signing;
  package::PackageStore& packages;
  RuntimeCheck runtime_check;
  std::function<bool(const std::string& role_arn)> role_check;
  ports::FunctionInvoker* invoker = nullptr;
  ports::StreamInvoker* stream_invoker = nullptr;
  ports::ObjectReader* objects = nullptr;  ///< null: there is no bucket
  ports::Targets* targets = nullptr;
  ports::TaggedResources* tagged = nullptr;  ///< resources whose tags are kept elsewhere
  int account_concurrency = 0;
  std::string code_url_key;  ///< secret of this process
};

/// InvalidParameterValueException when Lambda may not assume the role.
aws::Outcome<void> check_role(const Lambda& lambda, const std::string& role_arn);

template <class T>
using Reply = Async<aws::Outcome<T>>;
namespace api = aws::lambda;

// Functions
Reply<api::FunctionConfiguration> create_function(Lambda* lambda, aws::RequestContext* context,
                                                  api::CreateFunctionRequest in);
Reply<api::GetFunctionResponse> get_function(Lambda* lambda, aws::RequestContext* context, api::GetFunctionRequest in);
Reply<api::FunctionConfiguration> get_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                             api::GetFunctionConfigurationRequest in);
Reply<api::ListFunctionsResponse> list_functions(Lambda* lambda, aws::RequestContext* context,
                                                 api::ListFunctionsRequest in);
Reply<api::ListVersionsByFunctionResponse> list_versions_by_function(Lambda* lambda, aws::RequestContext* context,
                                                                     api::ListVersionsByFunctionRequest in);
Reply<api::FunctionConfiguration> update_function_code(Lambda* lambda, aws::RequestContext* context,
                                                       api::UpdateFunctionCodeRequest in);
Reply<api::FunctionConfiguration> update_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                                api::UpdateFunctionConfigurationRequest in);
Reply<api::DeleteFunctionResponse> delete_function(Lambda* lambda, aws::RequestContext* context,
                                                   api::DeleteFunctionRequest in);
// Invoke
Reply<api::InvocationResponse> invoke(Lambda* lambda, aws::RequestContext* context, api::InvocationRequest in);
Reply<api::InvokeAsyncResponse> invoke_async(Lambda* lambda, aws::RequestContext* context, api::InvokeAsyncRequest in);
// Versions and aliases
Reply<api::FunctionConfiguration> publish_version(Lambda* lambda, aws::RequestContext* context,
                                                  api::PublishVersionRequest in);
Reply<api::AliasConfiguration> create_alias(Lambda* lambda, aws::RequestContext* context, api::CreateAliasRequest in);
Reply<api::AliasConfiguration> get_alias(Lambda* lambda, aws::RequestContext* context, api::GetAliasRequest in);
Reply<api::AliasConfiguration> update_alias(Lambda* lambda, aws::RequestContext* context, api::UpdateAliasRequest in);
Reply<aws::Unit> delete_alias(Lambda* lambda, aws::RequestContext* context, api::DeleteAliasRequest in);
Reply<api::ListAliasesResponse> list_aliases(Lambda* lambda, aws::RequestContext* context, api::ListAliasesRequest in);
// Layers
Reply<api::PublishLayerVersionResponse> publish_layer_version(Lambda* lambda, aws::RequestContext* context,
                                                              api::PublishLayerVersionRequest in);
Reply<api::GetLayerVersionResponse> get_layer_version(Lambda* lambda, aws::RequestContext* context,
                                                      api::GetLayerVersionRequest in);
Reply<api::GetLayerVersionResponse> get_layer_version_by_arn(Lambda* lambda, aws::RequestContext* context,
                                                             api::GetLayerVersionByArnRequest in);
Reply<aws::Unit> delete_layer_version(Lambda* lambda, aws::RequestContext* context, api::DeleteLayerVersionRequest in);
Reply<api::ListLayerVersionsResponse> list_layer_versions(Lambda* lambda, aws::RequestContext* context,
                                                          api::ListLayerVersionsRequest in);
Reply<api::ListLayersResponse> list_layers(Lambda* lambda, aws::RequestContext* context, api::ListLayersRequest in);
Reply<api::AddLayerVersionPermissionResponse> add_layer_version_permission(Lambda* lambda, aws::RequestContext* context,
                                                                           api::AddLayerVersionPermissionRequest in);
Reply<api::GetLayerVersionPolicyResponse> get_layer_version_policy(Lambda* lambda, aws::RequestContext* context,
                                                                   api::GetLayerVersionPolicyRequest in);
Reply<aws::Unit> remove_layer_version_permission(Lambda* lambda, aws::RequestContext* context,
                                                 api::RemoveLayerVersionPermissionRequest in);
// Resource policies
Reply<api::AddPermissionResponse> add_permission(Lambda* lambda, aws::RequestContext* context,
                                                 api::AddPermissionRequest in);
Reply<api::GetPolicyResponse> get_policy(Lambda* lambda, aws::RequestContext* context, api::GetPolicyRequest in);
Reply<aws::Unit> remove_permission(Lambda* lambda, aws::RequestContext* context, api::RemovePermissionRequest in);
// Provisioned concurrency
Reply<api::PutProvisionedConcurrencyConfigResponse> put_provisioned_concurrency_config(
    Lambda* lambda, aws::RequestContext* context, api::PutProvisionedConcurrencyConfigRequest in);
Reply<api::GetProvisionedConcurrencyConfigResponse> get_provisioned_concurrency_config(
    Lambda* lambda, aws::RequestContext* context, api::GetProvisionedConcurrencyConfigRequest in);
Reply<aws::Unit> delete_provisioned_concurrency_config(Lambda* lambda, aws::RequestContext* context,
                                                       api::DeleteProvisionedConcurrencyConfigRequest in);
Reply<api::ListProvisionedConcurrencyConfigsResponse> list_provisioned_concurrency_configs(
    Lambda* lambda, aws::RequestContext* context, api::ListProvisionedConcurrencyConfigsRequest in);
// Code signing
Reply<api::CreateCodeSigningConfigResponse> create_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::CreateCodeSigningConfigRequest in);
Reply<api::GetCodeSigningConfigResponse> get_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                 api::GetCodeSigningConfigRequest in);
Reply<api::UpdateCodeSigningConfigResponse> update_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::UpdateCodeSigningConfigRequest in);
Reply<api::DeleteCodeSigningConfigResponse> delete_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::DeleteCodeSigningConfigRequest in);
Reply<api::ListCodeSigningConfigsResponse> list_code_signing_configs(Lambda* lambda, aws::RequestContext* context,
                                                                     api::ListCodeSigningConfigsRequest in);
Reply<api::ListFunctionsByCodeSigningConfigResponse> list_functions_by_code_signing_config(
    Lambda* lambda, aws::RequestContext* context, api::ListFunctionsByCodeSigningConfigRequest in);
Reply<api::PutFunctionCodeSigningConfigResponse> put_function_code_signing_config(
    Lambda* lambda, aws::RequestContext* context, api::PutFunctionCodeSigningConfigRequest in);
Reply<api::GetFunctionCodeSigningConfigResponse> get_function_code_signing_config(
    Lambda* lambda, aws::RequestContext* context, api::GetFunctionCodeSigningConfigRequest in);
Reply<aws::Unit> delete_function_code_signing_config(Lambda* lambda, aws::RequestContext* context,
                                                     api::DeleteFunctionCodeSigningConfigRequest in);
// Runtime management and recursion
Reply<api::PutRuntimeManagementConfigResponse> put_runtime_management_config(Lambda* lambda,
                                                                             aws::RequestContext* context,
                                                                             api::PutRuntimeManagementConfigRequest in);
Reply<api::GetRuntimeManagementConfigResponse> get_runtime_management_config(Lambda* lambda,
                                                                             aws::RequestContext* context,
                                                                             api::GetRuntimeManagementConfigRequest in);
Reply<api::PutFunctionRecursionConfigResponse> put_function_recursion_config(Lambda* lambda,
                                                                             aws::RequestContext* context,
                                                                             api::PutFunctionRecursionConfigRequest in);
Reply<api::GetFunctionRecursionConfigResponse> get_function_recursion_config(Lambda* lambda,
                                                                             aws::RequestContext* context,
                                                                             api::GetFunctionRecursionConfigRequest in);
Reply<api::InvokeWithResponseStreamResponse> invoke_with_response_stream(Lambda* lambda, aws::RequestContext* context,
                                                                         api::InvokeWithResponseStreamRequest in);
// Event invoke configuration
Reply<api::FunctionEventInvokeConfig> put_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::PutFunctionEventInvokeConfigRequest in);
Reply<api::FunctionEventInvokeConfig> update_function_event_invoke_config(
    Lambda* lambda, aws::RequestContext* context, api::UpdateFunctionEventInvokeConfigRequest in);
Reply<api::FunctionEventInvokeConfig> get_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::GetFunctionEventInvokeConfigRequest in);
Reply<aws::Unit> delete_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                     api::DeleteFunctionEventInvokeConfigRequest in);
Reply<api::ListFunctionEventInvokeConfigsResponse> list_function_event_invoke_configs(
    Lambda* lambda, aws::RequestContext* context, api::ListFunctionEventInvokeConfigsRequest in);
// Concurrency and account
Reply<api::Concurrency> put_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                                 api::PutFunctionConcurrencyRequest in);
Reply<api::GetFunctionConcurrencyResponse> get_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                                                    api::GetFunctionConcurrencyRequest in);
Reply<aws::Unit> delete_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                             api::DeleteFunctionConcurrencyRequest in);
Reply<api::GetAccountSettingsResponse> get_account_settings(Lambda* lambda, aws::RequestContext* context,
                                                            api::GetAccountSettingsRequest in);
// Tags
Reply<aws::Unit> tag_resource(Lambda* lambda, aws::RequestContext* context, api::TagResourceRequest in);
Reply<aws::Unit> untag_resource(Lambda* lambda, aws::RequestContext* context, api::UntagResourceRequest in);
Reply<api::ListTagsResponse> list_tags(Lambda* lambda, aws::RequestContext* context, api::ListTagsRequest in);

// Shared by several of them.

/// 500; the cause is logged under the request's id.
aws::Error service_failure(Lambda& lambda, const aws::RequestContext& context, const Error& cause);
/// The function, whatever the qualifier; ResourceNotFoundException names what was asked for.
aws::Outcome<Functions::FunctionPtr> find_function(Lambda& lambda, const ports::FunctionRef& function);
/// What the qualifier means; ResourceNotFoundException when function, version or alias is not there.
aws::Outcome<Functions::Located> locate(Lambda& lambda, const ports::FunctionRef& function);
/// "Cannot find alias arn: ARN"
aws::Error alias_not_found(const ports::FunctionRef& function);
bool is_version_number(std::string_view qualifier);
/// Makes a changed function durable and visible; 500 when that fails. `code`: as Functions::commit().
Async<aws::Outcome<void>> commit(Lambda* lambda, const aws::RequestContext* context, Function function,
                                 package::PackageStore::Ref code = {});
/// What the two ways to invoke are asked alike.
struct InvocationInput {
  std::string function_name;
  std::optional<std::string> qualifier;
  std::string type;  ///< RequestResponse, Event, DryRun
  std::string payload;
  std::optional<std::string> client_context;  ///< base64
};
/// The invocation that `in` asks for, when nothing about the request is wrong.
aws::Outcome<ports::InvocationRequest> check_invocation(Lambda& lambda, const aws::RequestContext& context,
                                                        InvocationInput in);
/// The trace that an accepted invocation belongs to, its caller's or a new one, is answered in X-Amzn-Trace-Id.
void answer_trace(const Lambda& lambda, aws::RequestContext& context, ports::InvocationRequest& request);
/// The answer to an invocation whose function has not run.
aws::Error invocation_failure(Lambda& lambda, const aws::RequestContext& context, const ports::FunctionRef& function,
                              const ports::InvocationOutcome& outcome);
/// 409 while a change is in progress, then 412 when `revision_id` is given and is not the present one.
aws::Outcome<void> check_changeable(const Function& function, const std::optional<std::string>& revision_id);
/// add_version() with ids of its own.
VersionPtr publish(Lambda& lambda, Function& function, std::optional<std::string> description);
/// "The Lambda code signing configuration X can not be found." as CodeSigningConfigNotFoundException.
aws::Error code_signing_config_not_found(std::string_view arn);
/// The layers that `arns` name, as a function keeps them; InvalidParameterValueException with AWS's texts.
aws::Outcome<std::vector<LayerUse>> resolve_layers(const Lambda& lambda, const aws::RequestContext& context,
                                                   const std::vector<std::string>& arns);
/// Keeps the layers' packages until the function that names them is stored.
std::vector<package::PackageStore::Ref> hold_layers(const Lambda& lambda, const Settings& settings);
/// Code and layers together must not be larger than AWS allows.
aws::Outcome<void> check_unzipped_size(const Settings& settings);
/// Where the code of a function or layer comes from.
struct CodeSource {
  std::optional<std::string> zip;
  std::optional<std::string> bucket;
  std::optional<std::string> key;
  std::optional<std::string> version;
};
inline constexpr std::string_view kNoFunctionCode = "Please provide a source for function code.";
/// The zip's bytes: what was sent, or an object of S3. InvalidParameterValueException unless exactly one source is
/// named whole, and with S3's words when it does not give the object. `missing`: AWS's text when nothing is named.
Async<aws::Outcome<std::string>> read_code(Lambda* lambda, const aws::RequestContext* context, CodeSource source,
                                           std::string_view missing);
/// Judges and stores an uploaded zip. InvalidParameterValueException with AWS's texts for what cannot be unpacked.
Async<aws::Outcome<package::PackageStore::Stored>> store_code(Lambda* lambda, const aws::RequestContext* context,
                                                              std::string zip);
/// As store_code() without storing.
Async<aws::Outcome<package::PackageStore::Package>> examine_code(Lambda* lambda, const aws::RequestContext* context,
                                                                 std::string zip);
/// Code.Location and Content.Location: good for ten minutes, for this zip only. `owner`: the name of the function or
/// layer, for people.
std::string code_url(const Lambda& lambda, const aws::RequestContext& context, const std::string& account,
                     const std::string& region, const std::string& owner, const std::string& sha256);
/// Whether `query` of a code URL was made by code_url() for `path` and has not expired.
bool code_url_is_valid(const Lambda& lambda, std::string_view path, std::string_view query);

}  // namespace lambdad::lambda
