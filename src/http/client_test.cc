#include "http/client.h"

#include <gtest/gtest.h>

namespace lambdad::http {
namespace {

bool safe(const char* address) { return is_safe_address(asio::ip::make_address(address)); }

TEST(SafeAddress, MetadataServicesAreNotReachedByAnySpelling) {
  EXPECT_FALSE(safe("169.254.169.254"));
  EXPECT_FALSE(safe("169.254.170.2"));
  EXPECT_FALSE(safe("::ffff:169.254.169.254"));
  EXPECT_FALSE(safe("fe80::1"));
  EXPECT_FALSE(safe("0.0.0.0"));
  EXPECT_FALSE(safe("::"));
  EXPECT_FALSE(safe("224.0.0.1"));
  EXPECT_FALSE(safe("ff02::1"));
}

TEST(SafeAddress, OthersAreReached) {
  EXPECT_TRUE(safe("127.0.0.1"));
  EXPECT_TRUE(safe("::1"));
  EXPECT_TRUE(safe("10.0.0.1"));
  EXPECT_TRUE(safe("169.253.255.255"));
  EXPECT_TRUE(safe("2001:db8::1"));
}

}  // namespace
}  // namespace lambdad::http
