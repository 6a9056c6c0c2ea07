#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace lambdad::ecr {

/// Whom a registry client acts for.
struct Identity {
  std::string account;
  std::string region;
};

/// How long a token of GetAuthorizationToken is good. Source: ECR API reference, GetAuthorizationToken.
inline constexpr Duration kTokenLifetime = std::chrono::hours(12);

/// The password of user "AWS": says for whom and until when, and is signed with `secret`.
std::string make_password(const Identity& identity, WallTime expires, std::string_view secret);
/// The Authorization header of a registry client, "Basic base64(AWS:password)". nullopt: missing, not ours, or expired.
std::optional<Identity> check_authorization(std::string_view header, WallTime now, std::string_view secret);

}  // namespace lambdad::ecr
