/// What several operations check or say.
#pragma once

#include <optional>
#include <string>

#include "services/logs/handlers/handlers.h"

namespace lambdad::logs {

std::int64_t now_ms(const Call& call);
GroupKey group_key(const Call& call, std::string name);
/// "arn:aws:logs:REGION:ACCOUNT:log-group:NAME"
std::string group_arn(const GroupKey& group);

aws::Error no_such_group();
aws::Error no_such_stream();
aws::Error bad_token();
/// The exception for what was missing; success for nothing.
Outcome<void> found(Store::Missing missing);
/// The gate from our errors to the caller's; the detail goes to the log.
aws::Error to_aws_error(const Call& call, const Error& error);
/// The end of an operation without output.
Outcome<Unit> finish(const Call& call, const Result<Store::Missing>& result);

/// The group of a request that names it either way; the identifier is a name or an ARN of the caller's account and
/// region.
Outcome<GroupKey> requested_group(const Call& call, std::optional<std::string> name,
                                  std::optional<std::string> identifier);

}  // namespace lambdad::logs
