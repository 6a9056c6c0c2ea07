#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace lambdad {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::kInvalid: return "invalid";
    case Errc::kNotFound: return "not_found";
    case Errc::kConflict: return "conflict";
    case Errc::kTooLarge: return "too_large";
    case Errc::kDenied: return "denied";
    case Errc::kThrottled: return "throttled";
    case Errc::kTimedOut: return "timed_out";
    case Errc::kUnavailable: return "unavailable";
    case Errc::kClosed: return "closed";
    case Errc::kCorrupt: return "corrupt";
    case Errc::kInternal: return "internal";
  }
  return "unknown";
}

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "lambdad: %s:%d: check failed: %s %s\n", file, line, condition, message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace lambdad
