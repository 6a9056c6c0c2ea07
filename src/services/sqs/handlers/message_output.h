/// A message as it is shown to receivers.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqs/handlers/common.h"

namespace lambdad::sqs {

/// Which system attributes and user attributes somebody wants to see.
struct Wanted {
  std::set<std::string, std::less<>> system;  ///< names, or "All"
  std::vector<std::string> user;              ///< names, "All", "*" or "prefix.*"

  bool has_system(std::string_view name) const { return system.contains("All") || system.contains(name); }
  bool has_user(std::string_view name) const;
};

/// Everything but the receipt handle. A message that was never received shows 0 as the time of its first receive.
aws::sqs::Message to_message(const LiveQueue& queue, const QueuedMessage& message, const Wanted& wanted);

}  // namespace lambdad::sqs
