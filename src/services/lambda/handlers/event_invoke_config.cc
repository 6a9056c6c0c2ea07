// Put-, Update-, Get-, Delete- and ListFunctionEventInvokeConfig(s)
#include "services/lambda/destinations.h"
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

/// What configurations are kept under; $LATEST when the caller named nothing.
std::string qualifier_of(const ports::FunctionRef& function) {
  return function.qualifier.empty() ? "$LATEST" : function.qualifier;
}

aws::Error no_config(ports::FunctionRef function) {
  function.qualifier = qualifier_of(function);
  return api::resource_not_found(
      fmt::format("The function {} doesn't have an EventInvokeConfig", function.arn().str()));
}

aws::Error no_function() { return api::resource_not_found("The function doesn't exist."); }

bool exists(Lambda& lambda, const ports::FunctionRef& function) {
  return lambda.functions.locate(function).has_value();
}

Reply<api::FunctionEventInvokeConfig> commit_settings(Lambda* lambda, aws::RequestContext* context, Function function,
                                                      std::string qualifier, EventInvokeSettings settings) {
  settings.last_modified = lambda->system.clock.wall();
  auto answer = to_event_invoke_config(function, qualifier, settings);
  function.event_invoke[qualifier] = settings;
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return answer;
}

}  // namespace

Reply<api::FunctionEventInvokeConfig> put_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::PutFunctionEventInvokeConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (!in.maximum_retry_attempts && !in.maximum_event_age_in_seconds && !in.destination_config) {
    co_return std::unexpected(
        api::invalid_parameter_value("You must specify at least one of error handling or destination setting."));
  }
  auto guard = co_await lambda->functions.lock(*ref);
  if (!exists(*lambda, *ref)) co_return std::unexpected(no_function());
  auto destinations = check_destinations(in.destination_config, *ref, lambda->targets, "PutFunctionEventInvokeConfig");
  if (!destinations) co_return std::unexpected(std::move(destinations.error()));
  co_return co_await commit_settings(lambda, context, *lambda->functions.find(*ref), qualifier_of(*ref),
                                     EventInvokeSettings{.maximum_retry_attempts = in.maximum_retry_attempts,
                                                         .maximum_event_age_seconds = in.maximum_event_age_in_seconds,
                                                         .on_success = std::move(destinations->on_success),
                                                         .on_failure = std::move(destinations->on_failure)});
}

Reply<api::FunctionEventInvokeConfig> update_function_event_invoke_config(
    Lambda* lambda, aws::RequestContext* context, api::UpdateFunctionEventInvokeConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  if (!in.maximum_retry_attempts && !in.maximum_event_age_in_seconds && !in.destination_config) {
    co_return std::unexpected(
        api::invalid_parameter_value("You must specify at least one of error handling or destination setting."));
  }
  auto guard = co_await lambda->functions.lock(*ref);
  if (!exists(*lambda, *ref)) co_return std::unexpected(no_function());
  auto function = lambda->functions.find(*ref);
  auto place = function->event_invoke.find(qualifier_of(*ref));
  if (place == function->event_invoke.end()) co_return std::unexpected(no_config(*ref));
  EventInvokeSettings settings = place->second;
  if (in.maximum_retry_attempts) settings.maximum_retry_attempts = in.maximum_retry_attempts;
  if (in.maximum_event_age_in_seconds) settings.maximum_event_age_seconds = in.maximum_event_age_in_seconds;
  if (in.destination_config) {
    auto destinations =
        check_destinations(in.destination_config, *ref, lambda->targets, "UpdateFunctionEventInvokeConfig");
    if (!destinations) co_return std::unexpected(std::move(destinations.error()));
    settings.on_success = std::move(destinations->on_success);
    settings.on_failure = std::move(destinations->on_failure);
  }
  co_return co_await commit_settings(lambda, context, *function, qualifier_of(*ref), settings);
}

Reply<api::FunctionEventInvokeConfig> get_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                                       api::GetFunctionEventInvokeConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto function = lambda->functions.find(*ref);
  if (function == nullptr) co_return std::unexpected(no_config(*ref));
  auto place = function->event_invoke.find(qualifier_of(*ref));
  if (place == function->event_invoke.end()) co_return std::unexpected(no_config(*ref));
  co_return to_event_invoke_config(*function, place->first, place->second);
}

Reply<aws::Unit> delete_function_event_invoke_config(Lambda* lambda, aws::RequestContext* context,
                                                     api::DeleteFunctionEventInvokeConfigRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = lambda->functions.find(*ref);
  if (found == nullptr || !found->event_invoke.contains(qualifier_of(*ref))) {
    co_return std::unexpected(no_config(*ref));
  }
  Function function = *found;
  function.event_invoke.erase(qualifier_of(*ref));
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

Reply<api::ListFunctionEventInvokeConfigsResponse> list_function_event_invoke_configs(
    Lambda* lambda, aws::RequestContext* context, api::ListFunctionEventInvokeConfigsRequest in) {
  auto ref = function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto function = lambda->functions.find(*ref);
  if (function == nullptr) co_return std::unexpected(no_function());
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  Page<api::FunctionEventInvokeConfig> page(page_size(in.max_items, kConfigsPerPageMax));
  for (auto place = function->event_invoke.upper_bound(*after); place != function->event_invoke.end(); ++place) {
    if (!page.add(to_event_invoke_config(*function, place->first, place->second), place->first)) break;
  }
  api::ListFunctionEventInvokeConfigsResponse out;
  out.next_marker = page.next_marker();
  out.function_event_invoke_configs = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
