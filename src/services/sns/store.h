/// The rows of the service, in DATA/sns.db.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/sns/message.h"
#include "store/database.h"

namespace lambdad::sns {

using TopicId = std::int64_t;
using SubscriptionId = std::int64_t;
using StringMap = std::map<std::string, std::string>;

struct TopicRow {
  TopicId id = 0;
  std::string account;
  std::string region;
  std::string name;
  WallTime created_at;
  StringMap attributes;
  StringMap tags;
  std::uint64_t sequence = 0;
  std::int64_t deleted_subscriptions = 0;
};

struct SubscriptionRow {
  SubscriptionId id = 0;
  TopicId topic = 0;
  std::string uuid;
  std::string owner;
  std::string protocol;
  std::string endpoint;
  WallTime created_at;
  StringMap attributes;
  bool confirmed = false;
  bool authenticated = false;
  std::string token;
};

struct DeduplicationRow {
  TopicId topic = 0;
  std::string id;
  std::string message_id;
  std::uint64_t sequence = 0;
  WallTime until;
};

/// Why a delivery was given up.
struct Failure {
  std::string code;
  std::string message;
};

struct DeliveryRow {
  MessagePtr message;
  WallTime due;
  int attempts = 0;
  std::optional<Failure> failure;
};

struct Mail {
  WallTime sent_at;
  std::string recipient;
  std::string subject;
  std::string body;
  std::string subscription_arn;
};

/// One commit of a publisher: messages, and to whom they go.
struct Publication {
  struct Delivery {
    SubscriptionId subscription = 0;
    RowId message = 0;
  };
  std::vector<MessagePtr> messages;  ///< those with at least one delivery
  std::vector<Delivery> deliveries;
  std::vector<DeduplicationRow> deduplications;
  TopicId topic = 0;
  std::uint64_t sequence = 0;  ///< of a FIFO topic after it; 0: unchanged
  WallTime due;
};

/// Every call is one transaction; its result arrives after COMMIT, in the order of the calls. A failed call has stored
/// nothing. Errors are the database's: kUnavailable, kCorrupt, kClosed. Threading: the loop. End: close().
class Store {
 public:
  static Result<std::unique_ptr<Store>> open(Loop& loop, std::string path, store::Durability durability);

  struct Loaded {
    std::vector<TopicRow> topics;
    std::vector<SubscriptionRow> subscriptions;
    std::vector<DeduplicationRow> deduplications;
    struct Waiting {
      SubscriptionId subscription = 0;
      WallTime due;
    };
    std::vector<Waiting> waiting;  ///< subscriptions with deliveries, and when the first is due
    std::string key_pem;           ///< empty: none yet
    std::string certificate_pem;
  };
  /// What the last run left. Blocks; for start-up. kCorrupt when a row cannot be what this class wrote.
  Result<Loaded> load();

  /// Larger than any id of a stored topic, subscription or message.
  std::int64_t next_id() { return next_id_++; }

  Async<Result<void>> put_topic(TopicRow topic);
  /// With its subscriptions and what it remembers of duplicates; deliveries become dead: reclaim() them.
  Async<Result<void>> delete_topic(TopicId topic);
  /// Also puts `confirmation` on its way to it, when given.
  Async<Result<void>> put_subscription(SubscriptionRow subscription, MessagePtr confirmation);
  /// The count of the topic's deleted subscriptions grows; deliveries become dead: reclaim() them.
  Async<Result<void>> delete_subscription(SubscriptionId subscription, TopicId topic);
  /// Removes some deliveries of a subscription that is gone, and messages nobody waits for; false when none is left.
  Async<Result<bool>> reclaim(SubscriptionId subscription);
  Async<Result<void>> put_key(std::string key_pem, std::string certificate_pem);

  using Done = std::move_only_function<void(Result<void>)>;
  /// Also forgets duplicates whose time has passed at `publication->due`.
  void publish(std::shared_ptr<const Publication> publication, Done done);
  /// The delivery is over; the message goes with its last one.
  void settle(SubscriptionId subscription, RowId message, Done done);
  void reschedule(SubscriptionId subscription, RowId message, WallTime due, int attempts,
                  std::optional<Failure> failure, Done done);
  /// Up to `limit` deliveries that are due first; with `after`, those of later messages in order of publishing instead.
  Async<Result<std::vector<DeliveryRow>>> deliveries(SubscriptionId subscription, std::optional<RowId> after,
                                                     int limit);

  Async<Result<void>> add_mail(Mail mail);
  /// Newest first; of one recipient when given.
  Async<Result<std::vector<Mail>>> mail(std::string recipient, int limit);

  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  explicit Store(std::unique_ptr<store::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<store::Database> database_;
  std::int64_t next_id_ = 1;
};

}  // namespace lambdad::sns
