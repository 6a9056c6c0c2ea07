#include "services/iam/iam_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "observe/metrics.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::iam {
namespace {

const std::string kTrust =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},)"
    R"("Action":"sts:AssumeRole"}]})";
const std::string kAllow =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]})";
const std::string kDeny = R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]})";
const std::string kTagged =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::ü/*"}]})";

class IamTest : public ::testing::Test {
 protected:
  IamTest() { start(); }
  ~IamTest() override { stop(); }
  void start() {
    auto opened = store::Database::open(sim.loop(), sim.directory() + "/iam.db", IamService::migrations(),
                                        {.durability = store::Durability::kEphemeral});
    LD_CHECK(opened.has_value(), "{}", opened.error().detail);
    database = std::move(*opened);
    service = std::make_unique<IamService>(sim.system(), null_logger(), *database, options);
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

  IamService::Options options;
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
  call("PutRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyName", "p"}, {"PolicyDocument", kTagged}});
  call("AttachRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyArn", "arn:aws:iam::aws:policy/service-role/Basic"}});
  stop();
  start();
  auto got = call("GetRole", {{"RoleName", "lambda-role"}});
  for (const char* name : {"Arn", "RoleId", "CreateDate", "AssumeRolePolicyDocument", "Description", "Path"}) {
    EXPECT_EQ(element(got, name), element(created, name)) << name;
  }
  EXPECT_EQ(element(call("GetRolePolicy", {{"RoleName", "lambda-role"}, {"PolicyName", "p"}}), "PolicyDocument"),
            percent_encode(kTagged));
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
  EXPECT_EQ(call("PutRolePolicy", {{"RoleName", "role"}, {"PolicyName", "p"}, {"PolicyDocument", kAllow}}).status, 200);
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

TEST_F(IamTest, PolicyDocumentsMustBePolicies) {
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

TEST_F(IamTest, UsersHaveUpToTwoKeysThatAreFoundAgainAfterARestart) {
  auto created =
      call("CreateUser",
           {{"UserName", "bob"}, {"Path", "/team/"}, {"Tags.member.1.Key", "k"}, {"Tags.member.1.Value", "v"}});
  ASSERT_EQ(created.status, 200) << created.body;
  EXPECT_EQ(element(created, "Arn"), "arn:aws:iam::111122223333:user/team/bob");
  EXPECT_THAT(element(created, "UserId"), ::testing::MatchesRegex("AIDA[A-Z2-7]+"));
  auto key = call("CreateAccessKey", {{"UserName", "bob"}});
  const std::string id = element(key, "AccessKeyId");
  EXPECT_THAT(id, ::testing::MatchesRegex("AKIA[A-Z2-7]+"));
  EXPECT_EQ(element(key, "SecretAccessKey").size(), 40u);
  EXPECT_EQ(element(key, "Status"), "Active");
  EXPECT_EQ(call("CreateAccessKey", {{"UserName", "bob"}}).status, 200);
  expect_error(call("CreateAccessKey", {{"UserName", "bob"}}), 409, "LimitExceeded",
               "Cannot exceed quota for AccessKeysPerUser: 2");
  stop();
  start();
  const auto found = service->identities().find_key(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->secret, element(key, "SecretAccessKey"));
  EXPECT_TRUE(found->active);
  EXPECT_EQ(found->user_arn, "arn:aws:iam::111122223333:user/team/bob");
  EXPECT_EQ(call("UpdateAccessKey", {{"UserName", "bob"}, {"AccessKeyId", id}, {"Status", "Inactive"}}).status, 200);
  EXPECT_FALSE(service->identities().find_key(id)->active);
  EXPECT_EQ(element(call("GetAccessKeyLastUsed", {{"AccessKeyId", id}}), "ServiceName"), "N/A");
  service->identities().key_used(id, "lambda", "eu-west-1");
  EXPECT_EQ(element(call("GetAccessKeyLastUsed", {{"AccessKeyId", id}}), "ServiceName"), "lambda");
  expect_error(call("DeleteUser", {{"UserName", "bob"}}), 409, "DeleteConflict",
               "Cannot delete entity, must delete access keys first.");
  EXPECT_EQ(call("DeleteAccessKey", {{"UserName", "bob"}, {"AccessKeyId", id}}).status, 200);
  EXPECT_FALSE(service->identities().find_key(id));
  expect_error(call("DeleteAccessKey", {{"UserName", "bob"}, {"AccessKeyId", id}}), 404, "NoSuchEntity",
               "The Access Key with id " + id + " cannot be found.");
  EXPECT_THAT(call("ListUserTags", {{"UserName", "bob"}}).body, ::testing::HasSubstr("<Key>k</Key>"));
  expect_error(call("ListAccessKeys"), 400, "ValidationError",
               "Must specify userName when calling with non-User credentials");
}

TEST_F(IamTest, ARenamedUserKeepsWhatItHas) {
  call("CreateUser", {{"UserName", "bob"}});
  call("CreateUser", {{"UserName", "eve"}});
  const std::string id = element(call("CreateAccessKey", {{"UserName", "bob"}}), "AccessKeyId");
  expect_error(call("UpdateUser", {{"UserName", "bob"}, {"NewUserName", "EVE"}}), 409, "EntityAlreadyExists",
               "User with name EVE already exists.");
  EXPECT_EQ(call("UpdateUser", {{"UserName", "bob"}, {"NewUserName", "rob"}, {"NewPath", "/p/"}}).status, 200);
  stop();
  start();
  expect_error(call("GetUser", {{"UserName", "bob"}}), 404, "NoSuchEntity", "The user with name bob cannot be found.");
  EXPECT_EQ(service->identities().find_key(id)->user_arn, "arn:aws:iam::111122223333:user/p/rob");
}

TEST_F(IamTest, GrantsAreOfTheUserAndItsGroups) {
  call("CreateUser", {{"UserName", "bob"}});
  call("CreateGroup", {{"GroupName", "Staff"}});
  const auto count = [&] { return service->identities().user_grants("111122223333", "bob")->identity.size(); };
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(call("PutUserPolicy", {{"UserName", "bob"}, {"PolicyName", "p"}, {"PolicyDocument", kAllow}}).status, 200);
  EXPECT_EQ(call("AddUserToGroup", {{"UserName", "bob"}, {"GroupName", "staff"}}).status, 200);
  EXPECT_EQ(
      call("AttachGroupPolicy", {{"GroupName", "Staff"}, {"PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess"}})
          .status,
      200);
  EXPECT_EQ(call("PutGroupPolicy", {{"GroupName", "Staff"}, {"PolicyName", "g"}, {"PolicyDocument", kDeny}}).status,
            200);
  EXPECT_EQ(count(), 3u);
  EXPECT_EQ(element(call("GetGroup", {{"GroupName", "staff"}}), "UserName"), "bob");
  EXPECT_EQ(call("UpdateGroup", {{"GroupName", "Staff"}, {"NewGroupName", "Crew"}}).status, 200);
  stop();
  start();
  EXPECT_EQ(count(), 3u);
  EXPECT_EQ(element(call("ListGroupsForUser", {{"UserName", "bob"}}), "GroupName"), "Crew");
  expect_error(call("DeleteGroup", {{"GroupName", "Crew"}}), 409, "DeleteConflict",
               "Cannot delete entity, must remove users from group first.");
  EXPECT_EQ(call("RemoveUserFromGroup", {{"UserName", "bob"}, {"GroupName", "Crew"}}).status, 200);
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(service->identities().user_grants("111122223333", "nobody"), std::nullopt);
}

TEST_F(IamTest, ManagedPoliciesHaveVersionsOfWhichOneCounts) {
  auto created = call("CreatePolicy", {{"PolicyName", "P"}, {"PolicyDocument", kAllow}, {"Path", "/x/"}});
  const std::string arn = "arn:aws:iam::111122223333:policy/x/P";
  EXPECT_EQ(element(created, "Arn"), arn);
  EXPECT_EQ(element(created, "DefaultVersionId"), "v1");
  expect_error(call("CreatePolicy", {{"PolicyName", "p"}, {"PolicyDocument", kAllow}}), 409, "EntityAlreadyExists",
               "A policy called p already exists. Duplicate names are not allowed.");
  create("role");
  EXPECT_EQ(call("AttachRolePolicy", {{"RoleName", "role"}, {"PolicyArn", arn}}).status, 200);
  const std::string id = element(call("GetRole", {{"RoleName", "role"}}), "RoleId");
  const auto allows = [&] {
    return service->identities().role_grants("111122223333", "role", id)->identity.at(0)->statements.at(0).allow;
  };
  EXPECT_TRUE(allows());
  auto version = call("CreatePolicyVersion", {{"PolicyArn", arn}, {"PolicyDocument", kDeny}});
  EXPECT_EQ(element(version, "VersionId"), "v2");
  EXPECT_EQ(element(version, "IsDefaultVersion"), "false");
  EXPECT_TRUE(allows());
  EXPECT_EQ(call("SetDefaultPolicyVersion", {{"PolicyArn", arn}, {"VersionId", "v2"}}).status, 200);
  EXPECT_FALSE(allows());
  stop();
  start();
  EXPECT_FALSE(allows());
  EXPECT_EQ(element(call("GetPolicyVersion", {{"PolicyArn", arn}, {"VersionId", "v2"}}), "Document"),
            percent_encode(kDeny));
  EXPECT_EQ(element(call("GetPolicy", {{"PolicyArn", arn}}), "AttachmentCount"), "1");
  EXPECT_EQ(element(call("ListEntitiesForPolicy", {{"PolicyArn", arn}}), "RoleName"), "role");
  EXPECT_EQ(element(call("ListPolicies", {{"Scope", "Local"}}), "PolicyName"), "P");
  expect_error(call("DeletePolicyVersion", {{"PolicyArn", arn}, {"VersionId", "v2"}}), 409, "DeleteConflict",
               "Cannot delete the default version of a policy.");
  expect_error(call("DeletePolicy", {{"PolicyArn", arn}}), 409, "DeleteConflict",
               "Cannot delete a policy attached to entities.");
  call("DetachRolePolicy", {{"RoleName", "role"}, {"PolicyArn", arn}});
  EXPECT_EQ(call("DeletePolicy", {{"PolicyArn", arn}}).status, 409) << "it has another version";
  EXPECT_EQ(call("DeletePolicyVersion", {{"PolicyArn", arn}, {"VersionId", "v1"}}).status, 200);
  EXPECT_EQ(call("DeletePolicy", {{"PolicyArn", arn}}).status, 200);
  expect_error(call("GetPolicy", {{"PolicyArn", arn}}), 404, "NoSuchEntity", "Policy " + arn + " was not found.");
  for (int i = 0; i < 5; ++i) {
    const std::string more = i == 0 ? "CreatePolicy" : "CreatePolicyVersion";
    const Fields fields = i == 0
                              ? Fields{{"PolicyName", "Q"}, {"PolicyDocument", kAllow}}
                              : Fields{{"PolicyArn", "arn:aws:iam::111122223333:policy/Q"}, {"PolicyDocument", kAllow}};
    EXPECT_EQ(call(more, fields).status, 200);
  }
  EXPECT_EQ(element(call("CreatePolicyVersion",
                         {{"PolicyArn", "arn:aws:iam::111122223333:policy/Q"}, {"PolicyDocument", kAllow}}),
                    "Code"),
            "LimitExceeded");
}

TEST_F(IamTest, AwssOwnPoliciesAreThereAndCannotBeChanged) {
  const std::string arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
  EXPECT_THAT(element(call("GetPolicyVersion", {{"PolicyArn", arn}, {"VersionId", "v1"}}), "Document"),
              ::testing::HasSubstr("PutLogEvents"));
  EXPECT_EQ(call("CreatePolicyVersion", {{"PolicyArn", arn}, {"PolicyDocument", kAllow}}).status, 403);
  create("role");
  const Fields unknown{{"RoleName", "role"}, {"PolicyArn", "arn:aws:iam::aws:policy/NotKnownHere"}};
  EXPECT_EQ(call("AttachRolePolicy", unknown).status, 200);
  expect_error(call("AttachRolePolicy", {{"RoleName", "role"}, {"PolicyArn", "arn:aws:iam::111122223333:policy/none"}}),
               404, "NoSuchEntity",
               "Policy arn:aws:iam::111122223333:policy/none does not exist or is not attachable.");
  stop();
  options.known_policies_only = true;
  start();
  create("strict");
  expect_error(
      call("AttachRolePolicy", {{"RoleName", "strict"}, {"PolicyArn", "arn:aws:iam::aws:policy/NotKnownHere"}}), 404,
      "NoSuchEntity", "Policy arn:aws:iam::aws:policy/NotKnownHere does not exist or is not attachable.");
}

TEST_F(IamTest, ABoundaryThatHasGoneAllowsNothing) {
  const std::string boundary = "arn:aws:iam::aws:policy/AmazonS3FullAccess";
  EXPECT_EQ(call("CreateUser", {{"UserName", "bob"}, {"PermissionsBoundary", boundary}}).status, 200);
  EXPECT_EQ(element(call("GetUser", {{"UserName", "bob"}}), "PermissionsBoundaryArn"), boundary);
  EXPECT_EQ(service->identities().user_grants("111122223333", "bob")->boundary->statements.size(), 1u);
  EXPECT_EQ(call("PutUserPermissionsBoundary",
                 {{"UserName", "bob"}, {"PermissionsBoundary", "arn:aws:iam::aws:policy/Unknown"}})
                .status,
            200);
  EXPECT_EQ(service->identities().user_grants("111122223333", "bob")->boundary->statements.size(), 0u);
  EXPECT_EQ(call("DeleteUserPermissionsBoundary", {{"UserName", "bob"}}).status, 200);
  EXPECT_EQ(service->identities().user_grants("111122223333", "bob")->boundary, nullptr);
}

TEST_F(IamTest, PoliciesAreBounded) {
  create("role");
  const std::string large =
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::)" +
      std::string(6000, 'x') + R"("}]})";
  EXPECT_EQ(call("PutRolePolicy", {{"RoleName", "role"}, {"PolicyName", "a"}, {"PolicyDocument", large}}).status, 200);
  expect_error(call("PutRolePolicy", {{"RoleName", "role"}, {"PolicyName", "b"}, {"PolicyDocument", large}}), 409,
               "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role role");
  EXPECT_EQ(call("ListRolePolicies", {{"RoleName", "role"}}).body.find("<member>b</member>"), std::string::npos);
}

TEST_F(IamTest, RolesOfAnEarlierVersionAreTakenOver) {
  stop();
  const std::string path = sim.directory() + "/old.db";
  {
    auto old = store::Database::open(sim.loop(), path, IamService::migrations().first(1),
                                     {.durability = store::Durability::kEphemeral});
    ASSERT_TRUE(old);
    const std::string document =
        R"({"account":"111122223333","path":"/","name":"Old","id":"AROAOLD","trust_policy":"{}","description":"",)"
        R"("max_session_seconds":3600,"created_ms":0,"tags":[],"inline_policies":{},"attached_policies":[]})";
    auto written = run((*old)->write([document](store::Transaction& tx) -> Result<void> {
      LD_TRY_VOID(tx.execute("INSERT INTO roles VALUES ('111122223333', 'Old', ?1)", {document}));
      return {};
    }));
    ASSERT_TRUE(written);
  }
  database = std::move(*store::Database::open(sim.loop(), path, IamService::migrations(),
                                              {.durability = store::Durability::kEphemeral}));
  service = std::make_unique<IamService>(sim.system(), null_logger(), *database, options);
  dispatcher = std::make_unique<aws::Dispatcher>(sim.system(), null_logger(), metrics, aws::Dispatcher::Options{});
  ASSERT_TRUE(run(service->start()));
  service->serve(*dispatcher);
  EXPECT_EQ(element(call("GetRole", {{"RoleName", "old"}}), "RoleId"), "AROAOLD");
  EXPECT_EQ(service->identities().find_role("111122223333", "Old")->trust, nullptr) << "{} trusts nobody";
}

}  // namespace
}  // namespace lambdad::iam
