/// What lambdad knows of one repository. Values only; how they change is in registry.h, how they last in store.h.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "aws/gen/ecr.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time.h"

namespace lambdad::ecr {

struct RepositoryRef {
  std::string account;
  std::string region;
  std::string name;
  auto operator<=>(const RepositoryRef&) const = default;
};

/// A manifest, or an index of manifests.
struct StoredImage {
  std::string digest;
  std::string media_type;
  std::string artifact_type;            ///< media type of the config; empty for an index
  std::uint64_t size = 0;               ///< as DescribeImages shows it: layers and configuration
  std::vector<std::string> references;  ///< digests it cannot be served without
  WallTime pushed{};
};

struct StoredLayer {
  std::uint64_t size = 0;
  WallTime added{};
};

struct Repository {
  RepositoryRef ref;
  WallTime created{};
  bool immutable_tags = false;
  std::map<std::string, std::string> resource_tags;
  std::map<std::string, StoredImage> images;  ///< by digest
  std::map<std::string, std::string> tags;    ///< tag -> digest
  std::map<std::string, StoredLayer> layers;  ///< by digest: configurations and layers

  std::string arn() const;
  std::vector<std::string> tags_of(const std::string& digest) const;
  /// Whether another manifest refers to this one.
  bool is_referenced(const std::string& digest) const;
  /// Layers that no image refers to and that were added before `before`, or that are in `candidates`.
  std::set<std::string> unused_layers(WallTime before, const std::vector<std::string>& candidates) const;
};

/// `host`: where this registry can be reached, "127.0.0.1:4566".
aws::ecr::Repository to_api(const Repository& repository, std::string_view host);

// As the store keeps them.
json::Value repository_document(const Repository& repository);
Result<Repository> repository_from_document(const json::Value& document);
json::Value image_document(const StoredImage& image);
Result<StoredImage> image_from_document(const json::Value& document);

}  // namespace lambdad::ecr
