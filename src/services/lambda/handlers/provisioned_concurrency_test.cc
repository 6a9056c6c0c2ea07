#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

const std::string kF = "/2015-03-31/functions/f";
const std::string kConfig = "/2019-09-30/functions/f/provisioned-concurrency";
const std::string kArn = std::string(kTestArn) + "f";

/// Has what it was asked for at once, unless it is told to fail.
struct FakeProvisioner final : ports::EnvironmentProvisioner {
  void provision(ports::FunctionVersionPtr function, int count) override {
    wanted[function->snapshot_id] = count;
    by_version[function->version] = count;
  }
  Status provisioned(const std::string& snapshot_id) const override {
    auto place = wanted.find(snapshot_id);
    if (place == wanted.end()) return {};
    return {.requested = place->second,
            .allocated = place->second,
            .available = ready ? place->second : 0,
            .failure = failure};
  }
  std::map<std::string, int> wanted;
  std::map<std::string, int> by_version;
  bool ready = true;
  std::string failure;
};

class ProvisionedConcurrencyTest : public ::testing::Test {
 protected:
  ProvisionedConcurrencyTest() {
    world.service->set_provisioner(provisioner);
    world.create("f");
    world.publish("f");
    world.update_code("f", "two");
    world.publish("f");
  }
  http::Response put(const std::string& qualifier, int count) {
    return world.send("PUT", kConfig + "?Qualifier=" + qualifier,
                      fmt::format(R"({{"ProvisionedConcurrentExecutions":{}}})", count));
  }
  http::Response get(const std::string& qualifier) { return world.send("GET", kConfig + "?Qualifier=" + qualifier); }
  http::Response alias(const std::string& method, const std::string& body) {
    return world.send(method, kF + "/aliases" + (method == "PUT" ? "/live" : ""), body);
  }
  http::Response reserve(int count) {
    return world.send("PUT", "/2017-10-31/functions/f/concurrency",
                      fmt::format(R"({{"ReservedConcurrentExecutions":{}}})", count));
  }
  FakeProvisioner provisioner;
  World world;
};

TEST_F(ProvisionedConcurrencyTest, BeginsInProgressAndBecomesReady) {
  provisioner.ready = false;
  auto response = put("1", 3);
  EXPECT_EQ(response.status, 202) << response.body;
  EXPECT_EQ(World::parse(response), (json::Object{{"RequestedProvisionedConcurrentExecutions", 3},
                                                  {"AvailableProvisionedConcurrentExecutions", 0},
                                                  {"AllocatedProvisionedConcurrentExecutions", 0},
                                                  {"Status", "IN_PROGRESS"},
                                                  {"LastModified", "2026-01-01T00:00:00.000+0000"}}));
  EXPECT_EQ(provisioner.by_version, (std::map<std::string, int>{{"1", 3}}));
  EXPECT_EQ(World::at(get("1"), "Status"), "IN_PROGRESS");
  provisioner.failure = "Init failed";
  EXPECT_EQ(World::at(get("1"), "Status"), "FAILED");
  EXPECT_EQ(World::at(get("1"), "StatusReason"), "FUNCTION_ERROR_INIT_FAILURE");
  provisioner.ready = true;
  EXPECT_EQ(World::at(get("1"), "Status"), "READY");
  EXPECT_EQ(World::at(get("1"), "AvailableProvisionedConcurrentExecutions"), "3");
}

TEST_F(ProvisionedConcurrencyTest, IsThereAgainAfterARestart) {
  put("1", 3);
  world.restart();
  provisioner.by_version.clear();
  world.service->set_provisioner(provisioner);
  EXPECT_EQ(provisioner.by_version, (std::map<std::string, int>{{"1", 3}}));
  EXPECT_EQ(World::at(get("1"), "RequestedProvisionedConcurrentExecutions"), "3");
}

TEST_F(ProvisionedConcurrencyTest, FollowsItsAliasAndItsWeights) {
  alias("POST", R"({"Name":"live","FunctionVersion":"1"})");
  EXPECT_EQ(put("live", 10).status, 202);
  EXPECT_EQ(provisioner.by_version["1"], 10);
  alias("PUT", R"({"FunctionVersion":"2"})");
  EXPECT_EQ(provisioner.by_version, (std::map<std::string, int>{{"1", 0}, {"2", 10}}));
  alias("PUT", R"({"RoutingConfig":{"AdditionalVersionWeights":{"1":0.3}}})");
  EXPECT_EQ(provisioner.by_version, (std::map<std::string, int>{{"1", 3}, {"2", 7}}));
  EXPECT_EQ(World::at(get("live"), "Status"), "READY");
  world.send("DELETE", kF + "/aliases/live");
  EXPECT_EQ(provisioner.by_version, (std::map<std::string, int>{{"1", 0}, {"2", 0}}));
}

TEST_F(ProvisionedConcurrencyTest, IsListedInPagesAndDeleted) {
  put("1", 1);
  put("2", 2);
  auto first = world.send("GET", kConfig + "?List=ALL&MaxItems=1");
  EXPECT_EQ(World::at(first, "ProvisionedConcurrencyConfigs.0.FunctionArn"), kArn + ":1");
  auto second = world.send("GET", kConfig + "?List=ALL&Marker=" + percent_encode(World::at(first, "NextMarker")));
  EXPECT_EQ(World::at(second, "ProvisionedConcurrencyConfigs.0.RequestedProvisionedConcurrentExecutions"), "2");
  EXPECT_EQ(World::at(second, "NextMarker"), "");
  EXPECT_EQ(world.send("DELETE", kConfig + "?Qualifier=1").status, 204);
  EXPECT_EQ(world.send("DELETE", kConfig + "?Qualifier=1").status, 204);
  EXPECT_EQ(provisioner.by_version["1"], 0);
  EXPECT_EQ(World::error(get("1")),
            "404 ProvisionedConcurrencyConfigNotFoundException: No Provisioned Concurrency Config found for this "
            "function");
}

TEST_F(ProvisionedConcurrencyTest, TakesFromTheReservationOrTheAccount) {
  const std::string invalid = "400 InvalidParameterValueException: ";
  EXPECT_EQ(World::error(put("1", 1001)),
            invalid +
                "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
                "[1000].");
  EXPECT_EQ(World::error(put("1", 901)),
            invalid +
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                "below its minimum value of [100].");
  EXPECT_EQ(put("1", 900).status, 202);
  EXPECT_EQ(put("1", 5).status, 202);
  auto& catalog = world.service->catalog();
  EXPECT_EQ(catalog.reserved_concurrency_total(std::string(kTestAccount), "us-east-1"), 5);
  EXPECT_EQ(catalog.provisioned_concurrency(World::ref("f")), 5);
  EXPECT_EQ(World::error(reserve(4)),
            invalid +
                " ReservedConcurrentExecutions  4 should not be lower than function's total provisioned "
                "concurrency [5].");
  EXPECT_EQ(reserve(7).status, 200);
  EXPECT_EQ(catalog.reserved_concurrency_total(std::string(kTestAccount), "us-east-1"), 7);
  EXPECT_EQ(World::error(put("2", 3)),
            invalid +
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function");
  EXPECT_EQ(put("2", 2).status, 202);
  EXPECT_EQ(World::at(world.send("GET", "/2016-08-19/account-settings"), "AccountLimit.UnreservedConcurrentExecutions"),
            "993");
  EXPECT_EQ(reserve(900).status, 200);
}

TEST_F(ProvisionedConcurrencyTest, OnlyVersionsAndAliasesHaveIt) {
  const std::string put_text =
      "400 InvalidParameterValueException: Provisioned Concurrency Configs cannot be applied to unpublished function "
      "versions.";
  EXPECT_EQ(World::error(put("$LATEST", 1)), put_text);
  EXPECT_EQ(World::error(get("$LATEST")),
            "400 InvalidParameterValueException: The function resource provided must be an alias or a published "
            "version.");
  EXPECT_EQ(World::error(put("nope", 1)), "404 ResourceNotFoundException: Cannot find alias arn: " + kArn + ":nope");
  EXPECT_EQ(World::error(put("9", 1)), "404 ResourceNotFoundException: Function not found: " + kArn + ":9");
  EXPECT_EQ(put("1", 0).status, 400);
  alias("POST", R"({"Name":"live","FunctionVersion":"$LATEST"})");
  EXPECT_EQ(World::error(put("live", 1)), put_text);
  alias("PUT", R"({"FunctionVersion":"1"})");
  put("live", 1);
  EXPECT_EQ(World::error(put("1", 1)),
            "409 ResourceConflictException: Version is pointed by a Provisioned Concurrency alias");
  put("2", 1);
  EXPECT_EQ(
      World::error(alias("PUT", R"({"FunctionVersion":"2"})")),
      "409 ResourceConflictException: Alias can't be used for Provisioned Concurrency configuration on an already "
      "Provisioned version");
  EXPECT_EQ(World::error(alias("PUT", R"({"FunctionVersion":"$LATEST"})")), put_text);
}

}  // namespace
}  // namespace lambdad::lambda
