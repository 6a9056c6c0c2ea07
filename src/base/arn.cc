#include "base/arn.h"

#include <algorithm>

#include <fmt/format.h>

namespace lambdad {

namespace {

/// Cuts the text up to the next ':' off the front of `rest`; nullopt when there is none.
std::optional<std::string_view> cut_part(std::string_view& rest) {
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest.substr(0, colon);
  rest.remove_prefix(colon + 1);
  return part;
}

bool consists_of_name_characters(std::string_view text, bool dollar_allowed) {
  return std::ranges::all_of(text, [dollar_allowed](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           (dollar_allowed && c == '$');
  });
}

}  // namespace

std::optional<Arn> Arn::parse(std::string_view text) {
  std::string_view rest = text;
  if (cut_part(rest) != "arn") return std::nullopt;
  const auto partition = cut_part(rest);
  const auto service = cut_part(rest);
  const auto region = cut_part(rest);
  const auto account = cut_part(rest);
  if (!partition || !service || !region || !account) return std::nullopt;
  if (partition->empty() || service->empty() || rest.empty()) return std::nullopt;
  return Arn{std::string(*partition), std::string(*service), std::string(*region), std::string(*account),
             std::string(rest)};
}

std::string Arn::str() const {
  return fmt::format("arn:{}:{}:{}:{}:{}", partition, service, region, account, resource);
}

std::optional<FunctionArn> FunctionArn::parse(std::string_view text) {
  auto arn = Arn::parse(text);
  if (!arn || arn->partition != "aws" || arn->service != "lambda") return std::nullopt;
  if (arn->region.empty() || arn->account.empty()) return std::nullopt;
  std::string_view rest = arn->resource;
  if (cut_part(rest) != "function") return std::nullopt;
  std::string_view name = rest;
  std::string_view qualifier;
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    name = rest.substr(0, colon);
    qualifier = rest.substr(colon + 1);
    if (qualifier.empty()) return std::nullopt;
  }
  if (name.empty() || !consists_of_name_characters(name, false)) return std::nullopt;
  if (!consists_of_name_characters(qualifier, true)) return std::nullopt;
  return FunctionArn{std::move(arn->region), std::move(arn->account), std::string(name), std::string(qualifier)};
}

std::string FunctionArn::unqualified() const {
  return fmt::format("arn:aws:lambda:{}:{}:function:{}", region, account, name);
}

std::string FunctionArn::str() const {
  if (qualifier.empty()) return unqualified();
  return fmt::format("{}:{}", unqualified(), qualifier);
}

}  // namespace lambdad
