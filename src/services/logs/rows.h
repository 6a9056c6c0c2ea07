/// What several parts of the store look up. Inside a transaction, on the database's threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "services/logs/store.h"

namespace lambdad::logs {

struct FoundGroup {
  std::int64_t id = 0;
  std::optional<int> retention_days;
  std::int64_t stored_bytes = 0;
};

Result<std::optional<FoundGroup>> find_group(store::Transaction& tx, const GroupKey& key);
Result<std::optional<std::int64_t>> find_stream(store::Transaction& tx, std::int64_t group, const std::string& name);

/// Events before it are not shown any more; 0: all are.
inline std::int64_t expired_before(std::optional<int> retention_days, std::int64_t now) {
  constexpr std::int64_t kMsPerDay = 24LL * 60 * 60 * 1000;
  return retention_days ? std::max<std::int64_t>(0, now - *retention_days * kMsPerDay) : 0;
}

}  // namespace lambdad::logs
