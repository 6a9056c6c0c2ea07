#include "services/ecr/registry.h"

#include <algorithm>

#include "base/encoding.h"

namespace lambdad::ecr {
namespace {

// How long a layer may wait for the manifest that refers to it; our choice, longer than any push takes.
constexpr Duration kLayerWaitsMax = std::chrono::hours(24);

struct EcrHost {
  std::string account;
  std::string region;
};

/// "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
std::optional<EcrHost> parse_ecr_host(std::string_view registry) {
  constexpr std::string_view kMiddle = ".dkr.ecr.";
  if (registry.size() < 12 + kMiddle.size() || registry.substr(12, kMiddle.size()) != kMiddle ||
      registry.substr(0, 12).find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view rest = registry.substr(12 + kMiddle.size());
  const std::size_t dot = rest.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  return EcrHost{std::string(registry.substr(0, 12)), std::string(rest.substr(0, dot))};
}

std::size_t bytes_of(const package::Manifest& manifest) {
  std::uint64_t total = manifest.config.size;
  for (const auto& layer : manifest.layers) total += layer.size;
  return total;
}

}  // namespace

Registry::Registry(System& system, Logger& log, store::Database& database, package::ImageStore& images)
    : system_(system), log_(log), store_(database), images_(images), busy_(system.loop) {
  images_.add_roots([self = self_](package::ImageStore::Roots& roots) {
    if (*self != nullptr) {
      (*self)->name_blobs(roots);
    } else {
      roots.everything = true;
    }
  });
}

void Registry::name_blobs(package::ImageStore::Roots& roots) const {
  for (const auto& [ref, repository] : repositories_) {
    for (const auto& [digest, image] : repository.images) roots.blobs.insert(digest);
    for (const auto& [digest, layer] : repository.layers) roots.blobs.insert(digest);
  }
}

Async<Result<void>> Registry::load() {
  LD_CO_TRY(secret_, co_await store_.secret(system_.random.bytes(32)));
  auto stored = co_await store_.load();
  if (!stored) co_return fail_with(stored.error(), "loading repositories");
  for (Repository& repository : *stored) {
    RepositoryRef ref = repository.ref;
    repositories_.emplace(std::move(ref), std::move(repository));
  }
  co_return Result<void>();
}

const Repository* Registry::find(const RepositoryRef& ref) const {
  const auto place = repositories_.find(ref);
  return place == repositories_.end() ? nullptr : &place->second;
}

Repository* Registry::at(const RepositoryRef& ref) {
  const auto place = repositories_.find(ref);
  return place == repositories_.end() ? nullptr : &place->second;
}

std::vector<const Repository*> Registry::list(const std::string& account, const std::string& region) const {
  std::vector<const Repository*> found;
  for (auto place = repositories_.lower_bound({account, region, ""});
       place != repositories_.end() && place->first.account == account && place->first.region == region; ++place) {
    found.push_back(&place->second);
  }
  return found;
}

const StoredImage* Registry::image_of(const Repository& repository, const std::string& tag_or_digest) {
  std::string digest = tag_or_digest;
  if (!package::is_image_digest(digest)) {
    const auto tag = repository.tags.find(tag_or_digest);
    if (tag == repository.tags.end()) return nullptr;
    digest = tag->second;
  }
  const auto image = repository.images.find(digest);
  return image == repository.images.end() ? nullptr : &image->second;
}

Async<KeyedMutex::Guard> Registry::lock(const RepositoryRef& ref) {
  return busy_.acquire(fmt::format("{}/{}/{}", ref.account, ref.region, ref.name));
}

// --- repositories ---------------------------------------------------------------------------------------------------

Async<Result<void>> Registry::create(Repository repository) {
  auto guard = co_await lock(repository.ref);
  if (find(repository.ref) != nullptr) co_return fail(Errc::kConflict, "repository {} exists", repository.ref.name);
  LD_CO_TRY_VOID(co_await store_.save(repository));
  RepositoryRef ref = repository.ref;
  repositories_.emplace(std::move(ref), std::move(repository));
  co_return Result<void>();
}

Async<Result<Repository>> Registry::remove(RepositoryRef ref, bool force) {
  auto guard = co_await lock(ref);
  const Repository* found = find(ref);
  if (found == nullptr) co_return fail(Errc::kNotFound, "repository");
  if (!found->images.empty() && !force) co_return fail(Errc::kConflict, "repository {} has images", ref.name);
  LD_CO_TRY_VOID(co_await store_.remove(ref));
  auto place = repositories_.find(ref);
  Repository gone = std::move(place->second);
  repositories_.erase(place);
  images_.collect_later();
  co_return gone;
}

Async<Result<void>> Registry::set_resource_tags(RepositoryRef ref, std::map<std::string, std::string> tags) {
  auto guard = co_await lock(ref);
  const Repository* found = find(ref);
  if (found == nullptr) co_return fail(Errc::kNotFound, "repository");
  Repository row{.ref = ref, .created = found->created, .immutable_tags = found->immutable_tags, .resource_tags = tags};
  LD_CO_TRY_VOID(co_await store_.save(std::move(row)));
  at(ref)->resource_tags = std::move(tags);
  co_return Result<void>();
}

// --- layers and images ----------------------------------------------------------------------------------------------

Async<Result<void>> Registry::add_layer(RepositoryRef ref, package::ImageBlobs::Stored blob) {
  auto guard = co_await lock(ref);
  if (find(ref) == nullptr) co_return fail(Errc::kNotFound, "repository");
  const StoredLayer layer{.size = blob.size, .added = system_.clock.wall()};
  LD_CO_TRY_VOID(co_await store_.save_layer(ref, blob.digest, layer));
  at(ref)->layers.insert_or_assign(blob.digest, layer);
  co_return Result<void>();
}

Async<Result<StoredImage>> Registry::put_manifest(RepositoryRef ref, std::string bytes, std::string media_type,
                                                  std::string tag) {
  LD_CO_TRY(const package::Manifest manifest, package::parse_manifest(bytes, media_type));
  if (!tag.empty() && !package::is_image_tag(tag))
    co_return fail(Errc::kInvalid, "'{}' is no tag", escape_control(tag));
  auto guard = co_await lock(ref);
  const Repository* found = find(ref);
  if (found == nullptr) co_return fail(Errc::kNotFound, "repository");
  StoredImage image{.digest = package::image_digest_of(bytes),
                    .media_type = manifest.media_type,
                    .artifact_type = manifest.is_index() ? "" : manifest.config.media_type,
                    .size = bytes_of(manifest),
                    .references = manifest.references(),
                    .pushed = system_.clock.wall()};
  for (const std::string& digest : image.references) {
    if (manifest.is_index() ? !found->images.contains(digest) : !found->layers.contains(digest)) {
      co_return fail(Errc::kNotFound, "{}", digest);
    }
  }
  if (const auto known = found->images.find(image.digest); known != found->images.end()) {
    image.pushed = known->second.pushed;
  }
  if (const auto taken = found->tags.find(tag);
      taken != found->tags.end() && taken->second != image.digest && found->immutable_tags) {
    co_return fail(Errc::kConflict, "the tag {} is taken, and tags of {} are immutable", tag, ref.name);
  }
  auto stored =
      co_await system_.workers.run([blobs = &images_.blobs(), bytes = std::move(bytes)] { return blobs->put(bytes); });
  if (!stored) co_return std::unexpected(std::move(stored.error()));
  LD_CO_TRY_VOID(co_await store_.save_image(ref, image, tag));
  Repository& repository = *at(ref);
  repository.images.insert_or_assign(image.digest, image);
  if (!tag.empty()) repository.tags.insert_or_assign(tag, image.digest);
  log_.info("image_pushed", {{"repository", ref.name}, {"digest", image.digest}, {"tag", tag}});

  // A push is the moment to look for layers of pushes that were given up.
  RepositoryStore::Removal old{.layers = repository.unused_layers(system_.clock.wall() - kLayerWaitsMax, {})};
  if (!old.layers.empty()) {
    if (auto removed = co_await remove_parts(ref, std::move(old)); !removed) {
      log_.warn("layers_not_removed", {{"repository", ref.name}, {"error", removed.error().detail}});
    }
  }
  co_return image;
}

Async<Result<Registry::Removed>> Registry::remove_image(RepositoryRef ref, std::string tag_or_digest) {
  auto guard = co_await lock(ref);
  const Repository* found = find(ref);
  if (found == nullptr) co_return fail(Errc::kNotFound, "repository");
  const StoredImage* image = image_of(*found, tag_or_digest);
  if (image == nullptr) co_return fail(Errc::kNotFound, "{}", tag_or_digest);
  const auto tags = found->tags_of(image->digest);
  const bool by_digest = package::is_image_digest(tag_or_digest);
  if (!by_digest && tags.size() > 1) {
    LD_CO_TRY_VOID(co_await remove_parts(ref, {.tags = {tag_or_digest}}));
    co_return Removed::kTag;
  }
  if (found->is_referenced(image->digest)) {
    co_return fail(Errc::kConflict, "{} is part of an index", image->digest);
  }
  Repository without = *found;
  const StoredImage gone = *image;
  without.images.erase(gone.digest);
  RepositoryStore::Removal removal{.images = {gone.digest},
                                   .tags = {tags.begin(), tags.end()},
                                   .layers = without.unused_layers(WallTime::min(), gone.references)};
  LD_CO_TRY_VOID(co_await remove_parts(ref, std::move(removal)));
  log_.info("image_deleted", {{"repository", ref.name}, {"digest", gone.digest}});
  co_return Removed::kImage;
}

/// Under the repository's lock.
Async<Result<void>> Registry::remove_parts(RepositoryRef ref, RepositoryStore::Removal removal) {
  LD_CO_TRY_VOID(co_await store_.remove_parts(ref, removal));
  Repository& repository = *at(ref);
  for (const std::string& digest : removal.images) repository.images.erase(digest);
  for (const std::string& tag : removal.tags) repository.tags.erase(tag);
  for (const std::string& digest : removal.layers) repository.layers.erase(digest);
  if (!removal.images.empty() || !removal.layers.empty()) images_.collect_later();
  co_return Result<void>();
}

// --- for functions --------------------------------------------------------------------------------------------------

bool Registry::serves(const std::string& registry) const {
  if (parse_ecr_host(registry)) return true;
  const std::size_t colon = registry.rfind(':');
  if (colon == std::string::npos || registry.substr(colon + 1) != std::to_string(port_)) return false;
  const std::string_view host = std::string_view(registry).substr(0, colon);
  return host == "localhost" || host == "127.0.0.1" || host.ends_with(".localhost");
}

Result<std::string> Registry::find(const package::ImageReference& image, const std::string& account,
                                   const std::string& region) const {
  const auto host = parse_ecr_host(image.registry);
  const RepositoryRef ref{host ? host->account : account, host ? host->region : region, image.repository};
  const Repository* repository = find(ref);
  if (repository == nullptr) return fail(Errc::kNotFound, "there is no repository {}", image.repository);
  const StoredImage* found = image_of(*repository, image.digest.empty() ? image.tag : image.digest);
  if (found == nullptr) return fail(Errc::kNotFound, "the repository {} has no such image", image.repository);
  return found->digest;
}

}  // namespace lambdad::ecr
