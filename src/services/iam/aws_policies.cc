#include "services/iam/aws_policies.h"

#include "base/hash.h"

namespace lambdad::iam {
namespace {

struct Known {
  std::string_view path;
  std::string_view name;
  std::string_view statements;  ///< JSON, without the list's brackets
};

#define LD_LOGS_ACTIONS R"("logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents")"
#define LD_VPC_ACTIONS                                                                                                  \
  R"("ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface",)" \
  R"("ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses")"

// Source: AWS Managed Policy Reference Guide.
constexpr Known kKnown[] = {
    {"/service-role/", "AWSLambdaBasicExecutionRole",
     R"({"Effect":"Allow","Action":[)" LD_LOGS_ACTIONS R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaSQSQueueExecutionRole",
     R"({"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes",)" LD_LOGS_ACTIONS
     R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaVPCAccessExecutionRole",
     R"({"Effect":"Allow","Action":[)" LD_LOGS_ACTIONS "," LD_VPC_ACTIONS R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaENIManagementAccess",
     R"({"Effect":"Allow","Action":[)" LD_VPC_ACTIONS R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaDynamoDBExecutionRole",
     R"({"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator",)"
     R"("dynamodb:ListStreams",)" LD_LOGS_ACTIONS R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaKinesisExecutionRole",
     R"({"Effect":"Allow","Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords",)"
     R"("kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard",)" LD_LOGS_ACTIONS
     R"(],"Resource":"*"})"},
    {"/service-role/", "AWSLambdaRole", R"({"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]})"},
    {"/", "AWSLambdaInvocation-DynamoDB",
     R"({"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]},)"
     R"({"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator",)"
     R"("dynamodb:ListStreams"],"Resource":["*"]})"},
    {"/", "AWSLambdaExecute",
     R"({"Effect":"Allow","Action":["logs:*"],"Resource":"arn:aws:logs:*:*:*"},)"
     R"({"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::*"})"},
    {"/", "AWSXRayDaemonWriteAccess",
     R"({"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules",)"
     R"("xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":["*"]})"},
    {"/", "AdministratorAccess", R"({"Effect":"Allow","Action":"*","Resource":"*"})"},
    {"/", "PowerUserAccess",
     R"({"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},)"
     R"({"Effect":"Allow","Action":["account:GetAccountInformation","account:GetGovCloudAccountInformation",)"
     R"("account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole",)"
     R"("iam:ListRoles","organizations:DescribeEffectivePolicy","organizations:DescribeOrganization"],"Resource":"*"})"},
    {"/", "IAMFullAccess",
     R"({"Effect":"Allow","Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization",)"
     R"("organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren",)"
     R"("organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots",)"
     R"("organizations:ListPolicies","organizations:ListTargetsForPolicy"],"Resource":"*"})"},
    {"/", "IAMReadOnlyAccess",
     R"({"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*",)"
     R"("iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"})"},
    {"/", "AWSLambda_FullAccess",
     R"({"Effect":"Allow","Action":["cloudformation:DescribeStacks","cloudformation:ListStackResources",)"
     R"("cloudwatch:ListMetrics","cloudwatch:GetMetricData","ec2:DescribeSecurityGroups","ec2:DescribeSubnets",)"
     R"("ec2:DescribeVpcs","kms:ListAliases","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy",)"
     R"("iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","lambda:*","logs:DescribeLogGroups",)"
     R"("states:DescribeStateMachine","states:ListStateMachines","tag:GetResources","xray:GetTraceSummaries",)"
     R"("xray:BatchGetTraces"],"Resource":"*"},)"
     R"({"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":)"
     R"("lambda.amazonaws.com"}}},)"
     R"({"Effect":"Allow","Action":["logs:DescribeLogStreams","logs:GetLogEvents","logs:FilterLogEvents",)"
     R"("logs:StartLiveTail"],"Resource":"arn:aws:logs:*:*:log-group:/aws/lambda/*"})"},
    {"/", "AWSLambda_ReadOnlyAccess",
     R"({"Effect":"Allow","Action":["cloudformation:DescribeStacks","cloudformation:ListStackResources",)"
     R"("cloudwatch:GetMetricData","cloudwatch:ListMetrics","ec2:DescribeSecurityGroups","ec2:DescribeSubnets",)"
     R"("ec2:DescribeVpcs","kms:ListAliases","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy",)"
     R"("iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","logs:DescribeLogGroups","lambda:Get*",)"
     R"("lambda:List*","states:DescribeStateMachine","states:ListStateMachines","tag:GetResources",)"
     R"("xray:GetTraceSummaries","xray:BatchGetTraces"],"Resource":"*"},)"
     R"({"Effect":"Allow","Action":["logs:DescribeLogStreams","logs:GetLogEvents","logs:FilterLogEvents",)"
     R"("logs:StartLiveTail"],"Resource":"arn:aws:logs:*:*:log-group:/aws/lambda/*"})"},
    {"/", "AmazonSQSFullAccess", R"({"Effect":"Allow","Action":["sqs:*"],"Resource":"*"})"},
    {"/", "AmazonSQSReadOnlyAccess",
     R"({"Effect":"Allow","Action":["sqs:GetQueueAttributes","sqs:GetQueueUrl","sqs:ListDeadLetterSourceQueues",)"
     R"("sqs:ListQueues","sqs:ListMessageMoveTasks","sqs:ListQueueTags"],"Resource":"*"})"},
    {"/", "CloudWatchLogsFullAccess",
     R"({"Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery"],"Resource":"*"})"},
    {"/", "CloudWatchLogsReadOnlyAccess",
     R"({"Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery",)"
     R"("logs:TestMetricFilter","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail",)"
     R"("cloudwatch:GenerateQuery"],"Resource":"*"})"},
    {"/", "AmazonSNSFullAccess", R"({"Effect":"Allow","Action":["sns:*"],"Resource":"*"})"},
    {"/", "AmazonS3FullAccess", R"({"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"})"},
    {"/", "AmazonS3ReadOnlyAccess",
     R"({"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*",)"
     R"("s3-object-lambda:List*"],"Resource":"*"})"},
};

#undef LD_LOGS_ACTIONS
#undef LD_VPC_ACTIONS

/// The same for the same name, as AWS's is.
std::string id_of(std::string_view name) {
  constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string id = "ANPA";
  for (const char c : sha256(name).substr(0, 17)) id += kBase32[static_cast<unsigned char>(c) % 32];
  return id;
}

}  // namespace

const std::map<std::string, ManagedPolicy, std::less<>>& aws_policies() {
  static const auto policies = [] {
    std::map<std::string, ManagedPolicy, std::less<>> out;
    const WallTime created = *parse_iso8601("2015-02-06T18:41:11Z");
    for (const Known& known : kKnown) {
      ManagedPolicy policy{.account = "aws",
                           .path = std::string(known.path),
                           .name = std::string(known.name),
                           .id = id_of(known.name),
                           .description = {},
                           .created = created,
                           .updated = created};
      policy.versions.push_back(
          {.number = 1,
           .document = fmt::format(R"({{"Version":"2012-10-17","Statement":[{}]}})", known.statements),
           .created = created});
      std::string arn = policy.arn();
      out.emplace(std::move(arn), std::move(policy));
    }
    return out;
  }();
  return policies;
}

bool is_aws_policy(std::string_view arn) { return arn.starts_with("arn:aws:iam::aws:policy/"); }

}  // namespace lambdad::iam
