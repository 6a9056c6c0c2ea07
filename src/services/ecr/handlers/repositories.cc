// CreateRepository, DescribeRepositories, DeleteRepository, GetAuthorizationToken, and tags of repositories
#include "base/encoding.h"
#include "services/ecr/ecr_service.h"

namespace lambdad::ecr {
namespace {

namespace api = aws::ecr;

constexpr std::size_t kResourceTagsMax = 50;
constexpr int kPageDefault = 100;  // source: ECR API reference, DescribeRepositories

std::string host_of(const aws::RequestContext& context) {
  const std::size_t scheme = context.base_url.find("://");
  return scheme == std::string::npos ? context.base_url : context.base_url.substr(scheme + 3);
}

aws::Outcome<void> check_tags(const std::map<std::string, std::string>& tags) {
  if (tags.size() <= kResourceTagsMax) return {};
  return std::unexpected(api::too_many_tags(fmt::format("A repository has at most {} tags.", kResourceTagsMax)));
}

}  // namespace

EcrService::Reply<api::CreateRepositoryResponse> EcrService::create_repository(Context context,
                                                                               api::CreateRepositoryRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  const std::string mutability = in.image_tag_mutability.value_or("MUTABLE");
  if (mutability != "MUTABLE" && mutability != "IMMUTABLE") {
    co_return std::unexpected(aws::not_served("ecr", "CreateRepository", "imageTagMutability=" + mutability));
  }
  if (in.image_scanning_configuration && in.image_scanning_configuration->scan_on_push.value_or(false)) {
    co_return std::unexpected(aws::not_served("ecr", "CreateRepository", "imageScanningConfiguration.scanOnPush=true"));
  }
  if (in.encryption_configuration && in.encryption_configuration->encryption_type != "AES256") {
    co_return std::unexpected(
        aws::not_served("ecr", "CreateRepository",
                        "encryptionConfiguration.encryptionType=" + in.encryption_configuration->encryption_type));
  }
  Repository repository{.ref = ref,
                        .created = std::chrono::floor<std::chrono::milliseconds>(system_.clock.wall()),
                        .immutable_tags = mutability == "IMMUTABLE"};
  if (in.tags) {
    for (api::Tag& tag : *in.tags) repository.resource_tags.insert_or_assign(std::move(tag.key), std::move(tag.value));
  }
  if (auto tags = check_tags(repository.resource_tags); !tags) co_return std::unexpected(std::move(tags.error()));
  api::CreateRepositoryResponse out{.repository = to_api(repository, host_of(*context))};
  auto created = co_await registry_.create(std::move(repository));
  if (!created && created.error().code == Errc::kConflict) {
    co_return std::unexpected(api::repository_already_exists(fmt::format(
        "The repository with name '{}' already exists in the registry with id '{}'", ref.name, ref.account)));
  }
  if (!created) co_return std::unexpected(failure(context, created.error()));
  co_return out;
}

EcrService::Reply<api::DescribeRepositoriesResponse> EcrService::describe_repositories(
    Context context, api::DescribeRepositoriesRequest in) {
  api::DescribeRepositoriesResponse out;
  out.repositories.emplace();
  const std::string host = host_of(*context);
  if (in.repository_names) {
    for (const std::string& name : *in.repository_names) {
      auto found = find(ref_of(context, in.registry_id, name));
      if (!found) co_return std::unexpected(std::move(found.error()));
      out.repositories->push_back(to_api(**found, host));
    }
    co_return out;
  }
  auto after = after_token(in.next_token);
  if (!after) co_return std::unexpected(std::move(after.error()));
  const auto count = static_cast<std::size_t>(in.max_results.value_or(kPageDefault));
  for (const Repository* repository : registry_.list(in.registry_id.value_or(context->account), context->region)) {
    if (!after->empty() && repository->ref.name <= *after) continue;
    if (out.repositories->size() == count) {
      out.next_token = base64_encode(*out.repositories->back().repository_name);
      break;
    }
    out.repositories->push_back(to_api(*repository, host));
  }
  co_return out;
}

EcrService::Reply<api::DeleteRepositoryResponse> EcrService::delete_repository(Context context,
                                                                               api::DeleteRepositoryRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  auto removed = co_await registry_.remove(ref, in.force.value_or(false));
  if (removed) co_return api::DeleteRepositoryResponse{.repository = to_api(*removed, host_of(*context))};
  if (removed.error().code == Errc::kNotFound) co_return std::unexpected(repository_not_found(ref));
  if (removed.error().code == Errc::kConflict) {
    co_return std::unexpected(api::repository_not_empty(
        fmt::format("The repository with name '{}' in registry with id '{}' cannot be deleted because it still "
                    "contains images",
                    ref.name, ref.account)));
  }
  co_return std::unexpected(failure(context, removed.error()));
}

EcrService::Reply<api::GetAuthorizationTokenResponse> EcrService::get_authorization_token(
    Context context, api::GetAuthorizationTokenRequest in) {
  std::vector<std::string> accounts = std::move(in.registry_ids).value_or(std::vector<std::string>());
  if (accounts.empty()) accounts.push_back(context->account);
  const WallTime expires = std::chrono::floor<std::chrono::seconds>(system_.clock.wall() + kTokenLifetime);
  api::GetAuthorizationTokenResponse out;
  out.authorization_data.emplace();
  for (std::string& account : accounts) {
    const Identity identity{.account = std::move(account), .region = context->region};
    out.authorization_data->push_back(api::AuthorizationData{
        .authorization_token = base64_encode("AWS:" + make_password(identity, expires, registry_.secret())),
        .expires_at = expires,
        .proxy_endpoint = context->base_url});
  }
  co_return out;
}

EcrService::Reply<api::TagResourceResponse> EcrService::tag_resource(Context context, api::TagResourceRequest in) {
  auto ref = ref_of_arn(in.resource_arn);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto tags = registry_.find(*ref)->resource_tags;
  for (api::Tag& tag : in.tags) tags.insert_or_assign(std::move(tag.key), std::move(tag.value));
  if (auto accepted = check_tags(tags); !accepted) co_return std::unexpected(std::move(accepted.error()));
  auto set = co_await registry_.set_resource_tags(*ref, std::move(tags));
  if (!set) co_return std::unexpected(failure(context, set.error()));
  co_return api::TagResourceResponse{};
}

EcrService::Reply<api::UntagResourceResponse> EcrService::untag_resource(Context context,
                                                                         api::UntagResourceRequest in) {
  auto ref = ref_of_arn(in.resource_arn);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  auto tags = registry_.find(*ref)->resource_tags;
  for (const std::string& key : in.tag_keys) tags.erase(key);
  auto set = co_await registry_.set_resource_tags(*ref, std::move(tags));
  if (!set) co_return std::unexpected(failure(context, set.error()));
  co_return api::UntagResourceResponse{};
}

EcrService::Reply<api::ListTagsForResourceResponse> EcrService::list_tags_for_resource(
    Context, api::ListTagsForResourceRequest in) {
  auto ref = ref_of_arn(in.resource_arn);
  if (!ref) co_return std::unexpected(std::move(ref.error()));
  api::ListTagsForResourceResponse out;
  out.tags.emplace();
  for (const auto& [key, value] : registry_.find(*ref)->resource_tags) {
    out.tags->push_back(api::Tag{.key = key, .value = value});
  }
  co_return out;
}

}  // namespace lambdad::ecr
