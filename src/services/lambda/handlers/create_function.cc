#include "services/lambda/handlers/handlers.h"
#include "services/lambda/images.h"
#include "services/lambda/settings.h"

namespace lambdad::lambda {
namespace {

/// Only here is the length of the bare name checked, and not with the front end's exception (recorded).
aws::Outcome<void> check_new_name(const std::string& name) {
  if (name.size() <= kFunctionNameLengthMax) return {};
  return std::unexpected(api::invalid_parameter_value(
      fmt::format("1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: Member must "
                  "have length less than or equal to {}",
                  name, kFunctionNameLengthMax)));
}

}  // namespace

Reply<api::FunctionConfiguration> create_function(Lambda* lambda, aws::RequestContext* context,
                                                  api::CreateFunctionRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (ref->account != context->account) co_return std::unexpected(api::access_denied());
  if (auto name = check_new_name(ref->name); !name) co_return std::unexpected(std::move(name.error()));
  if (auto fits = check_package_members(in); !fits) co_return std::unexpected(std::move(fits.error()));
  if (auto role = check_role(*lambda, in.role); !role) co_return std::unexpected(std::move(role.error()));

  Function function{.account = ref->account, .region = ref->region, .name = ref->name};
  Settings& settings = function.current;
  if (auto applied = apply_change(settings_change(in), "CreateFunction", function.name, lambda->runtime_check,
                                  lambda->targets, settings);
      !applied) {
    co_return std::unexpected(std::move(applied.error()));
  }
  auto architecture = check_architectures(in.architectures);
  if (!architecture) co_return std::unexpected(std::move(architecture.error()));
  settings.architecture = std::move(*architecture);
  function.tags = std::move(in.tags).value_or(std::map<std::string, std::string>());
  if (auto tags = check_tags(function.tags); !tags) co_return std::unexpected(std::move(tags.error()));

  KeyedMutex::Guard signing_guard;
  if (in.code_signing_config_arn && !in.code_signing_config_arn->empty()) {
    function.code_signing_config = *in.code_signing_config_arn;
    signing_guard = co_await lambda->code_signing.lock(function.code_signing_config);
    if (lambda->code_signing.find(function.code_signing_config) == nullptr) {
      co_return std::unexpected(code_signing_config_not_found(function.code_signing_config));
    }
  }
  aws::Outcome<std::string> zip;
  if (!in.code.image_uri) {
    zip = co_await read_code(lambda, context,
                             {.zip = std::move(in.code.zip_file),
                              .bucket = std::move(in.code.s3_bucket),
                              .key = std::move(in.code.s3_key),
                              .version = std::move(in.code.s3_object_version)},
                             kNoFunctionCode);
    if (!zip) co_return std::unexpected(std::move(zip.error()));
  }
  auto guard = co_await lambda->functions.lock(*ref);
  if (lambda->functions.find(*ref) != nullptr) {
    co_return std::unexpected(api::resource_conflict(fmt::format("Function already exist: {}", function.name)));
  }
  if (in.layers) {
    auto layers = resolve_layers(*lambda, *context, *in.layers);
    if (!layers) co_return std::unexpected(std::move(layers.error()));
    settings.layers = std::move(*layers);
  }
  const auto held_layers = hold_layers(*lambda, settings);
  package::PackageStore::Ref package;
  package::ImageSources::Resolved image;  // kept until the function is stored
  if (in.code.image_uri) {
    auto taken = co_await take_image(lambda->functions.images(), std::move(*in.code.image_uri), context->account,
                                     context->region, &settings);
    if (!taken) co_return std::unexpected(std::move(taken.error()));
    image = std::move(*taken);
    if (in.image_config) set_image_config(std::move(*in.image_config), settings);
  } else {
    settings.code_size = static_cast<std::int64_t>(zip->size());
    auto code = co_await store_code(lambda, context, std::move(*zip));
    if (!code) co_return std::unexpected(std::move(code.error()));
    package = std::move(code->package);
    settings.code_sha256 = package->sha256;
    settings.code_unzipped = static_cast<std::int64_t>(code->unzipped);
    if (auto size = check_unzipped_size(settings); !size) co_return std::unexpected(std::move(size.error()));
  }
  settings.snapshot_id = lambda->system.random.uuid_v4();
  function.last_modified = lambda->system.clock.wall();
  function.revision_id = lambda->functions.new_revision();
  begin_creation(function);
  VersionPtr version;
  if (in.publish.value_or(false)) version = publish(*lambda, function, std::nullopt);

  // Recorded: published or not, the answer's ARN has no qualifier.
  auto answer = to_configuration(function, version.get(), "");
  if (auto done = co_await commit(lambda, context, std::move(function), std::move(package)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  lambda->log.info("function_created", {{"function", ref->arn().str()}, {"request_id", context->request_id}});
  co_return answer;
}

}  // namespace lambdad::lambda
