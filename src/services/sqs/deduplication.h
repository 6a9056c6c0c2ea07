/// What a FIFO queue has accepted in the last five minutes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/sqs/queue.h"

namespace lambdad::sqs {

/// Finds the message that a send repeats. An acceptance is remembered for kDeduplicationInterval from its sending on,
/// whatever becomes of the message. Pure; O(log n).
class Deduplication {
 public:
  /// Where equal ids mean the same message.
  enum class Scope { kQueue, kMessageGroup };
  struct Accepted {
    RowId row = 0;  ///< of the message: its sequence number
    Uuid message_id;
    WallTime sent_at;
    bool is_stored = false;  ///< false while the commit is under way
  };

  /// nullptr: a message with this id is new. The pointer is valid until the next call.
  const Accepted* find(const std::string& group, const std::string& id, Scope scope, WallTime now);
  /// find() was nullptr. Rows increase from call to call.
  void add(const std::string& group, const std::string& id, Accepted accepted);
  /// The commit of `row` is over; `stored` false: it is as if it had never been sent.
  void settle(RowId row, bool stored);
  bool is_stored(RowId row) const;

  /// Rows that nobody needs any more: of acceptances that are too old, or of all of them.
  std::vector<RowId> take_expired(WallTime now);
  std::vector<RowId> take_all();
  std::size_t size() const { return by_id_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;  // id, group
  using ById = std::map<Key, Accepted>;
  void forget(ById::iterator it);

  ById by_id_;
  std::map<RowId, ById::iterator> by_row_;
  std::vector<RowId> expired_;
};

}  // namespace lambdad::sqs
