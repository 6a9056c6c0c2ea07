#pragma once

#include <string>
#include <string_view>

#include "base/arn.h"

namespace lambdad::invoke {

/// Invocations of one function in one chain of requests; the next one is stopped.
/// Source: Lambda Developer Guide, "Use Lambda recursive loop detection to prevent infinite loops": approximately 16.
inline constexpr int kLoopInvocationsMax = 16;

/// An invocation as a member of the chain that led to it.
struct ChainLink {
  int invocations = 0;       ///< of this function, before this one
  std::string trace_header;  ///< with this one counted: what the function is given and its AWS SDK passes on
};

/// Reads and writes the Lineage field of an X-Ray header: `Lineage=<8 hex of the function>:<count>|...`, at most three
/// functions, the latest last. The form is AWS's, the hash is ours. Whatever is in the field that is not of this form
/// is dropped. Pure. AWS's SDKs send the header of the running invocation with every request, which is how a chain is
/// known.
ChainLink follow_chain(std::string_view trace_header, const FunctionArn& function);

}  // namespace lambdad::invoke
