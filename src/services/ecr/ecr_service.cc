#include "services/ecr/ecr_service.h"

#include "base/arn.h"
#include "base/encoding.h"

namespace lambdad::ecr {

namespace api = aws::ecr;

EcrService::EcrService(System& system, Logger& log, store::Database& database, package::ImageStore& images,
                       ArchiveUpload::Options uploads)
    : system_(system),
      log_(log),
      registry_(system, log, database, images),
      distribution_(system, log, registry_),
      archive_upload_(system, log, registry_, std::move(uploads)) {}

void EcrService::serve(aws::Dispatcher& dispatcher) {
  dispatcher.add(api::service());
  auto add = [&]<class Op>(std::type_identity<Op>, auto member) {
    dispatcher.serve<Op>([this, member](aws::RequestContext& context, typename Op::Input in) {
      return (this->*member)(&context, std::move(in));
    });
  };
  add(std::type_identity<api::CreateRepository>(), &EcrService::create_repository);
  add(std::type_identity<api::DescribeRepositories>(), &EcrService::describe_repositories);
  add(std::type_identity<api::DeleteRepository>(), &EcrService::delete_repository);
  add(std::type_identity<api::GetAuthorizationToken>(), &EcrService::get_authorization_token);
  add(std::type_identity<api::TagResource>(), &EcrService::tag_resource);
  add(std::type_identity<api::UntagResource>(), &EcrService::untag_resource);
  add(std::type_identity<api::ListTagsForResource>(), &EcrService::list_tags_for_resource);
  add(std::type_identity<api::ListImages>(), &EcrService::list_images);
  add(std::type_identity<api::DescribeImages>(), &EcrService::describe_images);
  add(std::type_identity<api::BatchGetImage>(), &EcrService::batch_get_image);
  add(std::type_identity<api::BatchDeleteImage>(), &EcrService::batch_delete_image);
  add(std::type_identity<api::BatchCheckLayerAvailability>(), &EcrService::batch_check_layer_availability);
  add(std::type_identity<api::PutImage>(), &EcrService::put_image);
}

aws::Error repository_not_found(const RepositoryRef& ref) {
  return api::repository_not_found(
      fmt::format("The repository with name '{}' does not exist in the registry with id '{}'", ref.name, ref.account));
}

aws::Outcome<std::string> after_token(const std::optional<std::string>& token) {
  if (!token) return std::string();
  auto text = base64_decode(*token);
  if (!text || text->empty()) return std::unexpected(api::invalid_parameter("Invalid parameter at 'nextToken'"));
  return *text;
}

aws::Outcome<const Repository*> EcrService::find(const RepositoryRef& ref) const {
  if (const Repository* found = registry_.find(ref)) return found;
  return std::unexpected(repository_not_found(ref));
}

RepositoryRef EcrService::ref_of(Context context, const std::optional<std::string>& registry, std::string name) {
  return {registry.value_or(context->account), context->region, std::move(name)};
}

aws::Outcome<RepositoryRef> EcrService::ref_of_arn(const std::string& text) const {
  constexpr std::string_view kKind = "repository/";
  const auto arn = Arn::parse(text);
  if (!arn || arn->service != "ecr" || !arn->resource.starts_with(kKind)) {
    return std::unexpected(api::invalid_parameter(fmt::format("Invalid parameter at 'resourceArn': {}", text)));
  }
  RepositoryRef ref{arn->account, arn->region, arn->resource.substr(kKind.size())};
  if (registry_.find(ref) == nullptr) return std::unexpected(repository_not_found(ref));
  return ref;
}

aws::Error EcrService::failure(Context context, const Error& cause) {
  log_.error("ecr_request_failed", {{"operation", context->operation},
                                    {"request_id", context->request_id},
                                    {"code", to_string(cause.code)},
                                    {"error", cause.detail}});
  return api::server("The request processing has failed because of an unknown error.");
}

}  // namespace lambdad::ecr
