/// The ways to name a layer in a request.
#pragma once

#include <cstdint>
#include <string>

#include "aws/dispatcher.h"
#include "aws/error.h"
#include "services/lambda/layers.h"

namespace lambdad::lambda {

/// A name, in the caller's account, or an ARN of a layer or of a version. ResourceNotFoundException for another region.
aws::Outcome<LayerRef> layer_ref(const aws::RequestContext& context, const std::string& name);
/// InvalidParameterValueException for a version below 1.
aws::Outcome<LayerRef> layer_version_ref(const aws::RequestContext& context, const std::string& name,
                                         std::int64_t version);

}  // namespace lambdad::lambda
