// GetFunction, GetFunctionConfiguration, ListFunctions
#include "services/lambda/handlers/handlers.h"
#include "services/lambda/paging.h"

namespace lambdad::lambda {
namespace {

using ConfigurationPage = Page<api::FunctionConfiguration>;

/// Between the parts of a position in the list of all versions: no name has a colon.
constexpr char kSeparator = ':';

/// Every version of `function` above `after` (0: also $LATEST comes before). False when the page is full.
bool add_versions(ConfigurationPage& page, const Function& function, int after, bool with_latest) {
  auto position = [&](int number) { return fmt::format("{}{}{}", function.name, kSeparator, number); };
  if (with_latest && !page.add(to_configuration(function, nullptr, "$LATEST", Detail::kListEntry), position(0))) {
    return false;
  }
  for (auto place = function.versions.upper_bound(after); place != function.versions.end(); ++place) {
    auto entry = to_configuration(function, place->second.get(), std::to_string(place->first), Detail::kListEntry);
    if (!page.add(std::move(entry), position(place->first))) return false;
  }
  return true;
}

void list_all_versions(const Lambda& lambda, const aws::RequestContext& context, ConfigurationPage& page,
                       const std::string& after, std::size_t size) {
  const auto separator = after.find(kSeparator);
  std::string name = after.substr(0, separator);
  if (separator != std::string::npos) {
    auto function = lambda.functions.find({.account = context.account, .region = context.region, .name = name});
    if (function != nullptr && !add_versions(page, *function, std::atoi(after.c_str() + separator + 1), false)) return;
  }
  for (;;) {
    auto functions = lambda.functions.list(context.account, context.region, name, size + 1);
    for (const auto& function : functions) {
      if (!add_versions(page, *function, 0, true)) return;
    }
    if (functions.size() <= size) return;
    name = functions.back()->name;
  }
}

}  // namespace

Reply<api::GetFunctionResponse> get_function(Lambda* lambda, aws::RequestContext* context, api::GetFunctionRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto located = locate(*lambda, *ref);
  if (!located) co_return std::unexpected(std::move(located.error()));
  const Function& function = *located->function;
  const Settings& settings = located->version != nullptr ? located->version->settings : function.current;
  api::GetFunctionResponse out;
  out.configuration = to_configuration(function, located->version.get(), ref->qualifier);
  if (const auto& image = settings.image) {
    out.code = api::FunctionCodeLocation{
        .repository_type = "ECR", .image_uri = image->uri, .resolved_image_uri = image->resolved_uri};
  } else {
    out.code = api::FunctionCodeLocation{.repository_type = "S3",
                                         .location = code_url(*lambda, *context, function.account, function.region,
                                                              function.name, settings.code_sha256)};
  }
  if (!function.tags.empty()) out.tags = function.tags;
  if (function.reserved_concurrency) {
    out.concurrency = api::Concurrency{.reserved_concurrent_executions = function.reserved_concurrency};
  }
  co_return out;
}

Reply<api::FunctionConfiguration> get_function_configuration(Lambda* lambda, aws::RequestContext* context,
                                                             api::GetFunctionConfigurationRequest in) {
  auto ref = function_ref(*context, in.function_name, in.qualifier);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto located = locate(*lambda, *ref);
  if (!located) co_return std::unexpected(std::move(located.error()));
  co_return to_configuration(*located->function, located->version.get(), ref->qualifier);
}

Reply<api::ListFunctionsResponse> list_functions(Lambda* lambda, aws::RequestContext* context,
                                                 api::ListFunctionsRequest in) {
  auto after = read_marker(in.marker);
  if (!after) co_return std::unexpected(std::move(after.error()));
  const std::size_t size = page_size(in.max_items, kFunctionsPerPageMax);
  ConfigurationPage page(size);
  // Nothing is replicated from elsewhere: this region is the master of all it has.
  if (in.master_region && *in.master_region != "ALL" && *in.master_region != context->region) {
    co_return api::ListFunctionsResponse{.functions = page.take_items()};
  }
  if (in.function_version == "ALL") {
    list_all_versions(*lambda, *context, page, *after, size);
  } else {
    for (const auto& function : lambda->functions.list(context->account, context->region, *after, size + 1)) {
      if (!page.add(to_configuration(*function, nullptr, "", Detail::kListEntry), function->name)) break;
    }
  }
  api::ListFunctionsResponse out;
  out.next_marker = page.next_marker();
  out.functions = page.take_items();
  co_return out;
}

}  // namespace lambdad::lambda
