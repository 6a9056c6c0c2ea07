// Put-, Get-, Delete- and ListProvisionedConcurrencyConfig(s)
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

constexpr std::string_view kNotPublished =
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";

/// Why the last environment could not be made, in the words that were recorded for a function whose Init fails.
constexpr std::string_view kInitFailed = "FUNCTION_ERROR_INIT_FAILURE";

struct Shown {
  std::int32_t requested = 0;
  std::int32_t available = 0;
  std::int32_t allocated = 0;
  std::string status;
  std::optional<std::string> reason;
};

Shown show(const Lambda& lambda, const Function& function, const std::string& qualifier) {
  const auto now = lambda.functions.provisioned(function, qualifier);
  Shown shown{.requested = now.requested, .available = now.available, .allocated = now.allocated};
  if (now.available >= now.requested) {
    shown.status = "READY";
  } else if (!now.failure.empty()) {
    shown.status = "FAILED";
    shown.reason = kInitFailed;
  } else {
    shown.status = "IN_PROGRESS";
  }
  return shown;
}

template <class Out>
void fill(Out& out, const Shown& shown, WallTime last_modified) {
  out.requested_provisioned_concurrent_executions = shown.requested;
  out.available_provisioned_concurrent_executions = shown.available;
  out.allocated_provisioned_concurrent_executions = shown.allocated;
  out.status = shown.status;
  out.status_reason = shown.reason;
  out.last_modified = format_lambda_last_modified(last_modified);
}

/// Which function and qualifier a request means; a version or alias that must be there.
aws::Outcome<Functions::Located> find_published(Lambda& lambda, const ports::FunctionRef& ref) {
  auto located = lambda.functions.locate(ref);
  if (located) return std::move(*located);
  return std::unexpected(is_version_number(ref.qualifier) ? function_not_found(ref) : alias_not_found(ref));
}

aws::Outcome<ports::FunctionRef> published_ref(const aws::RequestContext& context, const std::string& name,
                                               const std::string& qualifier, std::string_view latest_text) {
  auto ref = function_ref(context, name, qualifier);
  if (ref && (ref->qualifier.empty() || ref->qualifier == "$LATEST")) {
    return std::unexpected(api::invalid_parameter_value(std::string(latest_text)));
  }
  return ref;
}

/// The numbers: reserved concurrency of the function, or the account's unreserved pool.
aws::Outcome<void> check_room(const Lambda& lambda, const Function& function, const std::string& qualifier,
                              int requested) {
  auto refuse = [](std::string text) { return std::unexpected(api::invalid_parameter_value(std::move(text))); };
  auto own = function.provisioned.find(qualifier);
  const int present = own == function.provisioned.end() ? 0 : own->second.requested;
  if (function.reserved_concurrency) {
    if (requested > *function.reserved_concurrency - (function.provisioned_total() - present)) {
      return refuse(
          "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function");
    }
    return {};
  }
  const int unreserved =
      lambda.account_concurrency - lambda.functions.usage(function.account, function.region).taken() + present;
  if (requested > unreserved) {
    return refuse(fmt::format(
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{}].",
        unreserved));
  }
  if (unreserved - requested < kUnreservedConcurrencyMin) {
    return refuse(
        fmt::format("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                    "below its minimum value of [{}].",
                    kUnreservedConcurrencyMin));
  }
  return {};
}

}  // namespace

Reply<api::PutProvisionedConcurrencyConfigResponse> put_provisioned_concurrency_config(
    Lambda* lambda, aws::RequestContext* context, api::PutProvisionedConcurrencyConfigRequest in) {
  auto ref = published_ref(*context, in.function_name, in.qualifier, kNotPublished);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto concurrency_guard = co_await lambda->functions.lock_concurrency(ref->account, ref->region);
  auto located = find_published(*lambda, *ref);
  if (!located) co_return std::unexpected(std::move(located.error()));
  if (located->version == nullptr) {
    co_return std::unexpected(api::invalid_parameter_value(std::string(kNotPublished)));  // an alias of $LATEST
  }
  Function function = *located->function;
  const std::string number = std::to_string(located->version->number);
  if (located->alias != nullptr && function.provisioned.contains(number)) {
    co_return std::unexpected(api::resource_conflict(
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"));
  }
  if (located->alias == nullptr) {
    for (const auto& [name, alias] : function.aliases) {
      if (function.provisioned.contains(name) && (alias.function_version == number || alias.weights.contains(number))) {
        co_return std::unexpected(api::resource_conflict("Version is pointed by a Provisioned Concurrency alias"));
      }
    }
  }
  if (auto room = check_room(*lambda, function, ref->qualifier, in.provisioned_concurrent_executions); !room) {
    co_return std::unexpected(std::move(room.error()));
  }
  const ProvisionedSettings settings{.requested = in.provisioned_concurrent_executions,
                                     .last_modified = lambda->system.clock.wall()};
  function.provisioned[ref->qualifier] = settings;
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  // Recorded: the answer begins at nothing.
  api::PutProvisionedConcurrencyConfigResponse out;
  fill(out, Shown{.requested = settings.requested, .status = "IN_PROGRESS"}, settings.last_modified);
  co_return out;
}

Reply<api::GetProvisionedConcurrencyConfigResponse> get_provisioned_concurrency_config(
    Lambda* lambda, aws::RequestContext* context, api::GetProvisionedConcurrencyConfigRequest in) {
  auto ref = published_ref(*context, in.function_name, in.qualifier,
                           "The function resource provided must be an alias or a published version.");
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto located = find_published(*lambda, *ref);
  if (!located) co_return std::unexpected(std::move(located.error()));
  auto place = located->function->provisioned.find(ref->qualifier);
  if (place == located->function->provisioned.end()) {
    co_return std::unexpected(
        api::provisioned_concurrency_config_not_found("No Provisioned Concurrency Config found for this function"));
  }
  api::GetProvisionedConcurrencyConfigResponse out;
  fill(out, show(*lambda, *located->function, ref->qualifier), place->second.last_modified);
  co_return out;
}

Reply<aws::Unit> delete_provisioned_concurrency_config(Lambda* lambda, aws::RequestContext* context,
                                                       api::DeleteProvisionedConcurrencyConfigRequest in) {
  auto ref = published_ref(*context, in.function_name, in.qualifier,
                           "The function resource provided must be an alias or a published version.");
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto located = find_published(*lambda, *ref);
  if (!located) co_return std::unexpected(std::move(located.error()));
  if (!located->function->provisioned.contains(ref->qualifier)) co_return aws::Unit{};  // recorded: 204
  Function function = *located->function;
  function.provisioned.erase(ref->qualifier);
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

Reply<api::ListProvisionedConcurrencyConfigsResponse> list_provisioned_concurrency_configs(
    Lambda* lambda, aws::RequestContext* context, api::ListProvisionedConcurrencyConfigsRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  const Function& function = **found;
  Page<api::ProvisionedConcurrencyConfigListItem> page(page_size(in.max_items, kConfigsPerPageMax));
  for (auto place = function.provisioned.upper_bound(*after); place != function.provisioned.end(); ++place) {
    api::ProvisionedConcurrencyConfigListItem item;
    fill(item, show(*lambda, function, place->first), place->second.last_modified);
    item.function_arn = function.arn(place->first).str();
    if (!page.add(std::move(item), place->first)) break;
  }
  api::ListProvisionedConcurrencyConfigsResponse out;
  out.next_marker = page.next_marker();
  out.provisioned_concurrency_configs = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
