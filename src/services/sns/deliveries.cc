#include "services/sns/deliveries.h"

#include "system/either.h"

namespace lambdad::sns {

namespace {

constexpr std::size_t kReadyMax = 256;  // of a lane, in memory
constexpr std::size_t kReadyLow = 64;   // below it the lane reads on
constexpr std::size_t kInsideMax = 128;
constexpr std::size_t kHttpMax = 512;
constexpr std::size_t kLaneMax = 16;
constexpr std::size_t kHttpLaneMax = 8;
constexpr Duration kStorePause = 1s;  // after the store has failed

}  // namespace

Deliveries::Deliveries(System& system, Logger& log, Metrics& metrics, Store& store, Endpoints& endpoints)
    : system_(system),
      log_(log),
      store_(store),
      endpoints_(endpoints),
      timer_changed_(system.loop),
      gone_added_(system.loop),
      commits_done_(system.loop),
      inside_(system.loop),
      outside_(system.loop) {
  pools_[0].under_way_max = kInsideMax;
  pools_[1].under_way_max = kHttpMax;
  metrics.on_scrape([this, &gauge = metrics.gauge("lambdad_sns_subscriptions_with_backlog",
                                                  "Subscriptions that have something to be delivered.")] {
    gauge.set(static_cast<double>(lanes_.size()));
  });
  outside_.spawn("sns timer", run_timer());
  outside_.spawn("sns reclaim", run_reclaim());
}

Deliveries::~Deliveries() = default;

void Deliveries::start(const std::vector<Store::Loaded::Waiting>& waiting,
                       const std::function<SubscriptionPtr(SubscriptionId)>& find) {
  for (const auto& [id, due] : waiting) {
    const SubscriptionPtr subscription = find(id);
    if (!subscription) {
      gone_.push_back(id);
      continue;
    }
    const LanePtr lane = lane_of(subscription);
    lane->stored_due = due;
    review(lane);
  }
  gone_added_.notify_all();
  dispatch();
}

Async<void> Deliveries::stop() {
  stopping_ = true;
  co_await outside_.stop();
  co_await inside_.drain();
  co_await inside_.stop();
  while (commits_under_way_ > 0) co_await commits_done_.wait();
  lanes_.clear();
  alarms_.clear();
  for (Pool& pool : pools_) pool.runnable.clear();
}

Deliveries::LanePtr Deliveries::lane_of(const SubscriptionPtr& subscription) {
  LanePtr& lane = lanes_[subscription->row.id];
  if (!lane) {
    lane = std::make_shared<Lane>();
    lane->subscription = subscription;
    lane->fifo = subscription->fifo_topic;
    lane->pool = is_http(subscription->protocol) ? 1 : 0;
  }
  return lane;
}

void Deliveries::add(const SubscriptionPtr& subscription, const MessagePtr& message, WallTime due) {
  if (stopping_ || subscription->deleted) return;
  const LanePtr lane = lane_of(subscription);
  // Straight on when nothing that is due waits in the store alone.
  const bool next = !lane->loading && lane->ready.size() < kReadyMax &&
                    (!lane->stored_due || (!lane->fifo && *lane->stored_due > system_.clock.wall()));
  if (next) {
    lane->held.insert(message->row);
    lane->last_row = message->row;
    lane->ready.push_back({message, 0, std::nullopt});
  } else if (!lane->stored_due || due < *lane->stored_due) {
    lane->stored_due = due;
  }
  review(lane);
  dispatch();
}

void Deliveries::forget(SubscriptionId subscription) {
  if (const auto at = lanes_.find(subscription); at != lanes_.end()) {
    const LanePtr lane = at->second;
    lane->forgotten = true;
    lane->ready.clear();
    set_alarm(lane, std::nullopt);
    lanes_.erase(at);
  }
  gone_.push_back(subscription);
  gone_added_.notify_all();
}

std::size_t Deliveries::allowance(const Lane& lane) const {
  if (lane.fifo || lane.failing) return 1;
  return lane.pool == 1 ? kHttpLaneMax : kLaneMax;
}

void Deliveries::set_alarm(const LanePtr& lane, std::optional<WallTime> when) {
  const SubscriptionId id = lane->subscription->row.id;
  if (lane->alarm != WallTime{}) alarms_.erase({lane->alarm, id});
  lane->alarm = when.value_or(WallTime{});
  if (!when) return;
  alarms_.emplace(std::pair(*when, id), lane);
  if (*when < armed_for_) timer_changed_.notify_all();
}

void Deliveries::review(const LanePtr& lane) {
  if (stopping_ || lane->forgotten) return;
  const WallTime now = system_.clock.wall();
  if (lane->stored_due && *lane->stored_due <= now && lane->ready.size() < kReadyLow && !lane->loading) {
    lane->loading = true;
    lane->stored_due.reset();
    outside_.spawn("sns load", load(lane, system_.activity.begin()));
  }
  const bool blocked = lane->blocked_until > now;
  if (!lane->ready.empty() && !blocked && lane->under_way < allowance(*lane) && !lane->queued) {
    lane->queued = true;
    pools_[lane->pool].runnable.push_back(lane);
  }
  std::optional<WallTime> alarm;
  if (blocked) alarm = lane->blocked_until;
  // What is due already is read when there is room: that is no matter of time.
  if (lane->stored_due && !lane->loading && *lane->stored_due > now && (!alarm || *lane->stored_due < *alarm)) {
    alarm = lane->stored_due;
  }
  set_alarm(lane, alarm);
  if (lane->ready.empty() && lane->held.empty() && !lane->stored_due && !lane->loading && !blocked) {
    lanes_.erase(lane->subscription->row.id);
  }
}

void Deliveries::dispatch() {
  if (stopping_) return;
  for (Pool& pool : pools_) {
    while (!pool.runnable.empty() && pool.under_way < pool.under_way_max) {
      const LanePtr lane = std::move(pool.runnable.front());
      pool.runnable.pop_front();
      lane->queued = false;
      if (lane->forgotten) continue;
      const bool blocked = lane->blocked_until > system_.clock.wall();
      if (!blocked && !lane->ready.empty() && lane->under_way < allowance(*lane)) begin(lane);
      review(lane);
    }
  }
}

void Deliveries::begin(const LanePtr& lane) {
  Item item = std::move(lane->ready.front());
  lane->ready.pop_front();
  ++lane->under_way;
  ++pools_[lane->pool].under_way;
  if (lane->pool == 1) {
    const TopicPtr topic = lane->subscription->topic.lock();
    const auto rate = EffectivePolicy::of(topic ? topic->attributes.delivery_policy() : std::nullopt,
                                          lane->subscription->attributes.delivery_policy())
                          .receives_per_second_max;
    if (rate) lane->blocked_until = system_.clock.wall() + Duration(1s) / *rate;
  }
  TaskGroup& group = lane->pool == 1 ? outside_ : inside_;
  group.spawn("sns delivery", attempt(lane, std::move(item), system_.activity.begin()));
}

Async<void> Deliveries::attempt(LanePtr lane, Item item, [[maybe_unused]] Activity::Token activity) {
  Attempt result = item.failure ? co_await endpoints_.dead_letter(lane->subscription, item.message, *item.failure)
                                : co_await endpoints_.deliver(lane->subscription, item.message);
  --lane->under_way;
  --pools_[lane->pool].under_way;
  finish(lane, std::move(item), std::move(result));
  review(lane);
  dispatch();
}

void Deliveries::finish(const LanePtr& lane, Item item, Attempt attempt) {
  LiveSubscription& subscription = *lane->subscription;
  const bool notification = item.message->type == Message::Type::kNotification;
  lane->failing = attempt.kind == Attempt::Kind::kFailed;
  switch (attempt.kind) {
    case Attempt::Kind::kDelivered:
      if (item.failure) {
        subscription.metrics->redriven.add();
      } else if (notification) {
        subscription.metrics->delivered.add();
      }
      return settle(lane, item.message->row);
    case Attempt::Kind::kRefused: return give_up(lane, std::move(item), std::move(attempt.why));
    case Attempt::Kind::kFailed: break;
  }
  ++item.attempts;
  RetryPolicy policy = managed_retry_policy();
  if (is_http(subscription.protocol) && !item.failure) {
    const TopicPtr topic = subscription.topic.lock();
    policy = EffectivePolicy::of(topic ? topic->attributes.delivery_policy() : std::nullopt,
                                 subscription.attributes.delivery_policy())
                 .retry;
  }
  const auto delay = policy.delay_after(item.attempts);
  if (!delay) return give_up(lane, std::move(item), std::move(attempt.why));
  log_.debug("sns_delivery_failed", {{"subscription", subscription.arn},
                                     {"message_id", item.message->id},
                                     {"attempt", item.attempts},
                                     {"reason", attempt.why.message}});
  retry(lane, std::move(item), *delay);
}

void Deliveries::retry(const LanePtr& lane, Item item, Duration delay) {
  if (delay == Duration::zero()) {
    lane->ready.push_front(std::move(item));
    return;
  }
  const RowId row = item.message->row;
  const WallTime due = system_.clock.wall() + delay;
  const SubscriptionId subscription = lane->subscription->row.id;
  const int attempts = item.attempts;
  auto failure = item.failure;
  if (lane->fifo) {
    // Stays in memory, before all others.
    lane->ready.push_front(std::move(item));
    lane->blocked_until = due;
    store_.reschedule(subscription, row, due, attempts, std::move(failure), after_commit([](const Result<void>&) {}));
    return;
  }
  store_.reschedule(subscription, row, due, attempts, std::move(failure),
                    after_commit([this, lane, due, item = std::move(item)](const Result<void>& stored) mutable {
                      if (stored) {
                        lane->held.erase(item.message->row);
                        if (!lane->stored_due || due < *lane->stored_due) lane->stored_due = due;
                      } else {
                        lane->blocked_until = due;
                        if (!lane->forgotten) lane->ready.push_front(std::move(item));
                      }
                      review(lane);
                      dispatch();
                    }));
}

void Deliveries::give_up(const LanePtr& lane, Item item, Failure why) {
  LiveSubscription& subscription = *lane->subscription;
  const bool notification = item.message->type == Message::Type::kNotification;
  if (item.failure) {
    subscription.metrics->failed_to_redrive.add();
    log_.error("sns_dead_letter_lost",
               {{"subscription", subscription.arn}, {"message_id", item.message->id}, {"reason", why.message}});
    return settle(lane, item.message->row);
  }
  if (notification) subscription.metrics->failed.add();
  const bool redriven = notification && subscription.attributes.dead_letter_queue().has_value();
  log_.warn("sns_delivery_given_up", {{"subscription", subscription.arn},
                                      {"message_id", item.message->id},
                                      {"code", why.code},
                                      {"reason", why.message},
                                      {"dead_letter_queue", redriven ? "yes" : "none"}});
  if (!redriven) return settle(lane, item.message->row);
  item.failure = std::move(why);
  item.attempts = 0;
  if (!lane->forgotten) lane->ready.push_front(std::move(item));
}

template <class F>
Store::Done Deliveries::after_commit(F then) {
  ++commits_under_way_;
  return [this, then = std::move(then), activity = system_.activity.begin()](Result<void> stored) mutable {
    then(stored);
    activity.release();
    if (--commits_under_way_ == 0 && stopping_) commits_done_.notify_all();
  };
}

void Deliveries::settle(const LanePtr& lane, RowId message) {
  store_.settle(lane->subscription->row.id, message, after_commit([this, lane, message](const Result<void>& stored) {
                  if (!stored) {
                    if (!stopping_) outside_.spawn("sns settle", settle_again(lane, message));
                    return;
                  }
                  lane->held.erase(message);
                  review(lane);
                  dispatch();
                }));
}

// The endpoint has the message; only the store does not know it yet.
Async<void> Deliveries::settle_again(LanePtr lane, RowId message) {
  co_await system_.host_clock.sleep_for(kStorePause);
  settle(lane, message);
}

Async<void> Deliveries::load(LanePtr lane, [[maybe_unused]] Activity::Token activity) {
  const std::set<RowId> known = lane->held;
  const auto after = lane->fifo ? std::optional(lane->last_row) : std::nullopt;
  auto rows =
      co_await store_.deliveries(lane->subscription->row.id, after, static_cast<int>(kReadyMax + known.size() + 1));
  lane->loading = false;
  if (lane->forgotten) co_return;
  const WallTime now = system_.clock.wall();
  const auto note = [&](WallTime due) {
    if (!lane->stored_due || due < *lane->stored_due) lane->stored_due = due;
  };
  if (!rows) {
    log_.error("sns_deliveries_not_read", {{"reason", rows.error().detail}});
    note(now + kStorePause);
  } else {
    std::size_t taken = 0;
    for (DeliveryRow& row : *rows) {
      if (known.contains(row.message->row) || lane->held.contains(row.message->row)) continue;
      if (taken == kReadyMax || (!lane->fifo && row.due > now)) {
        note(row.due);
        break;
      }
      if (lane->fifo && row.due > now && lane->ready.empty()) lane->blocked_until = row.due;
      lane->held.insert(row.message->row);
      lane->last_row = std::max(lane->last_row, row.message->row);
      lane->ready.push_back({std::move(row.message), row.attempts, std::move(row.failure)});
      ++taken;
    }
  }
  review(lane);
  dispatch();
}

Async<void> Deliveries::run_timer() {
  for (;;) {
    armed_for_ = alarms_.empty() ? WallTime::max() : alarms_.begin()->first.first;
    if (alarms_.empty()) {
      co_await timer_changed_.wait();
    } else {
      const Duration left = std::max(Duration::zero(), armed_for_ - system_.clock.wall());
      co_await wait_until(timer_changed_, system_.clock, system_.clock.mono() + left);
    }
    // From the moment the clock woke us until what is due has begun, virtual time stands still.
    const auto activity = system_.activity.begin();
    const WallTime now = system_.clock.wall();
    while (!alarms_.empty() && alarms_.begin()->first.first <= now) review(LanePtr(alarms_.begin()->second));
    dispatch();
  }
}

Async<void> Deliveries::run_reclaim() {
  for (;;) {
    while (gone_.empty()) co_await gone_added_.wait();
    const auto more = co_await store_.reclaim(gone_.front());
    if (!more) {
      co_await system_.host_clock.sleep_for(kStorePause);
    } else if (!*more) {
      gone_.erase(gone_.begin());
    }
  }
}

}  // namespace lambdad::sns
