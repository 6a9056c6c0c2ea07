// Queues under random operations, failing commits, jumps of time, restarts and crashes.
//
// A crash keeps what the files hold at some moment while operations are under way, so it falls before, inside or
// between a commit and its acknowledgement. What was acknowledged is known; of what was not, both outcomes are allowed.
// Checked:
//
//   nothing acknowledged is lost, and nothing that was deleted comes back;
//   no message is received while a receive hides it, and every receive counts once;
//   a FIFO message is received only together with, and after, all that wait before it in its group;
//   a FIFO message that is sent again after an unknown outcome exists once.

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "services/sqs/service_test_support.h"
#include "system/fault.h"

namespace lambdad::sqs {
namespace {

constexpr unsigned kReceivesMax = 4;  ///< of the redrive policy

enum class Kind { kStandard, kFifo };

struct Simulation : Service {
  struct Sent {
    std::string group;
    std::string message_id;  ///< once known
    std::string sequence;    ///< once known
    std::string handle;      ///< of the last receive
    std::string old_handle;
    bool exists = false;   ///< surely accepted
    bool deleted = false;  ///< surely
    bool perhaps_deleted = false;
    bool handle_is_last = false;  ///< no receive of unknown outcome since
    unsigned count_min = 0;
    unsigned count_max = 0;
    WallTime hidden_until{};
    std::optional<WallTime> first_sent_at;
    bool lives() const { return exists && !deleted && !perhaps_deleted; }
    bool surely_here() const { return lives() && count_max < kReceivesMax; }
  };

  Kind kind = Kind::kStandard;
  std::mt19937_64 random;
  std::map<std::string, Sent> messages;  // by body
  std::string queue;
  std::string dead;
  int next = 0;
  int life = 0;  ///< answers to a process that has died are not heard
  int crashes = 0;
  bool alone = true;  ///< one operation at a time, of a process that lives: its effects are certain
  std::map<std::string, int> acknowledged;

  std::uint64_t below(std::uint64_t bound) { return random() % bound; }

  void create_queues() {
    Object attributes{{"VisibilityTimeout", "30"}};
    const std::string suffix = kind == Kind::kFifo ? ".fifo" : "";
    if (kind == Kind::kFifo) attributes.set("FifoQueue", "true");
    dead = create("dead" + suffix, attributes);
    attributes.set("RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}","maxReceiveCount":{}}})",
                                                arn("dead" + suffix), kReceivesMax));
    queue = create("q" + suffix, attributes);
  }

  // --- operations; each applies what it learns at the moment of its answer, unless the process it was given to, the
  // one of life `born`, has died

  Async<void> send_one(std::string body, int born) {
    if (!messages[body].first_sent_at) messages[body].first_sent_at = sim.wall();
    Object input{{"QueueUrl", queue}, {"MessageBody", body}};
    if (kind == Kind::kFifo) {
      input.append("MessageGroupId", messages[body].group);
      input.append("MessageDeduplicationId", body);
    }
    const auto outcome = co_await calling("SendMessage", std::move(input));
    if (born != life || !outcome) co_return;
    ++acknowledged["send"];
    Sent& sent = messages[body];
    sent.exists = true;
    if (!sent.message_id.empty()) {
      EXPECT_EQ(sent.message_id, text(*outcome, "MessageId")) << body << " exists twice";
    }
    sent.message_id = text(*outcome, "MessageId");
    if (kind == Kind::kFifo) sent.sequence = text(*outcome, "SequenceNumber");
  }

  Async<void> receive_some(int max, Duration visibility, int born) {
    const WallTime at = sim.wall();
    // Until the answer is here, anybody may have been received.
    std::map<std::string, std::pair<bool, unsigned>> before;
    for (auto& [body, sent] : messages) {
      before[body] = {sent.handle_is_last, sent.count_max};
      sent.handle_is_last = false;
      ++sent.count_max;
    }
    const auto outcome =
        co_await calling("ReceiveMessage", Object{{"QueueUrl", queue},
                                                  {"MaxNumberOfMessages", max},
                                                  {"VisibilityTimeout", static_cast<std::int64_t>(visibility / 1s)},
                                                  {"AttributeNames", Array{"All"}}});
    if (born != life || !outcome) co_return;
    ++acknowledged["receive"];
    const auto got = messages_of(*outcome);
    std::set<std::string> in_answer;
    for (const Value& message : got) in_answer.insert(text(message, "Body"));
    if (alone) {
      for (auto& [body, known] : before) {
        if (in_answer.contains(body)) continue;
        messages[body].handle_is_last = known.first;
        messages[body].count_max = known.second;
      }
    }
    std::map<std::string, std::string> last_of_group;
    for (const Value& message : got) {
      const std::string body = text(message, "Body");
      check_received(message, body, at);
      Sent& sent = messages[body];
      if (kind == Kind::kFifo) {
        std::string& last = last_of_group[sent.group];
        EXPECT_LT(last, sent.sequence) << body << " is out of order";
        for (const auto& [other_body, other] : messages) {
          const bool must_come_first =
              other.surely_here() && other.group == sent.group && other.sequence < sent.sequence;
          if (must_come_first && !in_answer.contains(other_body)) {
            ADD_FAILURE() << body << " overtook " << other_body << " of group " << sent.group;
          }
        }
        last = sent.sequence;
      }
      sent.hidden_until = at + visibility;
      sent.old_handle = std::exchange(sent.handle, text(message, "ReceiptHandle"));
      sent.handle_is_last = true;
    }
  }

  void check_received(const Value& message, const std::string& body, WallTime at) {
    ASSERT_TRUE(messages.contains(body)) << body << " was never sent";
    Sent& sent = messages[body];
    EXPECT_FALSE(sent.deleted) << body << " came back after its deletion";
    EXPECT_GE(at, sent.hidden_until) << body << " was received while it was hidden";
    const auto count = static_cast<unsigned>(std::stoul(attribute(message, "ApproximateReceiveCount")));
    EXPECT_GT(count, sent.count_min) << body;
    EXPECT_LE(count, sent.count_max) << body;
    sent.count_min = sent.count_max = count;
    if (!sent.message_id.empty()) {
      EXPECT_EQ(sent.message_id, text(message, "MessageId")) << body << " exists twice";
    }
    sent.message_id = text(message, "MessageId");
    sent.exists = true;
    if (alone) sent.perhaps_deleted = false;  // a delete beside it may have come after it
    if (kind == Kind::kFifo) sent.sequence = attribute(message, "SequenceNumber");
  }

  Async<void> delete_one(std::string body, bool with_old_handle, int born) {
    Sent& before = messages[body];
    const std::string handle = with_old_handle ? before.old_handle : before.handle;
    const bool holds = before.handle_is_last && sim.wall() < before.hidden_until;
    const bool is_certain =
        before.handle_is_last && alone && (holds || (kind == Kind::kStandard && before.count_max < kReceivesMax));
    const bool was_gone = before.deleted;
    if (!with_old_handle && !was_gone) before.perhaps_deleted = true;
    const auto outcome = co_await calling("DeleteMessage", Object{{"QueueUrl", queue}, {"ReceiptHandle", handle}});
    if (born != life) co_return;
    Sent& sent = messages[body];
    if (!outcome) {
      if (outcome.error().http_status == 503) co_return;
      // A handle that holds its message deletes it.
      EXPECT_EQ(outcome.error().type, "InvalidParameterValueException");
      EXPECT_TRUE(kind == Kind::kFifo && (with_old_handle || !holds || !alone))
          << body << ": " << outcome.error().message;
      if (!with_old_handle && alone) sent.perhaps_deleted = false;
      co_return;
    }
    ++acknowledged["delete"];
    if (with_old_handle) co_return;  // accepted by standard queues, and deletes nothing
    if (is_certain) sent.deleted = true;
  }

  Async<void> change_one(std::string body, Duration visibility, int born) {
    Sent& before = messages[body];
    const WallTime at = sim.wall();
    const bool was_certain = before.handle_is_last && alone;
    before.hidden_until = std::min(before.hidden_until, at + visibility);
    const auto outcome = co_await calling("ChangeMessageVisibility",
                                          Object{{"QueueUrl", queue},
                                                 {"ReceiptHandle", before.handle},
                                                 {"VisibilityTimeout", static_cast<std::int64_t>(visibility / 1s)}});
    if (born != life || !outcome) co_return;
    ++acknowledged["change"];
    Sent& sent = messages[body];
    if (was_certain) sent.hidden_until = at + visibility;
  }

  Async<void> any_operation() {
    const int born = life;
    const auto pick = [&]() -> std::string {
      std::vector<std::string> received;
      for (const auto& [body, sent] : messages) {
        if (!sent.handle.empty()) received.push_back(body);
      }
      return received.empty() ? "" : received[below(received.size())];
    };
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {
        // Once in a while again what may have been sent before.
        std::string body = fmt::format("m{}", next);
        for (const auto& [known, sent] : messages) {
          const bool may_repeat = !sent.exists && sent.first_sent_at && sim.wall() < *sent.first_sent_at + 290s;
          if (kind == Kind::kFifo && may_repeat && below(2) == 0) body = known;
        }
        if (!messages.contains(body)) {
          ++next;
          messages[body].group = std::string(1, static_cast<char>('a' + below(3)));
        }
        return send_one(body, born);
      }
      case 3:
      case 4:
      case 5: return receive_some(1 + static_cast<int>(below(10)), std::chrono::seconds(5 + below(40)), born);
      case 6: {
        const std::string body = pick();
        if (body.empty()) break;
        const bool old = below(4) == 0 && !messages[body].old_handle.empty();
        return delete_one(body, old, born);
      }
      case 7: {
        const std::string body = pick();
        if (body.empty()) break;
        return change_one(body, std::chrono::seconds(below(40)), born);
      }
    }
    return receive_some(1, 5s, born);
  }

  // --- the world

  static std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }

  /// The process dies; what its files held at one moment is what the next one finds.
  void crash() {
    const std::string from = crashes == 0 ? sim.directory() : fmt::format("{}/{}", sim.directory(), crashes);
    const std::string to = fmt::format("{}/{}", sim.directory(), ++crashes);
    std::filesystem::create_directories(to);
    // The log first grows and then goes into the file: a file that did not change while the log was read fits to it.
    std::string file = bytes_of(from + "/sqs.db");
    std::string log;
    for (;;) {
      log = bytes_of(from + "/sqs.db-wal");
      std::string again = bytes_of(from + "/sqs.db");
      if (again == file) break;
      file = std::move(again);
    }
    std::ofstream(to + "/sqs.db", std::ios::binary) << file;
    std::ofstream(to + "/sqs.db-wal", std::ios::binary) << log;
    ++life;
    sim.run(tasks.drain());
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start_at(to);
  }

  void restart_cleanly() {
    ++life;
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start_at(crashes == 0 ? sim.directory() : fmt::format("{}/{}", sim.directory(), crashes));
  }

  void run(Kind which, std::uint64_t seed) {
    kind = which;
    random.seed(seed);
    create_queues();
    for (int step = 0; step < 300 && !HasFailure(); ++step) {
      SCOPED_TRACE(fmt::format("seed {} step {}", seed, step));
      const auto what = below(40);
      if (what == 0) {
        alone = false;
        for (auto operations = 1 + below(6); operations > 0; --operations) tasks.spawn("operation", any_operation());
        sim.loop().restart();
        for (auto turns = below(60); turns > 0; --turns) sim.loop().poll_one();
        crash();
        alone = true;
      } else if (what == 1) {
        restart_cleanly();
      } else if (what == 2) {
        const fault::Armed failing("store.before_commit:1:fail");
        alone = false;
        sim.run(any_operation());
        alone = true;
      } else if (what < 12) {
        sim.run_for(std::chrono::seconds(below(20)));
      } else {
        sim.run(any_operation());
      }
    }
    drain();
  }

  void drain() {
    sim.run_for(900s);
    std::map<std::string, int> left;
    for (const std::string& url : {queue, dead}) {
      for (int empty = 0; empty < 2;) {
        const auto got = receive(url, {{"VisibilityTimeout", 3600}});
        for (const Value& message : got) {
          ++left[text(message, "Body")];
          remove(url, message);
        }
        if (got.empty()) ++empty;
      }
    }
    for (const auto& [body, sent] : messages) {
      if (sent.lives()) {
        EXPECT_EQ(left[body], 1) << body << " was acknowledged and is lost";
      }
      if (sent.deleted) {
        EXPECT_EQ(left[body], 0) << body << " was deleted and is there";
      }
      EXPECT_LE(left[body], 1) << body;
    }
  }
};

TEST_F(Simulation, AStandardQueueKeepsItsPromises) {
  run(Kind::kStandard, test_seed());
  EXPECT_GT(acknowledged["send"], 10);
  EXPECT_GT(acknowledged["receive"], 10);
}
TEST_F(Simulation, AFifoQueueKeepsItsPromises) {
  run(Kind::kFifo, test_seed());
  EXPECT_GT(acknowledged["send"], 10);
  EXPECT_GT(acknowledged["receive"], 10);
}

}  // namespace
}  // namespace lambdad::sqs
