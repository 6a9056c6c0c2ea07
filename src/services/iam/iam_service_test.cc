#include "services/iam/iam_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "observe/metrics.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::iam {
namespace {

const std::string kTrust = R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]})";

class IamTest : public ::testing::Test {
 protected:
  IamTest() { start(); }
  ~IamTest() override { stop(); }
  void start() {
    auto opened = store::Database::open(sim.loop(), sim.directory() + "/iam.db", IamService::migrations(),
                                        {.durability = store::Durability::kEphemeral});
    LD_CHECK(opened.has_value(), "{}", opened.error().detail);
    database = std::move(*opened);
    service = std::make_unique<IamService>(sim.system(), null_logger(), *database);
    dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
    auto started = run(service->start());
    LD_CHECK(started.has_value(), "{}", started.error().detail);
    service->serve(*dispatcher);
  }
  void stop() {
    dispatcher.reset();
    service.reset();
    database.reset();
  }
  template <class T>
  static Async<T> as_activity(Activity* activity, Async<T> task) {
    auto token = activity->begin();  // the database's threads are real: the simulation waits for them
    co_return co_await std::move(task);
  }
  template <class T>
  T run(Async<T> task) {
    return sim.run(as_activity(&sim.activity(), std::move(task)));
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  http::Response call(const std::string& action, const Fields& fields = {},
                      const std::string& account = "111122223333") {
    http::Request request{.method = "POST", .target = "/"};
    request.body = "Action=" + action + "&Version=2010-05-08";
    for (const auto& [name, value] : fields) request.body += "&" + name + "=" + percent_encode(value);
    request.headers.set("Host", "127.0.0.1:4566");
    request.headers.set("X-Amz-Date", "20260101T000000Z");
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.headers.set("Authorization",
                        fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/iam/aws4_request, "
                                    "SignedHeaders=host;x-amz-date, Signature={:064x}",
                                    account, 0));
    return run(dispatcher->handle(std::move(request)));
  }
  http::Response create(const std::string& name, Fields more = {}) {
    more.emplace_back("RoleName", name);
    more.emplace_back("AssumeRolePolicyDocument", kTrust);
    return call("CreateRole", more);
  }
  static std::string element(const http::Response& response, const std::string& name) {
    const auto begin = response.body.find("<" + name + ">");
    const auto end = response.body.find("</" + name + ">");
    if (begin == std::string::npos || end == std::string::npos) return "<none>";
    return response.body.substr(begin + name.size() + 2, end - begin - name.size() - 2);
  }
  static void expect_error(const http::Response& response, int status, const std::string& code,
                           const std::string& message) {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(element(response, "Code"), code);
    EXPECT_EQ(element(response, "Message"), message);
  }

  SimSystem sim{test_seed()};
  Metrics metrics;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<IamService> service;
  std::unique_ptr<aws::Dispatcher> dispatcher;
};

TEST_F(IamTest, ARoleIsReturnedAsItWasGivenAlsoAfterARestart) {
  auto created = create("lambda-role", {{"Path", "/service/"}, {"Description", "runs <things>"}});
  ASSERT_EQ(created.status, 200) << created.body;
  EXPECT_EQ(element(created, "Arn"), "arn:aws:iam::111122223333:role/service/lambda-role");
  EXPECT_THAT(element(created, "RoleId"), ::testing::MatchesRegex("AROA[A-Z2-7]+"));
  EXPECT_EQ(element(created, "CreateDate"), "2026-01-01T00:00:00Z");
  EXPECT_EQ(element(created, "AssumeRolePolicyDocument"), percent_encode(kTrust));
  call("PutRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyName", "p"}, {"PolicyDocument", R"({"a":"ü"})"}});
  call("AttachRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyArn", "arn:aws:iam::aws:policy/service-role/Basic"}});
  stop();
  start();
  auto got = call("GetRole", {{"RoleName", "lambda-role"}});
  for (const char* name : {"Arn", "RoleId", "CreateDate", "AssumeRolePolicyDocument", "Description", "Path"}) {
    EXPECT_EQ(element(got, name), element(created, name)) << name;
  }
  EXPECT_EQ(element(call("GetRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyName", "p"}}), "PolicyDocument"),
            percent_encode(R"({"a":"ü"})"));
  EXPECT_EQ(element(call("ListAttachedRolePolicies", {{"RoleName", "lambda-role"}}), "PolicyName"), "Basic");
  EXPECT_EQ(element(call("ListRolePolicies", {{"RoleName", "lambda-role"}}), "member"), "p");
}

TEST_F(IamTest, NamesAreUniqueWithoutRegardToCase) {
  create("Role");
  expect_error(create("role"), 409, "EntityAlreadyExists", "Role with name role already exists.");
  EXPECT_EQ(element(call("GetRole", {{"RoleName", "ROLE"}}), "RoleName"), "Role");
}

TEST_F(IamTest, AccountsDoNotSeeEachOther) {
  create("role");
  expect_error(call("GetRole", {{"RoleName", "role"}}, "999988887777"), 404, "NoSuchEntity",
               "The role with name role cannot be found.");
}

TEST_F(IamTest, ARoleWithPoliciesIsNotDeleted) {
  create("role");
  const Fields role{{"RoleName", "role"}};
  const Fields attached{{"RoleName", "role"}, {"PolicyArn", "arn:aws:iam::aws:policy/P"}};
  const Fields named{{"RoleName", "role"}, {"PolicyName", "p"}};
  EXPECT_EQ(call("AttachRolePolicy", attached).status, 200);
  EXPECT_EQ(call("AttachRolePolicy", attached).status, 200) << "attaching again changes nothing";
  EXPECT_EQ(call("PutRolePolicy", {{"RoleName", "role"}, {"PolicyName", "p"}, {"PolicyDocument", "{}"}}).status, 200);
  expect_error(call("DeleteRole", role), 409, "DeleteConflict",
               "Cannot delete entity, must detach all policies first.");
  EXPECT_EQ(call("DetachRolePolicy", attached).status, 200);
  expect_error(call("DetachRolePolicy", attached), 404, "NoSuchEntity",
               "Policy arn:aws:iam::aws:policy/P was not found.");
  expect_error(call("DeleteRole", role), 409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
  EXPECT_EQ(call("DeleteRolePolicy", named).status, 200);
  expect_error(call("DeleteRolePolicy", named), 404, "NoSuchEntity", "The role policy with name p cannot be found.");
  expect_error(call("GetRolePolicy", named), 404, "NoSuchEntity", "The role policy with name p cannot be found.");
  EXPECT_EQ(call("DeleteRole", role).status, 200);
  expect_error(call("DeleteRole", role), 404, "NoSuchEntity", "The role with name role cannot be found.");
}

TEST_F(IamTest, PolicyDocumentsMustBeJson) {
  expect_error(call("CreateRole", {{"RoleName", "r"}, {"AssumeRolePolicyDocument", "{nope"}}), 400,
               "MalformedPolicyDocument", "This policy contains invalid Json");
  expect_error(call("CreateRole", {{"RoleName", "r"}, {"AssumeRolePolicyDocument", "[]"}}), 400,
               "MalformedPolicyDocument", "Syntax errors in policy.");
  EXPECT_EQ(call("GetRole", {{"RoleName", "r"}}).status, 404);
}

TEST_F(IamTest, ListsRolesInPages) {
  for (int i = 0; i < 5; ++i) create(fmt::format("r{}", i), {{"Path", i == 4 ? "/other/" : "/mine/"}});
  auto first = call("ListRoles", {{"MaxItems", "3"}, {"PathPrefix", "/mine/"}});
  EXPECT_EQ(element(first, "IsTruncated"), "true");
  EXPECT_THAT(first.body, ::testing::HasSubstr("<RoleName>r2</RoleName>"));
  auto second = call("ListRoles", {{"PathPrefix", "/mine/"}, {"Marker", element(first, "Marker")}});
  EXPECT_EQ(element(second, "IsTruncated"), "false");
  EXPECT_EQ(element(second, "RoleName"), "r3");
  EXPECT_THAT(second.body, ::testing::Not(::testing::HasSubstr("r4")));
  EXPECT_EQ(call("ListRoles", {{"Marker", "%%"}}).status, 400);
}

}  // namespace
}  // namespace lambdad::iam
