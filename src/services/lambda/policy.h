/// Resource policies as documents.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/error.h"
#include "base/json.h"
#include "services/lambda/function.h"

namespace lambdad::lambda {

/// Largest policy document in bytes. Source: Lambda Developer Guide, "Lambda quotas", function resource-based policy.
inline constexpr std::size_t kPolicyBytesMax = 20'480;

/// What AddPermission and AddLayerVersionPermission give; absent conditions are not in the statement.
struct Grant {
  std::string statement_id;
  std::string action;
  std::string principal;
  std::string resource;
  std::optional<std::string> source_arn;
  std::optional<std::string> source_account;
  std::optional<std::string> event_source_token;
  std::optional<std::string> principal_org_id;
  std::optional<std::string> function_url_auth_type;
  std::optional<bool> invoked_via_function_url;
};

/// The statement as AWS renders it. InvalidParameterValueException when the principal is neither a service, an account,
/// an ARN of IAM nor "*". Pure. Source: recorded policies, reference A.8.
aws::Outcome<json::Value> make_statement(const Grant& grant);

/// Adds `statement` under a new revision. ResourceConflictException for a statement id that is there,
/// PolicyLengthExceededException when the document becomes too long.
aws::Outcome<void> add_statement(std::optional<Policy>& policy, json::Value statement, std::string revision_id);
/// ResourceNotFoundException when there is no such statement. With the last statement the policy goes.
aws::Outcome<void> remove_statement(std::optional<Policy>& policy, std::string_view statement_id,
                                    std::string revision_id);
/// PreconditionFailedException when `revision_id` is given and is not the policy's. `get`: the operation to call, for
/// the text.
aws::Outcome<void> check_policy_revision(const std::optional<Policy>& policy,
                                         const std::optional<std::string>& revision_id, std::string_view get);

/// {"Version":"2012-10-17","Id":"default","Statement":[...]}, compact.
std::string policy_text(const Policy& policy);

}  // namespace lambdad::lambda
