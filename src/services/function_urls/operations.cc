// The operations of the Lambda API that concern function URLs, and the rows behind them.
#include "base/arn.h"
#include "ports/function_name.h"
#include "services/function_urls/function_url_service.h"

namespace lambdad::function_urls {

namespace api = aws::lambda;

namespace {

// Source: model of ListFunctionUrlConfigs, MaxItems (1..50).
constexpr std::size_t kPerPage = 50;

aws::Error no_function() { return api::resource_not_found("Function does not exist"); }
aws::Error no_config() { return api::resource_not_found("The resource you requested does not exist."); }

/// The function or alias that a request names. Source of the texts: recorded answers.
aws::Outcome<ports::FunctionRef> target_of(const aws::RequestContext& context, std::string_view name,
                                           const std::optional<std::string>& qualifier) {
  auto function = ports::parse_function_name(name, context.account, context.region);
  if (!function) return std::unexpected(no_function());
  if (function->region != context.region) {
    return std::unexpected(api::resource_not_found(
        fmt::format("Functions from '{}' are not reachable in this region ('{}')", function->region, context.region)));
  }
  if (qualifier && !function->qualifier.empty() && function->qualifier != *qualifier) {
    return std::unexpected(api::invalid_parameter_value(
        "The derived qualifier from the function name does not match the specified qualifier."));
  }
  if (qualifier) function->qualifier = *qualifier;
  if (function->qualifier == "$LATEST") function->qualifier.clear();
  return *function;
}

/// The members that every answer about a URL has.
template <class Answer>
Answer shown(const UrlConfig& config, const aws::RequestContext& context, const std::string& domain) {
  Answer out;
  out.function_url = url_of(config, context.base_url, domain);
  out.function_arn = config.function.arn().str();
  out.auth_type = to_string(config.auth_type);
  out.cors = config.cors;
  out.creation_time = format_iso8601_ms(config.created);
  return out;
}

template <class Answer>
Answer shown_whole(const UrlConfig& config, const aws::RequestContext& context, const std::string& domain) {
  Answer out = shown<Answer>(config, context, domain);
  out.last_modified_time = format_iso8601_ms(config.modified);
  out.invoke_mode = to_string(config.invoke_mode.value_or(InvokeMode::kBuffered));
  return out;
}

}  // namespace

void FunctionUrlService::register_operations(aws::Dispatcher& dispatcher) {
  dispatcher.serve<api::CreateFunctionUrlConfig>(
      [this](Context& context, api::CreateFunctionUrlConfigRequest in) { return create(&context, std::move(in)); });
  dispatcher.serve<api::UpdateFunctionUrlConfig>(
      [this](Context& context, api::UpdateFunctionUrlConfigRequest in) { return update(&context, std::move(in)); });
  dispatcher.serve<api::GetFunctionUrlConfig>(
      [this](Context& context, api::GetFunctionUrlConfigRequest in) { return get(&context, std::move(in)); });
  dispatcher.serve<api::DeleteFunctionUrlConfig>(
      [this](Context& context, api::DeleteFunctionUrlConfigRequest in) { return remove(&context, std::move(in)); });
  dispatcher.serve<api::ListFunctionUrlConfigs>(
      [this](Context& context, api::ListFunctionUrlConfigsRequest in) { return list(&context, std::move(in)); });
}

Async<aws::Outcome<api::CreateFunctionUrlConfigResponse>> FunctionUrlService::create(
    Context* context, api::CreateFunctionUrlConfigRequest request) {
  auto target = target_of(*context, request.function_name, request.qualifier);
  if (!target) co_return std::unexpected(std::move(target.error()));
  auto guard = co_await busy_.acquire(target->arn().str());
  if (!function_exists(*target)) co_return std::unexpected(no_function());
  if (find(*target) != nullptr) {
    co_return std::unexpected(api::resource_conflict(
        fmt::format("Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig "
                    "exists for this Lambda function",
                    target->arn().str())));
  }
  if (!target_exists(*target)) co_return std::unexpected(no_function());
  const WallTime now = system_.clock.wall();
  UrlConfig config{.id = new_id(),
                   .function = std::move(*target),
                   .auth_type = auth_type(request.auth_type).value_or(AuthType::kAwsIam),
                   .cors = std::move(request.cors),
                   .created = now,
                   .modified = now};
  if (request.invoke_mode) config.invoke_mode = invoke_mode(*request.invoke_mode);
  auto saved = co_await store_->save(config);
  if (!saved) co_return std::unexpected(failure(*context, saved.error()));
  auto out = shown<api::CreateFunctionUrlConfigResponse>(config, *context, options_.domain);
  // Recorded: the mode is shown when it was asked for.
  if (config.invoke_mode) out.invoke_mode = to_string(*config.invoke_mode);
  const ports::FunctionRef function = config.function;
  show(std::move(config));
  // Deleted while its URL was made: its removal did not see the URL.
  if (!function_exists(function) && !tasks_.stopping()) drop_all(function);
  co_return out;
}

Async<aws::Outcome<api::UpdateFunctionUrlConfigResponse>> FunctionUrlService::update(
    Context* context, api::UpdateFunctionUrlConfigRequest request) {
  auto target = target_of(*context, request.function_name, request.qualifier);
  if (!target) co_return std::unexpected(std::move(target.error()));
  auto guard = co_await busy_.acquire(target->arn().str());
  if (!function_exists(*target)) co_return std::unexpected(no_function());
  auto found = find(*target);
  if (found == nullptr) co_return std::unexpected(no_config());
  UrlConfig config = *found;
  if (request.auth_type) config.auth_type = auth_type(*request.auth_type).value_or(config.auth_type);
  if (request.cors) config.cors = std::move(request.cors);
  if (request.invoke_mode) config.invoke_mode = invoke_mode(*request.invoke_mode);
  config.modified = system_.clock.wall();
  auto saved = co_await store_->save(config);
  if (!saved) co_return std::unexpected(failure(*context, saved.error()));
  auto out = shown_whole<api::UpdateFunctionUrlConfigResponse>(config, *context, options_.domain);
  if (find(*target) != nullptr) show(std::move(config));  // else its function was deleted meanwhile
  co_return out;
}

Async<aws::Outcome<api::GetFunctionUrlConfigResponse>> FunctionUrlService::get(
    Context* context, api::GetFunctionUrlConfigRequest request) {
  auto target = target_of(*context, request.function_name, request.qualifier);
  if (!target) co_return std::unexpected(std::move(target.error()));
  auto found = find(*target);
  if (found == nullptr) co_return std::unexpected(no_config());
  co_return shown_whole<api::GetFunctionUrlConfigResponse>(*found, *context, options_.domain);
}

Async<aws::Outcome<aws::Unit>> FunctionUrlService::remove(Context* context,
                                                          api::DeleteFunctionUrlConfigRequest request) {
  auto target = target_of(*context, request.function_name, request.qualifier);
  if (!target) co_return std::unexpected(std::move(target.error()));
  auto guard = co_await busy_.acquire(target->arn().str());
  auto found = find(*target);
  if (found == nullptr) co_return std::unexpected(no_config());
  auto erased = co_await erase(*found);
  if (!erased) co_return std::unexpected(failure(*context, erased.error()));
  co_return aws::Unit{};
}

Async<aws::Outcome<api::ListFunctionUrlConfigsResponse>> FunctionUrlService::list(
    Context* context, api::ListFunctionUrlConfigsRequest request) {
  auto target = target_of(*context, request.function_name, std::nullopt);
  if (!target) co_return std::unexpected(std::move(target.error()));
  if (!function_exists(*target)) co_return std::unexpected(no_function());
  // The marker is the qualifier of the last one shown, behind a letter: the function's own URL has none.
  const std::string marker = request.marker.value_or("");
  const std::size_t count =
      std::min(kPerPage, static_cast<std::size_t>(std::max(1, request.max_items.value_or(int{kPerPage}))));
  api::ListFunctionUrlConfigsResponse out;
  std::string last;
  for (const ConfigPtr& config : of_function(*target)) {
    std::string position = "q" + config->function.qualifier;
    if (position <= marker) continue;
    if (out.function_url_configs.size() == count) {
      out.next_marker = std::move(last);
      break;
    }
    out.function_url_configs.push_back(shown_whole<api::FunctionUrlConfig>(*config, *context, options_.domain));
    last = std::move(position);
  }
  co_return out;
}

// --- rows -----------------------------------------------------------------------------------------------------------

FunctionUrlService::Key FunctionUrlService::key_of(const ports::FunctionRef& function) {
  return {function.account, function.region, function.name, function.qualifier};
}

FunctionUrlService::ConfigPtr FunctionUrlService::find(const ports::FunctionRef& function) const {
  const auto place = by_function_.find(key_of(function));
  return place == by_function_.end() ? nullptr : place->second;
}

std::vector<FunctionUrlService::ConfigPtr> FunctionUrlService::of_function(const ports::FunctionRef& function) const {
  std::vector<ConfigPtr> found;
  for (auto place = by_function_.lower_bound({function.account, function.region, function.name});
       place != by_function_.end() && place->first[0] == function.account && place->first[1] == function.region &&
       place->first[2] == function.name;
       ++place) {
    found.push_back(place->second);
  }
  return found;
}

bool FunctionUrlService::target_exists(const ports::FunctionRef& function) const {
  const auto resolved = catalog_.resolve(function);
  return resolved || resolved.error() != ports::ResolveFailure::kNoSuchFunction;
}

bool FunctionUrlService::function_exists(ports::FunctionRef function) const {
  function.qualifier.clear();
  return target_exists(function);
}

void FunctionUrlService::show(UrlConfig config) {
  auto shared = std::make_shared<const UrlConfig>(std::move(config));
  by_function_[key_of(shared->function)] = shared;
  by_id_[shared->id] = std::move(shared);
}

void FunctionUrlService::forget(const UrlConfig& config) {
  by_function_.erase(key_of(config.function));
  by_id_.erase(config.id);
}

Async<Result<void>> FunctionUrlService::erase(UrlConfig config) {
  auto removed = co_await store_->remove(config.id);
  if (removed) forget(config);
  co_return removed;
}

void FunctionUrlService::drop_all(const ports::FunctionRef& function) {
  std::vector<ConfigPtr> dropped = of_function(function);
  if (dropped.empty()) return;
  for (const ConfigPtr& config : dropped) forget(*config);
  tasks_.spawn("function url removal", remove_rows(std::move(dropped)));
}

Async<void> FunctionUrlService::remove_rows(std::vector<ConfigPtr> dropped) {
  auto token = system_.activity.begin();
  for (const ConfigPtr& config : dropped) {
    // After a change that is being stored.
    auto guard = co_await busy_.acquire(config->function.arn().str());
    auto removed = co_await store_->remove(config->id);
    if (!removed) log_.error("function_url_not_removed", {{"id", config->id}, {"reason", removed.error().detail}});
  }
}

std::string FunctionUrlService::new_id() {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
  std::string id = system_.random.bytes(32);
  for (char& c : id) c = kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return id;
}

aws::Error FunctionUrlService::failure(const Context& context, const Error& cause) {
  log_.error("function_url_request_failed", {{"operation", context.operation},
                                             {"request_id", context.request_id},
                                             {"code", to_string(cause.code)},
                                             {"error", cause.detail}});
  return api::service_exception("An error occurred and the request cannot be processed.");
}

}  // namespace lambdad::function_urls
