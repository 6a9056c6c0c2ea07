#include "services/ecr/repository.h"

#include <algorithm>

namespace lambdad::ecr {
namespace {

const std::string* text(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  return value == nullptr ? nullptr : value->if_string();
}

std::optional<std::int64_t> number(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  return value == nullptr ? std::nullopt : value->as_int64();
}

}  // namespace

std::string Repository::arn() const {
  return fmt::format("arn:aws:ecr:{}:{}:repository/{}", ref.region, ref.account, ref.name);
}

std::vector<std::string> Repository::tags_of(const std::string& digest) const {
  std::vector<std::string> found;
  for (const auto& [tag, to] : tags) {
    if (to == digest) found.push_back(tag);
  }
  return found;
}

bool Repository::is_referenced(const std::string& digest) const {
  return std::ranges::any_of(images, [&](const auto& entry) {
    return std::ranges::find(entry.second.references, digest) != entry.second.references.end();
  });
}

std::set<std::string> Repository::unused_layers(WallTime before, const std::vector<std::string>& candidates) const {
  std::set<std::string> unused;
  for (const auto& [digest, layer] : layers) {
    if (layer.added < before) unused.insert(digest);
  }
  for (const std::string& digest : candidates) {
    if (layers.contains(digest)) unused.insert(digest);
  }
  for (const auto& [digest, image] : images) {
    for (const std::string& used : image.references) unused.erase(used);
  }
  return unused;
}

aws::ecr::Repository to_api(const Repository& repository, std::string_view host) {
  return aws::ecr::Repository{
      .repository_arn = repository.arn(),
      .registry_id = repository.ref.account,
      .repository_name = repository.ref.name,
      .repository_uri = fmt::format("{}/{}", host, repository.ref.name),
      .created_at = repository.created,
      .image_tag_mutability = repository.immutable_tags ? "IMMUTABLE" : "MUTABLE",
      .image_scanning_configuration = aws::ecr::ImageScanningConfiguration{.scan_on_push = false},
      .encryption_configuration = aws::ecr::EncryptionConfiguration{.encryption_type = "AES256"}};
}

json::Value repository_document(const Repository& repository) {
  json::Object tags;
  for (const auto& [key, value] : repository.resource_tags) tags.append(key, value);
  return json::Object{{"account", repository.ref.account},
                      {"region", repository.ref.region},
                      {"name", repository.ref.name},
                      {"created_ms", to_epoch_ms(repository.created)},
                      {"immutable_tags", repository.immutable_tags},
                      {"resource_tags", std::move(tags)}};
}

Result<Repository> repository_from_document(const json::Value& document) {
  const std::string* account = text(document, "account");
  const std::string* region = text(document, "region");
  const std::string* name = text(document, "name");
  const auto created = number(document, "created_ms");
  const json::Value* immutable = document.find("immutable_tags");
  const json::Value* tags = document.find("resource_tags");
  if (account == nullptr || region == nullptr || name == nullptr || !created || immutable == nullptr ||
      immutable->if_bool() == nullptr || tags == nullptr || tags->if_object() == nullptr) {
    return fail(Errc::kCorrupt, "a stored repository lacks a member");
  }
  Repository repository{
      .ref = {*account, *region, *name}, .created = from_epoch_ms(*created), .immutable_tags = *immutable->if_bool()};
  for (const auto& [key, value] : *tags->if_object()) {
    if (value.if_string() != nullptr) repository.resource_tags.emplace(key, *value.if_string());
  }
  return repository;
}

json::Value image_document(const StoredImage& image) {
  json::Array references;
  for (const std::string& digest : image.references) references.emplace_back(digest);
  return json::Object{
      {"digest", image.digest}, {"media_type", image.media_type},      {"artifact_type", image.artifact_type},
      {"size", image.size},     {"references", std::move(references)}, {"pushed_ms", to_epoch_ms(image.pushed)}};
}

Result<StoredImage> image_from_document(const json::Value& document) {
  const std::string* digest = text(document, "digest");
  const std::string* media_type = text(document, "media_type");
  const std::string* artifact_type = text(document, "artifact_type");
  const auto size = number(document, "size");
  const auto pushed = number(document, "pushed_ms");
  const json::Value* references = document.find("references");
  if (digest == nullptr || media_type == nullptr || artifact_type == nullptr || !size || !pushed ||
      references == nullptr || references->if_array() == nullptr) {
    return fail(Errc::kCorrupt, "a stored image lacks a member");
  }
  StoredImage image{.digest = *digest,
                    .media_type = *media_type,
                    .artifact_type = *artifact_type,
                    .size = static_cast<std::uint64_t>(*size),
                    .pushed = from_epoch_ms(*pushed)};
  for (const json::Value& entry : *references->if_array()) {
    if (entry.if_string() != nullptr) image.references.push_back(*entry.if_string());
  }
  return image;
}

}  // namespace lambdad::ecr
