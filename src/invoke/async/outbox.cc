#include "invoke/async/outbox.h"

#include <algorithm>

#include "invoke/async/deliveries.h"
#include "system/either.h"

namespace lambdad::invoke {

namespace {

constexpr Duration kTryAgainMax = 300s;
// About six hours of trying, as long as AWS keeps an event at most; time in which the daemon was not there is not
// counted.
constexpr int kTriesMax = 80;
constexpr Duration kReadAgainAfter = 1s;  // real time, when a read failed

bool may_pass(Errc code) { return code == Errc::kUnavailable || code == Errc::kThrottled || code == Errc::kTimedOut; }

}  // namespace

Outbox::Outbox(System& system, Logger& log, Metrics& metrics, EventStore& store, ports::Target& target, Limits limits)
    : system_(system),
      log_(log),
      metrics_(metrics),
      store_(store),
      target_(target),
      limits_(limits),
      worker_{system, log},
      retries_(metrics.counter("lambdad_async_delivery_retries_total",
                               "Deliveries to destinations and dead-letter queues that are tried again.")),
      due_changed_(system.loop),
      running_tasks_(system.loop),
      upkeep_(system.loop) {}

Outbox::~Outbox() = default;

void Outbox::start(std::optional<WallTime> first_due) {
  if (first_due) window_.leave_behind(*first_due, system_.clock.wall());
  upkeep_.spawn("async deliveries due", watch_due());
  read_on_if_low();
}

Async<void> Outbox::stop() {
  worker_.stopping = true;
  co_await upkeep_.stop();
  co_await running_tasks_.drain();
}

void Outbox::add(std::vector<Delivery> deliveries) {
  const WallTime now = system_.clock.wall();
  for (Delivery& delivery : deliveries) {
    if (worker_.stopping || window_.holds(delivery.id)) continue;
    if (!window_.more() && ready_.size() < limits_.head_max &&
        ready_bytes_ + delivery.body.size() <= limits_.head_bytes_max) {
      take_up(std::make_shared<Delivery>(std::move(delivery)));
    } else {
      window_.leave_behind(delivery.due, now);
    }
  }
  dispatch();
  read_on_if_low();
}

void Outbox::take_up(DeliveryPtr delivery) {
  window_.hold(delivery->id);
  ready_bytes_ += delivery->body.size();
  ready_.push_back(std::move(delivery));
}

void Outbox::dispatch() {
  while (!worker_.stopping && running_ < limits_.running_max && !ready_.empty()) {
    DeliveryPtr next = std::move(ready_.front());
    ready_.pop_front();
    ready_bytes_ -= next->body.size();
    ++running_;
    running_tasks_.spawn("async delivery", deliver(std::move(next)));
  }
}

void Outbox::read_on_if_low() {
  if (!window_.more() || window_.reading() || worker_.stopping || ready_.size() > limits_.head_max / 4) return;
  window_.begin_read();
  upkeep_.spawn("async deliveries read on", read_on());
}

Async<void> Outbox::read_on() {
  auto busy = system_.activity.begin();
  auto due = co_await store_.due_deliveries(system_.clock.wall(), window_.held(), limits_.head_max);
  if (due) {
    for (Delivery& delivery : due->found) {
      if (window_.wants(delivery.id)) take_up(std::make_shared<Delivery>(std::move(delivery)));
    }
    window_.end_read(due->all, due->next);
  } else {
    log_.error("async_read_failed", {{"what", "deliveries"}, {"reason", due.error().detail}});
    busy.release();
    co_await system_.host_clock.sleep_for(kReadAgainAfter);
    window_.end_read(false, std::nullopt);
  }
  window_.pass(system_.clock.wall());
  due_changed_.notify_all();
  dispatch();
  read_on_if_low();
}

Async<void> Outbox::deliver(DeliveryPtr delivery) {
  auto busy = system_.activity.begin();
  Result<void> delivered = fail(Errc::kInvalid, "not an ARN");
  if (auto arn = Arn::parse(delivery->target)) {
    delivered = co_await target_.deliver(std::move(*arn), message_of(*delivery));
  }
  const WallTime now = system_.clock.wall();
  const Duration pause = std::min<Duration>(Duration(1s) * (1 << std::min(delivery->tries, 9)), kTryAgainMax);
  if (!delivered && may_pass(delivered.error().code) && delivery->tries + 1 < kTriesMax) {
    ++delivery->tries;
    delivery->due = ceil_ms(now + pause);
    retries_.add();
    log_.warn("async_delivery_retry", {{"target", delivery->target},
                                       {"request_id", delivery->request_id},
                                       {"tries", delivery->tries},
                                       {"reason", delivered.error().detail}});
    co_await commit_until_stored(&worker_, &busy, "delivery retry", [this, delivery] {
      return store_.reschedule_delivery(delivery->id, delivery->tries, delivery->due);
    });
    window_.let_go(delivery->id);
    window_.leave_behind(delivery->due, system_.clock.wall());
    due_changed_.notify_all();
  } else {
    if (!delivered) count_failure(*delivery, delivered.error().detail);
    co_await commit_until_stored(&worker_, &busy, "delivery done",
                                 [this, delivery] { return store_.remove_delivery(delivery->id); });
    window_.let_go(delivery->id);
  }
  --running_;
  dispatch();
  read_on_if_low();
}

void Outbox::count_failure(const Delivery& delivery, const std::string& why) {
  const bool dead_letter = delivery.kind == Delivery::Kind::kDeadLetter;
  const Labels labels{{"function", delivery.function.name}};
  if (dead_letter) {
    metrics_.counter("lambdad_dead_letter_errors_total", "Events that a dead-letter queue did not take.", labels).add();
  } else {
    metrics_.counter("lambdad_destination_delivery_failures_total", "Records that a destination did not take.", labels)
        .add();
  }
  log_.error(dead_letter ? "dead_letter_failed" : "destination_failed", {{"function", delivery.function.arn().str()},
                                                                         {"request_id", delivery.request_id},
                                                                         {"target", delivery.target},
                                                                         {"reason", why}});
}

Async<void> Outbox::watch_due() {
  for (;;) {
    const WallTime now = system_.clock.wall();
    window_.pass(now);
    read_on_if_low();
    const auto next = window_.next_due();
    if (!next) {
      co_await due_changed_.wait();
    } else {
      co_await wait_until(due_changed_, system_.clock, system_.clock.mono() + (*next - now));
    }
  }
}

}  // namespace lambdad::invoke
