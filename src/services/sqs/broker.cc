#include "services/sqs/broker.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/arn.h"
#include "services/sqs/move_tasks.h"
#include "services/sqs/standard_queue.h"

namespace lambdad::sqs {

namespace {

constexpr std::size_t kReclaimRowsPerCommit = 500;
/// A wall clock this far ahead of the service's time was set forward (or the machine slept): follow it.
constexpr Duration kFollowWallAfter = 1s;

constexpr const char* kSentHelp = "Messages accepted by SQS queues";
constexpr const char* kReceivedHelp = "Messages handed out by SQS queues";
constexpr const char* kDeletedHelp = "Messages deleted from SQS queues by receipt handle";

std::shared_ptr<const std::string> shared_arn(const LiveQueue& queue) {
  return std::make_shared<const std::string>(queue.arn());
}

std::unique_ptr<Queue> make_queue(const QueueAttributes& attributes) {
  if (attributes.is_fifo()) return std::make_unique<FifoQueue>(attributes.retention(), attributes.delay());
  return std::make_unique<StandardQueue>(attributes.retention());
}

/// Store::Receive::attempt.
std::string attempt_text(std::string_view attempt, std::size_t messages) {
  return attempt.empty() ? std::string() : fmt::format("{} {}", messages, attempt);
}

/// The receives of before a restart, gathered message by message.
struct LoadedAttempts {
  std::map<std::pair<FifoQueue*, std::string>, std::vector<RowId>> rows;  ///< by Store::Receive::attempt

  void add(FifoQueue* queue, std::string_view text, RowId row) { rows[{queue, std::string(text)}].push_back(row); }
  void restore() const {
    for (const auto& [key, messages] : rows) {
      const std::string_view text = key.second;
      const auto space = text.find(' ');
      // Where one is missing, it was deleted or received again.
      if (space == text.npos || text.substr(0, space) != std::to_string(messages.size())) continue;
      key.first->restore_attempt(std::string(text.substr(space + 1)), messages);
    }
  }
};

}  // namespace

LiveQueue::LiveQueue(QueueRow r, QueueAttributes a, Metrics& metrics)
    : row(std::move(r)),
      attributes(std::move(a)),
      owned(make_queue(attributes)),
      messages(*owned),
      fifo(dynamic_cast<FifoQueue*>(owned.get())),
      sent(metrics.counter("lambdad_sqs_messages_sent_total", kSentHelp, {{"queue", row.name}})),
      received(metrics.counter("lambdad_sqs_messages_received_total", kReceivedHelp, {{"queue", row.name}})),
      removed(metrics.counter("lambdad_sqs_messages_deleted_total", kDeletedHelp, {{"queue", row.name}})) {}

std::string LiveQueue::arn() const {
  return Arn{.service = "sqs", .region = row.region, .account = row.account, .resource = row.name}.str();
}

/// A parked long poll. Lives in the frame of park().
struct Waiter {
  explicit Waiter(Loop& loop) : woken(loop) {}
  LiveQueuePtr queue;
  WallTime deadline;
  std::uint64_t number = 0;
  std::list<Waiter*>::iterator place;
  bool linked = false;
  bool was_woken = false;
  Notifier woken;
  Activity::Token activity;
};

// --- life -----------------------------------------------------------------------------------------------------------

Broker::Broker(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store)
    : system_(system),
      log_(log),
      metrics_(metrics),
      store_(std::move(store)),
      move_tasks_(std::make_unique<MoveTasks>(*this)),
      self_(std::make_shared<Broker*>(this)),
      anchor_mono_(system.clock.mono()),
      anchor_wall_(system.clock.wall()),
      turn_free_(system.loop),
      timer_changed_(system.loop),
      dead_added_(system.loop),
      commits_done_(system.loop),
      steps_(system.loop),
      background_(system.loop) {
  metrics_.on_scrape([weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->update_gauges();
  });
}

Broker::~Broker() = default;

Result<std::unique_ptr<Broker>> Broker::open(System& system, Logger& log, Metrics& metrics, Options options) {
  LD_TRY_VOID(system.files.make_directories(options.directory));
  LD_TRY(auto store, Store::open(system.loop, options.directory + "/sqs.db", options.durability));
  LD_TRY_VOID(store->ensure_secret(system.random.bytes(16)));
  std::unique_ptr<Broker> broker(new Broker(system, log, metrics, std::move(store)));
  LD_TRY_VOID(broker->load());
  broker->background_.spawn("sqs timer", broker->run_timer());
  broker->background_.spawn("sqs reclaim", broker->run_reclaim());
  broker->move_tasks_->start_restored();
  return broker;
}

Result<void> Broker::load() {
  handles_.emplace(store_->secret());
  const WallTime start = now();
  std::map<QueueId, LiveQueuePtr> by_id;
  std::optional<Error> failure;
  LoadedAttempts attempts;
  LD_TRY_VOID(store_->load({
      .queue =
          [&](QueueRow row) {
            auto attributes = QueueAttributes{}.with(row.attributes, QueueAttributes::Occasion::kCreate);
            if (!attributes) {
              failure = Error{Errc::kCorrupt, fmt::format("queue {}: {}", row.name, attributes.error().message)};
              return;
            }
            const QueueId id = row.id;
            by_id.emplace(id, adopt(std::move(row), std::move(*attributes)));
          },
      .deleted = [&](DeletedQueueRow row) { deleted_.emplace(Key(row.account, row.region, row.name), row.deleted_at); },
      .message =
          [&](QueueId queue, QueuedMessage message, std::string_view attempt) {
            const auto it = by_id.find(queue);
            if (it == by_id.end()) return;
            if (it->second->fifo != nullptr && !attempt.empty()) attempts.add(it->second->fifo, attempt, message.row);
            it->second->messages.add(std::move(message), start);
          },
      .dead = [&](RowId row) { dead_.push_back(row); },
      .deduplication =
          [&](DeduplicationRow row) {
            const auto it = by_id.find(row.queue);
            const bool belongs =
                it != by_id.end() && it->second->fifo != nullptr && start < row.sent_at + kDeduplicationInterval;
            if (!belongs || it->second->fifo->deduplication.find(row.group_id, row.deduplication_id,
                                                                 Deduplication::Scope::kMessageGroup, start)) {
              dead_deduplications_.push_back(row.row);
              return;
            }
            it->second->fifo->deduplication.add(
                row.group_id, row.deduplication_id,
                {.row = row.row, .message_id = row.message_id, .sent_at = row.sent_at, .is_stored = true});
          },
      .move_task = [&](MoveTaskRow row) { move_tasks_->restore(std::move(row)); },
  }));
  if (failure) return std::unexpected(std::move(*failure));
  attempts.restore();
  std::size_t messages = 0;
  for (const auto& [key, queue] : queues_) messages += queue->messages.size();
  log_.info("sqs_loaded", {{"queues", queues_.size()}, {"messages", messages}});
  return {};
}

LiveQueuePtr Broker::adopt(QueueRow row, QueueAttributes attributes) {
  Key key(row.account, row.region, row.name);
  auto queue = std::make_shared<LiveQueue>(std::move(row), std::move(attributes), metrics_);
  queues_.insert_or_assign(std::move(key), queue);
  return queue;
}

Async<void> Broker::stop() {
  stopping_ = true;
  while (!deadlines_.empty()) wake(*deadlines_.begin()->second);
  co_await move_tasks_->stop();
  co_await background_.stop();
  co_await steps_.drain();
  co_await steps_.stop();
  while (commits_under_way_ > 0) co_await commits_done_.wait();
  store_->close();
}

aws::Error Broker::unavailable() {
  aws::Error error = aws::internal_failure();
  error.type = "ServiceUnavailable";
  error.http_status = 503;
  error.message = "The request has failed due to a temporary failure of the server.";
  return error;
}

WallTime Broker::now() {
  const WallTime running = anchor_wall_ + (system_.clock.mono() - anchor_mono_);
  const WallTime wall = system_.clock.wall();
  if (wall - running <= kFollowWallAfter) return running;
  anchor_wall_ = wall;
  anchor_mono_ = system_.clock.mono();
  timer_changed_.notify_all();
  return wall;
}

// --- queues ---------------------------------------------------------------------------------------------------------

LiveQueuePtr Broker::find(const std::string& account, const std::string& region, const std::string& name) const {
  const auto it = queues_.find(Key(account, region, name));
  return it == queues_.end() ? nullptr : it->second;
}

LiveQueuePtr Broker::find_arn(std::string_view text) const {
  const auto arn = Arn::parse(text);
  if (!arn || arn->service != "sqs") return nullptr;
  return find(arn->account, arn->region, arn->resource);
}

LiveQueuePtr Broker::find_anywhere(const std::string& account, const std::string& name) const {
  for (const auto& [key, queue] : queues_) {
    if (queue->row.account == account && queue->row.name == name) return queue;
  }
  return nullptr;
}

std::vector<LiveQueuePtr> Broker::list(const std::string& account, const std::string& region,
                                       const std::string& after) const {
  std::vector<LiveQueuePtr> found;
  for (auto it = queues_.upper_bound(Key(account, region, after));
       it != queues_.end() && std::get<0>(it->first) == account && std::get<1>(it->first) == region; ++it) {
    found.push_back(it->second);
  }
  return found;
}

std::optional<WallTime> Broker::deleted_at(const std::string& account, const std::string& region,
                                           const std::string& name) const {
  const auto it = deleted_.find(Key(account, region, name));
  return it == deleted_.end() ? std::nullopt : std::optional(it->second);
}

Broker::Turn::~Turn() {
  if (broker_ == nullptr) return;
  broker_->changing_ = false;
  broker_->turn_free_.notify_one();
}

Async<Broker::Turn> Broker::take_turn() {
  while (changing_) co_await turn_free_.wait();
  changing_ = true;
  co_return Turn(*this);
}

Async<Result<LiveQueuePtr>> Broker::create(std::string account, std::string region, std::string name,
                                           QueueAttributes attributes, AttributeMap tags) {
  const WallTime created = now();
  QueueRow row{.id = store_->next_id(),
               .account = std::move(account),
               .region = std::move(region),
               .name = std::move(name),
               .created_at = created,
               .modified_at = created,
               .attributes = attributes.as_set(),
               .tags = std::move(tags),
               .purge_floor = 0,
               .purged_at = std::nullopt};
  LD_CO_TRY_VOID(co_await store_->insert_queue(row));
  deleted_.erase(Key(row.account, row.region, row.name));
  co_return adopt(std::move(row), std::move(attributes));
}

Async<Result<void>> Broker::update(LiveQueuePtr queue, QueueRow row) {
  LD_CO_TRY_VOID(co_await store_->update_queue(row));
  queue->row = std::move(row);
  co_return Result<void>{};
}

Async<Result<void>> Broker::set_attributes(LiveQueuePtr queue, QueueAttributes attributes) {
  QueueRow row = queue->row;
  row.attributes = attributes.as_set();
  row.modified_at = now();
  LD_CO_TRY_VOID(co_await update(queue, std::move(row)));
  queue->attributes = std::move(attributes);
  queue->messages.set_retention(queue->attributes.retention());
  if (queue->fifo != nullptr) queue->fifo->set_delay(queue->attributes.delay(), now());
  settle(*queue);
  co_return Result<void>{};
}

Async<Result<void>> Broker::set_tags(LiveQueuePtr queue, AttributeMap tags) {
  QueueRow row = queue->row;
  row.tags = std::move(tags);
  co_return co_await update(queue, std::move(row));
}

Async<Result<void>> Broker::remove(LiveQueuePtr queue) {
  const DeletedQueueRow trace{queue->row.account, queue->row.region, queue->row.name, now()};
  LD_CO_TRY_VOID(co_await store_->delete_queue(queue->row.id, trace));
  const Key key(trace.account, trace.region, trace.name);
  queues_.erase(key);
  std::erase_if(deleted_,
                [&](const auto& entry) { return entry.second + kNameBlockedAfterDelete <= trace.deleted_at; });
  deleted_.insert_or_assign(key, trace.deleted_at);
  queue->deleted = true;
  reclaim(queue->messages.remove_below(std::numeric_limits<RowId>::max()));
  if (queue->fifo != nullptr) reclaim_deduplications(queue->fifo->deduplication.take_all());
  while (!queue->waiters.empty()) wake(*queue->waiters.front());
  co_return Result<void>{};
}

Async<Result<void>> Broker::purge(LiveQueuePtr queue) {
  QueueRow row = queue->row;
  row.purge_floor = store_->next_id();
  row.purged_at = now();
  const RowId floor = row.purge_floor;
  LD_CO_TRY_VOID(co_await update(queue, std::move(row)));
  reclaim(queue->messages.remove_below(floor));
  settle(*queue);
  co_return Result<void>{};
}

// --- messages -------------------------------------------------------------------------------------------------------

Async<Result<std::vector<Broker::Accepted>>> Broker::send(LiveQueuePtr queue, std::vector<NewMessage> messages) {
  auto queued = std::make_shared<std::vector<QueuedMessage>>();
  queued->reserve(messages.size());
  std::vector<Accepted> accepted;
  std::vector<RowId> under_way;  // repetitions of what is not stored yet
  for (NewMessage& message : messages) {
    const RowId row = store_->next_id();
    if (queue->fifo != nullptr) {
      const MessageContent& content = *message.content;
      const std::string& group = content.extras->group_id;
      const std::string& id = content.extras->deduplication_id;
      Deduplication& deduplication = queue->fifo->deduplication;
      if (const auto* first = deduplication.find(group, id, queue->attributes.deduplication_scope(), content.sent_at)) {
        accepted.push_back({first->row, first->message_id});
        if (!first->is_stored) under_way.push_back(first->row);
        continue;
      }
      deduplication.add(group, id, {.row = row, .message_id = content.message_id, .sent_at = content.sent_at});
      accepted.push_back({row, content.message_id});
    }
    const WallTime available_at = message.content->sent_at + message.delay;
    queued->push_back({.row = row, .content = std::move(message.content), .available_at = available_at});
  }
  if (queue->fifo != nullptr) {
    reclaim_deduplications(queue->fifo->deduplication.take_expired(now()));
    if (queued->empty() && under_way.empty()) co_return accepted;
  }
  const Activity::Token activity = system_.activity.begin();
  auto step = begin_step<Result<void>>();
  // Results come in the order of the calls, so an empty list waits for the commits before it.
  store_->insert_messages(queue->row.id, queued, [this, step, queue, queued, under_way](Result<void> stored) {
    if (queue->fifo != nullptr) {
      for (const QueuedMessage& message : *queued) {
        queue->fifo->deduplication.settle(message.row, stored.has_value());
      }
    }
    if (stored) stored = add_stored(*queue, std::move(*queued));
    for (const RowId row : under_way) {
      if (stored && !queue->fifo->deduplication.is_stored(row)) {
        stored = fail(Errc::kUnavailable, "the message that this one repeats was not stored");
      }
    }
    end_step(step, std::move(stored));
  });
  LD_CO_TRY_VOID(co_await step.get());
  co_return accepted;
}

Result<void> Broker::add_stored(LiveQueue& queue, std::vector<QueuedMessage> messages) {
  if (queue.deleted) {
    for (const QueuedMessage& message : messages) reclaim({message.row});
    if (queue.fifo != nullptr) reclaim_deduplications(queue.fifo->deduplication.take_all());
    return fail(Errc::kNotFound, "queue {} was deleted meanwhile", queue.row.name);
  }
  const WallTime stored_at = now();
  queue.sent.add(messages.size());
  for (QueuedMessage& message : messages) {
    if (message.row < queue.row.purge_floor) {
      reclaim({message.row});  // purged on its way in
    } else {
      queue.messages.add(std::move(message), stored_at);
    }
  }
  settle(queue);
  return {};
}

Async<Result<std::vector<QueuedMessage>>> Broker::receive(LiveQueuePtr queue, ReceiveOptions options) {
  Activity::Token activity = system_.activity.begin();
  const WallTime deadline = now() + options.wait;
  if (!options.attempt.empty() && queue->fifo != nullptr) {
    if (auto again = queue->fifo->find_attempt(options.attempt, now()); !again.empty()) {
      std::vector<Store::Visibility> changes;
      for (QueuedMessage& message : again) {
        message.available_at = now() + options.visibility_timeout;
        changes.push_back({message.row, message.receive_count, message.available_at});
      }
      LD_CO_TRY_VOID(co_await change_visibility(queue, std::move(changes), options.attempt));
      co_return again;
    }
  }
  for (;;) {
    if (queue->deleted) co_return fail(Errc::kNotFound, "queue {} was deleted meanwhile", queue->row.name);
    if (stopping_) co_return std::vector<QueuedMessage>{};
    const WallTime at = now();
    const std::size_t in_flight = counts(*queue).in_flight;
    if (in_flight >= kInFlightMax) {
      if (options.wait <= Duration::zero() && queue->fifo == nullptr)
        co_return fail(Errc::kThrottled, "too many messages in flight");
    } else {
      LiveQueuePtr dead_letter_queue;
      Queue::TakeOptions take{
          .messages_max = std::min(options.messages_max, static_cast<int>(kInFlightMax - in_flight)),
          .visibility_timeout = options.visibility_timeout,
          .max_receive_count = std::nullopt,
          .leaving_max = kRedrivesPerStepMax};
      if (const auto& policy = queue->attributes.redrive_policy()) {
        // While the dead-letter queue is gone, messages stay and are received again, as on AWS.
        dead_letter_queue = find_arn(policy->dead_letter_arn);
        if (dead_letter_queue && dead_letter_queue != queue) take.max_receive_count = policy->max_receive_count;
      }
      auto taken = std::make_unique<Queue::Taken>(queue->messages.take(at, take));
      settle(*queue);
      if (!taken->empty()) {
        if (!options.attempt.empty() && queue->fifo != nullptr) queue->fifo->note_attempt(options.attempt, *taken, at);
        const auto step = begin_receive(queue, dead_letter_queue, std::move(taken), at, options);
        LD_CO_TRY(auto received, co_await step.get());
        if (!received.empty()) co_return received;
        continue;
      }
    }
    if (at >= deadline) co_return std::vector<QueuedMessage>{};
    activity.release();
    activity = co_await park(queue, deadline);
  }
}

Broker::Step<Result<std::vector<QueuedMessage>>> Broker::begin_receive(LiveQueuePtr queue,
                                                                       LiveQueuePtr dead_letter_queue,
                                                                       std::unique_ptr<Queue::Taken> taken, WallTime at,
                                                                       ReceiveOptions options) {
  Store::Receive receive{.rows = {},
                         .received_at = at,
                         .available_at = at + options.visibility_timeout,
                         .attempt = attempt_text(options.attempt, taken->received.size())};
  for (const auto& received : taken->received) receive.rows.push_back(received.message.row);
  auto moves = std::make_shared<std::vector<Store::Move>>();
  if (!taken->leaving.empty()) {
    const auto source = shared_arn(*queue);
    for (const QueuedMessage& message : taken->leaving) {
      QueuedMessage moved = message;
      moved.row = store_->next_id();
      moved.available_at = at;
      // On FIFO queues the retention period begins anew. Source: Developer Guide, "Using dead-letter queues".
      if (queue->fifo != nullptr) moved.content = std::make_shared<MessageContent>(message.content->moved(at));
      moved.dead_letter_source = source;
      moves->push_back({.from = message.row, .to = std::move(moved)});
    }
  }
  const QueueId target = dead_letter_queue ? dead_letter_queue->row.id : 0;
  auto step = begin_step<Result<std::vector<QueuedMessage>>>();
  store_->record_receive(std::move(receive), moves, target,
                         [this, step, queue, dead_letter_queue, taken = std::move(taken), moves](Result<void> stored) {
                           if (!stored) {
                             queue->messages.undo(*taken);
                             settle(*queue);
                             end_step<Result<std::vector<QueuedMessage>>>(step,
                                                                          std::unexpected(std::move(stored).error()));
                             return;
                           }
                           if (!moves->empty()) finish_moves(*queue, *dead_letter_queue, std::move(*moves));
                           queue->received.add(taken->received.size());
                           std::vector<QueuedMessage> messages;
                           messages.reserve(taken->received.size());
                           for (auto& received : taken->received) messages.push_back(std::move(received.message));
                           end_step<Result<std::vector<QueuedMessage>>>(step, std::move(messages));
                         });
  return step;
}

void Broker::finish_moves(LiveQueue& queue, LiveQueue& dead_letter_queue, std::vector<Store::Move> moves) {
  const WallTime stored_at = now();
  for (Store::Move& move : moves) {
    const bool was_there = queue.messages.finish_leaving(move.from);
    if (was_there && !dead_letter_queue.deleted && move.to.row >= dead_letter_queue.row.purge_floor) {
      dead_letter_queue.messages.add(std::move(move.to), stored_at);
    } else {
      reclaim({move.to.row});  // deleted or purged on its way
    }
  }
  settle(dead_letter_queue);
}

Async<Result<void>> Broker::remove_messages(LiveQueuePtr queue, std::vector<ReceiptHandle> handles) {
  std::vector<RowId> rows;
  for (const ReceiptHandle& handle : handles) {
    if (queue->messages.may_remove(handle.row, handle.generation)) rows.push_back(handle.row);
  }
  if (rows.empty()) co_return Result<void>{};
  const Activity::Token activity = system_.activity.begin();
  auto step = begin_step<Result<void>>();
  store_->remove_messages(rows, [this, step, queue, rows](Result<void> stored) {
    if (stored) {
      for (const RowId row : rows) {
        if (queue->messages.remove(row)) queue->removed.add();
      }
      settle(*queue);
    }
    end_step(step, std::move(stored));
  });
  co_return co_await step.get();
}

Async<Result<void>> Broker::change_visibility(LiveQueuePtr queue, std::vector<Store::Visibility> changes,
                                              std::string attempt) {
  const Activity::Token activity = system_.activity.begin();
  auto step = begin_step<Result<void>>();
  store_->set_visibility(changes, [this, step, queue, changes, attempt](Result<void> stored) {
    if (stored) {
      for (const Store::Visibility& change : changes) {
        queue->messages.change_visibility(change.row, change.receive_count, change.available_at, now());
      }
      if (!attempt.empty()) queue->fifo->renew_attempt(attempt, changes.front().available_at);
      settle(*queue);
    }
    end_step(step, std::move(stored));
  });
  co_return co_await step.get();
}

Async<Result<Broker::Redriven>> Broker::redrive(LiveQueuePtr source, MoveTaskRow task, std::size_t messages_max) {
  const Activity::Token activity = system_.activity.begin();
  const WallTime at = now();
  Queue::Taken taken = source->messages.take(
      at, {.messages_max = 1, .visibility_timeout = {}, .max_receive_count = 0, .leaving_max = messages_max});
  auto redrives = std::make_shared<std::vector<Store::Redrive>>();
  auto targets = std::make_shared<std::vector<LiveQueuePtr>>();
  Redriven result;
  for (const QueuedMessage& message : taken.leaving) {
    if (!task.destination && !message.dead_letter_source) {
      result.failure = "CouldNotDetermineMessageSource";
      break;
    }
    const LiveQueuePtr target = find_arn(task.destination ? *task.destination : *message.dead_letter_source);
    if (!target) {
      result.failure = "AWS.SimpleQueueService.NonExistentQueue";
      break;
    }
    auto content = std::make_shared<MessageContent>(message.content->moved(at));
    content->message_id = new_message_id();
    redrives->push_back({.from = message.row,
                         .queue = target->row.id,
                         .to = {.row = store_->next_id(),
                                .content = std::move(content),
                                .available_at = at + target->attributes.delay()}});
    targets->push_back(target);
  }
  // What cannot be moved is visible again.
  const auto stays = taken.leaving.begin() + std::ssize(*redrives);
  source->messages.undo({.received = {}, .leaving = {stays, taken.leaving.end()}});
  taken.leaving.erase(stays, taken.leaving.end());
  settle(*source);
  if (redrives->empty()) co_return result;

  result.moved = redrives->size();
  task.moved += std::ssize(*redrives);
  auto step = begin_step<Result<void>>();
  store_->redrive(redrives, std::move(task),
                  [this, step, source, redrives, targets, taken = std::move(taken)](Result<void> stored) {
                    if (!stored) {
                      source->messages.undo(taken);
                      settle(*source);
                      end_step(step, std::move(stored));
                      return;
                    }
                    const WallTime stored_at = now();
                    for (std::size_t i = 0; i < redrives->size(); ++i) {
                      Store::Redrive& redrive = (*redrives)[i];
                      LiveQueue& target = *(*targets)[i];
                      const bool was_there = source->messages.finish_leaving(redrive.from);
                      if (was_there && !target.deleted && redrive.to.row >= target.row.purge_floor) {
                        target.messages.add(std::move(redrive.to), stored_at);
                        settle(target);
                      } else {
                        reclaim({redrive.to.row});  // deleted or purged on its way
                      }
                    }
                    end_step(step, std::move(stored));
                  });
  LD_CO_TRY_VOID(co_await step.get());
  co_return result;
}

Queue::Counts Broker::counts(LiveQueue& queue) {
  queue.messages.advance(now());
  return queue.messages.counts();
}

Uuid Broker::new_message_id() {
  Uuid uuid;
  system_.random.fill(std::as_writable_bytes(std::span(uuid.bytes)));
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

// --- waiting --------------------------------------------------------------------------------------------------------

void Broker::settle(LiveQueue& queue) {
  queue.messages.advance(now());
  if (auto expired = queue.messages.take_expired(); !expired.empty()) reclaim(std::move(expired));
  // A poll that finds its message gone to another parks again, so waking one too many does no harm.
  for (std::size_t ready = queue.messages.receivable(); ready > 0 && !queue.waiters.empty(); --ready) {
    wake(*queue.waiters.front());
  }
  set_alarm(queue);
}

void Broker::set_alarm(LiveQueue& queue) {
  const std::optional<WallTime> wanted = queue.waiters.empty() ? std::nullopt : queue.messages.next_transition();
  if (wanted == queue.alarm) return;
  if (queue.alarm) alarms_.erase({*queue.alarm, queue.row.id});
  queue.alarm = wanted;
  if (!wanted) return;
  alarms_.emplace(std::pair(*wanted, queue.row.id), &queue);
  note_earlier(*wanted);
}

Async<Activity::Token> Broker::park(LiveQueuePtr queue, WallTime deadline) {
  Waiter waiter(system_.loop);
  waiter.queue = queue;
  waiter.deadline = deadline;
  waiter.number = next_waiter_++;
  waiter.place = queue->waiters.insert(queue->waiters.end(), &waiter);
  waiter.linked = true;
  deadlines_.emplace(std::pair(deadline, waiter.number), &waiter);
  set_alarm(*queue);
  note_earlier(deadline);

  // Whatever ends the wait, nothing keeps pointing here; a wake-up that cancellation swallowed goes to the next poll.
  struct Leave {
    Broker& broker;
    Waiter& waiter;
    bool resumed = false;
    ~Leave() {
      broker.unlink(waiter);
      if (waiter.was_woken && !resumed && !waiter.queue->deleted) broker.settle(*waiter.queue);
    }
  } leave{*this, waiter};
  co_await waiter.woken.wait();
  leave.resumed = true;
  co_return std::move(waiter.activity);
}

void Broker::unlink(Waiter& waiter) {
  if (!waiter.linked) return;
  waiter.linked = false;
  waiter.queue->waiters.erase(waiter.place);
  deadlines_.erase({waiter.deadline, waiter.number});
  if (waiter.queue->waiters.empty()) set_alarm(*waiter.queue);
}

void Broker::wake(Waiter& waiter) {
  unlink(waiter);
  waiter.was_woken = true;
  waiter.activity = system_.activity.begin();
  waiter.woken.notify_all();
}

std::optional<WallTime> Broker::earliest() const {
  std::optional<WallTime> when;
  if (!alarms_.empty()) when = alarms_.begin()->first.first;
  if (!deadlines_.empty() && (!when || deadlines_.begin()->first.first < *when)) when = deadlines_.begin()->first.first;
  return when;
}

void Broker::note_earlier(WallTime when) {
  if (when < armed_for_) timer_changed_.notify_all();
}

Async<void> Broker::sleep_until(WallTime when) {
  co_await system_.clock.sleep_until(anchor_mono_ + (when - anchor_wall_));
  // From the moment the clock woke us until what is due was done, virtual time must stand still.
  timer_activity_ = system_.activity.begin();
}

Async<void> Broker::run_timer() {
  using namespace asio::experimental::awaitable_operators;
  for (;;) {
    const auto next = earliest();
    armed_for_ = next.value_or(WallTime::max());
    if (next) {
      try {
        co_await (sleep_until(*next) || timer_changed_.wait());
      } catch (const asio::multiple_exceptions&) {
        throw_cancelled();  // both were
      }
    } else {
      co_await timer_changed_.wait();
    }
    const WallTime at = now();
    while (!deadlines_.empty() && deadlines_.begin()->first.first <= at) wake(*deadlines_.begin()->second);
    while (!alarms_.empty() && alarms_.begin()->first.first <= at) settle(*alarms_.begin()->second);
    timer_activity_.release();
  }
}

// --- upkeep ---------------------------------------------------------------------------------------------------------

void Broker::reclaim(std::vector<RowId> rows) {
  if (rows.empty()) return;
  dead_.insert(dead_.end(), rows.begin(), rows.end());
  dead_added_.notify_all();
}

void Broker::reclaim_deduplications(std::vector<RowId> rows) {
  if (rows.empty()) return;
  dead_deduplications_.insert(dead_deduplications_.end(), rows.begin(), rows.end());
  // On busy queues some expire with every send: they are removed in bulk.
  if (dead_deduplications_.size() >= kReclaimRowsPerCommit) dead_added_.notify_all();
}

Async<void> Broker::run_reclaim() {
  for (;;) {
    while (dead_.empty() && dead_deduplications_.size() < kReclaimRowsPerCommit) co_await dead_added_.wait();
    if (dead_deduplications_.size() >= kReclaimRowsPerCommit) {
      auto rows = std::exchange(dead_deduplications_, {});
      auto activity = system_.activity.begin();
      const auto removed = co_await store_->remove_deduplications(rows);
      activity.release();
      if (!removed) {
        log_.warn("sqs_reclaim_failed", {{"error", removed.error().detail}});
        dead_deduplications_.insert(dead_deduplications_.end(), rows.begin(), rows.end());
        co_await system_.host_clock.sleep_for(1s);
      }
    }
    if (dead_.empty()) continue;
    const std::size_t count = std::min(dead_.size(), kReclaimRowsPerCommit);
    const auto first = dead_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<RowId> rows(first, dead_.end());
    dead_.erase(first, dead_.end());
    auto activity = system_.activity.begin();
    const auto removed = co_await store_->remove_messages(rows);
    activity.release();
    if (!removed) {
      // They are dead for every reader, so there is no hurry; a restart finds what is left.
      log_.warn("sqs_reclaim_failed", {{"error", removed.error().detail}});
      dead_.insert(dead_.end(), rows.begin(), rows.end());
      co_await system_.host_clock.sleep_for(1s);
    }
  }
}

void Broker::update_gauges() {
  std::map<std::string, Queue::Counts> by_name;  // queues of several accounts and regions may share a name
  for (const auto& [key, queue] : queues_) {
    const Queue::Counts one = counts(*queue);
    Queue::Counts& sum = by_name[queue->row.name];
    sum.visible += one.visible;
    sum.delayed += one.delayed;
    sum.in_flight += one.in_flight;
  }
  for (const auto& [key, at] : deleted_) by_name.try_emplace(std::get<2>(key));
  for (const auto& [name, sum] : by_name) {
    const auto set = [&](const char* metric, const char* help, std::size_t value) {
      metrics_.gauge(metric, help, {{"queue", name}}).set(static_cast<double>(value));
    };
    set("lambdad_sqs_messages_visible", "Messages that can be received", sum.visible);
    set("lambdad_sqs_messages_delayed", "Messages whose delay has not ended", sum.delayed);
    set("lambdad_sqs_messages_in_flight", "Messages received and not deleted", sum.in_flight);
  }
}

}  // namespace lambdad::sqs
