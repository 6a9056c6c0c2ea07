#include "services/sqs/receipt_handle.h"

#include <gtest/gtest.h>

namespace lambdad::sqs {
namespace {

const std::string kKey = "0123456789abcdef";

TEST(SipHash, MatchesThePublishedVectors) {
  // Key 00..0f, input the first n of 00, 01, 02, ...
  const std::uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string input;
  EXPECT_EQ(siphash24(key, input), 0x726fdb47dd0e0e31u);
  for (char c = 0; c < 15; ++c) input += c;
  EXPECT_EQ(siphash24(key, input), 0xa129ca6149be45e5u);
}

TEST(ReceiptHandle, OpensWhatItSealed) {
  const ReceiptHandles handles(kKey);
  const ReceiptHandle handle{.queue = 5, .row = std::int64_t{7} << 40, .generation = 3};
  EXPECT_EQ(handles.open(handles.seal(handle)), handle);
}

TEST(ReceiptHandle, IsAnotherForEveryReceive) {
  const ReceiptHandles handles(kKey);
  EXPECT_NE(handles.seal({1, 2, 3}), handles.seal({1, 2, 4}));
}

TEST(ReceiptHandle, RefusesWhatItDidNotSeal) {
  const ReceiptHandles handles(kKey);
  std::string text = handles.seal({1, 2, 3});
  EXPECT_FALSE(handles.open(""));
  EXPECT_FALSE(handles.open("not base64!"));
  EXPECT_FALSE(handles.open("AQEB"));
  EXPECT_FALSE(handles.open(text + "AAAA"));
  EXPECT_FALSE(ReceiptHandles("another key 1234").open(text));
  text[12] = text[12] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(handles.open(text));
}

}  // namespace
}  // namespace lambdad::sqs
