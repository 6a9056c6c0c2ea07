#include "services/lambda/images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "package/test_image.h"
#include "services/lambda/test_world.h"

namespace lambdad::lambda {
namespace {

using package::TestImage;
using package::TestTar;
using ::testing::HasSubstr;

constexpr std::string_view kHost = "111122223333.dkr.ecr.us-east-1.amazonaws.com";

/// Knows one repository, "app".
struct FakeRegistry final : package::EmbeddedRegistry {
  bool serves(const std::string& registry) const override { return registry == kHost; }
  Result<std::string> find(const package::ImageReference& image, const std::string&,
                           const std::string&) const override {
    if (!image.digest.empty()) return image.digest;
    const auto place = tags.find(image.tag);
    if (image.repository != "app" || place == tags.end()) return fail(Errc::kNotFound, "no image {}", image.str());
    return place->second;
  }
  std::map<std::string, std::string> tags;
};

class LambdaImagesTest : public ::testing::Test {
 protected:
  LambdaImagesTest()
      : store_(world_.sim.system(), null_logger(), world_.sim.directory() + "/images"),
        sources_(world_.sim.system(), null_logger(), store_) {
    EXPECT_TRUE(world_.run(store_.start()));
    sources_.set_embedded(&registry_);
    store_.add_roots([this](package::ImageStore::Roots& roots) {
      for (const auto& [tag, digest] : registry_.tags) roots.manifests.insert(digest);
    });
    world_.service->set_images(sources_);
  }
  ~LambdaImagesTest() override {
    world_.settle();
    world_.stop();
    world_.run(sources_.stop());
    world_.run(store_.stop());
  }
  std::string put(const TestImage& image, const std::string& tag) {
    for (const std::string& blob : image.layers) EXPECT_TRUE(store_.blobs().put(blob));
    EXPECT_TRUE(store_.blobs().put(image.config));
    EXPECT_TRUE(store_.blobs().put(image.manifest));
    return registry_.tags[tag] = image.digest();
  }
  static std::string layer(const std::string& path) {
    TestTar tar;
    tar.file(path, "x");
    return tar.bytes();
  }
  static std::string uri(std::string_view tag) { return fmt::format("{}/app:{}", kHost, tag); }
  static json::Object creation(const std::string& name, const std::string& image, json::Object more = {}) {
    json::Object object{{"FunctionName", name},
                        {"PackageType", "Image"},
                        {"Role", "arn:aws:iam::111122223333:role/r"},
                        {"Code", json::Object{{"ImageUri", image}}}};
    for (auto& [key, value] : more) object.set(key, value);
    return object;
  }
  http::Response create(json::Object document) {
    return world_.send("POST", "/2015-03-31/functions", json::serialize(json::Value(std::move(document))));
  }
  json::Value get(const std::string& name) { return World::parse(world_.send("GET", "/2015-03-31/functions/" + name)); }
  static std::string text(const json::Value& value, std::string_view key) {
    const json::Value* found = value.find(key);
    return found != nullptr && found->if_string() != nullptr ? *found->if_string() : "";
  }

  World world_;
  package::ImageStore store_;
  FakeRegistry registry_;
  package::ImageSources sources_;
};

TEST_F(LambdaImagesTest, AnImageIsTheCodeOfAFunction) {
  const std::string digest = put(TestImage({layer("a")}), "v1");
  auto created = create(creation("f", uri("v1"), {{"ImageConfig", json::Object{{"Command", json::Array{"x", "y"}}}}}));
  ASSERT_EQ(created.status, 201) << created.body;
  const auto answer = World::parse(created);
  EXPECT_EQ(text(answer, "State"), "Pending");
  EXPECT_EQ(text(answer, "PackageType"), "Image");
  EXPECT_EQ(text(answer, "CodeSha256"), package::digest_hex(digest));
  for (const char* absent : {"Runtime", "Handler", "RuntimeVersionConfig"}) EXPECT_EQ(answer.find(absent), nullptr);
  EXPECT_THAT(created.body, HasSubstr(R"("ImageConfigResponse":{"ImageConfig":{"Command":["x","y"]}})"));
  world_.settle();
  const auto found = get("f");
  EXPECT_EQ(text(*found.find("Configuration"), "State"), "Active");
  EXPECT_EQ(text(*found.find("Code"), "RepositoryType"), "ECR");
  EXPECT_EQ(text(*found.find("Code"), "ImageUri"), uri("v1"));
  EXPECT_EQ(text(*found.find("Code"), "ResolvedImageUri"), fmt::format("{}/app@{}", kHost, digest));
  auto version = world_.service->catalog().resolve({std::string(kTestAccount), "us-east-1", "f", ""});
  ASSERT_TRUE(version);
  ASSERT_TRUE((*version)->image);
  EXPECT_EQ((*version)->image->command, (std::vector<std::string>{"x", "y"}));
  EXPECT_FALSE((*version)->image->entry_point);
}

TEST_F(LambdaImagesTest, AFunctionKeepsItsImageUntilItIsDeleted) {
  const std::string digest = put(TestImage({layer("a")}), "v1");
  create(creation("f", uri("v1")));
  world_.settle();
  registry_.tags.clear();
  auto running = world_.service->catalog().resolve({std::string(kTestAccount), "us-east-1", "f", ""});
  store_.collect_later();
  world_.run(store_.settle());
  EXPECT_TRUE(store_.blobs().has(digest));
  EXPECT_EQ(world_.send("DELETE", "/2015-03-31/functions/f").status, 204);
  world_.run(store_.settle());
  EXPECT_TRUE(store_.blobs().has(digest)) << "an environment still runs it";
  running = std::unexpected(ports::ResolveFailure::kNoSuchFunction);
  world_.run(store_.settle());
  EXPECT_FALSE(store_.blobs().has(digest));
}

TEST_F(LambdaImagesTest, AVersionKeepsItsImageWhenLatestHasAnother) {
  const std::string first = put(TestImage({layer("a")}), "v1");
  create(creation("f", uri("v1"), {{"Publish", true}}));
  world_.settle();
  put(TestImage({layer("b")}), "v2");
  world_.send("PUT", "/2015-03-31/functions/f/code",
              json::serialize(json::Value(json::Object{{"ImageUri", uri("v2")}})));
  world_.settle();
  registry_.tags.clear();
  store_.collect_later();
  world_.run(store_.settle());
  EXPECT_TRUE(store_.blobs().has(first));
  auto version = world_.service->catalog().resolve({std::string(kTestAccount), "us-east-1", "f", "1"});
  ASSERT_TRUE(version);
  EXPECT_EQ(package::digest_from_hex((*version)->code_sha256), first);
  version = std::unexpected(ports::ResolveFailure::kNoSuchFunction);
  EXPECT_EQ(world_.send("DELETE", "/2015-03-31/functions/f?Qualifier=1").status, 204);
  world_.run(store_.settle());
  EXPECT_FALSE(store_.blobs().has(first));
}

TEST_F(LambdaImagesTest, ABadImageFailsTheFunctionAndLeavesTheOldOneServing) {
  put(TestImage({layer("a")}), "good");
  put(TestImage({layer("../../escape")}), "bad");
  create(creation("f", uri("good")));
  world_.settle();
  auto updated = world_.send("PUT", "/2015-03-31/functions/f/code",
                             json::serialize(json::Value(json::Object{{"ImageUri", uri("bad")}})));
  EXPECT_EQ(updated.status, 200) << updated.body;
  world_.settle();
  const auto found = get("f");
  const json::Value& configuration = *found.find("Configuration");
  EXPECT_EQ(text(configuration, "State"), "Active");
  EXPECT_EQ(text(configuration, "LastUpdateStatus"), "Failed");
  EXPECT_EQ(text(configuration, "LastUpdateStatusReasonCode"), "InvalidImage");
  EXPECT_TRUE(world_.service->catalog().resolve({std::string(kTestAccount), "us-east-1", "f", ""}));
}

TEST_F(LambdaImagesTest, WhatIsNotThereOrCannotRunIsRefusedWithTheWordsOfAws) {
  put(TestImage({layer("a")}, {}, "s390x"), "other");
  const std::pair<std::string, std::string> cases[] = {
      {uri("none"), fmt::format("Source image {} does not exist. Provide a valid source image.", uri("none"))},
      {fmt::format("{}/app", kHost), "is not valid. Provide a valid source image."},
      {uri("other"), "is not supported. (the image is for linux/s390x"},
  };
  for (const auto& [image, words] : cases) {
    auto response = create(creation("f", image));
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr(words));
  }
  EXPECT_THAT(create(creation("f", uri("other"),
                              {{"CodeSigningConfigArn",
                                "arn:aws:lambda:us-east-1:111122223333:code-signing-config:csc-0123456789abcdef0"}}))
                  .body,
              HasSubstr("Code signing is not supported for functions with packageType Image."));
  EXPECT_THAT(create(creation("f", uri("other"), {{"Handler", "a.b"}})).body,
              HasSubstr("Please don't provide Handler or Runtime or Layer"));
}

TEST(ImageErrors, ARegistryThatIsAwayIsTriedSomeTimesAndABadImageOnce) {
  Settings image;
  image.image.emplace();
  const Settings zip;
  EXPECT_FALSE(is_final({Errc::kUnavailable, ""}, image, 4));
  EXPECT_TRUE(is_final({Errc::kUnavailable, ""}, image, 5));
  EXPECT_FALSE(is_final({Errc::kUnavailable, ""}, zip, 100)) << "the disk of this machine is waited for";
  EXPECT_TRUE(is_final({Errc::kInvalid, ""}, zip, 1));
  EXPECT_EQ(state_reason_code({Errc::kDenied, ""}, image), "ImageAccessDenied");
  EXPECT_EQ(state_reason_code({Errc::kConflict, ""}, image), "InvalidImage");
  EXPECT_EQ(state_reason_code({Errc::kInvalid, ""}, zip), "InvalidZipFileException");
}

TEST(ImageSettingsDocument, ComesBackAsItWasStored) {
  ImageSettings image{.uri = "h/a:1", .resolved_uri = "h/a@x"};
  EXPECT_EQ(image_from_document(image_document(image)).value(), image);
  image.config = ports::ImageOverrides{.command = std::vector<std::string>{}, .working_directory = "/w"};
  EXPECT_EQ(image_from_document(image_document(image)).value(), image);
  EXPECT_FALSE(image_from_document(json::Object{{"uri", "x"}}));
}

}  // namespace
}  // namespace lambdad::lambda
