#include "services/sqs/fifo_queue.h"

#include <algorithm>
#include <limits>

#include "services/sqs/limits.h"

namespace lambdad::sqs {

FifoQueue::Group& FifoQueue::group_of(const Entry& entry) {
  return groups_.find(entry.message.content->group_id())->second;
}

void FifoQueue::refresh(Group& group) {
  const bool may_begin = group.may_begin();
  if (!may_begin && !group.open) return;
  std::pair<WallTime, RowId> key;
  if (may_begin) {
    const auto& [row, first] = *group.messages.begin();
    key = {first->message.available_at, row};
    if (group.open && key == group.key) return;
  }
  if (group.open) open_groups_.erase(group.key);
  group.open = may_begin;
  if (!may_begin) return;
  group.key = key;
  open_groups_.emplace(key, &group);
}

void FifoQueue::enter(Entry& entry) {
  Group& group = groups_.try_emplace(std::string(entry.message.content->group_id())).first->second;
  group.messages.emplace(entry.message.row, &entry);
  group.hidden.insert(entry.message.row);
  refresh(group);
}

void FifoQueue::leave(Entry& entry) {
  const auto it = groups_.find(entry.message.content->group_id());
  Group& group = it->second;
  group.messages.erase(entry.message.row);
  group.hidden.erase(entry.message.row);
  refresh(group);
  if (group.messages.empty()) groups_.erase(it);
}

void FifoQueue::show(Entry& entry) {
  Group& group = group_of(entry);
  group.hidden.erase(entry.message.row);
  refresh(group);
}

void FifoQueue::hide(Entry& entry) {
  Group& group = group_of(entry);
  group.hidden.insert(entry.message.row);
  refresh(group);
}

void FifoQueue::add(QueuedMessage message, WallTime now) {
  if (!message.received_at) message.available_at = message.content->sent_at + delay_;
  Queue::add(std::move(message), now);
}

void FifoQueue::set_delay(Duration delay, WallTime now) {
  advance(now);
  if (delay == delay_) return;
  delay_ = delay;
  for (auto& [row, entry] : messages_) {
    if (entry.message.received_at || entry.state == State::kLeaving) continue;
    unplace(entry);
    entry.message.available_at = entry.message.content->sent_at + delay;
    place(entry, entry.message.available_at > now ? State::kDelayed : State::kReady);
  }
}

Queue::Taken FifoQueue::take(WallTime now, const TakeOptions& options) {
  advance(now);
  Taken taken;
  const auto full = [&] { return std::ssize(taken.received) >= options.messages_max; };
  while (!open_groups_.empty() && !full()) {
    Group& group = *open_groups_.begin()->second;
    const RowId blocked_from = group.hidden.empty() ? std::numeric_limits<RowId>::max() : *group.hidden.begin();
    // Taking the first closes the group, so the outer loop comes to the next one.
    for (auto it = group.messages.begin(); it != group.messages.end() && it->first < blocked_from && !full(); ++it) {
      Entry& entry = *it->second;
      if (must_leave(entry, options)) {
        if (taken.leaving.size() >= options.leaving_max) return taken;
        taken.leaving.push_back(begin_leaving(entry));
      } else {
        taken.received.push_back(receive(entry, now, options.visibility_timeout));
      }
    }
  }
  return taken;
}

bool FifoQueue::holds(RowId row, std::uint32_t generation, WallTime now) {
  advance(now);
  const auto it = messages_.find(row);
  return it != messages_.end() && it->second.state == State::kInFlight &&
         it->second.message.receive_count == generation;
}

void FifoQueue::forget_old_attempts(WallTime now) {
  while (!attempt_ages_.empty() && attempt_ages_.begin()->first + kDeduplicationInterval <= now) {
    const auto oldest = attempt_ages_.begin();
    const auto it = attempts_.find(oldest->second);
    // A later receive may have had the same id.
    if (it != attempts_.end() && it->second.received_at == oldest->first) attempts_.erase(it);
    attempt_ages_.erase(oldest);
  }
}

void FifoQueue::note_attempt(const std::string& attempt, const Taken& taken, WallTime now) {
  forget_old_attempts(now);
  if (taken.received.empty()) return;
  Attempt noted{.messages = {}, .received_at = now, .available_at = taken.received.front().message.available_at};
  for (const Received& received : taken.received) {
    noted.messages.push_back({received.message.row, received.message.receive_count});
  }
  attempts_.insert_or_assign(attempt, std::move(noted));
  attempt_ages_.emplace(now, attempt);
}

void FifoQueue::restore_attempt(const std::string& attempt, const std::vector<RowId>& rows) {
  Attempt noted;
  for (const RowId row : rows) {
    const QueuedMessage* message = find(row);
    if (message == nullptr || !message->received_at) return;
    if (noted.messages.empty()) {
      noted.received_at = *message->received_at;
      noted.available_at = message->available_at;
    }
    if (noted.received_at != *message->received_at || noted.available_at != message->available_at) return;
    noted.messages.push_back({row, message->receive_count});
  }
  if (noted.messages.empty()) return;
  attempt_ages_.emplace(noted.received_at, attempt);
  attempts_.insert_or_assign(attempt, std::move(noted));
}

std::vector<QueuedMessage> FifoQueue::find_attempt(const std::string& attempt, WallTime now) {
  advance(now);
  forget_old_attempts(now);
  const auto it = attempts_.find(attempt);
  if (it == attempts_.end()) return {};
  std::vector<QueuedMessage> messages;
  for (const Attempt::Message& noted : it->second.messages) {
    const auto entry = messages_.find(noted.row);
    if (entry == messages_.end() || entry->second.state != State::kInFlight ||
        entry->second.message.receive_count != noted.generation ||
        entry->second.message.available_at != it->second.available_at) {
      return {};
    }
    messages.push_back(entry->second.message);
  }
  return messages;
}

void FifoQueue::renew_attempt(const std::string& attempt, WallTime available_at) {
  if (const auto it = attempts_.find(attempt); it != attempts_.end()) it->second.available_at = available_at;
}

}  // namespace lambdad::sqs
