#include <algorithm>

#include "base/encoding.h"
#include "base/hash.h"
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {
namespace {

std::string code_token(const Lambda& lambda, std::string_view path, std::string_view expires) {
  return hex_encode(hmac_sha256(lambda.code_url_key, fmt::format("{}\n{}", path, expires)));
}

aws::Error to_aws_error(Lambda& lambda, const aws::RequestContext& context, const Error& e) {
  switch (e.code) {
    case Errc::kTooLarge:
      if (e.detail.starts_with("unzipped size")) {
        return api::invalid_parameter_value(
            fmt::format("Unzipped size must be smaller than {} bytes", kUnzippedBytesMax));
      }
      return api::invalid_parameter_value(fmt::format(
          "Could not unzip uploaded file. Please check your file, then try to upload again. ({})", e.detail));
    case Errc::kInvalid:
      if (e.detail == "the zip has no entries") {
        return api::invalid_parameter_value("Uploaded file must be a non-empty zip");
      }
      if (e.detail.starts_with("not a zip")) {
        return api::invalid_parameter_value(
            "Could not unzip uploaded file. Please check your file, then try to upload again.");
      }
      // AWS's words, and what it keeps to itself: which entry is refused.
      return api::invalid_parameter_value(fmt::format(
          "Could not unzip uploaded file. Please check your file, then try to upload again. ({})", e.detail));
    case Errc::kNotFound:
    case Errc::kConflict:
    case Errc::kDenied:
    case Errc::kThrottled:
    case Errc::kTimedOut:
    case Errc::kUnavailable:
    case Errc::kClosed:
    case Errc::kCorrupt:
    case Errc::kInternal: break;
  }
  return service_failure(lambda, context, e);
}

aws::Outcome<void> check_zip_size(const std::string& zip) {
  if (zip.empty()) return std::unexpected(api::invalid_parameter_value("Uploaded file must be a non-empty zip"));
  if (zip.size() >= kZipBytesMax) {
    aws::Error error =
        api::request_entity_too_large(fmt::format("Zipped size must be smaller than {} bytes", kZipBytesMax));
    error.has_type_member = false;
    return std::unexpected(std::move(error));
  }
  return {};
}

}  // namespace

aws::Outcome<void> check_role(const Lambda& lambda, const std::string& role_arn) {
  if (!lambda.role_check || lambda.role_check(role_arn)) return {};
  return std::unexpected(
      api::invalid_parameter_value("The role defined for the function cannot be assumed by Lambda."));
}

aws::Error service_failure(Lambda& lambda, const aws::RequestContext& context, const Error& cause) {
  lambda.log.error("lambda_request_failed", {{"operation", context.operation},
                                             {"request_id", context.request_id},
                                             {"code", to_string(cause.code)},
                                             {"error", cause.detail}});
  return api::service_exception("An error occurred and the request cannot be processed.");
}

aws::Outcome<Functions::FunctionPtr> find_function(Lambda& lambda, const ports::FunctionRef& function) {
  auto found = lambda.functions.find(function);
  if (found == nullptr) return std::unexpected(function_not_found(function));
  return found;
}

aws::Outcome<Functions::Located> locate(Lambda& lambda, const ports::FunctionRef& function) {
  auto located = lambda.functions.locate(function);
  if (!located) return std::unexpected(function_not_found(function));
  return std::move(*located);
}

aws::Error alias_not_found(const ports::FunctionRef& function) {
  return api::resource_not_found(fmt::format("Cannot find alias arn: {}", function.arn().str()));
}

bool is_version_number(std::string_view qualifier) {
  return !qualifier.empty() && std::ranges::all_of(qualifier, [](char c) { return c >= '0' && c <= '9'; });
}

Async<aws::Outcome<void>> commit(Lambda* lambda, const aws::RequestContext* context, Function function,
                                 package::PackageStore::Ref code) {
  auto committed = co_await lambda->functions.commit(std::move(function), std::move(code));
  if (!committed) co_return std::unexpected(service_failure(*lambda, *context, committed.error()));
  co_return aws::Outcome<void>();
}

aws::Outcome<void> check_changeable(const Function& function, const std::optional<std::string>& revision_id) {
  if (function.in_progress()) {
    return std::unexpected(api::resource_conflict(
        fmt::format("The operation cannot be performed at this time. An update is in progress for resource: {}",
                    function.arn().str())));
  }
  if (revision_id && *revision_id != function.revision_id) {
    return std::unexpected(
        api::precondition_failed("The Revision Id provided does not match the latest Revision Id. Call the "
                                 "GetFunction/GetAlias API to retrieve the latest Revision Id"));
  }
  return {};
}

std::vector<package::PackageStore::Ref> hold_layers(const Lambda& lambda, const Settings& settings) {
  std::vector<package::PackageStore::Ref> held;
  for (const LayerUse& layer : settings.layers) held.push_back(lambda.packages.hold(layer.sha256));
  return held;
}

aws::Outcome<void> check_unzipped_size(const Settings& settings) {
  std::int64_t total = settings.code_unzipped;
  for (const LayerUse& layer : settings.layers) total += layer.unzipped;
  if (settings.layers.empty() || total <= static_cast<std::int64_t>(kUnzippedBytesMax)) return {};
  return std::unexpected(api::invalid_parameter_value(
      fmt::format("Function code combined with layers exceeds the maximum allowed size of {} bytes. The actual size is "
                  "{} bytes.",
                  kUnzippedBytesMax, total)));
}

Async<aws::Outcome<std::string>> read_code(Lambda* lambda, const aws::RequestContext* context, CodeSource source,
                                           std::string_view missing) {
  const bool named = source.bucket || source.key || source.version;
  if (source.zip && named) {
    co_return std::unexpected(
        api::invalid_parameter_value("Please do not provide other FunctionCode parameters when providing a ZipFile."));
  }
  if (source.zip) co_return std::move(*source.zip);
  if (!source.bucket || !source.key) co_return std::unexpected(api::invalid_parameter_value(std::string(missing)));
  std::expected<std::string, ports::ObjectReader::Refusal> object =
      std::unexpected(ports::ObjectReader::Refusal{"NoSuchBucket", "The specified bucket does not exist"});
  if (lambda->objects != nullptr) {
    object = co_await lambda->objects->read({.account = context->account,
                                             .region = context->region,
                                             .bucket = std::move(*source.bucket),
                                             .key = std::move(*source.key),
                                             .version = std::move(source.version).value_or("")},
                                            kZipBytesMax);
  }
  if (object) co_return std::move(*object);
  co_return std::unexpected(api::invalid_parameter_value(
      fmt::format("Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}", object.error().code,
                  object.error().message)));
}

Async<aws::Outcome<package::PackageStore::Stored>> store_code(Lambda* lambda, const aws::RequestContext* context,
                                                              std::string zip) {
  if (auto size = check_zip_size(zip); !size) co_return std::unexpected(std::move(size.error()));
  auto stored = co_await lambda->packages.put(std::move(zip));
  if (!stored) co_return std::unexpected(to_aws_error(*lambda, *context, stored.error()));
  co_return std::move(*stored);
}

Async<aws::Outcome<package::PackageStore::Package>> examine_code(Lambda* lambda, const aws::RequestContext* context,
                                                                 std::string zip) {
  if (auto size = check_zip_size(zip); !size) co_return std::unexpected(std::move(size.error()));
  auto examined = co_await lambda->packages.examine(std::move(zip));
  if (!examined) co_return std::unexpected(to_aws_error(*lambda, *context, examined.error()));
  co_return std::move(*examined);
}

std::string code_url(const Lambda& lambda, const aws::RequestContext& context, const std::string& account,
                     const std::string& region, const std::string& owner, const std::string& sha256) {
  const std::string path = fmt::format("/_lambdad/code/{}/{}/{}/{}", account, region, owner, sha256);
  const std::string expires = fmt::to_string(to_epoch_seconds(lambda.system.clock.wall() + kCodeLocationLifetime));
  return fmt::format("{}{}?expires={}&token={}", context.base_url, path, expires, code_token(lambda, path, expires));
}

bool code_url_is_valid(const Lambda& lambda, std::string_view path, std::string_view query) {
  const auto fields = http::parse_form(query);
  if (!fields) return false;
  std::string expires;
  std::string token;
  for (const auto& [name, value] : *fields) {
    if (name == "expires") expires = value;
    if (name == "token") token = value;
  }
  if (!equal_constant_time(token, code_token(lambda, path, expires))) return false;
  // The token vouches for the digits.
  return std::stoll(expires) > to_epoch_seconds(lambda.system.clock.wall());
}

}  // namespace lambdad::lambda
