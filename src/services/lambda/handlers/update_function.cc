// UpdateFunctionCode, UpdateFunctionConfiguration, DeleteFunction
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/settings.h"

namespace lambdad::lambda {
namespace {

/// Makes `function` an update in progress and stores it. The answer shows the new settings; what serves stays.
Reply<api::FunctionConfiguration> begin_and_commit(Lambda* lambda, aws::RequestContext* context, Function function,
                                                   package::PackageStore::Ref code) {
  function.current.snapshot_id = lambda->system.random.uuid_v4();
  function.last_modified = lambda->system.clock.wall();
  function.revision_id = lambda->functions.new_revision();
  begin_update(function);
  auto answer = to_configuration(function, "");
  auto committed = co_await lambda->functions.commit(std::move(function), std::move(code));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return answer;
}

}  // namespace

Reply<api::FunctionConfiguration> update_function_code(Lambda* lambda, aws::RequestContext* context,
                                                       api::UpdateFunctionCodeRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_latest(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (auto changeable = check_changeable(**found, in.revision_id); !changeable) {
    co_return std::unexpected(std::move(changeable.error()));
  }
  if (!in.zip_file) {
    co_return std::unexpected(api::invalid_parameter_value("Please provide a source for function code."));
  }
  Function function = **found;
  if (in.architectures) {
    auto architecture = check_architectures(in.architectures);
    if (!architecture) co_return std::unexpected(std::move(architecture.error()));
    function.current.architecture = std::move(*architecture);
  }
  function.current.code_size = static_cast<std::int64_t>(in.zip_file->size());
  if (in.dry_run.value_or(false)) {
    auto examined = co_await examine_code(lambda, context, std::move(*in.zip_file));
    if (!examined) co_return std::unexpected(std::move(examined.error()));
    function.current.code_sha256 = examined->sha256;
    co_return to_configuration(function, "");
  }
  auto code = co_await store_code(lambda, context, std::move(*in.zip_file));
  if (!code) co_return std::unexpected(std::move(code.error()));
  function.current.code_sha256 = (*code)->sha256;
  co_return co_await begin_and_commit(lambda, context, std::move(function), std::move(*code));
}

Reply<api::FunctionConfiguration> update_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                                api::UpdateFunctionConfigurationRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_latest(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (auto changeable = check_changeable(**found, in.revision_id); !changeable) {
    co_return std::unexpected(std::move(changeable.error()));
  }
  Function function = **found;
  SettingsChange change{.runtime = std::move(in.runtime),
                        .handler = std::move(in.handler),
                        .role = std::move(in.role),
                        .description = std::move(in.description),
                        .timeout = in.timeout,
                        .memory_size = in.memory_size,
                        .environment = std::move(in.environment),
                        .dead_letter_config = std::move(in.dead_letter_config),
                        .tracing_config = std::move(in.tracing_config),
                        .ephemeral_storage = in.ephemeral_storage,
                        .snap_start = std::move(in.snap_start),
                        .logging_config = std::move(in.logging_config)};
  if (auto applied = apply_change(std::move(change), "UpdateFunctionConfiguration", function.name,
                                  lambda->runtime_check, function.current);
      !applied) {
    co_return std::unexpected(std::move(applied.error()));
  }
  auto code = lambda->functions.packages().hold(function.current.code_sha256);
  co_return co_await begin_and_commit(lambda, context, std::move(function), std::move(code));
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
  // A version that is not there is as good as deleted (recorded: 204).
  if (qualifier.empty()) {
    auto erased = co_await lambda->functions.erase(*ref);
    if (!erased) co_return std::unexpected(service_failure(*lambda, *context, erased.error()));
    lambda->log.info("function_deleted", {{"function", ref->arn().str()}, {"request_id", context->request_id}});
  }
  co_return api::DeleteFunctionResponse{.status_code = 204};
}

}  // namespace lambdad::lambda
