// PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency, GetAccountSettings
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {

Reply<api::Concurrency> put_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                                 api::PutFunctionConcurrencyRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto concurrency_guard = co_await lambda->functions.lock_concurrency(ref->account, ref->region);
  auto found = lambda->functions.find(*ref);
  if (found == nullptr) {
    ref->qualifier = "$LATEST";  // recorded: this operation names the version
    co_return std::unexpected(function_not_found(*ref));
  }
  // A reservation takes the function's provisioned concurrency with it out of the unreserved pool.
  if (in.reserved_concurrent_executions < found->provisioned_total()) {
    co_return std::unexpected(api::invalid_parameter_value(
        fmt::format(" ReservedConcurrentExecutions  {} should not be lower than function's total provisioned "
                    "concurrency [{}].",
                    in.reserved_concurrent_executions, found->provisioned_total())));
  }
  const int own = found->reserved_concurrency.value_or(found->provisioned_total());
  const int others = lambda->functions.usage(ref->account, ref->region).taken() - own;
  // Compared so that nothing overflows: `wanted` is any 32-bit number.
  if (in.reserved_concurrent_executions > lambda->account_concurrency - others - kUnreservedConcurrencyMin) {
    co_return std::unexpected(api::invalid_parameter_value(
        fmt::format("Specified ReservedConcurrentExecutions for function decreases account's "
                    "UnreservedConcurrentExecution below its minimum value of [{}].",
                    kUnreservedConcurrencyMin)));
  }
  Function function = *found;
  function.reserved_concurrency = in.reserved_concurrent_executions;
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return api::Concurrency{.reserved_concurrent_executions = in.reserved_concurrent_executions};
}

Reply<api::GetFunctionConcurrencyResponse> get_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                                                    api::GetFunctionConcurrencyRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto function = find_function(*lambda, *ref);
  if (!function) co_return std::unexpected(std::move(function.error()));
  co_return api::GetFunctionConcurrencyResponse{.reserved_concurrent_executions = (*function)->reserved_concurrency};
}

Reply<aws::Unit> delete_function_concurrency(Lambda* lambda, aws::RequestContext* context,
                                             api::DeleteFunctionConcurrencyRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if ((*found)->reserved_concurrency) {
    Function function = **found;
    function.reserved_concurrency.reset();
    if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
      co_return std::unexpected(std::move(done.error()));
    }
  }
  co_return aws::Unit{};
}

Reply<api::GetAccountSettingsResponse> get_account_settings(Lambda* lambda, aws::RequestContext* context,
                                                            api::GetAccountSettingsRequest) {
  const auto usage = lambda->functions.usage(context->account, context->region);
  api::GetAccountSettingsResponse out;
  out.account_limit =
      api::AccountLimit{.total_code_size = kCodeStorageBytes,
                        .code_size_unzipped = static_cast<std::int64_t>(kUnzippedBytesMax),
                        .code_size_zipped = static_cast<std::int64_t>(kZipBytesMax),
                        .concurrent_executions = lambda->account_concurrency,
                        .unreserved_concurrent_executions = lambda->account_concurrency - usage.taken()};
  out.account_usage = api::AccountUsage{
      .total_code_size = usage.code_bytes + lambda->layers.code_bytes(context->account, context->region),
      .function_count = usage.functions};
  co_return out;
}

}  // namespace lambdad::lambda
