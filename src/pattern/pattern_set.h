#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "pattern/compile.h"
#include "pattern/pattern.h"

namespace lambdad::pattern {

/// Many patterns, of which an event finds those that match it without asking all of them.
///
/// Each alternative of a pattern waits under one of its conditions, the one whose values fewest others wait under: a
/// string or number under its hash, a beginning or end of a string under the hash of that, anything else in a list of
/// its path that is tried for every value there. An event's values wake the alternatives that wait for them; these are
/// then judged whole, unless another of their values is not in the event, which a few bits tell. So equal values cost a
/// look-up however many patterns there are, and patterns that only share a path with the event cost nothing.
///
/// Adding and removing take the time of the pattern. Owns copies of what it needs.
/// Threading: one thread at a time, also for match(), which reuses its memory.
class PatternSet {
 public:
  using Id = std::uint32_t;
  /// Ids are given again after remove().
  Id add(const Pattern& pattern);
  void remove(Id id);
  std::size_t size() const { return size_; }

  /// The ids of the patterns that match, ascending, in `out`. None for an event that is no object.
  void match(const json::Value& event, std::vector<Id>& out);

 private:
  /// Where an alternative waits.
  struct Key {
    enum class Kind : std::uint8_t { kString, kNumber, kWord, kPrefix, kSuffix, kFold, kAny } kind = Kind::kAny;
    std::uint64_t hash = 0;
    std::uint32_t length = 0;  ///< of kPrefix and kSuffix
  };
  struct Entry {
    Alternative conditions;  ///< slots of fields_
    Id id = 0;
    std::uint32_t access = 0;  ///< the condition it waits under
    std::uint32_t guard = 0;   ///< the low bits of the hash of a string that it needs besides; 0: none
    std::vector<Key> keys;     ///< empty: waits for nothing and is judged for every event
    std::uint32_t judged_in = 0;
  };
  struct Waiter {
    std::uint32_t entry;
    std::uint32_t guard;  ///< the entry's, here so that most need not be looked at
  };
  /// Lengths that beginnings or ends at one path have, with how many keys there are of each.
  using Lengths = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  struct Slot {
    Lengths prefixes;
    Lengths suffixes;
    std::uint32_t folds = 0;
    std::vector<std::uint32_t> any;
  };

  static bool key_of(const Matcher& matcher, std::uint32_t slot, Key& key);
  static bool keys_of(const Condition& condition, std::vector<Key>& keys);
  std::size_t crowd(const Condition& condition, const std::vector<Key>& keys) const;
  void enter(std::uint32_t entry);
  void leave(std::uint32_t entry);
  static std::uint32_t guard_of(const Alternative& conditions, std::uint32_t access);
  void wake(std::uint64_t hash, std::vector<Id>& out);
  void judge(std::uint32_t entry, std::vector<Id>& out);
  void look_up(std::uint32_t slot, const json::Value& value, std::uint64_t hash, std::vector<Id>& out);
  bool may_hold(std::uint32_t guard) const {
    return guard == 0 || (present_[guard / 64 % present_.size()] >> guard % 64 & 1) != 0;
  }

  FieldIndex fields_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_entries_;
  std::vector<std::vector<std::uint32_t>> patterns_;  ///< entries, by id
  std::vector<Id> free_ids_;
  std::unordered_map<std::uint64_t, std::vector<Waiter>> waiting_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> always_;
  EventFields found_;
  std::vector<std::uint64_t> hashes_;        ///< of the event's strings, in the order of found_
  std::array<std::uint64_t, 16> present_{};  ///< a bit for each of them
  std::uint32_t round_ = 0;
  std::size_t size_ = 0;
};

}  // namespace lambdad::pattern
