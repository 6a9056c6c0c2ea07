#include "services/sqs/standard_queue.h"

namespace lambdad::sqs {

StandardQueue::~StandardQueue() { ready_.clear(); }

void StandardQueue::show(Entry& entry) { ready_.insert(ready_.end(), entry); }
void StandardQueue::hide(Entry& entry) { ready_.erase(ready_.iterator_to(entry)); }

Queue::Taken StandardQueue::take(WallTime now, const TakeOptions& options) {
  advance(now);
  Taken taken;
  while (!ready_.empty() && std::ssize(taken.received) < options.messages_max) {
    Entry& entry = *ready_.begin();
    if (must_leave(entry, options)) {
      if (taken.leaving.size() >= options.leaving_max) break;
      taken.leaving.push_back(begin_leaving(entry));
      continue;
    }
    taken.received.push_back(receive(entry, now, options.visibility_timeout));
  }
  return taken;
}

}  // namespace lambdad::sqs
