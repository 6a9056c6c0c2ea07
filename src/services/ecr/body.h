#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "http/message.h"

namespace lambdad::ecr {

/// How much of a body goes to a worker thread at a time.
inline constexpr std::size_t kBodyPieceBytes = 1024 * 1024;

/// Hands a request's body to `take` in order and in pieces of at most kBodyPieceBytes and 64 KiB, whether it has come
/// whole or is still arriving; an empty body is no piece. Ends with the first error: that of `take`, or of
/// http::BodyReader.
Async<Result<void>> take_body(http::Request request, std::function<Async<Result<void>>(std::string)> take);

}  // namespace lambdad::ecr
