// ListImages, DescribeImages, BatchGetImage, BatchDeleteImage, BatchCheckLayerAvailability, PutImage
#include <algorithm>

#include "base/encoding.h"
#include "services/ecr/ecr_service.h"

namespace lambdad::ecr {
namespace {

namespace api = aws::ecr;

constexpr int kPageDefault = 100;  // source: ECR API reference, ListImages and DescribeImages

std::string shown(const api::ImageIdentifier& id) {
  return fmt::format("{{imageDigest:'{}', imageTag:'{}'}}", id.image_digest.value_or("null"),
                     id.image_tag.value_or("null"));
}

/// The image that an identifier names, or why not.
std::expected<const StoredImage*, api::ImageFailure> pick(const Repository& repository,
                                                          const api::ImageIdentifier& id) {
  auto fail = [&id](std::string code, std::string reason) {
    return std::unexpected(
        api::ImageFailure{.image_id = id, .failure_code = std::move(code), .failure_reason = std::move(reason)});
  };
  if (!id.image_digest && !id.image_tag) {
    return fail("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null");
  }
  if (id.image_digest && !package::is_image_digest(*id.image_digest)) {
    return fail("InvalidImageDigest",
                "Invalid request parameters: image digest should satisfy the regex "
                "'[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'");
  }
  const StoredImage* image = Registry::image_of(repository, id.image_digest ? *id.image_digest : *id.image_tag);
  if (image == nullptr) return fail("ImageNotFound", "Requested image not found");
  if (id.image_digest && id.image_tag && Registry::image_of(repository, *id.image_tag) != image) {
    return fail("ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest");
  }
  return image;
}

bool status_fits(const std::optional<std::string>& wanted, bool tagged) {
  return !wanted || *wanted == "ANY" || (*wanted == "TAGGED") == tagged;
}

api::ImageDetail detail_of(const Repository& repository, const StoredImage& image) {
  api::ImageDetail detail{.registry_id = repository.ref.account,
                          .repository_name = repository.ref.name,
                          .image_digest = image.digest,
                          .image_size_in_bytes = static_cast<std::int64_t>(image.size),
                          .image_pushed_at = image.pushed,
                          .image_manifest_media_type = image.media_type};
  if (auto tags = repository.tags_of(image.digest); !tags.empty()) detail.image_tags = std::move(tags);
  if (!image.artifact_type.empty()) detail.artifact_media_type = image.artifact_type;
  return detail;
}

}  // namespace

EcrService::Reply<api::ListImagesResponse> EcrService::list_images(Context context, api::ListImagesRequest in) {
  auto repository = find(ref_of(context, in.registry_id, in.repository_name));
  if (!repository) co_return std::unexpected(std::move(repository.error()));
  auto after = after_token(in.next_token);
  if (!after) co_return std::unexpected(std::move(after.error()));
  if (in.filter && in.filter->image_status) {
    co_return std::unexpected(aws::not_served("ecr", "ListImages", "filter.imageStatus"));
  }
  const auto wanted = in.filter ? in.filter->tag_status : std::nullopt;
  // One entry per tag, and one for an image without; the key of a page's end is digest and tag.
  std::vector<std::pair<std::string, api::ImageIdentifier>> all;
  for (const auto& [digest, image] : (*repository)->images) {
    const auto tags = (*repository)->tags_of(digest);
    if (!status_fits(wanted, !tags.empty())) continue;
    for (const std::string& tag : tags) {
      all.emplace_back(digest + " " + tag, api::ImageIdentifier{.image_digest = digest, .image_tag = tag});
    }
    if (tags.empty()) all.emplace_back(digest, api::ImageIdentifier{.image_digest = digest});
  }
  const auto count = static_cast<std::size_t>(in.max_results.value_or(kPageDefault));
  api::ListImagesResponse out;
  out.image_ids.emplace();
  std::string last;
  for (auto& [key, id] : all) {
    if (!after->empty() && key <= *after) continue;
    if (out.image_ids->size() == count) {
      out.next_token = base64_encode(last);
      break;
    }
    out.image_ids->push_back(std::move(id));
    last = key;
  }
  co_return out;
}

EcrService::Reply<api::DescribeImagesResponse> EcrService::describe_images(Context context,
                                                                           api::DescribeImagesRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  auto repository = find(ref);
  if (!repository) co_return std::unexpected(std::move(repository.error()));
  if (in.filter && in.filter->image_status) {
    co_return std::unexpected(aws::not_served("ecr", "DescribeImages", "filter.imageStatus"));
  }
  api::DescribeImagesResponse out;
  out.image_details.emplace();
  if (in.image_ids) {
    for (const api::ImageIdentifier& id : *in.image_ids) {
      auto image = pick(**repository, id);
      if (!image) {
        co_return std::unexpected(api::image_not_found(
            fmt::format("The image with imageId {} does not exist within the repository with name '{}' in the "
                        "registry with id '{}'",
                        shown(id), ref.name, ref.account)));
      }
      out.image_details->push_back(detail_of(**repository, **image));
    }
    co_return out;
  }
  auto after = after_token(in.next_token);
  if (!after) co_return std::unexpected(std::move(after.error()));
  const auto wanted = in.filter ? in.filter->tag_status : std::nullopt;
  const auto count = static_cast<std::size_t>(in.max_results.value_or(kPageDefault));
  for (const auto& [digest, image] : (*repository)->images) {
    if (!after->empty() && digest <= *after) continue;
    if (!status_fits(wanted, !(*repository)->tags_of(digest).empty())) continue;
    if (out.image_details->size() == count) {
      out.next_token = base64_encode(*out.image_details->back().image_digest);
      break;
    }
    out.image_details->push_back(detail_of(**repository, image));
  }
  co_return out;
}

EcrService::Reply<api::BatchGetImageResponse> EcrService::batch_get_image(Context context,
                                                                          api::BatchGetImageRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  if (auto repository = find(ref); !repository) co_return std::unexpected(std::move(repository.error()));
  api::BatchGetImageResponse out;
  out.images.emplace();
  out.failures.emplace();
  for (api::ImageIdentifier& id : in.image_ids) {
    auto repository = find(ref);  // it may have gone while a manifest was read
    if (!repository) co_return std::unexpected(std::move(repository.error()));
    auto picked = pick(**repository, id);
    if (!picked) {
      out.failures->push_back(std::move(picked.error()));
      continue;
    }
    const StoredImage image = **picked;
    if (in.accepted_media_types &&
        std::ranges::find(*in.accepted_media_types, image.media_type) == in.accepted_media_types->end()) {
      out.failures->push_back(api::ImageFailure{
          .image_id = id,
          .failure_code = "ImageNotFound",
          .failure_reason = fmt::format("The image is a {}, which is not among the accepted types", image.media_type)});
      continue;
    }
    auto bytes = co_await system_.workers.run([blobs = &registry_.blobs(), digest = image.digest] {
      return blobs->read(digest, package::kManifestBytesMax);
    });
    if (!bytes) co_return std::unexpected(failure(context, bytes.error()));
    id.image_digest = image.digest;
    out.images->push_back(api::Image{.registry_id = ref.account,
                                     .repository_name = ref.name,
                                     .image_id = std::move(id),
                                     .image_manifest = std::move(*bytes),
                                     .image_manifest_media_type = image.media_type});
  }
  co_return out;
}

EcrService::Reply<api::BatchDeleteImageResponse> EcrService::batch_delete_image(Context context,
                                                                                api::BatchDeleteImageRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  api::BatchDeleteImageResponse out;
  out.image_ids.emplace();
  out.failures.emplace();
  for (api::ImageIdentifier& id : in.image_ids) {
    auto repository = find(ref);
    if (!repository) co_return std::unexpected(std::move(repository.error()));
    auto picked = pick(**repository, id);
    if (!picked) {
      out.failures->push_back(std::move(picked.error()));
      continue;
    }
    const std::string digest = (*picked)->digest;
    std::vector<std::string> tags = (*repository)->tags_of(digest);
    auto removed = co_await registry_.remove_image(ref, id.image_tag ? *id.image_tag : digest);
    if (!removed && removed.error().code == Errc::kConflict) {
      out.failures->push_back(api::ImageFailure{.image_id = id,
                                                .failure_code = "ImageReferencedByManifestList",
                                                .failure_reason = "Requested image referenced by manifest list"});
      continue;
    }
    if (!removed) co_return std::unexpected(failure(context, removed.error()));
    if (id.image_tag) tags = {*id.image_tag};
    for (std::string& tag : tags) {
      out.image_ids->push_back(api::ImageIdentifier{.image_digest = digest, .image_tag = std::move(tag)});
    }
    if (tags.empty()) out.image_ids->push_back(api::ImageIdentifier{.image_digest = digest});
  }
  co_return out;
}

EcrService::Reply<api::BatchCheckLayerAvailabilityResponse> EcrService::batch_check_layer_availability(
    Context context, api::BatchCheckLayerAvailabilityRequest in) {
  auto repository = find(ref_of(context, in.registry_id, in.repository_name));
  if (!repository) co_return std::unexpected(std::move(repository.error()));
  api::BatchCheckLayerAvailabilityResponse out;
  out.layers.emplace();
  out.failures.emplace();
  for (std::string& digest : in.layer_digests) {
    if (!package::is_image_digest(digest)) {
      out.failures->push_back(api::LayerFailure{.layer_digest = digest,
                                                .failure_code = "InvalidLayerDigest",
                                                .failure_reason = "The layer digest is not valid"});
      continue;
    }
    const auto layer = (*repository)->layers.find(digest);
    const bool there = layer != (*repository)->layers.end();
    api::Layer shown_layer{.layer_digest = digest, .layer_availability = there ? "AVAILABLE" : "UNAVAILABLE"};
    if (there) shown_layer.layer_size = static_cast<std::int64_t>(layer->second.size);
    out.layers->push_back(std::move(shown_layer));
  }
  co_return out;
}

EcrService::Reply<api::PutImageResponse> EcrService::put_image(Context context, api::PutImageRequest in) {
  const RepositoryRef ref = ref_of(context, in.registry_id, in.repository_name);
  auto repository = find(ref);
  if (!repository) co_return std::unexpected(std::move(repository.error()));
  const std::string digest = package::image_digest_of(in.image_manifest);
  if (in.image_digest && *in.image_digest != digest) {
    co_return std::unexpected(api::image_digest_does_not_match("The calculated digest of the manifest is " + digest));
  }
  const std::string tag = in.image_tag.value_or("");
  const StoredImage* before = Registry::image_of(**repository, tag.empty() ? digest : tag);
  if (before != nullptr && before->digest == digest) {
    co_return std::unexpected(api::image_already_exists(
        fmt::format("Image with digest '{}' and tag '{}' already exists in the repository with name '{}' in registry "
                    "with id '{}'",
                    digest, tag.empty() ? "null" : tag, ref.name, ref.account)));
  }
  api::PutImageResponse out{.image = api::Image{.registry_id = ref.account,
                                                .repository_name = ref.name,
                                                .image_id = api::ImageIdentifier{.image_digest = digest},
                                                .image_manifest = in.image_manifest}};
  if (!tag.empty()) out.image->image_id->image_tag = tag;
  auto put = co_await registry_.put_manifest(ref, std::move(in.image_manifest),
                                             in.image_manifest_media_type.value_or(""), tag);
  if (put) {
    out.image->image_manifest_media_type = put->media_type;
    co_return out;
  }
  switch (put.error().code) {
    case Errc::kInvalid:
    case Errc::kTooLarge:
      co_return std::unexpected(
          api::invalid_parameter("Invalid parameter at 'imageManifest' or 'imageTag': " + put.error().detail));
    case Errc::kNotFound:
      if (put.error().detail == "repository") co_return std::unexpected(repository_not_found(ref));
      co_return std::unexpected(api::layers_not_found(
          fmt::format("Layers with digests '[{}]' required for pushing image into repository with name '{}' in the "
                      "registry with id '{}' do not exist",
                      put.error().detail, ref.name, ref.account)));
    case Errc::kConflict:
      co_return std::unexpected(api::image_tag_already_exists(
          fmt::format("The image tag '{}' already exists in the '{}' repository and cannot be overwritten because the "
                      "repository is immutable.",
                      tag, ref.name)));
    default: co_return std::unexpected(failure(context, put.error()));
  }
}

}  // namespace lambdad::ecr
