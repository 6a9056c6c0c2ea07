#include "services/function_urls/url_config.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::function_urls {

namespace {

constexpr std::string_view kInfix = ".lambda-url.";

bool is_label(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

std::string_view to_string(AuthType type) { return type == AuthType::kNone ? "NONE" : "AWS_IAM"; }
std::string_view to_string(InvokeMode mode) { return mode == InvokeMode::kBuffered ? "BUFFERED" : "RESPONSE_STREAM"; }

std::optional<AuthType> auth_type(std::string_view text) {
  if (text == "NONE") return AuthType::kNone;
  if (text == "AWS_IAM") return AuthType::kAwsIam;
  return std::nullopt;
}

std::optional<InvokeMode> invoke_mode(std::string_view text) {
  if (text == "BUFFERED") return InvokeMode::kBuffered;
  if (text == "RESPONSE_STREAM") return InvokeMode::kResponseStream;
  return std::nullopt;
}

std::optional<UrlHost> parse_url_host(std::string_view host) {
  // Shorter than any: most requests are not for function URLs.
  if (host.size() <= kInfix.size() || host.starts_with('[')) return std::nullopt;
  UrlHost out;
  const std::size_t colon = host.find(':');
  out.name = to_lower(host.substr(0, colon));
  if (colon != std::string_view::npos) out.port = host.substr(colon + 1);
  const std::string_view name = out.name;
  const std::size_t infix = name.find(kInfix);
  if (infix == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(infix + kInfix.size());
  const std::size_t dot = rest.find('.');
  if (dot == std::string_view::npos || dot + 1 == rest.size()) return std::nullopt;
  out.id = name.substr(0, infix);
  out.region = rest.substr(0, dot);
  if (!is_label(out.id) || !is_label(out.region)) return std::nullopt;
  return out;
}

std::string url_of(const UrlConfig& config, std::string_view base_url, std::string_view domain) {
  const std::size_t scheme_end = base_url.find("://");
  const std::string_view scheme = scheme_end == std::string_view::npos ? "http" : base_url.substr(0, scheme_end);
  const std::string_view authority =
      scheme_end == std::string_view::npos ? std::string_view() : base_url.substr(scheme_end + 3);
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  return fmt::format("{}://{}.lambda-url.{}.{}{}/", scheme, config.id, config.function.region, domain,
                     has_port ? authority.substr(colon) : std::string_view());
}

json::Value to_document(const UrlConfig& config) {
  json::Object out{{"id", config.id},
                   {"account", config.function.account},
                   {"region", config.function.region},
                   {"function", config.function.name},
                   {"qualifier", config.function.qualifier},
                   {"auth_type", to_string(config.auth_type)},
                   {"created_ms", to_epoch_ms(config.created)},
                   {"modified_ms", to_epoch_ms(config.modified)}};
  if (config.invoke_mode) out.append("invoke_mode", to_string(*config.invoke_mode));
  if (config.cors) out.append("cors", to_document(*config.cors));
  return out;
}

Result<UrlConfig> url_config_from_document(json::Value document) {
  UrlConfig config;
  bool good = true;
  const auto text = [&](std::string_view key) {
    const json::Value* value = document.find(key);
    const std::string* string = value != nullptr ? value->if_string() : nullptr;
    good = good && string != nullptr;
    return string != nullptr ? *string : std::string();
  };
  const auto time = [&](std::string_view key) {
    const json::Value* value = document.find(key);
    const auto number = value != nullptr ? value->as_int64() : std::nullopt;
    good = good && number.has_value();
    return from_epoch_ms(number.value_or(0));
  };
  config.id = text("id");
  config.function = {text("account"), text("region"), text("function"), text("qualifier")};
  const auto auth = auth_type(text("auth_type"));
  good = good && auth.has_value();
  config.auth_type = auth.value_or(AuthType::kAwsIam);
  config.created = time("created_ms");
  config.modified = time("modified_ms");
  if (document.find("invoke_mode") != nullptr) {
    config.invoke_mode = invoke_mode(text("invoke_mode"));
    good = good && config.invoke_mode.has_value();
  }
  if (const json::Value* cors = document.find("cors")) {
    auto decoded = aws::lambda::from_document<aws::lambda::Cors>(*cors);
    good = good && decoded.has_value();
    if (decoded) config.cors = std::move(*decoded);
  }
  if (!good || config.id.empty()) return fail(Errc::kCorrupt, "a stored function URL is not what was written");
  return config;
}

}  // namespace lambdad::function_urls
