#include "services/lambda/lambda_service.h"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kFunctions = "/2015-03-31/functions";

std::string path(const std::string& rest) { return fmt::format("{}/{}", kFunctions, rest); }
std::string text(const json::Value& value, std::string_view key) {
  const json::Value* member = value.find(key);
  return member != nullptr && member->if_string() != nullptr ? *member->if_string() : "<none>";
}
std::string type_of(const http::Response& response) { return response.headers.get_or("x-amzn-ErrorType", ""); }
std::string message_of(const http::Response& response) {
  const json::Value body = World::parse(response);
  return body.find("message") != nullptr ? text(body, "message") : text(body, "Message");
}
void expect_error(const http::Response& response, int status, std::string_view type, std::string_view message) {
  EXPECT_EQ(response.status, status) << response.body;
  EXPECT_EQ(type_of(response), type);
  EXPECT_EQ(message_of(response), message);
}
json::Object zip_code(const std::string& zip) { return {{"ZipFile", base64_encode(zip)}}; }

class LambdaServiceTest : public ::testing::Test {
 protected:
  json::Value configuration(const std::string& name) {
    return World::parse(world.send("GET", path(name + "/configuration")));
  }
  std::size_t packages_on_disk() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(world.sim.directory() + "/packages")) {
      if (entry.path().filename().string()[0] != '.') ++count;
    }
    return count;
  }
  ports::FunctionRef ref(const std::string& name, const std::string& qualifier = {}) {
    return {.account = std::string(kTestAccount), .region = "us-east-1", .name = name, .qualifier = qualifier};
  }
  World world;
};

TEST_F(LambdaServiceTest, CreateAnswersEveryMemberThatAwsRecorded) {
  const std::string zip = test_zip();
  auto response = world.send("POST", std::string(kFunctions), json::serialize(World::creation("f")));
  ASSERT_EQ(response.status, 201) << response.body;
  json::Value body = World::parse(response);
  json::Object& object = *body.if_object();
  const std::string revision = text(body, "RevisionId");
  EXPECT_EQ(revision.size(), 36u);
  const std::string runtime_arn = text(*body.find("RuntimeVersionConfig"), "RuntimeVersionArn");
  EXPECT_THAT(runtime_arn, ::testing::MatchesRegex("arn:aws:lambda:us-east-1::runtime:[0-9a-f]+"));
  object.erase("RevisionId");
  object.erase("RuntimeVersionConfig");
  const json::Object expected{{"FunctionName", "f"},
                              {"FunctionArn", std::string(kTestArn) + "f"},
                              {"Runtime", "python3.11"},
                              {"Role", "arn:aws:iam::111122223333:role/r"},
                              {"Handler", "app.handler"},
                              {"CodeSize", zip.size()},
                              {"Description", ""},
                              {"Timeout", 3},
                              {"MemorySize", 128},
                              {"LastModified", "2026-01-01T00:00:00.000+0000"},
                              {"CodeSha256", base64_encode(sha256(zip))},
                              {"Version", "$LATEST"},
                              {"TracingConfig", json::Object{{"Mode", "PassThrough"}}},
                              {"State", "Pending"},
                              {"StateReason", "The function is being created."},
                              {"StateReasonCode", "Creating"},
                              {"PackageType", "Zip"},
                              {"Architectures", json::Array{"x86_64"}},
                              {"EphemeralStorage", json::Object{{"Size", 512}}},
                              {"SnapStart", json::Object{{"ApplyOn", "None"}, {"OptimizationStatus", "Off"}}},
                              {"LoggingConfig", json::Object{{"LogFormat", "Text"}, {"LogGroup", "/aws/lambda/f"}}}};
  EXPECT_EQ(object.size(), expected.size()) << response.body;
  for (const auto& [key, value] : expected) {
    ASSERT_NE(object.find(key), nullptr) << key;
    EXPECT_EQ(*object.find(key), value) << key;
  }
}

TEST_F(LambdaServiceTest, CreationIsPendingThenActiveWithASecondRevision) {
  auto responses = world.send_at_once({World::create_request("f"), World::request("GET", path("f/configuration")),
                                       World::request("PUT", path("f/configuration"), R"({"Timeout":5})"),
                                       World::request("POST", path("f/invocations"), "{}")});
  EXPECT_EQ(text(World::parse(responses[1]), "State"), "Pending");
  EXPECT_EQ(World::parse(responses[1]).find("LastUpdateStatus"), nullptr);
  expect_error(responses[2], 409, "ResourceConflictException",
               "The operation cannot be performed at this time. An update is in progress for resource: " +
                   std::string(kTestArn) + "f");
  expect_error(responses[3], 409, "ResourceConflictException",
               "The operation cannot be performed at this time. The function is currently in the following state: "
               "Pending");
  world.settle();
  const json::Value active = configuration("f");
  EXPECT_EQ(text(active, "State"), "Active");
  EXPECT_EQ(text(active, "LastUpdateStatus"), "Successful");
  EXPECT_EQ(active.find("StateReason"), nullptr);
  EXPECT_NE(text(active, "RevisionId"), text(World::parse(responses[0]), "RevisionId"));
}

TEST_F(LambdaServiceTest, ACreationThatWasCutOffIsFinishedByTheNextStart) {
  world.send_at_once(
      {World::create_request("f", {{"Environment", json::Object{{"Variables", json::Object{{"KEY", "v"}}}}},
                                   {"Tags", json::Object{{"team", "a"}}}})});
  world.restart();
  world.settle();
  const json::Value active = configuration("f");
  EXPECT_EQ(text(active, "State"), "Active");
  EXPECT_EQ(*active.find("Environment"), (json::Object{{"Variables", json::Object{{"KEY", "v"}}}}));
  auto version = world.service->catalog().resolve(ref("f"));
  ASSERT_TRUE(version);
  EXPECT_EQ((*version)->environment.at("KEY"), "v");
}

TEST_F(LambdaServiceTest, WhatWasAnsweredIsThereAfterARestart) {
  world.create("f", {{"Timeout", 30}, {"DeadLetterConfig", json::Object{{"TargetArn", "arn:aws:sqs:us-east-1:1:q"}}}});
  world.send("PUT", "/2017-10-31/functions/f/concurrency", R"({"ReservedConcurrentExecutions":7})");
  world.send("PUT", "/2019-09-25/functions/f/event-invoke-config", R"({"MaximumRetryAttempts":1})");
  const std::string before = world.send("GET", path("f/configuration")).body;
  const auto snapshot = (*world.service->catalog().resolve(ref("f")))->snapshot_id;
  world.restart();
  EXPECT_EQ(world.send("GET", path("f/configuration")).body, before);
  EXPECT_EQ(world.service->catalog().reserved_concurrency(ref("f")), 7);
  EXPECT_EQ(world.service->catalog().event_invoke_config(ref("f")).maximum_retry_attempts, 1);
  EXPECT_EQ((*world.service->catalog().resolve(ref("f")))->snapshot_id, snapshot);
  EXPECT_EQ((*world.service->catalog().resolve(ref("f")))->dead_letter_arn, "arn:aws:sqs:us-east-1:1:q");
}

TEST_F(LambdaServiceTest, AnUpdateServesTheOldCodeUntilItIsDone) {
  world.create("f");
  const auto old_version = *world.service->catalog().resolve(ref("f"));
  std::vector<std::string> changed;
  world.service->catalog().on_change([&](const ports::FunctionRef& each) { changed.push_back(each.name); });

  const json::Object update{{"ZipFile", base64_encode(test_zip("other"))}};
  auto responses = world.send_at_once({World::request("PUT", path("f/code"), json::serialize(update)),
                                       World::request("GET", path("f/configuration")),
                                       World::request("PUT", path("f/code"), json::serialize(update)),
                                       World::request("POST", path("f/invocations"), "{}")});
  const json::Value answer = World::parse(responses[0]);
  EXPECT_EQ(responses[0].status, 200);
  EXPECT_EQ(text(answer, "State"), "Active");
  EXPECT_EQ(text(answer, "LastUpdateStatus"), "InProgress");
  EXPECT_EQ(text(answer, "LastUpdateStatusReason"), "The function is being created.");
  EXPECT_EQ(text(answer, "LastUpdateStatusReasonCode"), "Creating");
  EXPECT_EQ(text(World::parse(responses[1]), "LastUpdateStatus"), "InProgress");
  EXPECT_EQ(responses[2].status, 409);
  EXPECT_EQ(responses[3].status, 200);

  world.settle();
  const auto new_version = *world.service->catalog().resolve(ref("f"));
  EXPECT_NE(new_version->snapshot_id, old_version->snapshot_id);
  EXPECT_NE(new_version->code_sha256, old_version->code_sha256);
  EXPECT_EQ(changed, std::vector<std::string>{"f"});
  EXPECT_EQ(text(configuration("f"), "LastUpdateStatus"), "Successful");
  EXPECT_NE(text(configuration("f"), "RevisionId"), text(answer, "RevisionId"));
}

TEST_F(LambdaServiceTest, CodeStaysWhileASnapshotOfItIsHeldAndGoesAfterwards) {
  world.create("f");
  auto held = *world.service->catalog().resolve(ref("f"));
  world.send("PUT", path("f/code"), json::serialize(zip_code(test_zip("other"))));
  world.settle();
  EXPECT_EQ(packages_on_disk(), 2u);
  held.reset();
  world.settle();
  EXPECT_EQ(packages_on_disk(), 1u);
  world.send("DELETE", path("f"));
  world.settle();
  EXPECT_EQ(packages_on_disk(), 0u);
}

TEST_F(LambdaServiceTest, FunctionsWithTheSameCodeShareIt) {
  world.create("a");
  world.create("b");
  EXPECT_EQ(packages_on_disk(), 1u);
  world.send("DELETE", path("a"));
  world.settle();
  EXPECT_EQ(packages_on_disk(), 1u);
  EXPECT_TRUE(world.run(world.packages->unpacked((*world.service->catalog().resolve(ref("b")))->code_sha256)));
}

TEST_F(LambdaServiceTest, UpdatingConfigurationChangesOnlyWhatIsGiven) {
  world.create("f", {{"Description", "d"}, {"Environment", json::Object{{"Variables", json::Object{{"KEY", "v"}}}}}});
  auto response = world.send("PUT", path("f/configuration"), R"({"Timeout":900,"MemorySize":10240})");
  ASSERT_EQ(response.status, 200) << response.body;
  world.settle();
  json::Value now = configuration("f");
  EXPECT_EQ(now.find("Timeout")->as_int64(), 900);
  EXPECT_EQ(now.find("MemorySize")->as_int64(), 10240);
  EXPECT_EQ(text(now, "Description"), "d");
  EXPECT_EQ(*now.find("Environment"), (json::Object{{"Variables", json::Object{{"KEY", "v"}}}}));
  world.send("PUT", path("f/configuration"), R"({"Environment":{}})");
  world.settle();
  EXPECT_EQ(*configuration("f").find("Environment"), json::Object{});
}

TEST_F(LambdaServiceTest, ARevisionIdThatIsNotTheLatestIsRefused) {
  world.create("f");
  const std::string revision = text(configuration("f"), "RevisionId");
  const std::string stale = "00000000-0000-4000-8000-000000000000";
  constexpr std::string_view kText =
      "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
      "the latest Revision Id";
  expect_error(world.send("PUT", path("f/configuration"), json::serialize(json::Object{{"RevisionId", stale}})), 412,
               "PreconditionFailedException", kText);
  auto body = zip_code(test_zip("x"));
  body.set("RevisionId", stale);
  expect_error(world.send("PUT", path("f/code"), json::serialize(body)), 412, "PreconditionFailedException", kText);
  EXPECT_EQ(text(configuration("f"), "RevisionId"), revision);
  body.set("RevisionId", revision);
  EXPECT_EQ(world.send("PUT", path("f/code"), json::serialize(body)).status, 200);
}

TEST_F(LambdaServiceTest, ADryRunOfAnUpdateStoresNothing) {
  world.create("f");
  const json::Value before = configuration("f");
  auto body = zip_code(test_zip("other"));
  body.set("DryRun", true);
  auto response = world.send("PUT", path("f/code"), json::serialize(body));
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(text(World::parse(response), "CodeSha256"), base64_encode(sha256(test_zip("other"))));
  EXPECT_EQ(configuration("f"), before);
  EXPECT_EQ(packages_on_disk(), 1u);
}

TEST_F(LambdaServiceTest, CreateRefusesWhatAwsRefuses) {
  struct Case {
    json::Object more;
    int status;
    std::string type;
    std::string message;
  };
  const std::string name65(65, 'n');
  std::string env_value(4097, 'v');
  const std::vector<Case> cases = {
      {{{"FunctionName", name65}},
       400,
       "InvalidParameterValueException",
       "1 validation error detected: Value '" + name65 +
           "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"},
      {{{"Runtime", "python3.7"}},
       400,
       "InvalidParameterValueException",
       "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. We "
       "recommend you use a supported runtime while creating or updating functions."},
      {{{"Runtime", "dotnet8"}},
       400,
       "InvalidParameterValueException",
       "lambdad does not run the runtime dotnet8 yet. It runs python3.x, nodejsN.x, ruby3.x, javaN from 11 on, "
       "provided.al2 and provided.al2023."},
      {{{"Runtime", nullptr}},
       400,
       "InvalidParameterValueException",
       "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
      {{{"Code", json::Object{}}}, 400, "InvalidParameterValueException", "Please provide a source for function code."},
      {{{"Code", zip_code("")}}, 400, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"},
      {{{"Code", zip_code("this is no zip")}},
       400,
       "InvalidParameterValueException",
       "Could not unzip uploaded file. Please check your file, then try to upload again."},
      {{{"Code", zip_code(package::TestZip().file("../evil", "x").bytes())}},
       400,
       "InvalidParameterValueException",
       "Could not unzip uploaded file. Please check your file, then try to upload again. (the name '../evil' leaves "
       "the "
       "package)"},
      {{{"Code", zip_code(package::TestZip().add("big", "", {.size_change = 262'144'000}).bytes())}},
       400,
       "InvalidParameterValueException",
       "Unzipped size must be smaller than 262144000 bytes"},
      {{{"Timeout", 901}},
       400,
       "ValidationException",
       "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value "
       "less "
       "than or equal to 900"},
      {{{"MemorySize", 10241}},
       400,
       "ValidationException",
       "1 validation error detected: Value '10241' at 'memorySize' failed to satisfy constraint: Member must have "
       "value "
       "less than or equal to 10240"},
      {{{"Environment", json::Object{{"Variables", json::Object{{"AWS_REGION", "x"}, {"LAMBDA_TASK_ROOT", "y"}}}}}},
       400,
       "InvalidParameterValueException",
       "Lambda was unable to configure your environment variables because the environment variables you have provided "
       "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
       "AWS_REGION, LAMBDA_TASK_ROOT"},
      {{{"Environment", json::Object{{"Variables", json::Object{{"K1", env_value}}}}}},
       400,
       "InvalidParameterValueException",
       "Lambda was unable to configure your environment variables because the environment variables you have provided "
       "exceeded the 4KB limit. String measured: {\"K1\":\"" +
           env_value + "\"}"},
      {{{"DeadLetterConfig", json::Object{{"TargetArn", "arn:aws:sqs:us-east-1:111122223333:q.fifo"}}}},
       400,
       "InvalidParameterValueException",
       "The dead-letter target arn:aws:sqs:us-east-1:111122223333:q.fifo must be the ARN of a standard SQS queue or a "
       "standard "
       "SNS topic."},
      {{{"FunctionName", "arn:aws:lambda:us-east-1:999988887777:function:f"}}, 403, "AccessDeniedException", "<none>"},
      {{{"FunctionName", "arn:aws:lambda:eu-west-1:111122223333:function:f"}},
       404,
       "ResourceNotFoundException",
       "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.message.substr(0, 120));
    auto response = world.create("f", each.more);
    EXPECT_EQ(response.status, each.status) << response.body.substr(0, 300);
    EXPECT_EQ(type_of(response), each.type);
    const std::string message = message_of(response);
    EXPECT_TRUE(message == each.message || (each.message == "<none>" && message.empty())) << message.substr(0, 300);
  }
  EXPECT_THAT(message_of(world.create("f", {{"Runtime", "cobol85"}})),
              ::testing::AllOf(HasSubstr("Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy "
                                         "enum value set: [nodejs24.x, "),
                               HasSubstr("provided.al2] or be a valid ARN")));
  EXPECT_EQ(World::parse(world.send("GET", std::string(kFunctions))).find("Functions")->if_array()->size(), 0u);
  EXPECT_EQ(packages_on_disk(), 0u);
}

TEST_F(LambdaServiceTest, AcceptsTheLargestOfEverything) {
  auto response =
      world.create(std::string(64, 'n'),
                   {{"Timeout", 900},
                    {"MemorySize", 10240},
                    {"EphemeralStorage", json::Object{{"Size", 10240}}},
                    {"Environment", json::Object{{"Variables", json::Object{{"K1", std::string(4096 - 9, 'v')}}}}}});
  EXPECT_EQ(response.status, 201) << response.body;
}

TEST_F(LambdaServiceTest, TheLogFormatHasItsLevelsAndKeepsThem) {
  const auto logging = [&](std::string_view change) {
    const auto response =
        change.empty() ? world.send("GET", path("f/configuration"))
                       : world.send("PUT", path("f/configuration"), fmt::format(R"({{"LoggingConfig":{}}})", change));
    world.settle();
    EXPECT_EQ(response.status, 200) << response.body;
    return json::serialize(*World::parse(response).find("LoggingConfig"));
  };
  world.create("f", {{"LoggingConfig", json::Object{{"LogFormat", "JSON"}, {"SystemLogLevel", "WARN"}}}});
  const std::string group = R"("LogGroup":"/aws/lambda/f"})";
  EXPECT_EQ(logging(""), R"({"LogFormat":"JSON","ApplicationLogLevel":"INFO","SystemLogLevel":"WARN",)" + group);
  EXPECT_EQ(logging(R"({"ApplicationLogLevel":"DEBUG"})"),
            R"({"LogFormat":"JSON","ApplicationLogLevel":"DEBUG","SystemLogLevel":"WARN",)" + group);
  EXPECT_EQ(logging(R"({"LogFormat":"Text"})"), R"({"LogFormat":"Text",)" + group);
  const auto refused =
      world.send("PUT", path("f/configuration"), R"({"LoggingConfig":{"ApplicationLogLevel":"DEBUG"}})");
  expect_error(refused, 400, "InvalidParameterValueException",
               "Log levels can only be set for functions whose LogFormat is JSON.");
}

TEST_F(LambdaServiceTest, WhatIsNotServedIsRefusedByName) {
  const std::pair<json::Object, std::string> cases[] = {
      {{{"PublishTo", "LATEST_PUBLISHED"}}, "PublishTo"},
      {{{"KMSKeyArn", "arn:aws:kms:us-east-1:111122223333:key/k"}}, "KMSKeyArn"},
      {{{"Code", json::Object{{"ZipFile", base64_encode(test_zip())},
                              {"SourceKMSKeyArn", "arn:aws:kms:us-east-1:111122223333:key/k"}}}},
       "SourceKMSKeyArn"},
      {{{"SnapStart", json::Object{{"ApplyOn", "PublishedVersions"}}}}, "SnapStart"},
      {{{"DeadLetterConfig", json::Object{{"TargetArn", "arn:aws:sns:us-east-1:111122223333:t"}}}}, "DeadLetterConfig"},
      {{{"VpcConfig", json::Object{{"SubnetIds", json::Array{"subnet-1"}}}}}, "VpcConfig"},
  };
  for (const auto& [more, member] : cases) {
    auto response = world.create("f", more);
    EXPECT_EQ(response.status, 501) << member << response.body;
    EXPECT_THAT(response.body, HasSubstr(member));
  }
  EXPECT_EQ(world.create("f", {{"Architectures", json::Array{"arm64"}}}).status, 400);
  // Members that carry nothing are no request for them.
  EXPECT_EQ(world.create("f", {{"Publish", false}, {"Layers", json::Array{}}, {"VpcConfig", json::Object{}}}).status,
            201);
}

/// Has one object.
struct OneObject final : ports::ObjectReader {
  Async<std::expected<std::string, Refusal>> read(Object object, std::size_t bytes_max) override {
    asked.push_back(object);
    if (object.bucket != "code" || object.key != "app.zip") {
      co_return std::unexpected(Refusal{"NoSuchKey", "The specified key does not exist."});
    }
    if (content.size() > bytes_max) co_return std::unexpected(Refusal{"EntityTooLarge", "too large"});
    co_return content;
  }
  std::string content = test_zip();
  std::vector<Object> asked;
};

TEST_F(LambdaServiceTest, CodeIsReadFromS3) {
  OneObject objects;
  world.service->set_object_reader(objects);
  auto created = world.create("f", {{"Code", json::Object{{"S3Bucket", "code"}, {"S3Key", "app.zip"}}}});
  EXPECT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(World::at(created, "CodeSha256"), World::at(world.create("g"), "CodeSha256"));
  expect_error(world.create("h", {{"Code", json::Object{{"S3Bucket", "code"}, {"S3Key", "other"}}}}), 400,
               "InvalidParameterValueException",
               "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not "
               "exist.");
  auto updated = world.send("PUT", "/2015-03-31/functions/f/code",
                            R"({"S3Bucket": "code", "S3Key": "app.zip", "S3ObjectVersion": "v7"})");
  EXPECT_EQ(updated.status, 200) << updated.body;
  auto layer =
      world.send("POST", "/2018-10-31/layers/l/versions", R"({"Content": {"S3Bucket": "code", "S3Key": "app.zip"}})");
  EXPECT_EQ(layer.status, 201) << layer.body;
  ASSERT_EQ(objects.asked.size(), 4u);
  EXPECT_EQ(objects.asked[2].version, "v7");
  EXPECT_EQ(objects.asked[2].account, kTestAccount);
  world.settle();
}

TEST_F(LambdaServiceTest, AMissingInterpreterIsSaidInWords) {
  world.missing_runtime = "nodejs22.x";
  expect_error(world.create("f", {{"Runtime", "nodejs22.x"}}), 400, "InvalidParameterValueException",
               "The runtime nodejs22.x cannot run on this machine: install nodejs22.x");
}

TEST_F(LambdaServiceTest, ASecondCreationIsAConflict) {
  world.create("f");
  expect_error(world.create("f"), 409, "ResourceConflictException", "Function already exist: f");
}

TEST_F(LambdaServiceTest, ADamagedPackageFailsTheFunction) {
  world.create("f", {{"Code", zip_code(package::TestZip().add("a", "data", {.crc_change = 1}).bytes())}});
  const json::Value failed = configuration("f");
  EXPECT_EQ(text(failed, "State"), "Failed");
  EXPECT_EQ(text(failed, "StateReasonCode"), "InvalidZipFileException");
  EXPECT_EQ(text(failed, "LastUpdateStatus"), "Failed");
  EXPECT_EQ(world.send("POST", path("f/invocations")).status, 409);
  // Good code mends it.
  EXPECT_EQ(world.send("PUT", path("f/code"), json::serialize(zip_code(test_zip()))).status, 200);
  world.settle();
  EXPECT_EQ(text(configuration("f"), "State"), "Active");
}

TEST_F(LambdaServiceTest, AFailedUpdateLeavesThePreviousCodeServing) {
  world.create("f");
  const auto before = (*world.service->catalog().resolve(ref("f")))->snapshot_id;
  world.send("PUT", path("f/code"),
             json::serialize(zip_code(package::TestZip().add("a", "data", {.crc_change = 1}).bytes())));
  world.settle();
  EXPECT_EQ(text(configuration("f"), "State"), "Active");
  EXPECT_EQ(text(configuration("f"), "LastUpdateStatus"), "Failed");
  EXPECT_EQ((*world.service->catalog().resolve(ref("f")))->snapshot_id, before);
}

TEST_F(LambdaServiceTest, GetFunctionTellsWhereTheCodeIsForTenMinutes) {
  world.create("f", {{"Tags", json::Object{{"team", "a"}}}});
  const json::Value body = World::parse(world.send("GET", path("f")));
  EXPECT_EQ(text(*body.find("Configuration"), "FunctionArn"), std::string(kTestArn) + "f");
  EXPECT_EQ(*body.find("Tags"), (json::Object{{"team", "a"}}));
  EXPECT_EQ(body.find("Concurrency"), nullptr);
  EXPECT_EQ(text(*body.find("Code"), "RepositoryType"), "S3");
  const std::string location = text(*body.find("Code"), "Location");
  const std::string base = "http://127.0.0.1:4566";
  ASSERT_TRUE(location.starts_with(base + "/_lambdad/code/111122223333/us-east-1/f/")) << location;
  auto download = [&](std::string target) {
    return world.run(world.service->code_download(World::request("GET", std::move(target))));
  };
  const std::string target = location.substr(base.size());
  EXPECT_EQ(download(target).body, test_zip());
  EXPECT_EQ(download(target + "0").status, 403);
  std::string other = target;
  other.replace(other.find("expires="), 9, "expires=9");
  EXPECT_EQ(download(other).status, 403);
  EXPECT_EQ(download("/_lambdad/code/x?expires=&token=").status, 403);
  EXPECT_EQ(download("/_lambdad/code/x").status, 403);
  world.sim.run_for(std::chrono::minutes(10));
  EXPECT_EQ(download(target).status, 403);
}

TEST_F(LambdaServiceTest, TheQualifierShowsInTheArn) {
  world.create("f");
  const std::string arn = std::string(kTestArn) + "f";
  EXPECT_EQ(text(configuration("f:$LATEST"), "FunctionArn"), arn + ":$LATEST");
  EXPECT_EQ(text(configuration("f%3A%24LATEST"), "FunctionArn"), arn + ":$LATEST");
  EXPECT_EQ(text(configuration("111122223333:function:f"), "FunctionArn"), arn);
  EXPECT_EQ(text(configuration("arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Af"), "FunctionArn"), arn);
  EXPECT_EQ(text(World::parse(world.send("GET", path("f/configuration?Qualifier=%24LATEST"))), "FunctionArn"),
            arn + ":$LATEST");
  expect_error(world.send("GET", path("f/configuration?Qualifier=prod")), 404, "ResourceNotFoundException",
               "Function not found: " + arn + ":prod");
  expect_error(world.send("GET", path("f/configuration?Qualifier=%24latest")), 404, "ResourceNotFoundException",
               "Function not found: " + arn + ":$latest");
}

TEST_F(LambdaServiceTest, ReadsOfA65CharacterNameAreNotFound) {
  const std::string name(65, 'n');
  const std::string message = "Function not found: " + std::string(kTestArn) + name;
  expect_error(world.send("GET", path(name)), 404, "ResourceNotFoundException", message);
  expect_error(world.send("DELETE", path(name)), 404, "ResourceNotFoundException", message);
  expect_error(world.send("POST", path(name + "/invocations")), 404, "ResourceNotFoundException", message + ":$LATEST");
}

TEST_F(LambdaServiceTest, ListsFunctionsInPagesOfAtMostFifty) {
  for (int i = 0; i < 53; ++i) world.create(fmt::format("f{:02}", i));
  json::Value first = World::parse(world.send("GET", std::string(kFunctions) + "?MaxItems=10000"));
  const json::Array& functions = *first.find("Functions")->if_array();
  ASSERT_EQ(functions.size(), 50u);
  EXPECT_EQ(text(functions[0], "FunctionName"), "f00");
  for (std::string_view absent : {"State", "LastUpdateStatus", "RuntimeVersionConfig"}) {
    EXPECT_EQ(functions[0].find(absent), nullptr) << absent;
  }
  json::Value second = World::parse(
      world.send("GET", fmt::format("{}?Marker={}", kFunctions, percent_encode(text(first, "NextMarker")))));
  EXPECT_EQ(second.find("Functions")->if_array()->size(), 3u);
  EXPECT_EQ(second.find("NextMarker"), nullptr);

  std::set<std::string> seen;
  std::string marker;
  int pages = 0;
  do {
    json::Value page = World::parse(world.send(
        "GET", fmt::format("{}?MaxItems=7&Marker={}&FunctionVersion=ALL", kFunctions, percent_encode(marker))));
    for (const json::Value& each : *page.find("Functions")->if_array()) {
      EXPECT_TRUE(text(each, "FunctionArn").ends_with(":$LATEST"));
      EXPECT_TRUE(seen.insert(text(each, "FunctionName")).second);
    }
    marker = page.find("NextMarker") == nullptr ? "" : text(page, "NextMarker");
    ++pages;
  } while (!marker.empty());
  EXPECT_EQ(seen.size(), 53u);
  EXPECT_EQ(pages, 8);
  EXPECT_EQ(world.send("GET", std::string(kFunctions) + "?Marker=rubbish").status, 400);
}

TEST_F(LambdaServiceTest, ListsLatestAsTheOnlyVersion) {
  world.create("f");
  const json::Value body = World::parse(world.send("GET", path("f/versions")));
  ASSERT_EQ(body.find("Versions")->if_array()->size(), 1u);
  EXPECT_EQ(text(body.find("Versions")->if_array()->front(), "FunctionArn"), std::string(kTestArn) + "f:$LATEST");
}

TEST_F(LambdaServiceTest, DeleteFollowsTheRecordedCodes) {
  world.create("f");
  EXPECT_EQ(world.send("DELETE", path("f?Qualifier=7")).status, 204);
  expect_error(world.send("DELETE", path("f?Qualifier=%24LATEST")), 400, "InvalidParameterValueException",
               "$LATEST version cannot be deleted without deleting the function.");
  auto deleted = world.send("DELETE", path("f"));
  EXPECT_EQ(deleted.status, 204);
  EXPECT_EQ(deleted.body, "");
  expect_error(world.send("DELETE", path("f?Qualifier=7")), 404, "ResourceNotFoundException",
               "Function not found: " + std::string(kTestArn) + "f");
  world.restart();
  EXPECT_EQ(world.send("GET", path("f")).status, 404);
}

TEST_F(LambdaServiceTest, DeletingWhileCreatingLeavesNothing) {
  world.send_at_once({World::create_request("f"), World::request("DELETE", path("f"))});
  world.settle();
  EXPECT_EQ(world.send("GET", path("f")).status, 404);
  EXPECT_EQ(packages_on_disk(), 0u);
}

}  // namespace
}  // namespace lambdad::lambda
