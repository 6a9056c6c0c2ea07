#include "package/image_unpack.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "package/test_image.h"

namespace lambdad::package {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

/// A directory to unpack into, with neighbours that must stay as they are.
class ImageUnpackTest : public ::testing::Test {
 protected:
  ImageUnpackTest() {
    std::string pattern = (fs::temp_directory_path() / "lambdad-image-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    fs::create_directory(root());
    fs::create_directory(base_ / "neighbour");
    std::ofstream(base_ / "neighbour/file") << "untouched";
    open();
  }
  ~ImageUnpackTest() override {
    EXPECT_EQ(read(base_ / "neighbour/file"), "untouched");
    std::size_t beside = 0;
    for ([[maybe_unused]] const auto& entry : fs::recursive_directory_iterator(base_ / "neighbour")) ++beside;
    EXPECT_EQ(beside, 1u) << "something was written beside the image";
    fs::remove_all(base_);
  }
  void open(ImageLimits limits = {}) {
    auto opened = ImageUnpacker::open(root().string(), limits);
    ASSERT_TRUE(opened) << opened.error().detail;
    unpacker_ = std::move(*opened);
  }
  fs::path root() const { return base_ / "root"; }
  static std::string read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  static mode_t mode(const fs::path& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  Result<void> apply(TestTar& tar, const std::string& diff_id = {}) {
    const fs::path file = base_ / "layer";
    std::ofstream(file, std::ios::binary | std::ios::trunc) << tar.bytes();
    auto applied = unpacker_->apply(file.string(), diff_id);
    fs::remove(file);
    return applied;
  }
  void expect_applied(TestTar& tar) {
    auto applied = apply(tar);
    ASSERT_TRUE(applied) << applied.error().detail;
  }
  void expect_refused(TestTar& tar, Errc code, std::string_view reason) {
    auto applied = apply(tar);
    ASSERT_FALSE(applied);
    EXPECT_EQ(applied.error().code, code) << applied.error().detail;
    EXPECT_THAT(applied.error().detail, HasSubstr(std::string(reason)));
  }
  std::vector<std::string> names(const fs::path& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(root() / directory)) found.push_back(entry.path().filename());
    return found;
  }
  fs::path base_;
  std::unique_ptr<ImageUnpacker> unpacker_;
};

TEST_F(ImageUnpackTest, KeepsFilesLinksModesAndTimes) {
  const mode_t before = ::umask(0077);
  TestTar tar;
  tar.directory("./usr", 0755).file("./usr/run", "#!", 04755).file("implied/parent", "x", 0640, 1'700'000'000);
  tar.symlink("bin", "/usr").symlink("dangling", "../../nowhere").hardlink("again", "usr/run");
  auto applied = apply(tar);
  ::umask(before);
  ASSERT_TRUE(applied) << applied.error().detail;
  EXPECT_EQ(read(root() / "usr/run"), "#!");
  EXPECT_EQ(mode(root() / "usr/run"), 0755u) << "the set-user-id bit goes";
  EXPECT_EQ(mode(root() / "usr"), 0755u);
  EXPECT_EQ(mode(root() / "implied"), 0755u);
  EXPECT_EQ(mode(root() / "implied/parent"), 0640u);
  struct stat status{};
  ASSERT_EQ(::stat((root() / "implied/parent").c_str(), &status), 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'700'000'000);
  EXPECT_EQ(fs::read_symlink(root() / "bin"), "/usr");
  EXPECT_EQ(fs::read_symlink(root() / "dangling"), "../../nowhere");
  EXPECT_TRUE(fs::equivalent(root() / "again", root() / "usr/run"));
}

TEST_F(ImageUnpackTest, ReadsGzipAndZstdAndComparesTheTarWithItsDigest) {
  TestTar plain;
  plain.file("f", "content");
  const std::string diff_id = image_digest_of(plain.bytes());
  for (auto filter : {TestTar::Filter::kGzip, TestTar::Filter::kZstd}) {
    TestTar packed(filter);
    packed.file("f", "content");
    auto applied = apply(packed, diff_id);
    EXPECT_TRUE(applied) << applied.error().detail;
  }
  TestTar other;
  other.file("f", "Content");
  auto applied = apply(other, diff_id);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Errc::kConflict);
}

TEST_F(ImageUnpackTest, ALinkNeverLeadsAWriteOutOfTheTree) {
  TestTar lower;
  lower.symlink("up", "../neighbour").symlink("absolute", "/neighbour").symlink("deep", "up");
  lower.directory("neighbour");
  expect_applied(lower);
  TestTar upper;
  upper.file("up/file", "written").file("absolute/other", "written").file("deep/third", "written");
  expect_applied(upper);
  // As for a program that has the tree as its root.
  EXPECT_THAT(names("neighbour"), UnorderedElementsAre("file", "other", "third"));
}

TEST_F(ImageUnpackTest, ALinkAndTheFileBehindItInOneLayerAreNoWayOut) {
  TestTar tar;
  tar.symlink("x", "../neighbour/file").file("x", "replaced");
  expect_applied(tar);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(root() / "x")));
  TestTar dangling;
  dangling.symlink("y", "../neighbour/new").file("y/z", "through");
  expect_refused(dangling, Errc::kInvalid, "y");
}

TEST_F(ImageUnpackTest, AbsoluteNamesMeanTheTreeAndDotDotIsRefused) {
  TestTar absolute;
  absolute.file("/etc//passwd", "mine").file("./././a", "a");
  expect_applied(absolute);
  EXPECT_EQ(read(root() / "etc/passwd"), "mine");
  EXPECT_EQ(read(root() / "a"), "a");
  for (const char* name : {"../neighbour/file", "a/../../neighbour/file", "..", "a/.."}) {
    TestTar tar;
    tar.file(name, "written");
    expect_refused(tar, Errc::kInvalid, "'..'");
  }
}

TEST_F(ImageUnpackTest, HardLinksStayInsideAndNameWhatIsThere) {
  TestTar outside;
  outside.hardlink("stolen", "/../neighbour/file");
  expect_refused(outside, Errc::kInvalid, "'..'");
  TestTar through_link;
  through_link.symlink("up", "..").hardlink("stolen", "up/neighbour/file");
  expect_refused(through_link, Errc::kInvalid, "leads to nothing");
  TestTar of_link;
  of_link.symlink("target", "../neighbour/file").hardlink("alias", "target").file("alias", "mine");
  expect_applied(of_link);
  EXPECT_EQ(read(root() / "alias"), "mine");
  TestTar directory;
  directory.directory("d").hardlink("e", "d");
  expect_refused(directory, Errc::kInvalid, "hard link to a directory");
}

TEST_F(ImageUnpackTest, DevicesPipesAndSocketsAreDropped) {
  TestTar tar;
  tar.node("dev/sda", S_IFBLK).node("dev/tty", S_IFCHR).node("pipe", S_IFIFO).file("f", "");
  expect_applied(tar);
  auto report = unpacker_->finish();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->dropped, 3u);
  EXPECT_FALSE(fs::exists(root() / "pipe"));
  EXPECT_TRUE(fs::is_empty(root() / "dev"));
}

TEST_F(ImageUnpackTest, WhiteoutsHideLowerLayersOnly) {
  TestTar lower;
  lower.file("a/one", "1").file("a/two", "2").file("b", "b").file("keep", "k").file("d/x/y", "y");
  expect_applied(lower);
  TestTar upper;
  // What this layer writes stays, before and behind its whiteouts.
  upper.file("a/two", "new").file("a/.wh.one", "").file("a/.wh.two", "").file(".wh.b", "").file("d/.wh.x", "");
  upper.file(".wh.never", "").file("no/such/.wh.thing", "");
  expect_applied(upper);
  EXPECT_THAT(names("a"), UnorderedElementsAre("two"));
  EXPECT_EQ(read(root() / "a/two"), "new");
  EXPECT_THAT(names(""), UnorderedElementsAre("a", "keep", "d"));
  EXPECT_TRUE(fs::is_empty(root() / "d"));
}

TEST_F(ImageUnpackTest, AnOpaqueDirectoryShowsItsOwnLayerOnly) {
  TestTar lower;
  lower.file("d/old", "old").file("d/sub/old", "old").file("d/sub/deep/old", "old").file("outside", "o");
  expect_applied(lower);
  TestTar upper;
  upper.file("d/new", "new").file("d/sub/new", "new").file("d/.wh..wh..opq", "").file("d/late", "late");
  expect_applied(upper);
  EXPECT_THAT(names("d"), UnorderedElementsAre("new", "sub", "late"));
  EXPECT_THAT(names("d/sub"), UnorderedElementsAre("new"));
  EXPECT_TRUE(fs::exists(root() / "outside"));
}

TEST_F(ImageUnpackTest, WhiteoutsAreNoWayOut) {
  TestTar lower;
  lower.symlink("up", "../neighbour").symlink("absolute", "/neighbour");
  expect_applied(lower);
  TestTar upper;
  upper.file("up/.wh.file", "").file("absolute/.wh..wh..opq", "").file("up/.wh..wh.plnk", "");
  expect_applied(upper);
  for (const char* name : {".wh...", ".wh..", ".wh."}) {
    TestTar tar;
    tar.file(name, "");
    expect_refused(tar, Errc::kInvalid, "hides no name");
  }
  // The link itself goes, not what it leads to.
  TestTar link;
  link.file(".wh.up", "");
  expect_applied(link);
  EXPECT_FALSE(fs::is_symlink(root() / "up"));
}

TEST_F(ImageUnpackTest, ALaterEntryReplacesAnEarlierOne) {
  TestTar lower;
  lower.file("file", "1").file("tree/a/b", "1").directory("kept", 0700).file("kept/inside", "1").symlink("lib", "kept");
  expect_applied(lower);
  TestTar upper;
  upper.directory("file").file("tree", "2").directory("kept", 0750).directory("lib").file("lib/own", "2");
  upper.file("twice", "first").file("twice", "second");
  expect_applied(upper);
  EXPECT_TRUE(fs::is_directory(root() / "file"));
  EXPECT_EQ(read(root() / "tree"), "2");
  EXPECT_EQ(read(root() / "kept/inside"), "1");
  EXPECT_EQ(mode(root() / "kept"), 0750u);
  EXPECT_FALSE(fs::is_symlink(root() / "lib"));
  EXPECT_EQ(read(root() / "twice"), "second");
}

TEST_F(ImageUnpackTest, LimitsHoldForBytesEntriesAndDepth) {
  open({.unpacked_bytes_max = 64 * 1024});
  TestTar bomb(TestTar::Filter::kGzip);
  bomb.file("zeros", std::string(1 << 20, '\0'));
  ASSERT_LT(bomb.bytes().size(), 8192u);
  expect_refused(bomb, Errc::kTooLarge, "limit");
  open({.nodes_max = 2});
  TestTar many;
  many.file("a", "").file("b", "").file("c", "");
  expect_refused(many, Errc::kTooLarge, "more than 2 entries");
  open({.depth_max = 5});
  TestTar deep;
  deep.file("1/2/3/4/5/6", "");
  expect_refused(deep, Errc::kInvalid, "nested");
  // Links of its own do not lead deeper either.
  open({.depth_max = 5});
  TestTar linked;
  linked.directory("p/q/r").symlink("l", "p/q/r").directory("l/s/t");
  expect_applied(linked);
  TestTar deeper;
  deeper.symlink("m", "l/s/t").directory("m/u");
  expect_refused(deeper, Errc::kInvalid, "nested");
}

TEST_F(ImageUnpackTest, WhatIsNoLayerIsRefused) {
  TestTar tar;
  tar.file("f", std::string(5000, 'x'));
  const std::string whole = tar.bytes();
  for (const std::string& bytes : {std::string("no tar at all, no, not one byte of it"), whole.substr(0, 3000),
                                   std::string("\x1f\x8b\x08garbage", 10)}) {
    std::ofstream(base_ / "layer", std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_FALSE(unpacker_->apply((base_ / "layer").string(), "")) << bytes.size();
  }
  fs::remove(base_ / "layer");
}

TEST_F(ImageUnpackTest, MakesThePlacesASandboxMountsOver) {
  TestTar tar;
  tar.symlink("proc", "/etc").symlink("dev", "../neighbour").file("tmp", "a file").symlink("etc", "real");
  tar.directory("real").symlink("real/hosts", "../../neighbour/file").symlink("real/resolv.conf", "/run/nothing");
  expect_applied(tar);
  ASSERT_TRUE(unpacker_->finish());
  for (const char* name : {"proc", "dev", "tmp"}) {
    EXPECT_TRUE(fs::is_directory(fs::symlink_status(root() / name))) << name;
  }
  for (const char* name : {"real/hosts", "real/resolv.conf"}) {
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(root() / name))) << name;
  }
}

TEST_F(ImageUnpackTest, FindsProgramsAsTheImageItselfWouldSeeThem) {
  TestTar tar;
  tar.file("app/ext/b", "x", 0755).file("app/ext/a", "x", 0755).file("app/ext/readme", "x", 0644);
  tar.symlink("opt/extensions", "/app/ext").symlink("app/ext/link", "/app/ext/a").symlink("app/ext/sh", "/bin/sh");
  tar.symlink("outside", "../../../../../../bin");
  ASSERT_TRUE(apply(tar));
  EXPECT_EQ(programs_in(root().string(), "/opt/extensions"), (std::vector<std::string>{"a", "b", "link"}));
  EXPECT_EQ(programs_in(root().string(), "/outside"), std::vector<std::string>{});
  EXPECT_EQ(programs_in(root().string(), "/none"), std::vector<std::string>{});
}

TEST_F(ImageUnpackTest, NamesAreBytes) {
  TestTar tar;
  tar.file(
      "stra\xc3\x9f"
      "e/\xe2\x82\xac",
      "euro");
  expect_applied(tar);
  EXPECT_EQ(read(root() / "stra\xc3\x9f"
                          "e/\xe2\x82\xac"),
            "euro");
}

}  // namespace
}  // namespace lambdad::package
