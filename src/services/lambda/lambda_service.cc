#include "services/lambda/lambda_service.h"

#include "aws/protocol.h"
#include "aws/router.h"
#include "services/lambda/control_rates.h"
#include "services/lambda/functions.h"
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/policy.h"

namespace lambdad::lambda {

struct LambdaService::Impl {
  Impl(System& system, Logger& log, store::Database& database, package::PackageStore& packages_, Options options)
      : store(database),
        uses(packages_),
        packages(packages_),
        functions(system, log, store, packages, uses),
        layers(system, store, uses),
        code_signing(system, store),
        lambda{.system = system,
               .log = log,
               .functions = functions,
               .layers = layers,
               .code_signing = code_signing,
               .packages = packages,
               .runtime_check = std::move(options.runtime_check),
               .role_check = std::move(options.role_check),
               .account_concurrency = options.account_concurrency,
               .code_url_key = system.random.bytes(32)} {
    LD_CHECK(lambda.runtime_check != nullptr);
    if (options.limit_control_rates) control_rates.emplace();
  }

  /// An operation of the control plane.
  template <class Op, class Handler>
  void serve(aws::Dispatcher& dispatcher, Handler handler) {
    dispatcher.serve<Op>([this, handler](aws::RequestContext& context, typename Op::Input input) {
      if (control_rates &&
          !control_rates->take(context.account, context.region, context.operation, lambda.system.host_clock.mono())) {
        return throttled<typename Op::Output>();
      }
      return handler(&lambda, &context, std::move(input));
    });
  }
  template <class Op, class Handler>
  void serve_invocation(aws::Dispatcher& dispatcher, Handler handler) {
    dispatcher.serve<Op>([this, handler](aws::RequestContext& context, typename Op::Input input) {
      return handler(&lambda, &context, std::move(input));
    });
  }
  template <class Output>
  static Reply<Output> throttled() {
    aws::Error error = api::too_many_requests("Rate exceeded");
    error.members.set("Reason", "CallerRateLimitExceeded");
    error.retry_after = "1";
    co_return std::unexpected(std::move(error));
  }

  LambdaStore store;
  PackageUses uses;
  package::PackageStore& packages;
  Functions functions;
  Layers layers;
  CodeSigningConfigs code_signing;
  Lambda lambda;
  std::optional<ControlRates> control_rates;  // when AWS's rates are kept
};

LambdaService::LambdaService(System& system, Logger& log, store::Database& database, package::PackageStore& packages,
                             Options options)
    : impl_(std::make_unique<Impl>(system, log, database, packages, std::move(options))) {}

LambdaService::~LambdaService() = default;

std::span<const store::Migration> LambdaService::migrations() { return LambdaStore::migrations(); }

Async<Result<void>> LambdaService::start() {
  // First what names packages: the package store keeps nothing else.
  LD_CO_TRY_VOID(co_await impl_->layers.load());
  LD_CO_TRY_VOID(co_await impl_->code_signing.load());
  LD_CO_TRY_VOID(co_await impl_->functions.load());
  // Then unpacking, in directories that the package store has cleaned up.
  LD_CO_TRY_VOID(co_await impl_->packages.start());
  impl_->functions.resume();
  co_return Result<void>();
}

Async<void> LambdaService::stop() { co_await impl_->functions.stop(); }
Async<void> LambdaService::settle() { co_await impl_->functions.settle(); }
void LambdaService::set_images(package::ImageSources& images) { impl_->functions.set_images(images); }
void LambdaService::set_invoker(ports::FunctionInvoker& invoker) { impl_->lambda.invoker = &invoker; }
void LambdaService::set_stream_invoker(ports::StreamInvoker& invoker) { impl_->lambda.stream_invoker = &invoker; }
void LambdaService::set_object_reader(ports::ObjectReader& objects) { impl_->lambda.objects = &objects; }
void LambdaService::set_targets(ports::Targets& targets) { impl_->lambda.targets = &targets; }
void LambdaService::set_tagged_resources(ports::TaggedResources& resources) { impl_->lambda.tagged = &resources; }
ports::FunctionCatalog& LambdaService::catalog() { return impl_->functions; }

std::string LambdaService::resource_policy(const Arn& resource) const {
  if (const auto layer = parse_layer_arn(resource.str())) {
    const LayerPtr found = impl_->layers.find(*layer);
    const LayerVersion* version = found ? Layers::version(found, layer->version) : nullptr;
    return version != nullptr && version->policy ? policy_text(*version->policy) : std::string();
  }
  const auto arn = FunctionArn::parse(resource.str());
  if (!arn) return {};
  const auto function = impl_->functions.find({arn->account, arn->region, arn->name, arn->qualifier});
  if (!function) return {};
  const auto place = function->policies.find(arn->qualifier);
  return place == function->policies.end() ? std::string() : policy_text(place->second);
}

void LambdaService::set_provisioner(ports::EnvironmentProvisioner& provisioner) {
  impl_->functions.set_provisioner(provisioner);
}

void LambdaService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  impl_->serve<api::CreateFunction>(dispatcher, create_function);
  impl_->serve<api::GetFunction>(dispatcher, get_function);
  impl_->serve<api::GetFunctionConfiguration>(dispatcher, get_function_configuration);
  impl_->serve<api::ListFunctions>(dispatcher, list_functions);
  impl_->serve<api::ListVersionsByFunction>(dispatcher, list_versions_by_function);
  impl_->serve<api::UpdateFunctionCode>(dispatcher, update_function_code);
  impl_->serve<api::UpdateFunctionConfiguration>(dispatcher, update_function_configuration);
  impl_->serve<api::DeleteFunction>(dispatcher, delete_function);
  impl_->serve_invocation<api::Invoke>(dispatcher, invoke);
  impl_->serve_invocation<api::InvokeWithResponseStream>(dispatcher, invoke_with_response_stream);
  impl_->serve<api::PutFunctionEventInvokeConfig>(dispatcher, put_function_event_invoke_config);
  impl_->serve<api::UpdateFunctionEventInvokeConfig>(dispatcher, update_function_event_invoke_config);
  impl_->serve<api::GetFunctionEventInvokeConfig>(dispatcher, get_function_event_invoke_config);
  impl_->serve<api::DeleteFunctionEventInvokeConfig>(dispatcher, delete_function_event_invoke_config);
  impl_->serve<api::ListFunctionEventInvokeConfigs>(dispatcher, list_function_event_invoke_configs);
  impl_->serve<api::PutFunctionConcurrency>(dispatcher, put_function_concurrency);
  impl_->serve<api::GetFunctionConcurrency>(dispatcher, get_function_concurrency);
  impl_->serve<api::DeleteFunctionConcurrency>(dispatcher, delete_function_concurrency);
  impl_->serve<api::GetAccountSettings>(dispatcher, get_account_settings);
  impl_->serve<api::TagResource>(dispatcher, tag_resource);
  impl_->serve<api::UntagResource>(dispatcher, untag_resource);
  impl_->serve<api::ListTags>(dispatcher, list_tags);
  impl_->serve_invocation<api::InvokeAsync>(dispatcher, invoke_async);
  impl_->serve<api::PublishVersion>(dispatcher, publish_version);
  impl_->serve<api::CreateAlias>(dispatcher, create_alias);
  impl_->serve<api::GetAlias>(dispatcher, get_alias);
  impl_->serve<api::UpdateAlias>(dispatcher, update_alias);
  impl_->serve<api::DeleteAlias>(dispatcher, delete_alias);
  impl_->serve<api::ListAliases>(dispatcher, list_aliases);
  impl_->serve<api::PublishLayerVersion>(dispatcher, publish_layer_version);
  impl_->serve<api::GetLayerVersion>(dispatcher, get_layer_version);
  impl_->serve<api::GetLayerVersionByArn>(dispatcher, get_layer_version_by_arn);
  impl_->serve<api::DeleteLayerVersion>(dispatcher, delete_layer_version);
  impl_->serve<api::ListLayerVersions>(dispatcher, list_layer_versions);
  impl_->serve<api::ListLayers>(dispatcher, list_layers);
  impl_->serve<api::AddLayerVersionPermission>(dispatcher, add_layer_version_permission);
  impl_->serve<api::GetLayerVersionPolicy>(dispatcher, get_layer_version_policy);
  impl_->serve<api::RemoveLayerVersionPermission>(dispatcher, remove_layer_version_permission);
  impl_->serve<api::AddPermission>(dispatcher, add_permission);
  impl_->serve<api::GetPolicy>(dispatcher, get_policy);
  impl_->serve<api::RemovePermission>(dispatcher, remove_permission);
  impl_->serve<api::PutProvisionedConcurrencyConfig>(dispatcher, put_provisioned_concurrency_config);
  impl_->serve<api::GetProvisionedConcurrencyConfig>(dispatcher, get_provisioned_concurrency_config);
  impl_->serve<api::DeleteProvisionedConcurrencyConfig>(dispatcher, delete_provisioned_concurrency_config);
  impl_->serve<api::ListProvisionedConcurrencyConfigs>(dispatcher, list_provisioned_concurrency_configs);
  impl_->serve<api::CreateCodeSigningConfig>(dispatcher, create_code_signing_config);
  impl_->serve<api::GetCodeSigningConfig>(dispatcher, get_code_signing_config);
  impl_->serve<api::UpdateCodeSigningConfig>(dispatcher, update_code_signing_config);
  impl_->serve<api::DeleteCodeSigningConfig>(dispatcher, delete_code_signing_config);
  impl_->serve<api::ListCodeSigningConfigs>(dispatcher, list_code_signing_configs);
  impl_->serve<api::ListFunctionsByCodeSigningConfig>(dispatcher, list_functions_by_code_signing_config);
  impl_->serve<api::PutFunctionCodeSigningConfig>(dispatcher, put_function_code_signing_config);
  impl_->serve<api::GetFunctionCodeSigningConfig>(dispatcher, get_function_code_signing_config);
  impl_->serve<api::DeleteFunctionCodeSigningConfig>(dispatcher, delete_function_code_signing_config);
  impl_->serve<api::PutRuntimeManagementConfig>(dispatcher, put_runtime_management_config);
  impl_->serve<api::GetRuntimeManagementConfig>(dispatcher, get_runtime_management_config);
  impl_->serve<api::PutFunctionRecursionConfig>(dispatcher, put_function_recursion_config);
  impl_->serve<api::GetFunctionRecursionConfig>(dispatcher, get_function_recursion_config);
}

Async<http::Response> LambdaService::code_download(http::Request request) {
  const std::string path(request.path());
  if (request.method != "GET" || !path.starts_with(kCodePath)) co_return http::Response::text(404, "No such page.\n");
  if (!code_url_is_valid(impl_->lambda, path, request.query())) {
    co_return http::Response::text(403, "The link has expired or is not one that lambdad gave out.\n");
  }
  // The token vouches for the form of the path.
  const std::string sha256 = path.substr(path.rfind('/') + 1);
  auto zip = co_await impl_->packages.zip(sha256);
  if (!zip) co_return http::Response::text(404, "The code is no longer stored.\n");
  http::Response response;
  response.headers.set("Content-Type", "application/zip");
  response.body = std::move(*zip);
  co_return response;
}

// Recorded: 413 without a Type, and Invoke goes by another name.
std::optional<http::Response> LambdaService::refuse_body(const http::Request& head, std::string request_id) {
  aws::Router router;
  router.add(api::service());
  const aws::Route route = router.route(head, nullptr);
  if (route.operation == nullptr) return std::nullopt;
  std::string_view name = route.operation->name;
  std::size_t limit = kRequestBytesMax + 1;
  if (name == "Invoke" || name == "InvokeWithResponseStream") limit = kSyncPayloadBytesMax;
  if (name == "InvokeAsync") limit = kInvokeAsyncBytesMax;
  if (name == "Invoke") name = "InvokeFunction";
  aws::Error error = api::request_entity_too_large(
      fmt::format("Request must be smaller than {} bytes for the {} operation", limit, name));
  error.has_type_member = false;
  return aws::encode_error(route.protocol, route.service, error, request_id);
}

}  // namespace lambdad::lambda
