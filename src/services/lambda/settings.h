/// Checks of a function's configuration that the model does not make, and how a request changes it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "aws/error.h"
#include "aws/gen/lambda.h"
#include "ports/targets.h"
#include "services/lambda/function.h"
#include "services/lambda/runtimes.h"

namespace lambdad::lambda {

/// What CreateFunction and UpdateFunctionConfiguration have in common; absent members leave the setting alone.
struct SettingsChange {
  std::optional<std::string> runtime;
  std::optional<std::string> handler;
  std::optional<std::string> role;
  std::optional<std::string> description;
  std::optional<std::int32_t> timeout;
  std::optional<std::int32_t> memory_size;
  std::optional<aws::lambda::Environment> environment;
  std::optional<aws::lambda::DeadLetterConfig> dead_letter_config;
  std::optional<aws::lambda::TracingConfig> tracing_config;
  std::optional<aws::lambda::EphemeralStorage> ephemeral_storage;
  std::optional<aws::lambda::SnapStart> snap_start;
  std::optional<aws::lambda::LoggingConfig> logging_config;
};

/// Takes the settings out of a request of either operation.
template <class Request>
SettingsChange settings_change(Request& in) {
  return {.runtime = std::move(in.runtime),
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
}

/// Applies `change` to `settings`, or says why not. `operation` and the function's name are for texts and defaults.
/// What AWS offers and lambdad does not is refused by name (SnapStart). `targets`: as check_dead_letter_target().
/// Errors: ValidationException, InvalidParameterValueException, NotImplementedException.
aws::Outcome<void> apply_change(SettingsChange change, std::string_view operation, const std::string& function_name,
                                const RuntimeCheck& host, ports::Targets* targets, Settings& settings);

/// Reserved names and the 4 KB limit. Source: reference A.9, A.10.
aws::Outcome<void> check_environment(const std::map<std::string, std::string>& variables);

/// One architecture, which must be the host's: functions are run, not emulated.
aws::Outcome<std::string> check_architectures(const std::optional<std::vector<std::string>>& architectures);
/// "x86_64" or "arm64".
std::string host_architecture();

/// At most 50; keys of 1 to 128 characters that do not begin with "aws:", values of at most 256.
/// Source: Lambda Developer Guide, "Using tags on Lambda functions"; the texts about keys and values are ours.
aws::Outcome<void> check_tags(const std::map<std::string, std::string>& tags);

}  // namespace lambdad::lambda
