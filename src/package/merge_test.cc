#include "package/merge.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "system/files.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::package {
namespace {

namespace fs = std::filesystem;

class MergeTest : public testing::Test {
 protected:
  MergeTest() { fs::create_directories(out()); }
  std::string tree(const std::string& name) { return sim_.directory() + "/" + name; }
  std::string out() { return tree("out"); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  SimSystem sim_{test_seed()};
};

TEST_F(MergeTest, JoinsDirectoriesAndLetsTheLaterFileWin) {
  write(tree("a/python/one.py"), "a1");
  write(tree("a/python/both.py"), "a");
  write(tree("b/python/both.py"), "b");
  write(tree("b/bin/tool"), "b2");
  ASSERT_TRUE(merge_trees({tree("a"), tree("b")}, out()));
  EXPECT_EQ(read(out() + "/python/one.py"), "a1");
  EXPECT_EQ(read(out() + "/python/both.py"), "b");
  EXPECT_EQ(read(out() + "/bin/tool"), "b2");
  EXPECT_EQ(read(tree("a/python/both.py")), "a");
}

TEST_F(MergeTest, SharesTheFilesInsteadOfCopyingThem) {
  write(tree("a/f"), "x");
  ASSERT_TRUE(merge_trees({tree("a")}, out()));
  EXPECT_EQ(fs::hard_link_count(out() + "/f"), 2u);
}

TEST_F(MergeTest, ADirectoryReplacesAFileAndTheOtherWayRound) {
  write(tree("a/x"), "file");
  write(tree("a/y/deep/er"), "directory");
  write(tree("b/x/inside"), "directory");
  write(tree("b/y"), "file");
  ASSERT_TRUE(merge_trees({tree("a"), tree("b")}, out()));
  EXPECT_EQ(read(out() + "/x/inside"), "directory");
  EXPECT_EQ(read(out() + "/y"), "file");
}

TEST_F(MergeTest, WritesThroughNoSymbolicLink) {
  write(tree("outside/precious"), "kept");
  fs::create_directories(tree("a"));
  fs::create_directory_symlink(tree("outside"), tree("a/lib"));
  write(tree("b/lib/precious"), "from b");
  ASSERT_TRUE(merge_trees({tree("a"), tree("b")}, out()));
  EXPECT_EQ(read(tree("outside/precious")), "kept");
  EXPECT_FALSE(fs::is_symlink(out() + "/lib"));
  EXPECT_EQ(read(out() + "/lib/precious"), "from b");
}

TEST_F(MergeTest, KeepsLinksAsTheyAre) {
  fs::create_directories(tree("a"));
  fs::create_symlink("target", tree("a/link"));
  ASSERT_TRUE(merge_trees({tree("a")}, out()));
  EXPECT_EQ(fs::read_symlink(out() + "/link"), "target");
}

TEST_F(MergeTest, ATreeThatIsNotThereIsAnError) {
  auto merged = merge_trees({tree("nowhere")}, out());
  ASSERT_FALSE(merged);
  EXPECT_EQ(merged.error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace lambdad::package
