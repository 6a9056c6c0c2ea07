/// Runtime identifiers: which AWS knows, and which of them lambdad runs.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "base/error.h"

namespace lambdad::lambda {

/// Whether this host can run a runtime that lambdad runs in principle: kNotFound with what to install when the
/// interpreter is missing. Given by `daemon`.
using RuntimeCheck = std::function<Result<void>(const std::string& runtime)>;

enum class RuntimeKind {
  kServed,      ///< python3.N, nodejsN.x, ruby3.N, javaN from 11 on, provided.*
  kNotServed,   ///< current at AWS; lambdad does not run the family
  kDeprecated,  ///< AWS knew it and no longer creates or updates functions with it
  kUnknown,
};
RuntimeKind runtime_kind(std::string_view runtime);

/// Whether functions may be created or updated with `runtime`; InvalidParameterValueException with AWS's text when
/// AWS would refuse it too, and with words of our own when only lambdad does.
/// Source of the lists and texts: recorded create-time validator, January 2026; reference A.10, A.11.
aws::Outcome<void> check_runtime(const std::string& runtime, const RuntimeCheck& host);

}  // namespace lambdad::lambda
