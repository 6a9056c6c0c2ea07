#include "services/sqs/queue.h"

#include <algorithm>
#include <utility>

namespace lambdad::sqs {

Queue::~Queue() { abandon(); }

void Queue::abandon() {
  // The hooks of normal_link do not unlink themselves; the sets must forget the entries before those go.
  waiting_.clear();
  by_age_.clear();
  messages_.clear();
}

void Queue::place(Entry& entry, State state) {
  entry.state = state;
  ++count_of(state);
  switch (state) {
    case State::kReady: show(entry); break;
    // New and returning messages are nearly always the latest of their set, so the end is a good place to look first.
    case State::kDelayed:
    case State::kInFlight: waiting_.insert(waiting_.end(), entry); break;
    case State::kLeaving: break;
  }
}

void Queue::unplace(Entry& entry) {
  --count_of(entry.state);
  switch (entry.state) {
    case State::kReady: hide(entry); break;
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
  enter(entry);
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

Queue::Received Queue::receive(Entry& entry, WallTime now, Duration visibility_timeout) {
  QueuedMessage before = entry.message;
  unplace(entry);
  ++entry.message.receive_count;
  if (!entry.message.first_received_at) entry.message.first_received_at = now;
  entry.message.received_at = now;
  entry.message.available_at = now + visibility_timeout;
  // With a timeout of zero the message is visible again at once, but not for this receive.
  place(entry, State::kInFlight);
  return {entry.message, std::move(before)};
}

QueuedMessage Queue::begin_leaving(Entry& entry) {
  unplace(entry);
  by_age_.erase(by_age_.iterator_to(entry));
  place(entry, State::kLeaving);
  return entry.message;
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
  leave(it->second);
  messages_.erase(it);
  return true;
}

const QueuedMessage* Queue::find_received(RowId row, std::uint32_t generation) const {
  auto it = messages_.find(row);
  if (it == messages_.end() || it->second.state == State::kLeaving) return nullptr;
  return it->second.message.receive_count == generation ? &it->second.message : nullptr;
}

const QueuedMessage* Queue::find(RowId row) const {
  auto it = messages_.find(row);
  return it == messages_.end() ? nullptr : &it->second.message;
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

std::vector<std::pair<QueuedMessage, Queue::State>> Queue::all() const {
  std::vector<std::pair<QueuedMessage, State>> all;
  all.reserve(messages_.size());
  for (const auto& [row, entry] : messages_) all.emplace_back(entry.message, entry.state);
  std::ranges::sort(all, {}, [](const auto& each) { return each.first.row; });
  return all;
}

}  // namespace lambdad::sqs
