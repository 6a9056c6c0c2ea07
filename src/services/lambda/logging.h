/// A function's LoggingConfig. Source: Lambda API reference, LoggingConfig; Developer Guide, "Configuring advanced
/// logging controls".
#pragma once

#include <string>

#include "aws/gen/lambda.h"
#include "base/json.h"
#include "ports/functions.h"

namespace lambdad::lambda {

struct LoggingSettings {
  std::string format = "Text";
  std::string application_level;  ///< set in the JSON format only: "INFO" unless chosen
  std::string system_level;
  bool operator==(const LoggingSettings&) const = default;
};

/// Lays a request's LoggingConfig over the settings; what it does not name stays. InvalidParameterValueException for
/// levels without the JSON format.
aws::Outcome<void> apply_logging(const aws::lambda::LoggingConfig& change, LoggingSettings& settings,
                                 std::string& log_group);
aws::lambda::LoggingConfig shown_logging(const LoggingSettings& settings, const std::string& log_group);
ports::LogSettings log_settings(const LoggingSettings& settings);

/// As stored; a document without it means the text format.
json::Value logging_document(const LoggingSettings& settings);
LoggingSettings logging_from_document(const json::Value* document);

}  // namespace lambdad::lambda
