#include "services/sqs/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/sqs/service_test_support.h"

namespace lambdad::sqs {
namespace {

constexpr const char* kGood =
    R"({"Version":"2012-10-17","Id":"p","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"Service":"sns.amazonaws.com","AWS":["111122223333","*"]},"Action":["sqs:SendMessage","SQS:*"],"Resource":"arn:aws:sqs:eu-west-1:111122223333:q","Condition":{"ArnEquals":{"aws:SourceArn":"a"}}}]})";

TEST(Policy, AcceptsDocuments) {
  EXPECT_TRUE(check_policy(kGood));
  EXPECT_TRUE(check_policy(R"({"Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":"*","Resource":"*"}})"));
}

TEST(Policy, RefusesWhatIsNoPolicy) {
  const auto with = [](std::string_view from, std::string_view to) {
    std::string text = kGood;
    const auto at = text.find(from);
    LD_CHECK(at != text.npos, "{}", from);
    return text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       std::vector<std::string>{"",
                                "{",
                                "[]",
                                "{}",
                                R"({"Statement":[]})",
                                R"({"Statement":"s"})",
                                R"({"Statement":[1]})",
                                with("2012-10-17", "2012-10-18"),
                                with("\"Id\":\"p\"", "\"Id\":1"),
                                with("\"Id\"", "\"Ident\""),
                                with("Allow", "Maybe"),
                                with("\"Principal\"", "\"Principals\""),
                                with("Service", "Team"),
                                with("sqs:SendMessage", "sns:Publish"),
                                with("sqs:SendMessage", ""),
                                with("\"Resource\":\"arn:aws:sqs:eu-west-1:111122223333:q\",", ""),
                                with("\"Effect\":\"Allow\",", ""),
                                with("\"Sid\":\"s\"", "\"Sid\":7"),
                                with("{\"ArnEquals\":{\"aws:SourceArn\":\"a\"}}", "1"),
                                with("\"Sid\":\"s\"", "\"NotAction\":\"*\""),
                                with("[\"111122223333\",\"*\"]", "[]"),
                                with("\"p\"", "\"" + std::string(9000, 'p') + "\"")}) {
    const auto checked = check_policy(text);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().type, "InvalidAttributeValue");
    EXPECT_EQ(checked.error().message, "Invalid value for the parameter Policy.");
  }
}

// Recorded on AWS, without its account numbers.
TEST_F(Service, PermissionsAreStatementsOfThePolicy) {
  const std::string queue = create("q");
  const auto add = [&](const std::string& label, Array accounts, Array actions) -> Object {
    return {{"QueueUrl", queue}, {"Label", label}, {"AWSAccountIds", accounts}, {"Actions", actions}};
  };
  const auto policy = [&] { return document(queue_attribute(queue, "Policy")); };
  ok("AddPermission", add("both", {"111111111111", "222222222222"}, {"ReceiveMessage"}));
  EXPECT_EQ(policy(), document(R"({"Version":"2008-10-17","Id":"arn:aws:sqs:eu-west-1:111122223333:q/SQSDefaultPolicy",
      "Statement":[{"Sid":"both","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:root",
      "arn:aws:iam::222222222222:root"]},"Action":"SQS:ReceiveMessage",
      "Resource":"arn:aws:sqs:eu-west-1:111122223333:q"}]})"));
  EXPECT_EQ(error("AddPermission", add("both", {"111111111111"}, {"ReceiveMessage"})),
            "InvalidParameterValueException: Value both for parameter Label is invalid. Reason: Already exists.");
  ok("AddPermission", add("one", {"111111111111"}, {"SendMessage", "*"}));
  EXPECT_EQ(policy().find("Statement")->if_array()->size(), 2u);
  EXPECT_EQ(*policy().find("Statement")->if_array()->at(1).find("Principal"),
            document(R"({"AWS":"arn:aws:iam::111111111111:root"})"));
  EXPECT_EQ(*policy().find("Statement")->if_array()->at(1).find("Action"), document(R"(["SQS:SendMessage","SQS:*"])"));

  restart();
  ok("RemovePermission", Object{{"QueueUrl", queue}, {"Label", "both"}});
  EXPECT_EQ(policy().find("Statement")->if_array()->size(), 1u);
  EXPECT_EQ(error("RemovePermission", Object{{"QueueUrl", queue}, {"Label", "both"}}),
            "InvalidParameterValueException: Value both for parameter Label is invalid. Reason: can't find label.");
  ok("RemovePermission", Object{{"QueueUrl", queue}, {"Label", "one"}});
  EXPECT_EQ(queue_attribute(queue, "Policy"), "(absent)");

  EXPECT_EQ(error("AddPermission", add("a", {"111111111111"}, {"DeleteQueue"})),
            "InvalidParameterValueException: Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only "
            "the queue owner is allowed to invoke this action.");
  EXPECT_EQ(
      error("AddPermission", add("a", {"111111111111"},
                                 {"SendMessage", "ReceiveMessage", "DeleteMessage", "PurgeQueue", "GetQueueUrl",
                                  "GetQueueAttributes", "ChangeMessageVisibility", "ListDeadLetterSourceQueues"})),
      "OverLimit: 8 Actions were found, maximum allowed is 7.");
  EXPECT_EQ(error("AddPermission", add("a b", {"111111111111"}, {"SendMessage"})).substr(0, 30),
            "InvalidParameterValueException");
  EXPECT_EQ(error("AddPermission", add("a", {"1"}, {"SendMessage"})).substr(0, 30), "InvalidParameterValueException");
}

TEST_F(Service, KeepsAPolicyAsItWasWritten) {
  const std::string queue = create("q", {{"Policy", kGood}});
  EXPECT_EQ(queue_attribute(queue, "Policy"), kGood);
  EXPECT_EQ(error("SetQueueAttributes", Object{{"QueueUrl", queue}, {"Attributes", Object{{"Policy", "{}"}}}}),
            "InvalidAttributeValue: Invalid value for the parameter Policy.");
  ok("AddPermission", Object{{"QueueUrl", queue},
                             {"Label", "more"},
                             {"AWSAccountIds", Array{"111111111111"}},
                             {"Actions", Array{"SendMessage"}}});
  EXPECT_EQ(document(queue_attribute(queue, "Policy")).find("Statement")->if_array()->size(), 2u);
  EXPECT_EQ(*document(queue_attribute(queue, "Policy")).find("Id")->if_string(), "p");
  ok("SetQueueAttributes", Object{{"QueueUrl", queue}, {"Attributes", Object{{"Policy", ""}}}});
  EXPECT_EQ(queue_attribute(queue, "Policy"), "(absent)");
}

}  // namespace
}  // namespace lambdad::sqs
