#include "services/logs/handlers/common.h"

#include <utility>

#include "base/arn.h"

namespace lambdad::logs {

std::int64_t now_ms(const Call& call) { return to_epoch_ms(call.system->clock.wall()); }

GroupKey group_key(const Call& call, std::string name) {
  return {call.context->account, call.context->region, std::move(name)};
}

std::string group_arn(const GroupKey& group) {
  return fmt::format("arn:aws:logs:{}:{}:log-group:{}", group.region, group.account, group.name);
}

aws::Error no_such_group() { return aws::logs::resource_not_found("The specified log group does not exist."); }
aws::Error no_such_stream() { return aws::logs::resource_not_found("The specified log stream does not exist."); }
aws::Error bad_token() { return aws::logs::invalid_parameter("The specified nextToken is invalid."); }

Outcome<void> found(Store::Missing missing) {
  switch (missing) {
    case Store::Missing::kGroup: return std::unexpected(no_such_group());
    case Store::Missing::kStream: return std::unexpected(no_such_stream());
    case Store::Missing::kNothing: break;
  }
  return {};
}

aws::Error to_aws_error(const Call& call, const Error& error) {
  switch (error.code) {
    case Errc::kUnavailable:
    case Errc::kClosed:
      call.log->warn("logs_unavailable", {{"request_id", call.context->request_id}, {"error", error.detail}});
      return aws::logs::service_unavailable("The service cannot complete the request.");
    case Errc::kInvalid:
    case Errc::kNotFound:
    case Errc::kConflict:
    case Errc::kTooLarge:
    case Errc::kDenied:
    case Errc::kThrottled:
    case Errc::kTimedOut:
    case Errc::kCorrupt:
    case Errc::kInternal: break;
  }
  call.log->error("logs_failure", {{"request_id", call.context->request_id}, {"error", error.detail}});
  return aws::internal_failure();
}

Outcome<Unit> finish(const Call& call, const Result<Store::Missing>& result) {
  if (!result) return std::unexpected(to_aws_error(call, result.error()));
  if (auto there = found(*result); !there) return std::unexpected(std::move(there.error()));
  return Unit{};
}

Outcome<GroupKey> requested_group(const Call& call, std::optional<std::string> name,
                                  std::optional<std::string> identifier) {
  if (name.has_value() == identifier.has_value()) {
    return std::unexpected(
        aws::logs::invalid_parameter("Exactly one of logGroupName and logGroupIdentifier must be specified."));
  }
  if (name) return group_key(call, std::move(*name));
  if (!identifier->starts_with("arn:")) return group_key(call, std::move(*identifier));
  const auto arn = Arn::parse(*identifier);
  constexpr std::string_view kPrefix = "log-group:";
  if (!arn || arn->service != "logs" || !arn->resource.starts_with(kPrefix)) {
    return std::unexpected(aws::logs::invalid_parameter("The specified logGroupIdentifier is invalid."));
  }
  if (arn->account != call.context->account || arn->region != call.context->region) {
    return std::unexpected(no_such_group());
  }
  return group_key(call, arn->resource.substr(kPrefix.size()));
}

}  // namespace lambdad::logs
