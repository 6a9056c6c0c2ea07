#include "services/sts/sts_service.h"

#include <algorithm>

#include "base/arn.h"
#include "base/hash.h"

namespace lambdad::sts {
namespace {

namespace api = aws::sts;
using policy::Principal;

// Source: STS API reference, DurationSeconds.
constexpr int kRoleSecondsDefault = 3600;
constexpr int kRoleSecondsMax = 43'200;
constexpr int kChainedSecondsMax = 3600;
constexpr int kSessionSecondsDefault = 43'200;
constexpr int kRootSessionSecondsMax = 3600;
// Source: IAM User Guide, quotas: characters of all session policies together; PolicyArns of one request.
constexpr std::size_t kSessionPolicyCharactersMax = 2048;
constexpr std::size_t kPolicyArnsMax = 10;

/// For a role that is not there: the same for the same ARN, as AWS's unique ids are.
std::string made_up_id(std::string_view role_arn) {
  constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string id = "AROA";
  for (const char c : sha256(role_arn).substr(0, 17)) id += kBase32[static_cast<unsigned char>(c) % 32];
  return id;
}

api::Credentials to_api(access::Credentials credentials) {
  return {.access_key_id = std::move(credentials.access_key_id),
          .secret_access_key = std::move(credentials.secret_access_key),
          .session_token = std::move(credentials.session_token),
          .expiration = credentials.expiration};
}

}  // namespace

void StsService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  dispatcher.serve<api::GetCallerIdentity>(
      [this](aws::RequestContext& context, api::GetCallerIdentityRequest) { return get_caller_identity(&context); });
  dispatcher.serve<api::AssumeRole>(
      [this](aws::RequestContext& context, api::AssumeRoleRequest in) { return assume_role(&context, std::move(in)); });
  dispatcher.serve<api::GetSessionToken>([this](aws::RequestContext& context, api::GetSessionTokenRequest in) {
    return get_session_token(&context, std::move(in));
  });
}

Async<aws::Outcome<api::GetCallerIdentityResponse>> StsService::get_caller_identity(
    const aws::RequestContext* context) {
  LD_CHECK(context->caller != nullptr);
  const aws::Caller& caller = *context->caller;
  co_return api::GetCallerIdentityResponse{
      .user_id = caller.user_id, .account = caller.principal.account, .arn = caller.principal.arn};
}

/// The policies that limit a session, as texts.
aws::Outcome<std::vector<std::string>> StsService::session_policies(const std::string& account,
                                                                    api::AssumeRoleRequest& in) const {
  std::vector<std::string> out;
  if (in.policy) {
    if (auto read = policy::parse(*in.policy, policy::Kind::kIdentity); !read) {
      return std::unexpected(api::malformed_policy_document(std::move(read.error().message)));
    }
    if (in.policy->size() > kSessionPolicyCharactersMax) {
      return std::unexpected(api::packed_policy_too_large("Packed policy consumes too much of the allotted space."));
    }
    out.push_back(std::move(*in.policy));
  }
  if (in.policy_arns) {
    if (in.policy_arns->size() > kPolicyArnsMax) {
      return std::unexpected(
          api::validation_error(fmt::format("The number of policy ARNs exceeds the limit of {}.", kPolicyArnsMax)));
    }
    for (const auto& each : *in.policy_arns) {
      const std::string arn = each.arn.value_or("");
      auto text = identities_.managed_policy_text(account, arn);
      if (!text) {
        return std::unexpected(
            api::validation_error(fmt::format("Policy {} does not exist or is not attachable.", arn)));
      }
      out.push_back(std::move(*text));
    }
  }
  return out;
}

Async<aws::Outcome<api::AssumeRoleResponse>> StsService::assume_role(const aws::RequestContext* context,
                                                                     api::AssumeRoleRequest in) {
  const auto arn = Arn::parse(in.role_arn);
  if (!arn || arn->service != "iam" || !arn->resource.starts_with("role/") || arn->resource.ends_with('/') ||
      arn->account.size() != 12) {
    co_return std::unexpected(api::validation_error(fmt::format("{} is invalid", in.role_arn)));
  }
  const Principal::Type asking = context->caller ? context->caller->principal.type : Principal::Type::kRoot;
  if (gate_.mode() == access::Mode::kEnforce && asking == Principal::Type::kRoot) {
    co_return std::unexpected(api::access_denied("Roles may not be assumed by root accounts."));
  }
  const std::string name = arn->resource.substr(arn->resource.rfind('/') + 1);
  const auto role = identities_.find_role(arn->account, name);
  const int seconds = in.duration_seconds.value_or(kRoleSecondsDefault);
  const auto seconds_max =
      role ? static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(role->max_session).count())
           : kRoleSecondsMax;
  if (seconds > std::min(seconds_max, kRoleSecondsMax)) {
    co_return std::unexpected(
        api::validation_error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
  }
  if (asking == Principal::Type::kRoleSession && seconds > kChainedSecondsMax) {
    co_return std::unexpected(api::validation_error(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."));
  }
  auto policies = session_policies(arn->account, in);
  if (!policies) co_return std::unexpected(std::move(policies.error()));

  const WallTime now = std::chrono::floor<std::chrono::seconds>(system_.clock.wall());
  access::Session session;
  session.principal = {
      .type = Principal::Type::kRoleSession,
      .account = arn->account,
      .arn = fmt::format("arn:{}:sts::{}:assumed-role/{}/{}", arn->partition, arn->account, name, in.role_session_name),
      .role_arn = in.role_arn,
      .name = {}};
  session.role_name = name;
  session.role_id = role ? role->id : std::string();
  session.user_id = fmt::format("{}:{}", role ? role->id : made_up_id(in.role_arn), in.role_session_name);
  session.policies = std::move(*policies);
  for (auto& tag : in.tags.value_or(std::vector<api::Tag>())) {
    session.tags.emplace_back(std::move(tag.key), std::move(tag.value));
  }
  session.source_identity = in.source_identity.value_or("");
  session.issued = now;
  session.expires = now + std::chrono::seconds(seconds);
  api::AssumeRoleResponse out;
  out.assumed_role_user = api::AssumedRoleUser{.assumed_role_id = session.user_id, .arn = session.principal.arn};
  if (!session.policies.empty()) {
    std::size_t characters = 0;
    for (const std::string& text : session.policies) characters += text.size();
    out.packed_policy_size =
        static_cast<int>(std::min<std::size_t>(100, 1 + characters * 100 / kSessionPolicyCharactersMax));
  }
  out.credentials = to_api(sessions_.issue(std::move(session)));
  out.source_identity = std::move(in.source_identity);
  co_return out;
}

Async<aws::Outcome<api::GetSessionTokenResponse>> StsService::get_session_token(const aws::RequestContext* context,
                                                                                api::GetSessionTokenRequest in) {
  LD_CHECK(context->caller != nullptr);
  const aws::Caller& caller = *context->caller;
  // Source: STS API reference: temporary credentials cannot ask for more, except by AssumeRole.
  if (caller.temporary) {
    co_return std::unexpected(api::access_denied("Cannot call GetSessionToken with session credentials"));
  }
  int seconds = in.duration_seconds.value_or(kSessionSecondsDefault);
  // Source: the same; a longer duration is cut for the root.
  if (caller.principal.type == Principal::Type::kRoot) seconds = std::min(seconds, kRootSessionSecondsMax);
  const WallTime now = std::chrono::floor<std::chrono::seconds>(system_.clock.wall());
  access::Session session;
  session.principal = caller.principal;
  session.user_id = caller.user_id;
  session.user_name = caller.user_name;
  session.issued = now;
  session.expires = now + std::chrono::seconds(seconds);
  co_return api::GetSessionTokenResponse{.credentials = to_api(sessions_.issue(std::move(session)))};
}

}  // namespace lambdad::sts
