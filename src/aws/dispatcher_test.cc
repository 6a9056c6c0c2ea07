#include "aws/dispatcher.h"

#include <gtest/gtest.h>

#include "aws/gen/iam.h"
#include "aws/gen/lambda.h"
#include "aws/gen/logs.h"
#include "aws/gen/sqs.h"
#include "aws/gen/sts.h"
#include "system/sim.h"
#include "system/test_seed.h"

namespace lambdad::aws {
namespace {

/// A dispatcher on simulated time whose handlers say what they were given.
class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() : sim_(test_seed()), dispatcher_(sim_.system(), null_logger(), metrics_, {}) {
    dispatcher_.add(lambda::service());
    dispatcher_.add(sqs::service());
    dispatcher_.add(sts::service());
    dispatcher_.add(iam::service());
    dispatcher_.add(logs::service());
  }

  template <class Op>
  void answer(Outcome<typename Op::Output> outcome) {
    dispatcher_.serve<Op>([this, outcome](RequestContext& context, typename Op::Input input) {
      context_ = context;
      seen_ = json::serialize(json::Value(document_of(std::move(input))));
      return finish<typename Op::Output>(outcome);
    });
  }

  template <class T>
  static json::Value document_of(T input) {
    if constexpr (std::is_same_v<T, Unit>) {
      return json::Value(json::Object());
    } else {
      return to_document(input);
    }
  }

  template <class T>
  static Async<Outcome<T>> finish(Outcome<T> outcome) {
    co_return outcome;
  }

  static Async<Outcome<Unit>> wait_and_note(SimSystem* sim, RequestContext* context, sqs::PurgeQueueRequest request,
                                            std::string* out) {
    co_await sim->clock().sleep_for(1min);
    *out = request.queue_url + " " + context->region;
    co_return Unit{};
  }

  http::Response send(http::Request request) { return sim_.run(dispatcher_.handle(std::move(request))); }

  static http::Request request_of(std::string method, std::string target, std::string body = {}) {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers.add("Host", "localhost:4566");
    return request;
  }
  static http::Request json_request(std::string target, std::string body, std::string version = "1.0") {
    http::Request request = request_of("POST", "/", std::move(body));
    request.headers.add("Content-Type", "application/x-amz-json-" + version);
    request.headers.add("X-Amz-Target", target);
    return request;
  }
  static http::Request form_request(std::string body, std::string target = "/") {
    http::Request request = request_of("POST", std::move(target), std::move(body));
    request.headers.add("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    return request;
  }
  static void scope(http::Request& request, std::string key, std::string region, std::string service) {
    request.headers.add("X-Amz-Date", "20260101T000000Z");
    request.headers.add("Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/20260101/{}/{}/aws4_request, "
                                                     "SignedHeaders=host;x-amz-date, Signature=00",
                                                     key, region, service));
  }
  static std::string header(const http::Response& response, std::string_view name) {
    return response.headers.get_or(name, "");
  }
  static std::string id_of(const http::Response& response) { return header(response, "x-amzn-requestid"); }

  SimSystem sim_;
  Metrics metrics_;
  Dispatcher dispatcher_;
  RequestContext context_;
  std::string seen_;
};

sqs::SendMessageResult sent() {
  sqs::SendMessageResult result;
  result.message_id = "m-1";
  result.md5_of_message_body = "900150983cd24fb0d6963f7d28e17f72";
  return result;
}

// --- JSON

TEST_F(DispatcherTest, JsonRequestAndAnswer) {
  answer<sqs::SendMessage>(sent());
  const auto response = send(json_request(
      "AmazonSQS.SendMessage", R"({"QueueUrl":"u","MessageBody":"a\u0000b","DelaySeconds":0,"Unknown":{"x":1},
        "MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"AP8="}}})"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"MD5OfMessageBody":"900150983cd24fb0d6963f7d28e17f72","MessageId":"m-1"})");
  EXPECT_EQ(header(response, "Content-Type"), "application/x-amz-json-1.0");
  EXPECT_EQ(id_of(response).size(), 36u);
  EXPECT_EQ(id_of(response), context_.request_id);
  EXPECT_EQ(seen_, R"({"QueueUrl":"u","MessageBody":"a\u0000b","DelaySeconds":0,"MessageAttributes":{"k":)"
                   R"({"BinaryValue":"AP8=","DataType":"Binary"}}})");
}

TEST_F(DispatcherTest, JsonOperationWithoutOutputAnswersNoBody) {
  answer<sqs::DeleteQueue>(Unit{});
  const auto response = send(json_request("AmazonSQS.DeleteQueue", R"({"QueueUrl":"u"})"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "");
}

TEST_F(DispatcherTest, JsonErrorsCarryTypeAndQueryCode) {
  answer<sqs::DeleteQueue>(std::unexpected(sqs::queue_does_not_exist("The specified queue does not exist.")));
  const auto response = send(json_request("AmazonSQS.DeleteQueue", R"({"QueueUrl":"u"})"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."})");
  EXPECT_EQ(header(response, "x-amzn-query-error"), "AWS.SimpleQueueService.NonExistentQueue;Sender");
}

TEST_F(DispatcherTest, JsonErrorsOfOtherServicesHaveTheBareName) {
  answer<logs::CreateLogGroup>(
      std::unexpected(logs::resource_already_exists("The specified log group already exists")));
  const auto response = send(json_request("Logs_20140328.CreateLogGroup", R"({"logGroupName":"g"})", "1.1"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            R"({"__type":"ResourceAlreadyExistsException","message":"The specified log group already exists"})");
  EXPECT_EQ(header(response, "Content-Type"), "application/x-amz-json-1.1");
  EXPECT_FALSE(response.headers.contains("x-amzn-query-error"));
}

TEST_F(DispatcherTest, JsonBodiesThatAreNotWellFormed) {
  answer<sqs::SendMessage>(sent());
  for (const std::string_view body :
       {"{", "[]", "\"x\"", "{\"QueueUrl\":1}", "{\"MessageAttributes\":[]}", "{\"DelaySeconds\":\"3\"}",
        "{\"DelaySeconds\":2147483648}", "{\"DelaySeconds\":1.5}", "{\"QueueUrl\":{}}", "\xFF"}) {
    const auto response = send(json_request("AmazonSQS.SendMessage", std::string(body)));
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_NE(response.body.find(R"("__type":"com.amazon.coral.service#SerializationException")"), std::string::npos)
        << body << " -> " << response.body;
  }
  EXPECT_EQ(seen_, "");
  EXPECT_NE(send(json_request("AmazonSQS.SendMessage", R"({"QueueUrl":1})"))
                .body.find("NUMBER_VALUE can not be converted to a String"),
            std::string::npos);
}

TEST_F(DispatcherTest, UnknownAndUnservedOperationsAreRefusedByName) {
  auto response = send(json_request("AmazonSQS.AddPermission", "{}"));
  EXPECT_EQ(response.status, 501);
  EXPECT_NE(response.body.find("lambdad does not serve sqs:AddPermission."), std::string::npos) << response.body;
  response = send(json_request("AmazonSQS.Explode", "{}"));
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("UnknownOperationException"), std::string::npos);
  response = send(json_request("DynamoDB_20120810.GetItem", "{}"));
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("DynamoDB_20120810"), std::string::npos);
  // Listed in served.json, but no handler was given.
  EXPECT_EQ(send(json_request("AmazonSQS.PurgeQueue", R"({"QueueUrl":"u"})")).status, 501);
}

// --- rest-json

TEST_F(DispatcherTest, InvokeMovesTheBodyIntoThePayload) {
  lambda::InvocationResponse result;
  result.status_code = 202;
  result.payload = "{\"ok\":true}";
  result.function_error = "Unhandled";
  result.executed_version = "$LATEST";
  answer<lambda::Invoke>(result);
  auto request = request_of("POST",
                            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/"
                            "invocations?Qualifier=%24LATEST",
                            "not json \xFF");
  request.headers.add("x-amz-invocation-type", "Event");
  const auto response = send(std::move(request));
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.body, "{\"ok\":true}");
  EXPECT_EQ(header(response, "X-Amz-Function-Error"), "Unhandled");
  EXPECT_EQ(header(response, "X-Amz-Executed-Version"), "$LATEST");
  EXPECT_EQ(seen_, R"({"FunctionName":"arn:aws:lambda:us-east-1:000000000000:function:f","InvocationType":"Event",)"
                   R"("Payload":"bm90IGpzb24g/w==","Qualifier":"$LATEST"})");
}

TEST_F(DispatcherTest, RestJsonBodyQueryAndPathBecomeOneInput) {
  lambda::FunctionConfiguration configuration;
  configuration.function_name = "f";
  configuration.timeout = 7;
  configuration.state = "Pending";
  answer<lambda::CreateFunction>(configuration);
  answer<lambda::UpdateFunctionConfiguration>(configuration);
  answer<lambda::ListFunctions>(lambda::ListFunctionsResponse{});
  auto response =
      send(request_of("POST", "/2015-03-31/functions",
                      R"({"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Runtime":"python3.11",
                                      "Code":{"ZipFile":"UEs="},"Timeout":7})"));
  EXPECT_EQ(response.status, 201) << response.body;
  EXPECT_EQ(response.body, R"({"FunctionName":"f","Timeout":7,"State":"Pending"})");
  EXPECT_EQ(header(response, "Content-Type"), "application/json");
  // A body cannot replace what the path says.
  response = send(request_of("PUT", "/2015-03-31/functions/f/configuration", R"({"FunctionName":"g","Timeout":7})"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(seen_, R"({"FunctionName":"f","Timeout":7})");
  // Older SDKs end the path in a slash.
  response = send(request_of("GET", "/2015-03-31/functions/?MaxItems=5&Marker=a%2Bb"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.body, "{}");
  EXPECT_EQ(seen_, R"({"Marker":"a+b","MaxItems":5})");
  response = send(request_of("GET", "/2015-03-31/functions/?MaxItems=many"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(header(response, "x-amzn-ErrorType"), "SerializationException");
}

TEST_F(DispatcherTest, NoContentHasNoBody) {
  lambda::DeleteFunctionResponse deleted;
  deleted.status_code = 204;
  answer<lambda::DeleteFunction>(deleted);
  answer<lambda::UntagResource>(Unit{});
  auto response = send(request_of("DELETE", "/2015-03-31/functions/f"));
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.body, "");
  response = send(request_of(
      "DELETE", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af?tagKeys=a&tagKeys=b"));
  EXPECT_EQ(response.status, 204) << response.body;
  EXPECT_EQ(seen_, R"({"Resource":"arn:aws:lambda:us-east-1:000000000000:function:f","TagKeys":["a","b"]})");
}

TEST_F(DispatcherTest, RestJsonErrors) {
  Error throttled = lambda::too_many_requests("Rate Exceeded.");
  throttled.members.set("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded");
  throttled.retry_after = "1";
  answer<lambda::Invoke>(std::unexpected(throttled));
  answer<lambda::GetFunction>(std::unexpected(lambda::resource_not_found("Function not found: x")));
  auto response = send(request_of("POST", "/2015-03-31/functions/f/invocations"));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(header(response, "x-amzn-ErrorType"), "TooManyRequestsException");
  EXPECT_EQ(header(response, "Retry-After"), "1");
  EXPECT_EQ(
      response.body,
      R"({"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."})");
  response = send(request_of("GET", "/2015-03-31/functions/f"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, R"({"Type":"User","Message":"Function not found: x"})");
  response = send(request_of("GET", "/2015-03-31/functions/a%20b"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(header(response, "x-amzn-ErrorType"), "ValidationException");
  EXPECT_TRUE(response.body.starts_with(R"({"message":"1 validation error detected: Value 'a b' at 'functionName')"))
      << response.body;
}

TEST_F(DispatcherTest, RestJsonUnknownPathsAndMembers) {
  answer<lambda::CreateFunction>(lambda::FunctionConfiguration{});
  EXPECT_EQ(send(request_of("GET", "/2015-03-31/nothing")).status, 404);
  EXPECT_EQ(send(request_of("PATCH", "/2015-03-31/functions")).status, 404);
  EXPECT_EQ(send(request_of("GET", "/2015-03-31/functions/%zz")).status, 404);
  EXPECT_EQ(send(request_of("GET", "/2015-03-31/functions/f?x=%zz")).status, 400);
  const auto unserved = send(request_of("POST", "/2015-03-31/functions/f/versions", "{}"));
  EXPECT_EQ(unserved.status, 501);
  EXPECT_NE(unserved.body.find("lambda:PublishVersion"), std::string::npos);
  // "?List=ALL" tells ListProvisionedConcurrencyConfigs from GetProvisionedConcurrencyConfig.
  EXPECT_NE(send(request_of("GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL"))
                .body.find("ListProvisionedConcurrencyConfigs"),
            std::string::npos);
  EXPECT_NE(send(request_of("GET", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1"))
                .body.find("GetProvisionedConcurrencyConfig"),
            std::string::npos);
  const auto member = send(request_of(
      "POST", "/2015-03-31/functions",
      R"({"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"SourceKMSKeyArn":"arn:aws:kms:us-east-1:000000000000:key/k"}})"));
  EXPECT_EQ(member.status, 501);
  EXPECT_NE(member.body.find("Code.SourceKMSKeyArn"), std::string::npos);
}

// --- query

TEST_F(DispatcherTest, QueryRequestAndAnswer) {
  answer<sqs::SendMessage>(sent());
  const auto response = send(form_request(
      "Action=SendMessage&Version=2012-11-05&QueueUrl=http%3A%2F%2Fh%2F0%2Fq&MessageBody=a+b%26&DelaySeconds=5"
      "&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v"
      "&MessageAttribute.2.Name=b&MessageAttribute.2.Value.DataType=Binary&MessageAttribute.2.Value.BinaryValue=AP8%"
      "3D"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            "<?xml version=\"1.0\"?><SendMessageResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">"
            "<SendMessageResult><MD5OfMessageBody>900150983cd24fb0d6963f7d28e17f72</MD5OfMessageBody>"
            "<MessageId>m-1</MessageId></SendMessageResult><ResponseMetadata><RequestId>" +
                id_of(response) + "</RequestId></ResponseMetadata></SendMessageResponse>");
  EXPECT_EQ(header(response, "Content-Type"), "text/xml");
  EXPECT_EQ(seen_, R"({"QueueUrl":"http://h/0/q","MessageBody":"a b&","DelaySeconds":5,"MessageAttributes":{)"
                   R"("b":{"BinaryValue":"AP8=","DataType":"Binary"},"n":{"StringValue":"v","DataType":"String"}}})");
}

TEST_F(DispatcherTest, QueryFlattenedListsAndMaps) {
  answer<sqs::CreateQueue>(sqs::CreateQueueResult{"http://h/0/q<&>"});
  answer<sqs::GetQueueAttributes>(sqs::GetQueueAttributesResult{{{{"DelaySeconds", "0"}, {"QueueArn", "arn"}}}});
  sqs::SendMessageBatchResult batch;
  batch.successful.push_back({.id = "1", .message_id = "m", .md5_of_message_body = "d"});
  batch.failed.push_back({.id = "2", .sender_fault = true, .code = "C"});
  answer<sqs::SendMessageBatch>(batch);

  auto response =
      send(form_request("Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout&"
                        "Attribute.1.Value=30&Attribute.10.Name=DelaySeconds&Attribute.10.Value=1&"
                        "Tag.1.Key=k&Tag.1.Value="));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(seen_, R"({"QueueName":"q","Attributes":{"DelaySeconds":"1","VisibilityTimeout":"30"},"tags":{"k":""}})");
  EXPECT_NE(response.body.find("<QueueUrl>http://h/0/q&lt;&amp;&gt;</QueueUrl>"), std::string::npos);

  response = send(form_request("Action=GetQueueAttributes&QueueUrl=u&AttributeName.1=All&AttributeName.2=QueueArn"));
  EXPECT_EQ(seen_, R"({"QueueUrl":"u","AttributeNames":["All","QueueArn"]})");
  EXPECT_NE(response.body.find("<GetQueueAttributesResult><Attribute><Name>DelaySeconds</Name><Value>0</Value>"
                               "</Attribute><Attribute><Name>QueueArn</Name><Value>arn</Value></Attribute>"
                               "</GetQueueAttributesResult>"),
            std::string::npos)
      << response.body;
  send(form_request("Action=GetQueueAttributes&QueueUrl=u&AttributeName=All"));
  EXPECT_EQ(seen_, R"({"QueueUrl":"u","AttributeNames":["All"]})");

  response =
      send(form_request("Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.1.Id=1&"
                        "SendMessageBatchRequestEntry.1.MessageBody=a&SendMessageBatchRequestEntry.3.Id=2&"
                        "SendMessageBatchRequestEntry.3.MessageBody=b"));
  EXPECT_EQ(seen_, R"({"QueueUrl":"u","Entries":[{"Id":"1","MessageBody":"a"},{"Id":"2","MessageBody":"b"}]})");
  EXPECT_NE(response.body.find("<SendMessageBatchResultEntry><Id>1</Id><MessageId>m</MessageId>"), std::string::npos);
  EXPECT_NE(response.body.find("<BatchResultErrorEntry><Id>2</Id><SenderFault>true</SenderFault><Code>C</Code>"
                               "</BatchResultErrorEntry>"),
            std::string::npos)
      << response.body;
  // No entries: an empty list, for the service to refuse in its own words.
  send(form_request("Action=SendMessageBatch&QueueUrl=u"));
  EXPECT_EQ(seen_, R"({"QueueUrl":"u","Entries":[]})");
}

TEST_F(DispatcherTest, QueryMembersListsAndTimestamps) {
  iam::Role role;
  role.path = "/";
  role.role_name = "r";
  role.role_id = "AROA";
  role.arn = "arn:aws:iam::000000000000:role/r";
  role.create_date = from_epoch_ms(1767225600000);
  answer<iam::ListRoles>(iam::ListRolesResponse{.roles = {role}, .is_truncated = false});
  answer<iam::CreateRole>(iam::CreateRoleResponse{role});
  auto response = send(form_request("Action=ListRoles&Version=2010-05-08&MaxItems=10"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_NE(
      response.body.find("<ListRolesResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListRolesResult>"
                         "<Roles><member><Path>/</Path><RoleName>r</RoleName><RoleId>AROA</RoleId>"
                         "<Arn>arn:aws:iam::000000000000:role/r</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>"
                         "</member></Roles><IsTruncated>false</IsTruncated></ListRolesResult>"),
      std::string::npos)
      << response.body;
  response =
      send(form_request("Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&"
                        "Tags.member.1.Key=k&Tags.member.1.Value=v"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(seen_, R"({"RoleName":"r","AssumeRolePolicyDocument":"{}","Tags":[{"Key":"k","Value":"v"}]})");
}

TEST_F(DispatcherTest, QueryErrors) {
  answer<sqs::DeleteQueue>(std::unexpected(sqs::queue_does_not_exist("gone & <away>")));
  answer<iam::GetRole>(std::unexpected(iam::no_such_entity("The role with name r cannot be found.")));
  auto response = send(form_request("Action=DeleteQueue&QueueUrl=u"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error>"
            "<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>gone &amp; &lt;away&gt;"
            "</Message><Detail/></Error><RequestId>" +
                id_of(response) + "</RequestId></ErrorResponse>");
  response = send(form_request("Action=GetRole&Version=2010-05-08&RoleName=r"));
  EXPECT_EQ(response.status, 404);
  EXPECT_NE(response.body.find("<Code>NoSuchEntity</Code>"), std::string::npos);
  response = send(form_request("Action=GetRole&Version=2010-05-08&RoleName=a%20b"));
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("<Code>ValidationError</Code>"), std::string::npos) << response.body;
  response = send(form_request("Action=SendMessage&QueueUrl=u"));
  EXPECT_EQ(response.status, 501);
  response = send(form_request("Action=Explode"));
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("<Code>InvalidAction</Code>"), std::string::npos);
  response = send(form_request("QueueUrl=u"));
  EXPECT_NE(response.body.find("<Code>MissingAction</Code>"), std::string::npos);
  response = send(form_request("Action=%zz"));
  EXPECT_EQ(response.status, 400);
}

TEST_F(DispatcherTest, QueryParametersOfTheWrongType) {
  answer<sqs::ReceiveMessage>(sqs::ReceiveMessageResult{});
  for (const std::string_view bad : {"abc", "1.5", "99999999999", "", "0x1"}) {
    const auto response =
        send(form_request(fmt::format("Action=ReceiveMessage&QueueUrl=u&MaxNumberOfMessages={}", bad)));
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_NE(response.body.find("<Code>MalformedInput</Code>"), std::string::npos) << response.body;
  }
  EXPECT_EQ(send(form_request("Action=ReceiveMessage&QueueUrl=%FF")).status, 400);
}

TEST_F(DispatcherTest, TheUrlOfAQueueStandsForQueueUrl) {
  answer<sqs::PurgeQueue>(Unit{});
  send(form_request("Action=PurgeQueue", "/000000000000/q"));
  EXPECT_EQ(seen_, R"({"QueueUrl":"http://localhost:4566/000000000000/q"})");
  const auto response = send(request_of("GET", "/000000000000/q?Action=PurgeQueue&Version=2012-11-05"));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(seen_, R"({"QueueUrl":"http://localhost:4566/000000000000/q"})");
  EXPECT_NE(response.body.find("<ResponseMetadata>"), std::string::npos);
  EXPECT_EQ(response.body.find("PurgeQueueResult"), std::string::npos);
}

// --- who asks

TEST_F(DispatcherTest, TheScopeSaysServiceRegionAndAccount) {
  answer<sts::GetCallerIdentity>(sts::GetCallerIdentityResponse{});
  answer<lambda::ListFunctions>(lambda::ListFunctionsResponse{});
  auto request = form_request("Action=GetCallerIdentity&Version=2011-06-15");
  scope(request, "123456789012", "eu-west-1", "sts");
  EXPECT_EQ(send(std::move(request)).status, 200);
  EXPECT_EQ(context_.account, "123456789012");
  EXPECT_EQ(context_.region, "eu-west-1");
  EXPECT_EQ(context_.base_url, "http://localhost:4566");
  request = request_of("GET", "/2015-03-31/functions");
  EXPECT_EQ(send(std::move(request)).status, 200);
  EXPECT_EQ(context_.account, "000000000000");
  EXPECT_EQ(context_.region, "us-east-1");
  EXPECT_EQ(context_.caller, nullptr);
  // The scope decides, not the path.
  request = request_of("GET", "/2015-03-31/functions");
  scope(request, "test", "us-east-1", "iam");
  EXPECT_EQ(send(std::move(request)).status, 400);
  request = request_of("GET", "/bucket");
  scope(request, "test", "us-east-1", "s3");
  const auto refused = send(std::move(request));
  EXPECT_EQ(refused.status, 501);
  EXPECT_NE(refused.body.find("lambdad does not serve s3."), std::string::npos);
}

TEST_F(DispatcherTest, MalformedAuthorizationIsRefusedInTheRequestsProtocol) {
  answer<sqs::SendMessage>(sent());
  auto request = json_request("AmazonSQS.SendMessage", R"({"QueueUrl":"u","MessageBody":"b"})");
  request.headers.add("Authorization", "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/sqs/aws4_request");
  const auto response = send(std::move(request));
  EXPECT_EQ(response.status, 403);
  EXPECT_NE(response.body.find("IncompleteSignatureException"), std::string::npos);
  EXPECT_EQ(seen_, "");
}

TEST_F(DispatcherTest, AHostThatIsNoAuthorityIsNotRepeated) {
  answer<sqs::PurgeQueue>(Unit{});
  auto request = form_request("Action=PurgeQueue", "/0/q");
  request.headers.set("Host", "evil/path?<x>");
  send(std::move(request));
  EXPECT_EQ(seen_, R"({"QueueUrl":"http://127.0.0.1/0/q"})");
}

// --- handlers

TEST_F(DispatcherTest, HandlersSetStatusAndHeaders) {
  dispatcher_.serve<sqs::PurgeQueue>([](RequestContext& context, sqs::PurgeQueueRequest) -> Async<Outcome<Unit>> {
    context.response_status = 299;
    context.response_headers.set("X-Mine", "yes");
    return finish<Unit>(Unit{});
  });
  const auto response = send(json_request("AmazonSQS.PurgeQueue", R"({"QueueUrl":"u"})"));
  EXPECT_EQ(response.status, 299);
  EXPECT_EQ(header(response, "X-Mine"), "yes");
}

TEST_F(DispatcherTest, AHandlerThatThrowsIsAnInternalFailure) {
  dispatcher_.serve<sqs::PurgeQueue>([](RequestContext&, sqs::PurgeQueueRequest) -> Async<Outcome<Unit>> {
    throw std::runtime_error("secret detail");
    co_return Unit{};
  });
  const auto response = send(json_request("AmazonSQS.PurgeQueue", R"({"QueueUrl":"u"})"));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, R"({"__type":"com.amazon.coral.service#InternalFailure"})");
}

TEST_F(DispatcherTest, HandlersKeepTheirContextAcrossWaits) {
  dispatcher_.serve<sqs::PurgeQueue>(
      [this](RequestContext& context, sqs::PurgeQueueRequest request) -> Async<Outcome<Unit>> {
        return wait_and_note(&sim_, &context, std::move(request), &seen_);
      });
  EXPECT_EQ(send(json_request("AmazonSQS.PurgeQueue", R"({"QueueUrl":"u"})")).status, 200);
  EXPECT_EQ(seen_, "u us-east-1");
}

TEST_F(DispatcherTest, CallRunsTheSameChecks) {
  answer<sqs::SendMessage>(sent());
  lambda::InvocationResponse result;
  result.payload = "\xFF";
  answer<lambda::Invoke>(result);
  const auto call = [this](std::string service, std::string operation, std::string_view input) {
    return sim_.run(dispatcher_.call({}, std::move(service), std::move(operation), *json::parse(input)));
  };
  const auto good = call("sqs", "SendMessage", R"({"QueueUrl":"u","MessageBody":"b"})");
  ASSERT_TRUE(good);
  EXPECT_EQ(json::serialize(*good), R"({"MD5OfMessageBody":"900150983cd24fb0d6963f7d28e17f72","MessageId":"m-1"})");
  EXPECT_EQ(context_.account, "000000000000");
  EXPECT_EQ(call("sqs", "SendMessage", R"({"QueueUrl":"u"})").error().type, "MissingRequiredParameterException");
  EXPECT_EQ(call("sqs", "AddPermission", "{}").error().type, "NotImplementedException");
  EXPECT_EQ(call("sqs", "Explode", "{}").error().type, "UnknownOperationException");
  EXPECT_EQ(call("s3", "GetObject", "{}").error().type, "NotImplementedException");
  const auto invoked = call("lambda", "Invoke", R"({"FunctionName":"f","Payload":"e30="})");
  ASSERT_TRUE(invoked);
  EXPECT_EQ(seen_, R"({"FunctionName":"f","Payload":"e30="})");
  EXPECT_EQ(json::serialize(*invoked), R"({"Payload":"/w=="})");
  EXPECT_EQ(call("lambda", "Invoke", R"({"FunctionName":"f","Payload":"*"})").error().type, "SerializationException");
}

TEST_F(DispatcherTest, RequestsAreCountedByOperationAndStatus) {
  answer<sqs::SendMessage>(sent());
  send(json_request("AmazonSQS.SendMessage", R"({"QueueUrl":"u","MessageBody":"b"})"));
  send(json_request("AmazonSQS.SendMessage", R"({"QueueUrl":"u","MessageBody":"b"})"));
  send(json_request("AmazonSQS.SendMessage", "{"));
  send(json_request("AmazonSQS.Invented123", "{}"));
  const std::string text = metrics_.expose();
  EXPECT_NE(text.find(R"(lambdad_requests_total{service="sqs",operation="SendMessage",status="200"} 2)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(lambdad_requests_total{service="sqs",operation="SendMessage",status="400"} 1)"),
            std::string::npos);
  EXPECT_NE(text.find(R"(lambdad_requests_total{service="unknown",operation="unknown",status="400"} 1)"),
            std::string::npos);
  EXPECT_EQ(text.find("Invented123"), std::string::npos);
}

}  // namespace
}  // namespace lambdad::aws
