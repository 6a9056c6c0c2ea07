#include "services/sns/hub.h"

#include "services/sns/limits.h"

namespace lambdad::sns {

namespace {

std::string topic_arn(const TopicRow& row) {
  return fmt::format("arn:aws:sns:{}:{}:{}", row.region, row.account, row.name);
}

constexpr std::size_t kTokenDigits = 128;

}  // namespace

TopicMetrics::TopicMetrics(Metrics& metrics, const std::string& topic)
    : published(metrics.counter("lambdad_sns_number_of_messages_published_total", "NumberOfMessagesPublished.",
                                {{"topic", topic}})),
      published_bytes(
          metrics.counter("lambdad_sns_publish_size_bytes_total", "Sum of PublishSize.", {{"topic", topic}})),
      delivered(metrics.counter("lambdad_sns_number_of_notifications_delivered_total",
                                "NumberOfNotificationsDelivered.", {{"topic", topic}})),
      failed(metrics.counter("lambdad_sns_number_of_notifications_failed_total", "NumberOfNotificationsFailed.",
                             {{"topic", topic}})),
      redriven(metrics.counter("lambdad_sns_number_of_notifications_redriven_to_dlq_total",
                               "NumberOfNotificationsRedrivenToDlq.", {{"topic", topic}})),
      failed_to_redrive(metrics.counter("lambdad_sns_number_of_notifications_failed_to_redrive_to_dlq_total",
                                        "NumberOfNotificationsFailedToRedriveToDlq.", {{"topic", topic}})),
      filtered_out(metrics.counter("lambdad_sns_number_of_notifications_filtered_out_total",
                                   "NumberOfNotificationsFilteredOut.", {{"topic", topic}})),
      filtered_out_attributes(
          metrics.counter("lambdad_sns_number_of_notifications_filtered_out_message_attributes_total",
                          "NumberOfNotificationsFilteredOut-MessageAttributes.", {{"topic", topic}})),
      filtered_out_body(metrics.counter("lambdad_sns_number_of_notifications_filtered_out_message_body_total",
                                        "NumberOfNotificationsFilteredOut-MessageBody.", {{"topic", topic}})),
      filtered_out_no_attributes(
          metrics.counter("lambdad_sns_number_of_notifications_filtered_out_no_message_attributes_total",
                          "NumberOfNotificationsFilteredOut-NoMessageAttributes.", {{"topic", topic}})),
      filtered_out_invalid_attributes(
          metrics.counter("lambdad_sns_number_of_notifications_filtered_out_invalid_attributes_total",
                          "NumberOfNotificationsFilteredOut-InvalidAttributes.", {{"topic", topic}})),
      filtered_out_invalid_body(
          metrics.counter("lambdad_sns_number_of_notifications_filtered_out_invalid_message_body_total",
                          "NumberOfNotificationsFilteredOut-InvalidMessageBody.", {{"topic", topic}})) {}

Hub::Hub(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store, Options options)
    : system_(system),
      log_(log),
      metrics_(metrics),
      options_(std::move(options)),
      store_(std::move(store)),
      busy_(system.loop),
      commits_done_(system.loop),
      steps_(system.loop) {}

Hub::~Hub() = default;

Result<std::unique_ptr<Hub>> Hub::open(System& system, Logger& log, Metrics& metrics, Options options) {
  LD_TRY(auto store, Store::open(system.loop, options.directory + "/sns.db", options.durability));
  std::unique_ptr<Hub> hub(new Hub(system, log, metrics, std::move(store), std::move(options)));
  LD_TRY_VOID(hub->load());
  hub->endpoints_ = std::make_unique<Endpoints>(system, *hub->store_, *hub->signing_, hub->options_.endpoints);
  hub->deliveries_ = std::make_unique<Deliveries>(system, log, metrics, *hub->store_, *hub->endpoints_);
  return hub;
}

Result<void> Hub::load() {
  LD_TRY(Store::Loaded loaded, store_->load());
  std::shared_ptr<const Signer> signer;
  if (!loaded.key_pem.empty()) {
    LD_TRY(signer, Signer::load(loaded.key_pem, loaded.certificate_pem));
  }
  signing_ = std::make_unique<Signing>(system_, *store_, std::move(signer));
  std::map<TopicId, TopicPtr> by_id;
  for (TopicRow& row : loaded.topics) {
    auto attributes = TopicAttributes{}.with(row.attributes, TopicAttributes::Occasion::kCreate);
    if (!attributes) return fail(Errc::kCorrupt, "topic {}: {}", row.name, attributes.error().message);
    const TopicId id = row.id;
    by_id.emplace(id, adopt(std::move(row), std::move(*attributes)));
  }
  for (SubscriptionRow& row : loaded.subscriptions) {
    const auto topic = by_id.find(row.topic);
    const auto protocol = parse_protocol(row.protocol);
    if (topic == by_id.end() || !protocol) return fail(Errc::kCorrupt, "subscription {} belongs to nothing", row.uuid);
    auto attributes = SubscriptionAttributes{}.with(
        row.attributes, {.protocol = *protocol, .fifo_topic = topic->second->attributes.fifo()},
        SubscriptionAttributes::Occasion::kSubscribe);
    if (!attributes) return fail(Errc::kCorrupt, "subscription {}: {}", row.uuid, attributes.error().message);
    LD_TRY([[maybe_unused]] auto adopted, adopt(topic->second, std::move(row), std::move(*attributes)));
  }
  std::ranges::sort(loaded.deduplications, {}, &DeduplicationRow::until);
  for (DeduplicationRow& row : loaded.deduplications) {
    const auto topic = by_id.find(row.topic);
    if (topic == by_id.end()) continue;
    topic->second->forgotten_at.emplace_back(row.until, row.id);
    topic->second->remembered.emplace(std::move(row.id),
                                      LiveTopic::Remembered{std::move(row.message_id), row.sequence, row.until, true});
  }
  waiting_ = std::move(loaded.waiting);
  if (!topics_.empty()) {
    log_.info("sns_loaded", {{"topics", topics_.size()}, {"subscriptions", subscriptions_.size()}});
  }
  return {};
}

void Hub::start() {
  std::map<SubscriptionId, SubscriptionPtr> by_id;
  for (const auto& [arn, subscription] : subscriptions_) by_id.emplace(subscription->row.id, subscription);
  deliveries_->start(std::exchange(waiting_, {}), [&](SubscriptionId id) -> SubscriptionPtr {
    const auto found = by_id.find(id);
    return found == by_id.end() ? nullptr : found->second;
  });
}

Async<void> Hub::stop() {
  stopping_ = true;
  co_await steps_.drain();
  co_await steps_.stop();
  while (commits_under_way_ > 0) co_await commits_done_.wait();
  co_await deliveries_->stop();
  store_->close();
}

TopicPtr Hub::adopt(TopicRow row, TopicAttributes attributes) {
  auto topic = std::make_shared<LiveTopic>();
  topic->arn = topic_arn(row);
  topic->metrics = std::make_shared<TopicMetrics>(metrics_, row.name);
  topic->row = std::move(row);
  topic->attributes = std::move(attributes);
  topics_.insert_or_assign(topic->arn, topic);
  return topic;
}

Result<SubscriptionPtr> Hub::adopt(const TopicPtr& topic, SubscriptionRow row, SubscriptionAttributes attributes) {
  const auto protocol = parse_protocol(row.protocol);
  if (!protocol) return fail(Errc::kCorrupt, "subscription {} has the protocol {}", row.uuid, row.protocol);
  auto subscription = std::make_shared<LiveSubscription>();
  subscription->arn = fmt::format("{}:{}", topic->arn, row.uuid);
  subscription->protocol = *protocol;
  subscription->row = std::move(row);
  subscription->attributes = std::move(attributes);
  subscription->topic = topic;
  subscription->metrics = topic->metrics;
  subscription->fifo_topic = topic->attributes.fifo();
  topic->subscriptions.insert_or_assign(subscription->row.uuid, subscription);
  subscriptions_.insert_or_assign(subscription->arn, subscription);
  return subscription;
}

TopicPtr Hub::find_topic(const std::string& arn) const {
  const auto found = topics_.find(arn);
  return found == topics_.end() ? nullptr : found->second;
}

SubscriptionPtr Hub::find_subscription(const std::string& arn) const {
  const auto found = subscriptions_.find(arn);
  return found == subscriptions_.end() ? nullptr : found->second;
}

SubscriptionPtr Hub::find_token(const LiveTopic& topic, const std::string& token) const {
  for (const auto& [uuid, subscription] : topic.subscriptions) {
    if (!subscription->row.token.empty() && subscription->row.token == token) return subscription;
  }
  return nullptr;
}

std::vector<TopicPtr> Hub::topics(const std::string& account, const std::string& region,
                                  const std::string& after) const {
  const std::string prefix = fmt::format("arn:aws:sns:{}:{}:", region, account);
  std::vector<TopicPtr> found;
  for (auto at = topics_.upper_bound(std::max(prefix, after)); at != topics_.end() && at->first.starts_with(prefix);
       ++at) {
    found.push_back(at->second);
  }
  return found;
}

std::vector<SubscriptionPtr> Hub::subscriptions(const std::string& account, const std::string& region,
                                                const std::string& after) const {
  const std::string prefix = fmt::format("arn:aws:sns:{}:{}:", region, account);
  std::vector<SubscriptionPtr> found;
  for (auto at = subscriptions_.upper_bound(std::max(prefix, after));
       at != subscriptions_.end() && at->first.starts_with(prefix); ++at) {
    found.push_back(at->second);
  }
  return found;
}

// --- changes --------------------------------------------------------------------------------------------------------

template <class T>
Async<void> Hub::run_step(Async<T> step, Promise<T> promise, [[maybe_unused]] Activity::Token activity) {
  auto result = co_await std::move(step);
  promise.set(std::move(result));
}

template <class T>
Async<T> Hub::finish(const char* name, Async<T> step) {
  if (stopping_) co_return fail(Errc::kClosed, "the service is stopping");
  Promise<T> promise(system_.loop);
  steps_.spawn(name, run_step(std::move(step), promise, system_.activity.begin()));
  co_return co_await promise.get();
}

Async<Result<TopicPtr>> Hub::create_topic(std::string account, std::string region, std::string name,
                                          TopicAttributes attributes, StringMap tags) {
  TopicRow row{.id = store_->next_id(),
               .account = std::move(account),
               .region = std::move(region),
               .name = std::move(name),
               .created_at = now(),
               .attributes = attributes.as_set(),
               .tags = std::move(tags),
               .sequence = 0,
               .deleted_subscriptions = 0};
  static constexpr auto step = [](Hub* hub, TopicRow topic, TopicAttributes settings) -> Async<Result<TopicPtr>> {
    LD_CO_TRY_VOID(co_await hub->store_->put_topic(topic));
    co_return hub->adopt(std::move(topic), std::move(settings));
  };
  return finish<Result<TopicPtr>>("create topic", step(this, std::move(row), std::move(attributes)));
}

Async<Result<void>> Hub::set_attributes(TopicPtr topic, TopicAttributes attributes) {
  static constexpr auto step = [](Hub* hub, TopicPtr of, TopicAttributes settings) -> Async<Result<void>> {
    TopicRow row = of->row;
    row.attributes = settings.as_set();
    LD_CO_TRY_VOID(co_await hub->store_->put_topic(row));
    of->row.attributes = std::move(row.attributes);
    of->attributes = std::move(settings);
    co_return Result<void>{};
  };
  return finish<Result<void>>("set topic attributes", step(this, std::move(topic), std::move(attributes)));
}

Async<Result<void>> Hub::set_tags(TopicPtr topic, StringMap tags) {
  static constexpr auto step = [](Hub* hub, TopicPtr of, StringMap to) -> Async<Result<void>> {
    TopicRow row = of->row;
    row.tags = std::move(to);
    LD_CO_TRY_VOID(co_await hub->store_->put_topic(row));
    of->row.tags = std::move(row.tags);
    co_return Result<void>{};
  };
  return finish<Result<void>>("set topic tags", step(this, std::move(topic), std::move(tags)));
}

void Hub::drop(const SubscriptionPtr& subscription) {
  subscription->deleted = true;
  subscriptions_.erase(subscription->arn);
  deliveries_->forget(subscription->row.id);
}

Async<Result<void>> Hub::delete_topic(TopicPtr topic) {
  static constexpr auto step = [](Hub* hub, TopicPtr of) -> Async<Result<void>> {
    LD_CO_TRY_VOID(co_await hub->store_->delete_topic(of->row.id));
    of->deleted = true;
    hub->topics_.erase(of->arn);
    for (const auto& [uuid, subscription] : of->subscriptions) hub->drop(subscription);
    of->subscriptions.clear();
    co_return Result<void>{};
  };
  return finish<Result<void>>("delete topic", step(this, std::move(topic)));
}

MessagePtr Hub::confirmation(const LiveTopic& topic, const std::string& token) {
  Message message;
  message.type = Message::Type::kSubscriptionConfirmation;
  message.row = store_->next_id();
  message.id = system_.random.uuid_v4();
  message.topic_arn = topic.arn;
  message.text = fmt::format(
      "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL included in "
      "this message.",
      topic.arn);
  message.published = now();
  message.signature_version = topic.attributes.signature_version();
  message.token = token;
  return std::make_shared<const Message>(std::move(message));
}

Async<Result<SubscriptionPtr>> Hub::subscribe(TopicPtr topic, std::string owner, Protocol protocol,
                                              std::string endpoint, SubscriptionAttributes attributes) {
  const bool asks = is_http(protocol) || is_mail(protocol);
  SubscriptionRow row{.id = store_->next_id(),
                      .topic = topic->row.id,
                      .uuid = system_.random.uuid_v4(),
                      .owner = std::move(owner),
                      .protocol = std::string(to_string(protocol)),
                      .endpoint = std::move(endpoint),
                      .created_at = now(),
                      .attributes = attributes.as_set(),
                      .confirmed = !asks,
                      .authenticated = !asks,
                      .token = asks ? system_.random.hex(kTokenDigits) : ""};
  MessagePtr question = asks ? confirmation(*topic, row.token) : nullptr;
  static constexpr auto step = [](Hub* hub, TopicPtr of, SubscriptionRow subscription, SubscriptionAttributes settings,
                                  MessagePtr ask) -> Async<Result<SubscriptionPtr>> {
    LD_CO_TRY_VOID(co_await hub->store_->put_subscription(subscription, ask));
    auto adopted = hub->adopt(of, std::move(subscription), std::move(settings));
    if (adopted && ask) hub->deliveries_->add(*adopted, ask, ask->published);
    co_return adopted;
  };
  return finish<Result<SubscriptionPtr>>(
      "subscribe", step(this, std::move(topic), std::move(row), std::move(attributes), std::move(question)));
}

Async<Result<void>> Hub::ask_again(SubscriptionPtr subscription) {
  static constexpr auto step = [](Hub* hub, SubscriptionPtr of) -> Async<Result<void>> {
    const TopicPtr topic = of->topic.lock();
    if (!topic) co_return fail(Errc::kNotFound, "the topic is gone");
    SubscriptionRow row = of->row;
    row.token = hub->system_.random.hex(kTokenDigits);
    row.created_at = hub->now();
    const MessagePtr ask = hub->confirmation(*topic, row.token);
    LD_CO_TRY_VOID(co_await hub->store_->put_subscription(row, ask));
    of->row = std::move(row);
    hub->deliveries_->add(of, ask, ask->published);
    co_return Result<void>{};
  };
  return finish<Result<void>>("ask again", step(this, std::move(subscription)));
}

Async<Result<void>> Hub::confirm(SubscriptionPtr subscription, bool authenticated_unsubscribe) {
  static constexpr auto step = [](Hub* hub, SubscriptionPtr of, bool authenticated) -> Async<Result<void>> {
    SubscriptionRow row = of->row;
    row.confirmed = true;
    row.authenticated = authenticated;
    LD_CO_TRY_VOID(co_await hub->store_->put_subscription(row, nullptr));
    of->row = std::move(row);
    co_return Result<void>{};
  };
  return finish<Result<void>>("confirm", step(this, std::move(subscription), authenticated_unsubscribe));
}

Async<Result<void>> Hub::set_attributes(SubscriptionPtr subscription, SubscriptionAttributes attributes) {
  static constexpr auto step = [](Hub* hub, SubscriptionPtr of, SubscriptionAttributes to) -> Async<Result<void>> {
    SubscriptionRow row = of->row;
    row.attributes = to.as_set();
    LD_CO_TRY_VOID(co_await hub->store_->put_subscription(row, nullptr));
    of->row.attributes = std::move(row.attributes);
    of->attributes = std::move(to);
    co_return Result<void>{};
  };
  return finish<Result<void>>("set subscription attributes",
                              step(this, std::move(subscription), std::move(attributes)));
}

Async<Result<void>> Hub::unsubscribe(SubscriptionPtr subscription) {
  static constexpr auto step = [](Hub* hub, SubscriptionPtr of) -> Async<Result<void>> {
    LD_CO_TRY_VOID(co_await hub->store_->delete_subscription(of->row.id, of->row.topic));
    if (const TopicPtr topic = of->topic.lock()) {
      topic->subscriptions.erase(of->row.uuid);
      ++topic->row.deleted_subscriptions;
    }
    hub->drop(of);
    co_return Result<void>{};
  };
  return finish<Result<void>>("unsubscribe", step(this, std::move(subscription)));
}

// --- publishing -----------------------------------------------------------------------------------------------------

bool Hub::wants(const LiveSubscription& subscription, const Message& message) const {
  if (!subscription.row.confirmed) return false;
  const auto& filter = subscription.attributes.filter();
  if (!filter) return true;
  TopicMetrics& metrics = *subscription.metrics;
  const auto verdict = filter->judge(message, subscription.protocol);
  if (verdict == FilterPolicy::Verdict::kPasses) return true;
  metrics.filtered_out.add();
  switch (verdict) {
    case FilterPolicy::Verdict::kNoAttributes: metrics.filtered_out_no_attributes.add(); break;
    case FilterPolicy::Verdict::kInvalidAttributes: metrics.filtered_out_invalid_attributes.add(); break;
    case FilterPolicy::Verdict::kInvalidBody: metrics.filtered_out_invalid_body.add(); break;
    case FilterPolicy::Verdict::kFilteredOut:
      (filter->scope() == FilterPolicy::Scope::kMessageBody ? metrics.filtered_out_body
                                                            : metrics.filtered_out_attributes)
          .add();
      break;
    case FilterPolicy::Verdict::kPasses: break;
  }
  return false;
}

// Returns after everything that was given to the store before.
Async<Result<void>> Hub::store_flushed() {
  Promise<Result<void>> promise(system_.loop);
  store_->publish(std::make_shared<const Publication>(),
                  [promise](Result<void> done) { promise.set(std::move(done)); });
  co_return co_await promise.get();
}

Async<Result<std::vector<Hub::Receipt>>> Hub::publish(TopicPtr topic, std::vector<NewMessage> messages) {
  if (stopping_) co_return fail(Errc::kClosed, "the service is stopping");
  const bool fifo = topic->attributes.fifo();
  const auto memory_key = [&](const NewMessage& message) {
    return topic->attributes.deduplicates_per_group()
               ? fmt::format("{}:{}{}", message.group_id.size(), message.group_id, message.deduplication_id)
               : message.deduplication_id;
  };
  if (fifo) {
    // A twin whose commit is under way: what to answer is known after it.
    for (;;) {
      topic->forget_old(now());
      const bool undecided = std::ranges::any_of(messages, [&](const NewMessage& message) {
        const auto twin = topic->remembered.find(memory_key(message));
        return twin != topic->remembered.end() && !twin->second.committed;
      });
      if (!undecided) break;
      LD_CO_TRY_VOID(co_await store_flushed());
    }
  }
  if (topic->deleted) co_return fail(Errc::kNotFound, "the topic is deleted");

  auto publication = std::make_shared<Publication>();
  publication->topic = topic->row.id;
  publication->due = now();
  std::vector<std::pair<SubscriptionPtr, MessagePtr>> deliveries;
  std::vector<Receipt> receipts;
  std::vector<std::string> remembered;
  std::size_t bytes = 0;
  for (NewMessage& given : messages) {
    bytes += size_bytes(given.text, given.attributes);
    const std::string key = fifo ? memory_key(given) : "";
    if (fifo) {
      if (const auto twin = topic->remembered.find(key); twin != topic->remembered.end()) {
        receipts.push_back({twin->second.message_id, std::to_string(kSequenceBase + twin->second.sequence)});
        continue;
      }
    }
    Message message;
    message.row = store_->next_id();
    message.id = system_.random.uuid_v4();
    message.topic_arn = topic->arn;
    message.subject = std::move(given.subject);
    message.text = std::move(given.text);
    message.texts = std::move(given.texts);
    message.attributes = std::move(given.attributes);
    message.published = publication->due;
    message.group_id = std::move(given.group_id);
    message.deduplication_id = std::move(given.deduplication_id);
    message.trace_header = std::move(given.trace_header);
    message.signature_version = topic->attributes.signature_version();
    if (fifo) {
      publication->sequence = ++topic->row.sequence;
      message.sequence_number = std::to_string(kSequenceBase + topic->row.sequence);
      const WallTime until = publication->due + kDeduplicationInterval;
      topic->remembered.emplace(key, LiveTopic::Remembered{message.id, topic->row.sequence, until, false});
      publication->deduplications.push_back({topic->row.id, key, message.id, topic->row.sequence, until});
      topic->forgotten_at.emplace_back(until, key);
      remembered.push_back(key);
    }
    receipts.push_back({message.id, message.sequence_number});
    const auto shared = std::make_shared<const Message>(std::move(message));
    const std::size_t before = deliveries.size();
    for (const auto& [uuid, subscription] : topic->subscriptions) {
      if (!wants(*subscription, *shared)) continue;
      publication->deliveries.push_back({subscription->row.id, shared->row});
      deliveries.emplace_back(subscription, shared);
    }
    if (deliveries.size() != before) publication->messages.push_back(shared);
  }
  topic->metrics->published.add(messages.size());
  topic->metrics->published_bytes.add(bytes);
  // Nothing to keep: the message has reached everybody who wants it.
  if (publication->deliveries.empty() && publication->deduplications.empty()) co_return receipts;

  Promise<Result<void>> committed(system_.loop);
  ++commits_under_way_;
  store_->publish(publication, [this, topic, due = publication->due, deliveries = std::move(deliveries),
                                remembered = std::move(remembered), committed,
                                activity = system_.activity.begin()](Result<void> stored) mutable {
    for (const std::string& key : remembered) {
      const auto at = topic->remembered.find(key);
      if (at == topic->remembered.end()) continue;
      if (stored) {
        at->second.committed = true;
      } else {
        topic->remembered.erase(at);
      }
    }
    if (stored) {
      for (const auto& [subscription, message] : deliveries) {
        if (subscription->deleted) {
          deliveries_->forget(subscription->row.id);  // while the commit was under way
        } else {
          deliveries_->add(subscription, message, due);
        }
      }
    }
    committed.set(std::move(stored));
    activity.release();
    if (--commits_under_way_ == 0 && stopping_) commits_done_.notify_all();
  });
  LD_CO_TRY_VOID(co_await committed.get());
  co_return receipts;
}

}  // namespace lambdad::sns
