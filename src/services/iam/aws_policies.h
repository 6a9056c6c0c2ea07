/// AWS's own managed policies, as far as functions and those who deploy them use them.
#pragma once

#include <span>
#include <string_view>

#include "services/iam/entity.h"

namespace lambdad::iam {

/// All that lambdad knows, by ARN. Their documents are facts of AWS's Managed Policy Reference Guide.
const std::map<std::string, ManagedPolicy, std::less<>>& aws_policies();

/// arn:aws:iam::aws:policy/..., known or not.
bool is_aws_policy(std::string_view arn);

}  // namespace lambdad::iam
