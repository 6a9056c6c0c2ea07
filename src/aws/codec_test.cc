#include "aws/codec.h"

#include <gtest/gtest.h>

#include "aws/gen/lambda.h"
#include "aws/gen/sqs.h"

namespace lambdad::aws {
namespace {

json::Value parsed(std::string_view text) { return *json::parse(text); }

TEST(Codec, StructuresSurviveTheirDocuments) {
  sqs::SendMessageRequest request;
  request.queue_url = "http://localhost/000000000000/q";
  request.message_body = "caf\xC3\xA9";
  request.delay_seconds = 3;
  sqs::MessageAttributeValue value;
  value.data_type = "Binary";
  value.binary_value = std::string("\x00\xFF", 2);
  request.message_attributes.emplace()["a"] = value;
  const json::Value document = sqs::to_document(request);
  EXPECT_EQ(json::serialize(document),
            "{\"QueueUrl\":\"http://localhost/000000000000/q\",\"MessageBody\":\"caf\xC3\xA9\",\"DelaySeconds\":3,"
            "\"MessageAttributes\":{\"a\":{\"BinaryValue\":\"AP8=\",\"DataType\":\"Binary\"}}}");
  const auto again = sqs::from_document<sqs::SendMessageRequest>(document);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(*again, request);
}

TEST(Codec, NestedStructuresAndListsSurvive) {
  lambda::CreateEventSourceMappingRequest request;
  request.function_name = "f";
  request.function_response_types = {{"ReportBatchItemFailures"}};
  lambda::Filter filter;
  filter.pattern = "{}";
  request.filter_criteria.emplace().filters = {{filter, lambda::Filter{}}};
  request.starting_position_timestamp = from_epoch_ms(1767225600123);
  const auto again = lambda::from_document<lambda::CreateEventSourceMappingRequest>(lambda::to_document(request));
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(*again, request);
}

TEST(Codec, FailuresNameTheMember) {
  const auto detail = [](std::string_view text) {
    const auto result = sqs::from_document<sqs::SendMessageRequest>(parsed(text));
    return result ? std::string("accepted") : result.error().detail;
  };
  EXPECT_EQ(detail(R"({"MessageBody":"b"})"), "SendMessageRequest.QueueUrl: is missing");
  EXPECT_EQ(detail(R"([])"), "SendMessageRequest: is not an object");
  EXPECT_EQ(detail(R"({"QueueUrl":"u","MessageBody":"b","DelaySeconds":2147483648})"),
            "SendMessageRequest.DelaySeconds: is not a 32-bit integer");
  EXPECT_EQ(
      detail(R"({"QueueUrl":"u","MessageBody":"b","MessageAttributes":{"a":{"DataType":"B","BinaryValue":"*"}}})"),
      "SendMessageRequest.MessageAttributes: MessageAttributeValue.BinaryValue: is not a base64 text");
  EXPECT_EQ(detail(R"({"QueueUrl":"u","MessageBody":"b","Unknown":1,"DelaySeconds":null})"), "accepted");
}

TEST(Codec, TimestampsAreExact) {
  const auto text = [](std::int64_t nanos) { return codec::timestamp_number(WallTime(Duration(nanos))).text; };
  EXPECT_EQ(text(0), "0");
  EXPECT_EQ(text(1'767'225'600'123'000'000), "1767225600.123");
  EXPECT_EQ(text(1), "0.000000001");
  EXPECT_EQ(text(-500'000'000), "-0.5");
  for (const std::int64_t nanos :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{1'767'225'600'123'456'789}}) {
    EXPECT_EQ(codec::timestamp_from_number({text(nanos)}), WallTime(Duration(nanos)));
  }
  EXPECT_EQ(codec::timestamp_from_number({"1.5e3"}), WallTime(1500s));
  EXPECT_EQ(codec::timestamp_from_number({"99999999999999999999"}), std::nullopt);
  EXPECT_EQ(codec::timestamp_from_number({"1e300"}), std::nullopt);
}

TEST(Generated, ErrorsCarryWhatTheModelSays) {
  const Error missing = sqs::queue_does_not_exist("gone");
  EXPECT_EQ(missing.type, "QueueDoesNotExist");
  EXPECT_EQ(missing.query_code, "AWS.SimpleQueueService.NonExistentQueue");
  EXPECT_EQ(missing.http_status, 400);
  EXPECT_EQ(sqs::purge_queue_in_progress().http_status, 403);
  const Error not_found = lambda::resource_not_found("Function not found: f");
  EXPECT_EQ(not_found.message_member, "Message");
  EXPECT_TRUE(not_found.has_type_member);
  EXPECT_EQ(not_found.http_status, 404);
  EXPECT_EQ(lambda::invalid_parameter_value().message_member, "message");
  EXPECT_EQ(lambda::service_exception().fault, Fault::kServer);
  EXPECT_EQ(lambda::too_many_requests().http_status, 429);
}

TEST(Generated, AllPublishedOperationsAreKnown) {
  EXPECT_EQ(lambda::service().operations.size(), 85u);
  EXPECT_EQ(sqs::service().operations.size(), 23u);
  ASSERT_NE(sqs::service().find("AddPermission"), nullptr);
  EXPECT_TRUE(sqs::service().find("AddPermission")->served);
  ASSERT_NE(lambda::service().find("CreateCapacityProvider"), nullptr);
  EXPECT_FALSE(lambda::service().find("CreateCapacityProvider")->served);
  EXPECT_EQ(sqs::service().find("Nothing"), nullptr);
  for (const OperationModel* operation : lambda::service().operations) {
    EXPECT_EQ(lambda::service().find(operation->name), operation);
  }
}

}  // namespace
}  // namespace lambdad::aws
