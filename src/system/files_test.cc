#include "system/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdad {
namespace {

using testing::ElementsAre;

class RealFilesTest : public testing::Test {
 protected:
  RealFilesTest() {
    std::string pattern = testing::TempDir() + "lambdad-files-XXXXXX";
    LD_CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  ~RealFilesTest() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  static Errc code_of(const auto& result) { return result.has_value() ? Errc::kInternal : result.error().code; }

  RealFiles files_;
  std::string directory_;
};

TEST_F(RealFilesTest, StampsFilesBehindLinksAndNothingElse) {
  ASSERT_TRUE(files_.write_durably(path("file"), "12345"));
  std::filesystem::create_symlink(path("file"), path("link"));
  std::filesystem::last_write_time(path("file"), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const auto old = files_.stamp(path("link"));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->size, 5u);
  ASSERT_TRUE(files_.write_durably(path("file"), "123456"));
  const auto now = files_.stamp(path("file"));
  EXPECT_EQ(now->size, 6u);
  EXPECT_GT(now->modified_ns, old->modified_ns + 3'000'000'000'000);
  EXPECT_FALSE(files_.stamp(directory_));
  EXPECT_FALSE(files_.stamp(path("absent")));
}

TEST_F(RealFilesTest, ReadsWhatWasWrittenDurably) {
  const std::string bytes = std::string("a\0b", 3) + std::string(100'000, 'x');
  ASSERT_TRUE(files_.write_durably(path("f"), bytes).has_value());
  EXPECT_EQ(files_.read(path("f")), bytes);
  ASSERT_TRUE(files_.write_durably(path("f"), "").has_value());
  EXPECT_EQ(files_.read(path("f")), "");
}

TEST_F(RealFilesTest, AWriteReplacesTheFileAndLeavesNothingBeside) {
  ASSERT_TRUE(files_.write_durably(path("f"), "old").has_value());
  const UniqueFd old(::open(path("f").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(files_.write_durably(path("f"), "new!").has_value());
  char buffer[8];
  EXPECT_EQ(::read(old.get(), buffer, sizeof buffer), 3) << "the old file was written over";
  EXPECT_EQ(files_.list(directory_), std::vector<std::string>{"f"});
  struct stat info{};
  ASSERT_EQ(::stat(path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RealFilesTest, AFailedWriteLeavesNothingBeside) {
  ASSERT_TRUE(files_.make_directories(path("d/e")).has_value());
  EXPECT_FALSE(files_.write_durably(path("d"), "x").has_value());
  EXPECT_EQ(files_.list(directory_), std::vector<std::string>{"d"});
  EXPECT_EQ(code_of(files_.write_durably(path("absent/f"), "x")), Errc::kNotFound);
}

TEST_F(RealFilesTest, ManyThreadsMayReplaceOneFile) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(files_.write_durably(path("f"), std::string(1000, static_cast<char>('a' + t))).has_value());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto bytes = files_.read(path("f"));
  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(*bytes, std::string(1000, (*bytes)[0]));
  EXPECT_EQ(files_.list(directory_), std::vector<std::string>{"f"});
}

TEST_F(RealFilesTest, ReadsFilesWhoseSizeTheKernelDoesNotSay) {
  const auto status = files_.read("/proc/self/status");
  ASSERT_TRUE(status.has_value());
  EXPECT_THAT(*status, testing::HasSubstr("Pid:"));
}

TEST_F(RealFilesTest, MakesDirectoriesWithTheirParents) {
  EXPECT_TRUE(files_.make_directories(path("a/b/c")).has_value());
  EXPECT_TRUE(files_.make_directories(path("a/b/c")).has_value());
  EXPECT_TRUE(files_.make_directories(path("a/x/")).has_value());
  EXPECT_TRUE(std::filesystem::is_directory(path("a/b/c")));
  EXPECT_TRUE(std::filesystem::is_directory(path("a/x")));
  ASSERT_TRUE(files_.write_durably(path("f"), "x").has_value());
  EXPECT_EQ(code_of(files_.make_directories(path("f"))), Errc::kConflict);
  EXPECT_FALSE(files_.make_directories(path("f/g")).has_value());
  EXPECT_FALSE(files_.make_directories("").has_value());
}

TEST_F(RealFilesTest, RemovesFilesAndTreesWithoutFollowingLinks) {
  ASSERT_TRUE(files_.make_directories(path("tree/inner")).has_value());
  ASSERT_TRUE(files_.write_durably(path("kept"), "x").has_value());
  std::filesystem::create_symlink(path("kept"), path("tree/link"));
  EXPECT_TRUE(files_.remove_tree(path("tree")).has_value());
  EXPECT_TRUE(files_.remove_tree(path("tree")).has_value());
  EXPECT_TRUE(files_.exists(path("kept")));
  EXPECT_TRUE(files_.remove(path("kept")).has_value());
  EXPECT_EQ(code_of(files_.remove(path("kept"))), Errc::kNotFound);
  EXPECT_FALSE(files_.exists(path("kept")));
}

TEST_F(RealFilesTest, ListsNamesInOrder) {
  for (const char* name : {"b", "a", ".c"}) ASSERT_TRUE(files_.write_durably(path(name), "x").has_value());
  const auto names = files_.list(directory_);
  ASSERT_TRUE(names.has_value());
  EXPECT_THAT(*names, ElementsAre(".c", "a", "b"));
  EXPECT_EQ(code_of(files_.list(path("absent"))), Errc::kNotFound);
}

TEST_F(RealFilesTest, ALockExcludesOthersUntilItIsReleased) {
  auto first = files_.lock(path("lock"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(code_of(files_.lock(path("lock"))), Errc::kConflict);
  first->reset();
  EXPECT_TRUE(files_.lock(path("lock")).has_value());
}

TEST_F(RealFilesTest, ErrorsSayWhatWasDoneToWhat) {
  const auto absent = files_.read(path("absent"));
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, Errc::kNotFound);
  EXPECT_EQ(absent.error().detail, "opening " + path("absent") + ": No such file or directory");
}

TEST(UniqueFd, ClosesWhatItHeldWhenMovedInto) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UniqueFd a(ends[0]), b(ends[1]);
  a = std::move(b);
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1);
  EXPECT_EQ(a.get(), ends[1]);
  EXPECT_FALSE(b);  // NOLINT: moved from is empty
}

}  // namespace
}  // namespace lambdad
