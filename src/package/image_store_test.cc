#include "package/image_store.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "package/test_image.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::package {
namespace {

namespace fs = std::filesystem;

class ImageStoreTest : public ::testing::Test {
 protected:
  ImageStoreTest() : sim_(test_seed()) { start(); }
  ~ImageStoreTest() override { stop(); }
  void start() {
    store_ = std::make_unique<ImageStore>(sim_.system(), null_logger(), sim_.directory() + "/images");
    store_->add_roots([this](ImageStore::Roots& roots) {
      roots.images.insert(functions_.begin(), functions_.end());
      roots.manifests.insert(tagged_.begin(), tagged_.end());
    });
    auto started = sim_.run(store_->start());
    ASSERT_TRUE(started) << started.error().detail;
    collect();
  }
  void stop() {
    sim_.run(store_->stop());
    store_.reset();
  }
  std::string put(const TestImage& image) {
    for (const std::string& blob : image.layers) EXPECT_TRUE(store_->blobs().put(blob));
    EXPECT_TRUE(store_->blobs().put(image.config));
    EXPECT_TRUE(store_->blobs().put(image.manifest));
    return image.digest();
  }
  void collect() {
    store_->collect_later();
    sim_.run(store_->settle());
  }
  std::size_t count(const std::string& folder) {
    std::size_t found = 0;
    for (const auto& entry : fs::directory_iterator(sim_.directory() + "/images/" + folder)) {
      found += entry.path().filename().string().starts_with(".") ? 0 : 1;
    }
    return found;
  }
  static std::string layer(const std::string& path, std::string_view body) {
    TestTar tar;
    tar.file(path, body);
    return tar.bytes();
  }
  SimSystem sim_;
  std::set<std::string> functions_;
  std::set<std::string> tagged_;
  std::unique_ptr<ImageStore> store_;
};

TEST_F(ImageStoreTest, UnpacksOnceAndForEverybody) {
  functions_ = {put(TestImage({layer("a", "1"), layer("b", "2")}, {{"Cmd", json::Array{"/a"}}}))};
  auto first = sim_.run(store_->unpacked(*functions_.begin()));
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_TRUE(fs::exists(first->directory + "/a"));
  EXPECT_TRUE(fs::exists(first->directory + "/b"));
  EXPECT_TRUE(fs::is_directory(first->directory + "/proc"));
  EXPECT_EQ(first->config.command, std::vector<std::string>{"/a"});
  std::ofstream(first->directory + "/mark");
  auto second = sim_.run(store_->unpacked(*functions_.begin()));
  ASSERT_TRUE(second);
  EXPECT_TRUE(fs::exists(second->directory + "/mark"));
  stop();
  start();
  EXPECT_TRUE(fs::exists(first->directory + "/mark")) << "kept across a restart within one boot";
}

TEST_F(ImageStoreTest, RemovesWhatNobodyNames) {
  const std::string shared = layer("shared", "s");
  const std::string one = put(TestImage({shared, layer("1", "1")}));
  const std::string two = put(TestImage({shared, layer("2", "2")}));
  ASSERT_TRUE(store_->blobs().put("an orphan"));
  functions_ = {one};
  tagged_ = {two};
  ASSERT_TRUE(sim_.run(store_->unpacked(one)));
  ASSERT_TRUE(sim_.run(store_->unpacked(two)));
  collect();
  EXPECT_EQ(count("blobs/sha256"), 7u);
  EXPECT_EQ(count("trees"), 1u) << "a tree is for functions only";
  auto running = sim_.run(store_->unpacked(one));
  functions_.clear();
  collect();
  EXPECT_EQ(count("trees"), 1u) << "an environment still uses it";
  EXPECT_EQ(count("blobs/sha256"), 7u);
  running->image.reset();
  sim_.run(store_->settle());
  EXPECT_EQ(count("trees"), 0u);
  EXPECT_EQ(count("blobs/sha256"), 4u);
  tagged_.clear();
  collect();
  EXPECT_EQ(count("blobs/sha256"), 0u);
}

TEST_F(ImageStoreTest, ABlobThatIsHeldStays) {
  auto stored = store_->blobs().put("on its way");
  ASSERT_TRUE(stored);
  collect();
  EXPECT_TRUE(store_->blobs().has(stored->digest));
  const std::string digest = stored->digest;
  stored->hold = {};
  collect();
  EXPECT_FALSE(store_->blobs().has(digest));
}

TEST_F(ImageStoreTest, ABlobIsWhatItsDigestSays) {
  auto writer = store_->blobs().begin();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->append("some"));
  ASSERT_TRUE((*writer)->append("thing"));
  auto wrong = (*writer)->finish(image_digest_of("else"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::kConflict);
  writer->reset();
  EXPECT_EQ(count("blobs/partial"), 0u);
  auto stored = store_->blobs().put("something");
  ASSERT_TRUE(stored);
  std::ofstream(store_->blobs().path(stored->digest)) << "damaged!!";
  auto read = store_->blobs().read(stored->digest, 100);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kCorrupt);
}

TEST_F(ImageStoreTest, AnImageThatCannotRunSaysWhy) {
  const std::string other = put(TestImage({layer("a", "1")}, {}, "s390x"));
  auto judged = sim_.run(store_->inspect(other));
  ASSERT_FALSE(judged);
  EXPECT_THAT(judged.error().detail, ::testing::HasSubstr("s390x"));
  TestImage lacking({layer("b", "2")});
  const std::string layer_bytes = std::exchange(lacking.layers, {}).front();
  functions_ = {put(lacking)};
  auto unpacked = sim_.run(store_->unpacked(lacking.digest()));
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code, Errc::kNotFound);
  ASSERT_TRUE(store_->blobs().put(layer_bytes));
  EXPECT_TRUE(sim_.run(store_->unpacked(lacking.digest()))) << "a second try begins anew";
}

}  // namespace
}  // namespace lambdad::package
