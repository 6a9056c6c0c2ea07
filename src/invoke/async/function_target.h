#pragma once

#include "ports/functions.h"
#include "ports/targets.h"
#include "system/system.h"

namespace lambdad::invoke {

/// Delivers to functions: an Event invocation with the message's body, with retries and destinations of its own.
/// kNotFound: no such function, version or alias. kTooLarge: beyond the limit of events.
/// Ownership: borrows everything. Threading: the loop only.
class FunctionTarget final : public ports::Target {
 public:
  FunctionTarget(System& system, ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog)
      : system_(system), invoker_(invoker), catalog_(catalog) {}
  Async<Result<void>> deliver(Arn target, ports::TargetMessage message) override;
  Result<void> check(const Arn& target) override;

 private:
  Result<ports::FunctionRef> find(const Arn& target);

  System& system_;
  ports::FunctionInvoker& invoker_;
  ports::FunctionCatalog& catalog_;
};

}  // namespace lambdad::invoke
