#include "services/lambda/images.h"

namespace lambdad::lambda {
namespace {

namespace api = aws::lambda;

constexpr int kReachAttemptsMax = 5;

std::unexpected<aws::Error> refuse(std::string message) {
  return std::unexpected(api::invalid_parameter_value(std::move(message)));
}

// Recorded from users' reports of AWS's answers; see reference A.10 for those of updates.
constexpr const char* kNoRuntimeForImages =
    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.";
constexpr const char* kNoImageConfigForZips =
    "Please don't provide ImageConfig when the intended function PackageType is Zip.";

// Source of the rule: Lambda Developer Guide, "Using code signing to verify code integrity"; the text is ours.
constexpr const char* kNoSigningForImages = "Code signing is not supported for functions with packageType Image.";

aws::Error to_aws_error(const Error& error, const std::string& uri) {
  switch (error.code) {
    case Errc::kNotFound:
      return api::invalid_parameter_value(
          fmt::format("Source image {} does not exist. Provide a valid source image.", uri));
    case Errc::kDenied:
      return api::access_denied(fmt::format(
          "Lambda does not have permission to access the ECR image. Check the ECR permissions. ({})", error.detail));
    case Errc::kInvalid:
    case Errc::kTooLarge:
    case Errc::kCorrupt:
    case Errc::kConflict:
      return api::invalid_parameter_value(
          fmt::format("The image manifest, config or layer media type for the source image {} is not supported. ({})",
                      uri, error.detail));
    case Errc::kThrottled:
    case Errc::kTimedOut:
    case Errc::kUnavailable:
    case Errc::kClosed:
    case Errc::kInternal: break;
  }
  return api::invalid_parameter_value(fmt::format("Source image {} cannot be reached: {}", uri, error.detail));
}

json::Value texts_document(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

Result<std::optional<std::vector<std::string>>> texts_from(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  if (value == nullptr) return std::nullopt;
  if (value->if_array() == nullptr) return fail(Errc::kCorrupt, "stored function: '{}' is no list", key);
  std::vector<std::string> out;
  for (const json::Value& entry : *value->if_array()) {
    if (entry.if_string() == nullptr) return fail(Errc::kCorrupt, "stored function: '{}' holds no text", key);
    out.push_back(*entry.if_string());
  }
  return out;
}

}  // namespace

aws::Outcome<void> check_package_members(const api::CreateFunctionRequest& in) {
  if (in.package_type.value_or("Zip") == "Image") {
    if (in.runtime || in.handler || in.layers) return refuse(kNoRuntimeForImages);
    if (in.code.zip_file || in.code.s3_bucket || in.code.s3_key || !in.code.image_uri) {
      return refuse("Please provide ImageUri when creating a function with packageType Image.");
    }
    if (in.code_signing_config_arn && !in.code_signing_config_arn->empty()) return refuse(kNoSigningForImages);
    return {};
  }
  if (in.image_config) return refuse(kNoImageConfigForZips);
  if (in.code.image_uri) return refuse("Please don't provide ImageUri when creating a function with packageType Zip.");
  if (!in.runtime || !in.handler) {
    return refuse("Runtime and Handler are mandatory parameters for functions created with deployment packages.");
  }
  return {};
}

aws::Outcome<void> check_package_members(const Settings& settings, const api::UpdateFunctionCodeRequest& in) {
  if (settings.image && !in.image_uri) {
    return refuse("Please provide ImageUri when updating a function with packageType Image.");
  }
  if (settings.image && (in.zip_file || in.s3_bucket || in.s3_key)) {
    return refuse("Please don't provide ZipFile or an object of S3 when updating a function with packageType Image.");
  }
  if (!settings.image && in.image_uri) {
    return refuse("Please don't provide ImageUri when updating a function with packageType Zip.");
  }
  return {};
}

aws::Outcome<void> check_package_members(const Settings& settings, const api::UpdateFunctionConfigurationRequest& in) {
  if (settings.image && (in.runtime || in.handler || in.layers)) return refuse(kNoRuntimeForImages);
  if (!settings.image && in.image_config) return refuse(kNoImageConfigForZips);
  return {};
}

Async<aws::Outcome<package::ImageSources::Resolved>> take_image(package::ImageSources* images, std::string uri,
                                                                std::string account, std::string region,
                                                                Settings* settings) {
  if (images == nullptr) co_return std::unexpected(aws::not_served("lambda", "CreateFunction", "Code.ImageUri"));
  if (!package::ImageReference::parse(uri)) {
    co_return refuse(fmt::format("Source image {} is not valid. Provide a valid source image.", uri));
  }
  auto resolved = co_await images->resolve(uri, std::move(account), std::move(region));
  if (!resolved) co_return std::unexpected(to_aws_error(resolved.error(), uri));
  if (!settings->image) settings->image.emplace();
  settings->image->uri = std::move(uri);
  settings->image->resolved_uri = resolved->resolved_uri;
  settings->code_sha256 = package::digest_hex(resolved->digest);
  settings->code_size = 0;  // observed: images are shown without a size
  co_return std::move(*resolved);
}

void set_image_config(api::ImageConfig config, Settings& settings) {
  settings.image->config = ports::ImageOverrides{.entry_point = std::move(config.entry_point),
                                                 .command = std::move(config.command),
                                                 .working_directory = std::move(config.working_directory)};
  auto& set = *settings.image->config;
  if (!set.entry_point && !set.command && !set.working_directory) settings.image->config.reset();
}

aws::Outcome<void> check_signable(const Settings& settings) {
  if (settings.image) return refuse(kNoSigningForImages);
  return {};
}

std::optional<api::ImageConfigResponse> to_image_config_response(const ImageSettings& image) {
  if (!image.config) return std::nullopt;
  return api::ImageConfigResponse{.image_config =
                                      api::ImageConfig{.entry_point = image.config->entry_point,
                                                       .command = image.config->command,
                                                       .working_directory = image.config->working_directory}};
}

bool is_final(const Error& error, const Settings& settings, int attempt) {
  switch (error.code) {
    case Errc::kInvalid:
    case Errc::kTooLarge:
    case Errc::kNotFound:
    case Errc::kCorrupt: return true;
    case Errc::kDenied:
    case Errc::kConflict: return settings.image.has_value();
    case Errc::kTimedOut:
    case Errc::kUnavailable: return settings.image.has_value() && attempt >= kReachAttemptsMax;
    case Errc::kThrottled:
    case Errc::kClosed:
    case Errc::kInternal: break;
  }
  return false;
}

std::string state_reason_code(const Error& error, const Settings& settings) {
  if (!settings.image) return "InvalidZipFileException";
  switch (error.code) {
    case Errc::kDenied: return "ImageAccessDenied";
    case Errc::kNotFound: return "ImageDeleted";
    case Errc::kTimedOut:
    case Errc::kUnavailable: return "InternalError";
    default: return "InvalidImage";
  }
}

json::Value image_document(const ImageSettings& image) {
  json::Object object{{"uri", image.uri}, {"resolved_uri", image.resolved_uri}};
  if (image.config) {
    json::Object config;
    if (image.config->entry_point) config.append("entry_point", texts_document(*image.config->entry_point));
    if (image.config->command) config.append("command", texts_document(*image.config->command));
    if (image.config->working_directory) config.append("working_directory", *image.config->working_directory);
    object.append("config", std::move(config));
  }
  return object;
}

Result<ImageSettings> image_from_document(const json::Value& document) {
  const json::Value* uri = document.find("uri");
  const json::Value* resolved = document.find("resolved_uri");
  if (uri == nullptr || uri->if_string() == nullptr || resolved == nullptr || resolved->if_string() == nullptr) {
    return fail(Errc::kCorrupt, "stored function: the image has no URI");
  }
  ImageSettings image{.uri = *uri->if_string(), .resolved_uri = *resolved->if_string()};
  if (const json::Value* config = document.find("config")) {
    ports::ImageOverrides overrides;
    LD_TRY(overrides.entry_point, texts_from(*config, "entry_point"));
    LD_TRY(overrides.command, texts_from(*config, "command"));
    if (const json::Value* directory = config->find("working_directory"); directory != nullptr) {
      if (directory->if_string() == nullptr) return fail(Errc::kCorrupt, "stored function: no working directory");
      overrides.working_directory = *directory->if_string();
    }
    image.config = std::move(overrides);
  }
  return image;
}

}  // namespace lambdad::lambda
