/// The configuration of one function URL. Values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/gen/lambda.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"
#include "ports/functions.h"

namespace lambdad::function_urls {

enum class AuthType { kNone, kAwsIam };
enum class InvokeMode { kBuffered, kResponseStream };

/// Immutable once it is shown: a change is a new value.
struct UrlConfig {
  std::string id;  ///< 32 characters a-z0-9: the first label of the URL's host
  /// Qualifier empty, or an alias: one URL for the function and one for each of its aliases.
  ports::FunctionRef function;
  AuthType auth_type = AuthType::kAwsIam;
  std::optional<InvokeMode> invoke_mode;  ///< nullopt: never given, which means buffered
  std::optional<aws::lambda::Cors> cors;
  WallTime created{};
  WallTime modified{};
  bool operator==(const UrlConfig&) const = default;

  bool streams() const { return invoke_mode == InvokeMode::kResponseStream; }
};

std::string_view to_string(AuthType type);
std::string_view to_string(InvokeMode mode);
std::optional<AuthType> auth_type(std::string_view text);
std::optional<InvokeMode> invoke_mode(std::string_view text);

/// "<id>.lambda-url.<region>.<anything>[:port]" in a Host field, letters in any case.
struct UrlHost {
  std::string id;
  std::string region;
  std::string name;  ///< the whole host in lower case, without the port
  std::string port;  ///< digits; empty: none given
};
/// nullopt when `host` is no function URL's.
std::optional<UrlHost> parse_url_host(std::string_view host);

/// The URL under `domain` for a daemon that its clients reach at `base_url` ("http://127.0.0.1:4566"):
/// "http://<id>.lambda-url.<region>.localhost:4566/". Browsers and curl resolve every name under localhost to loopback.
std::string url_of(const UrlConfig& config, std::string_view base_url, std::string_view domain);

/// Rows hold this document.
json::Value to_document(const UrlConfig& config);
/// kCorrupt when the document is not one that to_document() wrote.
Result<UrlConfig> url_config_from_document(json::Value document);

}  // namespace lambdad::function_urls
