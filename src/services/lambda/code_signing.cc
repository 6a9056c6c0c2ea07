#include "services/lambda/code_signing.h"

namespace lambdad::lambda {
namespace {

std::string arn_prefix(const std::string& account, const std::string& region) {
  return fmt::format("arn:aws:lambda:{}:{}:code-signing-config:", region, account);
}

json::Value to_document(const CodeSigningConfig& config) {
  json::Array publishers;
  for (const std::string& each : config.publishers) publishers.emplace_back(each);
  return json::Object{{"account", config.account},
                      {"region", config.region},
                      {"id", config.id},
                      {"description", config.description},
                      {"publishers", std::move(publishers)},
                      {"last_modified_ms", to_epoch_ms(config.last_modified)}};
}

Result<CodeSigningConfig> from_document(const json::Value& document) {
  CodeSigningConfig config;
  for (auto [key, member] : {std::pair("account", &config.account), std::pair("region", &config.region),
                             std::pair("id", &config.id), std::pair("description", &config.description)}) {
    const json::Value* value = document.find(key);
    if (value == nullptr || value->if_string() == nullptr) {
      return fail(Errc::kCorrupt, "stored code signing configuration: member '{}' is missing or wrong", key);
    }
    *member = *value->if_string();
  }
  const json::Value* publishers = document.find("publishers");
  const json::Value* modified = document.find("last_modified_ms");
  if (publishers == nullptr || publishers->if_array() == nullptr || modified == nullptr) {
    return fail(Errc::kCorrupt, "stored code signing configuration {}: a member is missing", config.id);
  }
  for (const json::Value& each : *publishers->if_array()) {
    if (each.if_string() != nullptr) config.publishers.push_back(*each.if_string());
  }
  config.last_modified = from_epoch_ms(modified->as_int64().value_or(0));
  return config;
}

}  // namespace

std::string CodeSigningConfig::arn() const { return arn_prefix(account, region) + id; }

Async<Result<void>> CodeSigningConfigs::load() {
  auto documents = co_await store_.load(LambdaStore::Kind::kCodeSigningConfig);
  if (!documents) co_return fail_with(documents.error(), "loading code signing configurations");
  for (const json::Value& document : *documents) {
    LD_CO_TRY(CodeSigningConfig config, from_document(document));
    const std::string arn = config.arn();
    configs_[arn] = std::make_shared<const CodeSigningConfig>(std::move(config));
  }
  co_return Result<void>();
}

CodeSigningConfigs::ConfigPtr CodeSigningConfigs::find(std::string_view arn) const {
  auto place = configs_.find(arn);
  return place == configs_.end() ? nullptr : place->second;
}

std::vector<CodeSigningConfigs::ConfigPtr> CodeSigningConfigs::list(const std::string& account,
                                                                    const std::string& region, const std::string& after,
                                                                    std::size_t count) const {
  std::vector<ConfigPtr> page;
  const std::string prefix = arn_prefix(account, region);
  for (auto place = configs_.upper_bound(after.empty() ? prefix : after);
       place != configs_.end() && page.size() < count && place->first.starts_with(prefix); ++place) {
    page.push_back(place->second);
  }
  return page;
}

Async<Result<void>> CodeSigningConfigs::commit(CodeSigningConfig config) {
  const std::string arn = config.arn();
  LD_CO_TRY_VOID(co_await store_.save(LambdaStore::Kind::kCodeSigningConfig, config.account, config.region, config.id,
                                      to_document(config)));
  configs_[arn] = std::make_shared<const CodeSigningConfig>(std::move(config));
  co_return Result<void>();
}

Async<Result<void>> CodeSigningConfigs::erase(ConfigPtr config) {
  LD_CO_TRY_VOID(
      co_await store_.remove(LambdaStore::Kind::kCodeSigningConfig, config->account, config->region, config->id));
  configs_.erase(config->arn());
  co_return Result<void>();
}

aws::lambda::CodeSigningConfig to_api(const CodeSigningConfig& config) {
  aws::lambda::CodeSigningConfig out;
  out.code_signing_config_id = config.id;
  out.code_signing_config_arn = config.arn();
  if (!config.description.empty()) out.description = config.description;
  out.allowed_publishers = aws::lambda::AllowedPublishers{.signing_profile_version_arns = config.publishers};
  out.code_signing_policies = aws::lambda::CodeSigningPolicies{.untrusted_artifact_on_deployment = "Warn"};
  out.last_modified = format_lambda_last_modified(config.last_modified);
  return out;
}

}  // namespace lambdad::lambda
