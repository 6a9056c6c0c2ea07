#include "services/logs/logs_service.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "services/logs/chunk.h"
#include "services/logs/limits.h"
#include "services/logs/position.h"
#include "system/fault.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::logs {
namespace {

using json::Array;
using json::Object;
using json::Value;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kAccount = "111122223333";
constexpr const char* kRegion = "eu-west-1";
constexpr const char* kGroup = "/aws/lambda/f";
constexpr const char* kStream = "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef";

/// The service behind a dispatcher, on virtual time.
struct Service : testing::Test {
  SimSystem sim{test_seed()};
  Metrics metrics;
  LogsService::Options options;
  std::unique_ptr<LogsService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;

  void SetUp() override { start(); }
  void TearDown() override {
    if (service) sim.run(service->stop());
  }
  void start() {
    options.directory = sim.directory();
    options.durability = store::Durability::kEphemeral;
    auto opened = LogsService::open(sim.system(), null_logger(), metrics, options);
    ASSERT_TRUE(opened) << opened.error().detail;
    service = std::move(*opened);
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    service->register_operations(*dispatcher);
  }
  void restart() {
    sim.run(service->stop());
    dispatcher.reset();
    service.reset();
    start();
  }

  aws::Outcome<Value> call(const std::string& operation, Value input) {
    aws::RequestContext context;
    context.request_id = "00000000-0000-4000-8000-000000000000";
    context.account = kAccount;
    context.region = kRegion;
    return sim.run(dispatcher->call(context, "logs", operation, std::move(input)));
  }
  Value ok(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    EXPECT_TRUE(outcome) << operation << ": " << outcome.error().type << ": " << outcome.error().message;
    return outcome ? *outcome : Value(Object{});
  }
  /// "Type: message" of the error.
  std::string error(const std::string& operation, Value input) {
    auto outcome = call(operation, std::move(input));
    if (outcome) return "no error: " + json::serialize(*outcome);
    return outcome.error().type + ": " + outcome.error().message;
  }

  static Value in_group(Object more = {}) {
    more.set("logGroupName", kGroup);
    return more;
  }
  static Value in_stream(Object more = {}, const std::string& stream = kStream) {
    more.set("logStreamName", stream);
    return in_group(std::move(more));
  }
  std::int64_t now_ms() { return to_epoch_ms(sim.wall()); }
  void make_stream(const std::string& stream = kStream) {
    (void)call("CreateLogGroup", in_group());
    ok("CreateLogStream", in_stream({}, stream));
  }
  Value put(std::vector<std::pair<std::int64_t, std::string>> events, const std::string& stream = kStream) {
    return ok("PutLogEvents", in_stream({{"logEvents", log_events(events)}}, stream));
  }
  static Array log_events(const std::vector<std::pair<std::int64_t, std::string>>& events) {
    Array list;
    for (const auto& [time, message] : events) {
      list.push_back(Object{{"timestamp", time}, {"message", message}});
    }
    return list;
  }
  void print(const std::string& line, const std::string& stream = kStream, const std::string& group = kGroup) {
    ports::FunctionVersion function;
    function.account = kAccount;
    function.region = kRegion;
    function.name = "f";
    function.log_group = group;
    service->sink().append(function, stream, sim.wall(), line);
  }

  static std::vector<std::string> texts(const Value& answer, std::string_view list, std::string_view member) {
    std::vector<std::string> out;
    const Value* items = answer.find(list);
    if (items == nullptr) return {"(absent)"};
    for (const Value& item : *items->if_array()) {
      const Value* found = item.find(member);
      out.push_back(found == nullptr ? "(absent)" : *found->if_string());
    }
    return out;
  }
  static std::vector<std::string> messages(const Value& answer) { return texts(answer, "events", "message"); }
  static std::string text(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr || found->if_string() == nullptr ? "(absent)" : *found->if_string();
  }
  static std::int64_t number(const Value& value, std::string_view member) {
    const Value* found = value.find(member);
    return found == nullptr ? -1 : found->as_int64().value_or(-2);
  }
  Value first_group() {
    const Value answer = ok("DescribeLogGroups", Object{});
    const Value* groups = answer.find("logGroups");
    return groups->if_array()->empty() ? Value(Object{}) : groups->if_array()->front();
  }
  std::vector<std::string> filter(Object more = {}) { return messages(ok("FilterLogEvents", in_group(more))); }
};

// --- groups and streams ---------------------------------------------------------------------------------------------

TEST_F(Service, CreatesDescribesAndDeletesGroups) {
  ok("CreateLogGroup", in_group());
  EXPECT_EQ(error("CreateLogGroup", in_group()),
            "ResourceAlreadyExistsException: The specified log group already exists");
  const Value group = first_group();
  EXPECT_EQ(text(group, "logGroupName"), kGroup);
  EXPECT_EQ(text(group, "arn"), "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f:*");
  EXPECT_EQ(text(group, "logGroupArn"), "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f");
  EXPECT_EQ(number(group, "creationTime"), now_ms());
  EXPECT_EQ(number(group, "storedBytes"), 0);
  EXPECT_EQ(group.find("retentionInDays"), nullptr);

  ok("DeleteLogGroup", in_group());
  EXPECT_EQ(error("DeleteLogGroup", in_group()), "ResourceNotFoundException: The specified log group does not exist.");
  EXPECT_THAT(texts(ok("DescribeLogGroups", Object{}), "logGroups", "logGroupName"), IsEmpty());
}

TEST_F(Service, DescribesGroupsByPrefixPatternAndPage) {
  for (const char* name : {"/b/two", "/a/one", "/b/one", "/b/One"}) {
    ok("CreateLogGroup", Object{{"logGroupName", name}});
  }
  const auto names = [&](Object input) { return texts(ok("DescribeLogGroups", input), "logGroups", "logGroupName"); };
  EXPECT_THAT(names({}), ElementsAre("/a/one", "/b/One", "/b/one", "/b/two"));
  EXPECT_THAT(names({{"logGroupNamePrefix", "/b"}}), ElementsAre("/b/One", "/b/one", "/b/two"));
  EXPECT_THAT(names({{"logGroupNamePattern", "one"}}), ElementsAre("/a/one", "/b/one"));
  EXPECT_THAT(error("DescribeLogGroups", Object{{"logGroupNamePattern", "o"}, {"logGroupNamePrefix", "/"}}),
              HasSubstr("mutually exclusive"));
  const Value page = ok("DescribeLogGroups", Object{{"limit", 3}});
  EXPECT_THAT(texts(page, "logGroups", "logGroupName"), ElementsAre("/a/one", "/b/One", "/b/one"));
  const Value rest = ok("DescribeLogGroups", Object{{"limit", 3}, {"nextToken", text(page, "nextToken")}});
  EXPECT_THAT(texts(rest, "logGroups", "logGroupName"), ElementsAre("/b/two"));
  EXPECT_EQ(rest.find("nextToken"), nullptr);
}

TEST_F(Service, RefusesByNameWhatGroupsCannotHave) {
  EXPECT_THAT(error("CreateLogGroup", in_group({{"kmsKeyId", "k"}})), HasSubstr("kmsKeyId"));
  EXPECT_THAT(error("CreateLogGroup", in_group({{"logGroupClass", "INFREQUENT_ACCESS"}})), HasSubstr("logGroupClass"));
  EXPECT_THAT(error("CreateLogGroup", Object{{"logGroupName", "aws/x"}}), HasSubstr("InvalidParameterException"));
  ok("CreateLogGroup", in_group({{"logGroupClass", "STANDARD"}}));
}

TEST_F(Service, CreatesDescribesAndDeletesStreams) {
  EXPECT_EQ(error("CreateLogStream", in_stream()),
            "ResourceNotFoundException: The specified log group does not exist.");
  make_stream();
  EXPECT_EQ(error("CreateLogStream", in_stream()),
            "ResourceAlreadyExistsException: The specified log stream already exists");
  const std::int64_t created = now_ms();
  sim.run_for(5s);
  put({{now_ms() - 2000, "a"}, {now_ms() - 1000, "b"}});
  const Value answer = ok("DescribeLogStreams", in_group());
  const Value& stream = answer.find("logStreams")->if_array()->at(0);
  EXPECT_EQ(text(stream, "logStreamName"), kStream);
  EXPECT_EQ(text(stream, "arn"),
            std::string("arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f:log-stream:") + kStream);
  EXPECT_EQ(number(stream, "creationTime"), created);
  EXPECT_EQ(number(stream, "firstEventTimestamp"), created + 3000);
  EXPECT_EQ(number(stream, "lastEventTimestamp"), created + 4000);
  EXPECT_EQ(number(stream, "lastIngestionTime"), created + 5000);
  EXPECT_EQ(number(first_group(), "storedBytes"), 2 * 27);

  ok("DeleteLogStream", in_stream());
  EXPECT_EQ(number(first_group(), "storedBytes"), 0);
  EXPECT_EQ(error("GetLogEvents", in_stream()), "ResourceNotFoundException: The specified log stream does not exist.");
}

TEST_F(Service, OrdersAndPagesStreams) {
  for (const char* name : {"c", "a", "b"}) {
    make_stream(name);
    sim.run_for(1s);
    put({{now_ms(), "x"}}, name);
  }
  const auto names = [&](Object input) {
    std::vector<std::string> all;
    input.set("limit", 1);
    for (int page = 0; page < 10; ++page) {
      const Value answer = ok("DescribeLogStreams", in_group(input));
      for (auto& name : texts(answer, "logStreams", "logStreamName")) all.push_back(name);
      if (answer.find("nextToken") == nullptr) break;
      input.set("nextToken", text(answer, "nextToken"));
    }
    return all;
  };
  EXPECT_THAT(names({}), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names({{"descending", true}}), ElementsAre("c", "b", "a"));
  EXPECT_THAT(names({{"orderBy", "LastEventTime"}}), ElementsAre("c", "a", "b"));
  EXPECT_THAT(names({{"orderBy", "LastEventTime"}, {"descending", true}}), ElementsAre("b", "a", "c"));
  EXPECT_THAT(names({{"logStreamNamePrefix", "b"}}), ElementsAre("b"));
  EXPECT_THAT(error("DescribeLogStreams", in_group({{"orderBy", "LastEventTime"}, {"logStreamNamePrefix", "b"}})),
              HasSubstr("Cannot order by LastEventTime with a logStreamNamePrefix."));
  EXPECT_THAT(error("DescribeLogStreams", in_group({{"nextToken", "?"}})), HasSubstr("nextToken is invalid"));
}

TEST_F(Service, FindsAGroupByItsArn) {
  make_stream();
  put({{now_ms(), "a"}});
  const Object by_arn{{"logGroupIdentifier", "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f"}};
  EXPECT_THAT(messages(ok("FilterLogEvents", by_arn)), ElementsAre("a"));
  EXPECT_THAT(messages(ok("FilterLogEvents", Object{{"logGroupIdentifier", kGroup}})), ElementsAre("a"));
  EXPECT_THAT(error("FilterLogEvents", Object{}), HasSubstr("InvalidParameterException"));
  EXPECT_THAT(error("FilterLogEvents",
                    Object{{"logGroupIdentifier", "arn:aws:logs:eu-west-1:999922223333:log-group:/aws/lambda/f"}}),
              HasSubstr("ResourceNotFoundException"));
}

// --- events ---------------------------------------------------------------------------------------------------------

TEST_F(Service, RefusesBatchesThatBreakARule) {
  make_stream();
  const auto put_error = [&](Array events) { return error("PutLogEvents", in_stream({{"logEvents", events}})); };
  const std::int64_t now = now_ms();
  EXPECT_EQ(put_error(log_events({{now, "a"}, {now - 1, "b"}})),
            "InvalidParameterException: Log events in a single PutLogEvents request must be in chronological order.");
  EXPECT_EQ(put_error(log_events({{now - 24 * 3600 * 1000 - 1, "a"}, {now, "b"}})),
            "InvalidParameterException: The batch of log events in a single PutLogEvents request cannot span more than "
            "24 hours.");
  EXPECT_EQ(put_error(log_events({{now, std::string(256 * 1024 - 25, 'x')}})),
            "InvalidParameterException: Log event too large: 262145 bytes exceeds limit of 262144");
  const std::string quarter(256 * 1024 - 26, 'x');
  EXPECT_EQ(put_error(log_events({{now, quarter}, {now, quarter}, {now, quarter}, {now, quarter}, {now, "x"}})),
            "InvalidParameterException: Upload too large: 1048603 bytes exceeds limit of 1048576");
  EXPECT_THAT(put_error({}), HasSubstr("logEvents"));
  EXPECT_EQ(error("PutLogEvents", in_stream({{"logEvents", log_events({{now, "a"}})}}, "other")),
            "ResourceNotFoundException: The specified log stream does not exist.");
  EXPECT_THAT(filter(), IsEmpty());
  ok("PutLogEvents", in_stream({{"logEvents", log_events({{now, quarter}, {now, quarter}})}}));
}

TEST_F(Service, RejectsEventsThatAreTooOldTooNewOrExpired) {
  make_stream();
  const std::int64_t now = now_ms();
  const std::int64_t hour = 3600 * 1000;
  Value answer = put({{now - 14 * 24 * hour - 1, "old"}, {now - 14 * 24 * hour, "kept 1"}});
  EXPECT_EQ(json::serialize(answer), R"({"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1}})");
  answer = put({{now + 2 * hour, "kept 2"}, {now + 2 * hour + 1, "new"}});
  EXPECT_EQ(json::serialize(answer), R"({"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":1}})");
  EXPECT_THAT(filter(), ElementsAre("kept 1", "kept 2"));
  ok("PutRetentionPolicy", in_group({{"retentionInDays", 1}}));
  answer = put({{now - 24 * hour - 1, "expired"}, {now - 24 * hour, "kept 3"}});
  EXPECT_EQ(json::serialize(answer), R"({"rejectedLogEventsInfo":{"expiredLogEventEndIndex":1}})");
  EXPECT_THAT(filter(), ElementsAre("kept 3", "kept 2"));
}

TEST_F(Service, ReadsAStreamForwardAndBackward) {
  make_stream();
  const std::int64_t now = now_ms();
  put({{now, "1"}, {now, "2"}, {now + 1, "3"}, {now + 2, "4"}, {now + 3, "5"}});
  const auto get = [&](Object more) { return ok("GetLogEvents", in_stream(std::move(more))); };

  // Without a token, the newest come, in order of time.
  EXPECT_THAT(messages(get({{"limit", 2}})), ElementsAre("4", "5"));
  Value page = get({{"limit", 2}, {"startFromHead", true}});
  EXPECT_THAT(messages(page), ElementsAre("1", "2"));
  EXPECT_THAT(text(page, "nextForwardToken"), testing::MatchesRegex("f/[0-9]{56}"));
  page = get({{"limit", 2}, {"nextToken", text(page, "nextForwardToken")}, {"startFromHead", true}});
  EXPECT_THAT(messages(page), ElementsAre("3", "4"));
  const Value back = get({{"limit", 2}, {"nextToken", text(page, "nextBackwardToken")}});
  EXPECT_THAT(messages(back), ElementsAre("1", "2"));
  page = get({{"limit", 2}, {"nextToken", text(page, "nextForwardToken")}});
  EXPECT_THAT(messages(page), ElementsAre("5"));

  // The end: the same token again, and it goes on when there is more.
  const std::string end = text(page, "nextForwardToken");
  page = get({{"nextToken", end}});
  EXPECT_THAT(messages(page), IsEmpty());
  EXPECT_EQ(text(page, "nextForwardToken"), end);
  EXPECT_THAT(messages(get({{"limit", 1}, {"nextToken", text(page, "nextBackwardToken")}})), ElementsAre("5"));
  put({{now + 4, "6"}});
  EXPECT_THAT(messages(get({{"nextToken", end}})), ElementsAre("6"));
  EXPECT_THAT(error("GetLogEvents", in_stream({{"nextToken", "f/12"}})), HasSubstr("nextToken is invalid"));
}

TEST_F(Service, StartTimeIsIncludedAndEndTimeAsEachOperationHasIt) {
  make_stream();
  const std::int64_t now = now_ms();
  put({{now, "1"}, {now + 1, "2"}, {now + 2, "3"}});
  const Object range{{"startTime", now + 1}, {"endTime", now + 2}};
  EXPECT_THAT(messages(ok("GetLogEvents", in_stream(range))), ElementsAre("2"));
  EXPECT_THAT(filter(range), ElementsAre("2", "3"));
}

TEST_F(Service, AnswersHoldAtMostAMebibyte) {
  make_stream();
  const std::string message(200'000, 'x');
  for (int i = 0; i < 8; ++i) put({{now_ms() + i, message + std::to_string(i)}});
  const auto last_digits = [](const std::vector<std::string>& all) {
    std::string digits;
    for (const auto& one : all) digits.push_back(one.back());
    return digits;
  };
  EXPECT_EQ(last_digits(messages(ok("GetLogEvents", in_stream()))), "34567");
  const Value page = ok("FilterLogEvents", in_group());
  EXPECT_EQ(last_digits(messages(page)), "01234");
  EXPECT_EQ(last_digits(filter({{"nextToken", text(page, "nextToken")}})), "567");
}

TEST_F(Service, FiltersAGroupAcrossStreamsInOrderOfTime) {
  make_stream("a/1");
  make_stream("a/2");
  make_stream("b/1");
  const std::int64_t now = now_ms();
  put({{now, "ERROR one"}, {now + 3, "four"}}, "a/1");
  put({{now + 1, "two"}, {now + 4, "ERROR five"}}, "a/2");
  put({{now + 2, "ERROR three"}}, "b/1");
  EXPECT_THAT(filter(), ElementsAre("ERROR one", "two", "ERROR three", "four", "ERROR five"));
  EXPECT_THAT(filter({{"filterPattern", "ERROR"}}), ElementsAre("ERROR one", "ERROR three", "ERROR five"));
  EXPECT_THAT(filter({{"filterPattern", "ERROR -three"}}), ElementsAre("ERROR one", "ERROR five"));
  EXPECT_THAT(filter({{"logStreamNamePrefix", "a/"}}), ElementsAre("ERROR one", "two", "four", "ERROR five"));
  EXPECT_THAT(filter({{"logStreamNames", Array{"b/1", "a/2"}}}), ElementsAre("two", "ERROR three", "ERROR five"));
  EXPECT_THAT(filter({{"logStreamNames", Array{"b/1"}}}), ElementsAre("ERROR three"));
  EXPECT_EQ(error("FilterLogEvents", in_group({{"logStreamNames", Array{"c"}}})),
            "ResourceNotFoundException: The specified log stream does not exist.");
  EXPECT_THAT(error("FilterLogEvents", in_group({{"filterPattern", "{ $.x = %1% }"}})),
              HasSubstr("NotImplementedException"));

  std::vector<std::string> paged;
  Object input{{"limit", 1}, {"filterPattern", "ERROR"}};
  for (int page = 0; page < 10; ++page) {
    const Value answer = ok("FilterLogEvents", in_group(input));
    for (auto& message : messages(answer)) paged.push_back(message);
    if (answer.find("nextToken") == nullptr) break;
    input.set("nextToken", text(answer, "nextToken"));
  }
  EXPECT_THAT(paged, ElementsAre("ERROR one", "ERROR three", "ERROR five"));

  const Value answer = ok("FilterLogEvents", in_group({{"limit", 1}}));
  const Value& event = answer.find("events")->if_array()->at(0);
  EXPECT_EQ(text(event, "logStreamName"), "a/1");
  EXPECT_EQ(number(event, "timestamp"), now);
  EXPECT_EQ(number(event, "ingestionTime"), now);
  EXPECT_THAT(text(event, "eventId"), testing::MatchesRegex("[0-9]{56}"));
}

TEST_F(Service, FilterWorksThroughManyEventsInBoundedSteps) {
  make_stream();
  for (int batch = 0; batch < 21; ++batch) {
    std::vector<std::pair<std::int64_t, std::string>> events(10'000, {now_ms(), "x"});
    if (batch == 20) events.back().second = "needle";
    put(events);
  }
  const Value first = ok("FilterLogEvents", in_group({{"filterPattern", "needle"}}));
  EXPECT_THAT(messages(first), IsEmpty());
  ASSERT_NE(first.find("nextToken"), nullptr);
  const Value second =
      ok("FilterLogEvents", in_group({{"filterPattern", "needle"}, {"nextToken", text(first, "nextToken")}}));
  EXPECT_THAT(messages(second), ElementsAre("needle"));
}

TEST_F(Service, EventsSurviveARestart) {
  make_stream();
  put({{now_ms(), "put"}});
  print("printed");
  restart();
  EXPECT_THAT(filter(), ElementsAre("put", "printed\n"));
  put({{now_ms(), "later"}});
  EXPECT_THAT(filter(), ElementsAre("put", "printed\n", "later"));
}

TEST_F(Service, RetentionHidesAndRemovesWhatIsOlder) {
  make_stream("old");
  make_stream("new");
  put({{now_ms(), "first"}}, "old");
  sim.run_for(23h);
  put({{now_ms(), "second"}}, "new");
  ok("PutRetentionPolicy", in_group({{"retentionInDays", 1}}));
  EXPECT_EQ(number(first_group(), "retentionInDays"), 1);
  EXPECT_THAT(filter(), ElementsAre("first", "second"));
  sim.run_for(1h + 1ms);
  EXPECT_THAT(filter(), ElementsAre("second"));
  EXPECT_GT(number(first_group(), "storedBytes"), 32);  // still there
  sim.run_for(1s);                                      // a chunk may last that long
  put({{now_ms(), "third"}}, "new");
  EXPECT_EQ(number(first_group(), "storedBytes"), 26 + 6 + 26 + 5);
  EXPECT_THAT(texts(ok("DescribeLogStreams", in_group()), "logStreams", "logStreamName"), ElementsAre("new"));
  ok("DeleteRetentionPolicy", in_group());
  EXPECT_EQ(first_group().find("retentionInDays"), nullptr);
  EXPECT_THAT(error("PutRetentionPolicy", in_group({{"retentionInDays", 2}})), HasSubstr("InvalidParameterException"));
}

TEST_F(Service, ADeletedGroupTakesItsEventsAlong) {
  make_stream();
  put({{now_ms(), "before"}});
  ok("DeleteLogGroup", in_group());
  EXPECT_THAT(error("FilterLogEvents", in_group()), HasSubstr("The specified log group does not exist."));
  make_stream();
  put({{now_ms(), "after"}});
  EXPECT_THAT(filter(), ElementsAre("after"));
}

// --- what functions print -------------------------------------------------------------------------------------------

TEST_F(Service, PrintedLinesMakeTheirGroupAndStreamAndAreReadAtOnce) {
  print("START");
  print("hello");
  EXPECT_THAT(filter(), ElementsAre("START\n", "hello\n"));
  EXPECT_THAT(messages(ok("GetLogEvents", in_stream())), ElementsAre("START\n", "hello\n"));
  EXPECT_EQ(number(first_group(), "storedBytes"), 26 + 6 + 26 + 6);
  print("more");
  EXPECT_THAT(filter(), ElementsAre("START\n", "hello\n", "more\n"));
}

TEST_F(Service, PrintedLinesAreWrittenAfterTwoHundredMillisecondsAndThenNothingRuns) {
  print("hello");
  EXPECT_EQ(sim.activity().count(), 0u);
  sim.run_for(199ms);
  auto& stored = metrics.counter("lambdad_function_log_events_total", "Log events of functions that were stored.");
  EXPECT_EQ(stored.value(), 0u);
  sim.run_for(1ms);
  EXPECT_EQ(stored.value(), 1u);
  EXPECT_EQ(sim.clock().sleepers(), 0u);
}

TEST_F(Service, AFullBatchIsWrittenWithoutWaiting) {
  for (int i = 0; i < 3; ++i) print(std::string(100 * 1024, 'x'));
  sim.settle();
  EXPECT_EQ(metrics.counter("lambdad_function_log_events_total", "Log events of functions that were stored.").value(),
            3u);
}

TEST_F(Service, SameStreamNameInTwoGroupsIsTwoStreams) {
  print("f", kStream, "/aws/lambda/f");
  print("g", kStream, "/aws/lambda/g");
  print("f again", kStream, "/aws/lambda/f");
  EXPECT_THAT(filter(), ElementsAre("f\n", "f again\n"));
  EXPECT_THAT(messages(ok("FilterLogEvents", Object{{"logGroupName", "/aws/lambda/g"}})), ElementsAre("g\n"));
}

TEST_F(Service, BytesThatAreNoTextBecomeReplacementCharacters) {
  print("a\xff\xc3(z");
  EXPECT_THAT(filter(), ElementsAre("a\xEF\xBF\xBD\xEF\xBF\xBD(z\n"));
}

TEST_F(Service, WhatCouldNotBeStoredIsTriedAgainInOrder) {
  print("first");
  sim.run_for(200ms);
  print("second");
  {
    fault::Armed disk("store.before_commit:1+:fail");
    sim.run_for(200ms);
    EXPECT_FALSE(service->healthy());
    print("third");
    EXPECT_THAT(filter(), ElementsAre("first\n"));  // readers do not wait for the disk
  }
  sim.run_for(1s);
  EXPECT_THAT(filter(), ElementsAre("first\n", "second\n", "third\n"));
  sim.run_for(200ms);
  EXPECT_EQ(sim.clock().sleepers(), 0u);
}

TEST_F(Service, StoppingTriesOnceMoreToStoreWhatFailed) {
  print("first");
  {
    fault::Armed disk("store.before_commit:1+:fail");
    sim.run_for(200ms);
  }
  print("second");
  restart();
  EXPECT_THAT(filter(), ElementsAre("first\n", "second\n"));
}

struct SmallService : Service {
  SmallService() {
    options.buffered_bytes_max = 10'000;
    options.group_bytes_max = 100'000;
  }
};

TEST_F(SmallService, DropsAndCountsWhatItCannotHold) {
  for (int i = 0; i < 20; ++i) print(std::string(1000, 'x'));
  const auto lines = filter();
  ASSERT_GT(lines.size(), 5u);
  EXPECT_EQ(lines.front(), std::string(1000, 'x') + "\n");
  const auto kept = lines.size() - 1;
  EXPECT_LT(kept, 10u);
  const auto notice = json::parse(lines.back());
  ASSERT_TRUE(notice) << lines.back();
  EXPECT_EQ(text(*notice, "type"), "platform.logsDropped");
  EXPECT_EQ(number(*notice->find("record"), "droppedRecords"), static_cast<std::int64_t>(20 - kept));
  EXPECT_EQ(number(*notice->find("record"), "droppedBytes"), static_cast<std::int64_t>((20 - kept) * 1000));
  print("fits again");
  EXPECT_EQ(filter().back(), "fits again\n");
}

TEST_F(SmallService, TheOldestEventsOfALargeGroupGo) {
  for (int i = 0; i < 200; ++i) {
    sim.run_for(1ms);
    print(fmt::format("{:04} {}", i, std::string(1000, 'x')), i < 50 ? "first" : "second");
    if (i % 5 == 0) sim.run_for(200ms);
  }
  const auto lines = filter();
  EXPECT_THAT(lines.back(), testing::StartsWith("0199 "));
  EXPECT_LE(number(first_group(), "storedBytes"), 100'000);
  EXPECT_EQ(number(first_group(), "storedBytes"), static_cast<std::int64_t>(lines.size() * (1006 + 26)));
  EXPECT_GT(lines.size(), 80u);
  EXPECT_THAT(texts(ok("DescribeLogStreams", in_group()), "logStreams", "logStreamName"), ElementsAre("second"));
}

// --- pages over chunks that overlap ---------------------------------------------------------------------------------

/// Random streams, written in random portions, against a plain sorted list.
TEST_F(Service, PagesOverOverlappingChunksShowEveryEventOnceInOrder) {
  auto& random = sim.system().random;
  std::vector<std::pair<std::int64_t, std::string>> all;  // in the order of FilterLogEvents
  const std::vector<std::string> streams = {"a", "b", "c"};
  for (const std::string& stream : streams) make_stream(stream);
  int number_of_event = 0;
  for (int round = 0; round < 40; ++round) {
    const std::string& stream = streams[random.below(streams.size())];
    std::vector<std::pair<std::int64_t, std::string>> events;
    std::int64_t time = now_ms() - static_cast<std::int64_t>(random.below(3000));
    for (std::uint64_t count = 1 + random.below(12); count > 0; --count) {
      events.emplace_back(time, fmt::format("{}:{}", stream, number_of_event++));
      time += random.below(3) == 0 ? static_cast<std::int64_t>(random.below(900)) : 0;
    }
    put(events, stream);
    all.insert(all.end(), events.begin(), events.end());
    sim.run_for(Duration(std::chrono::milliseconds(random.below(500))));
  }
  std::vector<std::pair<std::int64_t, std::size_t>> order;
  for (std::size_t i = 0; i < all.size(); ++i) order.emplace_back(all[i].first, i);
  std::ranges::sort(order);
  std::vector<std::string> expected;
  std::map<std::string, std::vector<std::string>> expected_of;
  for (const auto& [time, i] : order) {
    expected.push_back(all[i].second);
    expected_of[all[i].second.substr(0, 1)].push_back(all[i].second);
  }

  std::vector<std::string> found;
  for (std::string token;;) {
    Object query{{"limit", 7}};
    if (!token.empty()) query.set("nextToken", token);
    const auto page = ok("FilterLogEvents", in_group(std::move(query)));
    for (auto& message : texts(page, "events", "message")) found.push_back(std::move(message));
    const Value* next = page.find("nextToken");
    if (next == nullptr) break;
    token = *next->if_string();
  }
  EXPECT_EQ(found, expected);

  for (const std::string& stream : streams) {
    std::vector<std::string> backward;
    std::string token;
    for (;;) {
      Object query{{"limit", 5}};
      if (!token.empty()) query.set("nextToken", token);
      const auto page = ok("GetLogEvents", in_stream(std::move(query), stream));
      auto messages = texts(page, "events", "message");
      if (messages.empty()) break;
      backward.insert(backward.begin(), messages.begin(), messages.end());
      token = *page.find("nextBackwardToken")->if_string();
    }
    EXPECT_EQ(backward, expected_of[stream]) << stream;
  }
}

TEST(Chunk, IsReadAsItWasWrittenAndNothingElseIsRead) {
  std::vector<ChunkWriter::Chunk> chunks;
  ChunkWriter writer(5, [&](ChunkWriter::Chunk chunk) -> Result<void> {
    chunks.push_back(std::move(chunk));
    return {};
  });
  ASSERT_TRUE(writer.add(1000, "first\n"));
  ASSERT_TRUE(writer.add(2000, ""));
  ASSERT_TRUE(writer.add(2001, "a second later"));
  ASSERT_TRUE(writer.add(2001, std::string(kChunkBytes, 'x')));
  ASSERT_TRUE(writer.add(2001, "after a full one"));
  ASSERT_TRUE(writer.finish());
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(writer.bytes(), static_cast<std::int64_t>(6 + 0 + 14 + kChunkBytes + 16 + 5 * 26));
  std::vector<std::string> messages;
  std::vector<Position> positions;
  for (const auto& chunk : chunks) {
    const auto events = read_chunk(chunk.id, chunk.first, chunk.data);
    ASSERT_TRUE(events);
    EXPECT_EQ(static_cast<std::int64_t>(events->size()), chunk.events);
    for (const ChunkEvent& event : *events) {
      messages.emplace_back(event.message.substr(0, 20));
      positions.push_back(event.position);
    }
  }
  EXPECT_THAT(messages, ElementsAre("first\n", "", "a second later", std::string(20, 'x'), "after a full one"));
  EXPECT_THAT(positions, ElementsAre(Position{1000, 5}, Position{2000, 6}, Position{2001, 7}, Position{2001, 8},
                                     Position{2001, 9}));
  for (const char* text :
       {"1", "1 ", "1 2", "1 2\na", "-1 1\na", "1 -1\na", "1001 1\na", "1 1\nab", "0 99999999999999999999\n"}) {
    EXPECT_FALSE(read_chunk(1, 1000, text)) << text;
  }
}

TEST(Position, TokensRoundTripAndRefuseOtherText) {
  const StreamToken token{StreamToken::Direction::kBackward, {1'767'225'600'123, 42}};
  EXPECT_EQ(token.str(), "b/00000001767225600123000000000000000000000000000000000042");
  const auto parsed = StreamToken::parse(token.str());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->position, token.position);
  EXPECT_EQ(parsed->direction, token.direction);
  for (const char* text : {"", "f/", "x/00000001767225600123000000000000000000000000000000000042",
                           "f/0000000176722560012300000000000000000000000000000000004",
                           "f/0000000176722560012300000000000000000000000000000000004x",
                           "f/99999999999999999999000000000000000000000000000000000042"}) {
    EXPECT_FALSE(StreamToken::parse(text)) << text;
  }
}

// --- tags -----------------------------------------------------------------------------------------------------------

TEST_F(Service, TagsAreKeptUntilTheyOrTheGroupGo) {
  const std::string arn = fmt::format("arn:aws:logs:{}:{}:log-group:{}", kRegion, kAccount, kGroup);
  const auto tags = [&] {
    return json::serialize(*ok("ListTagsForResource", Object{{"resourceArn", arn}}).find("tags"));
  };
  ok("CreateLogGroup", in_group({{"tags", Object{{"team", "a"}}}}));
  EXPECT_EQ(tags(), R"({"team":"a"})");
  ok("TagResource", Object{{"resourceArn", arn}, {"tags", Object{{"team", "b"}, {"stage", "prod"}}}});
  EXPECT_EQ(tags(), R"({"stage":"prod","team":"b"})");
  ok("TagLogGroup", in_group({{"tags", Object{{"cost", "7"}}}}));
  ok("UntagLogGroup", in_group({{"tags", Array{"team", "unknown"}}}));
  ok("UntagResource", Object{{"resourceArn", arn}, {"tagKeys", Array{"stage"}}});
  restart();
  EXPECT_EQ(json::serialize(*ok("ListTagsLogGroup", in_group()).find("tags")), R"({"cost":"7"})");
  ok("DeleteLogGroup", in_group());
  EXPECT_THAT(error("ListTagsForResource", Object{{"resourceArn", arn}}), HasSubstr("ResourceNotFoundException"));
  ok("CreateLogGroup", in_group());
  EXPECT_EQ(tags(), "{}");
}

TEST_F(Service, FiftyTagsAreTheMost) {
  const std::string arn = fmt::format("arn:aws:logs:{}:{}:log-group:{}", kRegion, kAccount, kGroup);
  Object fifty;
  for (int i = 0; i < 50; ++i) fifty.set(fmt::format("k{}", i), "v");
  ok("CreateLogGroup", in_group({{"tags", fifty}}));
  ok("TagResource", Object{{"resourceArn", arn}, {"tags", Object{{"k3", "other"}}}});
  EXPECT_THAT(error("TagResource", Object{{"resourceArn", arn}, {"tags", Object{{"one", "more"}}}}),
              HasSubstr("TooManyTagsException"));
  EXPECT_THAT(error("TagLogGroup", in_group({{"tags", Object{{"one", "more"}}}})),
              HasSubstr("InvalidParameterException"));
  EXPECT_THAT(error("TagResource", Object{{"resourceArn", arn}, {"tags", Object{{"aws:x", "y"}}}}),
              HasSubstr("InvalidParameterException"));
  EXPECT_THAT(error("TagResource", Object{{"resourceArn", kGroup}, {"tags", Object{{"x", "y"}}}}),
              HasSubstr("InvalidParameterException"));
}

// --- floods ---------------------------------------------------------------------------------------------------------

TEST_F(Service, AFloodIsCutOffAndOthersAreNot) {
  const std::string line(64 * 1024, 'x');
  for (int i = 0; i < 800; ++i) print(line);  // 50 MiB, where 32 MiB are allowed at once
  print("of another function", kStream, "/aws/lambda/g");
  const auto last = [&] { return texts(ok("GetLogEvents", in_stream({{"limit", 1}})), "events", "message").at(0); };
  const auto notice = json::parse(last());
  ASSERT_TRUE(notice) << last();
  EXPECT_EQ(*notice->find("type")->if_string(), "platform.logsDropped");
  const auto dropped = *notice->find("record")->find("droppedRecords")->as_int64();
  EXPECT_GT(dropped, 250);
  EXPECT_LT(dropped, 320);
  EXPECT_THAT(texts(ok("FilterLogEvents", Object{{"logGroupName", "/aws/lambda/g"}}), "events", "message"),
              ElementsAre("of another function\n"));
  // A second of silence allows 8 MiB again.
  sim.run_for(1s);
  print("after the flood");
  EXPECT_EQ(last(), "after the flood\n");
}

TEST_F(Service, StructuredPatternsFilterStoredEvents) {
  make_stream();
  put({{now_ms(), R"({"level":"ERROR","ms":12})"},
       {now_ms(), R"({"level":"INFO","ms":99})"},
       {now_ms(), "GET /a 404"}});
  const auto found = [&](const char* pattern) {
    return texts(ok("FilterLogEvents", in_group({{"filterPattern", pattern}})), "events", "message");
  };
  EXPECT_THAT(found("{ $.level = ERROR || $.ms > 50 }"),
              ElementsAre(R"({"level":"ERROR","ms":12})", R"({"level":"INFO","ms":99})"));
  EXPECT_THAT(found("[method, path, status = 4*]"), ElementsAre("GET /a 404"));
}

}  // namespace
}  // namespace lambdad::logs
