#include "package/unpack.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include "package/test_zip.h"

namespace lambdad::package {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A directory to unpack into, with a neighbour that must stay as it is.
class UnpackTest : public ::testing::Test {
 protected:
  UnpackTest() {
    std::string pattern = (fs::temp_directory_path() / "lambdad-unpack-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    fs::create_directory(inside());
    std::ofstream(base_ / "neighbour") << "untouched";
  }
  ~UnpackTest() override {
    EXPECT_EQ(read(base_ / "neighbour"), "untouched");
    std::size_t beside = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(base_)) ++beside;
    EXPECT_EQ(beside, 2u) << "something was written beside the package";
    fs::remove_all(base_);
  }
  fs::path inside() const { return base_ / "package"; }
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
  Result<UnpackReport> unpack_here(const TestZip& zip, UnpackLimits limits = {}) {
    return unpack(zip.bytes(), inside().string(), limits);
  }
  /// Refused by both, and nothing was written: the table of contents is judged first.
  void expect_refused(const TestZip& zip, Errc code, std::string_view reason, UnpackLimits limits = {}) {
    auto judged = inspect(zip.bytes(), limits);
    ASSERT_FALSE(judged);
    EXPECT_EQ(judged.error().code, code);
    EXPECT_THAT(judged.error().detail, HasSubstr(std::string(reason)));
    EXPECT_FALSE(unpack_here(zip, limits));
    EXPECT_TRUE(fs::is_empty(inside()));
  }
  fs::path base_;
};

TEST_F(UnpackTest, WritesFilesDirectoriesAndProgramsReadableByEverybody) {
  ::mode_t before = ::umask(0077);
  auto report = unpack_here(TestZip()
                                .directory("lib/")
                                .file("lib/helper.py", "x = 1")
                                .program("bootstrap", "#!/bin/sh")
                                .file("deep/ly/nested/empty", ""));
  ::umask(before);
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->bytes, 14u);
  EXPECT_EQ(report->nodes, 7u);
  EXPECT_EQ(read(inside() / "lib/helper.py"), "x = 1");
  EXPECT_EQ(mode(inside() / "lib/helper.py"), 0644u);
  EXPECT_EQ(mode(inside() / "bootstrap"), 0755u);
  EXPECT_EQ(mode(inside() / "lib"), 0755u);
  EXPECT_EQ(mode(inside() / "deep/ly"), 0755u);
}

TEST_F(UnpackTest, StripsSetUidSetGidAndStickyAndKeepsExecution) {
  ASSERT_TRUE(unpack_here(TestZip()
                              .add("suid", "", {.mode = S_IFREG | 07755})
                              .add("secret", "", {.mode = S_IFREG | 0400})
                              .add("group_only", "", {.mode = S_IFREG | 0010})
                              .add("from_windows", "", {.unix_attributes = false})));
  EXPECT_EQ(mode(inside() / "suid"), 0755u);
  EXPECT_EQ(mode(inside() / "secret"), 0644u);
  EXPECT_EQ(mode(inside() / "group_only"), 0755u);
  EXPECT_EQ(mode(inside() / "from_windows"), 0644u);
}

TEST_F(UnpackTest, InflatesAndChecksWhatAnotherToolCompressed) {
  // Written by libzip: a deflated megabyte.
  std::string path = (base_ / "package" / "made.zip").string();
  {
    int error = 0;
    zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, &error);
    static const std::string zeros(1 << 20, '0');
    zip_file_add(zip, "zeros", zip_source_buffer(zip, zeros.data(), zeros.size(), 0), 0);
    ASSERT_EQ(zip_close(zip), 0);
  }
  const std::string bytes = read(path);
  fs::remove(path);
  ASSERT_LT(bytes.size(), 4096u);
  auto report = unpack(bytes, inside().string());
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(read(inside() / "zeros"), std::string(1 << 20, '0'));
}

TEST_F(UnpackTest, RefusesNamesThatLeaveThePackage) {
  const std::pair<std::string, std::string> names[] = {
      {"../evil", "leaves the package"},
      {"a/../../evil", "leaves the package"},
      {"a/..", "leaves the package"},
      {"..", "leaves the package"},
      {"/etc/passwd", "absolute"},
      {"//server/share", "absolute"},
      {"..\\evil", "backslash"},
      {"dir\\file", "backslash"},
      {"C:evil", "drive letter"},
      {"c:/evil", "drive letter"},
      {"a//b", "empty component"},
      {"a\nb", "control character"},
      {std::string(256, 'x'), "component longer than 255"},
      {std::string(600, 'x').replace(200, 1, "/").replace(400, 1, "/") + "/" + std::string(500, 'y'), "longer than"},
  };
  for (const auto& [name, reason] : names) {
    SCOPED_TRACE(name);
    expect_refused(TestZip().file("ok", "1").file(name, "evil"), Errc::kInvalid, reason);
  }
}

TEST_F(UnpackTest, DotsThatAreNoParentAreOrdinaryNames) {
  ASSERT_TRUE(unpack_here(TestZip().file("./a", "1").file("...", "2").file("..b/.c", "3").file("d/./e", "4")));
  EXPECT_EQ(read(inside() / "a"), "1");
  EXPECT_EQ(read(inside() / "..."), "2");
  EXPECT_EQ(read(inside() / "..b/.c"), "3");
  EXPECT_EQ(read(inside() / "d/e"), "4");
}

TEST_F(UnpackTest, ANulInANameDoesNotCutItShort) {
  using namespace std::string_view_literals;
  ASSERT_FALSE(unpack_here(TestZip().file("safe.py\0/../../evil"sv, "1").file("safe.py"sv, "2")));
  EXPECT_TRUE(fs::is_empty(inside()));
  ASSERT_TRUE(unpack_here(TestZip().file("safe.py\0.sh"sv, "1").file("safe.py"sv, "2")));
  EXPECT_EQ(read(inside() / "safe.py"), "2");
  EXPECT_EQ(read(inside() / "safe.py .sh"), "1");
}

TEST_F(UnpackTest, RefusesTheSameNameTwice) {
  expect_refused(TestZip().file("a", "1").file("a", "2"), Errc::kInvalid, "twice");
  expect_refused(TestZip().file("a", "1").file("./a", "2"), Errc::kInvalid, "twice");
  expect_refused(TestZip().link("a", "b").file("a", "2"), Errc::kInvalid, "twice");
  expect_refused(TestZip().file("a", "1").directory("a/"), Errc::kInvalid, "twice");
}

TEST_F(UnpackTest, ADirectoryMayBeNamedAgain) {
  ASSERT_TRUE(unpack_here(TestZip().directory("d/").directory("d/").file("d/f", "1").directory("./")));
  EXPECT_EQ(read(inside() / "d/f"), "1");
}

TEST_F(UnpackTest, NamesThatDifferInCaseOrUnicodeFormStayApart) {
  ASSERT_TRUE(unpack_here(TestZip().file("Readme", "1").file("README", "2").file("\u00e9", "3").file("e\u0301", "4")));
  EXPECT_EQ(read(inside() / "Readme"), "1");
  EXPECT_EQ(read(inside() / "README"), "2");
  EXPECT_EQ(read(inside() / "\u00e9"), "3");
  EXPECT_EQ(read(inside() / "e\u0301"), "4");
}

TEST_F(UnpackTest, KeepsLinksThatStayInside) {
  ASSERT_TRUE(unpack_here(TestZip()
                              .link("bin/tool", "../lib/tool.js")
                              .file("lib/tool.js", "js")
                              .link("current", "versions/2")
                              .file("versions/2/x", "two")
                              .link("through", "current/x")
                              .link("up", "versions/2/../../lib/tool.js")
                              .link("here", ".")
                              .link("dangling", "not/there")));
  EXPECT_EQ(read(inside() / "bin/tool"), "js");
  EXPECT_EQ(read(inside() / "through"), "two");
  EXPECT_EQ(read(inside() / "up"), "js");
  EXPECT_TRUE(fs::is_symlink(inside() / "dangling"));
}

TEST_F(UnpackTest, RefusesLinksThatLeaveThePackage) {
  const std::string_view reason = "leaves the package";
  expect_refused(TestZip().link("l", "/etc/passwd"), Errc::kInvalid, reason);
  expect_refused(TestZip().link("l", "../neighbour"), Errc::kInvalid, reason);
  expect_refused(TestZip().link("d/l", "../../neighbour"), Errc::kInvalid, reason);
  expect_refused(TestZip().link("l", "d/../.."), Errc::kInvalid, reason);
  // Each harmless alone: `a/up` ends at the package itself, and one step further is outside.
  expect_refused(TestZip().link("a/up", "..").link("out", "a/up/../neighbour"), Errc::kInvalid, reason);
  expect_refused(TestZip().link("x", "y").link("y", "x"), Errc::kInvalid, reason);
  expect_refused(TestZip().link("self", "self"), Errc::kInvalid, reason);
}

TEST_F(UnpackTest, NeverWritesThroughALink) {
  expect_refused(TestZip().link("d", "sub").file("d/f", "evil"), Errc::kInvalid, "no directory");
  expect_refused(TestZip().file("d/f", "evil").link("d", "sub"), Errc::kInvalid, "twice");
  expect_refused(TestZip().link("d", "sub").link("d/f", "x"), Errc::kInvalid, "no directory");
}

TEST_F(UnpackTest, RefusesLinksWithUnusableTargets) {
  using namespace std::string_view_literals;
  expect_refused(TestZip().link("l", ""), Errc::kInvalid, "no usable target");
  expect_refused(TestZip().link("l", std::string(1024, 'x')), Errc::kInvalid, "no usable target");
  expect_refused(TestZip().link("l", "a\0b"sv), Errc::kInvalid, "NUL");
  expect_refused(TestZip().link("l/", "a"), Errc::kInvalid, "no usable target");
}

TEST_F(UnpackTest, LongChainsOfLinksAreGivenUpCheaply) {
  TestZip chain;
  std::string far;
  for (int i = 0; i < 250; ++i) far += "l/";
  for (int i = 0; i < 2000; ++i) chain.link(fmt::format("l{}", i), fmt::format("{}l{}", far, i + 1));
  chain.link("l", ".");
  expect_refused(chain, Errc::kInvalid, "leaves the package");
}

TEST_F(UnpackTest, RefusesDevicesPipesAndSockets) {
  for (std::uint32_t kind : {S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK}) {
    expect_refused(TestZip().add("node", "", {.mode = kind | 0666}), Errc::kInvalid, "device");
  }
}

TEST_F(UnpackTest, RefusesFilesInPlaceOfDirectories) {
  expect_refused(TestZip().file("a", "1").file("a/b", "2"), Errc::kInvalid, "no directory");
  expect_refused(TestZip().file("a/b", "2").file("a", "1"), Errc::kInvalid, "twice");
  expect_refused(TestZip().add("d/", "data", {.mode = S_IFDIR | 0755}), Errc::kInvalid, "has data");
}

TEST_F(UnpackTest, RefusesEncryptionAndForeignMethods) {
  expect_refused(TestZip().add("f", "123456789012", {.flags = 1}), Errc::kInvalid, "encrypted");
  expect_refused(TestZip().add("f", "x", {.method = 12, .uncompressed = "x"}), Errc::kInvalid, "method 12");
  expect_refused(TestZip().add("f", "x", {.method = 14, .uncompressed = "x"}), Errc::kInvalid, "method 14");
}

TEST_F(UnpackTest, RefusesWhatIsNoZip) {
  for (std::string_view bytes : {std::string_view(""), std::string_view("hello"), std::string_view("PK\x03\x04")}) {
    auto judged = inspect(bytes);
    ASSERT_FALSE(judged);
    EXPECT_EQ(judged.error().code, Errc::kInvalid);
  }
  auto whole = TestZip().file("a", "1").bytes();
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_FALSE(inspect(std::string_view(whole).substr(0, cut))) << "cut at " << cut;
  }
  expect_refused(TestZip(), Errc::kInvalid, "no entries");
}

TEST_F(UnpackTest, RefusesDamagedData) { EXPECT_FALSE(unpack_here(TestZip().add("f", "data", {.crc_change = 1}))); }

TEST_F(UnpackTest, TheLimitHoldsForClaimedSizesBeforeAnythingIsWritten) {
  const UnpackLimits limits{.unzipped_bytes_max = 10};
  expect_refused(TestZip().file("a", "12345").file("b", "12345"), Errc::kTooLarge, "below 10 bytes", limits);
  expect_refused(TestZip().file("a", "1234567890"), Errc::kTooLarge, "below 10 bytes", limits);
  EXPECT_TRUE(unpack_here(TestZip().file("a", "12345").file("b", "1234"), limits));
}

TEST_F(UnpackTest, ASizeThatLiesIsFoundWhileStreaming) {
  // Ten thousand zeros, deflated, that claim to be five bytes.
  const std::string zeros(10'000, '0');
  std::string deflated;
  {
    std::string path = (base_ / "package" / "made.zip").string();
    int error = 0;
    zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, &error);
    zip_file_add(zip, "z", zip_source_buffer(zip, zeros.data(), zeros.size(), 0), 0);
    ASSERT_EQ(zip_close(zip), 0);
    zip = zip_open(path.c_str(), ZIP_RDONLY, &error);
    zip_stat_t stat;
    ASSERT_EQ(zip_stat_index(zip, 0, 0, &stat), 0);
    deflated.resize(stat.comp_size);
    zip_file_t* raw = zip_fopen_index(zip, 0, ZIP_FL_COMPRESSED);
    ASSERT_EQ(zip_fread(raw, deflated.data(), deflated.size()), static_cast<zip_int64_t>(deflated.size()));
    zip_fclose(raw);
    zip_discard(zip);
    fs::remove(path);
  }
  auto honest = unpack_here(TestZip().add("f", deflated, {.method = 8, .uncompressed = zeros}));
  ASSERT_TRUE(honest) << honest.error().detail;
  fs::remove(inside() / "f");
  const auto lie = static_cast<std::uint32_t>(5 - static_cast<int>(zeros.size()));
  auto lied = unpack_here(TestZip().add("f", deflated, {.method = 8, .size_change = lie, .uncompressed = zeros}));
  ASSERT_FALSE(lied);
  EXPECT_EQ(lied.error().code, Errc::kInvalid);
  EXPECT_LE(fs::file_size(inside() / "f"), 5u);
}

TEST_F(UnpackTest, BoundsTheNumberOfFilesDirectoriesAndLinks) {
  const UnpackLimits limits{.nodes_max = 3, .links_max = 1};
  expect_refused(TestZip().file("a/b/c/d", ""), Errc::kTooLarge, "more than 3", limits);
  expect_refused(TestZip().file("a", "").file("b", "").file("c", "").file("d", ""), Errc::kTooLarge, "4 entries",
                 limits);
  expect_refused(TestZip().link("a", "c").link("b", "c"), Errc::kTooLarge, "more than 1 symbolic", limits);
  EXPECT_TRUE(unpack_here(TestZip().file("a/b/c", ""), limits));
}

TEST_F(UnpackTest, DoesNotFollowALinkInPlaceOfItsDirectory) {
  fs::create_directory_symlink(base_, inside() / "root");
  EXPECT_FALSE(unpack(TestZip().file("a", "1").bytes(), (inside() / "root").string()));
  // Somebody who can write into the directory meanwhile gains nothing either: `d` is a link out of it.
  fs::create_directory_symlink(base_, inside() / "d");
  EXPECT_FALSE(unpack_here(TestZip().file("d/evil", "1")));
  EXPECT_FALSE(fs::exists(base_ / "evil"));
}

}  // namespace
}  // namespace lambdad::package
