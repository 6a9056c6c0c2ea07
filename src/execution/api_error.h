#pragma once

#include <string_view>

#include "http/message.h"

namespace lambdad::execution {

/// `{"errorMessage":…,"errorType":…}`: how the APIs inside an environment refuse.
http::Response api_error(int status, std::string_view type, std::string_view message);
/// 202 `{"status":"OK"}`
http::Response api_accepted();

}  // namespace lambdad::execution
