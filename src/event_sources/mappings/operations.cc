// The operations of the Lambda API that concern event source mappings, as the dispatcher calls them.
#include "event_sources/mappings/mapping_service.h"

namespace lambdad::event_sources {

namespace api = aws::lambda;

namespace {

MappingService::Caller caller_of(const aws::RequestContext& context) {
  return {.account = context.account, .region = context.region, .request_id = context.request_id};
}

template <class T>
Async<aws::Outcome<T>> ready(aws::Outcome<T> outcome) {
  co_return outcome;
}

}  // namespace

void MappingService::register_operations(aws::Dispatcher& dispatcher) {
  dispatcher.serve<api::CreateEventSourceMapping>(
      [this](aws::RequestContext& context, api::CreateEventSourceMappingRequest request) {
        return create(caller_of(context), std::move(request));
      });
  dispatcher.serve<api::UpdateEventSourceMapping>(
      [this](aws::RequestContext& context, api::UpdateEventSourceMappingRequest request) {
        return update(caller_of(context), std::move(request));
      });
  dispatcher.serve<api::DeleteEventSourceMapping>(
      [this](aws::RequestContext& context, api::DeleteEventSourceMappingRequest request) {
        return remove(caller_of(context), std::move(request.uuid));
      });
  dispatcher.serve<api::GetEventSourceMapping>(
      [this](aws::RequestContext& context, api::GetEventSourceMappingRequest request) {
        return ready(get(caller_of(context), request.uuid));
      });
  dispatcher.serve<api::ListEventSourceMappings>(
      [this](aws::RequestContext& context, api::ListEventSourceMappingsRequest request) {
        return ready(list(caller_of(context), request));
      });
}

}  // namespace lambdad::event_sources
