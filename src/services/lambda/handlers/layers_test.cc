// Layers, their policies, and functions that use them.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

const std::string kLayers = "/2018-10-31/layers";
const std::string kLayerArn = "arn:aws:lambda:us-east-1:111122223333:layer:";

class LayersTest : public ::testing::Test {
 protected:
  http::Response publish(const std::string& name, const std::string& zip, json::Object more = {}) {
    more.set("Content", json::Object{{"ZipFile", base64_encode(zip)}});
    return world.send("POST", kLayers + "/" + name + "/versions", json::serialize(more));
  }
  static std::string zip(const std::string& file, const std::string& content = "x") {
    return package::TestZip().file(file, content).bytes();
  }
  http::Response create(const std::string& name, const std::vector<std::string>& arns) {
    json::Array layers;
    for (const auto& each : arns) layers.emplace_back(each);
    return world.create(name, {{"Layers", std::move(layers)}});
  }
  World world;
};

TEST_F(LayersTest, APublishedVersionIsAnsweredAndReadBackWhole) {
  const std::string content = zip("python/lib.py");
  auto published = publish("tools", content,
                           {{"Description", "d"},
                            {"LicenseInfo", "MIT"},
                            {"CompatibleRuntimes", json::Array{"python3.11"}},
                            {"CompatibleArchitectures", json::Array{"x86_64"}}});
  ASSERT_EQ(published.status, 201) << published.body;
  json::Value body = World::parse(published);
  body.if_object()->find("Content")->if_object()->erase("Location");
  EXPECT_EQ(body, (json::Object{{"Content", json::Object{{"CodeSha256", base64_encode(sha256(content))},
                                                         {"CodeSize", content.size()}}},
                                {"LayerArn", kLayerArn + "tools"},
                                {"LayerVersionArn", kLayerArn + "tools:1"},
                                {"Description", "d"},
                                {"CreatedDate", "2026-01-01T00:00:00.000+0000"},
                                {"Version", 1},
                                {"CompatibleRuntimes", json::Array{"python3.11"}},
                                {"LicenseInfo", "MIT"},
                                {"CompatibleArchitectures", json::Array{"x86_64"}}}));
  world.restart();
  for (const std::string& path :
       {kLayers + "/tools/versions/1", kLayers + "?find=LayerVersion&Arn=" + percent_encode(kLayerArn + "tools:1"),
        kLayers + "/" + percent_encode(kLayerArn + "tools") + "/versions/1"}) {
    json::Value read = World::parse(world.send("GET", path));
    ASSERT_NE(read.find("Content"), nullptr) << path;
    read.if_object()->find("Content")->if_object()->erase("Location");
    EXPECT_EQ(read, body) << path;
  }
}

TEST_F(LayersTest, TheContentCanBeDownloaded) {
  const std::string content = zip("a");
  const std::string url = World::at(publish("tools", content), "Content.Location");
  const std::string path = url.substr(url.find("/_lambdad"));
  auto downloaded = world.run(world.service->code_download(World::request("GET", path)));
  EXPECT_EQ(downloaded.status, 200);
  EXPECT_EQ(downloaded.body, content);
}

TEST_F(LayersTest, NumbersGrowAndAreNotUsedAgain) {
  EXPECT_EQ(World::at(publish("tools", zip("a")), "Version"), "1");
  EXPECT_EQ(World::at(publish("tools", zip("a")), "Version"), "2");
  EXPECT_EQ(world.send("DELETE", kLayers + "/tools/versions/1").status, 204);
  EXPECT_EQ(world.send("DELETE", kLayers + "/tools/versions/2").status, 204);
  EXPECT_EQ(World::at(world.send("GET", kLayers), "Layers"), "[]");
  world.restart();
  EXPECT_EQ(World::at(publish("tools", zip("a")), "Version"), "3");
}

TEST_F(LayersTest, ListsFilterByCompatibilityAndShowTheNewestFirst) {
  publish("a", zip("1"), {{"CompatibleRuntimes", json::Array{"python3.11"}}});
  publish("a", zip("2"), {{"CompatibleRuntimes", json::Array{"python3.12"}}});
  publish("b", zip("3"));
  auto all = world.send("GET", kLayers);
  EXPECT_EQ(World::at(all, "Layers.0.LatestMatchingVersion.Version"), "2");
  EXPECT_EQ(World::at(all, "Layers.1.LayerName"), "b");
  auto old = world.send("GET", kLayers + "?CompatibleRuntime=python3.11");
  EXPECT_EQ(World::at(old, "Layers.0.LatestMatchingVersion.Version"), "1");
  EXPECT_EQ(World::at(old, "Layers.1"), "");
  auto versions = world.send("GET", kLayers + "/a/versions?MaxItems=1");
  EXPECT_EQ(World::at(versions, "LayerVersions.0.LayerVersionArn"), kLayerArn + "a:2");
  auto rest = world.send("GET", kLayers + "/a/versions?Marker=" + percent_encode(World::at(versions, "NextMarker")));
  EXPECT_EQ(World::at(rest, "LayerVersions.0.Version"), "1");
  EXPECT_EQ(World::at(rest, "LayerVersions.1"), "");
  EXPECT_EQ(World::at(world.send("GET", kLayers + "/unknown/versions"), "LayerVersions"), "[]");
}

TEST_F(LayersTest, LayerErrors) {
  publish("tools", zip("a"));
  EXPECT_EQ(World::error(world.send("GET", kLayers + "/tools/versions/9")),
            "404 ResourceNotFoundException: The resource you requested does not exist.");
  EXPECT_EQ(World::error(world.send("GET", kLayers + "/tools/versions/0")),
            "400 InvalidParameterValueException: Layer Version Cannot be less than 1");
  EXPECT_EQ(world.send("DELETE", kLayers + "/tools/versions/9").status, 204);
  EXPECT_EQ(World::error(publish("bad", "no zip")),
            "400 InvalidParameterValueException: Could not unzip uploaded file. Please check your file, then try to "
            "upload again.");
}

TEST_F(LayersTest, FunctionsNameLayersInOrder) {
  publish("a", zip("f", "a"));
  publish("b", zip("f", "b"));
  auto created = create("f", {kLayerArn + "b:1", kLayerArn + "a:1"});
  ASSERT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(World::at(created, "Layers.0.Arn"), kLayerArn + "b:1");
  EXPECT_EQ(World::at(created, "Layers.1.CodeSize"), std::to_string(zip("f", "a").size()));
  auto version = *world.service->catalog().resolve(World::ref("f"));
  EXPECT_EQ(version->layers,
            (std::vector<std::string>{hex_encode(sha256(zip("f", "b"))), hex_encode(sha256(zip("f", "a")))}));
  auto cleared = world.send("PUT", "/2015-03-31/functions/f/configuration", R"({"Layers":[]})");
  world.settle();
  EXPECT_EQ(World::at(cleared, "Layers"), "");
}

TEST_F(LayersTest, ADeletedVersionKeepsWorkingAndGoesWithItsLastUser) {
  publish("a", zip("f", "a"));
  publish("b", zip("f", "b"));
  create("f", {kLayerArn + "a:1", kLayerArn + "b:1"});
  world.send("DELETE", kLayers + "/a/versions/1");
  world.send("DELETE", kLayers + "/b/versions/1");
  world.settle();
  world.restart();
  world.settle();
  auto layers = (*world.service->catalog().resolve(World::ref("f")))->layers;
  auto merged = world.run(world.packages->merged(layers));
  ASSERT_TRUE(merged) << merged.error().detail;
  const std::string directory = merged->directory;
  merged = fail(Errc::kClosed, "let go");
  EXPECT_EQ(World::at(world.send("GET", "/2015-03-31/functions/f/configuration"), "Layers.0.Arn"), kLayerArn + "a:1");
  world.send("DELETE", "/2015-03-31/functions/f");
  world.settle();
  EXPECT_FALSE(std::filesystem::exists(directory));
  EXPECT_FALSE(world.run(world.packages->unpacked(layers[0])));
}

TEST_F(LayersTest, ALayerDeletedWhileItsFunctionIsBeingMadeIsKept) {
  publish("a", zip("f", "a"));
  world.send_at_once({World::create_request("f", {{"Layers", json::Array{kLayerArn + "a:1"}}}),
                      World::request("DELETE", kLayers + "/a/versions/1")});
  world.settle();
  EXPECT_EQ(World::at(world.send("GET", "/2015-03-31/functions/f/configuration"), "State"), "Active");
  EXPECT_TRUE(world.run(world.packages->merged((*world.service->catalog().resolve(World::ref("f")))->layers)));
}

TEST_F(LayersTest, FunctionsRefuseLayersAsAwsDoes) {
  for (int i = 0; i < 6; ++i) publish(fmt::format("l{}", i), zip(fmt::format("{}", i)));
  publish("l0", zip("newer"));
  auto refused = [&](const std::vector<std::string>& arns) { return World::error(create("f", arns)); };
  std::vector<std::string> six;
  for (int i = 0; i < 6; ++i) six.push_back(fmt::format("{}l{}:1", kLayerArn, i));
  EXPECT_EQ(refused(six), "400 InvalidParameterValueException: Cannot reference more than 5 layers.");
  EXPECT_EQ(refused({kLayerArn + "l0:1", kLayerArn + "l0:2"}),
            "400 InvalidParameterValueException: Two different versions of the same layer are not allowed to be "
            "referenced in the same function. " +
                kLayerArn + "l0:1 and " + kLayerArn + "l0:2 are versions of the same layer.");
  EXPECT_EQ(refused({kLayerArn + "l0:7"}),
            "400 InvalidParameterValueException: Layer version " + kLayerArn + "l0:7 does not exist.");
  EXPECT_EQ(
      refused({"arn:aws:lambda:eu-west-1:111122223333:layer:l0:1"}),
      "400 InvalidParameterValueException: Layers are not in the same region as the function. Layers are expected "
      "to be in region us-east-1.");
  six.pop_back();
  EXPECT_EQ(create("f", six).status, 201);
}

TEST_F(LayersTest, CodeAndLayersTogetherHaveALimit) {
  // Claimed sizes count: nothing of it is written.
  const std::string big = package::TestZip().add("big", "", {.size_change = 200'000'000}).bytes();
  EXPECT_EQ(publish("big", big).status, 201);
  EXPECT_EQ(publish("big2", package::TestZip().add("big2", "", {.size_change = 62'144'000}).bytes()).status, 201);
  EXPECT_THAT(
      World::error(create("f", {kLayerArn + "big:1", kLayerArn + "big2:1"})),
      ::testing::StartsWith("400 InvalidParameterValueException: Function code combined with layers exceeds the "
                            "maximum allowed size of 262144000 bytes. The actual size is 2621440"));
}

TEST_F(LayersTest, PoliciesOfLayerVersions) {
  publish("tools", zip("a"));
  const std::string policy = kLayers + "/tools/versions/1/policy";
  EXPECT_EQ(World::error(world.send("GET", policy)),
            "404 ResourceNotFoundException: No policy is associated with the given resource.");
  auto added = world.send(
      "POST", policy,
      R"({"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"*","OrganizationId":"o-abcdefghij"})");
  ASSERT_EQ(added.status, 201) << added.body;
  EXPECT_EQ(World::at(added, "Statement"),
            R"({"Sid":"s","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":")" +
                kLayerArn + R"(tools:1","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}}})");
  EXPECT_EQ(World::error(
                world.send("POST", policy, R"({"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"*"})")),
            "409 ResourceConflictException: The statement id (s) provided already exists. Please provide a new "
            "statement id, or remove the existing statement.");
  EXPECT_EQ(World::error(world.send("POST", policy + "?RevisionId=old",
                                    R"({"StatementId":"t","Action":"lambda:GetLayerVersion","Principal":"*"})")),
            "412 PreconditionFailedException: The Revision Id provided does not match the latest Revision Id. Call the "
            "GetLayerPolicy API to retrieve the latest Revision Id");
  world.restart();
  auto read = world.send("GET", policy);
  EXPECT_EQ(World::at(read, "RevisionId"), World::at(added, "RevisionId"));
  EXPECT_EQ(World::at(read, "Policy"),
            R"({"Version":"2012-10-17","Id":"default","Statement":[)" + World::at(added, "Statement") + "]}");
  EXPECT_EQ(World::error(world.send("DELETE", policy + "/t")),
            "404 ResourceNotFoundException: Statement t is not found in resource policy.");
  EXPECT_EQ(world.send("DELETE", policy + "/s").status, 204);
  EXPECT_EQ(world.send("GET", policy).status, 404);
  EXPECT_EQ(World::error(world.send("GET", kLayers + "/tools/versions/8/policy")),
            "404 ResourceNotFoundException: Layer version " + kLayerArn + "tools:8 does not exist.");
}

}  // namespace
}  // namespace lambdad::lambda
