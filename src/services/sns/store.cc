#include "services/sns/store.h"

#include "base/json.h"
#include "services/sns/limits.h"
#include "services/sns/schema.h"

namespace lambdad::sns {

using store::OnError;
using store::Param;
using store::Row;
using store::Transaction;

namespace {

constexpr int kReclaimStep = 500;

std::int64_t to_column(WallTime t) { return t.time_since_epoch().count(); }
WallTime to_time(std::int64_t column) { return WallTime{Duration{column}}; }

std::string encode_map(const StringMap& map) {
  json::Object object;
  for (const auto& [key, value] : map) object.append(key, value);
  return json::serialize(object);
}

Result<StringMap> decode_map(std::string_view text) {
  const auto document = json::parse(text);
  if (!document || !document->is_object()) return fail(Errc::kCorrupt, "'{}' is no JSON object", text);
  StringMap map;
  for (const auto& [key, value] : *document->if_object()) {
    if (value.if_string() == nullptr) return fail(Errc::kCorrupt, "'{}' of '{}' is no string", key, text);
    map.emplace(key, *value.if_string());
  }
  return map;
}

std::string encode_failure(const Failure& failure) {
  return json::serialize(json::Array{json::Value(failure.code), json::Value(failure.message)});
}

Result<Failure> decode_failure(std::string_view text) {
  const auto document = json::parse(text);
  const json::Array* parts = document ? document->if_array() : nullptr;
  if (parts == nullptr || parts->size() != 2 || !(*parts)[0].is_string() || !(*parts)[1].is_string()) {
    return fail(Errc::kCorrupt, "'{}' is no failure", text);
  }
  return Failure{*(*parts)[0].if_string(), *(*parts)[1].if_string()};
}

Result<void> run(Transaction& tx, std::string_view sql, std::initializer_list<Param> params) {
  LD_TRY([[maybe_unused]] auto changed, tx.execute(sql, params));
  return {};
}

Result<void> insert_message(Transaction& tx, const Message& message) {
  return run(tx, "INSERT INTO message (id, content) VALUES (?,?)", {message.row, encode(message)});
}

Result<void> insert_delivery(Transaction& tx, SubscriptionId subscription, RowId message, WallTime due) {
  return run(tx, "INSERT INTO delivery (subscription, message, due_at, attempts) VALUES (?,?,?,0)",
             {subscription, message, to_column(due)});
}

Result<void> remove_delivery(Transaction& tx, SubscriptionId subscription, RowId message) {
  LD_TRY_VOID(run(tx, "DELETE FROM delivery WHERE subscription = ? AND message = ?", {subscription, message}));
  return run(tx, "DELETE FROM message WHERE id = ? AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?)",
             {message, message});
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Loop& loop, std::string path, store::Durability durability) {
  LD_TRY(auto database, store::Database::open(loop, std::move(path), kMigrations, {.durability = durability}));
  return std::unique_ptr<Store>(new Store(std::move(database)));
}

Result<Store::Loaded> Store::load() {
  Loaded loaded;
  std::optional<Error> failure;
  const auto take_map = [&failure](std::string_view text) {
    auto map = decode_map(text);
    if (!map) failure = map.error();
    return map ? std::move(*map) : StringMap{};
  };
  LD_TRY_VOID(database_->run_now([&](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(tx.query("SELECT name, value FROM setting", {}, [&](const Row& row) {
      if (row.view(0) == "signing_key") loaded.key_pem = row.text(1);
      if (row.view(0) == "signing_certificate") loaded.certificate_pem = row.text(1);
    }));
    LD_TRY_VOID(tx.query(
        "SELECT id, account, region, name, created_at, attributes, tags, sequence, deleted_subscriptions FROM topic"
        " ORDER BY id",
        {}, [&](const Row& row) {
          loaded.topics.push_back({.id = row.integer(0),
                                   .account = row.text(1),
                                   .region = row.text(2),
                                   .name = row.text(3),
                                   .created_at = to_time(row.integer(4)),
                                   .attributes = take_map(row.view(5)),
                                   .tags = take_map(row.view(6)),
                                   .sequence = static_cast<std::uint64_t>(row.integer(7)),
                                   .deleted_subscriptions = row.integer(8)});
        }));
    LD_TRY_VOID(tx.query(
        "SELECT id, topic, uuid, owner, protocol, endpoint, created_at, attributes, confirmed, authenticated, token"
        " FROM subscription ORDER BY id",
        {}, [&](const Row& row) {
          loaded.subscriptions.push_back({.id = row.integer(0),
                                          .topic = row.integer(1),
                                          .uuid = row.text(2),
                                          .owner = row.text(3),
                                          .protocol = row.text(4),
                                          .endpoint = row.text(5),
                                          .created_at = to_time(row.integer(6)),
                                          .attributes = take_map(row.view(7)),
                                          .confirmed = row.integer(8) != 0,
                                          .authenticated = row.integer(9) != 0,
                                          .token = row.text(10)});
        }));
    LD_TRY_VOID(tx.query("SELECT topic, id, message_id, sequence, until FROM deduplication", {}, [&](const Row& row) {
      loaded.deduplications.push_back({.topic = row.integer(0),
                                       .id = row.text(1),
                                       .message_id = row.text(2),
                                       .sequence = static_cast<std::uint64_t>(row.integer(3)),
                                       .until = to_time(row.integer(4))});
    }));
    // One step of the index per subscription, however many deliveries wait.
    LD_TRY_VOID(
        tx.query("WITH RECURSIVE waiting(subscription) AS (SELECT MIN(subscription) FROM delivery UNION ALL"
                 " SELECT (SELECT MIN(subscription) FROM delivery WHERE subscription > waiting.subscription)"
                 " FROM waiting WHERE waiting.subscription IS NOT NULL)"
                 " SELECT subscription, (SELECT MIN(due_at) FROM delivery d WHERE d.subscription ="
                 " waiting.subscription) FROM waiting WHERE subscription IS NOT NULL",
                 {}, [&](const Row& row) { loaded.waiting.push_back({row.integer(0), to_time(row.integer(1))}); }));
    LD_TRY_VOID(
        tx.query("SELECT MAX((SELECT IFNULL(MAX(id), 0) FROM topic), (SELECT IFNULL(MAX(id), 0) FROM"
                 " subscription), (SELECT IFNULL(MAX(id), 0) FROM message), (SELECT IFNULL(MAX(subscription), 0)"
                 " FROM delivery))",
                 {}, [&](const Row& row) { next_id_ = row.integer(0) + 1; }));
    return {};
  }));
  if (failure) return std::unexpected(std::move(*failure));
  return loaded;
}

Async<Result<void>> Store::put_topic(TopicRow topic) {
  return database_->write([topic = std::move(topic)](Transaction& tx) -> Result<void> {
    return run(
        tx,
        "INSERT INTO topic (id, account, region, name, created_at, attributes, tags, sequence,"
        " deleted_subscriptions) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET attributes ="
        " excluded.attributes, tags = excluded.tags",
        {topic.id, topic.account, topic.region, topic.name, to_column(topic.created_at), encode_map(topic.attributes),
         encode_map(topic.tags), static_cast<std::int64_t>(topic.sequence), topic.deleted_subscriptions});
  });
}

Async<Result<void>> Store::delete_topic(TopicId topic) {
  return database_->write([topic](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(run(tx, "DELETE FROM topic WHERE id = ?", {topic}));
    LD_TRY_VOID(run(tx, "DELETE FROM subscription WHERE topic = ?", {topic}));
    return run(tx, "DELETE FROM deduplication WHERE topic = ?", {topic});
  });
}

Async<Result<void>> Store::put_subscription(SubscriptionRow s, MessagePtr confirmation) {
  return database_->write([s = std::move(s), confirmation = std::move(confirmation)](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(
        run(tx,
            "INSERT INTO subscription (id, topic, uuid, owner, protocol, endpoint, created_at, attributes, confirmed,"
            " authenticated, token) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET attributes ="
            " excluded.attributes, confirmed = excluded.confirmed, authenticated = excluded.authenticated,"
            " token = excluded.token, created_at = excluded.created_at",
            {s.id, s.topic, s.uuid, s.owner, s.protocol, s.endpoint, to_column(s.created_at), encode_map(s.attributes),
             std::int64_t{s.confirmed}, std::int64_t{s.authenticated}, s.token}));
    if (!confirmation) return {};
    LD_TRY_VOID(insert_message(tx, *confirmation));
    return insert_delivery(tx, s.id, confirmation->row, confirmation->published);
  });
}

Async<Result<void>> Store::delete_subscription(SubscriptionId subscription, TopicId topic) {
  return database_->write([=](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(run(tx, "DELETE FROM subscription WHERE id = ?", {subscription}));
    return run(tx, "UPDATE topic SET deleted_subscriptions = deleted_subscriptions + 1 WHERE id = ?", {topic});
  });
}

Async<Result<bool>> Store::reclaim(SubscriptionId subscription) {
  return database_->write([subscription](Transaction& tx) -> Result<bool> {
    std::vector<RowId> messages;
    LD_TRY_VOID(tx.query("SELECT message FROM delivery WHERE subscription = ? LIMIT ?",
                         {subscription, std::int64_t{kReclaimStep}},
                         [&](const Row& row) { messages.push_back(row.integer(0)); }));
    for (const RowId message : messages) LD_TRY_VOID(remove_delivery(tx, subscription, message));
    return messages.size() == kReclaimStep;
  });
}

Async<Result<void>> Store::put_key(std::string key_pem, std::string certificate_pem) {
  return database_->write(
      [key = std::move(key_pem), certificate = std::move(certificate_pem)](Transaction& tx) -> Result<void> {
        LD_TRY_VOID(run(tx, "INSERT OR REPLACE INTO setting (name, value) VALUES ('signing_key', ?)", {key}));
        return run(tx, "INSERT OR REPLACE INTO setting (name, value) VALUES ('signing_certificate', ?)", {certificate});
      });
}

void Store::publish(std::shared_ptr<const Publication> publication, Done done) {
  auto work = [p = std::move(publication)](Transaction& tx) -> Result<void> {
    for (const MessagePtr& message : p->messages) LD_TRY_VOID(insert_message(tx, *message));
    for (const auto& delivery : p->deliveries) {
      LD_TRY_VOID(insert_delivery(tx, delivery.subscription, delivery.message, p->due));
    }
    if (p->sequence == 0) return {};
    LD_TRY_VOID(
        run(tx, "UPDATE topic SET sequence = ? WHERE id = ?", {static_cast<std::int64_t>(p->sequence), p->topic}));
    LD_TRY_VOID(run(tx, "DELETE FROM deduplication WHERE until <= ?", {to_column(p->due)}));
    for (const DeduplicationRow& row : p->deduplications) {
      LD_TRY_VOID(
          run(tx,
              "INSERT OR REPLACE INTO deduplication (topic, id, message_id, sequence, until)"
              " VALUES (?,?,?,?,?)",
              {row.topic, row.id, row.message_id, static_cast<std::int64_t>(row.sequence), to_column(row.until)}));
    }
    return {};
  };
  database_->write(std::move(work), OnError::kUndoBatch, std::move(done));
}

void Store::settle(SubscriptionId subscription, RowId message, Done done) {
  database_->write([=](Transaction& tx) -> Result<void> { return remove_delivery(tx, subscription, message); },
                   OnError::kUndoBatch, std::move(done));
}

void Store::reschedule(SubscriptionId subscription, RowId message, WallTime due, int attempts,
                       std::optional<Failure> failure, Done done) {
  auto work = [=, failure = std::move(failure)](Transaction& tx) -> Result<void> {
    return run(tx, "UPDATE delivery SET due_at = ?, attempts = ?, failure = ? WHERE subscription = ? AND message = ?",
               {to_column(due), std::int64_t{attempts}, failure ? Param{encode_failure(*failure)} : Param{},
                subscription, message});
  };
  database_->write(std::move(work), OnError::kUndoBatch, std::move(done));
}

Async<Result<std::vector<DeliveryRow>>> Store::deliveries(SubscriptionId subscription, std::optional<RowId> after,
                                                          int limit) {
  return database_->read([=](Transaction& tx) -> Result<std::vector<DeliveryRow>> {
    std::vector<DeliveryRow> found;
    std::optional<Error> bad;
    const auto take = [&](const Row& row) {
      auto message = decode(row.integer(0), row.view(4));
      if (!message) {
        bad = message.error();
        return;
      }
      DeliveryRow delivery{.message = std::make_shared<const Message>(std::move(*message)),
                           .due = to_time(row.integer(1)),
                           .attempts = static_cast<int>(row.integer(2)),
                           .failure = std::nullopt};
      if (!row.is_null(3)) {
        auto failure = decode_failure(row.view(3));
        if (!failure) {
          bad = failure.error();
          return;
        }
        delivery.failure = std::move(*failure);
      }
      found.push_back(std::move(delivery));
    };
    if (after) {
      LD_TRY_VOID(
          tx.query("SELECT d.message, d.due_at, d.attempts, d.failure, m.content FROM delivery d JOIN message m"
                   " ON m.id = d.message WHERE d.subscription = ? AND d.message > ? ORDER BY d.message LIMIT ?",
                   {subscription, *after, std::int64_t{limit}}, take));
    } else {
      LD_TRY_VOID(
          tx.query("SELECT d.message, d.due_at, d.attempts, d.failure, m.content FROM delivery d JOIN message m"
                   " ON m.id = d.message WHERE d.subscription = ? ORDER BY d.due_at, d.message LIMIT ?",
                   {subscription, std::int64_t{limit}}, take));
    }
    if (bad) return std::unexpected(std::move(*bad));
    return found;
  });
}

Async<Result<void>> Store::add_mail(Mail mail) {
  return database_->write([mail = std::move(mail)](Transaction& tx) -> Result<void> {
    LD_TRY_VOID(run(tx, "INSERT INTO mail (sent_at, recipient, subject, body, subscription_arn) VALUES (?,?,?,?,?)",
                    {to_column(mail.sent_at), mail.recipient, mail.subject, mail.body, mail.subscription_arn}));
    return run(tx, "DELETE FROM mail WHERE id <= (SELECT MAX(id) FROM mail) - ?", {std::int64_t{kMailMax}});
  });
}

Async<Result<std::vector<Mail>>> Store::mail(std::string recipient, int limit) {
  return database_->read([recipient = std::move(recipient), limit](Transaction& tx) -> Result<std::vector<Mail>> {
    std::vector<Mail> found;
    LD_TRY_VOID(
        tx.query("SELECT sent_at, recipient, subject, body, subscription_arn FROM mail WHERE ?1 = '' OR"
                 " recipient = ?1 ORDER BY id DESC LIMIT ?2",
                 {recipient, std::int64_t{limit}}, [&](const Row& row) {
                   found.push_back({to_time(row.integer(0)), row.text(1), row.text(2), row.text(3), row.text(4)});
                 }));
    return found;
  });
}

}  // namespace lambdad::sns
