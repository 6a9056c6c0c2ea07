#include "services/lambda/settings.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <fmt/ranges.h>

#include "base/arn.h"
#include "base/json.h"
#include "services/lambda/destinations.h"

namespace lambdad::lambda {
namespace {

namespace api = aws::lambda;
using std::string_view_literals::operator""sv;

constexpr std::array kReservedVariables = {"_HANDLER"sv,
                                           "_X_AMZN_TRACE_ID"sv,
                                           "AWS_DEFAULT_REGION"sv,
                                           "AWS_REGION"sv,
                                           "AWS_EXECUTION_ENV"sv,
                                           "AWS_LAMBDA_FUNCTION_NAME"sv,
                                           "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"sv,
                                           "AWS_LAMBDA_FUNCTION_VERSION"sv,
                                           "AWS_LAMBDA_INITIALIZATION_TYPE"sv,
                                           "AWS_LAMBDA_LOG_GROUP_NAME"sv,
                                           "AWS_LAMBDA_LOG_STREAM_NAME"sv,
                                           "AWS_ACCESS_KEY"sv,
                                           "AWS_ACCESS_KEY_ID"sv,
                                           "AWS_SECRET_ACCESS_KEY"sv,
                                           "AWS_SESSION_TOKEN"sv,
                                           "AWS_LAMBDA_RUNTIME_API"sv,
                                           "LAMBDA_TASK_ROOT"sv,
                                           "LAMBDA_RUNTIME_DIR"sv};

std::size_t count_characters(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::unexpected<aws::Error> above_maximum(std::string_view member, int value, int maximum) {
  return std::unexpected(aws::validation_error(fmt::format(
      "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: Member must have value "
      "less than or equal to {}",
      value, member, maximum)));
}

}  // namespace

aws::Outcome<void> check_environment(const std::map<std::string, std::string>& variables) {
  constexpr std::string_view kBegin =
      "Lambda was unable to configure your environment variables because the environment variables you have provided ";
  std::vector<std::string_view> reserved;
  json::Object document;
  for (const auto& [key, value] : variables) {
    if (std::ranges::find(kReservedVariables, key) != kReservedVariables.end()) reserved.push_back(key);
    document.append(key, value);
  }
  if (!reserved.empty()) {
    return std::unexpected(api::invalid_parameter_value(
        fmt::format("{}contains reserved keys that are currently not supported for modification. Reserved keys used in "
                    "this request: {}",
                    kBegin, fmt::join(reserved, ", "))));
  }
  const std::string measured = json::serialize(document);
  if (measured.size() > kEnvironmentBytesMax) {
    return std::unexpected(
        api::invalid_parameter_value(fmt::format("{}exceeded the 4KB limit. String measured: {}", kBegin, measured)));
  }
  return {};
}

std::string host_architecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "x86_64";
#endif
}

aws::Outcome<std::string> check_architectures(const std::optional<std::vector<std::string>>& architectures) {
  if (!architectures || architectures->empty()) return host_architecture();
  const std::string& wanted = architectures->front();
  if (wanted == host_architecture()) return wanted;
  return std::unexpected(api::invalid_parameter_value(
      fmt::format("The architecture {} cannot run on this machine: lambdad runs functions on the host's own processor, "
                  "which is {}.",
                  wanted, host_architecture())));
}

aws::Outcome<void> check_tags(const std::map<std::string, std::string>& tags) {
  auto refuse = [](std::string text) { return std::unexpected(api::invalid_parameter_value(std::move(text))); };
  if (tags.size() > kTagsMax) return refuse("Number of tags exceeds resource tag limit.");
  for (const auto& [key, value] : tags) {
    const std::size_t length = count_characters(key);
    if (length < 1 || length > kTagKeyLengthMax) {
      return refuse(fmt::format("The tag key '{}' must have 1 to {} characters.", key, kTagKeyLengthMax));
    }
    if (key.starts_with("aws:"))
      return refuse(fmt::format("The tag key '{}' begins with aws:, which is reserved.", key));
    if (count_characters(value) > kTagValueLengthMax) {
      return refuse(fmt::format("The value of the tag '{}' must have at most {} characters.", key, kTagValueLengthMax));
    }
  }
  return {};
}

aws::Outcome<void> apply_change(SettingsChange change, std::string_view operation, const std::string& function_name,
                                const RuntimeCheck& host, ports::Targets* targets, Settings& settings) {
  if (change.timeout && *change.timeout > kTimeoutSecondsMax) {
    return above_maximum("timeout", *change.timeout, kTimeoutSecondsMax);
  }
  if (change.memory_size && *change.memory_size > kMemoryMbMax) {
    return above_maximum("memorySize", *change.memory_size, kMemoryMbMax);
  }
  if (change.snap_start && change.snap_start->apply_on.value_or("None") != "None") {
    return std::unexpected(aws::not_served("lambda", operation, "SnapStart.ApplyOn=PublishedVersions"));
  }
  if (change.tracing_config && change.tracing_config->mode) settings.tracing_mode = *change.tracing_config->mode;
  if (change.runtime) {
    if (auto known = check_runtime(*change.runtime, host); !known) return known;
    settings.runtime = *change.runtime;
  }
  if (change.environment) {
    auto variables = std::move(change.environment->variables).value_or(std::map<std::string, std::string>());
    if (auto accepted = check_environment(variables); !accepted) return accepted;
    settings.environment = std::move(variables);
  }
  if (change.dead_letter_config) {
    const std::string target = change.dead_letter_config->target_arn.value_or("");
    if (!target.empty()) {
      if (auto accepted = check_dead_letter_target(target, targets, operation); !accepted) return accepted;
    }
    settings.dead_letter_arn = target;
  }
  if (settings.log_group.empty()) settings.log_group = "/aws/lambda/" + function_name;
  if (change.logging_config) {
    if (auto accepted = apply_logging(*change.logging_config, settings.logging, settings.log_group); !accepted) {
      return accepted;
    }
  }
  if (change.handler) settings.handler = *change.handler;
  if (change.role) settings.role = *change.role;
  if (change.description) settings.description = *change.description;
  settings.timeout_seconds = change.timeout.value_or(settings.timeout_seconds);
  settings.memory_mb = change.memory_size.value_or(settings.memory_mb);
  if (change.ephemeral_storage) settings.ephemeral_storage_mb = change.ephemeral_storage->size;
  return {};
}

}  // namespace lambdad::lambda
