/// One function per operation. Each is called with an input that the model's constraints accept, checks what the model
/// cannot say, asks Functions, and answers. `lambda` and the context outlive the coroutine.
#pragma once

#include "aws/dispatcher.h"
#include "aws/gen/lambda.h"
#include "ports/response_stream.h"
#include "services/lambda/function_name.h"
#include "services/lambda/functions.h"
#include "services/lambda/runtimes.h"

namespace lambdad::lambda {

/// What handlers work with; owned by LambdaService.
struct Lambda {
  System& system;
  Logger& log;
  Functions& functions;
  RuntimeCheck runtime_check;
  ports::FunctionInvoker* invoker = nullptr;
  ports::StreamInvoker* stream_invoker = nullptr;
  int account_concurrency = 0;
  std::string code_url_key;  ///< secret of this process
};

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
/// A function whose $LATEST is meant: 404 for any other qualifier, because there are no versions and aliases.
aws::Outcome<Functions::FunctionPtr> find_latest(Lambda& lambda, const ports::FunctionRef& function);
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
/// The answer to an invocation whose function has not run.
aws::Error invocation_failure(Lambda& lambda, const aws::RequestContext& context, const ports::FunctionRef& function,
                              const ports::InvocationOutcome& outcome);
/// 409 while a change is in progress, then 412 when `revision_id` is given and is not the present one.
aws::Outcome<void> check_changeable(const Function& function, const std::optional<std::string>& revision_id);
/// Judges and stores an uploaded zip. InvalidParameterValueException with AWS's texts for what cannot be unpacked.
Async<aws::Outcome<package::PackageStore::Ref>> store_code(Lambda* lambda, const aws::RequestContext* context,
                                                           std::string zip);
/// As store_code() without storing.
Async<aws::Outcome<package::PackageStore::Package>> examine_code(Lambda* lambda, const aws::RequestContext* context,
                                                                 std::string zip);
/// GetFunction's Code.Location: good for ten minutes, for this zip only.
std::string code_url(const Lambda& lambda, const aws::RequestContext& context, const Function& function);
/// Whether `query` of a code URL was made by code_url() for `path` and has not expired.
bool code_url_is_valid(const Lambda& lambda, std::string_view path, std::string_view query);

}  // namespace lambdad::lambda
