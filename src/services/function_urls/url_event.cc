#include "services/function_urls/url_event.h"

#include <map>

#include "base/encoding.h"

namespace lambdad::function_urls {

namespace {

// Bytes of a request may be anything; a JSON document holds text.
std::string as_text(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string latin;  // as HTTP once meant it: each byte a character of ISO 8859-1
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      latin.push_back(c);
    } else {
      latin.push_back(static_cast<char>(0xc0 | byte >> 6));
      latin.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  return latin;
}

// Percent signs that begin no escape stay as they are.
std::string decode_once(std::string_view text, bool plus_is_space) {
  if (auto decoded = percent_decode(text, plus_is_space)) return as_text(*decoded);
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      if (auto byte = percent_decode(text.substr(at, 3)); byte && byte->size() == 1) {
        out += *byte;
        at += 2;
        continue;
      }
    }
    out.push_back(text[at] == '+' && plus_is_space ? ' ' : text[at]);
  }
  return as_text(out);
}

bool is_textual(std::string_view content_type) {
  const std::string type = to_lower(content_type.substr(0, content_type.find(';')));
  return type.starts_with("text/") || type == "application/json" || type == "application/xml" ||
         type == "application/javascript" || type.ends_with("+json") || type.ends_with("+xml");
}

// "01/Jan/2026:00:00:00 +0000"
std::string format_clf(WallTime time) {
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000", static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

void split_cookies(std::string_view field, json::Array& cookies) {
  while (!field.empty()) {
    const std::size_t end = field.find(';');
    std::string_view cookie = field.substr(0, end);
    while (cookie.starts_with(' ')) cookie.remove_prefix(1);
    while (cookie.ends_with(' ')) cookie.remove_suffix(1);
    if (!cookie.empty()) cookies.emplace_back(as_text(cookie));
    if (end == std::string_view::npos) break;
    field.remove_prefix(end + 1);
  }
}

json::Value query_parameters(std::string_view query) {
  std::map<std::string, std::string> joined;
  for (std::size_t begin = 0; begin <= query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    const std::string_view pair = query.substr(begin, end - begin);
    begin = end + 1;
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string name = decode_once(pair.substr(0, equals), true);
    std::string value = equals == std::string_view::npos ? std::string() : decode_once(pair.substr(equals + 1), true);
    auto [place, first] = joined.try_emplace(std::move(name), value);
    if (!first) place->second += "," + value;
  }
  json::Object out;
  for (auto& [name, value] : joined) out.append(name, std::move(value));
  return out;
}

json::Value authorizer_of(const Caller& caller) {
  return json::Object{{"iam", json::Object{{"accessKey", caller.access_key},
                                           {"accountId", caller.account},
                                           {"callerId", caller.user_id},
                                           {"cognitoIdentity", nullptr},
                                           {"principalOrgId", nullptr},
                                           {"userArn", caller.user_arn},
                                           {"userId", caller.user_id}}}};
}

}  // namespace

json::Value make_event(const http::Request& request, const EventFacts& facts) {
  std::map<std::string, std::string> headers;
  json::Array cookies;
  for (const http::Header& field : request.headers) {
    if (equals_ignoring_case(field.name, "cookie")) {
      split_cookies(field.value, cookies);
      continue;
    }
    auto [place, first] = headers.try_emplace(to_lower(field.name), as_text(field.value));
    if (!first) place->second += "," + as_text(field.value);
  }
  // What the endpoint itself says; a client cannot say it instead.
  headers["x-forwarded-for"] = request.peer_address;
  headers["x-forwarded-proto"] = "http";
  headers["x-forwarded-port"] = facts.host.port.empty() ? "80" : facts.host.port;
  headers["x-amzn-trace-id"] = facts.trace_header;
  json::Object header_document;
  for (auto& [name, value] : headers) header_document.append(name, value);

  const std::string_view path = request.path();
  const std::string_view query = request.query();
  json::Object http{{"method", request.method},
                    {"path", decode_once(path, false)},
                    {"protocol", "HTTP/1.1"},
                    {"sourceIp", request.peer_address},
                    {"userAgent", as_text(request.headers.get("user-agent").value_or(""))}};
  json::Object context{{"accountId", facts.caller ? facts.caller->account : "anonymous"}, {"apiId", facts.host.id}};
  if (facts.caller) context.append("authorizer", authorizer_of(*facts.caller));
  context.append("domainName", facts.host.name);
  context.append("domainPrefix", facts.host.id);
  context.append("http", std::move(http));
  context.append("requestId", facts.request_id);
  context.append("routeKey", "$default");
  context.append("stage", "$default");
  context.append("time", format_clf(facts.now));
  context.append("timeEpoch", to_epoch_ms(facts.now));

  json::Object event{{"version", "2.0"}, {"routeKey", "$default"}, {"rawPath", path}, {"rawQueryString", query}};
  if (!cookies.empty()) event.append("cookies", std::move(cookies));
  event.append("headers", std::move(header_document));
  if (!query.empty()) event.append("queryStringParameters", query_parameters(query));
  event.append("requestContext", std::move(context));
  const bool text = is_textual(request.headers.get("content-type").value_or("")) && is_valid_utf8(request.body);
  if (!request.body.empty()) event.append("body", text ? request.body : base64_encode(request.body));
  event.append("isBase64Encoded", !request.body.empty() && !text);
  return event;
}

}  // namespace lambdad::function_urls
