/// The running service: topics and subscriptions in memory, their rows, and publishing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aws/error.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "services/sns/deliveries.h"
#include "services/sns/live.h"
#include "services/sns/store.h"
#include "system/keyed_mutex.h"
#include "system/system.h"

namespace lambdad::sns {

/// Joins topics, subscriptions, the store and the deliveries.
///
/// A published message and its deliveries are one commit; the answer comes after it. Who gets a message is decided when
/// it is published: by the subscriptions that are confirmed then, and their filter policies.
///
/// Ownership: owns store, deliveries and everything live; the rest outlives it. Threading: the loop.
/// End: stop().
class Hub {
 public:
  struct Options {
    std::string directory;
    store::Durability durability = store::Durability::kFull;
    Endpoints::Options endpoints;
  };
  /// Opens DIRECTORY/sns.db and loads what is there. Blocks.
  static Result<std::unique_ptr<Hub>> open(System& system, Logger& log, Metrics& metrics, Options options);
  ~Hub();

  /// Takes up what the last run left. Endpoints must be reachable by now.
  void start();
  Async<void> stop();

  WallTime now() const { return system_.clock.wall(); }
  TopicPtr find_topic(const std::string& arn) const;
  SubscriptionPtr find_subscription(const std::string& arn) const;
  /// The pending or confirmed subscription with this token.
  SubscriptionPtr find_token(const LiveTopic& topic, const std::string& token) const;
  /// In order of their ARNs, after `after`.
  std::vector<TopicPtr> topics(const std::string& account, const std::string& region, const std::string& after) const;
  std::vector<SubscriptionPtr> subscriptions(const std::string& account, const std::string& region,
                                             const std::string& after) const;

  /// Changes of one topic and its subscriptions happen one at a time.
  Async<KeyedMutex::Guard> lock(std::string topic_arn) { return busy_.acquire(std::move(topic_arn)); }

  // Each with the topic's lock held, to the end whatever becomes of the caller.
  Async<Result<TopicPtr>> create_topic(std::string account, std::string region, std::string name,
                                       TopicAttributes attributes, StringMap tags);
  Async<Result<void>> set_attributes(TopicPtr topic, TopicAttributes attributes);
  Async<Result<void>> set_tags(TopicPtr topic, StringMap tags);
  Async<Result<void>> delete_topic(TopicPtr topic);
  Async<Result<SubscriptionPtr>> subscribe(TopicPtr topic, std::string owner, Protocol protocol, std::string endpoint,
                                           SubscriptionAttributes attributes);
  /// Asks the endpoint of a pending subscription again, with a new token.
  Async<Result<void>> ask_again(SubscriptionPtr subscription);
  Async<Result<void>> confirm(SubscriptionPtr subscription, bool authenticated_unsubscribe);
  Async<Result<void>> set_attributes(SubscriptionPtr subscription, SubscriptionAttributes attributes);
  Async<Result<void>> unsubscribe(SubscriptionPtr subscription);

  /// What publishers give. Checked by the caller.
  struct NewMessage {
    std::optional<std::string> subject;
    std::string text;
    std::map<std::string, std::string> texts;
    MessageAttributes attributes;
    std::string group_id;
    std::string deduplication_id;  ///< FIFO topics
    std::string trace_header;
  };
  struct Receipt {
    std::string message_id;
    std::string sequence_number;  ///< FIFO topics
  };
  /// All or none. A duplicate on a FIFO topic is answered with the first one's receipt and goes nowhere. kNotFound when
  /// the topic is deleted meanwhile; kUnavailable: nothing was accepted.
  Async<Result<std::vector<Receipt>>> publish(TopicPtr topic, std::vector<NewMessage> messages);

  Async<Result<std::vector<Mail>>> mail(std::string recipient, int limit) {
    return store_->mail(std::move(recipient), limit);
  }
  Signing& signing() { return *signing_; }
  bool healthy() const { return store_->healthy(); }
  System& system() const { return system_; }
  Logger& log() const { return log_; }

 private:
  Hub(System& system, Logger& log, Metrics& metrics, std::unique_ptr<Store> store, Options options);
  Result<void> load();
  TopicPtr adopt(TopicRow row, TopicAttributes attributes);
  Result<SubscriptionPtr> adopt(const TopicPtr& topic, SubscriptionRow row, SubscriptionAttributes attributes);
  MessagePtr confirmation(const LiveTopic& topic, const std::string& token);
  void drop(const SubscriptionPtr& subscription);
  bool wants(const LiveSubscription& subscription, const Message& message) const;
  Async<Result<void>> store_flushed();
  /// Runs `step` to its end whatever happens to the caller.
  template <class T>
  Async<T> finish(const char* name, Async<T> step);
  template <class T>
  static Async<void> run_step(Async<T> step, Promise<T> promise, Activity::Token activity);

  System& system_;
  Logger& log_;
  Metrics& metrics_;
  Options options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Signing> signing_;
  std::unique_ptr<Endpoints> endpoints_;
  std::unique_ptr<Deliveries> deliveries_;
  std::map<std::string, TopicPtr> topics_;                ///< by ARN
  std::map<std::string, SubscriptionPtr> subscriptions_;  ///< by ARN
  std::vector<Store::Loaded::Waiting> waiting_;           ///< until start()
  KeyedMutex busy_;
  std::size_t commits_under_way_ = 0;
  Notifier commits_done_;
  bool stopping_ = false;
  TaskGroup steps_;
};

}  // namespace lambdad::sns
