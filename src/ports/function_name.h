#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ports/functions.h"

namespace lambdad::ports {

/// The function that a FunctionName parameter means, in `account` and `region` where the name says nothing. The
/// qualifier is kept exactly as given; empty when there is none.
///
///   name[:Q] · function:name[:Q] · ACCOUNT:function:name[:Q] · arn:aws:lambda:REGION:ACCOUNT:function:name[:Q]
///
/// nullopt when `text` has none of the forms. An optional part counts as such only when something follows it.
/// Source: pattern of NamespacedFunctionName in the Lambda API model.
std::optional<FunctionRef> parse_function_name(std::string_view text, std::string_view account,
                                               std::string_view region);

}  // namespace lambdad::ports
