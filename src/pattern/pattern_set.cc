#include "pattern/pattern_set.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace lambdad::pattern {

namespace {

using MatcherKind = Matcher::Kind;

std::uint64_t hash_of(std::uint32_t slot, int kind, std::string_view text) {
  const std::uint64_t salt = (std::uint64_t{slot} << 8 | static_cast<unsigned>(kind)) * 0x9E3779B97F4A7C15ULL;
  return std::hash<std::string_view>{}(text) ^ salt;
}

template <class T, class Projection = std::identity>
void drop(std::vector<T>& from, std::uint32_t value, Projection projection = {}) {
  const auto at = std::ranges::find(from, value, projection);
  *at = from.back();
  from.pop_back();
}

using Lengths = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

void count_length(Lengths& lengths, std::uint32_t length, bool more) {
  const auto at = std::ranges::lower_bound(lengths, length, {}, &Lengths::value_type::first);
  if (more) {
    if (at != lengths.end() && at->first == length) {
      ++at->second;
    } else {
      lengths.insert(at, {length, 1});
    }
  } else if (--at->second == 0) {
    lengths.erase(at);
  }
}

}  // namespace

bool PatternSet::key_of(const Matcher& matcher, std::uint32_t slot, Key& key) {
  const auto set = [&](Key::Kind kind, std::string_view text) {
    key.kind = kind;
    key.hash = hash_of(slot, static_cast<int>(kind), text);
    key.length = static_cast<std::uint32_t>(text.size());
    return true;
  };
  switch (matcher.kind) {
    case MatcherKind::kString: return set(Key::Kind::kString, matcher.text);
    case MatcherKind::kNumber: return set(Key::Kind::kNumber, matcher.text);
    case MatcherKind::kTrue: return set(Key::Kind::kWord, "true");
    case MatcherKind::kFalse: return set(Key::Kind::kWord, "false");
    case MatcherKind::kNull: return set(Key::Kind::kWord, "null");
    case MatcherKind::kFold: return set(Key::Kind::kFold, matcher.text);
    case MatcherKind::kPrefix: return !matcher.text.empty() && set(Key::Kind::kPrefix, matcher.text);
    case MatcherKind::kSuffix: return !matcher.text.empty() && set(Key::Kind::kSuffix, matcher.text);
    case MatcherKind::kWildcard:
      if (matcher.pieces.size() == 1) return set(Key::Kind::kString, matcher.pieces.front());
      if (!matcher.pieces.front().empty()) return set(Key::Kind::kPrefix, matcher.pieces.front());
      return !matcher.pieces.back().empty() && set(Key::Kind::kSuffix, matcher.pieces.back());
    case MatcherKind::kPrefixFold:
    case MatcherKind::kSuffixFold:
    case MatcherKind::kRange:
    case MatcherKind::kCidr:
    case MatcherKind::kExists:
    case MatcherKind::kAbsent:
    case MatcherKind::kAnythingBut: return false;
  }
  return false;
}

// One key that stands for any value when one of the matchers has no key of its own.
bool PatternSet::keys_of(const Condition& condition, std::vector<Key>& keys) {
  keys.clear();
  if (condition.absent) return false;
  for (const Matcher& matcher : condition.matchers) {
    Key key;
    if (!key_of(matcher, condition.slot, key)) {
      keys.assign(1, Key{});
      return true;
    }
    keys.push_back(key);
  }
  return true;
}

std::size_t PatternSet::crowd(const Condition& condition, const std::vector<Key>& keys) const {
  // A look-up that finds nobody is cheaper than the shortest list.
  if (keys.front().kind == Key::Kind::kAny) return slots_[condition.slot].any.size() + 2;
  std::size_t most = 0;
  for (const Key& key : keys) {
    const auto at = waiting_.find(key.hash);
    if (at != waiting_.end()) most = std::max(most, at->second.size());
  }
  return most;
}

// The first condition besides the one waited under that asks for one string and nothing else.
std::uint32_t PatternSet::guard_of(const Alternative& conditions, std::uint32_t access) {
  for (std::uint32_t i = 0; i < conditions.size(); ++i) {
    const Condition& condition = conditions[i];
    if (i == access || condition.absent || condition.matchers.size() != 1) continue;
    const Matcher& matcher = condition.matchers.front();
    if (matcher.kind != MatcherKind::kString) continue;
    return static_cast<std::uint32_t>(hash_of(condition.slot, static_cast<int>(Key::Kind::kString), matcher.text));
  }
  return 0;
}

PatternSet::Id PatternSet::add(const Pattern& pattern) {
  Id id = static_cast<Id>(patterns_.size());
  if (free_ids_.empty()) {
    patterns_.emplace_back();
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  const Rule& rule = pattern.rule();
  for (const Alternative& alternative : rule.alternatives) {
    std::uint32_t number = static_cast<std::uint32_t>(entries_.size());
    if (free_entries_.empty()) {
      entries_.emplace_back();
    } else {
      number = free_entries_.back();
      free_entries_.pop_back();
    }
    Entry& entry = entries_[number];
    entry = Entry{.conditions = alternative, .id = id};
    for (Condition& condition : entry.conditions) condition.slot = fields_.add(rule.fields.path(condition.slot));
    slots_.resize(fields_.slots());
    std::size_t fewest = ~std::size_t{0};
    std::vector<Key> keys;
    for (std::uint32_t i = 0; i < entry.conditions.size(); ++i) {
      if (!keys_of(entry.conditions[i], keys)) continue;
      const std::size_t others = crowd(entry.conditions[i], keys);
      if (others >= fewest) continue;
      fewest = others;
      entry.access = i;
      entry.keys = keys;
    }
    if (!entry.keys.empty()) entry.guard = guard_of(entry.conditions, entry.access);
    enter(number);
    patterns_[id].push_back(number);
  }
  ++size_;
  return id;
}

void PatternSet::remove(Id id) {
  LD_CHECK(id < patterns_.size() && !patterns_[id].empty(), "no pattern {}", id);
  for (const std::uint32_t number : patterns_[id]) {
    leave(number);
    entries_[number] = Entry{};
    free_entries_.push_back(number);
  }
  patterns_[id].clear();
  free_ids_.push_back(id);
  --size_;
}

void PatternSet::enter(std::uint32_t number) {
  const Entry& entry = entries_[number];
  if (entry.keys.empty()) always_.push_back(number);
  for (const Key& key : entry.keys) {
    Slot& slot = slots_[entry.conditions[entry.access].slot];
    if (key.kind == Key::Kind::kAny) {
      slot.any.push_back(number);
      continue;
    }
    waiting_[key.hash].push_back({number, entry.guard});
    if (key.kind == Key::Kind::kPrefix) count_length(slot.prefixes, key.length, true);
    if (key.kind == Key::Kind::kSuffix) count_length(slot.suffixes, key.length, true);
    if (key.kind == Key::Kind::kFold) ++slot.folds;
  }
}

void PatternSet::leave(std::uint32_t number) {
  const Entry& entry = entries_[number];
  if (entry.keys.empty()) drop(always_, number);
  for (const Key& key : entry.keys) {
    Slot& slot = slots_[entry.conditions[entry.access].slot];
    if (key.kind == Key::Kind::kAny) {
      drop(slot.any, number);
      continue;
    }
    const auto at = waiting_.find(key.hash);
    drop(at->second, number, &Waiter::entry);
    if (at->second.empty()) waiting_.erase(at);
    if (key.kind == Key::Kind::kPrefix) count_length(slot.prefixes, key.length, false);
    if (key.kind == Key::Kind::kSuffix) count_length(slot.suffixes, key.length, false);
    if (key.kind == Key::Kind::kFold) --slot.folds;
  }
}

void PatternSet::match(const json::Value& event, std::vector<Id>& out) {
  out.clear();
  const auto* object = event.if_object();
  if (object == nullptr) return;
  if (++round_ == 0) {  // the numbers begin again: none may look judged
    for (Entry& entry : entries_) entry.judged_in = 0;
    round_ = 1;
  }
  fields_.collect(*object, found_);
  present_.fill(0);
  hashes_.clear();
  for (const std::uint32_t slot : found_.found) {
    for (const Leaf& leaf : found_.slots[slot]) {
      const std::string* text = leaf.value->if_string();
      hashes_.push_back(text == nullptr ? 0 : hash_of(slot, static_cast<int>(Key::Kind::kString), *text));
      const auto guard = static_cast<std::uint32_t>(hashes_.back());
      present_[guard / 64 % present_.size()] |= std::uint64_t{1} << guard % 64;
    }
  }
  for (const std::uint32_t number : always_) judge(number, out);
  auto hash = hashes_.begin();
  for (const std::uint32_t slot : found_.found) {
    for (const Leaf& leaf : found_.slots[slot]) look_up(slot, *leaf.value, *hash++, out);
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
}

void PatternSet::look_up(std::uint32_t number, const json::Value& value, std::uint64_t hash, std::vector<Id>& out) {
  const Slot& slot = slots_[number];
  const auto hashed = [&](Key::Kind kind, std::string_view text) {
    wake(hash_of(number, static_cast<int>(kind), text), out);
  };
  if (const std::string* text = value.if_string()) {
    wake(hash, out);
    for (const auto& [length, count] : slot.prefixes) {
      if (length > text->size()) break;
      hashed(Key::Kind::kPrefix, std::string_view(*text).substr(0, length));
    }
    for (const auto& [length, count] : slot.suffixes) {
      if (length > text->size()) break;
      hashed(Key::Kind::kSuffix, std::string_view(*text).substr(text->size() - length));
    }
    if (slot.folds != 0) hashed(Key::Kind::kFold, fold_case(*text));
  } else if (const auto* number_value = value.if_number()) {
    hashed(Key::Kind::kNumber, canonical_number(number_value->text));
  } else if (const bool* flag = value.if_bool()) {
    hashed(Key::Kind::kWord, *flag ? "true" : "false");
  } else {
    hashed(Key::Kind::kWord, "null");
  }
  for (const std::uint32_t entry : slot.any) {
    if (!may_hold(entries_[entry].guard)) continue;
    if (entries_[entry].conditions[entries_[entry].access].matches(value)) judge(entry, out);
  }
}

void PatternSet::wake(std::uint64_t hash, std::vector<Id>& out) {
  const auto at = waiting_.find(hash);
  if (at == waiting_.end()) return;
  for (const Waiter& waiter : at->second) {
    if (may_hold(waiter.guard)) judge(waiter.entry, out);
  }
}

void PatternSet::judge(std::uint32_t number, std::vector<Id>& out) {
  Entry& entry = entries_[number];
  if (entry.judged_in == round_) return;
  entry.judged_in = round_;
  if (holds(entry.conditions, found_)) out.push_back(entry.id);
}

}  // namespace lambdad::pattern
