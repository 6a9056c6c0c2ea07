// Resource policies of functions, code signing configurations, runtime management, recursion, InvokeAsync.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

const std::string kF = "/2015-03-31/functions/f";
const std::string kPolicy = kF + "/policy";
const std::string kArn = std::string(kTestArn) + "f";

class PoliciesTest : public ::testing::Test {
 protected:
  PoliciesTest() { world.create("f"); }
  http::Response add(json::Object more = {}, const std::string& query = "") {
    json::Object body{{"StatementId", "s"}, {"Action", "lambda:InvokeFunction"}, {"Principal", "s3.amazonaws.com"}};
    for (auto& [key, value] : more) body.set(key, value);
    return world.send("POST", kPolicy + query, json::serialize(body));
  }
  World world;
};

TEST_F(PoliciesTest, StatementsAreRenderedAsAwsDoes) {
  struct Case {
    json::Object more;
    std::string principal;
    std::string condition;
  };
  const std::vector<Case> cases = {
      {{}, R"({"Service":"s3.amazonaws.com"})", ""},
      {{{"Principal", "999988887777"}}, R"({"AWS":"arn:aws:iam::999988887777:root"})", ""},
      {{{"Principal", "arn:aws:iam::999988887777:role/r"}}, R"({"AWS":"arn:aws:iam::999988887777:role/r"})", ""},
      {{{"Principal", "*"}, {"Action", "lambda:InvokeFunctionUrl"}, {"FunctionUrlAuthType", "NONE"}},
       R"("*")",
       R"({"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}})"},
      {{{"SourceArn", "arn:aws:s3:::bucket"}, {"SourceAccount", "111122223333"}},
       R"({"Service":"s3.amazonaws.com"})",
       R"({"StringEquals":{"AWS:SourceAccount":"111122223333"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::bucket"}})"},
      {{{"Principal", "alexa-appkit.amazon.com"}, {"EventSourceToken", "token"}},
       R"({"Service":"alexa-appkit.amazon.com"})",
       R"({"StringEquals":{"lambda:EventSourceToken":"token"}})"},
      {{{"Principal", "*"}, {"PrincipalOrgID", "o-abcdefghij"}, {"InvokedViaFunctionUrl", true}},
       R"("*")",
       R"({"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"},"Bool":{"lambda:InvokedViaFunctionUrl":"true"}})"}};
  int number = 0;
  for (const Case& each : cases) {
    json::Object more = each.more;
    const std::string sid = fmt::format("s{}", ++number);
    more.set("StatementId", sid);
    auto added = add(more);
    ASSERT_EQ(added.status, 201) << added.body;
    const json::Value* action = more.find("Action");
    const std::string expected =
        fmt::format(R"({{"Sid":"{}","Effect":"Allow","Principal":{},"Action":"{}","Resource":"{}"{}}})", sid,
                    each.principal, action != nullptr ? *action->if_string() : "lambda:InvokeFunction", kArn,
                    each.condition.empty() ? "" : R"(,"Condition":)" + each.condition);
    EXPECT_EQ(World::at(added, "Statement"), expected);
    EXPECT_THAT(World::at(world.send("GET", kPolicy), "Policy"), ::testing::HasSubstr(expected));
  }
}

TEST_F(PoliciesTest, EachQualifierHasItsOwn) {
  world.publish("f");
  world.send("POST", kF + "/aliases", R"({"Name":"live","FunctionVersion":"1"})");
  EXPECT_EQ(add({{"StatementId", "a"}}).status, 201);
  auto version = add({{"StatementId", "b"}}, "?Qualifier=1");
  EXPECT_THAT(World::at(version, "Statement"), ::testing::HasSubstr(kArn + ":1\""));
  EXPECT_EQ(add({{"StatementId", "c"}}, "?Qualifier=live").status, 201);
  world.restart();
  const std::string whole = World::at(world.send("GET", kPolicy), "Policy");
  EXPECT_THAT(whole, ::testing::HasSubstr("\"a\""));
  EXPECT_THAT(whole, ::testing::Not(::testing::HasSubstr("\"b\"")));
  EXPECT_THAT(World::at(world.send("GET", kPolicy + "?Qualifier=live"), "Policy"), ::testing::HasSubstr("\"c\""));
  EXPECT_EQ(world.send("DELETE", kF + "/aliases/live").status, 204);
  world.send("POST", kF + "/aliases", R"({"Name":"live","FunctionVersion":"1"})");
  EXPECT_EQ(world.send("GET", kPolicy + "?Qualifier=live").status, 404);
}

TEST_F(PoliciesTest, RevisionsGuardChangesAndTheLastStatementTakesThePolicy) {
  const std::string function_revision = World::at(world.send("GET", kF + "/configuration"), "RevisionId");
  add({{"StatementId", "a"}});
  const std::string first = World::at(world.send("GET", kPolicy), "RevisionId");
  const std::string stale =
      "412 PreconditionFailedException: The Revision Id provided does not match the latest Revision Id. Call the "
      "GetPolicy API to retrieve the latest Revision Id";
  EXPECT_EQ(World::error(add({{"StatementId", "b"}, {"RevisionId", "x"}})), stale);
  EXPECT_EQ(add({{"StatementId", "b"}, {"RevisionId", first}}).status, 201);
  EXPECT_EQ(World::error(world.send("DELETE", kPolicy + "/a?RevisionId=" + first)), stale);
  EXPECT_EQ(world.send("DELETE", kPolicy + "/a").status, 204);
  EXPECT_EQ(world.send("DELETE", kPolicy + "/b").status, 204);
  EXPECT_EQ(World::error(world.send("GET", kPolicy)),
            "404 ResourceNotFoundException: The resource you requested does not exist.");
  EXPECT_EQ(World::at(world.send("GET", kF + "/configuration"), "RevisionId"), function_revision);
}

TEST_F(PoliciesTest, PolicyErrors) {
  const std::string not_found = "404 ResourceNotFoundException: ";
  EXPECT_EQ(World::error(add({}, "?Qualifier=$LATEST")),
            "400 InvalidParameterValueException: We currently do not support adding policies for $LATEST.");
  EXPECT_EQ(World::error(add({}, "?Qualifier=7")), not_found + "Function not found: " + kArn + ":7");
  EXPECT_EQ(World::error(add({}, "?Qualifier=nope")), not_found + "Cannot find alias arn: " + kArn + ":nope");
  EXPECT_EQ(
      World::error(add({{"Principal", "nobody"}})),
      "400 InvalidParameterValueException: The provided principal was invalid. Please check the principal and try "
      "again.");
  EXPECT_EQ(add({{"Action", "s3:GetObject"}}).status, 400);
  EXPECT_EQ(World::error(add({{"FunctionUrlAuthType", "NONE"}})),
            "400 InvalidParameterValueException: FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl "
            "action");
  EXPECT_EQ(World::error(world.send("DELETE", kPolicy + "/s")),
            not_found + "No policy is associated with the given resource.");
  EXPECT_EQ(World::error(world.send("DELETE", "/2015-03-31/functions/missing/policy/s")),
            not_found + "No policy found for: " + std::string(kTestArn) + "missing");
  add();
  EXPECT_EQ(
      World::error(add()),
      "409 ResourceConflictException: The statement id (s) provided already exists. Please provide a new statement "
      "id, or remove the existing statement.");
  EXPECT_EQ(World::error(world.send("DELETE", kPolicy + "/t")),
            not_found + "Statement t is not found in resource policy.");
}

TEST_F(PoliciesTest, APolicyHasTwentyKilobytesAtMost) {
  int statements = 0;
  http::Response response;
  do {
    response = add({{"StatementId", fmt::format("{:0>100}", ++statements)}});
  } while (response.status == 201 && statements < 200);
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(World::error(response),
              ::testing::StartsWith("400 PolicyLengthExceededException: The final policy size"));
  EXPECT_LE(World::at(world.send("GET", kPolicy), "Policy").size(), 20'480u);
  EXPECT_GT(World::at(world.send("GET", kPolicy), "Policy").size(), 20'000u);
}

// --- code signing ---------------------------------------------------------------------------------------------------

TEST_F(PoliciesTest, CodeSigningConfigurationsAreKeptAndBound) {
  const std::string profile = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/p/abcdefghij";
  const json::Object input{{"Description", "d"},
                           {"AllowedPublishers", json::Object{{"SigningProfileVersionArns", json::Array{profile}}}}};
  auto created = world.send("POST", "/2020-04-22/code-signing-configs", json::serialize(input));
  ASSERT_EQ(created.status, 201) << created.body;
  const std::string arn = World::at(created, "CodeSigningConfig.CodeSigningConfigArn");
  const std::string path = "/2020-04-22/code-signing-configs/" + percent_encode(arn);
  EXPECT_THAT(arn, ::testing::MatchesRegex("arn:aws:lambda:us-east-1:111122223333:code-signing-config:csc-[0-9a-f]+"));
  EXPECT_EQ(World::at(created, "CodeSigningConfig.CodeSigningPolicies.UntrustedArtifactOnDeployment"), "Warn");
  EXPECT_EQ(World::at(created, "CodeSigningConfig.AllowedPublishers.SigningProfileVersionArns.0"), profile);
  EXPECT_EQ(world
                .send("PUT", "/2020-06-30/functions/f/code-signing-config",
                      json::serialize(json::Object{{"CodeSigningConfigArn", arn}}))
                .status,
            200);
  world.restart();
  EXPECT_EQ(world.send("GET", path).body, created.body);
  EXPECT_EQ(World::at(world.send("GET", "/2020-06-30/functions/f/code-signing-config"), "CodeSigningConfigArn"), arn);
  EXPECT_EQ(World::at(world.send("GET", path + "/functions"), "FunctionArns.0"), kArn);
  EXPECT_EQ(world.send("DELETE", path).status, 409);
  EXPECT_EQ(world.send("DELETE", "/2020-06-30/functions/f/code-signing-config").status, 204);
  EXPECT_EQ(World::at(world.send("GET", path + "/functions"), "FunctionArns"), "[]");
  EXPECT_EQ(World::at(world.send("PUT", path, R"({"Description":"new"})"), "CodeSigningConfig.Description"), "new");
  EXPECT_EQ(World::at(world.send("GET", "/2020-04-22/code-signing-configs"), "CodeSigningConfigs.0.Description"),
            "new");
  EXPECT_EQ(world.send("DELETE", path).status, 204);
  EXPECT_EQ(World::error(world.send("GET", path)),
            "404 ResourceNotFoundException: The Lambda code signing configuration " + arn + " can not be found.");
  EXPECT_EQ(
      World::error(world.send("PUT", "/2020-06-30/functions/f/code-signing-config",
                              json::serialize(json::Object{{"CodeSigningConfigArn", arn}}))),
      "404 CodeSigningConfigNotFoundException: The Lambda code signing configuration " + arn + " can not be found.");
}

TEST_F(PoliciesTest, WhatWouldEnforceSignaturesIsRefusedByName) {
  auto refused = world.send("POST", "/2020-04-22/code-signing-configs",
                            R"({"AllowedPublishers":{"SigningProfileVersionArns":
                               ["arn:aws:signer:us-east-1:111122223333:/signing-profiles/p/abcdefghij"]},
                               "CodeSigningPolicies":{"UntrustedArtifactOnDeployment":"Enforce"}})");
  EXPECT_EQ(refused.status, 501);
  EXPECT_THAT(refused.body, ::testing::HasSubstr("UntrustedArtifactOnDeployment=Enforce"));
}

// --- runtime management, recursion, InvokeAsync ----------------------------------------------------------------------

TEST_F(PoliciesTest, RuntimeManagementIsPerVersion) {
  const std::string path = "/2021-07-20/functions/f/runtime-management-config";
  EXPECT_EQ(World::parse(world.send("GET", path)),
            (json::Object{{"UpdateRuntimeOn", "Auto"}, {"FunctionArn", kArn + ":$LATEST"}}));
  world.publish("f");
  EXPECT_EQ(world.send("PUT", path + "?Qualifier=1", R"({"UpdateRuntimeOn":"FunctionUpdate"})").status, 200);
  EXPECT_EQ(world.send("PUT", path, R"({"UpdateRuntimeOn":"Manual"})").status, 400);
  const std::string build =
      World::at(world.send("GET", kF + "/configuration"), "RuntimeVersionConfig.RuntimeVersionArn");
  EXPECT_EQ(world
                .send("PUT", path,
                      json::serialize(json::Object{{"UpdateRuntimeOn", "Manual"}, {"RuntimeVersionArn", build + "0"}}))
                .status,
            400);
  EXPECT_EQ(
      world
          .send("PUT", path, json::serialize(json::Object{{"UpdateRuntimeOn", "Manual"}, {"RuntimeVersionArn", build}}))
          .status,
      200);
  world.restart();
  EXPECT_EQ(World::at(world.send("GET", path), "RuntimeVersionArn"), build);
  EXPECT_EQ(World::at(world.send("GET", path + "?Qualifier=1"), "UpdateRuntimeOn"), "FunctionUpdate");
}

TEST_F(PoliciesTest, RecursionConfig) {
  const std::string path = "/2024-08-31/functions/f/recursion-config";
  EXPECT_EQ(world.send("GET", path).body, R"({"RecursiveLoop":"Terminate"})");
  EXPECT_EQ(world.send("PUT", path, R"({"RecursiveLoop":"Allow"})").body, R"({"RecursiveLoop":"Allow"})");
  world.restart();
  EXPECT_EQ(world.send("GET", path).body, R"({"RecursiveLoop":"Allow"})");
  EXPECT_EQ(world.send("PUT", path, R"({"RecursiveLoop":"Sometimes"})").status, 400);
  EXPECT_EQ(world.send("GET", "/2024-08-31/functions/missing/recursion-config").status, 404);
}

TEST_F(PoliciesTest, InvokeAsyncIsAnEvent) {
  const std::string path = "/2014-11-13/functions/f/invoke-async/";
  auto accepted = world.send("POST", path, R"({"n":1})");
  EXPECT_EQ(accepted.status, 202) << accepted.body;
  ASSERT_EQ(world.invoker.enqueued.size(), 1u);
  EXPECT_EQ(world.invoker.enqueued[0].payload, R"({"n":1})");
  EXPECT_EQ(world.send("POST", path).status, 202);
  EXPECT_EQ(world.invoker.enqueued.back().payload, "{}");  // what a dead-letter queue can hold
  EXPECT_EQ(world.send("POST", path, "{no json").status, 400);
  EXPECT_EQ(world.send("POST", path, '"' + std::string(262'143, 'x') + '"').status, 413);
  EXPECT_EQ(world.send("POST", "/2014-11-13/functions/missing/invoke-async", "{}").status, 404);
}

}  // namespace
}  // namespace lambdad::lambda
