#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aws/dispatcher.h"
#include "event_sources/mappings/mapping_store.h"
#include "event_sources/mappings/source.h"
#include "ports/tags.h"

namespace lambdad::event_sources {

/// How long a mapping stays in a transient state, on AWS's clock: long enough to be seen by a client that asks twice,
/// short enough not to be waited for. AWS takes seconds to minutes.
inline constexpr Duration kTransitionTime = 200ms;

/// Event source mappings: their control plane, and the runtimes of those that are enabled.
///
///   create ─▶ Creating ──▶ Enabled ◀──▶ Updating        (Disabled comes back from Updating to Disabled)
///      └─(Enabled=false)─▶ Disabled ─▶ Enabling ─▶ Enabled ─▶ Disabling ─▶ Disabled
///                          any settled state ─▶ Deleting ─▶ gone
///
/// A change is answered after its commit, in the transient state, and refused with ResourceInUseException while one is
/// under way. Receiving ends right with the commit; what functions are running then goes on, and is settled with the
/// settings it began with. A mapping outlives its function and its source.
///
/// After a restart every transient state has come to its end, and enabled mappings poll again.
///
///   MappingService mappings(system, log, metrics, options, invoker, catalog, api);
///   mappings.add_source(std::make_unique<SqsSource>(mappings.context(), ...));
///   mappings.start();  mappings.register_operations(dispatcher);  ...  co_await mappings.stop();
///
/// Ownership: owns rows, sources and runtimes; borrows the rest, which outlives it. Threading: the loop only.
/// End: stop() ends receiving and lets running batches finish; required before destruction once start() was called.
class MappingService final : public ports::TaggedResources {
 public:
  struct Options {
    std::string data_directory;  ///< exists; mappings.db is made in it
    store::Durability durability = store::Durability::kFull;
  };
  MappingService(System& system, Logger& log, Metrics& metrics, Options options, ports::FunctionInvoker& invoker,
                 ports::FunctionCatalog& catalog, ports::ApiCaller& api);
  ~MappingService() override;

  const SourceContext& context() const { return context_; }
  /// Before start().
  void add_source(std::unique_ptr<EventSource> source);
  /// Opens the rows and lets enabled mappings poll. Blocks.
  Result<void> start();
  void register_operations(aws::Dispatcher& dispatcher);
  Async<void> stop();

  std::size_t size() const { return entries_.size(); }
  bool healthy() const { return store_ == nullptr || store_->healthy(); }

  using Configuration = aws::lambda::EventSourceMappingConfiguration;
  /// Whom an operation is for.
  struct Caller {
    std::string account;
    std::string region;
    std::string request_id;
  };
  /// The operations. A change goes on to its end when its caller is cancelled.
  Async<aws::Outcome<Configuration>> create(Caller caller, aws::lambda::CreateEventSourceMappingRequest request);
  Async<aws::Outcome<Configuration>> update(Caller caller, aws::lambda::UpdateEventSourceMappingRequest request);
  Async<aws::Outcome<Configuration>> remove(Caller caller, std::string uuid);
  aws::Outcome<Configuration> get(const Caller& caller, const std::string& uuid) const;
  aws::Outcome<aws::lambda::ListEventSourceMappingsResponse> list(
      const Caller& caller, const aws::lambda::ListEventSourceMappingsRequest& request) const;

  /// Tags of mappings, by their ARN: arn:aws:lambda:R:A:event-source-mapping:UUID.
  bool owns(const std::string& arn) const override;
  aws::Outcome<Tags> tags(const std::string& arn) const override;
  Async<aws::Outcome<void>> change_tags(std::string arn, Tags set, std::vector<std::string> remove) override;

  /// What every mapping does, for people and tools: {"mappings": [...], "next": UUID}. Of all accounts and regions, by
  /// UUID, those after `after`, at most `count`; "next" is absent at the end. Asks each source for its lag.
  /// The members are described in docs/event-source-mappings.md.
  Async<json::Value> overview(std::string after, std::size_t count);

 private:
  /// A mapping and what serves it.
  struct Entry {
    Mapping mapping;
    std::shared_ptr<MappingRuntime> runtime;  ///< while it polls
    std::shared_ptr<MappingCounts> counts = std::make_shared<MappingCounts>();
    bool committed = false;  ///< before, only conflict checks see it
    bool changing = false;   ///< a change of it is being checked or committed
  };
  using EntryPtr = std::shared_ptr<Entry>;
  using Change = aws::Outcome<Configuration>;

  aws::Outcome<EventSource*> find_source(std::string_view operation,
                                         const aws::lambda::CreateEventSourceMappingRequest& request) const;
  EventSource* source_of(const Mapping& mapping) const;
  aws::Outcome<ports::FunctionRef> find_function(const Caller& caller, const std::string& name) const;
  aws::Outcome<void> check_unique(const Mapping& mapping, const EventSource& source) const;
  EntryPtr find(const Caller& caller, const std::string& uuid) const;
  EntryPtr find_tagged(const std::string& arn) const;
  Async<json::Value> overview_of(EntryPtr entry);
  aws::Error failure(const std::string& request_id, const Error& cause);

  Async<Change> create_step(Caller caller, aws::lambda::CreateEventSourceMappingRequest request);
  Async<Change> update_step(Caller caller, aws::lambda::UpdateEventSourceMappingRequest request);
  Async<Change> remove_step(Caller caller, std::string uuid);
  /// Runs `step` in a task of its own, so that its caller may go away.
  Async<Change> finish(const char* name, Async<Change> step);
  Async<void> run_step(Async<Change> step, Promise<Change> done);

  void poll(Entry& entry);
  /// From a transient state to the one after it.
  Async<void> settle(EntryPtr entry);
  Async<void> retire(std::shared_ptr<MappingRuntime> runtime);

  SourceContext context_;
  Options options_;
  std::vector<std::unique_ptr<EventSource>> sources_;
  std::unique_ptr<MappingStore> store_;
  std::map<std::string, EntryPtr> entries_;  ///< by UUID
  TaskGroup steps_;
  TaskGroup transitions_;
  TaskGroup retiring_;
  bool stopping_ = false;
};

}  // namespace lambdad::event_sources
