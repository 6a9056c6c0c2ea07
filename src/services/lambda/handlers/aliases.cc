// CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

aws::Error version_not_found(const Function& function, const std::string& version) {
  return api::resource_not_found(fmt::format("Function not found: {}", function.arn(version).str()));
}

aws::Outcome<void> check_exists(const Function& function, const std::string& version) {
  if (version == "$LATEST" || function.version(version) != nullptr) return {};
  return std::unexpected(version_not_found(function, version));
}

/// Both ends must exist, differ and agree in what a caller cannot see: role and dead-letter queue.
/// Source: Lambda Developer Guide, "Lambda function aliases", alias routing configuration; recorded texts.
aws::Outcome<void> check_routing(const Function& function, const Alias& alias) {
  if (auto primary = check_exists(function, alias.function_version); !primary) return primary;
  if (alias.weights.empty()) return {};
  if (alias.weights.size() > 1) {
    return std::unexpected(
        api::invalid_parameter_value("Number of items in AdditionalVersionWeights cannot be greater than 1"));
  }
  const std::string& other = alias.weights.begin()->first;
  if (alias.function_version == "$LATEST") {
    aws::Error error =
        api::invalid_parameter_value("$LATEST is not supported for an alias pointing to more than 1 version");
    error.has_type_member = false;  // recorded
    return std::unexpected(std::move(error));
  }
  if (other == alias.function_version) {
    return std::unexpected(api::invalid_parameter_value(fmt::format(
        "Invalid function version {0}. Function version {0} is already included in routing configuration.", other)));
  }
  if (auto secondary = check_exists(function, other); !secondary) return secondary;
  const Settings& a = function.version(alias.function_version)->settings;
  const Settings& b = function.version(other)->settings;
  if (a.role != b.role || a.dead_letter_arn != b.dead_letter_arn) {
    return std::unexpected(api::invalid_parameter_value(
        fmt::format("The function versions {} and {} of an alias with weights must have the same execution role and "
                    "the same dead-letter queue.",
                    alias.function_version, other)));
  }
  return {};
}

std::map<std::string, double> weights_of(std::optional<api::AliasRoutingConfiguration> routing) {
  if (!routing || !routing->additional_version_weights) return {};
  return std::move(*routing->additional_version_weights);
}

}  // namespace

Reply<api::AliasConfiguration> create_alias(Lambda* lambda, aws::RequestContext* context, api::CreateAliasRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  Alias alias{.function_version = std::move(in.function_version),
              .weights = weights_of(std::move(in.routing_config)),
              .description = in.description.value_or(""),
              .revision_id = lambda->functions.new_revision()};
  if (auto routing = check_routing(function, alias); !routing) co_return std::unexpected(std::move(routing.error()));
  if (function.aliases.contains(in.name)) {
    co_return std::unexpected(
        api::resource_conflict(fmt::format("Alias already exists: {}", function.arn(in.name).str())));
  }
  auto answer = to_alias_configuration(function, in.name, alias);
  function.aliases.emplace(in.name, std::move(alias));
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return answer;
}

Reply<api::AliasConfiguration> get_alias(Lambda* lambda, aws::RequestContext* context, api::GetAliasRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  ref->qualifier = in.name;
  auto function = lambda->functions.find(*ref);
  if (function == nullptr || !function->aliases.contains(in.name)) co_return std::unexpected(alias_not_found(*ref));
  co_return to_alias_configuration(*function, in.name, function->aliases.at(in.name));
}

Reply<api::AliasConfiguration> update_alias(Lambda* lambda, aws::RequestContext* context, api::UpdateAliasRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  Function function = **found;
  auto place = function.aliases.find(in.name);
  if (place == function.aliases.end()) {
    co_return std::unexpected(api::resource_not_found(fmt::format("Alias not found: {}", function.arn(in.name).str())));
  }
  Alias& alias = place->second;
  if (in.revision_id && *in.revision_id != alias.revision_id) {
    co_return std::unexpected(
        api::precondition_failed("The Revision Id provided does not match the latest Revision Id. Call the "
                                 "GetFunction/GetAlias API to retrieve the latest Revision Id"));
  }
  if (in.function_version) alias.function_version = std::move(*in.function_version);
  if (in.routing_config) alias.weights = weights_of(std::move(in.routing_config));
  if (in.description) alias.description = std::move(*in.description);
  if (auto routing = check_routing(function, alias); !routing) co_return std::unexpected(std::move(routing.error()));
  // Environments made ahead follow the alias, so its new version must be one that may have them.
  if (function.provisioned.contains(in.name)) {
    if (alias.function_version == "$LATEST") {
      co_return std::unexpected(api::invalid_parameter_value(
          "Provisioned Concurrency Configs cannot be applied to unpublished function versions."));
    }
    if (function.provisioned.contains(alias.function_version)) {
      co_return std::unexpected(api::resource_conflict(
          "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"));
    }
  }
  alias.revision_id = lambda->functions.new_revision();
  auto answer = to_alias_configuration(function, in.name, alias);
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return answer;
}

Reply<aws::Unit> delete_alias(Lambda* lambda, aws::RequestContext* context, api::DeleteAliasRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto guard = co_await lambda->functions.lock(*ref);
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!(*found)->aliases.contains(in.name)) co_return aws::Unit{};  // recorded: 204
  Function function = **found;
  drop_qualifier(function, in.name);
  if (auto done = co_await commit(lambda, context, std::move(function)); !done) {
    co_return std::unexpected(std::move(done.error()));
  }
  co_return aws::Unit{};
}

Reply<api::ListAliasesResponse> list_aliases(Lambda* lambda, aws::RequestContext* context, api::ListAliasesRequest in) {
  auto ref = unqualified_function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  auto found = find_function(*lambda, *ref);
  if (!found) co_return std::unexpected(std::move(found.error()));
  const Function& function = **found;
  Page<api::AliasConfiguration> page(page_size(in.max_items, kFunctionsPerPageMax));
  for (auto place = function.aliases.upper_bound(*after); place != function.aliases.end(); ++place) {
    const auto& [name, alias] = *place;
    if (in.function_version && alias.function_version != *in.function_version &&
        !alias.weights.contains(*in.function_version)) {
      continue;
    }
    if (!page.add(to_alias_configuration(function, name, alias), name)) break;
  }
  api::ListAliasesResponse out;
  out.next_marker = page.next_marker();
  out.aliases = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
