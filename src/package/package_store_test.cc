#include "package/package_store.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/hash.h"
#include "package/test_zip.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::package {
namespace {

namespace fs = std::filesystem;

class PackageStoreTest : public ::testing::Test {
 protected:
  PackageStoreTest() : sim(test_seed()), blobs(sim.files(), sim.directory() + "/blobs") { open(); }
  ~PackageStoreTest() override { close(); }
  void open() {
    store = std::make_unique<PackageStore>(sim.system(), null_logger(), blobs, directory());
    store->set_in_use([this](const std::string& sha256) { return named.contains(sha256); });
    auto started = sim.run(store->start());
    ASSERT_TRUE(started) << started.error().detail;
  }
  void close() {
    if (store == nullptr) return;
    sim.run(store->stop());
    store.reset();
  }
  std::string directory() { return sim.directory() + "/packages"; }
  bool tree_exists(const std::string& sha256) { return fs::exists(directory() + "/" + sha256); }
  static std::string zip(std::string_view content = "x") { return TestZip().file("app.py", content).bytes(); }

  SimSystem sim;
  store::Blobs blobs;
  std::set<std::string> named;
  std::unique_ptr<PackageStore> store;
};

TEST_F(PackageStoreTest, UnpacksOnceAndByContent) {
  auto ref = sim.run(store->put(zip()));
  ASSERT_TRUE(ref) << ref.error().detail;
  EXPECT_EQ(ref->package->sha256, hex_encode(sha256(zip())));
  auto first = sim.run(store->unpacked(ref->package->sha256));
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(first->directory, directory() + "/" + ref->package->sha256);
  std::ofstream(first->directory + "/mark") << "kept";
  auto second = sim.run(store->unpacked(ref->package->sha256));
  ASSERT_TRUE(second);
  EXPECT_TRUE(fs::exists(second->directory + "/mark"));
}

Async<void> unpack_into(PackageStore* store, std::string sha256, int* succeeded) {
  auto unpacked = co_await store->unpacked(std::move(sha256));
  if (unpacked) ++*succeeded;
}

TEST_F(PackageStoreTest, ConcurrentRequestsShareTheWork) {
  auto ref = sim.run(store->put(zip()))->package;
  TaskGroup tasks(sim.loop());
  int succeeded = 0;
  for (int i = 0; i < 10; ++i) tasks.spawn("unpack", unpack_into(store.get(), ref->sha256, &succeeded));
  sim.run(tasks.drain());
  EXPECT_EQ(succeeded, 10);
  for (const auto& entry : fs::directory_iterator(directory())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".unpacking")) << entry.path();
  }
}

TEST_F(PackageStoreTest, ReleasedPackagesGoWhenNobodyNeedsThem) {
  auto ref = sim.run(store->put(zip()))->package;
  const std::string sha256 = ref->sha256;
  auto unpacked = *sim.run(store->unpacked(sha256));
  store->release(sha256);
  sim.run(store->settle());
  EXPECT_TRUE(tree_exists(sha256));
  ref.reset();
  sim.run(store->settle());
  EXPECT_TRUE(tree_exists(sha256)) << "an environment still holds it";
  unpacked.package.reset();
  sim.run(store->settle());
  EXPECT_FALSE(tree_exists(sha256));
  EXPECT_EQ(sim.run(store->zip(sha256)).error().code, Errc::kNotFound);
}

TEST_F(PackageStoreTest, APackageThatARowNamesStays) {
  auto ref = sim.run(store->put(zip()))->package;
  const std::string sha256 = ref->sha256;
  named.insert(sha256);
  store->release(sha256);
  ref.reset();
  sim.run(store->settle());
  EXPECT_TRUE(sim.run(store->zip(sha256)));
}

TEST_F(PackageStoreTest, DroppingARefWithoutReleaseRemovesNothing) {
  auto ref = sim.run(store->put(zip()))->package;
  const std::string sha256 = ref->sha256;
  ref.reset();
  sim.run(store->settle());
  EXPECT_TRUE(sim.run(store->zip(sha256)));
}

TEST_F(PackageStoreTest, StartDropsHalfMadeAndUnknownTreesAndKeepsTheRest) {
  auto kept = sim.run(store->put(zip("kept")))->package;
  auto unknown = sim.run(store->put(zip("unknown")))->package;
  ASSERT_TRUE(sim.run(store->unpacked(kept->sha256)));
  ASSERT_TRUE(sim.run(store->unpacked(unknown->sha256)));
  fs::create_directories(directory() + "/.unpacking-0123");
  std::ofstream(directory() + "/" + kept->sha256 + "/mark") << "kept";
  named.insert(kept->sha256);
  close();
  open();
  EXPECT_TRUE(fs::exists(directory() + "/" + kept->sha256 + "/mark"));
  EXPECT_FALSE(tree_exists(unknown->sha256));
  EXPECT_FALSE(fs::exists(directory() + "/.unpacking-0123"));
}

TEST_F(PackageStoreTest, TreesOfAnEarlierBootAreMadeAgain) {
  auto ref = sim.run(store->put(zip()))->package;
  named.insert(ref->sha256);
  ASSERT_TRUE(sim.run(store->unpacked(ref->sha256)));
  std::ofstream(directory() + "/.boot_id") << "another boot";
  close();
  open();
  EXPECT_FALSE(tree_exists(ref->sha256));
  EXPECT_TRUE(sim.run(store->unpacked(ref->sha256)));
  EXPECT_TRUE(fs::exists(directory() + "/" + ref->sha256 + "/app.py"));
}

TEST_F(PackageStoreTest, WhatCannotBeUnpackedLeavesNothingBehind) {
  auto ref = sim.run(store->put(TestZip().file("a", "1").add("b", "data", {.crc_change = 1}).bytes()));
  ASSERT_TRUE(ref);
  auto unpacked = sim.run(store->unpacked(ref->package->sha256));
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code, Errc::kInvalid);
  EXPECT_FALSE(tree_exists(ref->package->sha256));
  for (const auto& entry : fs::directory_iterator(directory())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".unpacking")) << entry.path();
  }
}

TEST_F(PackageStoreTest, MergedTreesAreMadeOncePerListAndGoWhenNobodyNamesThem) {
  const auto below = sim.run(store->put(TestZip().file("a", "1").file("both", "below").bytes()))->package->sha256;
  const auto above = sim.run(store->put(TestZip().file("b", "2").file("both", "above").bytes()))->package->sha256;
  const std::string name = PackageStore::merged_name({below, above});
  named = {below, above, name};
  auto merged = sim.run(store->merged({below, above}));
  ASSERT_TRUE(merged) << merged.error().detail;
  EXPECT_EQ(merged->directory, directory() + "/" + name);
  std::ifstream both(merged->directory + "/both");
  std::string content;
  both >> content;
  EXPECT_EQ(content, "above");
  EXPECT_EQ(fs::hard_link_count(merged->directory + "/a"), 2u);
  EXPECT_NE(PackageStore::merged_name({above, below}), name);
  EXPECT_EQ(PackageStore::merged_name({below}), below);
  close();
  open();
  EXPECT_TRUE(tree_exists(name));
  named.erase(name);
  merged = sim.run(store->merged({below, above}));
  store->release(name);
  merged = fail(Errc::kClosed, "let go");
  sim.run(store->settle());
  EXPECT_FALSE(tree_exists(name));
  EXPECT_TRUE(tree_exists(below));
}

TEST_F(PackageStoreTest, RefusedZipsAreNotStored) {
  auto refused = sim.run(store->put(TestZip().file("../evil", "1").bytes()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_FALSE(fs::exists(sim.directory() + "/blobs"));
}

TEST_F(PackageStoreTest, NamesThatAreNoDigestsAreRefused) {
  EXPECT_EQ(sim.run(store->unpacked("../../etc")).error().code, Errc::kInvalid);
  EXPECT_EQ(sim.run(store->unpacked(std::string(64, 'a'))).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace lambdad::package
