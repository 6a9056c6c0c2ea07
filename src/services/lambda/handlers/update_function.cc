// UpdateFunctionCode, UpdateFunctionConfiguration, DeleteFunction
#include <fmt/ranges.h>

#include "services/lambda/handlers/handlers.h"
#include "services/lambda/images.h"
#include "services/lambda/settings.h"

namespace lambdad::lambda {
namespace {

/// Makes `function` an update in progress and stores it. The answer shows the new settings; what serves stays.
Reply<api::FunctionConfiguration> begin_and_commit(Lambda* lambda, aws::RequestContext* context, Function function,
                                                   package::PackageStore::Ref code, bool with_version) {
  function.current.snapshot_id = lambda->system.random.uuid_v4();
  function.last_modified = lambda->system.clock.wall();
  function.revision_id = lambda->functions.new_revision();
  begin_update(function);
  VersionPtr version;
  if (with_version) version = publish(*lambda, function, std::nullopt);
  auto answer = version == nullptr ? to_configuration(function, nullptr, "")
                                   : to_configuration(function, version.get(), std::to_string(version->number));
  if (auto done = co_await commit(lambda, context, std::move(function), std::move(code)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return answer;
}

/// A version that is not there is as good as deleted (recorded: 204). The caller holds the function's lock.
Async<aws::Outcome<void>> delete_version(Lambda* lambda, aws::RequestContext* context, ports::FunctionRef ref,
                                         std::string qualifier) {
  Function function = *lambda->functions.find(ref);
  if (function.aliases.contains(qualifier)) {
    co_return std::unexpected(api::invalid_parameter_value("Deletion of aliases is not currently supported."));
  }
  if (function.version(qualifier) == nullptr) co_return aws::Outcome<void>();
  std::vector<std::string> names;
  for (const auto& [name, alias] : function.aliases) {
    if (alias.function_version == qualifier || alias.weights.contains(qualifier)) names.push_back(name);
  }
  if (!names.empty()) {
    ref.qualifier = qualifier;
    co_return std::unexpected(api::resource_conflict(
        fmt::format("Version {} cannot be deleted: it is used by the alias(es) {}. Delete or move them first.",
                    ref.arn().str(), fmt::join(names, ", "))));
  }
  drop_qualifier(function, qualifier);
  co_return co_await commit(lambda, context, std::move(function));
}

}  // namespace

Reply<api::FunctionConfiguration> update_function_code(Lambda* lambda, aws::RequestContext* context,
                                                       api::UpdateFunctionCodeRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (auto changeable = check_changeable(**found, in.revision_id); !changeable) {
    co_return std::unexpected(std::move(changeable.error()));
  }
  if (auto fits = check_package_members((*found)->current, in); !fits) {
    co_return std::unexpected(std::move(fits.error()));
  }
  Function function = **found;
  if (in.architectures) {
    auto architecture = check_architectures(in.architectures);
    if (!architecture) co_return std::unexpected(std::move(architecture.error()));
    function.current.architecture = std::move(*architecture);
  }
  if (in.image_uri) {
    // Kept until the function is stored.
    const auto image = co_await take_image(lambda->functions.images(), std::move(*in.image_uri), context->account,
                                           context->region, &function.current);
    if (!image) co_return std::unexpected(image.error());
    if (in.dry_run.value_or(false)) co_return to_configuration(function, nullptr, "");
    co_return co_await begin_and_commit(lambda, context, std::move(function), nullptr, in.publish.value_or(false));
  }
  auto zip = co_await read_code(lambda, context,
                                {.zip = std::move(in.zip_file),
                                 .bucket = std::move(in.s3_bucket),
                                 .key = std::move(in.s3_key),
                                 .version = std::move(in.s3_object_version)},
                                kNoFunctionCode);
  if (!zip) co_return std::unexpected(std::move(zip.error()));
  function.current.code_size = static_cast<std::int64_t>(zip->size());
  if (in.dry_run.value_or(false)) {
    auto examined = co_await examine_code(lambda, context, std::move(*zip));
    if (!examined) co_return std::unexpected(std::move(examined.error()));
    function.current.code_sha256 = examined->sha256;
    function.current.code_unzipped = static_cast<std::int64_t>(examined->unzipped);
    if (auto size = check_unzipped_size(function.current); !size) co_return std::unexpected(std::move(size.error()));
    co_return to_configuration(function, nullptr, "");
  }
  auto code = co_await store_code(lambda, context, std::move(*zip));
  if (!code) co_return std::unexpected(std::move(code.error()));
  function.current.code_sha256 = code->package->sha256;
  function.current.code_unzipped = static_cast<std::int64_t>(code->unzipped);
  if (auto size = check_unzipped_size(function.current); !size) co_return std::unexpected(std::move(size.error()));
  co_return co_await begin_and_commit(lambda, context, std::move(function), code->package, in.publish.value_or(false));
}

Reply<api::FunctionConfiguration> update_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                                api::UpdateFunctionConfigurationRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (auto changeable = check_changeable(**found, in.revision_id); !changeable) {
    co_return std::unexpected(std::move(changeable.error()));
  }
  if (auto fits = check_package_members((*found)->current, in); !fits) {
    co_return std::unexpected(std::move(fits.error()));
  }
  if (in.role) {
    if (auto role = check_role(*lambda, *in.role); !role) co_return std::unexpected(std::move(role.error()));
  }
  Function function = **found;
  if (in.image_config) set_image_config(std::move(*in.image_config), function.current);
  if (auto applied = apply_change(settings_change(in), "UpdateFunctionConfiguration", function.name,
                                  lambda->runtime_check, lambda->targets, function.current);
      !applied) {
    co_return std::unexpected(std::move(applied.error()));
  }
  if (in.layers) {
    auto layers = resolve_layers(*lambda, *context, *in.layers);
    if (!layers) co_return std::unexpected(std::move(layers.error()));
    function.current.layers = std::move(*layers);
    if (auto size = check_unzipped_size(function.current); !size) co_return std::unexpected(std::move(size.error()));
  }
  const auto held_layers = hold_layers(*lambda, function.current);
  co_return co_await begin_and_commit(lambda, context, std::move(function), nullptr, false);
}

Reply<api::DeleteFunctionResponse> delete_function(Lambda* lambda, aws::RequestContext* context,
                                                   api::DeleteFunctionRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  const std::string qualifier = std::exchange(ref->qualifier, "");
  auto guard = co_await lambda->functions.lock(*ref);
  if (lambda->functions.find(*ref) == nullptr) co_return std::unexpected(function_not_found(*ref));
  if (qualifier == "$LATEST") {
    co_return std::unexpected(
        api::invalid_parameter_value("$LATEST version cannot be deleted without deleting the function."));
  }
  if (!qualifier.empty()) {
    if (auto done = co_await delete_version(lambda, context, *ref, qualifier); !done) {
      co_return std::unexpected(std::move(done.error()));
    }
    co_return api::DeleteFunctionResponse{.status_code = 204};
  }
  auto erased = co_await lambda->functions.erase(*ref);
  if (!erased) co_return std::unexpected(service_failure(*lambda, *context, erased.error()));
  lambda->log.info("function_deleted", {{"function", ref->arn().str()}, {"request_id", context->request_id}});
  co_return api::DeleteFunctionResponse{.status_code = 204};
}

}  // namespace lambdad::lambda
