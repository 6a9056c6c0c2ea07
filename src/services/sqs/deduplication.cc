#include "services/sqs/deduplication.h"

#include "services/sqs/limits.h"

namespace lambdad::sqs {

void Deduplication::forget(ById::iterator it) {
  by_row_.erase(it->second.row);
  by_id_.erase(it);
}

const Deduplication::Accepted* Deduplication::find(const std::string& group, const std::string& id, Scope scope,
                                                   WallTime now) {
  auto it = scope == Scope::kMessageGroup ? by_id_.find(Key(id, group)) : by_id_.lower_bound(Key(id, ""));
  // With the scope of the queue there may be several, from before the scope was changed.
  while (it != by_id_.end() && it->first.first == id) {
    if (now < it->second.sent_at + kDeduplicationInterval) return &it->second;
    if (it->second.is_stored) expired_.push_back(it->second.row);
    const auto next = std::next(it);
    forget(it);
    if (scope == Scope::kMessageGroup) break;
    it = next;
  }
  return nullptr;
}

void Deduplication::add(const std::string& group, const std::string& id, Accepted accepted) {
  const auto [it, is_new] = by_id_.emplace(Key(id, group), accepted);
  LD_CHECK(is_new, "row {} is a duplicate of row {}", accepted.row, it->second.row);
  by_row_.emplace(accepted.row, it);
}

void Deduplication::settle(RowId row, bool stored) {
  const auto it = by_row_.find(row);
  if (it == by_row_.end()) {
    if (stored) expired_.push_back(row);  // the interval ended while it was under way
    return;
  }
  if (stored) {
    it->second->second.is_stored = true;
  } else {
    forget(it->second);
  }
}

bool Deduplication::is_stored(RowId row) const {
  const auto it = by_row_.find(row);
  return it != by_row_.end() && it->second->second.is_stored;
}

std::vector<RowId> Deduplication::take_expired(WallTime now) {
  while (!by_row_.empty()) {
    const auto oldest = by_row_.begin()->second;
    if (!oldest->second.is_stored || now < oldest->second.sent_at + kDeduplicationInterval) break;
    expired_.push_back(oldest->second.row);
    forget(oldest);
  }
  return std::exchange(expired_, {});
}

std::vector<RowId> Deduplication::take_all() {
  std::vector<RowId> rows = std::exchange(expired_, {});
  for (const auto& [row, it] : by_row_) rows.push_back(row);
  by_row_.clear();
  by_id_.clear();
  return rows;
}

}  // namespace lambdad::sqs
