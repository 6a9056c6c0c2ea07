#include "package/oci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "package/test_image.h"

namespace lambdad::package {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ImageReference, HasRegistryRepositoryAndTagOrDigest) {
  auto tagged = ImageReference::parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/my_app:v1.2");
  ASSERT_TRUE(tagged) << tagged.error().detail;
  EXPECT_EQ(tagged->registry, "123456789012.dkr.ecr.eu-west-1.amazonaws.com");
  EXPECT_EQ(tagged->repository, "team/my_app");
  EXPECT_EQ(tagged->tag, "v1.2");
  auto both = ImageReference::parse("localhost:5000/a:t@" + kDigest);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->registry, "localhost:5000");
  EXPECT_EQ(both->digest, kDigest);
  EXPECT_EQ(both->str(), "localhost:5000/a:t@" + kDigest);
  EXPECT_EQ(both->resolved(kDigest), "localhost:5000/a@" + kDigest);
}

TEST(ImageReference, RefusesWhatIsIncompleteOrNotWellFormed) {
  for (const std::string& uri :
       {std::string("app:latest"), std::string("host/app"), std::string("host/App:1"), std::string("host/a//b:1"),
        std::string("host/../b:1"), std::string("host/a:"), std::string("host/a:-x"), std::string("/a:1"),
        std::string("ho st/a:1"), std::string("host:port/a:1"), std::string("host/a@sha256:abc"),
        std::string("host/a@md5:") + std::string(32, 'a'), std::string("http://host/a:1"), std::string("host/a___b:1"),
        std::string("host/a.:1"), std::string("user@host/a:1"), std::string()}) {
    EXPECT_FALSE(ImageReference::parse(uri)) << uri;
  }
}

TEST(Manifest, ReadsOciAndDockerAndKeepsToWhatWasDeclared) {
  const TestImage image({"layer one", "layer two"});
  auto manifest = parse_manifest(image.manifest, media_type::kOciManifest);
  ASSERT_TRUE(manifest) << manifest.error().detail;
  EXPECT_FALSE(manifest->is_index());
  EXPECT_EQ(manifest->layers.size(), 2u);
  EXPECT_THAT(manifest->references(),
              ElementsAre(image_digest_of(image.config), image_digest_of("layer one"), image_digest_of("layer two")));
  EXPECT_FALSE(parse_manifest(image.manifest, media_type::kDockerManifest));
  EXPECT_FALSE(parse_manifest(R"({"schemaVersion":1,"fsLayers":[]})"));
  EXPECT_FALSE(parse_manifest(R"({"schemaVersion":2,"layers":[]})"));
  EXPECT_FALSE(parse_manifest(R"({"schemaVersion":2,"mediaType":"text/html"})"));
  EXPECT_FALSE(parse_manifest("[]"));
}

TEST(Manifest, AnIndexIsNotAnImageAtTheSameTime) {
  const std::string both = R"({"schemaVersion":2,"manifests":[],"config":{},"layers":[]})";
  for (auto type : {media_type::kOciIndex, media_type::kOciManifest}) EXPECT_FALSE(parse_manifest(both, type));
}

TEST(Manifest, AnIndexGivesTheImageOfThisMachine) {
  auto entry = [](std::string_view architecture, char digit) {
    return fmt::format(
        R"({{"mediaType":"{}","digest":"sha256:{}","size":1,"platform":{{"os":"linux","architecture":"{}"}}}})",
        media_type::kOciManifest, std::string(64, digit), architecture);
  };
  const std::string_view other = host_image_architecture() == "amd64" ? "arm64" : "amd64";
  auto index =
      parse_manifest(fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}})", media_type::kOciIndex,
                                 entry(other, 'b'), entry(host_image_architecture(), 'c')));
  ASSERT_TRUE(index) << index.error().detail;
  auto chosen = choose_platform(*index);
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->digest, "sha256:" + std::string(64, 'c'));
  index->manifests.pop_back();
  auto none = choose_platform(*index);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().detail, HasSubstr(fmt::format("linux/{}", other)));
}

TEST(ImageConfig, SaysHowTheImageRuns) {
  const TestImage image({}, {{"Entrypoint", json::Array{"/entry", "--x"}},
                             {"Cmd", nullptr},
                             {"Env", json::Array{"A=1", "B=x=y"}},
                             {"WorkingDir", "/work"},
                             {"User", "app"}});
  auto config = parse_image_config(image.config);
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_THAT(config->entrypoint, ElementsAre("/entry", "--x"));
  EXPECT_TRUE(config->command.empty());
  EXPECT_THAT(config->environment, ElementsAre(std::pair("A", "1"), std::pair("B", "x=y")));
  EXPECT_EQ(config->working_directory, "/work");
  EXPECT_FALSE(parse_image_config(R"({"rootfs":{"diff_ids":[]},"config":{"Env":["=x"]}})"));
  EXPECT_FALSE(parse_image_config(R"({"rootfs":{"diff_ids":["md5:1"]}})"));
  EXPECT_FALSE(parse_image_config(R"({"rootfs":{"diff_ids":[]},"config":{"Cmd":["a\u0000b"]}})"));
}

TEST(ImageConfig, MustFitMachineAndManifest) {
  auto judge = [](const TestImage& image) {
    return check_runnable(*parse_manifest(image.manifest), *parse_image_config(image.config));
  };
  EXPECT_TRUE(judge(TestImage({"one"})));
  EXPECT_FALSE(judge(TestImage({"one"}, {}, "s390x")));
  TestImage fewer({"one"});
  fewer.config = TestImage({}).config;
  EXPECT_FALSE(judge(fewer));
}

}  // namespace
}  // namespace lambdad::package
