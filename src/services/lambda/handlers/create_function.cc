#include "services/lambda/handlers/handlers.h"
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
  if (in.package_type.value_or("Zip") != "Zip") {
    co_return std::unexpected(aws::not_served("lambda", "CreateFunction", "PackageType=Image"));
  }
  if (!in.runtime || !in.handler) {
    co_return std::unexpected(api::invalid_parameter_value(
        "Runtime and Handler are mandatory parameters for functions created with deployment packages."));
  }
  if (!in.code.zip_file) {
    co_return std::unexpected(api::invalid_parameter_value("Please provide a source for function code."));
  }

  Function function{.account = ref->account, .region = ref->region, .name = ref->name};
  Settings& settings = function.current;
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
  if (auto applied = apply_change(std::move(change), "CreateFunction", function.name, lambda->runtime_check, settings);
      !applied) {
    co_return std::unexpected(std::move(applied.error()));
  }
  auto architecture = check_architectures(in.architectures);
  if (!architecture) co_return std::unexpected(std::move(architecture.error()));
  settings.architecture = std::move(*architecture);
  function.tags = std::move(in.tags).value_or(std::map<std::string, std::string>());
  if (auto tags = check_tag_count(function.tags.size()); !tags) co_return std::unexpected(std::move(tags.error()));

  auto guard = co_await lambda->functions.lock(*ref);
  if (lambda->functions.find(*ref) != nullptr) {
    co_return std::unexpected(api::resource_conflict(fmt::format("Function already exist: {}", function.name)));
  }
  settings.code_size = static_cast<std::int64_t>(in.code.zip_file->size());
  auto code = co_await store_code(lambda, context, std::move(*in.code.zip_file));
  if (!code) co_return std::unexpected(std::move(code.error()));
  settings.code_sha256 = (*code)->sha256;
  settings.snapshot_id = lambda->system.random.uuid_v4();
  function.last_modified = lambda->system.clock.wall();
  function.revision_id = lambda->functions.new_revision();
  begin_creation(function);

  auto answer = to_configuration(function, "");
  auto committed = co_await lambda->functions.commit(std::move(function), std::move(*code));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  lambda->log.info("function_created", {{"function", ref->arn().str()}, {"request_id", context->request_id}});
  co_return answer;
}

}  // namespace lambdad::lambda
