// GetFunction, GetFunctionConfiguration, ListFunctions, ListVersionsByFunction
#include "base/encoding.h"
#include "services/lambda/handlers/handlers.h"

namespace lambdad::lambda {
namespace {

constexpr std::string_view kMarkerPrefix = "after:";

/// Opaque to clients: where the page before ended.
std::string make_marker(const std::string& last_name) {
  return base64_encode(fmt::format("{}{}", kMarkerPrefix, last_name));
}

aws::Outcome<std::string> read_marker(const std::optional<std::string>& marker) {
  if (!marker || marker->empty()) return std::string();
  auto text = base64_decode(*marker);
  if (!text || !text->starts_with(kMarkerPrefix)) {
    return std::unexpected(api::invalid_parameter_value("The pagination marker is not valid."));
  }
  return text->substr(kMarkerPrefix.size());
}

}  // namespace

Reply<api::GetFunctionResponse> get_function(Lambda* lambda, aws::RequestContext* context, api::GetFunctionRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto function = find_latest(*lambda, *ref);
  if (!function) co_return std::unexpected(std::move(function.error()));
  api::GetFunctionResponse out;
  out.configuration = to_configuration(**function, ref->qualifier);
  out.code = api::FunctionCodeLocation{.repository_type = "S3", .location = code_url(*lambda, *context, **function)};
  if (!(*function)->tags.empty()) out.tags = (*function)->tags;
  if ((*function)->reserved_concurrency) {
    out.concurrency = api::Concurrency{.reserved_concurrent_executions = (*function)->reserved_concurrency};
  }
  co_return out;
}

Reply<api::FunctionConfiguration> get_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                             api::GetFunctionConfigurationRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto function = find_latest(*lambda, *ref);
  if (!function) co_return std::unexpected(std::move(function.error()));
  co_return to_configuration(**function, ref->qualifier);
}

Reply<api::ListFunctionsResponse> list_functions(Lambda* lambda, aws::RequestContext* context,
                                                 api::ListFunctionsRequest in) {
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  const std::size_t count = std::min(
      static_cast<std::size_t>(in.max_items.value_or(static_cast<int>(kFunctionsPerPageMax))), kFunctionsPerPageMax);
  // One more than asked for tells whether a page follows.
  auto functions = lambda->functions.list(context->account, context->region, *after, count + 1);
  const std::string qualifier = in.function_version == "ALL" ? "$LATEST" : "";
  api::ListFunctionsResponse out;
  out.functions.emplace();
  for (const auto& function : functions) {
    if (out.functions->size() == count) {
      out.next_marker = make_marker(*out.functions->back().function_name);
      break;
    }
    out.functions->push_back(to_configuration(*function, qualifier, Detail::kListEntry));
  }
  co_return out;
}

Reply<api::ListVersionsByFunctionResponse> list_versions_by_function(Lambda* lambda, aws::RequestContext* context,
                                                                     api::ListVersionsByFunctionRequest in) {
  auto ref = function_ref(*context, in.function_name);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  auto function = find_latest(*lambda, *ref);
  if (!function) co_return std::unexpected(std::move(function.error()));
  api::ListVersionsByFunctionResponse out;
  out.versions.emplace();
  // $LATEST is the only version, so it is the first page and the last.
  if (after->empty()) out.versions->push_back(to_configuration(**function, "$LATEST", Detail::kListEntry));
  co_return out;
}

}  // namespace lambdad::lambda
