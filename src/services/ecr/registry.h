#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "package/image_sources.h"
#include "package/image_store.h"
#include "services/ecr/repository.h"
#include "services/ecr/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::ecr {

/// All repositories and what is in them: the core under the control plane and the distribution API.
///
/// Reads come from memory; a change is shown after its commit. Blobs lie in the ImageStore, shared by content among all
/// repositories; a repository has a layer when it has its row. A layer that no image refers to goes when the last image
/// that did is deleted, or a day after it was uploaded (AWS time); the ImageStore then removes what nobody names.
///
/// Ownership: borrows System, Logger, the database (opened with RepositoryStore::migrations()) and the ImageStore.
/// Threading: the loop.
class Registry final : public package::EmbeddedRegistry {
 public:
  Registry(System& system, Logger& log, store::Database& database, package::ImageStore& images);
  ~Registry() override { *self_ = nullptr; }

  /// Reads what is stored. Before anything else.
  Async<Result<void>> load();

  package::ImageBlobs& blobs() { return images_.blobs(); }
  WorkerPool& workers() { return system_.workers; }
  /// Blobs were stored that nobody will name.
  void collect_later() { images_.collect_later(); }
  const Repository* find(const RepositoryRef& ref) const;
  /// Of an account and region in the order of names.
  std::vector<const Repository*> list(const std::string& account, const std::string& region) const;
  /// The image that a tag or a digest names; null when there is none.
  static const StoredImage* image_of(const Repository& repository, const std::string& tag_or_digest);

  /// kConflict when there is one of this name.
  Async<Result<void>> create(Repository repository);
  /// kNotFound; kConflict when it has images and `force` is false.
  Async<Result<Repository>> remove(RepositoryRef ref, bool force);
  Async<Result<void>> set_resource_tags(RepositoryRef ref, std::map<std::string, std::string> tags);

  /// Makes a stored blob a layer of the repository. kNotFound: no such repository.
  Async<Result<void>> add_layer(RepositoryRef ref, package::ImageBlobs::Stored blob);
  /// Stores a manifest under its digest, and under `tag` unless that is empty. kInvalid: no manifest that is served, or
  /// not a tag; kNotFound with the digest as detail: something it refers to is not in the repository, or, with
  /// "repository", there is no such repository; kConflict: the tag is taken and tags are immutable here; kTooLarge.
  Async<Result<StoredImage>> put_manifest(RepositoryRef ref, std::string bytes, std::string media_type,
                                          std::string tag);
  enum class Removed { kTag, kImage };
  /// By digest: the image with all its tags. By tag: the tag, and the image when that was its last one. kNotFound;
  /// kConflict when an index refers to the image.
  Async<Result<Removed>> remove_image(RepositoryRef ref, std::string tag_or_digest);

  // package::EmbeddedRegistry
  /// ACCOUNT.dkr.ecr.REGION.<anything>, and this machine's loopback with lambdad's own port.
  bool serves(const std::string& registry) const override;
  Result<std::string> find(const package::ImageReference& image, const std::string& account,
                           const std::string& region) const override;
  void set_port(std::uint16_t port) { port_ = port; }

  /// Key of the tokens that GetAuthorizationToken gives out.
  const std::string& secret() const { return secret_; }

 private:
  void name_blobs(package::ImageStore::Roots& roots) const;
  Async<KeyedMutex::Guard> lock(const RepositoryRef& ref);
  Repository* at(const RepositoryRef& ref);
  Async<Result<void>> remove_parts(RepositoryRef ref, RepositoryStore::Removal removal);

  System& system_;
  Logger& log_;
  RepositoryStore store_;
  package::ImageStore& images_;
  std::map<RepositoryRef, Repository> repositories_;
  KeyedMutex busy_;
  std::uint16_t port_ = 0;
  std::string secret_;
  std::shared_ptr<Registry*> self_ = std::make_shared<Registry*>(this);  // null for who outlives this
};

}  // namespace lambdad::ecr
