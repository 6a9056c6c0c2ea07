// The control plane of mappings with queues as their source: states, texts, response shape, rows.
#include <gmock/gmock.h>

#include "event_sources/sqs/test_support.h"

namespace lambdad::event_sources {
namespace {

namespace api = aws::lambda;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> keys(const json::Value& document) {
  std::vector<std::string> result;
  for (const auto& [key, value] : *document.if_object()) result.push_back(key);
  std::ranges::sort(result);
  return result;
}

TEST_F(MappingTest, ACreatedMappingHasExactlyTheKeysOfAws) {
  const auto created = create(request());
  ASSERT_TRUE(created);
  EXPECT_THAT(
      keys(api::to_document(*created)),
      ElementsAre("BatchSize", "EventSourceArn", "EventSourceMappingArn", "FunctionArn", "FunctionResponseTypes",
                  "LastModified", "MaximumBatchingWindowInSeconds", "State", "StateTransitionReason", "UUID"));
  EXPECT_EQ(created->batch_size, 10);
  EXPECT_EQ(created->maximum_batching_window_in_seconds, 0);
  EXPECT_EQ(created->event_source_arn, kQueueArn);
  EXPECT_EQ(created->event_source_mapping_arn,
            "arn:aws:lambda:eu-west-1:111122223333:event-source-mapping:" + *created->uuid);
  EXPECT_EQ(created->function_arn, "arn:aws:lambda:eu-west-1:111122223333:function:f");
  EXPECT_THAT(*created->function_response_types, IsEmpty());
  EXPECT_EQ(created->state, "Creating");
  EXPECT_EQ(created->state_transition_reason, "USER_INITIATED");
}

TEST_F(MappingTest, SettingsAreShownAsTheyWereGiven) {
  auto r = request("arn:aws:lambda:eu-west-1:111122223333:function:f:live");
  r.batch_size = 500;
  r.maximum_batching_window_in_seconds = 20;
  r.function_response_types = {"ReportBatchItemFailures"};
  r.scaling_config.emplace().maximum_concurrency = 7;
  const auto created = create(r);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->function_arn, "arn:aws:lambda:eu-west-1:111122223333:function:f:live");
  EXPECT_EQ(created->batch_size, 500);
  EXPECT_EQ(created->maximum_batching_window_in_seconds, 20);
  EXPECT_THAT(*created->function_response_types, ElementsAre("ReportBatchItemFailures"));
  EXPECT_EQ(created->scaling_config->maximum_concurrency, 7);
}

TEST_F(MappingTest, StatesPassThroughTheTransientOnes) {
  const std::string uuid = *create(request())->uuid;
  EXPECT_EQ(state(uuid), "Creating");
  sim_.run_for(kTransitionTime - 1ms);
  EXPECT_EQ(state(uuid), "Creating");
  sim_.run_for(1ms);
  EXPECT_EQ(state(uuid), "Enabled");

  EXPECT_EQ(switch_to(uuid, false)->state, "Disabling");
  EXPECT_EQ(state(uuid), "Disabling");
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "Disabled");

  api::UpdateEventSourceMappingRequest other;
  other.uuid = uuid;
  other.batch_size = 3;
  const auto updated = update(other);
  EXPECT_EQ(updated->state, "Updating");
  EXPECT_EQ(updated->batch_size, 3);
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "Disabled");

  EXPECT_EQ(switch_to(uuid, true)->state, "Enabling");
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "Enabled");

  EXPECT_EQ(switch_to(uuid, true)->state, "Updating");
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "Enabled");

  const auto removed = remove(uuid);
  EXPECT_EQ(removed->state, "Deleting");
  EXPECT_EQ(removed->batch_size, 3);
  EXPECT_EQ(state(uuid), "Deleting");
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(uuid), "ResourceNotFoundException");
}

TEST_F(MappingTest, AMappingCreatedDisabledIsSoAtOnceAndDoesNotPoll) {
  auto r = request();
  r.enabled = false;
  const auto created = create(r);
  EXPECT_EQ(created->state, "Disabled");
  sqs_.send("q", "x");
  sim_.run_for(1h);
  EXPECT_EQ(sqs_.calls["ReceiveMessage"], 0);
  EXPECT_EQ(state(*created->uuid), "Disabled");
}

TEST_F(MappingTest, ChangesAreRefusedWhileOneIsUnderWay) {
  const std::string uuid = *create(request())->uuid;
  const auto updated = switch_to(uuid, false);
  ASSERT_FALSE(updated);
  EXPECT_EQ(updated.error().type, "ResourceInUseException");
  EXPECT_EQ(updated.error().http_status, 400);
  EXPECT_EQ(updated.error().message, "Cannot update the event source mapping because it is in use.");
  const auto removed = remove(uuid);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().type, "ResourceInUseException");
  EXPECT_EQ(removed.error().message, "Cannot delete the event source mapping because it is in use.");
}

TEST_F(MappingTest, AnUnknownMappingIsNotFound) {
  const std::string uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
  for (const auto& outcome : {mappings_->get(kCaller, uuid), switch_to(uuid, true), remove(uuid)}) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().type, "ResourceNotFoundException");
    EXPECT_EQ(outcome.error().http_status, 404);
    EXPECT_EQ(outcome.error().message, "The resource you requested does not exist.");
  }
}

TEST_F(MappingTest, MappingsOfOtherAccountsAndRegionsAreNotThere) {
  const std::string uuid = enabled(request());
  for (auto [account, region] : {std::pair("444455556666", "eu-west-1"), std::pair("111122223333", "us-east-1")}) {
    const MappingService::Caller other{.account = account, .region = region, .request_id = ""};
    EXPECT_FALSE(mappings_->get(other, uuid));
    EXPECT_FALSE(sim_.run(mappings_->remove(other, uuid)));
    EXPECT_THAT(*mappings_->list(other, {})->event_source_mappings, IsEmpty());
  }
}

// --- texts of refusals ----------------------------------------------------------------------------------------------

class MappingRefusalTest : public MappingTest {
 protected:
  void expect_refused(api::CreateEventSourceMappingRequest r, std::string type, std::string message) {
    const auto outcome = create(std::move(r));
    ASSERT_FALSE(outcome) << message;
    EXPECT_EQ(outcome.error().type, type);
    EXPECT_EQ(outcome.error().message, message);
    EXPECT_EQ(mappings_->size(), 0u);
  }
  const std::string kInvalid = "InvalidParameterValueException";
};

TEST_F(MappingRefusalTest, SourcesThatAreNone) {
  api::CreateEventSourceMappingRequest none;
  none.function_name = "f";
  expect_refused(none, kInvalid, "Unrecognized event source.");
  expect_refused(request("f", "arn:aws:glacier:eu-west-1:111122223333:q"), kInvalid, "Unrecognized event source.");
}

TEST_F(MappingRefusalTest, SourcesThatFollowAreRefusedByName) {
  for (const auto& [arn, named] : {std::pair("arn:aws:kinesis:eu-west-1:111122223333:stream/s", "Kinesis streams"),
                                   std::pair("arn:aws:dynamodb:eu-west-1:111122223333:table/t/stream/1", "DynamoDB"),
                                   std::pair("arn:aws:kafka:eu-west-1:111122223333:cluster/c/1", "MSK"),
                                   std::pair("arn:aws:mq:eu-west-1:111122223333:broker:b", "MQ")}) {
    const auto outcome = create(request("f", arn));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().http_status, 501);
    EXPECT_THAT(outcome.error().message, testing::HasSubstr(named));
  }
  api::CreateEventSourceMappingRequest kafka;
  kafka.function_name = "f";
  kafka.self_managed_event_source.emplace();
  const auto outcome = create(kafka);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().http_status, 501);
  EXPECT_THAT(outcome.error().message, testing::HasSubstr("SelfManagedEventSource"));
}

TEST_F(MappingRefusalTest, SettingsOfOtherSourcesComeBeforeTheFunction) {
  auto r = request("missing");
  r.destination_config.emplace();
  expect_refused(r, kInvalid, "Unsupported DestinationConfig parameter for given event source mapping type.");
  r = request("missing");
  r.starting_position = "LATEST";
  expect_refused(r, kInvalid, "Unsupported StartingPosition parameter for given event source mapping type.");
  r = request("missing");
  r.bisect_batch_on_function_error = true;
  expect_refused(r, kInvalid, "Unsupported BisectBatchOnFunctionError parameter for given event source mapping type.");
  r = request("missing");
  r.topics.emplace();
  expect_refused(r, kInvalid, "Unsupported Topics parameter for given event source mapping type.");
  r = request("missing");
  r.self_managed_event_source.emplace();
  expect_refused(r, kInvalid, "Unsupported 'selfManagedEventSource' parameter for given event source mapping type.");
}

TEST_F(MappingRefusalTest, AMissingFunction) {
  expect_refused(request("missing"), kInvalid, "Function does not exist");
}

TEST_F(MappingRefusalTest, AMissingQueue) {
  expect_refused(request("f", "arn:aws:sqs:eu-west-1:111122223333:missing"), kInvalid,
                 "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS "
                 "Error Message: The specified queue does not exist.");
}

TEST_F(MappingRefusalTest, ABatchAboveTenNeedsAWindow) {
  auto r = request();
  r.batch_size = 11;
  expect_refused(r, kInvalid,
                 "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
  r.batch_size = 10;
  EXPECT_TRUE(create(r));
}

TEST_F(MappingRefusalTest, AFifoQueueHasNoWindow) {
  sqs_.create("q.fifo");
  auto r = request("f", kQueueArn + ".fifo");
  r.maximum_batching_window_in_seconds = 1;
  expect_refused(r, kInvalid, "Batching window is not supported for FIFO queues");
}

TEST_F(MappingRefusalTest, AQueueWhoseVisibilityTimeoutIsTooShort) {
  catalog_.functions["slow"] = 60s;
  expect_refused(request("slow"), kInvalid,
                 "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds");
}

TEST_F(MappingTest, TheSameQueueAndFunctionConflict) {
  const std::string uuid = enabled(request());
  const auto again = create(request("111122223333:function:f"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().type, "ResourceConflictException");
  EXPECT_EQ(again.error().http_status, 409);
  EXPECT_EQ(again.error().message,
            "An event source mapping with SQS arn (\" " + kQueueArn +
                " \") and function (\" f \") already exists. Please update or delete the existing mapping with UUID " +
                uuid);
  EXPECT_TRUE(create(request("f:live"))) << "another qualifier is another function";
  const std::string other = enabled(request("g"));
  api::UpdateEventSourceMappingRequest r;
  r.uuid = other;
  r.function_name = "f";
  EXPECT_EQ(update(r).error().type, "ResourceConflictException");
  EXPECT_EQ(state(other), "Enabled");
}

TEST_F(MappingTest, TwoRequestsAtATimeCannotBothCreate) {
  int created = 0;
  TaskGroup group(sim_.loop());
  struct Try {
    static Async<void> once(MappingService* mappings, int* count) {
      if (co_await mappings->create(kCaller, request())) ++*count;
    }
  };
  for (int i = 0; i < 5; ++i) group.spawn("create", Try::once(mappings_.get(), &created));
  sim_.run(group.drain());
  EXPECT_EQ(created, 1);
  EXPECT_EQ(mappings_->size(), 1u);
}

// --- update ---------------------------------------------------------------------------------------------------------

TEST_F(MappingTest, AnUpdateIsCheckedAgainstWhatItLeadsTo) {
  const std::string uuid = enabled(request());
  api::UpdateEventSourceMappingRequest r;
  r.uuid = uuid;
  r.batch_size = 100;
  const auto refused = update(r);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
  EXPECT_EQ(mappings_->get(kCaller, uuid)->batch_size, 10);
  EXPECT_EQ(state(uuid), "Enabled");
  r.maximum_batching_window_in_seconds = 5;
  ASSERT_TRUE(update(r));
  EXPECT_EQ(mappings_->get(kCaller, uuid)->batch_size, 100);
}

TEST_F(MappingTest, AnEmptyScalingConfigRemovesIt) {
  auto create_request = request();
  create_request.scaling_config.emplace().maximum_concurrency = 2;
  const std::string uuid = enabled(create_request);
  api::UpdateEventSourceMappingRequest r;
  r.uuid = uuid;
  r.scaling_config.emplace();
  EXPECT_FALSE(update(r)->scaling_config);
}

TEST_F(MappingTest, FiltersAreEchoedAsWritten) {
  auto r = request();
  const std::string pattern = "{ \"body\" : {\"n\":[1.0]} }";
  r.filter_criteria.emplace().filters.emplace().push_back({.pattern = pattern});
  const auto created = create(r);
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(created->filter_criteria->filters->front().pattern, pattern);
  r.function_name = "g";
  r.filter_criteria->filters->clear();
  EXPECT_FALSE(create(r)->filter_criteria) << "an empty list is none";
  r.filter_criteria->filters->push_back({.pattern = "word"});
  r.function_name = "f:live";
  catalog_.functions["f"] = 3s;
  const auto refused = create(r);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "Invalid filter pattern definition.");
}

TEST_F(MappingTest, ProvisionedPollersHaveDefaultsLimitsAndAnEnd) {
  auto r = request();
  r.provisioned_poller_config.emplace();
  EXPECT_EQ(create(r).error().message,
            "Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided.");
  r.provisioned_poller_config->minimum_pollers = 1;
  EXPECT_EQ(create(r).error().message,
            "MinimumPollers should be between [2, 200] and MaximumPollers should be between [MinimumPollers, 10000]");
  r.provisioned_poller_config->minimum_pollers = 5;
  r.scaling_config.emplace().maximum_concurrency = 5;
  EXPECT_THAT(create(r).error().message, testing::StartsWith("Provisioned mode for SQS ESM does not support"));
  r.scaling_config.reset();
  const std::string uuid = enabled(r);
  auto shown = mappings_->get(kCaller, uuid);
  EXPECT_EQ(shown->provisioned_poller_config->minimum_pollers, 5);
  EXPECT_EQ(shown->provisioned_poller_config->maximum_pollers, 200);
  aws::lambda::UpdateEventSourceMappingRequest u;
  u.uuid = uuid;
  u.provisioned_poller_config.emplace();
  EXPECT_FALSE(update(u)->provisioned_poller_config) << "an empty one ends it";
}

TEST_F(MappingTest, MetricsOfOtherSourcesAreRefused) {
  auto r = request();
  r.metrics_config.emplace().metrics.emplace().push_back("KafkaMetrics");
  EXPECT_EQ(create(r).error().message, "Unsupported MetricsConfig parameter for given event source mapping type.");
  r.metrics_config->metrics->front() = "EventCount";
  EXPECT_EQ(create(r)->metrics_config->metrics->front(), "EventCount");
}

TEST_F(MappingTest, TagsLiveWithTheMapping) {
  auto r = request();
  r.tags = {{"team", "a"}, {"stage", "test"}};
  const auto created = create(r);
  const std::string arn = *created->event_source_mapping_arn;
  ASSERT_TRUE(mappings_->owns(arn));
  EXPECT_FALSE(mappings_->owns("arn:aws:lambda:eu-west-1:111122223333:function:f"));
  ASSERT_TRUE(sim_.run(mappings_->change_tags(arn, {{"team", "b"}}, {"stage"})));
  sim_.run_for(1s);
  restart();
  EXPECT_EQ(mappings_->tags(arn).value(), (std::map<std::string, std::string>{{"team", "b"}}));
  ports::TaggedResources::Tags many;
  for (int i = 0; i < 50; ++i) many[std::to_string(i)] = "x";
  EXPECT_FALSE(sim_.run(mappings_->change_tags(arn, many, {}))) << "with the one there are 51";
  const std::string unknown = arn.substr(0, arn.size() - 1) + "x";
  EXPECT_EQ(mappings_->tags(unknown).error().message, "Event source mapping not found: " + unknown);
}

TEST_F(MappingTest, AChangedFunctionGetsTheNextMessages) {
  const std::string uuid = enabled(request());
  api::UpdateEventSourceMappingRequest r;
  r.uuid = uuid;
  r.function_name = "g";
  EXPECT_EQ(update(r)->function_arn, "arn:aws:lambda:eu-west-1:111122223333:function:g");
  sim_.run_for(kTransitionTime);
  sqs_.send("q", "x");
  sim_.run_for(1s);
  ASSERT_EQ(invoker_.invocations.size(), 1u);
  EXPECT_EQ(invoker_.invocations[0].function, "arn:aws:lambda:eu-west-1:111122223333:function:g");
}

// --- list -----------------------------------------------------------------------------------------------------------

TEST_F(MappingTest, ListPagesThroughAllAndFilters) {
  sqs_.create("q2");
  const std::string a = enabled(request("f"));
  const std::string b = enabled(request("g"));
  const std::string c = enabled(request("f:live", kQueueArn + "2"));
  std::set<std::string> seen;
  api::ListEventSourceMappingsRequest r;
  r.max_items = 1;
  for (int pages = 1; pages <= 3; ++pages) {
    const auto page = mappings_->list(kCaller, r);
    ASSERT_TRUE(page);
    ASSERT_EQ(page->event_source_mappings->size(), 1u);
    seen.insert(*page->event_source_mappings->front().uuid);
    EXPECT_EQ(page->next_marker.has_value(), pages < 3);
    r.marker = page->next_marker;
  }
  EXPECT_EQ(seen, (std::set<std::string>{a, b, c}));

  const auto only = [&](std::optional<std::string> function, std::optional<std::string> arn) {
    api::ListEventSourceMappingsRequest filter;
    filter.function_name = std::move(function);
    filter.event_source_arn = std::move(arn);
    std::vector<std::string> uuids;
    for (const auto& mapping : *mappings_->list(kCaller, filter)->event_source_mappings) uuids.push_back(*mapping.uuid);
    return uuids;
  };
  EXPECT_THAT(only("f", std::nullopt), ElementsAre(a));
  EXPECT_THAT(only("f:live", std::nullopt), ElementsAre(c));
  EXPECT_THAT(only(std::nullopt, kQueueArn), testing::UnorderedElementsAre(a, b));
  EXPECT_THAT(only("missing", std::nullopt), IsEmpty());
  EXPECT_THAT(only(std::nullopt, "arn:aws:sqs:eu-west-1:111122223333:missing"), IsEmpty());
  r = {};
  r.marker = "?";
  EXPECT_EQ(mappings_->list(kCaller, r).error().type, "InvalidParameterValueException");
}

// --- restart --------------------------------------------------------------------------------------------------------

TEST_F(MappingTest, ARestartKeepsMappingsAndResumesPolling) {
  auto r = request();
  r.batch_size = 3;
  r.function_response_types = {"ReportBatchItemFailures"};
  const std::string uuid = enabled(r);
  auto disabled_request = request("g");
  disabled_request.enabled = false;
  const std::string disabled = *create(disabled_request)->uuid;
  const auto before = mappings_->get(kCaller, uuid);
  restart();
  EXPECT_EQ(*mappings_->get(kCaller, uuid), *before);
  EXPECT_EQ(state(disabled), "Disabled");
  sqs_.send_many("q", 3);
  sim_.run_for(1s);
  EXPECT_EQ(sqs_.size("q"), 0u);
  for (const auto& invocation : invoker_.invocations) {
    EXPECT_EQ(invocation.function, "arn:aws:lambda:eu-west-1:111122223333:function:f");
  }
}

TEST_F(MappingTest, TransitionsEndAfterARestart) {
  const std::string created = *create(request())->uuid;
  restart();
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(created), "Enabled");
  ASSERT_TRUE(switch_to(created, false));
  restart();
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(created), "Disabled");
  ASSERT_TRUE(remove(created));
  restart();
  sim_.run_for(kTransitionTime);
  EXPECT_EQ(state(created), "ResourceNotFoundException");
  restart();
  EXPECT_EQ(mappings_->size(), 0u);
}

TEST_F(MappingTest, AMappingOutlivesItsFunction) {
  const std::string uuid = enabled(request());
  catalog_.functions.erase("f");
  restart();
  EXPECT_EQ(state(uuid), "Enabled");
}

}  // namespace
}  // namespace lambdad::event_sources
