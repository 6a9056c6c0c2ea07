#include "services/lambda/functions.h"

#include <algorithm>

namespace lambdad::lambda {
namespace {

constexpr Duration kFinishRetryMin = std::chrono::milliseconds(200);  // real time: the disk or a worker failed
constexpr Duration kFinishRetryMax = std::chrono::seconds(30);

/// A snapshot that keeps its code: environments hold the snapshot.
struct HoldingVersion final : ports::FunctionVersion {
  package::PackageStore::Ref package;
};

ports::FunctionRef ref_of(const Function& function) {
  return ports::FunctionRef{.account = function.account, .region = function.region, .name = function.name};
}

bool is_latest(const std::string& qualifier) { return qualifier.empty() || qualifier == "$LATEST"; }

}  // namespace

Functions::Functions(System& system, Logger& log, store::Database& database, package::PackageStore& packages)
    : system_(system), log_(log), store_(database), packages_(packages), busy_(system.loop), tasks_(system.loop) {
  packages_.set_in_use([this](const std::string& sha256) { return names_package(sha256); });
}

Functions::~Functions() {
  packages_.set_in_use([](const std::string&) { return true; });
}

Async<Result<void>> Functions::load() {
  auto stored = co_await store_.load();
  if (!stored) co_return fail_with(stored.error(), "loading functions");
  for (Function& function : *stored) {
    auto code = packages_.hold(function.current.code_sha256);
    show(std::move(function), std::move(code));
  }
  for (const auto& [key, entry] : entries_) {
    if (entry.function->in_progress()) finish_later(*entry.function);
  }
  co_return Result<void>();
}

Async<void> Functions::stop() { co_await tasks_.stop(); }

Functions::FunctionPtr Functions::find(const ports::FunctionRef& function) const {
  auto place = entries_.find(key_of(function));
  return place == entries_.end() ? nullptr : place->second.function;
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
  Usage usage;
  for (auto place = entries_.lower_bound({account, region, ""});
       place != entries_.end() && std::get<0>(place->first) == account && std::get<1>(place->first) == region;
       ++place) {
    const Function& function = *place->second.function;
    ++usage.functions;
    usage.code_bytes += function.current.code_size;
    usage.reserved_concurrency += function.reserved_concurrency.value_or(0);
  }
  return usage;
}

Async<KeyedMutex::Guard> Functions::lock(const ports::FunctionRef& function) {
  return busy_.acquire(fmt::format("{}/{}/{}", function.account, function.region, function.name));
}

Async<KeyedMutex::Guard> Functions::lock_concurrency(std::string account, std::string region) {
  return busy_.acquire(fmt::format("concurrency:{}/{}", account, region));
}

Async<Result<void>> Functions::commit(Function function, package::PackageStore::Ref code) {
  auto saved = co_await store_.save(function);
  if (!saved) co_return fail_with(saved.error(), "storing a function");
  // Only the change that began it is followed by a task; tags of a function that is being created are not.
  auto before = find(ref_of(function));
  const bool begun =
      function.in_progress() && (before == nullptr || before->current.snapshot_id != function.current.snapshot_id);
  show(function, std::move(code));
  if (begun) finish_later(function);
  co_return Result<void>();
}

Async<Result<void>> Functions::erase(ports::FunctionRef ref) {
  auto removed = co_await store_.remove(ref.account, ref.region, ref.name);
  if (!removed) co_return fail_with(removed.error(), "removing a function");
  auto place = entries_.find(key_of(ref));
  if (place == entries_.end()) co_return Result<void>();
  Entry gone = std::move(place->second);
  entries_.erase(place);
  packages_.release(gone.function->current.code_sha256);
  if (gone.function->serving) packages_.release(gone.function->serving->code_sha256);
  ref.qualifier.clear();
  changed(ref);
  co_return Result<void>();
}

void Functions::show(Function function, package::PackageStore::Ref code) {
  const ports::FunctionRef ref = ref_of(function);
  Entry& entry = entries_[key_of(ref)];
  Entry before = std::exchange(entry, Entry{});
  const std::string_view served_before =
      before.snapshot == nullptr ? std::string_view() : std::string_view(before.snapshot->snapshot_id);
  const std::string_view serves =
      function.serving ? std::string_view(function.serving->snapshot_id) : std::string_view();
  const bool other_snapshot = served_before != serves;
  entry.snapshot = other_snapshot ? make_snapshot(function) : before.snapshot;
  entry.function = std::make_shared<const Function>(std::move(function));
  entry.code = std::move(code);
  if (before.function == nullptr) return;
  packages_.release(before.function->current.code_sha256);
  if (before.function->serving) packages_.release(before.function->serving->code_sha256);
  if (other_snapshot) changed(ref);
}

ports::FunctionVersionPtr Functions::make_snapshot(const Function& function) {
  if (!function.serving) return nullptr;
  const Settings& settings = *function.serving;
  auto version = std::make_shared<HoldingVersion>();
  version->account = function.account;
  version->region = function.region;
  version->name = function.name;
  version->version = "$LATEST";
  version->snapshot_id = settings.snapshot_id;
  version->runtime = settings.runtime;
  version->handler = settings.handler;
  version->role = settings.role;
  version->code_sha256 = settings.code_sha256;
  version->timeout = std::chrono::seconds(settings.timeout_seconds);
  version->memory_mb = settings.memory_mb;
  version->ephemeral_storage_mb = settings.ephemeral_storage_mb;
  version->environment = settings.environment.value_or(std::map<std::string, std::string>());
  version->log_group = settings.log_group;
  version->dead_letter_arn = settings.dead_letter_arn;
  version->package = packages_.hold(settings.code_sha256);
  return version;
}

bool Functions::names_package(const std::string& sha256) const {
  return std::ranges::any_of(entries_, [&](const auto& place) {
    const Function& function = *place.second.function;
    return function.current.code_sha256 == sha256 || (function.serving && function.serving->code_sha256 == sha256);
  });
}

void Functions::changed(const ports::FunctionRef& function) {
  for (const auto& listener : listeners_) listener(function);
}

void Functions::finish_later(const Function& function) {
  tasks_.spawn("lambda.finish_change",
               finish(ref_of(function), function.current.snapshot_id, function.current.code_sha256));
}

Async<void> Functions::finish(ports::FunctionRef ref, std::string snapshot_id, std::string code_sha256) {
  auto activity = system_.activity.begin();
  Duration pause = kFinishRetryMin;
  for (;;) {
    auto unpacked = co_await packages_.unpacked(code_sha256);
    const bool package_is_bad =
        !unpacked && (unpacked.error().code == Errc::kInvalid || unpacked.error().code == Errc::kTooLarge ||
                      unpacked.error().code == Errc::kNotFound || unpacked.error().code == Errc::kCorrupt);
    std::string why = unpacked ? std::string() : unpacked.error().detail;
    if (unpacked || package_is_bad) {
      auto guard = co_await lock(ref);
      auto now = find(ref);
      // Deleted, or made anew under the same name: somebody else's task.
      if (now == nullptr || now->current.snapshot_id != snapshot_id || !now->in_progress()) co_return;
      Function done = *now;
      if (unpacked) {
        finish_change(done);
      } else {
        fail_change(done, "InvalidZipFileException", fmt::format("The code could not be unpacked: {}", why));
      }
      done.revision_id = new_revision();
      auto committed = co_await commit(std::move(done), packages_.hold(code_sha256));
      if (committed) {
        log_.info(unpacked ? "function_ready" : "function_failed",
                  {{"function", ref.arn().str()}, {"code_sha256", code_sha256}, {"reason", why}});
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
  if (place == entries_.end() || !is_latest(function.qualifier)) {
    return std::unexpected(ports::ResolveFailure::kNoSuchFunction);
  }
  if (place->second.snapshot != nullptr) return place->second.snapshot;
  return std::unexpected(place->second.function->state == State::kFailed ? ports::ResolveFailure::kFailed
                                                                         : ports::ResolveFailure::kPending);
}

std::optional<int> Functions::reserved_concurrency(const ports::FunctionRef& function) {
  auto found = find(function);
  return found == nullptr ? std::nullopt : found->reserved_concurrency;
}

int Functions::reserved_concurrency_total(const std::string& account, const std::string& region) {
  return usage(account, region).reserved_concurrency;
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
  return config;
}

void Functions::on_change(std::function<void(const ports::FunctionRef&)> listener) {
  listeners_.push_back(std::move(listener));
}

}  // namespace lambdad::lambda
