#include "services/sts/sts_service.h"

#include "base/arn.h"
#include "base/encoding.h"
#include "base/hash.h"

namespace lambdad::sts {
namespace {

namespace api = aws::sts;

// Source: STS API reference, DurationSeconds.
constexpr int kRoleSecondsDefault = 3600;
constexpr int kRoleSecondsMax = 43'200;
constexpr int kSessionSecondsDefault = 43'200;
constexpr std::size_t kIdLength = 20;  // AIDA.., AROA.., ASIA.. with what follows

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

std::string base32_text(std::string_view bytes, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += kBase32[static_cast<unsigned char>(bytes[i % bytes.size()]) % 32];
  return text;
}

}  // namespace

void StsService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  dispatcher.serve<api::GetCallerIdentity>(
      [this](aws::RequestContext& context, api::GetCallerIdentityRequest) { return get_caller_identity(&context); });
  dispatcher.serve<api::AssumeRole>(
      [this](aws::RequestContext&, api::AssumeRoleRequest in) { return assume_role(std::move(in)); });
  dispatcher.serve<api::GetSessionToken>([this](aws::RequestContext& context, api::GetSessionTokenRequest in) {
    return get_session_token(&context, std::move(in));
  });
}

const StsService::Session* StsService::find(const std::string& access_key_id) {
  auto place = sessions_.find(access_key_id);
  if (place == sessions_.end()) return nullptr;
  if (place->second.expiration > system_.clock.wall()) return &place->second;
  sessions_.erase(place);
  return nullptr;
}

std::optional<std::string> StsService::account_of(const std::string& access_key_id) {
  const Session* session = find(access_key_id);
  return session == nullptr ? std::nullopt : std::optional(session->account);
}

/// The same for the same thing, as AWS's unique ids are.
std::string StsService::unique_id(std::string_view prefix, std::string_view of) {
  return fmt::format("{}{}", prefix, base32_text(sha256(of), kIdLength - prefix.size()));
}

aws::Outcome<api::Credentials> StsService::issue(Session session) {
  if (sessions_.size() >= kSessionsMax) {
    std::erase_if(sessions_, [now = system_.clock.wall()](const auto& each) { return each.second.expiration <= now; });
    if (sessions_.size() >= kSessionsMax) {
      log_.warn("sts_sessions_full", {{"sessions", sessions_.size()}});
      return std::unexpected(aws::internal_failure());
    }
  }
  api::Credentials credentials{.access_key_id = "ASIA" + base32_text(system_.random.bytes(kIdLength), kIdLength - 4),
                               .secret_access_key = base64_encode(system_.random.bytes(30)),
                               .session_token = base64_encode(system_.random.bytes(198)),
                               .expiration = session.expiration};
  sessions_[credentials.access_key_id] = std::move(session);
  return credentials;
}

Async<aws::Outcome<api::GetCallerIdentityResponse>> StsService::get_caller_identity(
    const aws::RequestContext* context) {
  api::GetCallerIdentityResponse out;
  if (const Session* session = find(context->access_key_id)) {
    out.user_id = session->user_id;
    out.account = session->account;
    out.arn = session->arn;
    co_return out;
  }
  out.user_id = context->account;
  out.account = context->account;
  out.arn = fmt::format("arn:aws:iam::{}:root", context->account);
  co_return out;
}

Async<aws::Outcome<api::AssumeRoleResponse>> StsService::assume_role(api::AssumeRoleRequest in) {
  const auto role = Arn::parse(in.role_arn);
  if (!role || role->service != "iam" || !role->resource.starts_with("role/") || role->resource.ends_with('/') ||
      role->account.size() != 12) {
    co_return std::unexpected(api::validation_error(fmt::format("{} is invalid", in.role_arn)));
  }
  const int seconds = in.duration_seconds.value_or(kRoleSecondsDefault);
  if (seconds > kRoleSecondsMax) {
    co_return std::unexpected(
        api::validation_error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
  }
  const std::string name = role->resource.substr(role->resource.rfind('/') + 1);
  const std::string id = fmt::format("{}:{}", unique_id("AROA", in.role_arn), in.role_session_name);
  const std::string arn =
      fmt::format("arn:{}:sts::{}:assumed-role/{}/{}", role->partition, role->account, name, in.role_session_name);
  auto credentials = issue(Session{
      .account = role->account,
      .arn = arn,
      .user_id = id,
      .expiration = std::chrono::floor<std::chrono::seconds>(system_.clock.wall()) + std::chrono::seconds(seconds)});
  if (!credentials) co_return std::unexpected(std::move(credentials.error()));
  api::AssumeRoleResponse out;
  out.credentials = std::move(*credentials);
  out.assumed_role_user = api::AssumedRoleUser{.assumed_role_id = id, .arn = arn};
  out.source_identity = std::move(in.source_identity);
  co_return out;
}

Async<aws::Outcome<api::GetSessionTokenResponse>> StsService::get_session_token(const aws::RequestContext* context,
                                                                                api::GetSessionTokenRequest in) {
  // Source: STS API reference: temporary credentials cannot ask for more, except by AssumeRole.
  if (find(context->access_key_id) != nullptr) {
    co_return std::unexpected(api::access_denied("Cannot call GetSessionToken with session credentials"));
  }
  const int seconds = in.duration_seconds.value_or(kSessionSecondsDefault);
  auto credentials = issue(Session{
      .account = context->account,
      .arn = fmt::format("arn:aws:iam::{}:root", context->account),
      .user_id = context->account,
      .expiration = std::chrono::floor<std::chrono::seconds>(system_.clock.wall()) + std::chrono::seconds(seconds)});
  if (!credentials) co_return std::unexpected(std::move(credentials.error()));
  co_return api::GetSessionTokenResponse{.credentials = std::move(*credentials)};
}

}  // namespace lambdad::sts
