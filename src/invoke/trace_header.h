#pragma once

#include <string>
#include <string_view>

#include "system/system.h"

namespace lambdad::invoke {

/// The X-Ray header that an invocation carries: `Root=1-<8 hex of the time>-<24 hex>;Parent=<16 hex>;Sampled=<0|1>`,
/// and
/// `;Lineage=...` when the caller sent one.
///
/// The caller's Root and Sampled stay. Where it sent none, or none that is one, a new Root is made, and Sampled is 1
/// when the function traces actively. Parent is the caller's; when the invocation is sampled and the function traces,
/// it is the function's own new segment. Anything else in the header is dropped. Source: X-Ray Developer Guide,
/// "Tracing header"; Lambda Developer Guide, "Visualize Lambda function invocations using AWS X-Ray".
std::string trace_header(std::string_view from_caller, bool traces, System& system);

}  // namespace lambdad::invoke
