#include "package/image_sources.h"

#include "package/registry_client.h"

namespace lambdad::package {
namespace {

constexpr unsigned kPullers = 2;

using Holds = std::vector<ImageBlobs::Hold>;

/// The manifest itself, or the one for this machine of an index. `read` gives the bytes of a digest.
template <class Read>
Result<std::string> for_this_machine(const std::string& digest, const Read& read) {
  std::string at = digest;
  for (int depth = 0; depth < 3; ++depth) {
    LD_TRY(const std::string bytes, read(at));
    LD_TRY(const Manifest manifest, parse_manifest(bytes));
    if (!manifest.is_index()) return at;
    LD_TRY(const Descriptor chosen, choose_platform(manifest));
    at = chosen.digest;
  }
  return fail(Errc::kInvalid, "indexes that lead to indexes");
}

struct Pulled {
  std::string digest;
  Holds holds;
};

/// Puller thread. Manifest and configuration of the image for this machine.
Result<Pulled> pull_manifest(ImageBlobs& blobs, const std::atomic<bool>& stopping, const ImageReference& image) {
  RegistryClient client(image.registry, image.repository, stopping);
  LD_TRY(RegistryClient::Document document, client.manifest(image.digest.empty() ? image.tag : image.digest));
  std::map<std::string, std::string> seen{{document.digest, document.bytes}};
  LD_TRY(const std::string digest, for_this_machine(document.digest, [&](const std::string& at) -> Result<std::string> {
           if (!seen.contains(at)) {
             LD_TRY(RegistryClient::Document next, client.manifest(at));
             seen.emplace(at, std::move(next.bytes));
           }
           return seen.at(at);
         }));
  Pulled out{.digest = digest};
  LD_TRY(const Manifest manifest, parse_manifest(seen.at(digest)));
  LD_TRY_VOID(check_media_types(manifest));
  if (manifest.config.size > kImageConfigBytesMax)
    return fail(Errc::kTooLarge, "the image's configuration is too large");
  LD_TRY(auto stored, blobs.put(seen.at(digest)));
  out.holds.push_back(std::move(stored.hold));
  LD_TRY(const auto writer, blobs.begin());
  LD_TRY_VOID(client.blob(manifest.config.digest, manifest.config.size,
                          [&](std::string_view piece) { return writer->append(piece); }));
  LD_TRY(auto config, writer->finish(manifest.config.digest));
  out.holds.push_back(std::move(config.hold));
  return out;
}

/// Puller thread. The layers that are not there yet.
Result<Holds> pull_layers(ImageBlobs& blobs, const std::atomic<bool>& stopping, const ImageReference& image,
                          const Manifest& manifest) {
  Holds holds;
  RegistryClient client(image.registry, image.repository, stopping);
  for (const Descriptor& layer : manifest.layers) {
    holds.push_back(blobs.hold(layer.digest));
    if (blobs.has(layer.digest)) continue;
    LD_TRY(const auto writer, blobs.begin());
    LD_TRY_VOID(client.blob(layer.digest, layer.size, [&](std::string_view piece) { return writer->append(piece); }));
    if (auto stored = writer->finish(layer.digest); !stored) {
      if (stored.error().code != Errc::kConflict) return std::unexpected(stored.error());
      return fail(Errc::kCorrupt, "a layer from {}: {}", image.registry, stored.error().detail);
    }
  }
  return holds;
}

}  // namespace

ImageSources::ImageSources(System& system, Logger& log, ImageStore& store)
    : system_(system), log_(log), store_(store), pullers_(system.loop, kPullers) {}

ImageSources::~ImageSources() { stopping_ = true; }

Async<void> ImageSources::stop() {
  stopping_ = true;
  // Behind everything that was asked for before.
  co_await pullers_.run([] {});
}

Async<Result<ImageSources::Resolved>> ImageSources::resolve(std::string uri, std::string account, std::string region) {
  LD_CO_TRY(const ImageReference image, ImageReference::parse(uri));
  Resolved out;
  if (embedded_ != nullptr && embedded_->serves(image.registry)) {
    LD_CO_TRY(const std::string found, embedded_->find(image, account, region));
    out.image = store_.hold(found);
    auto chosen = co_await system_.workers.run([blobs = &store_.blobs(), found] {
      return for_this_machine(found, [&](const std::string& at) { return blobs->read(at, kManifestBytesMax); });
    });
    if (!chosen) co_return std::unexpected(std::move(chosen.error()));
    out.digest = std::move(*chosen);
    out.image = store_.hold(out.digest);
  } else {
    auto pulled = co_await pullers_.run(
        [blobs = &store_.blobs(), stopping = &stopping_, image] { return pull_manifest(*blobs, *stopping, image); });
    if (!pulled) co_return std::unexpected(std::move(pulled.error()));
    out.digest = std::move(pulled->digest);
    out.blobs = std::move(pulled->holds);
    out.image = store_.hold(out.digest);
  }
  out.resolved_uri = image.resolved(out.digest);
  LD_CO_TRY([[maybe_unused]] const auto judged, co_await store_.inspect(out.digest));
  co_return out;
}

Async<Result<ImageStore::Unpacked>> ImageSources::fetch(std::string uri, std::string digest) {
  LD_CO_TRY(const ImageReference image, ImageReference::parse(uri));
  const ImageStore::Ref ref = store_.hold(digest);
  LD_CO_TRY(const ImageStore::Image known, co_await store_.inspect(digest));
  Holds holds;
  if (embedded_ == nullptr || !embedded_->serves(image.registry)) {
    const MonoTime begin = system_.host_clock.mono();
    auto pulled =
        co_await pullers_.run([blobs = &store_.blobs(), stopping = &stopping_, image, manifest = known.manifest] {
          return pull_layers(*blobs, *stopping, image, manifest);
        });
    if (!pulled) co_return std::unexpected(std::move(pulled.error()));
    holds = std::move(*pulled);
    log_.info("image_pulled",
              {{"image", image.str()}, {"digest", digest}, {"seconds", to_seconds(system_.host_clock.mono() - begin)}});
  }
  co_return co_await store_.unpacked(std::move(digest));
}

}  // namespace lambdad::package
