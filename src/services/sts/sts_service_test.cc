#include "services/sts/sts_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/seal.h"
#include "observe/metrics.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::sts {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

struct NoIdentities final : access::Identities {
  std::optional<access::UserKey> find_key(const std::string&) const override { return std::nullopt; }
  std::optional<access::Grants> user_grants(const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::optional<access::Grants> role_grants(const std::string&, const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::optional<access::RoleFacts> find_role(const std::string&, const std::string& name) const override {
    if (name != "short") return std::nullopt;
    return access::RoleFacts{
        .arn = "arn:aws:iam::999988887777:role/short", .id = "AROASHORT", .trust = {}, .max_session = 2h};
  }
  std::optional<std::string> managed_policy_text(const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::string arn_of(std::string_view, const std::string&, const std::string&) const override { return {}; }
  void key_used(const std::string&, std::string_view, std::string_view) override {}
};

class StsTest : public ::testing::Test {
 protected:
  StsTest() {
    gate.set_identities(identities);
    service.serve(dispatcher);
  }
  http::Response send(const std::string& form, const std::string& access_key = "111122223333",
                      const std::string& token = {}) {
    http::Request request{.method = "POST", .target = "/", .body = form};
    request.headers.set("Host", "127.0.0.1:4566");
    request.headers.set("X-Amz-Date", "20260101T000000Z");
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    if (!token.empty()) request.headers.set("X-Amz-Security-Token", token);
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
  const std::string who = "Action=GetCallerIdentity&Version=2011-06-15";
  const std::string assume =
      "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::999988887777:role/path/deployer&RoleSessionName=me";

  SimSystem sim{test_seed()};
  Metrics metrics;
  NoIdentities identities;
  access::Sessions sessions{sim.system().random, std::string(kSealKeyBytes, 'k')};
  access::Gate gate{sim.system(), null_logger(), sessions, access::Gate::Options{}};
  aws::Dispatcher dispatcher{sim.system(), null_logger(), metrics, aws::Dispatcher::Options{.access = &gate}};
  StsService service{sim.system(), gate, sessions, identities};
};

TEST_F(StsTest, TheCallerIsTheAccountOfItsKey) {
  auto response = send(who);
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(element(response, "Account"), "111122223333");
  EXPECT_EQ(element(response, "Arn"), "arn:aws:iam::111122223333:root");
  EXPECT_EQ(element(send(who, "test"), "Account"), "000000000000");
}

TEST_F(StsTest, AnAssumedRoleIsWhoItsCredentialsSay) {
  auto response = send(assume);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(element(response, "Expiration"), "2026-01-01T01:00:00Z");
  EXPECT_EQ(element(response, "Arn"), "arn:aws:sts::999988887777:assumed-role/deployer/me");
  EXPECT_THAT(element(response, "AssumedRoleId"), MatchesRegex("AROA[A-Z2-7]+:me"));
  const std::string key = element(response, "AccessKeyId");
  EXPECT_THAT(key, MatchesRegex("ASIA[A-Z2-7]+"));
  EXPECT_EQ(key.size(), 20u);
  EXPECT_EQ(element(response, "SecretAccessKey").size(), 40u);
  auto caller = send(who, key, element(response, "SessionToken"));
  EXPECT_EQ(element(caller, "Arn"), "arn:aws:sts::999988887777:assumed-role/deployer/me");
  EXPECT_EQ(element(caller, "Account"), "999988887777");
  EXPECT_EQ(element(caller, "UserId"), element(response, "AssumedRoleId"));
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
  const std::string brief =
      "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::999988887777:role/short&RoleSessionName=me";
  EXPECT_EQ(send(brief + "&DurationSeconds=7200").status, 200);
  auto longer = send(brief + "&DurationSeconds=7201");
  EXPECT_EQ(element(longer, "Message"),
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
}

TEST_F(StsTest, RolesAssumedByRolesLastAnHour) {
  auto first = send(assume);
  const std::string key = element(first, "AccessKeyId"), token = element(first, "SessionToken");
  EXPECT_EQ(send(assume + "&DurationSeconds=3600", key, token).status, 200);
  auto chained = send(assume + "&DurationSeconds=3601", key, token);
  EXPECT_EQ(element(chained, "Message"),
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.");
}

TEST_F(StsTest, SessionPoliciesAreReadAndBounded) {
  const auto with_policy = [&](const std::string& policy) {
    return send(assume + "&Policy=" + percent_encode(policy));
  };
  auto good = with_policy(R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}})");
  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(element(good, "PackedPolicySize"), "5");
  auto wrong = with_policy("{}");
  EXPECT_EQ(element(wrong, "Code"), "MalformedPolicyDocument");
  EXPECT_EQ(element(send(assume + "&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/None"), "Message"),
            "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.");
}

TEST_F(StsTest, SessionTokensAreOfTheAccountAndGiveNoFurtherOnes) {
  auto response = send("Action=GetSessionToken&Version=2011-06-15");
  ASSERT_EQ(response.status, 200) << response.body;
  // The root's last an hour at most.
  EXPECT_EQ(element(response, "Expiration"), "2026-01-01T01:00:00Z");
  const std::string key = element(response, "AccessKeyId"), token = element(response, "SessionToken");
  EXPECT_EQ(element(send(who, key, token), "Account"), "111122223333");
  auto refused = send("Action=GetSessionToken&Version=2011-06-15", key, token);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(element(refused, "Code"), "AccessDenied");
}

}  // namespace
}  // namespace lambdad::sts
