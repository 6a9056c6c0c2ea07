#include "aws/constraints.h"

#include <set>

#include <gtest/gtest.h>

#include "aws/gen/iam.h"
#include "aws/gen/lambda.h"
#include "aws/gen/logs.h"
#include "aws/gen/sqs.h"
#include "aws/gen/sts.h"

namespace lambdad::aws {
namespace {

template <class Op>
std::string refusal(std::string_view text) {
  static Constraints constraints;
  json::Value document = *json::parse(text);
  const auto checked = constraints.check(Op::service(), Op::model(), document);
  return checked ? std::string() : fmt::format("{}: {}", checked.error().type, checked.error().message);
}

std::string create(std::string_view more) {
  return fmt::format(R"({{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{{}}{}}})", more);
}

constexpr std::string_view kOne = "ValidationException: 1 validation error detected: ";

TEST(Constraints, RequiredMembersMustNotBeNull) {
  EXPECT_EQ(refusal<lambda::CreateFunction>(R"({"FunctionName":"f","Code":{}})"),
            fmt::format("{}Value null at 'role' failed to satisfy constraint: Member must not be null", kOne));
}

TEST(Constraints, BoundsAreInclusive) {
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Timeout":1)")), "");
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Timeout":0)")),
            fmt::format("{}Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or "
                        "equal to 1",
                        kOne));
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"MemorySize":128)")), "");
  EXPECT_NE(refusal<lambda::CreateFunction>(create(R"(,"MemorySize":127)")), "");
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(fmt::format(R"(,"Description":"{}")", std::string(256, 'd')))), "");
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(fmt::format(R"(,"Description":"{}")", std::string(257, 'd')))),
            fmt::format("{}Value '{}' at 'description' failed to satisfy constraint: Member must have length less than "
                        "or equal to 256",
                        kOne, std::string(257, 'd')));
}

TEST(Constraints, LengthsAreCharactersNotBytes) {
  std::string text;
  for (int i = 0; i < 256; ++i) text += "\xC3\xA9";
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(fmt::format(R"(,"Description":"{}")", text))), "");
}

TEST(Constraints, PatternsMatchTheWholeValue) {
  EXPECT_EQ(refusal<lambda::GetFunction>(R"({"FunctionName":"arn:aws:lambda:us-east-1:000000000000:function:f:v1"})"),
            "");
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Handler":"a b")")),
            fmt::format("{}Value 'a b' at 'handler' failed to satisfy constraint: Member must satisfy regular "
                        "expression pattern: [^\\s]+",
                        kOne));
}

TEST(Constraints, SeveralAreJoinedQueryStringFirst) {
  const std::string text = refusal<lambda::GetFunction>(R"({"FunctionName":"a b","Qualifier":"x y"})");
  EXPECT_TRUE(
      text.starts_with("ValidationException: 2 validation errors detected: Value 'x y' at 'qualifier' failed "
                       "to satisfy constraint: Member must satisfy regular expression pattern: "))
      << text;
  EXPECT_NE(text.find("; Value 'a b' at 'functionName' failed to satisfy constraint: "), std::string::npos) << text;
}

TEST(Constraints, EnumsNameTheirValues) {
  EXPECT_EQ(
      refusal<lambda::CreateEventSourceMapping>(R"({"FunctionName":"f","StartingPosition":"invalid"})"),
      fmt::format("{}Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum "
                  "value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
                  kOne));
}

TEST(Constraints, TheServiceChecksRuntimesItself) {
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Runtime":"cobol85")")), "");
}

TEST(Constraints, ListElementsNameEveryConstraint) {
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Architectures":["arm65"])")),
            fmt::format("{}Value '[arm65]' at 'architectures' failed to satisfy constraint: Member must satisfy "
                        "constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
                        kOne));
  EXPECT_NE(refusal<lambda::CreateFunction>(create(R"(,"Architectures":[])")).find("greater than or equal to 1"),
            std::string::npos);
}

TEST(Constraints, MapKeysNameEveryConstraint) {
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"Environment":{"Variables":{"1a":"v"}})")),
            fmt::format("{}Value '{{1a=v}}' at 'environment.variables' failed to satisfy constraint: Map keys must "
                        "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, "
                        "Member must not be null]",
                        kOne));
}

TEST(Constraints, NestedStructuresShowTheirPath) {
  EXPECT_NE(refusal<lambda::CreateFunction>(create(R"(,"EphemeralStorage":{"Size":511})"))
                .find("Value '511' at 'ephemeralStorage.size'"),
            std::string::npos);
  EXPECT_NE(refusal<lambda::CreateFunction>(create(R"(,"EphemeralStorage":{})"))
                .find("Value null at 'ephemeralStorage.size'"),
            std::string::npos);
}

TEST(Constraints, HugeValuesAreCutInTheMessage) {
  const std::string text =
      refusal<lambda::GetFunction>(fmt::format(R"({{"FunctionName":"{}"}})", std::string(100000, ' ')));
  EXPECT_LT(text.size(), 20000u);
  EXPECT_NE(text, "");
}

TEST(Constraints, MembersNotServedAreRefusedByName) {
  EXPECT_EQ(
      refusal<lambda::CreateFunction>(
          R"({"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"SourceKMSKeyArn":"b"}})"),
      "NotImplementedException: lambdad does not serve the member Code.SourceKMSKeyArn of lambda:CreateFunction.");
  EXPECT_EQ(refusal<lambda::CreateFunction>(create(R"(,"VpcConfig":{"SubnetIds":["subnet-1"]})")),
            "NotImplementedException: lambdad does not serve the member VpcConfig of lambda:CreateFunction.");
  // These carry nothing.
  EXPECT_EQ(refusal<lambda::CreateFunction>(
                create(R"(,"FileSystemConfigs":[],"VpcConfig":{"SubnetIds":[],"Ipv6AllowedForDualStack":false})")),
            "");
  EXPECT_NE(refusal<lambda::CreateFunction>(create(R"(,"VpcConfig":{"Ipv6AllowedForDualStack":true})")), "");
}

TEST(Constraints, SqsAnswersMissingParameter) {
  EXPECT_EQ(refusal<sqs::SendMessage>(R"({"QueueUrl":"u"})"),
            "MissingRequiredParameterException: The request must contain the parameter MessageBody.");
  EXPECT_EQ(refusal<sqs::ChangeMessageVisibility>(R"({"QueueUrl":"u","ReceiptHandle":"r"})"),
            "MissingRequiredParameterException: The request must contain the parameter VisibilityTimeout.");
  // Unknown attribute names are the service's own matter.
  EXPECT_EQ(refusal<sqs::GetQueueAttributes>(R"({"QueueUrl":"u","AttributeNames":["Nonsense"]})"), "");
}

TEST(Constraints, SqsFillsRequiredStringsOfEntries) {
  Constraints constraints;
  json::Value document = *json::parse(R"({"QueueUrl":"u","Entries":[{"Id":"1"}]})");
  ASSERT_TRUE(constraints.check(sqs::service(), sqs::SendMessageBatch::model(), document));
  EXPECT_EQ(json::serialize(document), R"({"QueueUrl":"u","Entries":[{"Id":"1","MessageBody":""}]})");
}

void compile_patterns(Constraints& constraints, const ShapeModel* shape, std::set<const ShapeModel*>& seen,
                      std::size_t& count) {
  if (shape == nullptr || !seen.insert(shape).second) return;
  if (!shape->pattern.empty()) {
    ++count;
    static_cast<void>(constraints.matches(*shape, "x"));  // aborts when RE2 does not know the pattern
  }
  for (const MemberModel& member : shape->members) compile_patterns(constraints, member.shape, seen, count);
  compile_patterns(constraints, shape->element, seen, count);
  compile_patterns(constraints, shape->key, seen, count);
}

TEST(Constraints, EveryServedPatternCompiles) {
  Constraints constraints;
  std::set<const ShapeModel*> seen;
  std::size_t count = 0;
  for (const ServiceModel* service :
       {&lambda::service(), &sqs::service(), &sts::service(), &iam::service(), &logs::service()}) {
    for (const OperationModel* operation : service->operations) {
      compile_patterns(constraints, operation->input, seen, count);
      compile_patterns(constraints, operation->output, seen, count);
    }
  }
  EXPECT_GT(count, 50u);
}

const ShapeModel* shape_at(const ShapeModel* shape, std::initializer_list<std::string_view> path) {
  for (const std::string_view name : path) {
    while (shape->element != nullptr) shape = shape->element;
    for (const MemberModel& member : shape->members) {
      if (member.name == name) {
        shape = member.shape;
        break;
      }
    }
  }
  return shape;
}

TEST(Constraints, TranslatedLookAroundMeansTheSame) {
  Constraints constraints;
  const ShapeModel* bucket = shape_at(lambda::CreateFunction::model().input, {"Code", "S3Bucket"});
  EXPECT_TRUE(constraints.matches(*bucket, "my.bucket"));
  EXPECT_TRUE(constraints.matches(*bucket, ""));
  EXPECT_FALSE(constraints.matches(*bucket, "bucket."));
  const ShapeModel* collection =
      shape_at(lambda::CreateEventSourceMapping::model().input, {"DocumentDBEventSourceConfig", "CollectionName"});
  for (const std::string_view good : {"orders", "s", "system", "systems", "sys.x", "systemx.y", "_1", "System.a"}) {
    EXPECT_TRUE(constraints.matches(*collection, good)) << good;
  }
  for (const std::string_view bad : {"system.", "system.users", "$x", "a$", "", "-a"}) {
    EXPECT_FALSE(constraints.matches(*collection, bad)) << bad;
  }
}

}  // namespace
}  // namespace lambdad::aws
