/// Functions with PackageType Image: what their requests may say, and the errors of their images.
#pragma once

#include <string>

#include "aws/error.h"
#include "aws/gen/lambda.h"
#include "base/error.h"
#include "base/json.h"
#include "package/image_sources.h"
#include "services/lambda/function.h"

namespace lambdad::lambda {

/// Whether the members of the request fit its PackageType. InvalidParameterValueException with AWS's texts.
aws::Outcome<void> check_package_members(const aws::lambda::CreateFunctionRequest& in);
aws::Outcome<void> check_package_members(const Settings& settings, const aws::lambda::UpdateFunctionCodeRequest& in);
aws::Outcome<void> check_package_members(const Settings& settings,
                                         const aws::lambda::UpdateFunctionConfigurationRequest& in);

/// Finds the image and makes it the code of `settings`; keep the result until `settings` are stored. AWS's texts for an
/// image that is not there or cannot be used, with what AWS keeps to itself in brackets.
Async<aws::Outcome<package::ImageSources::Resolved>> take_image(package::ImageSources* images, std::string uri,
                                                                std::string account, std::string region,
                                                                Settings* settings);
/// What the request overrides of its image; an empty ImageConfig takes everything back.
void set_image_config(aws::lambda::ImageConfig config, Settings& settings);
std::optional<aws::lambda::ImageConfigResponse> to_image_config_response(const ImageSettings& image);

/// InvalidParameterValueException: an image is not signed as a zip is.
aws::Outcome<void> check_signable(const Settings& settings);

/// Whether preparing the code again could not help. A registry that cannot be reached is tried a few times.
bool is_final(const Error& error, const Settings& settings, int attempt);
/// StateReasonCode of code that could not be prepared.
std::string state_reason_code(const Error& error, const Settings& settings);

json::Value image_document(const ImageSettings& image);
Result<ImageSettings> image_from_document(const json::Value& document);

}  // namespace lambdad::lambda
