#include "package/package_store.h"

#include "base/encoding.h"
#include "base/hash.h"
#include "package/merge.h"

namespace lambdad::package {
namespace {

constexpr std::string_view kBootIdFile = "/.boot_id";
constexpr std::string_view kTemporaryPrefix = ".unpacking-";

bool is_digest(std::string_view name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Puts what was made in `temporary` into its place, or removes it when making it failed.
Result<void> place_tree(Files& files, Logger& log, Result<void> made, const std::string& temporary,
                        const std::string& tree) {
  Result<void> placed = made ? rename_directory(temporary, tree) : made;
  if (placed) return {};
  if (auto removed = files.remove_tree(temporary); !removed) {
    log.warn("package_leftover", {{"directory", temporary}, {"error", removed.error().detail}});
  }
  // Somebody else was faster: a request that was cancelled leaves its work running.
  if (made && files.exists(tree)) return {};
  return placed;
}

/// Runs on a worker thread, perhaps after the store is gone: uses only what outlives the worker pool.
Result<void> make_tree(Files& files, Logger& log, store::Blobs& blobs, const UnpackLimits& limits,
                       const std::string& sha256, const std::string& temporary, const std::string& tree) {
  if (files.exists(tree)) return {};
  LD_TRY(const std::string bytes, blobs.get(sha256));
  LD_TRY_VOID(files.make_directories(temporary));
  auto unpacked = unpack(bytes, temporary, limits);
  return place_tree(files, log, unpacked ? Result<void>() : std::unexpected(unpacked.error()), temporary, tree);
}

}  // namespace

/// Shared with the Refs, which may outlive the store.
struct PackageStore::State {
  struct Held {
    std::weak_ptr<const Package> ref;
    bool released = false;  ///< release() was called while a Ref existed
  };
  std::map<std::string, Held> held;
  std::function<void(const std::string&)> last_ref_gone;  ///< empty once stopped
};

PackageStore::PackageStore(System& system, Logger& log, store::Blobs& blobs, std::string directory, UnpackLimits limits)
    : system_(system),
      log_(log),
      blobs_(blobs),
      directory_(std::move(directory)),
      limits_(limits),
      in_use_([](const std::string&) { return true; }),
      state_(std::make_shared<State>()),
      busy_(system.loop),
      tasks_(system.loop) {
  state_->last_ref_gone = [this](const std::string& sha256) {
    tasks_.spawn("package.remove_unneeded", remove_unneeded(sha256));
  };
}

PackageStore::~PackageStore() { state_->last_ref_gone = nullptr; }

Async<Result<void>> PackageStore::start() {
  std::set<std::string> keep;
  auto names = co_await system_.workers.run([files = &system_.files, directory = directory_] {
    if (auto made = files->make_directories(directory); !made) {
      return Result<std::vector<std::string>>(std::unexpected(made.error()));
    }
    return files->list(directory);
  });
  if (!names) co_return fail_with(names.error(), "preparing the package directory");
  for (const std::string& name : *names) {
    if (is_digest(name) && in_use_(name)) keep.insert(name);
  }
  co_return co_await system_.workers.run(
      [files = &system_.files, directory = directory_, names = std::move(*names), keep = std::move(keep)] {
        // Trees were written without a sync: after a crash of the machine they may lack data.
        auto boot_id = files->read("/proc/sys/kernel/random/boot_id");
        auto written_in = files->read(directory + std::string(kBootIdFile));
        const bool same_boot = boot_id && written_in && *boot_id == *written_in;
        for (const std::string& name : names) {
          const bool is_tree = is_digest(name);
          if (!is_tree && !name.starts_with(kTemporaryPrefix)) continue;
          if (is_tree && same_boot && keep.contains(name)) continue;
          if (auto removed = files->remove_tree(directory + "/" + name); !removed) return removed;
        }
        if (!boot_id || same_boot) return Result<void>();
        return files->write_durably(directory + std::string(kBootIdFile), *boot_id);
      });
}

Async<void> PackageStore::stop() {
  state_->last_ref_gone = nullptr;
  co_await tasks_.drain();
  co_await tasks_.stop();
}

PackageStore::Ref PackageStore::hold(const std::string& sha256) {
  auto& held = state_->held[sha256];
  if (auto existing = held.ref.lock()) return existing;
  auto* package = new Package{.sha256 = sha256};
  Ref ref(package, [state = state_](const Package* gone) {
    auto place = state->held.find(gone->sha256);
    if (place != state->held.end() && place->second.ref.expired()) {
      const bool released = place->second.released;
      state->held.erase(place);
      if (released && state->last_ref_gone) state->last_ref_gone(gone->sha256);
    }
    delete gone;
  });
  held.ref = ref;
  return ref;
}

Async<Result<PackageStore::Package>> PackageStore::examine(std::string zip) {
  co_return co_await system_.workers.run([zip = std::move(zip), limits = limits_]() -> Result<Package> {
    LD_TRY(const UnpackReport judged, inspect(zip, limits));
    return Package{.sha256 = hex_encode(sha256(zip)), .size = zip.size(), .unzipped = judged.bytes};
  });
}

Async<Result<PackageStore::Stored>> PackageStore::put(std::string zip) {
  auto bytes = std::make_shared<const std::string>(std::move(zip));
  auto judged = co_await system_.workers.run([bytes, limits = limits_]() -> Result<Package> {
    LD_TRY(const UnpackReport report, inspect(*bytes, limits));
    return Package{.sha256 = hex_encode(sha256(*bytes)), .size = bytes->size(), .unzipped = report.bytes};
  });
  if (!judged) co_return std::unexpected(std::move(judged.error()));
  Stored result{.package = hold(judged->sha256), .unzipped = judged->unzipped};
  auto guard = co_await busy_.acquire(judged->sha256);
  auto stored = co_await system_.workers.run([bytes, blobs = &blobs_] { return blobs->put(*bytes); });
  if (!stored) co_return fail_with(stored.error(), "storing a package");
  co_return result;
}

Async<Result<std::string>> PackageStore::zip(std::string sha256) {
  Ref ref = hold(sha256);
  auto guard = co_await busy_.acquire(sha256);
  co_return co_await system_.workers.run([sha256, blobs = &blobs_] { return blobs->get(sha256); });
}

Async<Result<PackageStore::Unpacked>> PackageStore::unpacked(std::string sha256) {
  if (!is_digest(sha256)) co_return fail(Errc::kInvalid, "'{}' is no digest of a package", escape_control(sha256));
  Unpacked result{.package = hold(sha256), .directory = tree(sha256)};
  auto guard = co_await busy_.acquire(sha256);
  auto activity = system_.activity.begin();
  const std::string temporary = fmt::format("{}/{}{}", directory_, kTemporaryPrefix, system_.random.hex(16));
  auto made = co_await system_.workers.run(
      [files = &system_.files, log = &log_, blobs = &blobs_, limits = limits_, sha256, temporary,
       directory = result.directory] { return make_tree(*files, *log, *blobs, limits, sha256, temporary, directory); });
  if (!made) co_return std::unexpected(std::move(made.error()));
  co_return result;
}

std::string PackageStore::merged_name(const std::vector<std::string>& sha256s) {
  if (sha256s.size() == 1) return sha256s.front();
  std::string list = "merged";
  for (const std::string& each : sha256s) list += "\n" + each;
  return hex_encode(sha256(list));
}

Async<Result<PackageStore::Unpacked>> PackageStore::merged(std::vector<std::string> sha256s) {
  LD_CHECK(!sha256s.empty());
  if (sha256s.size() == 1) co_return co_await unpacked(sha256s.front());
  const std::string name = merged_name(sha256s);
  Unpacked result{.package = hold(name), .directory = tree(name)};
  auto guard = co_await busy_.acquire(name);
  auto activity = system_.activity.begin();
  auto there = co_await system_.workers.run(
      [files = &system_.files, directory = result.directory] { return files->exists(directory); });
  if (there) co_return result;
  std::vector<Ref> held;
  std::vector<std::string> trees;
  for (const std::string& each : sha256s) {
    auto part = co_await unpacked(each);
    if (!part) co_return std::unexpected(std::move(part.error()));
    held.push_back(std::move(part->package));
    trees.push_back(std::move(part->directory));
  }
  const std::string temporary = fmt::format("{}/{}{}", directory_, kTemporaryPrefix, system_.random.hex(16));
  auto made = co_await system_.workers.run(
      [files = &system_.files, log = &log_, trees, temporary, directory = result.directory]() -> Result<void> {
        LD_TRY_VOID(files->make_directories(temporary));
        auto laid = merge_trees(trees, temporary);
        return place_tree(*files, *log, std::move(laid), temporary, directory);
      });
  if (!made) co_return fail_with(made.error(), "merging layers");
  co_return result;
}

void PackageStore::release(const std::string& sha256) {
  if (auto place = state_->held.find(sha256); place != state_->held.end()) {
    place->second.released = true;  // the last Ref's end looks again
    return;
  }
  tasks_.spawn("package.remove_unneeded", remove_unneeded(sha256));
}

Async<void> PackageStore::settle() { co_await tasks_.drain(); }

Async<void> PackageStore::remove_unneeded(std::string sha256) {
  auto guard = co_await busy_.acquire(sha256);
  // Who wants the package from here on waits for `guard`, then finds or makes it again.
  if (state_->held.contains(sha256) || in_use_(sha256)) co_return;
  auto removed = co_await system_.workers.run(
      [files = &system_.files, blobs = &blobs_, sha256, directory = tree(sha256)]() -> Result<void> {
        if (auto tree_gone = files->remove_tree(directory); !tree_gone && tree_gone.error().code != Errc::kNotFound) {
          return tree_gone;
        }
        auto zip_gone = blobs->remove(sha256);
        if (!zip_gone && zip_gone.error().code == Errc::kNotFound) return {};
        return zip_gone;
      });
  if (!removed) log_.warn("package_not_removed", {{"sha256", sha256}, {"error", removed.error().detail}});
}

}  // namespace lambdad::package
