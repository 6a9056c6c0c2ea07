/// AWS Signature Version 4: reading it from requests, making it for requests, checking it.
///
/// Source: AWS General Reference, "Signature Version 4 signing process"; the cases in sigv4_test.cc are AWS's published
/// test suite. Requests for S3 keep their path as it is, encoded once, and may leave their body unsigned; chunked
/// payloads (STREAMING-...) are refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/error.h"
#include "base/time.h"
#include "http/message.h"

namespace lambdad::aws::sigv4 {

/// What a request says about its signature. Nothing in it is verified.
struct Signature {
  std::string access_key_id;
  std::string date;                         ///< of the credential scope: "20150830"
  std::string region;                       ///< [a-z0-9-], 1..32
  std::string service;                      ///< [a-z0-9-], 1..64: the signing name
  std::vector<std::string> signed_headers;  ///< lower case, in the order given
  std::string signature;                    ///< hex
  std::string timestamp;                    ///< X-Amz-Date as sent: "20150830T123600Z"; empty when only Date was sent
  bool presigned = false;                   ///< in the query string
  std::optional<std::int64_t> expires_seconds;  ///< of a presigned request
};

/// The signature of `request`, from its Authorization header or a presigned query string; nullopt when it has none (no
/// header, or one of another scheme). A malformed one is an Error as AWS answers it: IncompleteSignatureException 403
/// when a part is missing, InvalidSignatureException 403 when the credential scope is not what it must be.
Outcome<std::optional<Signature>> parse(const http::Request& request);

/// 12-digit account that an access key stands for: the key itself when it is 12 digits; the account encoded in a key
/// that begins with LSIA or LKIA (LocalStack's form: base32, as AWS encodes it in AKIA and ASIA keys). nullopt for
/// others: a real key must not select an account.
std::optional<std::string> account_of(std::string_view access_key_id);

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  ///< empty: none
};

/// How the path stands in the canonical request.
enum class PathRule {
  kNormalised,  ///< dot segments and empty ones go; encoded once more than it was sent
  kAsItIs,      ///< S3: every segment counts; encoded once
};
PathRule path_rule(std::string_view service);

/// The canonical request of the specification. A presigned request's X-Amz-Signature is left out.
std::string canonical_request(const http::Request& request, const std::vector<std::string>& signed_headers,
                              std::string_view payload_hash, PathRule rule = PathRule::kNormalised);
std::string string_to_sign(std::string_view timestamp, std::string_view region, std::string_view service,
                           std::string_view canonical);
/// The 32 bytes that sign for one day, region and service.
std::string derive_key(std::string_view secret_access_key, std::string_view date, std::string_view region,
                       std::string_view service);
/// Hex signature of `text` under the key derived for date, region and service.
std::string sign_text(std::string_view secret_access_key, std::string_view date, std::string_view region,
                      std::string_view service, std::string_view text);

/// Signs in the Authorization header: sets X-Amz-Date, X-Amz-Security-Token (when there is a token) and Authorization.
/// Host, Content-Type and all X-Amz-* fields are signed; Host must be set.
void sign(http::Request& request, const Credentials& credentials, std::string_view region, std::string_view service,
          WallTime now);

/// Whether `request` carries the signature that `key`, as derive_key() makes it for the signature's scope, gives it;
/// compared in constant time. `now` is the clock of whoever signs: the machine's.
///
/// Signed must be: host, every X-Amz-* field, and the body. S3 takes UNSIGNED-PAYLOAD, and a presigned URL without a
/// hash says that; elsewhere the hash of a presigned request is that of its body. Errors as AWS answers them, all 403:
/// InvalidSignatureException for a wrong signature, a time more than 15 minutes from `now`, a presigned request that
/// has expired, something unsigned, and a request signed twice; IncompleteSignatureException for a time that is none.
Outcome<void> verify_with_key(const http::Request& request, const Signature& signature, std::string_view key,
                              WallTime now);
/// The same from the secret.
Outcome<void> verify(const http::Request& request, const Signature& signature, std::string_view secret_access_key,
                     WallTime now);

/// X-Amz-Security-Token of the field or the presigned query; empty: none.
std::string session_token_of(const http::Request& request, const Signature& signature);

}  // namespace lambdad::aws::sigv4
