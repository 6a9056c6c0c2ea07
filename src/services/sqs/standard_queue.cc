#include "services/sqs/standard_queue.h"

namespace lambdad::sqs {

StandardQueue::~StandardQueue() {
  ready_.clear();
  for (auto& [id, group] : groups_) group.ready.clear();
}

StandardQueue::Group* StandardQueue::group_of(const Entry& entry) {
  const std::string_view id = entry.message.content->group_id();
  return id.empty() ? nullptr : &groups_.find(id)->second;
}

void StandardQueue::refresh(Group& group) {
  std::optional<Key> key;
  if (!group.ready.empty()) {
    const QueuedMessage& first = group.ready.begin()->message;
    key.emplace(group.in_flight.size(), first.available_at, first.row);
  }
  if (key == group.key) return;
  if (group.key) turns_.erase(*group.key);
  if (key) turns_.emplace(*key, &group);
  group.key = key;
}

void StandardQueue::enter(Entry& entry) {
  const std::string_view id = entry.message.content->group_id();
  if (!id.empty()) ++groups_[std::string(id)].messages;
}

void StandardQueue::leave(Entry& entry) {
  const auto it = groups_.find(entry.message.content->group_id());
  if (it == groups_.end()) return;
  Group& group = it->second;
  group.in_flight.erase(entry.message.row);
  refresh(group);
  if (--group.messages == 0) groups_.erase(it);
}

void StandardQueue::show(Entry& entry) {
  Group* group = group_of(entry);
  if (group == nullptr) {
    ready_.insert(ready_.end(), entry);
    return;
  }
  group->in_flight.erase(entry.message.row);
  group->ready.insert(group->ready.end(), entry);
  refresh(*group);
}

void StandardQueue::hide(Entry& entry) {
  Group* group = group_of(entry);
  if (group == nullptr) {
    ready_.erase(ready_.iterator_to(entry));
    return;
  }
  group->ready.erase(group->ready.iterator_to(entry));
  refresh(*group);
}

void StandardQueue::add(QueuedMessage message, WallTime now) {
  const RowId row = message.row;
  Queue::add(std::move(message), now);
  const Entry& entry = messages_.find(row)->second;
  if (entry.state != State::kInFlight) return;
  if (Group* group = group_of(entry)) group->in_flight.insert(row);
}

Queue::Entry* StandardQueue::next() {
  if (turns_.empty()) return ready_.empty() ? nullptr : &*ready_.begin();
  const auto& [key, group] = *turns_.begin();
  if (ready_.empty()) return &*group->ready.begin();
  const QueuedMessage& ungrouped = ready_.begin()->message;
  return Key(0, ungrouped.available_at, ungrouped.row) < key ? &*ready_.begin() : &*group->ready.begin();
}

Queue::Taken StandardQueue::take(WallTime now, const TakeOptions& options) {
  advance(now);
  Taken taken;
  while (std::ssize(taken.received) < options.messages_max) {
    Entry* entry = next();
    if (entry == nullptr) break;
    if (must_leave(*entry, options)) {
      if (taken.leaving.size() >= options.leaving_max) break;
      taken.leaving.push_back(begin_leaving(*entry));
      continue;
    }
    taken.received.push_back(receive(*entry, now, options.visibility_timeout));
    if (Group* group = group_of(*entry)) {
      group->in_flight.insert(entry->message.row);
      refresh(*group);
    }
  }
  return taken;
}

}  // namespace lambdad::sqs
