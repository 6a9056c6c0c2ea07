#include "services/sts/sts_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "observe/metrics.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::sts {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class StsTest : public ::testing::Test {
 protected:
  StsTest() { service.serve(dispatcher); }
  http::Response send(const std::string& form, const std::string& access_key = "111122223333") {
    http::Request request{.method = "POST", .target = "/", .body = form};
    request.headers.set("Host", "127.0.0.1:4566");
    request.headers.set("X-Amz-Date", "20260101T000000Z");
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.headers.set("Authorization",
                        fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/sts/aws4_request, "
                                    "SignedHeaders=host;x-amz-date, Signature={:064x}",
                                    access_key, 0));
    return sim.run(dispatcher.handle(std::move(request)));
  }
  /// Text of the first element called `name`.
  static std::string element(const http::Response& response, const std::string& name) {
    const auto begin = response.body.find("<" + name + ">");
    const auto end = response.body.find("</" + name + ">");
    if (begin == std::string::npos || end == std::string::npos) return "<none>";
    return response.body.substr(begin + name.size() + 2, end - begin - name.size() - 2);
  }
  const std::string assume =
      "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::999988887777:role/path/deployer&RoleSessionName=me";

  SimSystem sim{test_seed()};
  Metrics metrics;
  aws::Dispatcher dispatcher{sim.system(), null_logger(), metrics, aws::Dispatcher::Options{}};
  StsService service{sim.system(), null_logger()};
};

TEST_F(StsTest, TheCallerIsTheAccountOfItsKey) {
  auto response = send("Action=GetCallerIdentity&Version=2011-06-15");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(element(response, "Account"), "111122223333");
  EXPECT_EQ(element(response, "Arn"), "arn:aws:iam::111122223333:root");
  EXPECT_EQ(element(send("Action=GetCallerIdentity&Version=2011-06-15", "test"), "Account"), "000000000000");
}

TEST_F(StsTest, AnAssumedRoleIsWhoItsCredentialsSay) {
  auto response = send(assume);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(element(response, "Expiration"), "2026-01-01T01:00:00Z");
  EXPECT_EQ(element(response, "Arn"), "arn:aws:sts::999988887777:assumed-role/deployer/me");
  EXPECT_THAT(element(response, "AssumedRoleId"), MatchesRegex("AROA[A-Z2-7]+:me"));
  const std::string key = element(response, "AccessKeyId");
  EXPECT_EQ(key.size(), 20u);
  EXPECT_THAT(key, MatchesRegex("ASIA[A-Z2-7]+"));
  EXPECT_EQ(element(response, "SecretAccessKey").size(), 40u);
  EXPECT_EQ(service.account_of(key), "999988887777");
  auto who = send("Action=GetCallerIdentity&Version=2011-06-15", key);
  EXPECT_EQ(element(who, "Arn"), "arn:aws:sts::999988887777:assumed-role/deployer/me");
  EXPECT_EQ(element(who, "UserId"), element(response, "AssumedRoleId"));
  sim.run_for(std::chrono::hours(1));
  EXPECT_EQ(service.account_of(key), std::nullopt);
}

TEST_F(StsTest, RefusesWhatIsNoRoleAndTooLongSessions) {
  auto wrong = send(
      "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::999988887777:user/someone&"
      "RoleSessionName=me");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(element(wrong, "Code"), "ValidationError");
  EXPECT_EQ(element(wrong, "Message"), "arn:aws:iam::999988887777:user/someone is invalid");
  EXPECT_EQ(send(assume + "&DurationSeconds=43200").status, 200);
  EXPECT_EQ(send(assume + "&DurationSeconds=43201").status, 400);
  EXPECT_EQ(send(assume + "&DurationSeconds=899").status, 400);
  EXPECT_THAT(send(assume + "&TokenCode=123456").body, HasSubstr("TokenCode"));
}

TEST_F(StsTest, SessionTokensAreOfTheAccountAndGiveNoFurtherOnes) {
  auto response = send("Action=GetSessionToken&Version=2011-06-15");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(element(response, "Expiration"), "2026-01-01T12:00:00Z");
  const std::string key = element(response, "AccessKeyId");
  EXPECT_EQ(service.account_of(key), "111122223333");
  auto refused = send("Action=GetSessionToken&Version=2011-06-15", key);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(element(refused, "Code"), "AccessDenied");
}

}  // namespace
}  // namespace lambdad::sts
