#include "services/ecr/body.h"

namespace lambdad::ecr {

Async<Result<void>> take_body(http::Request request, std::function<Async<Result<void>>(std::string)> take) {
  if (request.body_stream == nullptr) {
    if (request.body.empty()) co_return Result<void>();
    co_return co_await take(std::move(request.body));
  }
  std::string gathered;
  for (;;) {
    auto piece = co_await request.body_stream->next();
    if (!piece) co_return std::unexpected(std::move(piece.error()));
    if (*piece) gathered += **piece;
    if (gathered.size() >= kBodyPieceBytes || (!*piece && !gathered.empty())) {
      LD_CO_TRY_VOID(co_await take(std::exchange(gathered, {})));
    }
    if (!*piece) co_return Result<void>();
  }
}

}  // namespace lambdad::ecr
