/// The ways to name a function in a request.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/dispatcher.h"
#include "aws/error.h"
#include "ports/functions.h"

namespace lambdad::lambda {

/// The parts of a FunctionName parameter; those that were not given are empty.
///
///   name[:Q] · function:name[:Q] · ACCOUNT:function:name[:Q] · REGION:... ·
///   arn:aws:lambda:REGION:ACCOUNT:function:name[:Q]
struct NameParts {
  std::string region;
  std::string account;
  std::string name;
  std::string qualifier;
  bool operator==(const NameParts&) const = default;
};

/// nullopt when `text` has none of the forms. An optional part is taken as such only when something follows it, as
/// the model's pattern does: an ARN that ends in ":function" names a function called "function".
std::optional<NameParts> parse_function_name(std::string_view text);

/// The function that `function_name` and the Qualifier parameter name together, in the caller's account and region
/// where the name says nothing. The qualifier stays empty when neither gave one.
///
/// Errors: ValidationException for a name of no known form; InvalidParameterValueException when both carry a qualifier
/// and differ; ResourceNotFoundException for a function of another region.
/// Source of the texts: recorded answers, reference A.2.
aws::Outcome<ports::FunctionRef> function_ref(const aws::RequestContext& context, std::string_view function_name,
                                              const std::optional<std::string>& qualifier = std::nullopt);

/// As function_ref() for operations on a whole function. A qualifier is refused with `This operation is permitted on
/// Lambda functions only...`.
aws::Outcome<ports::FunctionRef> unqualified_function_ref(const aws::RequestContext& context,
                                                          std::string_view function_name);

/// "Function not found: ARN[:Q]"
aws::Error function_not_found(const ports::FunctionRef& function);

}  // namespace lambdad::lambda
