/// Access policies of queues: the Policy attribute, and the statements that AddPermission makes.
///
/// A policy is checked for its form and kept as it was written. Who it lets in is decided where callers are authorised.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "services/sqs/limits.h"

namespace lambdad::sqs {

/// InvalidAttributeValue unless the text is a policy document: known members only, a known Version, statements with
/// Effect, Principal, Action (or NotPrincipal, NotAction) and Resource of the right types, within the quotas.
aws::Outcome<void> check_policy(std::string_view text);

struct Permission {
  std::string label;
  std::vector<std::string> accounts;
  std::vector<std::string> actions;  ///< "SendMessage", "*"
};
/// `policy` (empty: none) with a statement that allows it. Errors: InvalidParameterValue for a label that exists or is
/// malformed, an account that is no 12 digits, an action that only the owner may do; OverLimit.
aws::Outcome<std::string> with_permission(const std::string& policy, const std::string& queue_arn,
                                          const Permission& permission);
/// `policy` without the statement of that label; empty when none is left. InvalidParameterValue: there is none.
aws::Outcome<std::string> without_permission(const std::string& policy, const std::string& label);

}  // namespace lambdad::sqs
