#pragma once

#include <string>

#include "base/time.h"

namespace lambdad::ports {

/// Temporary credentials of a function's execution role.
struct RoleCredentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  WallTime expiration{};  ///< on AWS's clock
};

}  // namespace lambdad::ports
