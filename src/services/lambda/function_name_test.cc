#include "services/lambda/function_name.h"

#include <gtest/gtest.h>

namespace lambdad::lambda {
namespace {

TEST(FunctionName, AcceptsEveryForm) {
  const std::pair<std::string_view, NameParts> forms[] = {
      {"my-fn", {.name = "my-fn"}},
      {"my-fn:prod", {.name = "my-fn", .qualifier = "prod"}},
      {"my-fn:$LATEST", {.name = "my-fn", .qualifier = "$LATEST"}},
      {"function:my-fn", {.name = "my-fn"}},
      {"123456789012:function:my-fn", {.account = "123456789012", .name = "my-fn"}},
      {"123456789012:function:my-fn:7", {.account = "123456789012", .name = "my-fn", .qualifier = "7"}},
      {"us-east-1:123456789012:function:f", {.region = "us-east-1", .account = "123456789012", .name = "f"}},
      {"arn:aws:lambda:eu-west-1:123456789012:function:f",
       {.region = "eu-west-1", .account = "123456789012", .name = "f"}},
      {"arn:aws:lambda:eu-west-1:123456789012:function:f:1",
       {.region = "eu-west-1", .account = "123456789012", .name = "f", .qualifier = "1"}},
      {"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f",
       {.region = "us-gov-west-1", .account = "123456789012", .name = "f"}},
      // Cut off: the name is what stands last.
      {"arn:aws:lambda:us-east-1:123456789012:function",
       {.region = "us-east-1", .account = "123456789012", .name = "function"}},
      {"function", {.name = "function"}},
      {"123456789012", {.name = "123456789012"}},
  };
  for (const auto& [text, parts] : forms) {
    SCOPED_TRACE(text);
    EXPECT_EQ(parse_function_name(text), parts);
  }
}

TEST(FunctionName, RefusesEverythingElse) {
  for (std::string_view text :
       {"", ":", "f:", ":f", "invalid:function:name", "a:b:c", "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:lambda",
        "arn", "f/g", "f g", "arn:aws:lambda:us-east-1:123456789012:function:f:1:2", "../f"}) {
    if (text == "arn") continue;  // a function may be called that; as first of several parts it begins an ARN
    EXPECT_EQ(parse_function_name(text), std::nullopt) << text;
  }
}

class FunctionRefTest : public ::testing::Test {
 protected:
  aws::RequestContext context{.account = "111122223333", .region = "us-east-1"};
};

TEST_F(FunctionRefTest, FillsInAccountAndRegion) {
  auto ref = function_ref(context, "f");
  ASSERT_TRUE(ref);
  EXPECT_EQ(ref->arn().str(), "arn:aws:lambda:us-east-1:111122223333:function:f");
  EXPECT_EQ(function_ref(context, "f", "prod")->qualifier, "prod");
  EXPECT_EQ(function_ref(context, "f:prod", "prod")->qualifier, "prod");
  EXPECT_EQ(function_ref(context, "999988887777:function:f")->account, "999988887777");
}

TEST_F(FunctionRefTest, RefusesQualifiersThatDiffer) {
  auto ref = function_ref(context, "f:a", "b");
  ASSERT_FALSE(ref);
  EXPECT_EQ(ref.error().type, "InvalidParameterValueException");
  EXPECT_EQ(ref.error().message,
            "The derived qualifier from the function name does not match the specified qualifier.");
}

TEST_F(FunctionRefTest, AnotherRegionIsNotReachable) {
  auto ref = function_ref(context, "arn:aws:lambda:eu-west-1:111122223333:function:f");
  ASSERT_FALSE(ref);
  EXPECT_EQ(ref.error().http_status, 404);
  EXPECT_EQ(ref.error().message, "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')");
}

TEST_F(FunctionRefTest, WholeFunctionsHaveNoQualifier) {
  EXPECT_TRUE(unqualified_function_ref(context, "f"));
  auto ref = unqualified_function_ref(context, "f:1");
  ASSERT_FALSE(ref);
  EXPECT_EQ(ref.error().message,
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN.");
}

}  // namespace
}  // namespace lambdad::lambda
