#include "access/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws/gen/ecr.h"
#include "aws/gen/iam.h"
#include "aws/gen/lambda.h"
#include "aws/gen/logs.h"
#include "aws/gen/sns.h"
#include "aws/gen/sqs.h"
#include "aws/gen/sts.h"
#include "base/seal.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::access {
namespace {

using ::testing::HasSubstr;

constexpr char kAccount[] = "111122223333";
constexpr char kFunction[] = "arn:aws:lambda:us-east-1:111122223333:function:f";

policy::DocumentPtr document(const std::string& statement, policy::Kind kind = policy::Kind::kIdentity) {
  auto read = policy::parse(fmt::format(R"({{"Version":"2012-10-17","Statement":[{}]}})", statement), kind);
  LD_CHECK(read.has_value(), "{}", read ? "" : read.error().message);
  return std::make_shared<const policy::Document>(std::move(*read));
}

/// bob has a key and policies; the role app can be assumed by Lambda.
struct FakeIdentities final : Identities {
  std::optional<UserKey> find_key(const std::string& id) const override {
    if (id != "AKIABOB") return std::nullopt;
    return UserKey{.secret = "bobs-secret",
                   .active = active,
                   .account = kAccount,
                   .user_name = "bob",
                   .user_id = "AIDABOB",
                   .user_arn = "arn:aws:iam::111122223333:user/bob"};
  }
  std::optional<Grants> user_grants(const std::string&, const std::string& name) const override {
    return name == "bob" && bob_lives ? std::optional(Grants{.identity = policies, .boundary = {}, .tags = {}})
                                      : std::nullopt;
  }
  std::optional<Grants> role_grants(const std::string&, const std::string& name, const std::string& id) const override {
    return name == "app" && id == role_id ? std::optional(Grants{.identity = policies, .boundary = {}, .tags = {}})
                                          : std::nullopt;
  }
  std::optional<RoleFacts> find_role(const std::string&, const std::string& name) const override {
    if (name != "app") return std::nullopt;
    return RoleFacts{.arn = "arn:aws:iam::111122223333:role/app", .id = role_id, .trust = trust, .max_session = 1h};
  }
  std::optional<std::string> managed_policy_text(const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::string arn_of(std::string_view kind, const std::string& account, const std::string& name) const override {
    return fmt::format("arn:aws:iam::{}:{}/path/{}", account, kind, name);
  }
  void key_used(const std::string&, std::string_view service, std::string_view) override { last_service = service; }

  bool active = true;
  bool bob_lives = true;
  std::string role_id = "AROAAPP";
  std::vector<policy::DocumentPtr> policies;
  policy::DocumentPtr trust =
      document(R"({"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"})",
               policy::Kind::kTrust);
  std::string last_service;
};

class GateTest : public ::testing::Test {
 protected:
  GateTest() { make(Mode::kEnforce); }
  void make(Mode mode) {
    Gate::Options options{
        .mode = mode,
        .default_account = kAccount,
        .root = RootKey{"AKIAROOT", "root-secret"},
        .resource_policy = [this](const Arn& arn) { return resource_policies[arn.str()]; },
        .role_of_function =
            [](const ports::FunctionRef&) { return std::string("arn:aws:iam::111122223333:role/app"); }};
    gate = std::make_unique<Gate>(sim.system(), null_logger(), sessions, std::move(options));
    gate->set_identities(identities);
  }
  http::Request request_of(const aws::sigv4::Credentials& credentials, std::string_view service = "lambda",
                           std::string_view region = "us-east-1") {
    http::Request request{.method = "POST", .target = "/2015-03-31/functions/f/invocations"};
    request.headers.set("Host", "127.0.0.1:4566");
    aws::sigv4::sign(request, credentials, region, service, sim.system().host_clock.wall());
    return request;
  }
  std::string who(const http::Request& request, const aws::ServiceModel& service = aws::lambda::service()) {
    auto signature = aws::sigv4::parse(request);
    LD_CHECK(signature.has_value());
    auto caller = gate->authenticate(request, *signature ? &**signature : nullptr, &service, nullptr);
    if (!caller) return caller.error().type + "/" + caller.error().query_code + ": " + caller.error().message;
    last = *caller;
    return last->principal.arn;
  }
  std::string may(const aws::OperationModel& operation, const std::string& input, std::string service = "lambda") {
    aws::RequestContext context;
    context.account = last->principal.account;
    context.region = "us-east-1";
    context.service = std::move(service);
    context.operation = operation.name;
    context.caller = last;
    context.source_ip = "127.0.0.1";
    auto allowed = gate->authorize(context, operation, json::parse(input).value());
    return allowed ? "yes" : allowed.error().message;
  }
  void allow(const std::string& statement) { identities.policies.push_back(document(statement)); }

  SimSystem sim{test_seed()};
  Sessions sessions{sim.system().random, std::string(kSealKeyBytes, 'k')};
  FakeIdentities identities;
  std::map<std::string, std::string> resource_policies;
  std::unique_ptr<Gate> gate;
  aws::CallerPtr last;
  const aws::sigv4::Credentials bob{"AKIABOB", "bobs-secret", {}};
};

TEST_F(GateTest, KnowsRootAndUsersByTheirSignatures) {
  EXPECT_EQ(who(request_of({"AKIAROOT", "root-secret", {}})), "arn:aws:iam::111122223333:root");
  EXPECT_EQ(who(request_of(bob)), "arn:aws:iam::111122223333:user/bob");
  EXPECT_EQ(last->user_id, "AIDABOB");
  EXPECT_EQ(identities.last_service, "lambda");
}

TEST_F(GateTest, RefusesInAwssWords) {
  http::Request unsigned_request{.method = "GET", .target = "/"};
  unsigned_request.headers.set("Host", "x");
  EXPECT_EQ(who(unsigned_request),
            "MissingAuthenticationTokenException/MissingAuthenticationToken: Missing Authentication Token");
  EXPECT_EQ(who(request_of({"AKIANOBODY", "s", {}})),
            "UnrecognizedClientException/InvalidClientTokenId: The security token included in the request is invalid.");
  EXPECT_THAT(who(request_of({"AKIABOB", "wrong", {}})),
              HasSubstr("InvalidSignatureException/SignatureDoesNotMatch: The request signature we calculated"));
  EXPECT_EQ(who(request_of(bob, "sqs")),
            "InvalidSignatureException/SignatureDoesNotMatch: Credential should be scoped to correct service: "
            "'lambda'. ");
  identities.active = false;
  EXPECT_THAT(who(request_of(bob)), HasSubstr("InvalidClientTokenId"));
}

TEST_F(GateTest, ASignatureIsGoodForAQuarterOfAnHourAndMayBeReplayed) {
  const http::Request request = request_of(bob);
  EXPECT_EQ(who(request), "arn:aws:iam::111122223333:user/bob");
  sim.run_for(15min);
  EXPECT_EQ(who(request), "arn:aws:iam::111122223333:user/bob");
  sim.run_for(1s);
  EXPECT_THAT(who(request), HasSubstr("Signature expired: "));
}

TEST_F(GateTest, AChangedSecretIsNotRememberedUnderTheOldKey) {
  EXPECT_THAT(who(request_of({"AKIABOB", "wrong", {}})), HasSubstr("SignatureDoesNotMatch"));
  EXPECT_EQ(who(request_of(bob)), "arn:aws:iam::111122223333:user/bob");
}

TEST_F(GateTest, SessionsOfRolesAreWhoTheyAreUntilTheyExpire) {
  auto credentials = gate->issue_for_role("arn:aws:iam::111122223333:role/app", kAccount, "f", 1h);
  const aws::sigv4::Credentials given{credentials.access_key_id, credentials.secret_access_key,
                                      credentials.session_token};
  EXPECT_EQ(who(request_of(given)), "arn:aws:sts::111122223333:assumed-role/app/f");
  EXPECT_EQ(last->user_id, "AROAAPP:f");
  EXPECT_EQ(last->principal.role_arn, "arn:aws:iam::111122223333:role/app");
  // Without its token, with another's, and with a changed one.
  EXPECT_THAT(who(request_of({given.access_key_id, given.secret_access_key, {}})), HasSubstr("InvalidClientTokenId"));
  EXPECT_THAT(who(request_of({"AKIABOB", "bobs-secret", given.session_token})), HasSubstr("InvalidClientTokenId"));
  std::string changed = given.session_token;
  changed[changed.size() / 2] = changed[changed.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_THAT(who(request_of({given.access_key_id, given.secret_access_key, changed})),
              HasSubstr("InvalidClientTokenId"));
  // A role made anew under the same name is another one.
  identities.role_id = "AROAOTHER";
  EXPECT_THAT(who(request_of(given)), HasSubstr("InvalidClientTokenId"));
  identities.role_id = "AROAAPP";
  sim.run_for(1h);
  EXPECT_EQ(who(request_of(given)),
            "ExpiredTokenException/ExpiredToken: The security token included in the request is expired");
}

TEST_F(GateTest, WithAuthOffAnyKeyIsAnAccount) {
  make(Mode::kOff);
  EXPECT_EQ(who(request_of({"999988887777", "x", {}})), "arn:aws:iam::999988887777:root");
  EXPECT_EQ(who(request_of({"test", "x", {}})), "arn:aws:iam::111122223333:root");
  EXPECT_EQ(who(request_of({"AKIABOB", "wrong", {}})), "arn:aws:iam::111122223333:user/bob");
  auto credentials = gate->issue_for_role("arn:aws:iam::999988887777:role/none", kAccount, "f", 1h);
  EXPECT_EQ(who(request_of({credentials.access_key_id, "wrong", credentials.session_token})),
            "arn:aws:sts::111122223333:assumed-role/none/f");
  EXPECT_EQ(may(aws::lambda::ListFunctions::model(), "{}"), "yes");
}

TEST_F(GateTest, VerifyAsksWhoAndNotWhether) {
  make(Mode::kVerify);
  EXPECT_THAT(who(request_of({"AKIABOB", "wrong", {}})), HasSubstr("SignatureDoesNotMatch"));
  who(request_of(bob));
  EXPECT_EQ(may(aws::lambda::ListFunctions::model(), "{}"), "yes");
  EXPECT_TRUE(gate->service_may_assume("arn:aws:iam::111122223333:role/none", "lambda.amazonaws.com"));
}

TEST_F(GateTest, EnforceSaysWhatIsMissing) {
  who(request_of(bob));
  EXPECT_EQ(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f"})"),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: lambda:InvokeFunction on resource: "
            "arn:aws:lambda:us-east-1:111122223333:function:f because no identity-based policy allows the "
            "lambda:InvokeFunction action");
  EXPECT_EQ(may(aws::sqs::SendMessage::model(), R"({"QueueUrl":"http://127.0.0.1:4566/111122223333/q"})", "sqs"),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sqs:sendmessage on resource: "
            "arn:aws:sqs:us-east-1:111122223333:q because no identity-based policy allows the sqs:sendmessage action");
  EXPECT_EQ(may(aws::iam::GetUser::model(), R"({"UserName":"eve"})", "iam"),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:GetUser on resource: user eve "
            "because no identity-based policy allows the iam:GetUser action");
  EXPECT_EQ(may(aws::sts::GetCallerIdentity::model(), "{}", "sts"), "yes");
  allow(R"({"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:*:function:f:live"})");
  EXPECT_EQ(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f","Qualifier":"live"})"), "yes");
  EXPECT_EQ(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f:live"})"), "yes");
  EXPECT_THAT(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f"})"), HasSubstr("not authorized"));
  allow(R"({"Effect":"Deny","Action":"lambda:*","Resource":"*"})");
  EXPECT_THAT(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f:live"})"),
              HasSubstr("with an explicit deny in an identity-based policy"));
}

TEST_F(GateTest, CreatingAFunctionNeedsPassRole) {
  who(request_of(bob));
  allow(R"({"Effect":"Allow","Action":"lambda:*","Resource":"*"})");
  const std::string input = R"({"FunctionName":"f","Role":"arn:aws:iam::111122223333:role/app"})";
  EXPECT_EQ(may(aws::lambda::CreateFunction::model(), input),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:PassRole on resource: "
            "arn:aws:iam::111122223333:role/app because no identity-based policy allows the iam:PassRole action");
  allow(R"({"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{)"
        R"("iam:PassedToService":"lambda.amazonaws.com"}}})");
  EXPECT_EQ(may(aws::lambda::CreateFunction::model(), input), "yes");
  EXPECT_EQ(
      may(aws::lambda::CreateFunction::model(), R"({"FunctionName":"f","Role":"arn:aws:iam::999988887777:role/app"})"),
      "Cross-account pass role is not allowed.");
}

TEST_F(GateTest, AResourcesPolicyLetsOthersIn) {
  who(request_of(bob));
  resource_policies[kFunction] =
      fmt::format(R"({{"Version":"2012-10-17","Statement":[{{"Sid":"a-b","Effect":"Allow","Principal":{{"AWS":)"
                  R"("arn:aws:iam::111122223333:user/bob"}},"Action":"lambda:InvokeFunction","Resource":"{}"}}]}})",
                  kFunction);
  EXPECT_EQ(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f"})"), "yes");
  EXPECT_NE(may(aws::lambda::Invoke::model(), R"({"FunctionName":"f:live"})"), "yes");
}

TEST_F(GateTest, TagsOfARequestAreKeys) {
  who(request_of(bob));
  allow(R"({"Effect":"Allow","Action":"lambda:TagResource","Resource":"*","Condition":{"StringEquals":{)"
        R"("aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}})");
  const auto tag = [&](const std::string& tags) {
    return may(aws::lambda::TagResource::model(), fmt::format(R"({{"Resource":"{}","Tags":{}}})", kFunction, tags));
  };
  EXPECT_EQ(tag(R"({"team":"red"})"), "yes");
  EXPECT_NE(tag(R"({"team":"blue"})"), "yes");
  EXPECT_NE(tag(R"({"team":"red","more":"1"})"), "yes");
}

TEST_F(GateTest, RolesAreAssumedByWhomTheyTrust) {
  who(request_of(bob));
  allow(R"({"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"})");
  const std::string input =
      R"({"RoleArn":"arn:aws:iam::111122223333:role/app","RoleSessionName":"s","ExternalId":"x"})";
  EXPECT_EQ(may(aws::sts::AssumeRole::model(), input, "sts"),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole on resource: "
            "arn:aws:iam::111122223333:role/app");
  EXPECT_EQ(may(aws::sts::AssumeRole::model(),
                R"({"RoleArn":"arn:aws:iam::111122223333:role/none","RoleSessionName":"s"})", "sts"),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole on resource: "
            "arn:aws:iam::111122223333:role/none");
  identities.trust = document(
      R"({"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{)"
      R"("sts:ExternalId":"x"}}})",
      policy::Kind::kTrust);
  EXPECT_EQ(may(aws::sts::AssumeRole::model(), input, "sts"), "yes");
  EXPECT_FALSE(gate->service_may_assume("arn:aws:iam::111122223333:role/app", "lambda.amazonaws.com"));
}

TEST_F(GateTest, AMappingsFunctionMustBeAllowedToReadItsQueue) {
  who(request_of(bob));
  allow(R"({"Effect":"Allow","Action":["lambda:*","iam:PassRole"],"Resource":"*"})");
  const std::string queue = R"("arn:aws:sqs:us-east-1:111122223333:q")";
  const std::string mapping = R"({"FunctionName":"f","EventSourceArn":)" + queue + "}";
  EXPECT_EQ(may(aws::lambda::CreateEventSourceMapping::model(), mapping),
            "The provided execution role does not have permissions to call ReceiveMessage on SQS");
  const std::string dead_letters =
      R"({"FunctionName":"f","Role":"arn:aws:iam::111122223333:role/app","DeadLetterConfig":{"TargetArn":)" + queue +
      "}}";
  EXPECT_EQ(may(aws::lambda::CreateFunction::model(), dead_letters),
            "The provided execution role does not have permissions to call SendMessage on SQS");
  allow(R"({"Effect":"Allow","Action":["sqs:Receive*","sqs:Delete*","sqs:Get*"],"Resource":"*"})");
  EXPECT_EQ(may(aws::lambda::CreateEventSourceMapping::model(), mapping), "yes");
  EXPECT_NE(may(aws::lambda::CreateFunction::model(), dead_letters), "yes");
}

TEST_F(GateTest, LambdaAssumesRolesThatTrustIt) {
  EXPECT_TRUE(gate->service_may_assume("arn:aws:iam::111122223333:role/app", "lambda.amazonaws.com"));
  EXPECT_FALSE(gate->service_may_assume("arn:aws:iam::111122223333:role/app", "ec2.amazonaws.com"));
  EXPECT_FALSE(gate->service_may_assume("arn:aws:iam::111122223333:role/none", "lambda.amazonaws.com"));
  EXPECT_FALSE(gate->service_may_assume("arn:aws:iam::111122223333:role/other-path/app", "lambda.amazonaws.com"));
  EXPECT_FALSE(gate->role_may("arn:aws:iam::111122223333:role/app", "sqs:ReceiveMessage", "*"));
  allow(R"({"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"*"})");
  EXPECT_TRUE(gate->role_may("arn:aws:iam::111122223333:role/app", "sqs:ReceiveMessage", "*"));
}

TEST_F(GateTest, FunctionUrlsNeedBothActions) {
  const ports::FunctionRef function{.account = kAccount, .region = "us-east-1", .name = "f", .qualifier = ""};
  http::Request anonymous{.method = "GET", .target = "/"};
  anonymous.headers.set("Host", "x");
  EXPECT_FALSE(gate->admit_url(anonymous, nullptr, function));
  const std::string url_statement = fmt::format(
      R"({{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"{}","Condition":)"
      R"({{"StringEquals":{{"lambda:FunctionUrlAuthType":"NONE"}}}}}})",
      kFunction);
  const std::string invoke_statement =
      fmt::format(R"({{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"{}","Condition":)"
                  R"({{"Bool":{{"lambda:InvokedViaFunctionUrl":"true"}}}}}})",
                  kFunction);
  resource_policies[kFunction] = fmt::format(R"({{"Version":"2012-10-17","Statement":[{}]}})", url_statement);
  EXPECT_FALSE(gate->admit_url(anonymous, nullptr, function));
  resource_policies[kFunction] =
      fmt::format(R"({{"Version":"2012-10-17","Statement":[{},{}]}})", url_statement, invoke_statement);
  EXPECT_TRUE(gate->admit_url(anonymous, nullptr, function));
  // The same statements do not open a URL with AWS_IAM: the condition is another.
  const http::Request signed_request = request_of(bob);
  const auto signature = **aws::sigv4::parse(signed_request);
  const auto refused = gate->admit_url(signed_request, &signature, function);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, "AccessDeniedException");
  allow(R"({"Effect":"Allow","Action":["lambda:InvokeFunctionUrl","lambda:InvokeFunction"],"Resource":"*"})");
  EXPECT_TRUE(gate->admit_url(signed_request, &signature, function));
}

TEST(Operations, LinksInMailsNeedNoSignature) {
  EXPECT_TRUE(is_open("sns", "ConfirmSubscription"));
  EXPECT_TRUE(is_open("sns", "Unsubscribe"));
  EXPECT_FALSE(is_open("sns", "Subscribe"));
  EXPECT_FALSE(is_open("sqs", "SendMessage"));
  EXPECT_FALSE(is_open("none", "Unsubscribe"));
}

// An operation that is served and has no entry would be denied to everybody under enforce.
TEST(Operations, EveryServedOperationHasItsPermission) {
  for (const aws::ServiceModel* service :
       {&aws::lambda::service(), &aws::sqs::service(), &aws::sns::service(), &aws::logs::service(),
        &aws::ecr::service(), &aws::iam::service(), &aws::sts::service()}) {
    for (const aws::OperationModel* operation : service->operations) {
      if (operation->served) {
        EXPECT_TRUE(has_meaning(service->name, operation->name)) << service->name << ":" << operation->name;
      }
    }
  }
}

TEST(Operations, ResourcesAreNamedAsPoliciesNameThem) {
  FakeIdentities identities;
  aws::RequestContext context;
  context.account = kAccount;
  context.region = "eu-west-1";
  const auto resource = [&](std::string service, std::string_view operation, const std::string& input) {
    context.service = std::move(service);
    const Meaning meaning = meaning_of(context, operation, json::parse(input).value(), identities);
    return meaning.asked.empty() ? "none" : meaning.asked[0].action + " " + meaning.asked[0].resource;
  };
  EXPECT_EQ(resource("lambda", "Invoke", R"({"FunctionName":"arn:aws:lambda:us-east-1:999988887777:function:f"})"),
            "lambda:InvokeFunction arn:aws:lambda:us-east-1:999988887777:function:f");
  EXPECT_EQ(resource("lambda", "ListFunctions", "{}"), "lambda:ListFunctions *");
  EXPECT_EQ(resource("lambda", "GetLayerVersion", R"({"LayerName":"l","VersionNumber":3})"),
            "lambda:GetLayerVersion arn:aws:lambda:eu-west-1:111122223333:layer:l:3");
  EXPECT_EQ(resource("lambda", "DeleteEventSourceMapping", R"({"UUID":"u"})"),
            "lambda:DeleteEventSourceMapping arn:aws:lambda:eu-west-1:111122223333:event-source-mapping:u");
  EXPECT_EQ(resource("sqs", "DeleteMessageBatch", R"({"QueueUrl":"http://h:1/999988887777/q.fifo"})"),
            "sqs:DeleteMessage arn:aws:sqs:eu-west-1:999988887777:q.fifo");
  EXPECT_EQ(resource("sqs", "CreateQueue", R"({"QueueName":"q"})"),
            "sqs:CreateQueue arn:aws:sqs:eu-west-1:111122223333:q");
  EXPECT_EQ(resource("logs", "GetLogEvents", R"({"logGroupName":"/aws/lambda/f","logStreamName":"s"})"),
            "logs:GetLogEvents arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f:log-stream:s");
  EXPECT_EQ(resource("iam", "GetRole", R"({"RoleName":"r"})"), "iam:GetRole arn:aws:iam::111122223333:role/path/r");
  EXPECT_EQ(resource("iam", "CreateUser", R"({"UserName":"u","Path":"/p/"})"),
            "iam:CreateUser arn:aws:iam::111122223333:user/p/u");
  EXPECT_EQ(resource("sts", "GetSessionToken", "{}"), "none");
  EXPECT_EQ(meaning_of(context, "NoSuchThing", json::Value(json::Object{}), identities).kind, Meaning::Kind::kUnknown);
}

TEST(RootKey, IsMadeOnceAndReadByAwssTools) {
  SimSystem sim(test_seed());
  RealFiles files;
  const std::string path = sim.directory() + "/credentials";
  EXPECT_EQ(read_root_key(files, path).value(), std::nullopt);
  const RootKey made = load_root_key(files, sim.system().random, path).value();
  EXPECT_EQ(load_root_key(files, sim.system().random, path).value().secret_access_key, made.secret_access_key);
  EXPECT_THAT(files.read(path).value(), HasSubstr("[default]\naws_access_key_id = AKIA"));
  ASSERT_TRUE(files.write_durably(path, "[default]\n"));
  EXPECT_EQ(read_root_key(files, path).error().code, Errc::kCorrupt);
}

TEST(Sessions, AreOpenedByTheirKeyOnly) {
  SimSystem sim(test_seed());
  Sessions ours(sim.system().random, std::string(kSealKeyBytes, 'a'));
  Sessions theirs(sim.system().random, std::string(kSealKeyBytes, 'b'));
  Session session;
  session.principal.type = policy::Principal::Type::kUser;
  session.principal.account = kAccount;
  session.policies = {"{}"};
  session.expires = from_epoch_ms(5000);
  const Credentials made = ours.issue(session);
  const auto opened = ours.open(made.session_token);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->access_key_id, made.access_key_id);
  EXPECT_EQ(opened->secret_access_key, made.secret_access_key);
  EXPECT_EQ(opened->session.principal.account, kAccount);
  EXPECT_EQ(opened->session.policies, session.policies);
  EXPECT_EQ(opened->session.expires, from_epoch_ms(5000));
  EXPECT_FALSE(theirs.open(made.session_token));
  EXPECT_FALSE(ours.open("no token"));
  EXPECT_FALSE(ours.open(""));
}

}  // namespace
}  // namespace lambdad::access
