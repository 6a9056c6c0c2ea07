// Event invoke configuration, concurrency, account settings, tags.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

constexpr std::string_view kEventInvoke = "/2019-09-25/functions/f/event-invoke-config";
constexpr std::string_view kPutConcurrency = "/2017-10-31/functions/{}/concurrency";
const std::string kArn = std::string(kTestArn) + "f";

class FunctionSettingsTest : public ::testing::Test {
 protected:
  FunctionSettingsTest() { world.create("f"); }
  static std::string message(const http::Response& response) {
    const json::Value body = World::parse(response);
    const json::Value* member = body.find("message") != nullptr ? body.find("message") : body.find("Message");
    return member == nullptr ? "" : *member->if_string();
  }
  http::Response reserve(const std::string& name, int count) {
    return world.send("PUT", fmt::format(fmt::runtime(kPutConcurrency), name),
                      fmt::format(R"({{"ReservedConcurrentExecutions":{}}})", count));
  }
  World world;
};

TEST_F(FunctionSettingsTest, PutReplacesAndUpdateMerges) {
  auto response = world.send("PUT", std::string(kEventInvoke), R"({"MaximumRetryAttempts":0})");
  ASSERT_EQ(response.status, 200) << response.body;
  json::Value body = World::parse(response);
  EXPECT_EQ(*body.find("FunctionArn")->if_string(), kArn + ":$LATEST");
  EXPECT_EQ(*body.find("DestinationConfig"),
            (json::Object{{"OnSuccess", json::Object{}}, {"OnFailure", json::Object{}}}));
  EXPECT_EQ(body.find("MaximumRetryAttempts")->as_int64(), 0);
  EXPECT_EQ(body.find("MaximumEventAgeInSeconds"), nullptr);
  EXPECT_EQ(body.find("LastModified")->as_double(), 1767225600.0);

  body = World::parse(world.send("POST", std::string(kEventInvoke), R"({"MaximumEventAgeInSeconds":60})"));
  EXPECT_EQ(body.find("MaximumRetryAttempts")->as_int64(), 0);
  EXPECT_EQ(body.find("MaximumEventAgeInSeconds")->as_int64(), 60);
  const auto config = world.service->catalog().event_invoke_config(
      {.account = std::string(kTestAccount), .region = "us-east-1", .name = "f"});
  EXPECT_EQ(config.maximum_retry_attempts, 0);
  EXPECT_EQ(config.maximum_event_age, std::chrono::seconds(60));

  body = World::parse(world.send("PUT", std::string(kEventInvoke), R"({"MaximumEventAgeInSeconds":90})"));
  EXPECT_EQ(body.find("MaximumRetryAttempts"), nullptr);
  EXPECT_EQ(World::parse(world.send("GET", std::string(kEventInvoke))), body);
  body = World::parse(world.send("GET", std::string(kEventInvoke) + "/list"));
  EXPECT_EQ(body.find("FunctionEventInvokeConfigs")->if_array()->size(), 1u);
  EXPECT_EQ(world.send("DELETE", std::string(kEventInvoke)).status, 204);
  auto gone = world.send("GET", std::string(kEventInvoke));
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(message(gone), "The function " + kArn + ":$LATEST doesn't have an EventInvokeConfig");
}

TEST_F(FunctionSettingsTest, EventInvokeConfigErrors) {
  EXPECT_EQ(message(world.send("PUT", std::string(kEventInvoke), "{}")),
            "You must specify at least one of error handling or destination setting.");
  EXPECT_EQ(message(world.send("POST", std::string(kEventInvoke), R"({"MaximumRetryAttempts":1})")),
            "The function " + kArn + ":$LATEST doesn't have an EventInvokeConfig");
  const std::string missing = "/2019-09-25/functions/missing/event-invoke-config";
  EXPECT_EQ(message(world.send("PUT", missing, R"({"MaximumRetryAttempts":1})")), "The function doesn't exist.");
  EXPECT_EQ(message(world.send("GET", missing + "/list")), "The function doesn't exist.");
  EXPECT_EQ(world.send("PUT", std::string(kEventInvoke), R"({"MaximumRetryAttempts":3})").status, 400);
  EXPECT_EQ(world.send("PUT", std::string(kEventInvoke), R"({"MaximumEventAgeInSeconds":59})").status, 400);
}

/// Has every queue but "nowhere".
struct Queues final : ports::Target {
  Async<Result<void>> deliver(Arn, ports::TargetMessage) override { co_return Result<void>(); }
  Result<void> check(const Arn& target) override {
    if (target.resource == "nowhere") return fail(Errc::kNotFound, "there is no such queue");
    return {};
  }
};

class DestinationsTest : public FunctionSettingsTest {
 protected:
  DestinationsTest() {
    targets.add("sqs", queues);
    targets.add("lambda", queues);
    world.service->set_targets(targets);
  }
  http::Response put(std::string_view kind, std::string_view arn) {
    return world.send("PUT", std::string(kEventInvoke),
                      fmt::format(R"({{"DestinationConfig":{{"{}":{{"Destination":"{}"}}}}}})", kind, arn));
  }
  const std::string queue_arn = "arn:aws:sqs:us-east-1:111122223333:q";
  Queues queues;
  ports::Targets targets;
};

TEST_F(DestinationsTest, AreStoredShownAndKnownToTheDataPlane) {
  auto response = put("OnFailure", queue_arn);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(*World::parse(response).find("DestinationConfig"),
            (json::Object{{"OnSuccess", json::Object{}}, {"OnFailure", json::Object{{"Destination", queue_arn}}}}));
  // Update leaves what is not named.
  world.send("POST", std::string(kEventInvoke), R"({"MaximumRetryAttempts":0})");
  world.restart();
  world.service->set_targets(targets);
  const auto config = world.service->catalog().event_invoke_config(World::ref("f"));
  EXPECT_EQ(config.on_failure, queue_arn);
  EXPECT_EQ(config.on_success, "");
  EXPECT_EQ(config.maximum_retry_attempts, 0);
  // Put replaces all of it.
  world.send("PUT", std::string(kEventInvoke), R"({"MaximumRetryAttempts":0})");
  EXPECT_EQ(world.service->catalog().event_invoke_config(World::ref("f")).on_failure, "");
}

TEST_F(DestinationsTest, ThatCannotBeAreRefusedInAwssWords) {
  EXPECT_EQ(message(put("OnSuccess", kArn)), "You can't specify the function as a destination for itself.");
  EXPECT_EQ(message(put("OnSuccess", "arn:aws:sqs:us-east-1:111122223333:nowhere")),
            "The destination ARN arn:aws:sqs:us-east-1:111122223333:nowhere is invalid.");
  EXPECT_EQ(message(put("OnFailure", queue_arn + ".fifo")), "The destination ARN " + queue_arn + ".fifo is invalid.");
  EXPECT_EQ(message(put("OnFailure", "arn:aws:sqs:eu-west-1:111122223333:q")),
            "The destination ARN arn:aws:sqs:eu-west-1:111122223333:q is invalid.");
  EXPECT_EQ(message(put("OnSuccess", "arn:aws:s3:::bucket")),
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::bucket), "
            "onFailure=null) is invalid.");
  EXPECT_EQ(put("OnSuccess", "no arn").status, 400);
  EXPECT_EQ(world.service->catalog().event_invoke_config(World::ref("f")).on_success, "");
}

TEST_F(DestinationsTest, OfAServiceThatIsNotThereAreRefusedByName) {
  for (const auto* arn :
       {"arn:aws:sns:us-east-1:111122223333:t", "arn:aws:events:us-east-1:111122223333:event-bus/b"}) {
    auto refused = put("OnSuccess", arn);
    EXPECT_EQ(refused.status, 501) << refused.body;
  }
  EXPECT_THAT(put("OnFailure", "arn:aws:s3:::bucket").body, testing::HasSubstr("s3"));
  targets.add("sns", queues);
  EXPECT_EQ(put("OnSuccess", "arn:aws:sns:us-east-1:111122223333:t").status, 200);
  EXPECT_EQ(world
                .create("g", json::Object{{"DeadLetterConfig",
                                           json::Object{{"TargetArn", "arn:aws:sns:us-east-1:111122223333:t"}}}})
                .status,
            201);
}

TEST_F(FunctionSettingsTest, ReservedConcurrencyLeavesAHundredUnreserved) {
  world.create("g");
  EXPECT_EQ(reserve("f", 500).status, 200);
  auto refused = reserve("g", 401);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(
      message(refused),
      "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
      "its minimum value of [100].");
  EXPECT_EQ(reserve("g", 400).status, 200);
  EXPECT_EQ(reserve("f", 501).status, 400);
  EXPECT_EQ(reserve("f", 0).status, 200);
  EXPECT_EQ(reserve("f", 2147483647).status, 400);
  EXPECT_EQ(world.send("GET", "/2019-09-30/functions/g/concurrency").body, R"({"ReservedConcurrentExecutions":400})");
  EXPECT_EQ(world.service->catalog().reserved_concurrency_total(std::string(kTestAccount), "us-east-1"), 400);
  EXPECT_EQ(world.send("DELETE", fmt::format(fmt::runtime(kPutConcurrency), "g")).status, 204);
  EXPECT_EQ(world.send("GET", "/2019-09-30/functions/g/concurrency").body, "{}");
  auto missing = reserve("missing", 1);
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(message(missing), "Function not found: " + std::string(kTestArn) + "missing:$LATEST");
  EXPECT_EQ(reserve("f:1", 1).status, 400);
}

TEST_F(FunctionSettingsTest, AccountSettingsCountWhatThereIs) {
  reserve("f", 50);
  const json::Value body = World::parse(world.send("GET", "/2016-08-19/account-settings"));
  EXPECT_EQ(*body.find("AccountLimit"), (json::Object{{"TotalCodeSize", 80530636800},
                                                      {"CodeSizeUnzipped", 262144000},
                                                      {"CodeSizeZipped", 52428800},
                                                      {"ConcurrentExecutions", 1000},
                                                      {"UnreservedConcurrentExecutions", 950}}));
  EXPECT_EQ(*body.find("AccountUsage"), (json::Object{{"TotalCodeSize", test_zip().size()}, {"FunctionCount", 1}}));
}

TEST_F(FunctionSettingsTest, TagsChangeTheRevisionAndNotTheSnapshot) {
  const ports::FunctionRef ref{.account = std::string(kTestAccount), .region = "us-east-1", .name = "f"};
  const auto snapshot = *world.service->catalog().resolve(ref);
  const std::string before = world.send("GET", "/2015-03-31/functions/f/configuration").body;
  const std::string tags = "/2017-03-31/tags/" + percent_encode(kArn);
  EXPECT_EQ(world.send("POST", tags, R"({"Tags":{"a":"1","b":"2"}})").status, 204);
  EXPECT_EQ(world.send("GET", tags).body, R"({"Tags":{"a":"1","b":"2"}})");
  EXPECT_EQ(world.send("DELETE", tags + "?tagKeys=a&tagKeys=zzz").status, 204);
  EXPECT_EQ(world.send("GET", tags).body, R"({"Tags":{"b":"2"}})");
  EXPECT_NE(world.send("GET", "/2015-03-31/functions/f/configuration").body, before);
  EXPECT_EQ(*world.service->catalog().resolve(ref), snapshot);
}

TEST_F(FunctionSettingsTest, TagErrors) {
  const std::string tags = "/2017-03-31/tags/" + percent_encode(kArn);
  EXPECT_EQ(message(world.send("POST", tags, R"({"Tags":{}})")),
            "An error occurred and the request cannot be processed.");
  EXPECT_EQ(message(world.send("GET", "/2017-03-31/tags/" + percent_encode(kArn + ":1"))),
            "Tags on function aliases and versions are not supported. Please specify a function ARN.");
  json::Object many;
  for (int i = 0; i < 50; ++i) many.append(fmt::format("k{}", i), "v");
  EXPECT_EQ(world.send("POST", tags, json::serialize(json::Object{{"Tags", many}})).status, 204);
  EXPECT_EQ(message(world.send("POST", tags, R"({"Tags":{"one":"more"}})")),
            "Number of tags exceeds resource tag limit.");
  EXPECT_EQ(world.send("GET", "/2017-03-31/tags/" + percent_encode(std::string(kTestArn) + "missing")).status, 404);
}

}  // namespace
}  // namespace lambdad::lambda
