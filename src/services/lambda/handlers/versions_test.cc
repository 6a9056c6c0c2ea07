// Versions, aliases, and what a qualifier means everywhere.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

const std::string kF = "/2015-03-31/functions/f";
const std::string kArn = std::string(kTestArn) + "f";

class VersionsTest : public ::testing::Test {
 protected:
  VersionsTest() { world.create("f", {{"Description", "first"}}); }
  http::Response get(const std::string& path) { return world.send("GET", kF + path); }
  http::Response alias(const std::string& body) { return world.send("POST", kF + "/aliases", body); }
  std::string snapshot(const std::string& qualifier) {
    auto resolved = world.service->catalog().resolve(World::ref("f", qualifier));
    return resolved ? (*resolved)->snapshot_id : "none";
  }
  World world;
};

TEST_F(VersionsTest, PublishingMakesASnapshotThatLaterChangesDoNotTouch) {
  const std::string latest = World::at(get("/configuration"), "RevisionId");
  auto published = world.publish("f");
  ASSERT_EQ(published.status, 201) << published.body;
  EXPECT_EQ(World::at(published, "Version"), "1");
  EXPECT_EQ(World::at(published, "FunctionArn"), kArn + ":1");
  EXPECT_EQ(World::at(published, "Description"), "first");
  EXPECT_EQ(World::at(published, "State"), "Active");
  EXPECT_EQ(World::at(published, "LastUpdateStatus"), "Successful");
  EXPECT_NE(World::at(get("/configuration"), "RevisionId"), latest);
  EXPECT_NE(World::at(published, "RevisionId"), latest);
  const std::string sha = World::at(published, "CodeSha256");

  world.update_code("f", "other");
  world.send("PUT", kF + "/configuration", R"({"Timeout":77})");
  world.settle();
  EXPECT_EQ(World::at(get("/configuration?Qualifier=1"), "CodeSha256"), sha);
  EXPECT_EQ(World::at(get("/configuration?Qualifier=1"), "Timeout"), "3");
  EXPECT_EQ(World::at(world.send("GET", kF + ":1/configuration"), "Timeout"), "3");
  EXPECT_NE(World::at(get("/configuration"), "CodeSha256"), sha);
  auto version = world.service->catalog().resolve(World::ref("f", "1"));
  ASSERT_TRUE(version);
  EXPECT_EQ((*version)->version, "1");
  EXPECT_EQ((*version)->timeout, 3s);
}

TEST_F(VersionsTest, AVersionKeepsHowItLogs) {
  world.send("PUT", kF + "/configuration", R"({"LoggingConfig":{"LogFormat":"JSON","ApplicationLogLevel":"DEBUG"}})");
  world.settle();
  ASSERT_EQ(world.publish("f").status, 201);
  world.send("PUT", kF + "/configuration", R"({"LoggingConfig":{"LogFormat":"Text"}})");
  world.settle();
  world.restart();
  const auto settings = [&](const std::string& qualifier) {
    auto version = world.service->catalog().resolve(World::ref("f", qualifier));
    return version ? (*version)->log_settings : ports::LogSettings{};
  };
  EXPECT_EQ(settings("1").format, ports::LogFormat::kJson);
  EXPECT_EQ(settings("1").application_level, ports::LogLevel::kDebug);
  EXPECT_EQ(settings("$LATEST").format, ports::LogFormat::kText);
}

TEST_F(VersionsTest, NothingChangedIsTheSameVersion) {
  auto first = world.publish("f");
  auto again = world.publish("f", R"({"Description":"ignored"})");
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  // An update that changes nothing is no change either.
  world.send("PUT", kF + "/configuration", R"({"Timeout":3})");
  world.settle();
  EXPECT_EQ(World::at(world.publish("f"), "Version"), "1");
  world.send("PUT", kF + "/configuration", R"({"Description":"second"})");
  world.settle();
  EXPECT_EQ(World::at(world.publish("f", R"({"Description":"own words"})"), "Version"), "2");
  EXPECT_EQ(World::at(get("/configuration?Qualifier=2"), "Description"), "own words");
  EXPECT_EQ(World::at(world.publish("f"), "Version"), "2");
}

TEST_F(VersionsTest, NumbersAreNotUsedAgain) {
  world.publish("f");
  world.update_code("f", "two");
  world.publish("f");
  EXPECT_EQ(world.send("DELETE", kF + "?Qualifier=2").status, 204);
  EXPECT_EQ(World::error(get("?Qualifier=2")), "404 ResourceNotFoundException: Function not found: " + kArn + ":2");
  world.restart();
  EXPECT_EQ(World::at(world.publish("f"), "Version"), "3");
  world.send("DELETE", kF);
  world.create("f");
  EXPECT_EQ(World::at(world.publish("f"), "Version"), "1");
}

TEST_F(VersionsTest, PublishVersionChecksCodeAndRevision) {
  const std::string sha = World::at(get("/configuration"), "CodeSha256");
  EXPECT_EQ(World::error(world.publish("f", R"({"CodeSha256":"x"})")),
            "400 InvalidParameterValueException: CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (" +
                sha + "). Please try again with the CodeSHA256 in $LATEST.");
  EXPECT_EQ(World::error(world.publish("f", R"({"RevisionId":"r"})")),
            "412 PreconditionFailedException: The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id");
  EXPECT_EQ(World::error(world.publish("g")),
            "404 ResourceNotFoundException: Function not found: " + std::string(kTestArn) + "g");
  const json::Object right{{"CodeSha256", sha}, {"RevisionId", World::at(get("/configuration"), "RevisionId")}};
  EXPECT_EQ(world.publish("f", json::serialize(right)).status, 201);
}

TEST_F(VersionsTest, PublishWithTheUpdateIsPendingUntilItIsDone) {
  const json::Object update{{"ZipFile", base64_encode(test_zip("two"))}, {"Publish", true}};
  auto responses = world.send_at_once({World::request("PUT", kF + "/code", json::serialize(update)),
                                       World::request("GET", kF + "/configuration?Qualifier=1"),
                                       World::request("POST", kF + "/invocations?Qualifier=1", "{}"),
                                       World::request("POST", kF + "/versions", "{}")});
  EXPECT_EQ(World::at(responses[0], "Version"), "1");
  EXPECT_EQ(World::at(responses[0], "FunctionArn"), kArn + ":1");
  EXPECT_EQ(World::at(responses[0], "State"), "Pending");
  EXPECT_EQ(World::at(responses[1], "State"), "Pending");
  EXPECT_EQ(responses[2].status, 409);
  EXPECT_EQ(responses[3].status, 409);
  world.settle();
  EXPECT_EQ(World::at(get("/configuration?Qualifier=1"), "State"), "Active");
  EXPECT_EQ(world.send("POST", kF + "/invocations?Qualifier=1", "{}").status, 200);
  EXPECT_EQ(World::at(world.publish("f"), "Version"), "1");
}

TEST_F(VersionsTest, APendingVersionIsFinishedByTheNextStart) {
  world.send_at_once({World::create_request("g", {{"Publish", true}})});
  world.restart();
  world.settle();
  EXPECT_EQ(World::at(world.send("GET", "/2015-03-31/functions/g:1/configuration"), "State"), "Active");
}

TEST_F(VersionsTest, CreateWithPublishAnswersVersionOneWithoutQualifier) {
  auto created = world.create("g", {{"Publish", true}});
  EXPECT_EQ(World::at(created, "Version"), "1");
  EXPECT_EQ(World::at(created, "FunctionArn"), std::string(kTestArn) + "g");
}

TEST_F(VersionsTest, ListsHaveLatestFirstThenNumbersInPages) {
  world.publish("f");
  world.update_code("f", "two");
  world.publish("f");
  auto first = get("/versions?MaxItems=2");
  EXPECT_EQ(World::at(first, "Versions.0.FunctionArn"), kArn + ":$LATEST");
  EXPECT_EQ(World::at(first, "Versions.1.Version"), "1");
  EXPECT_EQ(World::at(first, "Versions.2"), "");
  EXPECT_EQ(World::at(first, "Versions.1.State"), "");
  auto second = get("/versions?MaxItems=2&Marker=" + percent_encode(World::at(first, "NextMarker")));
  EXPECT_EQ(World::at(second, "Versions.0.FunctionArn"), kArn + ":2");
  EXPECT_EQ(World::at(second, "NextMarker"), "");

  world.create("g");
  std::vector<std::string> arns;
  std::string marker;
  do {
    auto page = world.send("GET", "/2015-03-31/functions?FunctionVersion=ALL&MaxItems=1" +
                                      (marker.empty() ? "" : "&Marker=" + percent_encode(marker)));
    arns.push_back(World::at(page, "Functions.0.FunctionArn"));
    marker = World::at(page, "NextMarker");
  } while (!marker.empty());
  EXPECT_EQ(arns, (std::vector<std::string>{kArn + ":$LATEST", kArn + ":1", kArn + ":2",
                                            std::string(kTestArn) + "g:$LATEST"}));
  EXPECT_EQ(World::at(world.send("GET", "/2015-03-31/functions"), "Functions.0.FunctionArn"), kArn);
}

TEST_F(VersionsTest, VersionsKeepTheirCodeWhileTheyExist) {
  world.publish("f");
  const std::string old = (*world.service->catalog().resolve(World::ref("f", "1")))->code_sha256;
  world.update_code("f", "two");
  world.restart();
  EXPECT_TRUE(world.run(world.packages->unpacked(old)));
  world.send("DELETE", kF + ":1");
  world.settle();
  EXPECT_FALSE(world.run(world.packages->unpacked(old)));
}

TEST_F(VersionsTest, QualifiersThatDisagreeOrAreNotThere) {
  world.publish("f");
  EXPECT_EQ(World::error(world.send("GET", kF + ":1?Qualifier=2")),
            "400 InvalidParameterValueException: The derived qualifier from the function name does not match the "
            "specified qualifier.");
  EXPECT_EQ(World::at(get("/configuration?Qualifier=$LATEST"), "FunctionArn"), kArn + ":$LATEST");
  EXPECT_EQ(get("/configuration?Qualifier=01").status, 404);
  EXPECT_EQ(get("/configuration?Qualifier=9").status, 404);
  EXPECT_EQ(get("?Qualifier=nope").status, 404);
  EXPECT_EQ(World::error(world.send("DELETE", kF + "?Qualifier=$LATEST")),
            "400 InvalidParameterValueException: $LATEST version cannot be deleted without deleting the function.");
  EXPECT_EQ(world.send("DELETE", kF + "?Qualifier=9").status, 204);
  EXPECT_EQ(world.send("POST", kF + "/invocations?Qualifier=9", "{}").status, 404);
}

// --- aliases --------------------------------------------------------------------------------------------------------

TEST_F(VersionsTest, AnAliasIsReadBackAsItWasMade) {
  world.publish("f");
  auto made = alias(R"({"Name":"live","FunctionVersion":"1","Description":"d"})");
  ASSERT_EQ(made.status, 201) << made.body;
  json::Value body = World::parse(made);
  body.if_object()->erase("RevisionId");
  EXPECT_EQ(body, (json::Object{
                      {"AliasArn", kArn + ":live"}, {"Name", "live"}, {"FunctionVersion", "1"}, {"Description", "d"}}));
  world.restart();
  EXPECT_EQ(get("/aliases/live").body, made.body);
  // The ARN is the alias's; the rest is the version's.
  EXPECT_EQ(World::at(get("/configuration?Qualifier=live"), "FunctionArn"), kArn + ":live");
  EXPECT_EQ(World::at(get("/configuration?Qualifier=live"), "Version"), "1");
  EXPECT_EQ(snapshot("live"), snapshot("1"));
}

TEST_F(VersionsTest, AnAliasMovesAndItsRevisionGuardsIt) {
  world.publish("f");
  world.update_code("f", "two");
  world.publish("f");
  const std::string revision = World::at(alias(R"({"Name":"live","FunctionVersion":"1"})"), "RevisionId");
  EXPECT_EQ(World::error(world.send("PUT", kF + "/aliases/live", R"({"FunctionVersion":"2","RevisionId":"x"})")),
            "412 PreconditionFailedException: The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id");
  auto moved = world.send("PUT", kF + "/aliases/live",
                          json::serialize(json::Object{{"FunctionVersion", "2"}, {"RevisionId", revision}}));
  EXPECT_EQ(World::at(moved, "FunctionVersion"), "2");
  EXPECT_NE(World::at(moved, "RevisionId"), revision);
  EXPECT_EQ(snapshot("live"), snapshot("2"));
  EXPECT_EQ(World::at(get("/aliases?FunctionVersion=1"), "Aliases"), "[]");
  EXPECT_EQ(World::at(get("/aliases?FunctionVersion=2"), "Aliases.0.Name"), "live");
}

TEST_F(VersionsTest, WeightsShareTheInvocations) {
  world.publish("f");
  world.update_code("f", "two");
  world.publish("f");
  auto made = alias(R"({"Name":"live","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.25}}})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(World::at(made, "RoutingConfig.AdditionalVersionWeights.2"), "0.25");
  const std::string second = snapshot("2");
  int count = 0;
  for (int i = 0; i < 4000; ++i) count += snapshot("live") == second ? 1 : 0;
  EXPECT_NEAR(count, 1000, 150);
  world.restart();
  EXPECT_EQ(get("/aliases/live").body, made.body);
  auto cleared = world.send("PUT", kF + "/aliases/live", R"({"RoutingConfig":{"AdditionalVersionWeights":{}}})");
  EXPECT_EQ(World::at(cleared, "RoutingConfig"), "");
  for (int i = 0; i < 100; ++i) EXPECT_NE(snapshot("live"), second);
}

TEST_F(VersionsTest, AliasErrors) {
  world.publish("f");
  world.update_code("f", "two");
  world.publish("f");
  world.send("PUT", kF + "/configuration", R"({"Role":"arn:aws:iam::111122223333:role/other"})");
  world.settle();
  world.publish("f");
  alias(R"({"Name":"live","FunctionVersion":"1"})");
  struct Case {
    std::string body;
    std::string error;
  };
  for (const auto& [body, error] : std::vector<Case>{
           {R"({"Name":"live","FunctionVersion":"1"})",
            "409 ResourceConflictException: Alias already exists: " + kArn + ":live"},
           {R"({"Name":"x","FunctionVersion":"9"})",
            "404 ResourceNotFoundException: Function not found: " + kArn + ":9"},
           {R"({"Name":"x","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}})",
            "400 InvalidParameterValueException: Invalid function version 1. Function version 1 is already included in "
            "routing configuration."},
           {R"({"Name":"x","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5,"3":0.1}}})",
            "400 InvalidParameterValueException: Number of items in AdditionalVersionWeights cannot be greater than 1"},
           {R"({"Name":"x","FunctionVersion":"$LATEST","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}})",
            "400 InvalidParameterValueException: $LATEST is not supported for an alias pointing to more than 1 "
            "version"},
           {R"({"Name":"x","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"9":0.5}}})",
            "404 ResourceNotFoundException: Function not found: " + kArn + ":9"},
           {R"({"Name":"x","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"3":0.5}}})",
            "400 InvalidParameterValueException: The function versions 1 and 3 of an alias with weights must have the "
            "same execution role and the same dead-letter queue."}}) {
    EXPECT_EQ(World::error(alias(body)), error);
  }
  EXPECT_EQ(World::error(alias(R"({"Name":"123","FunctionVersion":"1"})")),
            "400 ValidationException: 1 validation error detected: Value '123' at 'name' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)");
  EXPECT_EQ(
      alias(R"({"Name":"x","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":1.5}}})").status,
      400);
  EXPECT_EQ(World::error(get("/aliases/none")),
            "404 ResourceNotFoundException: Cannot find alias arn: " + kArn + ":none");
  EXPECT_EQ(World::error(world.send("PUT", kF + "/aliases/none", "{}")),
            "404 ResourceNotFoundException: Alias not found: " + kArn + ":none");
  EXPECT_EQ(world.send("DELETE", kF + "/aliases/none").status, 204);
}

TEST_F(VersionsTest, AVersionWithAnAliasCannotBeDeleted) {
  world.publish("f");
  alias(R"({"Name":"live","FunctionVersion":"1"})");
  EXPECT_EQ(world.send("DELETE", kF + ":1").status, 409);
  EXPECT_EQ(World::error(world.send("DELETE", kF + "?Qualifier=live")),
            "400 InvalidParameterValueException: Deletion of aliases is not currently supported.");
  EXPECT_EQ(world.send("DELETE", kF + "/aliases/live").status, 204);
  EXPECT_EQ(world.send("DELETE", kF + ":1").status, 204);
}

TEST_F(VersionsTest, EventInvokeConfigurationIsPerQualifierAndGoesWithIt) {
  world.publish("f");
  alias(R"({"Name":"live","FunctionVersion":"1"})");
  const std::string config = "/2019-09-25/functions/f/event-invoke-config";
  for (const char* qualifier : {"", "?Qualifier=1", "?Qualifier=live"}) {
    EXPECT_EQ(world.send("PUT", config + qualifier, R"({"MaximumRetryAttempts":1})").status, 200) << qualifier;
  }
  EXPECT_EQ(world.send("PUT", config + "?Qualifier=7", R"({"MaximumRetryAttempts":1})").status, 404);
  EXPECT_EQ(World::at(world.send("GET", config + "?Qualifier=live"), "FunctionArn"), kArn + ":live");
  EXPECT_EQ(world.service->catalog().event_invoke_config(World::ref("f", "live")).maximum_retry_attempts, 1);
  auto page = world.send("GET", config + "/list?MaxItems=2");
  EXPECT_EQ(World::at(page, "FunctionEventInvokeConfigs.1.FunctionArn"), kArn + ":1");
  EXPECT_NE(World::at(page, "NextMarker"), "");
  world.send("DELETE", kF + "/aliases/live");
  EXPECT_EQ(world.send("GET", config + "?Qualifier=live").status, 404);
}

TEST_F(VersionsTest, TheCatalogNamesEverySnapshotThatLives) {
  world.publish("f");
  std::vector<std::string> changed;
  world.service->catalog().on_change([&](const ports::FunctionRef& each) { changed.push_back(each.name); });
  const std::string first = snapshot("1");
  EXPECT_THAT(world.service->catalog().snapshots(World::ref("f")),
              ::testing::UnorderedElementsAre(first, snapshot("$LATEST")));
  world.update_code("f", "two");
  EXPECT_EQ(changed.size(), 1u);
  EXPECT_EQ(snapshot("1"), first);
  world.publish("f");
  EXPECT_EQ(changed.size(), 1u);
  world.send("DELETE", kF + ":1");
  EXPECT_EQ(changed.size(), 2u);
  EXPECT_THAT(world.service->catalog().snapshots(World::ref("f")),
              ::testing::UnorderedElementsAre(snapshot("2"), snapshot("$LATEST")));
}

}  // namespace
}  // namespace lambdad::lambda
