#include "ports/targets.h"

namespace lambdad::ports {

Async<Result<void>> Targets::deliver(Arn target, TargetMessage message) {
  const auto found = by_service_.find(target.service);
  if (found == by_service_.end()) co_return fail(Errc::kInvalid, "lambdad has no service for {}", target.str());
  co_return co_await found->second->deliver(std::move(target), std::move(message));
}

Result<void> Targets::check(const Arn& target) {
  const auto found = by_service_.find(target.service);
  if (found == by_service_.end()) return fail(Errc::kInvalid, "lambdad has no service for {}", target.str());
  return found->second->check(target);
}

}  // namespace lambdad::ports
