#include "package/image_store.h"

#include "base/encoding.h"
#include "package/unpack.h"

namespace lambdad::package {
namespace {

constexpr std::string_view kBootIdFile = "/.boot_id";
constexpr std::string_view kTemporaryPrefix = ".unpacking-";

Result<ImageStore::Image> read_image(const ImageBlobs& blobs, const std::string& digest) {
  LD_TRY(const std::string manifest_bytes, blobs.read(digest, kManifestBytesMax));
  ImageStore::Image image;
  LD_TRY(image.manifest, parse_manifest(manifest_bytes));
  if (image.manifest.is_index()) return fail(Errc::kInvalid, "{} is an index, not an image", digest);
  LD_TRY_VOID(check_media_types(image.manifest));
  LD_TRY(const std::string config_bytes, blobs.read(image.manifest.config.digest, kImageConfigBytesMax));
  LD_TRY(image.config, parse_image_config(config_bytes));
  LD_TRY_VOID(check_runnable(image.manifest, image.config));
  return image;
}

/// Runs on a worker thread.
Result<ImageConfig> make_tree(Files& files, Logger& log, const ImageBlobs& blobs, const ImageLimits& limits,
                              const std::string& digest, const std::string& temporary, const std::string& tree) {
  LD_TRY(ImageStore::Image image, read_image(blobs, digest));
  if (files.exists(tree)) return std::move(image.config);
  LD_TRY_VOID(files.make_directories(temporary));
  auto unpack_all = [&]() -> Result<void> {
    LD_TRY(const auto unpacker, ImageUnpacker::open(temporary, limits));
    for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
      LD_TRY_VOID(unpacker->apply(blobs.path(image.manifest.layers[i].digest), image.config.diff_ids[i]));
    }
    LD_TRY(const ImageReport report, unpacker->finish());
    log.info(
        "image_unpacked",
        {{"digest", digest}, {"bytes", report.bytes}, {"entries", report.nodes}, {"devices_dropped", report.dropped}});
    return rename_directory(temporary, tree);
  };
  auto placed = unpack_all();
  if (placed) return std::move(image.config);
  if (auto removed = files.remove_tree(temporary); !removed) {
    log.warn("image_leftover", {{"directory", temporary}, {"error", removed.error().detail}});
  }
  // Somebody else was faster: a request that was cancelled leaves its work running.
  if (files.exists(tree)) return std::move(image.config);
  return std::unexpected(placed.error());
}

/// With everything that the manifests refer to, also through indexes.
void add_references(const ImageBlobs& blobs, std::set<std::string> manifests, std::set<std::string>& keep) {
  for (int depth = 0; depth < 4 && !manifests.empty(); ++depth) {
    std::set<std::string> next;
    for (const std::string& digest : manifests) {
      keep.insert(digest);
      auto bytes = blobs.read(digest, kManifestBytesMax);
      if (!bytes) continue;  // a row whose blob is gone keeps nothing
      auto manifest = parse_manifest(*bytes);
      if (!manifest) continue;
      for (std::string& referenced : manifest->references()) {
        if (manifest->is_index()) next.insert(referenced);
        keep.insert(std::move(referenced));
      }
    }
    manifests = std::move(next);
  }
}

}  // namespace

/// Shared with the Refs, which may outlive the store.
struct ImageStore::State {
  std::map<std::string, std::weak_ptr<const Held>> held;
  std::function<void()> last_ref_gone;  ///< empty once stopped
};

ImageStore::ImageStore(System& system, Logger& log, std::string directory, ImageLimits limits)
    : system_(system),
      log_(log),
      blobs_(system.files, directory + "/blobs"),
      trees_(directory + "/trees"),
      limits_(limits),
      state_(std::make_shared<State>()),
      busy_(system.loop),
      tasks_(system.loop) {
  state_->last_ref_gone = [this] { collect_later(); };
}

ImageStore::~ImageStore() { state_->last_ref_gone = nullptr; }

ImageStore::Roots ImageStore::named() const {
  Roots roots;
  for (const auto& ask : roots_) ask(roots);
  for (const auto& [digest, ref] : state_->held) roots.images.insert(digest);
  return roots;
}

Async<Result<void>> ImageStore::start() {
  auto prepared = co_await system_.workers.run([files = &system_.files, blobs = &blobs_, trees = trees_] {
    auto prepare = [&]() -> Result<void> {
      LD_TRY_VOID(blobs->start());
      LD_TRY_VOID(files->make_directories(trees));
      // Trees were written without a sync: after a crash of the machine they may lack data.
      auto boot_id = files->read("/proc/sys/kernel/random/boot_id");
      auto written_in = files->read(trees + std::string(kBootIdFile));
      const bool same_boot = boot_id && written_in && *boot_id == *written_in;
      LD_TRY(const auto names, files->list(trees));
      for (const std::string& name : names) {
        const bool is_tree = is_image_digest(digest_from_hex(name));
        if (is_tree ? same_boot : !name.starts_with(kTemporaryPrefix)) continue;
        LD_TRY_VOID(files->remove_tree(trees + "/" + name));
      }
      if (!boot_id || same_boot) return {};
      return files->write_durably(trees + std::string(kBootIdFile), *boot_id);
    };
    return prepare();
  });
  if (!prepared) co_return fail_with(prepared.error(), "preparing the image store");
  co_return Result<void>();
}

Async<void> ImageStore::stop() {
  state_->last_ref_gone = nullptr;
  co_await tasks_.drain();
  co_await tasks_.stop();
}

ImageStore::Ref ImageStore::hold(const std::string& digest) {
  auto& slot = state_->held[digest];
  if (auto existing = slot.lock()) return existing;
  Ref ref(new Held{digest}, [state = state_](const Held* gone) {
    const auto place = state->held.find(gone->digest);
    if (place != state->held.end() && place->second.expired()) {
      state->held.erase(place);
      if (state->last_ref_gone) state->last_ref_gone();
    }
    delete gone;
  });
  slot = ref;
  return ref;
}

Async<Result<ImageStore::Image>> ImageStore::inspect(std::string digest) {
  if (!is_image_digest(digest)) co_return fail(Errc::kInvalid, "'{}' is no digest", escape_control(digest));
  co_return co_await system_.workers.run([blobs = &blobs_, digest] { return read_image(*blobs, digest); });
}

Async<Result<ImageStore::Unpacked>> ImageStore::unpacked(std::string digest) {
  if (!is_image_digest(digest)) co_return fail(Errc::kInvalid, "'{}' is no digest", escape_control(digest));
  Unpacked result{.image = hold(digest), .directory = tree(digest)};
  auto guard = co_await busy_.acquire(digest);
  auto activity = system_.activity.begin();
  const std::string temporary = fmt::format("{}/{}{}", trees_, kTemporaryPrefix, system_.random.hex(16));
  struct Made {
    ImageConfig config;
    std::vector<std::string> extensions;
  };
  auto made = co_await system_.workers.run([files = &system_.files, log = &log_, blobs = &blobs_, limits = limits_,
                                            digest, temporary, directory = result.directory]() -> Result<Made> {
    Made made;
    LD_TRY(made.config, make_tree(*files, *log, *blobs, limits, digest, temporary, directory));
    made.extensions = programs_in(directory, "/opt/extensions");
    return made;
  });
  if (!made) co_return std::unexpected(std::move(made.error()));
  result.config = std::move(made->config);
  result.extensions = std::move(made->extensions);
  co_return result;
}

void ImageStore::collect_later() {
  if (std::exchange(collecting_, true)) return;
  tasks_.spawn("images.collect", collect());
}

Async<void> ImageStore::collect() {
  // Whoever stops naming something from here on asks for another round.
  collecting_ = false;
  auto guard = co_await busy_.acquire("collect");
  const Roots roots = named();
  if (roots.everything) co_return;
  auto kept = co_await system_.workers.run(
      [blobs = &blobs_, files = &system_.files, roots, trees = trees_]() -> Result<std::vector<std::string>> {
        std::set<std::string> keep = roots.blobs;
        add_references(*blobs, roots.images, keep);
        add_references(*blobs, roots.manifests, keep);
        LD_TRY(const std::size_t removed, blobs->sweep(keep));
        (void)removed;
        return files->list(trees);
      });
  if (!kept) {
    log_.warn("images_not_collected", {{"error", kept.error().detail}});
    co_return;
  }
  for (const std::string& name : *kept) {
    const std::string digest = digest_from_hex(name);
    if (!is_image_digest(digest)) continue;
    auto turn = co_await busy_.acquire(digest);
    // Who wants the tree from here on waits for its turn, then makes it again.
    if (const Roots now = named(); now.everything || now.images.contains(digest)) continue;
    auto gone = co_await system_.workers.run(
        [files = &system_.files, directory = tree(digest)] { return files->remove_tree(directory); });
    if (!gone) log_.warn("image_not_removed", {{"digest", digest}, {"error", gone.error().detail}});
  }
}

}  // namespace lambdad::package
