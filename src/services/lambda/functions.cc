#include "services/lambda/functions.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "services/lambda/images.h"

namespace lambdad::lambda {
namespace {

constexpr Duration kFinishRetryMin = std::chrono::milliseconds(200);  // real time: the disk or a worker failed
constexpr Duration kFinishRetryMax = std::chrono::seconds(30);

/// A snapshot that keeps its code: environments hold the snapshot.
struct HoldingVersion final : ports::FunctionVersion {
  std::vector<package::PackageStore::Ref> packages;
  package::ImageStore::Ref held_image;
};

std::vector<std::string> layer_digests(const Settings& settings) {
  std::vector<std::string> digests;
  for (const LayerUse& layer : settings.layers) digests.push_back(layer.sha256);
  return digests;
}

/// Every package that an environment with these settings needs: the code, the layers, what the layers are merged into.
/// An image is no package.
std::vector<std::string> packages_of(const Settings& settings) {
  if (settings.image) return {};
  std::vector<std::string> names = layer_digests(settings);
  if (names.size() > 1) names.push_back(package::PackageStore::merged_name(names));
  names.push_back(settings.code_sha256);
  return names;
}

/// Calls each(settings) for $LATEST as shown and as served, and for every version.
template <class Each>
void for_settings(const Function& function, Each each) {
  each(function.current);
  if (function.serving) each(*function.serving);
  for (const auto& [number, version] : function.versions) each(version->settings);
}

/// Which snapshots a qualifier's provisioned concurrency goes to, and how much to each. What is not Active gets none
/// yet. AWS splits an alias's environments over its versions by weight; the rounding is ours.
std::map<std::string, int> provisioned_by_snapshot(const Function& function, const std::string& qualifier,
                                                   int requested) {
  std::map<std::string, int> counts;
  auto give = [&](std::string_view number, int count) {
    auto version = function.version(number);
    if (version != nullptr && version->state == State::kActive && count > 0) {
      counts[version->settings.snapshot_id] += count;
    }
  };
  auto alias = function.aliases.find(qualifier);
  if (alias == function.aliases.end()) {
    give(qualifier, requested);
    return counts;
  }
  for (const auto& [number, weight] : alias->second.weights) {
    const int share = static_cast<int>(weight * requested + 0.5);
    give(number, share);
    requested -= share;
  }
  give(alias->second.function_version, requested);
  return counts;
}

ports::FunctionRef ref_of(const Function& function) {
  return ports::FunctionRef{.account = function.account, .region = function.region, .name = function.name};
}

bool is_latest(const std::string& qualifier) { return qualifier.empty() || qualifier == "$LATEST"; }

}  // namespace

Functions::Functions(System& system, Logger& log, LambdaStore& store, package::PackageStore& packages,
                     PackageUses& uses)
    : system_(system),
      log_(log),
      store_(store),
      packages_(packages),
      uses_(uses),
      busy_(system.loop),
      tasks_(system.loop) {}

Functions::~Functions() { *self_ = nullptr; }

Async<Result<void>> Functions::load() {
  auto stored = co_await store_.load_functions();
  if (!stored) co_return fail_with(stored.error(), "loading functions");
  for (Function& function : *stored) show(std::move(function));
  loaded_ = true;
  co_return Result<void>();
}

void Functions::resume() {
  for (const auto& [key, entry] : entries_) {
    if (entry.function->in_progress()) finish_later(*entry.function);
  }
}

Async<void> Functions::stop() { co_await tasks_.stop(); }

Functions::FunctionPtr Functions::find(const ports::FunctionRef& function) const {
  auto place = entries_.find(key_of(function));
  return place == entries_.end() ? nullptr : place->second.function;
}

std::optional<Functions::Located> Functions::locate(const ports::FunctionRef& function) const {
  auto found = find(function);
  if (found == nullptr) return std::nullopt;
  if (is_latest(function.qualifier)) return Located{.function = found, .version = nullptr};
  if (auto version = found->version(function.qualifier)) return Located{.function = found, .version = version};
  auto alias = found->aliases.find(function.qualifier);
  if (alias == found->aliases.end()) return std::nullopt;
  return Located{.function = found, .version = found->version(alias->second.function_version), .alias = &alias->second};
}

std::vector<Functions::FunctionPtr> Functions::list(const std::string& account, const std::string& region,
                                                    const std::string& after, std::size_t count) const {
  std::vector<FunctionPtr> page;
  for (auto place = entries_.upper_bound({account, region, after});
       place != entries_.end() && page.size() < count && std::get<0>(place->first) == account &&
       std::get<1>(place->first) == region;
       ++place) {
    page.push_back(place->second.function);
  }
  return page;
}

Functions::Usage Functions::usage(const std::string& account, const std::string& region) const {
  auto place = usage_.find({account, region});
  return place == usage_.end() ? Usage() : place->second;
}

void Functions::count(const Function& function, int sign) {
  Usage& usage = usage_[{function.account, function.region}];
  usage.functions += sign;
  usage.code_bytes += sign * function.current.code_size;
  for (const auto& [number, version] : function.versions) usage.code_bytes += sign * version->settings.code_size;
  usage.reserved_concurrency += sign * function.reserved_concurrency.value_or(0);
  if (!function.reserved_concurrency) usage.provisioned_unreserved += sign * function.provisioned_total();
}

Async<KeyedMutex::Guard> Functions::lock(const ports::FunctionRef& function) {
  return busy_.acquire(fmt::format("{}/{}/{}", function.account, function.region, function.name));
}

Async<KeyedMutex::Guard> Functions::lock_concurrency(std::string account, std::string region) {
  return busy_.acquire(fmt::format("concurrency:{}/{}", account, region));
}

Async<Result<void>> Functions::commit(Function function, package::PackageStore::Ref code) {
  static_cast<void>(code);  // kept by this frame until the function names it
  auto before = find(ref_of(function));
  std::vector<VersionPtr> versions;
  std::vector<int> removed;
  for (const auto& [number, version] : function.versions) {
    if (before == nullptr || !before->versions.contains(number) || before->versions.at(number) != version) {
      versions.push_back(version);
    }
  }
  if (before != nullptr) {
    for (const auto& [number, version] : before->versions) {
      if (!function.versions.contains(number)) removed.push_back(number);
    }
  }
  auto saved = co_await store_.save_function(function, std::move(versions), std::move(removed));
  if (!saved) co_return fail_with(saved.error(), "storing a function");
  // Only the change that began it is followed by a task; tags of a function that is being created are not.
  const bool begun =
      function.in_progress() && (before == nullptr || before->current.snapshot_id != function.current.snapshot_id);
  if (begun) finish_later(function);
  show(std::move(function));
  co_return Result<void>();
}

Async<Result<void>> Functions::erase(ports::FunctionRef ref) {
  auto removed = co_await store_.remove_function(ref.account, ref.region, ref.name);
  if (!removed) co_return fail_with(removed.error(), "removing a function");
  auto place = entries_.find(key_of(ref));
  if (place == entries_.end()) co_return Result<void>();
  Entry gone = std::move(place->second);
  entries_.erase(place);
  count(*gone.function, -1);
  let_go(*gone.function);
  ref.qualifier.clear();
  changed(ref);
  co_return Result<void>();
}

void Functions::show(Function function) {
  const ports::FunctionRef ref = ref_of(function);
  Entry& entry = entries_[key_of(ref)];
  FunctionPtr before = std::exchange(entry.function, std::make_shared<const Function>(std::move(function)));
  const Function& now = *entry.function;
  count(now, +1);
  std::set<std::string_view> live;
  for_settings(now, [&](const Settings& settings) {
    for (const std::string& name : packages_of(settings)) uses_.add(name);
    if (&settings != &now.current) live.insert(settings.snapshot_id);
  });
  bool lost = false;
  if (before != nullptr) {
    count(*before, -1);
    let_go(*before);
    for_settings(*before, [&](const Settings& settings) {
      if (&settings != &before->current) lost = lost || !live.contains(settings.snapshot_id);
    });
    lost = lost || (!before->serving && now.serving);
  }
  std::erase_if(entry.snapshots, [&](const auto& each) { return !live.contains(each.first); });
  provision(entry);
  if (lost) changed(ref);
}

void Functions::let_go(const Function& function) {
  bool had_image = false;
  for_settings(function, [&](const Settings& settings) {
    for (const std::string& name : packages_of(settings)) uses_.drop(name);
    had_image = had_image || settings.image.has_value();
  });
  if (had_image && images_ != nullptr) images_->store().collect_later();
}

void Functions::provision(Entry& entry) {
  if (provisioner_ == nullptr) return;
  const Function& function = *entry.function;
  std::map<std::string, int> wanted;
  for (const auto& [qualifier, settings] : function.provisioned) {
    for (const auto& [id, count] : provisioned_by_snapshot(function, qualifier, settings.requested)) {
      wanted[id] += count;
    }
  }
  if (wanted == entry.provisioned) return;
  // A version that is gone needs no word: its snapshot is retired.
  for (const auto& [number, version] : function.versions) {
    const std::string& id = version->settings.snapshot_id;
    auto told = entry.provisioned.find(id);
    auto want = wanted.find(id);
    const int count = want == wanted.end() ? 0 : want->second;
    if (count == (told == entry.provisioned.end() ? 0 : told->second)) continue;
    provisioner_->provision(snapshot(entry, version->settings, std::to_string(number)), count);
  }
  entry.provisioned = std::move(wanted);
}

void Functions::set_provisioner(ports::EnvironmentProvisioner& provisioner) {
  provisioner_ = &provisioner;
  for (auto& [key, entry] : entries_) provision(entry);
}

ports::EnvironmentProvisioner::Status Functions::provisioned(const Function& function,
                                                             const std::string& qualifier) const {
  ports::EnvironmentProvisioner::Status total;
  auto place = function.provisioned.find(qualifier);
  if (place == function.provisioned.end()) return total;
  total.requested = place->second.requested;
  if (provisioner_ == nullptr) return total;
  for (const auto& [id, count] : provisioned_by_snapshot(function, qualifier, total.requested)) {
    const auto status = provisioner_->provisioned(id);
    total.allocated += std::min(status.allocated, count);
    total.available += std::min(status.available, count);
    if (total.failure.empty()) total.failure = status.failure;
  }
  return total;
}

ports::FunctionVersionPtr Functions::snapshot(Entry& entry, const Settings& settings, const std::string& version) {
  auto& cached = entry.snapshots[settings.snapshot_id];
  if (cached == nullptr) cached = make_snapshot(*entry.function, settings, version);
  return cached;
}

ports::FunctionVersionPtr Functions::make_snapshot(const Function& function, const Settings& settings,
                                                   const std::string& number) {
  auto version = std::make_shared<HoldingVersion>();
  version->account = function.account;
  version->region = function.region;
  version->name = function.name;
  version->version = number;
  version->snapshot_id = settings.snapshot_id;
  version->runtime = settings.runtime;
  version->handler = settings.handler;
  version->role = settings.role;
  version->code_sha256 = settings.code_sha256;
  version->timeout = std::chrono::seconds(settings.timeout_seconds);
  version->memory_mb = settings.memory_mb;
  version->ephemeral_storage_mb = settings.ephemeral_storage_mb;
  version->environment = settings.environment.value_or(std::map<std::string, std::string>());
  version->layers = layer_digests(settings);
  version->log_group = settings.log_group;
  version->log_settings = log_settings(settings.logging);
  version->traces = settings.tracing_mode == "Active";
  version->dead_letter_arn = settings.dead_letter_arn;
  for (const std::string& name : packages_of(settings)) version->packages.push_back(packages_.hold(name));
  if (settings.image) {
    version->image = settings.image->config.value_or(ports::ImageOverrides());
    if (images_ != nullptr) {
      version->held_image = images_->store().hold(package::digest_from_hex(settings.code_sha256));
    }
  }
  return version;
}

void Functions::name_images(package::ImageStore::Roots& roots) const {
  for (const auto& [key, entry] : entries_) {
    for_settings(*entry.function, [&roots](const Settings& settings) {
      if (settings.image) roots.images.insert(package::digest_from_hex(settings.code_sha256));
    });
  }
}

void Functions::set_images(package::ImageSources& images) {
  images_ = &images;
  images.store().add_roots([self = self_](package::ImageStore::Roots& roots) {
    if (*self != nullptr && (*self)->loaded_) {
      (*self)->name_images(roots);
    } else {
      roots.everything = true;
    }
  });
}

void Functions::changed(const ports::FunctionRef& function) {
  for (const auto& listener : listeners_) listener(function);
}

void Functions::finish_later(const Function& function) {
  tasks_.spawn("lambda.finish_change", finish(ref_of(function), function.current));
}

/// Everything an environment will mount is unpacked now, not at the first cold start.
Async<Result<void>> Functions::prepare(Settings settings) {
  if (settings.image) {
    if (images_ == nullptr) co_return fail(Errc::kInvalid, "images are not served");
    LD_CO_TRY([[maybe_unused]] const auto fetched,
              co_await images_->fetch(settings.image->uri, package::digest_from_hex(settings.code_sha256)));
    co_return Result<void>();
  }
  auto code = co_await packages_.unpacked(settings.code_sha256);
  if (!code) co_return std::unexpected(std::move(code.error()));
  if (!settings.layers.empty()) {
    auto layers = co_await packages_.merged(layer_digests(settings));
    if (!layers) co_return std::unexpected(std::move(layers.error()));
  }
  co_return Result<void>();
}

Async<void> Functions::finish(ports::FunctionRef ref, Settings settings) {
  auto activity = system_.activity.begin();
  Duration pause = kFinishRetryMin;
  for (int attempt = 1;; ++attempt) {
    auto unpacked = co_await prepare(settings);
    const bool package_is_bad = !unpacked && is_final(unpacked.error(), settings, attempt);
    std::string why = unpacked ? std::string() : unpacked.error().detail;
    if (unpacked || package_is_bad) {
      auto guard = co_await lock(ref);
      auto now = find(ref);
      // Deleted, or made anew under the same name: somebody else's task.
      if (now == nullptr || now->current.snapshot_id != settings.snapshot_id || !now->in_progress()) co_return;
      Function done = *now;
      if (unpacked) {
        finish_change(done);
      } else {
        fail_change(done, state_reason_code(unpacked.error(), settings),
                    fmt::format("The code could not be unpacked: {}", why));
      }
      done.revision_id = new_revision();
      auto committed = co_await commit(std::move(done));
      if (committed) {
        log_.info(unpacked ? "function_ready" : "function_failed",
                  {{"function", ref.arn().str()}, {"code_sha256", settings.code_sha256}, {"reason", why}});
        co_return;
      }
      why = committed.error().detail;
    }
    log_.warn("function_change_delayed", {{"function", ref.arn().str()}, {"reason", why}});
    activity.release();  // waiting is not work: virtual time may move on
    co_await system_.host_clock.sleep_for(pause);
    activity = system_.activity.begin();
    pause = std::min(pause * 2, kFinishRetryMax);
  }
}

std::expected<ports::FunctionVersionPtr, ports::ResolveFailure> Functions::resolve(const ports::FunctionRef& function) {
  auto place = entries_.find(key_of(function));
  if (place == entries_.end()) return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
  Entry& entry = place->second;
  const Function& found = *entry.function;
  std::string_view number = function.qualifier;
  if (auto alias = found.aliases.find(function.qualifier); alias != found.aliases.end()) {
    number = alias->second.function_version;
    for (const auto& [version, weight] : alias->second.weights) {
      if (system_.random.unit() < weight) number = version;
    }
  }
  if (number.empty() || number == "$LATEST") {
    if (found.serving) return snapshot(entry, *found.serving, "$LATEST");
    return std::unexpected(found.state == State::kFailed ? ports::ResolveFailure::kFailed
                                                         : ports::ResolveFailure::kPending);
  }
  auto version = found.version(number);
  if (version == nullptr) return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
  switch (version->state) {
    case State::kActive: return snapshot(entry, version->settings, std::string(number));
    case State::kPending: return std::unexpected(ports::ResolveFailure::kPending);
    case State::kFailed: break;
  }
  return std::unexpected(ports::ResolveFailure::kFailed);
}

std::optional<int> Functions::reserved_concurrency(const ports::FunctionRef& function) {
  auto found = find(function);
  return found == nullptr ? std::nullopt : found->reserved_concurrency;
}

int Functions::reserved_concurrency_total(const std::string& account, const std::string& region) {
  return usage(account, region).taken();
}

int Functions::provisioned_concurrency(const ports::FunctionRef& function) {
  auto found = find(function);
  return found == nullptr ? 0 : found->provisioned_total();
}

bool Functions::stops_loops(const ports::FunctionRef& function) {
  auto found = find(function);
  return found == nullptr || found->recursive_loop == "Terminate";
}

std::vector<std::string> Functions::snapshots(const ports::FunctionRef& function) {
  std::vector<std::string> ids;
  auto found = find(function);
  if (found == nullptr) return ids;
  if (found->serving) ids.push_back(found->serving->snapshot_id);
  for (const auto& [number, version] : found->versions) ids.push_back(version->settings.snapshot_id);
  return ids;
}

ports::EventInvokeConfig Functions::event_invoke_config(const ports::FunctionRef& function) {
  ports::EventInvokeConfig config;
  auto found = find(function);
  if (found == nullptr) return config;
  auto place = found->event_invoke.find(function.qualifier.empty() ? "$LATEST" : function.qualifier);
  if (place == found->event_invoke.end()) return config;
  config.maximum_retry_attempts = place->second.maximum_retry_attempts.value_or(config.maximum_retry_attempts);
  if (place->second.maximum_event_age_seconds) {
    config.maximum_event_age = std::chrono::seconds(*place->second.maximum_event_age_seconds);
  }
  config.on_success = place->second.on_success;
  config.on_failure = place->second.on_failure;
  return config;
}

void Functions::on_change(std::function<void(const ports::FunctionRef&)> listener) {
  listeners_.push_back(std::move(listener));
}

}  // namespace lambdad::lambda
