#include "services/lambda/runtimes.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "aws/gen/lambda.h"

namespace lambdad::lambda {
namespace {

using std::string_view_literals::operator""sv;

// Those that AWS's validator lists, newest first within a family.
constexpr std::array kCurrent = {"nodejs24.x"sv, "nodejs22.x"sv, "nodejs20.x"sv, "nodejs18.x"sv,      "nodejs16.x"sv,
                                 "python3.14"sv, "python3.13"sv, "python3.12"sv, "python3.11"sv,      "python3.10"sv,
                                 "python3.9"sv,  "python3.8"sv,  "java25"sv,     "java21"sv,          "java17"sv,
                                 "java11"sv,     "java8.al2"sv,  "dotnet10"sv,   "dotnet8"sv,         "dotnet6"sv,
                                 "ruby3.4"sv,    "ruby3.3"sv,    "ruby3.2"sv,    "provided.al2023"sv, "provided.al2"sv};

constexpr std::array kDeprecatedIds = {"nodejs"sv,        "nodejs4.3"sv,     "nodejs4.3-edge"sv, "nodejs6.10"sv,
                                       "nodejs8.10"sv,    "nodejs10.x"sv,    "nodejs12.x"sv,     "nodejs14.x"sv,
                                       "java8"sv,         "python2.7"sv,     "python3.6"sv,      "python3.7"sv,
                                       "dotnetcore1.0"sv, "dotnetcore2.0"sv, "dotnetcore2.1"sv,  "dotnetcore3.1"sv,
                                       "go1.x"sv,         "ruby2.5"sv,       "ruby2.7"sv,        "provided"sv};

}  // namespace

RuntimeKind runtime_kind(std::string_view runtime) {
  if (std::ranges::find(kDeprecatedIds, runtime) != kDeprecatedIds.end()) return RuntimeKind::kDeprecated;
  if (std::ranges::find(kCurrent, runtime) == kCurrent.end()) return RuntimeKind::kUnknown;
  const bool served = !runtime.starts_with("dotnet") && runtime != "java8.al2";
  return served ? RuntimeKind::kServed : RuntimeKind::kNotServed;
}

aws::Outcome<void> check_runtime(const std::string& runtime, const RuntimeCheck& host) {
  auto refuse = [](std::string message) {
    return std::unexpected(aws::lambda::invalid_parameter_value(std::move(message)));
  };
  switch (runtime_kind(runtime)) {
    case RuntimeKind::kUnknown:
      return refuse(
          fmt::format("Value {} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
                      "[{}] or be a valid ARN",
                      runtime, fmt::join(kCurrent, ", ")));
    case RuntimeKind::kDeprecated:
      return refuse(fmt::format(
          "The runtime parameter of {} is no longer supported for creating or updating AWS Lambda functions. "
          "We recommend you use a supported runtime while creating or updating functions.",
          runtime));
    case RuntimeKind::kNotServed:
      return refuse(fmt::format(
          "lambdad does not run the runtime {} yet. It runs python3.x, nodejsN.x, ruby3.x, javaN from 11 on, "
          "provided.al2 and provided.al2023.",
          runtime));
    case RuntimeKind::kServed: break;
  }
  if (auto runnable = host(runtime); !runnable) {
    return refuse(fmt::format("The runtime {} cannot run on this machine: {}", runtime, runnable.error().detail));
  }
  return {};
}

}  // namespace lambdad::lambda
