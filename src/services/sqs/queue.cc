#include "services/sqs/queue.h"

#include <utility>

namespace lambdad::sqs {

Queue::~Queue() {
  // The hooks of normal_link do not unlink themselves; the sets must forget the entries before those go.
  ready_.clear();
  waiting_.clear();
  by_age_.clear();
}

void Queue::place(Entry& entry, State state) {
  entry.state = state;
  ++count_of(state);
  switch (state) {
    // New and returning messages are nearly always the latest of their set, so the end is a good place to look first.
    case State::kReady: ready_.insert(ready_.end(), entry); break;
    case State::kDelayed:
    case State::kInFlight: waiting_.insert(waiting_.end(), entry); break;
    case State::kLeaving: break;
  }
}

void Queue::unplace(Entry& entry) {
  --count_of(entry.state);
  switch (entry.state) {
    case State::kReady: ready_.erase(ready_.iterator_to(entry)); break;
    case State::kDelayed:
    case State::kInFlight: waiting_.erase(waiting_.iterator_to(entry)); break;
    case State::kLeaving: break;
  }
}

void Queue::add(QueuedMessage message, WallTime now) {
  advance(now);
  const RowId row = message.row;
  auto [it, is_new] = messages_.try_emplace(row);
  LD_CHECK(is_new, "message row {} is added twice", row);
  Entry& entry = it->second;
  entry.message = std::move(message);
  State state = State::kReady;
  if (entry.message.available_at > now) {
    state = entry.message.received_at ? State::kInFlight : State::kDelayed;
  }
  place(entry, state);
  by_age_.insert(by_age_.end(), entry);
}

void Queue::advance(WallTime now) {
  while (!by_age_.empty() && by_age_.begin()->message.content->sent_at + retention_ <= now) {
    const RowId row = by_age_.begin()->message.row;
    expired_.push_back(row);
    remove(row);
  }
  while (!waiting_.empty() && waiting_.begin()->message.available_at <= now) {
    Entry& entry = *waiting_.begin();
    unplace(entry);
    place(entry, State::kReady);
  }
}

Queue::Taken Queue::take(WallTime now, const TakeOptions& options) {
  advance(now);
  Taken taken;
  while (!ready_.empty() && std::ssize(taken.received) < options.messages_max) {
    Entry& entry = *ready_.begin();
    if (options.max_receive_count && entry.message.receive_count >= *options.max_receive_count) {
      if (taken.leaving.size() >= options.leaving_max) break;
      unplace(entry);
      by_age_.erase(by_age_.iterator_to(entry));
      place(entry, State::kLeaving);
      taken.leaving.push_back(entry.message);
      continue;
    }
    QueuedMessage before = entry.message;
    unplace(entry);
    ++entry.message.receive_count;
    if (!entry.message.first_received_at) entry.message.first_received_at = now;
    entry.message.received_at = now;
    entry.message.available_at = now + options.visibility_timeout;
    taken.received.push_back({entry.message, std::move(before)});
    // With a timeout of zero the message is visible again at once, but not for this receive.
    place(entry, State::kInFlight);
  }
  return taken;
}

void Queue::undo(const Taken& taken) {
  for (const Received& received : taken.received) {
    auto it = messages_.find(received.message.row);
    if (it == messages_.end() || it->second.message.receive_count != received.message.receive_count) continue;
    unplace(it->second);
    it->second.message = received.before;
    place(it->second, State::kReady);
  }
  for (const QueuedMessage& message : taken.leaving) {
    auto it = messages_.find(message.row);
    if (it == messages_.end()) continue;
    unplace(it->second);
    place(it->second, State::kReady);
    by_age_.insert(it->second);
  }
}

bool Queue::finish_leaving(RowId row) {
  auto it = messages_.find(row);
  if (it == messages_.end()) return false;
  LD_CHECK(it->second.state == State::kLeaving, "message row {} is not leaving", row);
  return remove(row);
}

bool Queue::may_remove(RowId row, std::uint32_t generation) const {
  auto it = messages_.find(row);
  return it != messages_.end() && it->second.message.receive_count == generation;
}

bool Queue::remove(RowId row) {
  auto it = messages_.find(row);
  if (it == messages_.end()) return false;
  unplace(it->second);
  if (it->second.state != State::kLeaving) by_age_.erase(by_age_.iterator_to(it->second));
  messages_.erase(it);
  return true;
}

const QueuedMessage* Queue::find_received(RowId row, std::uint32_t generation) const {
  auto it = messages_.find(row);
  if (it == messages_.end() || it->second.state == State::kLeaving) return nullptr;
  return it->second.message.receive_count == generation ? &it->second.message : nullptr;
}

bool Queue::change_visibility(RowId row, std::uint32_t generation, WallTime available_at, WallTime now) {
  advance(now);
  if (find_received(row, generation) == nullptr) return false;
  Entry& entry = messages_.find(row)->second;
  unplace(entry);
  entry.message.available_at = std::max(available_at, now);
  place(entry, available_at > now ? State::kInFlight : State::kReady);
  return true;
}

std::vector<RowId> Queue::remove_below(RowId limit) {
  std::vector<RowId> rows;
  for (auto it = messages_.begin(); it != messages_.end();) {
    auto next = std::next(it);
    if (it->first < limit) {
      rows.push_back(it->first);
      remove(it->first);
    }
    it = next;
  }
  return rows;
}

std::optional<WallTime> Queue::next_transition() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->message.available_at;
}

Queue::Counts Queue::counts() const {
  const auto count = [this](State state) { return counts_[static_cast<std::size_t>(state)]; };
  return {.visible = count(State::kReady),
          .delayed = count(State::kDelayed),
          .in_flight = count(State::kInFlight) + count(State::kLeaving)};
}

}  // namespace lambdad::sqs
