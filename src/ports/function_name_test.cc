#include "ports/function_name.h"

#include <gtest/gtest.h>

namespace lambdad::ports {
namespace {

std::string arn_of(std::string_view text) {
  const auto function = parse_function_name(text, "111122223333", "eu-west-1");
  return function ? function->arn().str() : "none";
}

TEST(FunctionName, EveryFormNamesTheSameFunction) {
  const std::string arn = "arn:aws:lambda:eu-west-1:111122223333:function:f";
  for (const char* form : {"f", "function:f", "111122223333:function:f", "111122223333:f",
                           "arn:aws:lambda:eu-west-1:111122223333:function:f"}) {
    EXPECT_EQ(arn_of(form), arn) << form;
  }
}

TEST(FunctionName, TheQualifierIsKeptAsGiven) {
  const std::string arn = "arn:aws:lambda:eu-west-1:111122223333:function:f";
  EXPECT_EQ(arn_of("f:$LATEST"), arn + ":$LATEST");
  EXPECT_EQ(arn_of("f:live"), arn + ":live");
  EXPECT_EQ(arn_of("111122223333:function:f:7"), arn + ":7");
  EXPECT_EQ(arn_of(arn + ":live"), arn + ":live");
}

TEST(FunctionName, OtherAccountsAndRegionsAreTaken) {
  EXPECT_EQ(arn_of("444455556666:function:f"), "arn:aws:lambda:eu-west-1:444455556666:function:f");
  EXPECT_EQ(arn_of("arn:aws:lambda:us-gov-east-1:444455556666:function:f"),
            "arn:aws:lambda:us-gov-east-1:444455556666:function:f");
}

TEST(FunctionName, AnOptionalPartCountsOnlyWithSomethingBehindIt) {
  EXPECT_EQ(arn_of("function"), "arn:aws:lambda:eu-west-1:111122223333:function:function");
  EXPECT_EQ(arn_of("function:function"), "arn:aws:lambda:eu-west-1:111122223333:function:function");
}

TEST(FunctionName, RefusesWhatIsNone) {
  for (const char* text : {"", ":", "f:", ":f", "f:a:b", "a b", "f:$OTHER", "arn:aws:sqs:eu-west-1:111122223333:q:x:y",
                           "arn:aws:lambda:eu-west-1:111122223333:function:"}) {
    EXPECT_EQ(arn_of(text), "none") << text;
  }
}

}  // namespace
}  // namespace lambdad::ports
