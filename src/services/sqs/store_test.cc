#include "services/sqs/store.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/sqs/test_support.h"

namespace lambdad::sqs {
namespace {

struct Left {
  std::map<std::string, QueueRow> queues;
  std::vector<DeletedQueueRow> deleted;
  std::map<RowId, std::pair<QueueId, QueuedMessage>> messages;
  std::vector<RowId> dead;
  std::map<RowId, std::string> attempts;
  std::vector<DeduplicationRow> deduplications;
  std::vector<MoveTaskRow> move_tasks;
};

struct StoreFiles : testing::Test {
  TemporaryDirectory directory;
  Loop loop;
  std::unique_ptr<Store> store;

  void SetUp() override { reopen(); }
  void reopen() {
    store.reset();
    auto opened = Store::open(loop, directory.file("sqs.db"), store::Durability::kEphemeral);
    ASSERT_TRUE(opened) << opened.error().detail;
    store = std::move(*opened);
  }
  Left load() {
    Left left;
    const auto loaded = store->load({
        .queue = [&](QueueRow row) { left.queues.emplace(row.name, row); },
        .deleted = [&](DeletedQueueRow row) { left.deleted.push_back(row); },
        .message =
            [&](QueueId queue, QueuedMessage m, std::string_view attempt) {
              left.attempts.emplace(m.row, attempt);
              left.messages.emplace(m.row, std::pair(queue, m));
            },
        .dead = [&](RowId row) { left.dead.push_back(row); },
        .deduplication = [&](DeduplicationRow row) { left.deduplications.push_back(std::move(row)); },
        .move_task = [&](MoveTaskRow row) { left.move_tasks.push_back(std::move(row)); },
    });
    EXPECT_TRUE(loaded) << loaded.error().detail;
    return left;
  }
  void ok(Async<Result<void>> task) {
    const auto result = await_result(loop, std::move(task));
    ASSERT_TRUE(result) << result.error().detail;
  }
  // The steps of messages, waited for.
  template <class Step>
  void done(Step step) {
    std::optional<Result<void>> result;
    step([&result](Result<void> r) { result = std::move(r); });
    loop.restart();
    loop.run();
    ASSERT_TRUE(result && *result);
  }
  void insert(QueueId queue, std::vector<QueuedMessage> messages) {
    auto shared = std::make_shared<const std::vector<QueuedMessage>>(std::move(messages));
    done([&](Store::Done after) { store->insert_messages(queue, shared, std::move(after)); });
  }
  void receive(Store::Receive receive, std::vector<Store::Move> moves = {}, QueueId dead_letter_queue = 0) {
    auto shared = std::make_shared<const std::vector<Store::Move>>(std::move(moves));
    done([&](Store::Done after) { store->record_receive(receive, shared, dead_letter_queue, std::move(after)); });
  }
  void hide(Store::Visibility change) {
    done([&](Store::Done after) { store->set_visibility({change}, std::move(after)); });
  }
  void remove(std::vector<RowId> rows) {
    done([&](Store::Done after) { store->remove_messages(rows, std::move(after)); });
  }
  QueueRow queue(const std::string& name) {
    QueueRow row{.id = store->next_id(),
                 .account = "111122223333",
                 .region = "eu-west-1",
                 .name = name,
                 .created_at = at(1s),
                 .modified_at = at(2s),
                 .attributes = {{"VisibilityTimeout", "10"}},
                 .tags = {{"team", "blue"}},
                 .purge_floor = 0,
                 .purged_at = {}};
    ok(store->insert_queue(row));
    return row;
  }
};

TEST_F(StoreFiles, ReloadsAQueueWithAttributesAndTags) {
  queue("orders");
  reopen();
  const Left left = load();
  ASSERT_TRUE(left.queues.contains("orders"));
  const QueueRow& row = left.queues.at("orders");
  EXPECT_EQ(row.account, "111122223333");
  EXPECT_EQ(row.attributes.at("VisibilityTimeout"), "10");
  EXPECT_EQ(row.tags.at("team"), "blue");
  EXPECT_EQ(row.created_at, at(1s));
}

TEST_F(StoreFiles, ReloadsEveryPartOfAMessage) {
  const QueueRow orders = queue("orders");
  auto content = std::make_shared<MessageContent>(
      MessageContent{.message_id = {.bytes = {1, 2, 3}},
                     .md5_of_body = md5_raw("b\xc3\xa4"),
                     .sent_at = at(3s),
                     .sender_id = "AIDA",
                     .body = "b\xc3\xa4",
                     .extras = std::make_unique<MessageContent::Extras>(MessageContent::Extras{
                         .attributes = {{"n", {"Number", "1"}}, {"raw", {"Binary.png", std::string("\0\xff", 2)}}},
                         .trace_header = "Root=1-2",
                         .group_id = "g"})});
  QueuedMessage message{.row = store->next_id(), .content = content, .available_at = at(9s)};
  insert(orders.id, {message});
  reopen();
  const Left left = load();
  ASSERT_EQ(left.messages.size(), 1u);
  const auto& [queue_id, loaded] = left.messages.begin()->second;
  EXPECT_EQ(queue_id, orders.id);
  EXPECT_EQ(loaded.row, message.row);
  EXPECT_EQ(loaded.available_at, at(9s));
  EXPECT_EQ(loaded.content->message_id, content->message_id);
  EXPECT_EQ(loaded.content->md5_of_body, content->md5_of_body);
  EXPECT_EQ(loaded.content->sent_at, at(3s));
  EXPECT_EQ(loaded.content->sender_id, "AIDA");
  EXPECT_EQ(loaded.content->body, "b\xc3\xa4");
  ASSERT_TRUE(loaded.content->extras);
  EXPECT_EQ(*loaded.content->extras, *content->extras);
  EXPECT_EQ(loaded.receive_count, 0u);
}

TEST_F(StoreFiles, ReloadsTheStateAfterReceives) {
  const QueueRow orders = queue("orders");
  const RowId row = store->next_id();
  insert(orders.id, {test_message(row, at(0s))});
  receive({.rows = {row}, .received_at = at(5s), .available_at = at(35s)});
  receive({.rows = {row}, .received_at = at(40s), .available_at = at(70s)});
  hide({.row = row, .receive_count = 1, .available_at = at(1000s)});
  hide({.row = row, .receive_count = 2, .available_at = at(80s)});
  reopen();
  const QueuedMessage message = load().messages.at(row).second;
  EXPECT_EQ(message.receive_count, 2u);
  EXPECT_EQ(message.first_received_at, at(5s));
  EXPECT_EQ(message.received_at, at(40s));
  EXPECT_EQ(message.available_at, at(80s)) << "the change with the old receive count did nothing";
}

TEST_F(StoreFiles, RemovedMessagesStayAway) {
  const QueueRow orders = queue("orders");
  std::vector<QueuedMessage> messages;
  std::vector<RowId> rows;
  for (int i = 0; i < 25; ++i) {
    rows.push_back(store->next_id());
    messages.push_back(test_message(rows.back(), at(0s)));
  }
  insert(orders.id, messages);
  const RowId kept = rows.back();
  rows.pop_back();
  remove(rows);
  reopen();
  const Left left = load();
  ASSERT_EQ(left.messages.size(), 1u);
  EXPECT_TRUE(left.messages.contains(kept));
}

TEST_F(StoreFiles, AReceiveOfADeletedMessageLeavesNothingBehind) {
  const QueueRow orders = queue("orders");
  const RowId row = store->next_id();
  insert(orders.id, {test_message(row, at(0s))});
  remove({row});
  receive({.rows = {row}, .received_at = at(5s), .available_at = at(35s)});
  insert(orders.id, {test_message(row, at(0s))});
  reopen();
  EXPECT_EQ(load().messages.at(row).second.receive_count, 0u);
}

TEST_F(StoreFiles, MovesAMessageToItsDeadLetterQueueWithItsCounts) {
  const QueueRow orders = queue("orders");
  const QueueRow dead = queue("dead");
  const RowId row = store->next_id();
  insert(orders.id, {test_message(row, at(0s))});
  receive({.rows = {row}, .received_at = at(5s), .available_at = at(35s)});
  QueuedMessage moved = test_message(store->next_id(), at(0s));
  moved.available_at = at(50s);
  moved.dead_letter_source = std::make_shared<const std::string>("arn:aws:sqs:eu-west-1:111122223333:orders");
  receive({}, {{.from = row, .to = moved}}, dead.id);
  reopen();
  const Left left = load();
  ASSERT_EQ(left.messages.size(), 1u);
  const auto& [queue_id, message] = left.messages.at(moved.row);
  EXPECT_EQ(queue_id, dead.id);
  EXPECT_EQ(message.receive_count, 1u);
  EXPECT_EQ(message.first_received_at, at(5s));
  EXPECT_EQ(message.available_at, at(50s));
  EXPECT_EQ(message.content->sent_at, at(0s));
  ASSERT_TRUE(message.dead_letter_source);
  EXPECT_EQ(*message.dead_letter_source, "arn:aws:sqs:eu-west-1:111122223333:orders");
}

TEST_F(StoreFiles, MessagesOfADeletedQueueAndPurgedOnesAreDead) {
  const QueueRow gone = queue("gone");
  QueueRow purged = queue("purged");
  const RowId of_gone = store->next_id();
  const RowId before = store->next_id();
  insert(gone.id, {test_message(of_gone, at(0s))});
  insert(purged.id, {test_message(before, at(0s))});
  purged.purge_floor = store->peek_id();
  purged.purged_at = at(7s);
  ok(store->update_queue(purged));
  const RowId after = store->next_id();
  insert(purged.id, {test_message(after, at(0s))});
  ok(store->delete_queue(gone.id, {gone.account, gone.region, gone.name, at(9s)}));
  reopen();
  const Left left = load();
  EXPECT_THAT(left.dead, testing::UnorderedElementsAre(of_gone, before));
  EXPECT_EQ(left.messages.size(), 1u);
  EXPECT_TRUE(left.messages.contains(after));
  EXPECT_EQ(left.queues.at("purged").purged_at, at(7s));
  ASSERT_EQ(left.deleted.size(), 1u);
  EXPECT_EQ(left.deleted[0].name, "gone");
  EXPECT_EQ(left.deleted[0].deleted_at, at(9s));
}

TEST_F(StoreFiles, CreatingAQueueAgainEndsTheBlockOfItsName) {
  const QueueRow row = queue("q");
  ok(store->delete_queue(row.id, {row.account, row.region, row.name, at(9s)}));
  queue("q");
  reopen();
  EXPECT_TRUE(load().deleted.empty());
}

TEST_F(StoreFiles, NeverGivesAnIdTwiceAndKeepsItsSecret) {
  ASSERT_TRUE(store->ensure_secret("0123456789abcdef"));
  const std::int64_t id = store->next_id();
  reopen();
  EXPECT_GT(store->next_id(), id);
  ASSERT_TRUE(store->ensure_secret("another 16 bytes"));
  EXPECT_EQ(store->secret(), "0123456789abcdef");
}

TEST_F(StoreFiles, UpdateOfADeletedQueueFails) {
  const QueueRow row = queue("q");
  ok(store->delete_queue(row.id, {row.account, row.region, row.name, at(9s)}));
  const auto result = await_result(loop, store->update_queue(row));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kNotFound);
}

TEST_F(StoreFiles, AcceptancesOfFifoQueuesOutliveTheirMessages) {
  const QueueRow orders = queue("orders.fifo");
  const RowId row = store->next_id();
  QueuedMessage message = test_message(row, at(3s));
  auto content = std::make_shared<MessageContent>(message.content->moved(at(3s)));
  content->extras = std::make_unique<MessageContent::Extras>(
      MessageContent::Extras{.attributes = {}, .trace_header = {}, .group_id = "g", .deduplication_id = "d"});
  message.content = content;
  insert(orders.id, {message});
  receive({.rows = {row}, .received_at = at(5s), .available_at = at(35s), .attempt = "1 again"});
  reopen();
  Left left = load();
  EXPECT_EQ(left.messages.at(row).second.content->deduplication_id(), "d");
  EXPECT_EQ(left.attempts.at(row), "1 again");
  receive({.rows = {row}, .received_at = at(36s), .available_at = at(66s), .attempt = {}});
  EXPECT_EQ(load().attempts.at(row), "") << "the last receive had none";
  remove({row});
  reopen();
  left = load();
  ASSERT_EQ(left.deduplications.size(), 1u);
  const DeduplicationRow& accepted = left.deduplications[0];
  EXPECT_EQ(accepted.row, row);
  EXPECT_EQ(accepted.queue, orders.id);
  EXPECT_EQ(accepted.message_id, content->message_id);
  EXPECT_EQ(accepted.sent_at, at(3s));
  EXPECT_EQ(accepted.group_id, "g");
  EXPECT_EQ(accepted.deduplication_id, "d");
  ok(store->remove_deduplications({row}));
  EXPECT_TRUE(load().deduplications.empty());
}

TEST_F(StoreFiles, AStepOfAMoveTaskIsOneWithItsProgress) {
  const QueueRow orders = queue("orders");
  const QueueRow dead = queue("dead");
  const RowId moved = store->next_id();
  const RowId deleted = store->next_id();
  insert(dead.id, {test_message(moved, at(0s)), test_message(deleted, at(0s))});
  receive({.rows = {moved}, .received_at = at(5s), .available_at = at(5s)});
  remove({deleted});
  MoveTaskRow task{.id = store->next_id(),
                   .task_id = "t",
                   .source = "source",
                   .destination = "destination",
                   .per_second = 7,
                   .failure = {},
                   .started_at = at(8s),
                   .to_move = 2};
  ok(store->save_move_task(task));
  task.moved = 2;
  auto redrives = std::make_shared<const std::vector<Store::Redrive>>(
      std::vector<Store::Redrive>{{.from = moved, .queue = orders.id, .to = test_message(store->next_id(), at(9s))},
                                  {.from = deleted, .queue = orders.id, .to = test_message(store->next_id(), at(9s))}});
  done([&](Store::Done after) { store->redrive(redrives, task, std::move(after)); });
  reopen();
  Left left = load();
  ASSERT_EQ(left.messages.size(), 1u) << "what was deleted stays deleted";
  EXPECT_EQ(left.messages.begin()->first, (*redrives)[0].to.row);
  EXPECT_EQ(left.messages.begin()->second.first, orders.id);
  EXPECT_EQ(left.messages.begin()->second.second.receive_count, 0u);
  ASSERT_EQ(left.move_tasks.size(), 1u);
  EXPECT_EQ(left.move_tasks[0].task_id, "t");
  EXPECT_EQ(left.move_tasks[0].source, "source");
  EXPECT_EQ(left.move_tasks[0].destination, "destination");
  EXPECT_EQ(left.move_tasks[0].per_second, 7);
  EXPECT_EQ(left.move_tasks[0].status, MoveTaskRow::Status::kRunning);
  EXPECT_EQ(left.move_tasks[0].started_at, at(8s));
  EXPECT_EQ(left.move_tasks[0].to_move, 2);
  EXPECT_EQ(left.move_tasks[0].moved, 2);

  task.status = MoveTaskRow::Status::kFailed;
  task.failure = "why";
  task.moved = 1;  // of a cancel that overtook the step
  ok(store->save_move_task(task));
  left = load();
  EXPECT_EQ(left.move_tasks[0].status, MoveTaskRow::Status::kFailed);
  EXPECT_EQ(left.move_tasks[0].failure, "why");
  EXPECT_EQ(left.move_tasks[0].moved, 2);
  ok(store->remove_move_task(task.id));
  EXPECT_TRUE(load().move_tasks.empty());
}

}  // namespace
}  // namespace lambdad::sqs
