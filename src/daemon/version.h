#pragma once

namespace lambdad::daemon {
inline constexpr char kVersion[] = "0.1.0";
}  // namespace lambdad::daemon
