// What mappings do, as GET /_lambdad/mappings shows it.
#include "event_sources/mappings/mapping_service.h"

namespace lambdad::event_sources {

Async<json::Value> MappingService::overview_of(EntryPtr entry) {
  const Mapping& mapping = entry->mapping;
  const auto& c = mapping.configuration;
  json::Object out;
  out.append("uuid", mapping.uuid());
  out.append("account", mapping.account);
  out.append("region", mapping.region);
  out.append("source", mapping.source.str());
  out.append("function", mapping.function.arn().str());
  out.append("state", to_string(mapping.state));
  out.append("state_reason", c.state_transition_reason.value_or(""));
  if (const auto runtime = entry->runtime) {
    RuntimeStatus status = co_await runtime->status();
    json::Object pollers;
    pollers.append("running", status.pollers);
    pollers.append("busy", status.busy);
    pollers.append("allowed", status.pollers_max);
    out.append("pollers", std::move(pollers));
    if (!status.last_result.empty()) {
      out.append("last_result", std::move(status.last_result));
      out.append("last_result_at", format_iso8601_ms(status.last_result_at));
    }
    if (!status.problem.empty()) out.append("problem", std::move(status.problem));
    if (status.lag) out.append("lag", std::move(*status.lag));
  }
  const MappingCounts& counts = *entry->counts;
  json::Object events;
  events.append("PolledEventCount", counts.polled);
  events.append("FilteredOutEventCount", counts.filtered_out);
  events.append("InvokedEventCount", counts.invoked);
  events.append("FailedInvokeEventCount", counts.failed_invoke);
  events.append("DeletedEventCount", counts.deleted);
  out.append("events", std::move(events));
  co_return json::Value(std::move(out));
}

Async<json::Value> MappingService::overview(std::string after, std::size_t count) {
  // Looked up anew after each wait: mappings come and go.
  json::Array mappings;
  json::Object out;
  for (auto at = entries_.upper_bound(after); at != entries_.end(); at = entries_.upper_bound(after)) {
    if (mappings.size() == count) {
      out.append("next", after);
      break;
    }
    after = at->first;
    if (at->second->committed) mappings.push_back(co_await overview_of(at->second));
  }
  out.append("mappings", std::move(mappings));
  co_return json::Value(std::move(out));
}

}  // namespace lambdad::event_sources
