#include "store/blobs.h"

#include <fstream>

#include <gtest/gtest.h>

#include "store/test_support.h"
#include "system/fault.h"

namespace lambdad::store {
namespace {

class BlobsTest : public ::testing::Test {
 protected:
  // Counts what reaches the disk.
  struct CountingFiles final : Files {
    RealFiles real;
    int writes = 0;
    Result<std::string> read(const std::string& path) override { return real.read(path); }
    Result<void> write_durably(const std::string& path, std::string_view bytes) override {
      ++writes;
      return real.write_durably(path, bytes);
    }
    Result<void> make_directories(const std::string& path) override { return real.make_directories(path); }
    Result<void> remove(const std::string& path) override { return real.remove(path); }
    Result<void> remove_tree(const std::string& path) override { return real.remove_tree(path); }
    Result<std::vector<std::string>> list(const std::string& path) override { return real.list(path); }
    bool exists(const std::string& path) override { return real.exists(path); }
    std::optional<FileStamp> stamp(const std::string& path) override { return real.stamp(path); }
    Result<UniqueFd> lock(const std::string& path) override { return real.lock(path); }
  };

  TemporaryDirectory directory;
  CountingFiles files;
  Blobs blobs{files, directory.file("blobs")};
};

TEST_F(BlobsTest, NamesBytesByTheirSha256AndGivesThemBack) {
  for (const std::string& bytes :
       {std::string("abc"), std::string(), std::string("\0\xff\n", 3), std::string(3000000, 'x')}) {
    auto name = blobs.put(bytes);
    ASSERT_TRUE(name) << name.error().detail;
    EXPECT_EQ(name->size(), 64u);
    EXPECT_EQ(blobs.get(*name).value(), bytes);
  }
  EXPECT_EQ(blobs.put("abc").value(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(std::filesystem::exists(
      directory.file("blobs/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
}

TEST_F(BlobsTest, EqualBytesAreWrittenOnce) {
  auto first = blobs.put("same");
  auto second = blobs.put("same");
  EXPECT_EQ(first.value(), second.value());
  EXPECT_EQ(files.writes, 1);
}

TEST_F(BlobsTest, WhatAnEarlierProcessLeftIsWrittenOnceMore) {
  ASSERT_TRUE(blobs.put("same"));
  Blobs next(files, directory.file("blobs"));
  ASSERT_TRUE(next.put("same"));
  ASSERT_TRUE(next.put("same"));
  EXPECT_EQ(files.writes, 2);
}

TEST_F(BlobsTest, ARemovedBlobIsGoneAndCanBePutAgain) {
  auto name = blobs.put("bytes").value();
  ASSERT_TRUE(blobs.remove(name));
  EXPECT_EQ(blobs.get(name).error().code, Errc::kNotFound);
  EXPECT_EQ(blobs.remove(name).error().code, Errc::kNotFound);
  ASSERT_TRUE(blobs.put("bytes"));
  EXPECT_EQ(blobs.get(name).value(), "bytes");
}

TEST_F(BlobsTest, AFileThatVanishedIsWrittenAgain) {
  auto name = blobs.put("bytes").value();
  std::filesystem::remove(blobs.path(name));
  ASSERT_TRUE(blobs.put("bytes"));
  EXPECT_EQ(blobs.get(name).value(), "bytes");
}

TEST_F(BlobsTest, ChangedBytesAreCorrupt) {
  auto name = blobs.put("bytes").value();
  std::ofstream(blobs.path(name)) << "bytfs";
  EXPECT_EQ(blobs.get(name).error().code, Errc::kCorrupt);
}

TEST_F(BlobsTest, RefusesNamesThatAreNone) {
  for (const std::string& name : {std::string(), std::string("../../etc/passwd"), std::string(64, 'A'),
                                  std::string(63, 'a'), "../" + std::string(61, 'a')}) {
    EXPECT_EQ(blobs.get(name).error().code, Errc::kInvalid) << name;
    EXPECT_EQ(blobs.remove(name).error().code, Errc::kInvalid) << name;
  }
}

TEST_F(BlobsTest, AFailedWriteIsNotTakenForWritten) {
  {
    fault::Armed armed("blobs.before_write:1:fail");
    EXPECT_EQ(blobs.put("bytes").error().code, Errc::kUnavailable);
  }
  auto name = blobs.put("bytes");
  ASSERT_TRUE(name);
  EXPECT_EQ(blobs.get(*name).value(), "bytes");
}

}  // namespace
}  // namespace lambdad::store
