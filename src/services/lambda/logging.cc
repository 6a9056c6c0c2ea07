#include "services/lambda/logging.h"

#include <array>

namespace lambdad::lambda {

namespace api = aws::lambda;

namespace {

constexpr std::array<std::string_view, 6> kLevels = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

ports::LogLevel level_of(std::string_view name) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == name) return static_cast<ports::LogLevel>(i);
  }
  return ports::LogLevel::kInfo;
}

std::string text_of(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  return value != nullptr && value->if_string() != nullptr ? *value->if_string() : std::string();
}

}  // namespace

aws::Outcome<void> apply_logging(const api::LoggingConfig& change, LoggingSettings& settings, std::string& log_group) {
  LoggingSettings changed = settings;
  if (change.log_format) changed.format = *change.log_format;
  if (changed.format == "JSON") {
    changed.application_level =
        change.application_log_level.value_or(changed.application_level.empty() ? "INFO" : changed.application_level);
    changed.system_level =
        change.system_log_level.value_or(changed.system_level.empty() ? "INFO" : changed.system_level);
  } else if (change.application_log_level || change.system_log_level) {
    return std::unexpected(
        api::invalid_parameter_value("Log levels can only be set for functions whose LogFormat is JSON."));
  } else {
    changed.application_level.clear();
    changed.system_level.clear();
  }
  settings = std::move(changed);
  if (change.log_group) log_group = *change.log_group;
  return {};
}

api::LoggingConfig shown_logging(const LoggingSettings& settings, const std::string& log_group) {
  api::LoggingConfig out{.log_format = settings.format, .log_group = log_group};
  if (!settings.application_level.empty()) out.application_log_level = settings.application_level;
  if (!settings.system_level.empty()) out.system_log_level = settings.system_level;
  return out;
}

ports::LogSettings log_settings(const LoggingSettings& settings) {
  if (settings.format != "JSON") return {};
  return {ports::LogFormat::kJson, level_of(settings.application_level), level_of(settings.system_level)};
}

json::Value logging_document(const LoggingSettings& settings) {
  return json::Object{{"format", settings.format},
                      {"application_level", settings.application_level},
                      {"system_level", settings.system_level}};
}

LoggingSettings logging_from_document(const json::Value* document) {
  if (document == nullptr) return {};
  return {text_of(*document, "format"), text_of(*document, "application_level"), text_of(*document, "system_level")};
}

}  // namespace lambdad::lambda
