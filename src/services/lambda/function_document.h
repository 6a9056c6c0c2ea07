/// A function as the store keeps it: one JSON document of the function, one of each published version.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "services/lambda/function.h"

namespace lambdad::lambda {

/// Everything but the versions. Members that are not known are ignored when read, and members that came later may be
/// absent, so an older lambdad's rows stay readable.
json::Value to_document(const Function& function);
json::Value to_document(const Version& version);
/// kCorrupt when a member is missing or of the wrong kind.
Result<Function> function_from_document(const json::Value& document);
Result<Version> version_from_document(const json::Value& document);

}  // namespace lambdad::lambda
