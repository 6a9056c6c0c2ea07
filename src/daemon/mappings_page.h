#pragma once

#include "event_sources/mappings/mapping_service.h"
#include "http/message.h"

namespace lambdad::daemon {

/// GET /_lambdad/mappings?after=UUID&count=N: MappingService::overview(); `count` is 1..1000, 100 when absent.
/// 400 for other parameters.
Async<http::Response> mappings_page(event_sources::MappingService& mappings, http::Request request);

}  // namespace lambdad::daemon
