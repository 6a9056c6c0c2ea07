#include "aws/sigv4.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/encoding.h"
#include "base/hash.h"

namespace lambdad::aws::sigv4 {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
constexpr Duration kSkewMax = 15min;                          // AWS General Reference, "Request can't be ... expired"
constexpr std::int64_t kPresignedSecondsMax = 7 * 24 * 3600;  // API reference of S3, X-Amz-Expires

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool all_of_name(std::string_view text, std::size_t size_max) {
  return !text.empty() && text.size() <= size_max &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool all_digits(std::string_view text, std::size_t size) {
  return text.size() == size && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::unexpected<Error> incomplete(std::string message) {
  return std::unexpected(access_denied("IncompleteSignatureException", std::move(message)));
}

std::unexpected<Error> invalid(std::string message) {
  Error error = access_denied("InvalidSignatureException", std::move(message));
  error.query_code = "SignatureDoesNotMatch";
  return std::unexpected(std::move(error));
}

std::unexpected<Error> mismatch() {
  return invalid(
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
      "and signing method. Consult the service documentation for details.");
}

/// Fills the credential scope from "KEY/20150830/us-east-1/sqs/aws4_request". The key may hold slashes.
Outcome<void> read_scope(std::string_view credential, Signature& out) {
  const std::vector<std::string_view> parts = split(credential, '/');
  if (parts.size() < 5) {
    return incomplete(
        fmt::format("Credential must have exactly 5 slash-delimited elements, e.g. "
                    "keyid/date/region/service/term, got '{}'",
                    escape_control(credential)));
  }
  const auto scope = std::span(parts).last(4);
  out.access_key_id =
      std::string(credential.substr(0, static_cast<std::size_t>(scope[0].data() - credential.data()) - 1));
  if (out.access_key_id.empty() || out.access_key_id.size() > 256) {
    return incomplete("Credential must have an access key id.");
  }
  if (scope[3] != kTerminator) {
    return invalid("Credential should be scoped with a valid terminator: 'aws4_request'.");
  }
  if (!all_digits(scope[0], 8)) return invalid("Date in Credential scope must be of the form YYYYMMDD.");
  if (!all_of_name(scope[1], 32)) return invalid("Credential should be scoped to a valid region.");
  if (!all_of_name(scope[2], 64)) return invalid("Credential should be scoped to a valid service.");
  out.date = std::string(scope[0]);
  out.region = std::string(scope[1]);
  out.service = std::string(scope[2]);
  return {};
}

std::vector<std::string> read_signed_headers(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view name : split(text, ';')) {
    if (!name.empty()) names.push_back(to_lower(name));
  }
  return names;
}

Outcome<std::optional<Signature>> parse_header(const http::Request& request, std::string_view value) {
  Signature out;
  std::string_view credential, signed_headers, signature;
  // "Credential=..., SignedHeaders=..., Signature=..."; the space after a comma is optional.
  for (const std::string_view part : split(value.substr(kAlgorithm.size()), ',')) {
    const std::string_view item = trim(part);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = item.substr(0, equals);
    if (name == "Credential") credential = item.substr(equals + 1);
    if (name == "SignedHeaders") signed_headers = item.substr(equals + 1);
    if (name == "Signature") signature = item.substr(equals + 1);
  }
  std::string missing;
  if (credential.empty()) missing += "Authorization header requires 'Credential' parameter. ";
  if (signature.empty()) missing += "Authorization header requires 'Signature' parameter. ";
  if (signed_headers.empty()) missing += "Authorization header requires 'SignedHeaders' parameter. ";
  const auto date = request.headers.get("x-amz-date");
  if (!date && !request.headers.contains("date")) {
    missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  }
  if (!missing.empty()) {
    missing.pop_back();
    return incomplete(std::move(missing));
  }
  if (auto scope = read_scope(credential, out); !scope) return std::unexpected(std::move(scope.error()));
  out.signed_headers = read_signed_headers(signed_headers);
  out.signature = std::string(signature);
  if (date) out.timestamp = std::string(*date);
  return out;
}

Outcome<std::optional<Signature>> parse_query(const http::Request& request) {
  const auto parameters = http::parse_form(request.query());
  if (!parameters) return std::nullopt;
  std::map<std::string_view, std::string_view> fields;
  for (const auto& [name, value] : *parameters) {
    if (name.starts_with("X-Amz-")) fields.emplace(name, value);
  }
  const auto algorithm = fields.find("X-Amz-Algorithm");
  if (algorithm == fields.end()) return std::nullopt;
  if (algorithm->second != kAlgorithm) {
    return incomplete(fmt::format("Unsupported AWS 'algorithm': '{}'.", escape_control(algorithm->second)));
  }
  for (const std::string_view name : {"X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"}) {
    if (!fields.contains(name) || fields[name].empty()) {
      return incomplete(fmt::format("AWS query-string parameters must include '{}'.", name));
    }
  }
  Signature out;
  out.presigned = true;
  if (auto scope = read_scope(fields["X-Amz-Credential"], out); !scope) {
    return std::unexpected(std::move(scope.error()));
  }
  out.signed_headers = read_signed_headers(fields["X-Amz-SignedHeaders"]);
  out.signature = std::string(fields["X-Amz-Signature"]);
  out.timestamp = std::string(fields["X-Amz-Date"]);
  if (const auto expires = fields.find("X-Amz-Expires"); expires != fields.end()) {
    std::int64_t seconds = -1;
    const std::string_view text = expires->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || seconds < 0 || seconds > kPresignedSecondsMax) {
      return incomplete("X-Amz-Expires must be a number of seconds from 0 to 604800.");
    }
    out.expires_seconds = seconds;
  }
  return out;
}

/// RFC 3986 5.2.4 without the last segment's special cases: "." and empty segments go, ".." takes one away.
std::string canonical_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (const std::string_view segment : split(path, '/')) {
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(segment);
    }
  }
  std::string normal;
  for (const std::string_view segment : kept) {
    normal += '/';
    normal += segment;
  }
  if (normal.empty() || path.ends_with('/')) normal += '/';
  return percent_encode(normal, /*keep_slash=*/true);
}

/// S3's: no segment goes, each is encoded once however it was sent.
std::string plain_path(std::string_view path) {
  return percent_encode(percent_decode(path).value_or(std::string(path)), /*keep_slash=*/true);
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const std::string_view part : split(query, '&')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    const auto encoded = [](std::string_view text) {
      return percent_encode(percent_decode(text).value_or(std::string(text)));
    };
    std::string name = encoded(part.substr(0, equals));
    if (name != "X-Amz-Signature") parameters.emplace_back(std::move(name), encoded(value));
  }
  std::ranges::sort(parameters);
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

/// All values of a header, trimmed, runs of spaces made one, joined with commas.
std::string canonical_value(const http::Headers& headers, std::string_view name) {
  std::string out;
  bool first = true;
  for (const http::Header& header : headers) {
    if (!equals_ignoring_case(header.name, name)) continue;
    if (!std::exchange(first, false)) out += ',';
    bool space = false;
    for (const char c : trim(header.value)) {
      if (c == ' ' && space) continue;
      space = c == ' ';
      out += c;
    }
  }
  return out;
}

/// The payload's hash as the signature covers it.
std::string payload_hash(const http::Request& request, const Signature& signature) {
  if (const auto stated = request.headers.get("x-amz-content-sha256")) return std::string(*stated);
  // A presigned URL of S3 says nothing of what will be sent to it.
  if (signature.presigned && signature.service == "s3") return std::string(kUnsignedPayload);
  return hex_encode(sha256(request.body));
}

Outcome<void> check_payload(const http::Request& request, const Signature& signature) {
  const auto stated = request.headers.get("x-amz-content-sha256");
  if (!stated) return {};
  if (stated->starts_with("STREAMING-")) {
    return std::unexpected(
        not_served(signature.service, "requests", fmt::format("x-amz-content-sha256: {}", escape_control(*stated))));
  }
  if (*stated == kUnsignedPayload && signature.service == "s3") return {};
  if (!equal_constant_time(*stated, hex_encode(sha256(request.body)))) return mismatch();
  return {};
}

std::string scope_of(std::string_view date, std::string_view region, std::string_view service) {
  return fmt::format("{}/{}/{}/{}", date, region, service, kTerminator);
}

}  // namespace

Outcome<std::optional<Signature>> parse(const http::Request& request) {
  if (const auto value = request.headers.get("authorization")) {
    if (value->starts_with(kAlgorithm) && (value->size() == kAlgorithm.size() || (*value)[kAlgorithm.size()] == ' ')) {
      return parse_header(request, *value);
    }
    if (value->starts_with("AWS4-")) {
      return incomplete(
          fmt::format("Unsupported AWS 'algorithm': '{}'.", escape_control(value->substr(0, value->find(' ')))));
    }
    return std::nullopt;
  }
  if (request.query().find("X-Amz-Algorithm=") != std::string_view::npos) return parse_query(request);
  return std::nullopt;
}

std::optional<std::string> account_of(std::string_view access_key_id) {
  if (all_digits(access_key_id, 12)) return std::string(access_key_id);
  if (!access_key_id.starts_with("LSIA") && !access_key_id.starts_with("LKIA")) return std::nullopt;
  if (access_key_id.size() < 13) return std::nullopt;
  // Characters 4..12 are base32 (A-Z, 2-7) of half the account number plus 2^39; the next says whether it is odd.
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::int64_t number = 0;
  for (const char c : access_key_id.substr(4, 8)) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number * 32 + static_cast<std::int64_t>(digit);
  }
  const std::size_t last = kAlphabet.find(access_key_id[12]);
  if (last == std::string_view::npos) return std::nullopt;
  constexpr std::int64_t kOffset = std::int64_t{1} << 39;
  const std::int64_t account = 2 * (number - kOffset) + (last >= kAlphabet.find('Q') ? 1 : 0);
  if (account < 0 || account > 999'999'999'999) return std::nullopt;
  return fmt::format("{:012}", account);
}

PathRule path_rule(std::string_view service) { return service == "s3" ? PathRule::kAsItIs : PathRule::kNormalised; }

std::string canonical_request(const http::Request& request, const std::vector<std::string>& signed_headers,
                              std::string_view payload_hash, PathRule rule) {
  std::vector<std::string> names = signed_headers;
  std::ranges::sort(names);
  std::string headers, list;
  for (const std::string& name : names) {
    headers += fmt::format("{}:{}\n", name, canonical_value(request.headers, name));
    if (!list.empty()) list += ';';
    list += name;
  }
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method,
                     rule == PathRule::kAsItIs ? plain_path(request.path()) : canonical_path(request.path()),
                     canonical_query(request.query()), headers, list, payload_hash);
}

std::string string_to_sign(std::string_view timestamp, std::string_view region, std::string_view service,
                           std::string_view canonical) {
  return fmt::format("{}\n{}\n{}\n{}", kAlgorithm, timestamp, scope_of(timestamp.substr(0, 8), region, service),
                     hex_encode(sha256(canonical)));
}

std::string derive_key(std::string_view secret_access_key, std::string_view date, std::string_view region,
                       std::string_view service) {
  std::string key = hmac_sha256(fmt::format("AWS4{}", secret_access_key), date);
  key = hmac_sha256(key, region);
  key = hmac_sha256(key, service);
  return hmac_sha256(key, kTerminator);
}

std::string sign_text(std::string_view secret_access_key, std::string_view date, std::string_view region,
                      std::string_view service, std::string_view text) {
  return hex_encode(hmac_sha256(derive_key(secret_access_key, date, region, service), text));
}

void sign(http::Request& request, const Credentials& credentials, std::string_view region, std::string_view service,
          WallTime now) {
  const std::string timestamp = format_basic_iso8601(now);
  request.headers.set("X-Amz-Date", timestamp);
  if (!credentials.session_token.empty()) request.headers.set("X-Amz-Security-Token", credentials.session_token);
  std::vector<std::string> names;
  for (const http::Header& header : request.headers) {
    std::string name = to_lower(header.name);
    if (name == "host" || name == "content-type" || name.starts_with("x-amz-")) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  const std::string hash = request.headers.get_or("x-amz-content-sha256", hex_encode(sha256(request.body)));
  const std::string text =
      string_to_sign(timestamp, region, service, canonical_request(request, names, hash, path_rule(service)));
  const std::string_view date = std::string_view(timestamp).substr(0, 8);
  request.headers.set("Authorization",
                      fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                  credentials.access_key_id, scope_of(date, region, service), fmt::join(names, ";"),
                                  sign_text(credentials.secret_access_key, date, region, service, text)));
}

Outcome<void> verify_with_key(const http::Request& request, const Signature& signature, std::string_view key,
                              WallTime now) {
  const std::optional<WallTime> signed_at = parse_iso8601(signature.timestamp);
  if (!signed_at) return incomplete("Date must be in ISO-8601 'basic format'.");
  if (!signature.timestamp.starts_with(signature.date)) {
    return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.");
  }
  const auto is_signed = [&](std::string_view name) {
    return std::ranges::find(signature.signed_headers, name) != signature.signed_headers.end();
  };
  if (!is_signed("host")) return invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  for (const http::Header& header : request.headers) {
    if (std::string name = to_lower(header.name); name.starts_with("x-amz-") && !is_signed(name)) {
      return invalid(fmt::format("'{}' must be a 'SignedHeader' in the AWS Authorization.", escape_control(name)));
    }
  }
  if (!signature.presigned && request.query().find("X-Amz-Signature=") != std::string_view::npos) {
    return invalid(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter "
        "or "
        "the Authorization header should be specified");
  }
  const Duration age = now - *signed_at;
  const Duration age_max =
      signature.expires_seconds ? Duration(std::chrono::seconds(*signature.expires_seconds)) : kSkewMax;
  if (age > age_max) {
    return invalid(fmt::format("Signature expired: {} is now earlier than {} ({} - {} min.)", signature.timestamp,
                               format_basic_iso8601(now - age_max), format_basic_iso8601(now),
                               std::chrono::duration_cast<std::chrono::minutes>(age_max).count()));
  }
  if (-age > kSkewMax) {
    return invalid(fmt::format("Signature not yet current: {} is still later than {} ({} + {} min.)",
                               signature.timestamp, format_basic_iso8601(now + kSkewMax), format_basic_iso8601(now),
                               std::chrono::duration_cast<std::chrono::minutes>(kSkewMax).count()));
  }
  if (auto payload = check_payload(request, signature); !payload) return payload;
  const std::string text =
      string_to_sign(signature.timestamp, signature.region, signature.service,
                     canonical_request(request, signature.signed_headers, payload_hash(request, signature),
                                       path_rule(signature.service)));
  if (!equal_constant_time(hex_encode(hmac_sha256(key, text)), signature.signature)) return mismatch();
  return {};
}

Outcome<void> verify(const http::Request& request, const Signature& signature, std::string_view secret_access_key,
                     WallTime now) {
  return verify_with_key(request, signature,
                         derive_key(secret_access_key, signature.date, signature.region, signature.service), now);
}

std::string session_token_of(const http::Request& request, const Signature& signature) {
  if (!signature.presigned) return request.headers.get_or("x-amz-security-token", "");
  const auto parameters = http::parse_form(request.query());
  if (!parameters) return {};
  for (const auto& [name, value] : *parameters) {
    if (name == "X-Amz-Security-Token") return value;
  }
  return {};
}

}  // namespace lambdad::aws::sigv4
