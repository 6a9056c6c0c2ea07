#include "services/ecr/tokens.h"

#include <charconv>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/hash.h"

namespace lambdad::ecr {
namespace {

constexpr std::string_view kUser = "AWS:";
constexpr std::string_view kBasic = "basic ";

std::string_view take_field(std::string_view& text) {
  const std::size_t end = text.find('/');
  const std::string_view field = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return field;
}

}  // namespace

std::string make_password(const Identity& identity, WallTime expires, std::string_view secret) {
  const std::string claim = fmt::format("{}/{}/{}", identity.account, identity.region, to_epoch_seconds(expires));
  return base64_encode(fmt::format("{}/{}", claim, hex_encode(hmac_sha256(secret, claim))));
}

std::optional<Identity> check_authorization(std::string_view header, WallTime now, std::string_view secret) {
  if (header.size() < kBasic.size() || to_lower(header.substr(0, kBasic.size())) != kBasic) return std::nullopt;
  const auto credentials = base64_decode(header.substr(kBasic.size()));
  if (!credentials || !credentials->starts_with(kUser)) return std::nullopt;
  const auto password = base64_decode(std::string_view(*credentials).substr(kUser.size()));
  if (!password) return std::nullopt;
  const std::size_t signature = password->rfind('/');
  if (signature == std::string::npos) return std::nullopt;
  const std::string_view claim = std::string_view(*password).substr(0, signature);
  if (!equal_constant_time(hex_encode(hmac_sha256(secret, claim)), std::string_view(*password).substr(signature + 1))) {
    return std::nullopt;
  }
  // The signature vouches for the form.
  std::string_view rest = claim;
  Identity identity{.account = std::string(take_field(rest)), .region = std::string(take_field(rest))};
  std::int64_t expires = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), expires);
  if (expires <= to_epoch_seconds(now)) return std::nullopt;
  return identity;
}

}  // namespace lambdad::ecr
