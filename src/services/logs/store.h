/// The rows of the service: log groups, log streams and their events, in DATA/logs.db.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/logs/filter_pattern.h"
#include "services/logs/position.h"
#include "store/database.h"

namespace lambdad::logs {

/// Times are milliseconds since 1970 throughout, the unit of the API.
struct GroupKey {
  std::string account;
  std::string region;
  std::string name;
  bool operator==(const GroupKey&) const = default;
};

using Tags = std::map<std::string, std::string>;
/// Within a transaction, of the group with this id.
Result<void> put_tags(store::Transaction& tx, std::int64_t group, const Tags& tags);

struct GroupRow {
  GroupKey key;
  std::int64_t created_at = 0;
  std::optional<int> retention_days;
  std::int64_t stored_bytes = 0;
};

struct StreamRow {
  std::string name;
  std::int64_t created_at = 0;
  std::optional<std::int64_t> first_event;
  std::optional<std::int64_t> last_event;
  std::optional<std::int64_t> last_ingestion;
};

struct EventRow {
  Position position;
  std::int64_t ingested = 0;
  std::string stream;
  std::string message;
};

struct NewEvent {
  std::int64_t timestamp = 0;
  std::string message;
};

/// What functions have printed and is not stored yet.
struct Batch {
  struct Stream {
    GroupKey group;
    std::string name;
    std::vector<NewEvent> events;  ///< messages without their trailing newline, any bytes
    std::uint64_t dropped_events = 0;
    std::uint64_t dropped_bytes = 0;
  };
  std::vector<Stream> streams;
};

/// A printed line as its event's message: with the newline, as Lambda's have, and only UTF-8.
std::string stored_message(const std::string& line);

/// Every write is one transaction; its result arrives after COMMIT. Reads see everything acknowledged before them.
/// Errors are the database's: kUnavailable, kCorrupt, kClosed.
///
/// Each write to a group also removes what its retention has expired, and the oldest events beyond
/// `group_bytes_max`; a log stream goes with its last event then. Reads never show expired events, removed or not.
///
/// Threading: the loop. End: close(), or the destructor.
class Store {
 public:
  struct Options {
    store::Durability durability = store::Durability::kFull;
    std::int64_t group_bytes_max = 0;  ///< in the measure of storedBytes
  };
  static Result<std::unique_ptr<Store>> open(Loop& loop, std::string path, Options options);

  /// What a call named and was not there.
  enum class Missing { kNothing, kGroup, kStream };

  /// False when it exists.
  Async<Result<bool>> create_group(GroupKey group, Tags tags, std::int64_t now);
  Async<Result<Missing>> delete_group(GroupKey group);
  /// nullopt: for ever.
  Async<Result<Missing>> set_retention(GroupKey group, std::optional<int> days, std::int64_t now);
  enum class Tagged { kDone, kNoGroup, kTooMany };
  /// Adds or replaces; at most kTagsMax in all.
  Async<Result<Tagged>> tag_group(GroupKey group, Tags tags);
  Async<Result<Missing>> untag_group(GroupKey group, std::vector<std::string> names);
  /// nullopt when there is no such group.
  Async<Result<std::optional<Tags>>> tags(GroupKey group);
  enum class Created { kMade, kExists, kNoGroup };
  Async<Result<Created>> create_stream(GroupKey group, std::string stream, std::int64_t now);
  Async<Result<Missing>> delete_stream(GroupKey group, std::string stream);
  Async<Result<Missing>> put(GroupKey group, std::string stream, std::vector<NewEvent> events, std::int64_t now);
  /// Makes groups and streams that are missing. Each message gets a newline, as Lambda's have, bytes that are no UTF-8
  /// become U+FFFD, and a stream that lost events one that says how many.
  Async<Result<void>> append(std::shared_ptr<const Batch> batch, std::int64_t now);

  /// nullopt when there is none.
  Async<Result<std::optional<GroupRow>>> group(GroupKey group);
  struct GroupQuery {
    std::string account;
    std::string region;
    std::string prefix;
    std::string substring;
    std::string after;  ///< name; empty: from the beginning
    int limit = 0;
  };
  /// By name.
  Async<Result<std::vector<GroupRow>>> groups(GroupQuery query);

  struct StreamQuery {
    enum class Order { kName, kLastEvent };
    GroupKey group;
    std::string prefix;
    Order order = Order::kName;
    bool descending = false;
    /// The last of the page before: its name, and for kLastEvent its sort_time().
    std::optional<std::pair<std::int64_t, std::string>> after;
    int limit = 0;
  };
  /// What kLastEvent sorts by: the last event, and 0 for a stream without one.
  static std::int64_t sort_time(const StreamRow& stream) { return stream.last_event.value_or(0); }
  /// nullopt when there is no such group.
  Async<Result<std::optional<std::vector<StreamRow>>>> streams(StreamQuery query);

  struct EventQuery {
    GroupKey group;
    std::vector<std::string> streams;  ///< empty: all
    std::string stream_prefix;         ///< empty: all
    std::int64_t first = 0;            ///< earliest timestamp
    std::int64_t last = 0;             ///< latest timestamp, itself included
    std::optional<Position> from;      ///< exclusive; where the page begins
    bool backward = false;             ///< begins with the newest
    FilterPattern pattern;
    int limit = 0;
    std::int64_t now = 0;  ///< for retention
  };
  struct EventPage {
    Missing missing = Missing::kNothing;
    std::vector<EventRow> events;  ///< oldest first, also when read backward
    /// The last event looked at when the page ended before the events did: limit, size of the answer, or work done.
    std::optional<Position> stopped_at;
  };
  Async<Result<EventPage>> events(EventQuery query);

  bool healthy() const { return database_->healthy(); }
  void close() { database_->close(); }

 private:
  Store(std::unique_ptr<store::Database> database, Options options)
      : database_(std::move(database)), options_(options) {}

  std::unique_ptr<store::Database> database_;
  Options options_;
};

}  // namespace lambdad::logs
