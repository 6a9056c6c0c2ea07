#include "event_sources/mappings/mapping_service.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "ports/function_name.h"

namespace lambdad::event_sources {

namespace api = aws::lambda;

namespace {

// Source: Lambda API reference, ListEventSourceMappings: MaxItems may be larger, a page is not.
constexpr std::size_t kPageMax = 100;

// Source: Lambda Developer Guide, "Using tags": per resource.
constexpr std::size_t kTagsMax = 50;

// Sources of AWS that have no EventSource here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kSourcesNotServed = {{
    {"kinesis", "Kinesis streams"},
    {"dynamodb", "DynamoDB streams"},
    {"kafka", "Amazon MSK clusters"},
    {"mq", "Amazon MQ brokers"},
    {"rds", "DocumentDB clusters"},
}};

std::unexpected<aws::Error> no_such_mapping() {
  return std::unexpected(api::resource_not_found("The resource you requested does not exist."));
}

aws::Outcome<void> check_tag_count(const std::map<std::string, std::string>& tags) {
  if (tags.size() <= kTagsMax) return {};
  return std::unexpected(api::invalid_parameter_value("Number of tags exceeds resource tag limit."));
}

/// Marks an entry as being changed for as long as it lives.
template <class Entry>
class Changing {
 public:
  explicit Changing(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) { entry_->changing = true; }
  ~Changing() { entry_->changing = false; }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  std::shared_ptr<Entry> entry_;
};

}  // namespace

MappingService::MappingService(System& system, Logger& log, Metrics& metrics, Options options,
                               ports::FunctionInvoker& invoker, ports::FunctionCatalog& catalog, ports::ApiCaller& api)
    : context_{system, log, metrics, invoker, catalog, api},
      options_(std::move(options)),
      steps_(system.loop),
      transitions_(system.loop),
      retiring_(system.loop) {
  metrics.on_scrape([this] {
    context_.metrics.gauge("lambdad_esm_mappings", "Event source mappings that exist.")
        .set(static_cast<double>(entries_.size()));
  });
}

MappingService::~MappingService() = default;

void MappingService::add_source(std::unique_ptr<EventSource> source) { sources_.push_back(std::move(source)); }

// --- life -----------------------------------------------------------------------------------------------------------

Result<void> MappingService::start() {
  LD_TRY(store_,
         MappingStore::open(context_.system.loop, options_.data_directory + "/mappings.db", options_.durability));
  LD_TRY(auto mappings, store_->load());
  std::size_t enabled = 0;
  for (Mapping& mapping : mappings) {
    auto entry = std::make_shared<Entry>();
    entry->mapping = std::move(mapping);
    entry->committed = true;
    entries_.emplace(entry->mapping.uuid(), entry);
    if (source_of(entry->mapping) == nullptr) {
      context_.log.error("mapping_source_unknown",
                         {{"mapping", entry->mapping.uuid()}, {"source", entry->mapping.source.str()}});
      continue;
    }
    if (!is_settled(entry->mapping.state)) {
      transitions_.spawn("esm transition", settle(entry));
    } else if (entry->mapping.enabled) {
      poll(*entry);
      ++enabled;
    }
  }
  if (!entries_.empty()) context_.log.info("mappings_resumed", {{"mappings", entries_.size()}, {"polling", enabled}});
  return {};
}

Async<void> MappingService::stop() {
  stopping_ = true;
  co_await steps_.drain();
  co_await transitions_.stop();
  for (const auto& [uuid, entry] : entries_) {
    if (entry->runtime) co_await entry->runtime->stop_polling();
  }
  for (const auto& [uuid, entry] : entries_) {
    if (entry->runtime) co_await entry->runtime->drain();
    entry->runtime.reset();
  }
  co_await retiring_.drain();
  if (store_) store_->close();
}

void MappingService::poll(Entry& entry) {
  entry.runtime = source_of(entry.mapping)->make_runtime(entry.mapping, entry.counts);
  entry.runtime->start();
}

Async<void> MappingService::settle(EntryPtr entry) {
  if (entry->runtime) {
    // It stays the entry's until it has stopped, so that stop() finds it when this task is cancelled here.
    co_await entry->runtime->stop_polling();
    retiring_.spawn("esm retire", retire(std::move(entry->runtime)));
  }
  co_await context_.system.clock.sleep_for(kTransitionTime);
  const auto token = context_.system.activity.begin();
  Mapping& mapping = entry->mapping;
  // Should the commit fail, the row still holds the transient state, from which a restart comes to the same end.
  if (mapping.state == MappingState::kDeleting) {
    const std::string uuid = mapping.uuid();
    auto removed = co_await store_->remove(uuid);
    if (!removed) {
      context_.log.error("mapping_commit_failed", {{"mapping", uuid}, {"reason", removed.error().detail}});
    }
    entries_.erase(uuid);
    co_return;
  }
  Mapping settled = mapping;
  settled.state = mapping.enabled ? MappingState::kEnabled : MappingState::kDisabled;
  if (auto saved = co_await store_->save(settled); !saved) {
    context_.log.error("mapping_commit_failed", {{"mapping", mapping.uuid()}, {"reason", saved.error().detail}});
  }
  mapping.state = settled.state;
  if (mapping.enabled && !stopping_) poll(*entry);
}

Async<void> MappingService::retire(std::shared_ptr<MappingRuntime> runtime) { co_await runtime->drain(); }

// --- what operations share ------------------------------------------------------------------------------------------

Async<MappingService::Change> MappingService::finish(const char* name, Async<Change> step) {
  if (stopping_) co_return std::unexpected(api::service_exception("The service is stopping."));
  Promise<Change> done(context_.system.loop);
  steps_.spawn(name, run_step(std::move(step), done));
  co_return co_await done.get();
}

Async<void> MappingService::run_step(Async<Change> step, Promise<Change> done) {
  const auto token = context_.system.activity.begin();
  done.set(co_await std::move(step));
}

EventSource* MappingService::source_of(const Mapping& mapping) const {
  const auto found = std::ranges::find(sources_, mapping.source.service, [](const auto& s) { return s->service(); });
  return found == sources_.end() ? nullptr : found->get();
}

aws::Outcome<EventSource*> MappingService::find_source(std::string_view operation,
                                                       const api::CreateEventSourceMappingRequest& request) const {
  if (!request.event_source_arn) {
    if (request.self_managed_event_source) {
      return std::unexpected(
          aws::not_served("lambda", operation, "SelfManagedEventSource (self-managed Kafka follows)"));
    }
    return std::unexpected(api::invalid_parameter_value("Unrecognized event source."));
  }
  const auto arn = Arn::parse(*request.event_source_arn);
  if (!arn) return std::unexpected(api::invalid_parameter_value("Unrecognized event source."));
  for (const auto& source : sources_) {
    if (source->service() == arn->service) return source.get();
  }
  for (const auto& [service, what] : kSourcesNotServed) {
    if (service == arn->service) {
      return std::unexpected(
          aws::not_served("lambda", operation, fmt::format("EventSourceArn of {} (they follow)", what)));
    }
  }
  return std::unexpected(api::invalid_parameter_value("Unrecognized event source."));
}

aws::Outcome<ports::FunctionRef> MappingService::find_function(const Caller& caller, const std::string& name) const {
  auto function = ports::parse_function_name(name, caller.account, caller.region);
  // Pending and failed functions exist.
  if (function) {
    const auto found = context_.catalog.resolve(*function);
    if (found || found.error() != ports::ResolveFailure::kNoSuchFunction) return std::move(*function);
  }
  return std::unexpected(api::invalid_parameter_value("Function does not exist"));
}

aws::Outcome<void> MappingService::check_unique(const Mapping& mapping, const EventSource& source) const {
  for (const auto& [uuid, entry] : entries_) {
    const Mapping& other = entry->mapping;
    if (uuid != mapping.uuid() && other.source == mapping.source && other.function == mapping.function) {
      return std::unexpected(source.duplicate(other));
    }
  }
  return {};
}

MappingService::EntryPtr MappingService::find(const Caller& caller, const std::string& uuid) const {
  const auto found = entries_.find(uuid);
  if (found == entries_.end() || !found->second->committed) return nullptr;
  const Mapping& mapping = found->second->mapping;
  return mapping.account == caller.account && mapping.region == caller.region ? found->second : nullptr;
}

aws::Error MappingService::failure(const std::string& request_id, const Error& cause) {
  context_.log.error("mapping_request_failed",
                     {{"request_id", request_id}, {"code", to_string(cause.code)}, {"reason", cause.detail}});
  return api::service_exception("An error occurred and the request cannot be processed.");
}

// --- operations -----------------------------------------------------------------------------------------------------

Async<MappingService::Change> MappingService::create(Caller caller, api::CreateEventSourceMappingRequest request) {
  return finish("esm create", create_step(std::move(caller), std::move(request)));
}

Async<MappingService::Change> MappingService::create_step(Caller caller, api::CreateEventSourceMappingRequest request) {
  const auto source = find_source("CreateEventSourceMapping", request);
  if (!source) co_return std::unexpected(source.error());
  if (auto fits = (*source)->refuse_foreign(request); !fits) co_return std::unexpected(std::move(fits).error());
  auto function = find_function(caller, request.function_name);
  if (!function) co_return std::unexpected(std::move(function).error());

  auto entry = std::make_shared<Entry>();
  Mapping& mapping = entry->mapping;
  mapping.account = caller.account;
  mapping.region = caller.region;
  mapping.enabled = request.enabled.value_or(true);
  mapping.state = mapping.enabled ? MappingState::kCreating : MappingState::kDisabled;
  mapping.function = std::move(*function);
  if (request.tags) mapping.tags = *request.tags;
  if (auto few = check_tag_count(mapping.tags); !few) co_return std::unexpected(std::move(few).error());
  mapping.source = *Arn::parse(*request.event_source_arn);
  const std::string uuid = context_.system.random.uuid_v4();
  Configuration& configuration = mapping.configuration;
  configuration.uuid = uuid;
  configuration.event_source_arn = request.event_source_arn;
  configuration.function_arn = mapping.function.arn().str();
  configuration.event_source_mapping_arn =
      fmt::format("arn:aws:lambda:{}:{}:event-source-mapping:{}", caller.region, caller.account, uuid);
  configuration.last_modified = context_.system.clock.wall();
  configuration.state_transition_reason = std::string((*source)->user_reason());
  if (auto valid = (*source)->configure(mapping, request); !valid) co_return std::unexpected(std::move(valid).error());
  if (auto there = co_await (*source)->check_source(mapping); !there) {
    co_return std::unexpected(std::move(there).error());
  }
  // Into the map before the commit, so that two requests at a time cannot both be the first.
  if (auto unique = check_unique(mapping, **source); !unique) co_return std::unexpected(std::move(unique).error());
  entries_.emplace(uuid, entry);
  if (auto saved = co_await store_->save(mapping); !saved) {
    entries_.erase(uuid);
    co_return std::unexpected(failure(caller.request_id, saved.error()));
  }
  entry->committed = true;
  auto answer = mapping.shown();
  if (!is_settled(mapping.state)) transitions_.spawn("esm transition", settle(entry));
  co_return answer;
}

Async<MappingService::Change> MappingService::update(Caller caller, api::UpdateEventSourceMappingRequest request) {
  return finish("esm update", update_step(std::move(caller), std::move(request)));
}

Async<MappingService::Change> MappingService::update_step(Caller caller, api::UpdateEventSourceMappingRequest request) {
  const EntryPtr entry = find(caller, request.uuid);
  if (!entry) co_return no_such_mapping();
  if (entry->changing || !is_settled(entry->mapping.state)) {
    co_return std::unexpected(api::resource_in_use("Cannot update the event source mapping because it is in use."));
  }
  const Changing changing(entry);
  EventSource* source = source_of(entry->mapping);
  if (source == nullptr) co_return std::unexpected(api::invalid_parameter_value("Unrecognized event source."));
  if (auto fits = source->refuse_foreign(request); !fits) co_return std::unexpected(std::move(fits).error());

  Mapping mapping = entry->mapping;
  if (request.function_name) {
    auto function = find_function(caller, *request.function_name);
    if (!function) co_return std::unexpected(std::move(function).error());
    mapping.function = std::move(*function);
    mapping.configuration.function_arn = mapping.function.arn().str();
  }
  if (auto valid = source->reconfigure(mapping, request); !valid) co_return std::unexpected(std::move(valid).error());
  mapping.enabled = request.enabled.value_or(mapping.enabled);
  if (request.function_name) {
    if (auto there = co_await source->check_source(mapping); !there)
      co_return std::unexpected(std::move(there).error());
    if (auto unique = check_unique(mapping, *source); !unique) co_return std::unexpected(std::move(unique).error());
  }
  if (mapping.enabled == entry->mapping.enabled) {
    mapping.state = MappingState::kUpdating;
  } else {
    mapping.state = mapping.enabled ? MappingState::kEnabling : MappingState::kDisabling;
  }
  mapping.configuration.last_modified = context_.system.clock.wall();
  mapping.configuration.state_transition_reason = std::string(source->user_reason());
  mapping.tags = entry->mapping.tags;  // they change on their own
  if (auto saved = co_await store_->save(mapping); !saved) {
    co_return std::unexpected(failure(caller.request_id, saved.error()));
  }
  mapping.tags = std::move(entry->mapping.tags);
  entry->mapping = std::move(mapping);
  transitions_.spawn("esm transition", settle(entry));
  co_return entry->mapping.shown();
}

Async<MappingService::Change> MappingService::remove(Caller caller, std::string uuid) {
  return finish("esm delete", remove_step(std::move(caller), std::move(uuid)));
}

Async<MappingService::Change> MappingService::remove_step(Caller caller, std::string uuid) {
  const EntryPtr entry = find(caller, uuid);
  if (!entry) co_return no_such_mapping();
  if (entry->changing || !is_settled(entry->mapping.state)) {
    co_return std::unexpected(api::resource_in_use("Cannot delete the event source mapping because it is in use."));
  }
  const Changing changing(entry);
  Mapping mapping = entry->mapping;
  mapping.state = MappingState::kDeleting;
  mapping.tags = entry->mapping.tags;  // they change on their own
  if (auto saved = co_await store_->save(mapping); !saved) {
    co_return std::unexpected(failure(caller.request_id, saved.error()));
  }
  mapping.tags = std::move(entry->mapping.tags);
  entry->mapping = std::move(mapping);
  transitions_.spawn("esm transition", settle(entry));
  co_return entry->mapping.shown();
}

aws::Outcome<MappingService::Configuration> MappingService::get(const Caller& caller, const std::string& uuid) const {
  const EntryPtr entry = find(caller, uuid);
  if (!entry) return no_such_mapping();
  return entry->mapping.shown();
}

aws::Outcome<api::ListEventSourceMappingsResponse> MappingService::list(
    const Caller& caller, const api::ListEventSourceMappingsRequest& request) const {
  api::ListEventSourceMappingsResponse response;
  auto& page = response.event_source_mappings.emplace();
  std::optional<ports::FunctionRef> function;
  if (request.function_name) {
    function = ports::parse_function_name(*request.function_name, caller.account, caller.region);
    if (!function) return response;
  }
  const std::size_t page_size = std::min(kPageMax, static_cast<std::size_t>(request.max_items.value_or(kPageMax)));
  auto at = entries_.begin();
  if (request.marker) {
    const auto last = base64_decode(*request.marker);
    if (!last) return std::unexpected(api::invalid_parameter_value("Invalid Marker."));
    at = entries_.upper_bound(*last);
  }
  for (; at != entries_.end(); ++at) {
    const Entry& entry = *at->second;
    const Mapping& mapping = entry.mapping;
    if (!entry.committed || mapping.account != caller.account || mapping.region != caller.region) continue;
    if (function && mapping.function != *function) continue;
    if (request.event_source_arn && mapping.configuration.event_source_arn != request.event_source_arn) continue;
    if (page.size() == page_size) {
      response.next_marker = base64_encode(*page.back().uuid);
      break;
    }
    page.push_back(mapping.shown());
  }
  return response;
}

// --- tags -----------------------------------------------------------------------------------------------------------

namespace {
constexpr std::string_view kArnResource = "event-source-mapping:";
}

bool MappingService::owns(const std::string& arn) const {
  const auto parsed = Arn::parse(arn);
  return parsed && parsed->service == "lambda" && parsed->resource.starts_with(kArnResource);
}

MappingService::EntryPtr MappingService::find_tagged(const std::string& arn) const {
  const auto parsed = Arn::parse(arn);
  const Caller owner{.account = parsed->account, .region = parsed->region, .request_id = {}};
  return find(owner, parsed->resource.substr(kArnResource.size()));
}

aws::Outcome<MappingService::Tags> MappingService::tags(const std::string& arn) const {
  const EntryPtr entry = find_tagged(arn);
  if (!entry) return std::unexpected(api::resource_not_found("Event source mapping not found: " + arn));
  return entry->mapping.tags;
}

Async<aws::Outcome<void>> MappingService::change_tags(std::string arn, Tags set, std::vector<std::string> remove) {
  const EntryPtr entry = find_tagged(arn);
  if (!entry) co_return std::unexpected(api::resource_not_found("Event source mapping not found: " + arn));
  const Tags before = entry->mapping.tags;
  Tags after = before;
  for (auto& [key, value] : set) after.insert_or_assign(key, std::move(value));
  for (const std::string& key : remove) after.erase(key);
  if (auto few = check_tag_count(after); !few) co_return std::unexpected(std::move(few).error());
  // At once, so that a change of state that is committed meanwhile carries them.
  entry->mapping.tags = std::move(after);
  if (auto saved = co_await store_->save(entry->mapping); !saved) {
    entry->mapping.tags = before;
    co_return std::unexpected(failure({}, saved.error()));
  }
  co_return aws::Outcome<void>();
}

}  // namespace lambdad::event_sources
