#pragma once

#include <memory>
#include <span>
#include <string>

#include "aws/dispatcher.h"
#include "aws/gen/ecr.h"
#include "http/message.h"
#include "observe/log.h"
#include "package/image_store.h"
#include "services/ecr/archive_upload.h"
#include "services/ecr/distribution.h"
#include "services/ecr/registry.h"
#include "store/database.h"
#include "system/system.h"

namespace lambdad::ecr {

/// Amazon ECR: repositories and images as the API shows them, and the registry that clients push to and pull from.
/// Ownership: owns registry and data plane; borrows System, Logger, the database (opened with migrations()) and the
/// ImageStore. Threading: the loop.
class EcrService {
 public:
  EcrService(System& system, Logger& log, store::Database& database, package::ImageStore& images,
             ArchiveUpload::Options uploads);
  static std::span<const store::Migration> migrations() { return RepositoryStore::migrations(); }

  /// Reads what is stored. Before the first request.
  Async<Result<void>> start() { return registry_.load(); }
  void serve(aws::Dispatcher& dispatcher);
  Registry& registry() { return registry_; }
  Distribution& distribution() { return distribution_; }
  ArchiveUpload& archive_upload() { return archive_upload_; }

 private:
  template <class T>
  using Reply = Async<aws::Outcome<T>>;
  using Context = const aws::RequestContext*;
  // handlers/repositories.cc
  Reply<aws::ecr::CreateRepositoryResponse> create_repository(Context context, aws::ecr::CreateRepositoryRequest in);
  Reply<aws::ecr::DescribeRepositoriesResponse> describe_repositories(Context context,
                                                                      aws::ecr::DescribeRepositoriesRequest in);
  Reply<aws::ecr::DeleteRepositoryResponse> delete_repository(Context context, aws::ecr::DeleteRepositoryRequest in);
  Reply<aws::ecr::GetAuthorizationTokenResponse> get_authorization_token(Context context,
                                                                         aws::ecr::GetAuthorizationTokenRequest in);
  Reply<aws::ecr::TagResourceResponse> tag_resource(Context context, aws::ecr::TagResourceRequest in);
  Reply<aws::ecr::UntagResourceResponse> untag_resource(Context context, aws::ecr::UntagResourceRequest in);
  Reply<aws::ecr::ListTagsForResourceResponse> list_tags_for_resource(Context context,
                                                                      aws::ecr::ListTagsForResourceRequest in);
  // handlers/images.cc
  Reply<aws::ecr::ListImagesResponse> list_images(Context context, aws::ecr::ListImagesRequest in);
  Reply<aws::ecr::DescribeImagesResponse> describe_images(Context context, aws::ecr::DescribeImagesRequest in);
  Reply<aws::ecr::BatchGetImageResponse> batch_get_image(Context context, aws::ecr::BatchGetImageRequest in);
  Reply<aws::ecr::BatchDeleteImageResponse> batch_delete_image(Context context, aws::ecr::BatchDeleteImageRequest in);
  Reply<aws::ecr::BatchCheckLayerAvailabilityResponse> batch_check_layer_availability(
      Context context, aws::ecr::BatchCheckLayerAvailabilityRequest in);
  Reply<aws::ecr::PutImageResponse> put_image(Context context, aws::ecr::PutImageRequest in);

  /// RepositoryNotFoundException when there is none.
  aws::Outcome<const Repository*> find(const RepositoryRef& ref) const;
  static RepositoryRef ref_of(Context context, const std::optional<std::string>& registry, std::string name);
  aws::Outcome<RepositoryRef> ref_of_arn(const std::string& text) const;
  aws::Error failure(Context context, const Error& cause);

  System& system_;
  Logger& log_;
  Registry registry_;
  Distribution distribution_;
  ArchiveUpload archive_upload_;
};

aws::Error repository_not_found(const RepositoryRef& ref);
/// Tokens of the pages are the last key of the page before, in base64. InvalidParameterException for another.
aws::Outcome<std::string> after_token(const std::optional<std::string>& token);

}  // namespace lambdad::ecr
