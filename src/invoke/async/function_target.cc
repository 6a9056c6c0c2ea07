#include "invoke/async/function_target.h"

#include "invoke/async/async_plane.h"

namespace lambdad::invoke {

Result<ports::FunctionRef> FunctionTarget::find(const Arn& target) {
  const auto arn = FunctionArn::parse(target.str());
  if (!arn) return fail(Errc::kInvalid, "{} is no function", target.str());
  ports::FunctionRef function{arn->account, arn->region, arn->name, arn->qualifier};
  const auto found = catalog_.resolve(function);
  if (!found && found.error() == ports::ResolveFailure::kNoSuchFunction) {
    return fail(Errc::kNotFound, "there is no function {}", target.str());
  }
  return function;
}

Result<void> FunctionTarget::check(const Arn& target) {
  LD_TRY([[maybe_unused]] auto found, find(target));
  return {};
}

Async<Result<void>> FunctionTarget::deliver(Arn target, ports::TargetMessage message) {
  LD_CO_TRY(auto function, find(target));
  if (message.body.size() > kEventBytesMax) {
    co_return fail(Errc::kTooLarge, "an event of {} bytes for {}", message.body.size(), target.str());
  }
  ports::InvocationRequest request;
  request.function = std::move(function);
  request.request_id = system_.random.uuid_v4();
  request.payload = std::move(message.body);
  request.trace_header = std::move(message.trace_header);
  request.plane = ports::Plane::kAsync;
  co_return co_await invoker_.enqueue(std::move(request));
}

}  // namespace lambdad::invoke
